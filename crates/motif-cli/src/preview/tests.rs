use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use motif_sweep::clock::Clock;

use super::*;

/// Each look at it takes a millisecond.
struct Ticking(Mutex<Duration>);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        let mut now = self.0.lock().unwrap();
        *now += Duration::from_millis(1);
        *now
    }
}

fn row(name: &str, hash: &str) -> DatasetRow {
    DatasetRow {
        name: name.to_owned(),
        hash: hash.to_owned(),
        height: 5,
        width: 2,
        channels: 1,
        classes: 3,
        train_examples: 100,
        test_examples: 50,
        size_bytes: 0,
        built_in: false,
    }
}

fn place(slots: u32) -> Place {
    let datasets = vec![row("small", &"0".repeat(64))];
    Place { datasets, server: Some(("http://there".to_owned(), slots)), why_not: None }
}

fn planned(text: &str) -> (SweepSpec, Plan) {
    let spec = SweepSpec::from_toml(text).unwrap();
    let plan = spec.plan().unwrap();
    (spec, plan)
}

fn measured(plan: &Plan, place: &Place) -> Vec<Measured> {
    measure::measure(plan, place, None, &Ticking(Mutex::default()))
}

const SWEEP: &str = "name = \"a\"\nseeds = 3\n[trial]\ndataset = \"small\"\nbatch_size = 10\nepochs = 2\n[axes]\nhidden = [[4], [8], [16, 16]]\n\
                     rule = [\"bp\", \"sal\"]";

#[test]
fn steps_are_counted_and_kinds_measured() {
    let (spec, plan) = planned(SWEEP);
    let place = place(4);
    let measured = measured(&plan, &place);
    assert_eq!(measured.len(), 6);
    // Two looks at the clock per step, one millisecond each; of ten batches the first warms up, the last has a test.
    assert!(measured.iter().all(|measured| measured.steps == 8), "{measured:?}");
    assert!(measured.iter().all(|measured| (measured.step_s - 0.001).abs() < 1e-9), "{measured:?}");

    let preview = preview(&spec, &plan, &place, measured);
    assert_eq!((preview.conditions.len(), preview.seeds, preview.trials), (6, 3, 18));
    assert_eq!(preview.trial_steps, Some(Extent { least: 20, greatest: 20 }));
    assert_eq!(preview.steps, 360);
    assert!(preview.problems.is_empty());
    let time = preview.time.as_ref().unwrap();
    // 20 steps, 3 points with diagnostics, 3 tests of which each took no longer than no test.
    assert!((time.trial_s.least - 0.023).abs() < 1e-9, "{time:?}");
    assert!((time.elapsed_s - time.training_s / 4.0).abs() < 1e-9, "{time:?}");
    let size = size(place.dataset("small").unwrap());
    let most = plan.conditions.iter().map(|condition| condition.config.memory_bytes(&size)).max();
    assert_eq!(preview.memory_bytes, most);
    let text = preview.text();
    assert!(text.contains("6 conditions × 3 seeds = 18 trials"), "{text}");
    assert!(text.contains("20 per trial, 360 in all"), "{text}");
    assert!(text.contains("4 slots (of http://there)"), "{text}");
}

#[test]
fn costs_are_scaled_by_multiply_adds_from_the_nearest_of_the_same_rule() {
    let (_, plan) = planned(SWEEP);
    let place = place(1);
    let base = measured(&plan, &place).remove(0);
    let known = |rule: &str, multiply_adds, step_s| Measured {
        rule: rule.to_owned(),
        multiply_adds,
        step_s,
        ..base.clone()
    };
    let config = &plan.conditions[1].config;
    let own = config.step_multiply_adds(10, 3);
    let all = [known("bp", own, 9.0), known("sal", own / 2, 1.0), known("sal", own * 8, 5.0)];
    let cost = Cost::of(config, &place.datasets[0], &all).unwrap();
    assert!((cost.step_s - 2.0).abs() < 1e-9, "{cost:?}");
    assert!((Cost::of(config, &place.datasets[0], &all[..1]).unwrap().step_s - 9.0).abs() < 1e-9);
    assert_eq!(Cost::of(config, &place.datasets[0], &[]), None);
}

#[test]
fn one_of_a_thing_is_no_plural() {
    let (spec, plan) = planned("name = \"a\"\n[trial]\ndataset = \"small\"");
    let text = preview(&spec, &plan, &place(1), Vec::new()).text();
    assert!(text.starts_with("a: 1 condition × 1 seed = 1 trial (nothing"), "{text}");
}

#[test]
fn what_would_be_refused_is_said() {
    let text = "name = \"a\"\n[trial]\ntrain_limit = 500\n[axes]\ndataset = [\"small\", \"none\"]";
    let (spec, plan) = planned(text);
    let preview = preview(&spec, &plan, &place(1), Vec::new());
    let fields: Vec<&str> = preview.problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["trial.train_limit", "axes.dataset"]);
    assert_eq!(preview.datasets.iter().map(|dataset| dataset.known).collect::<Vec<_>>(), [false, true]);
    assert!(preview.time.is_none() && preview.disk_bytes.is_none());
    assert!(preview.text().contains("would be refused"), "{}", preview.text());
}

#[test]
fn with_early_stopping_the_estimate_is_an_upper_bound() {
    let (spec, plan) = planned(SWEEP);
    let upper =
        |spec: &SweepSpec| preview(spec, &plan, &place(1), Vec::new()).text().contains("upper bounds");
    assert!(!upper(&spec));
    let (stops, _) = planned(&SWEEP.replace("seeds = 3", "seeds = 3\nstop = { method = \"asha\" }"));
    assert!(upper(&stops));
}

#[test]
fn every_steps_are_counted_as_points() {
    let config = TrialConfig {
        epochs: 4,
        diagnostics: Diagnostics::Steps(StepCadence { every_steps: 10 }),
        ..TrialConfig::default()
    };
    assert_eq!(points(&config, 100), (15, 5));
    assert_eq!(
        points(&TrialConfig { diagnostics: TrialConfig::default().diagnostics, ..config }, 100),
        (5, 5)
    );
}

#[test]
fn long_lists_of_conditions_are_cut_in_the_middle() {
    let widths: Vec<String> = (1..=100).map(|width| format!("[{width}]")).collect();
    let (spec, plan) = planned(&format!(
        "name = \"a\"\n[trial]\ndataset = \"small\"\n[axes]\nhidden = [{}]",
        widths.join(",")
    ));
    let text = preview(&spec, &plan, &place(1), Vec::new()).text();
    assert!(
        text.contains("… 84 more …") && text.contains("hidden={8}\n") && text.contains("hidden={93}\n"),
        "{text}"
    );
    assert!(!text.contains("hidden={9}\n"), "{text}");
}

#[test]
fn sequential_replication_is_counted_as_it_begins_and_its_most_is_named() {
    let text =
        SWEEP.replacen("seeds = 3\n", "seeds = 3\nuntil = { half_width = 0.002, max_seeds = 20 }\n", 1);
    let (spec, plan) = planned(&text);
    let place = place(4);
    let preview = preview(&spec, &plan, &place, Vec::new());
    assert_eq!((preview.trials, preview.seeds), (18, 3));
    let until = preview.until.as_ref().unwrap();
    assert_eq!((until.metric.as_str(), until.max_seeds, until.max_trials), ("test_accuracy", 20, 120));
    let text = preview.text();
    assert!(text.contains("until ± 0.002 on test_accuracy: up to 20 seeds, 120 trials"), "{text}");
}
