//! The logged diagnostics against the naive network, and when they are logged.

mod common;

use common::naive::{self, cosine, mean_outer, norm, times, transpose};
use common::{Recorder, Toy, small};
use motif_net::config::{
    Activation, Diagnostics, DownstreamActivation, NamedCadence, PerSynapse, RuleName, Schedule, StepCadence,
};
use motif_net::{Observer, Phase, Point, TrialConfig, train};

/// Fewer training examples than the probe holds, so the probe is all of them, in one batch.
const EXAMPLES: usize = 60;

fn recorded(config: &TrialConfig) -> Recorder {
    let toy = Toy::new(EXAMPLES, 20, 12, 4);
    let mut recorder = Recorder::default();
    train(config, 5, &toy.task(), &mut recorder).expect("a sound config");
    recorder
}

fn close(point: &Point, name: &str, expected: f64) {
    let value = point.get(name).unwrap_or_else(|| panic!("{name} is not logged"));
    assert!(
        (value - expected).abs() < 1e-4 * expected.abs().max(1.0),
        "{name}: {value}, expected {expected}"
    );
}

#[test]
fn every_value_is_the_naive_one() {
    for (activation, downstream_activation) in [
        (Activation::Relu, DownstreamActivation::Linear),
        (Activation::Tanh, DownstreamActivation::Tanh),
        (Activation::Relu, DownstreamActivation::Gated),
        (Activation::Linear, DownstreamActivation::LeakyRelu),
    ] {
        let config = TrialConfig {
            activation,
            downstream_activation,
            batch_size: EXAMPLES,
            epochs: 12,
            ratio: 1.5,
            ..small(&[9, 7, 8])
        };
        let recorder = recorded(&config);
        let (x, y) = (naive::matrix(&recorder.batches[0].0), recorder.batches[0].1.clone());
        for point in [recorder.points.first().unwrap(), recorder.points.last().unwrap()] {
            let weights = naive::weights(&recorder.snapshots[&point.step]);
            let act = naive::activity(&config, &weights, &x, &y);
            let tensor = |kind: &str, l: usize| &weights[&format!("{kind}.{l}")];
            for (name, value) in &weights {
                close(point, &format!("norm.{name}"), norm(value));
            }
            for l in 1..=3 {
                let (v, v_bar) = (tensor("v", l), tensor("v_bar", l));
                close(point, &format!("cos_v.{l}"), cosine(v, &transpose(v_bar)));
                close(point, &format!("cos_g_bp.{l}"), cosine(&act.g[l], &act.g_bp[l]));
                let change = mean_outer(&act.g[l], &act.h[l - 1]);
                let sgd = mean_outer(&act.g_bp[l], &act.h[l - 1]);
                let mapped = times(&times(v_bar, &transpose(v_bar)), &sgd);
                close(point, &format!("cos_theorem1.{l}"), cosine(&change, &mapped));
                let w_bar_t = transpose(tensor("w_bar", l));
                let left = if l < 3 { times(tensor("v_bar", l + 1), &w_bar_t) } else { w_bar_t };
                close(point, &format!("cos_motif.{l}"), cosine(&left, &times(tensor("w", l + 1), v_bar)));
                let silent = (0..act.h[l][0].len()).filter(|&i| act.h[l].iter().all(|row| row[i] == 0.0));
                close(point, &format!("dead.{l}"), silent.count() as f64 / act.h[l][0].len() as f64);
            }
        }
    }
}

/// Theorem 1, with nothing arranged: decay brings a linear network from chance to the aligned state, where every
/// `ΔW_l` is the gradient step under the matrix learning rate `H_l`.
#[test]
fn a_linear_network_assembles_itself() {
    let all = |value| PerSynapse { w: value, w_bar: value, v: value, v_bar: value };
    let config = TrialConfig {
        activation: Activation::Linear,
        schedule: Schedule::Constant,
        batch_size: EXAMPLES,
        epochs: 3000,
        clip_norm: 0.0,
        rates: all(0.02),
        decay: all(0.1),
        diagnostics: Diagnostics::Steps(StepCadence { every_steps: 3000 }),
        ..small(&[8, 8])
    };
    let recorder = recorded(&config);
    let (first, last) = (&recorder.points[0], recorder.points.last().unwrap());
    for layer in 1..=2 {
        for name in ["cos_theorem1", "cos_v", "cos_motif"] {
            let name = format!("{name}.{layer}");
            assert!(first.get(&name).unwrap() < 0.7, "{name} at first: {first:?}");
            assert!(last.get(&name).unwrap() > 0.99, "{name} at last: {last:?}");
        }
        assert!(last.get(&format!("norm.v_bar.{layer}")).unwrap() > 1.0, "not by vanishing: {last:?}");
    }
    assert!(last.get("train_loss").unwrap() < 0.1, "{last:?}");
}

#[test]
fn spectra_are_those_of_the_weights() {
    for (ratio, hidden) in [(1.5, [9, 7]), (0.5, [9, 8])] {
        let spectra = Diagnostics::Named(NamedCadence::Ends);
        let config = TrialConfig { ratio, spectra, epochs: 40, ..small(&hidden) };
        let recorder = recorded(&config);
        for point in [recorder.points.first().unwrap(), recorder.points.last().unwrap()] {
            for (name, value) in &naive::weights(&recorder.snapshots[&point.step]) {
                let value = if value.len() > value[0].len() { transpose(value) } else { value.clone() };
                let squares = naive::eigenvalues(&times(&value, &transpose(&value)));
                let singular: Vec<f64> = squares.iter().map(|square| square.max(0.0).sqrt()).collect();
                let (least, greatest) = (singular[0], *singular.last().unwrap());
                close(point, &format!("sigma_max.{name}"), greatest);
                close(point, &format!("sigma_min.{name}"), least);
                close(point, &format!("rank.{name}"), effective_rank(&singular));
            }
            for (l, units) in hidden.into_iter().enumerate().map(|(place, units)| (place + 1, units)) {
                let weights = naive::weights(&recorder.snapshots[&point.step]);
                let v_bar = &weights[&format!("v_bar.{l}")];
                let values = naive::eigenvalues(&times(v_bar, &transpose(v_bar)));
                close(point, &format!("h_max.{l}"), values[units - 1]);
                close(point, &format!("h_min.{l}"), values[0].max(0.0));
                if units % 2 == 1 {
                    close(point, &format!("h_median.{l}"), values[units / 2].max(0.0));
                }
                close(point, &format!("h_rank.{l}"), effective_rank(&values));
                let condition = point.get(&format!("h_condition.{l}"));
                assert_eq!(condition.is_some(), ratio > 1.0, "infinite where m < n: {condition:?}");
                if let Some(condition) = condition {
                    assert!((condition * values[0] / values[units - 1] - 1.0).abs() < 1e-3, "{condition}");
                }
            }
        }
        let logged = recorder.points.iter().filter(|point| point.get("rank.w.1").is_some()).count();
        assert_eq!(logged, 2, "at the ends only");
    }
}

fn effective_rank(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().map(|value| value.max(0.0)).sum();
    let shares = values.iter().map(|value| value / sum).filter(|&share| share > 1e-12);
    (-shares.map(|share| share * share.ln()).sum::<f64>()).exp()
}

#[test]
fn an_observer_can_time_what_is_not_learning() {
    struct Timer(Vec<(u64, Phase, bool)>);
    impl Observer for Timer {
        fn begin(&mut self, step: u64, phase: Phase) {
            self.0.push((step, phase, true));
        }

        fn end(&mut self, step: u64, phase: Phase) {
            self.0.push((step, phase, false));
        }
    }
    let toy = Toy::new(EXAMPLES, 20, 12, 4);
    let mut timer = Timer(Vec::new());
    let every = |every_steps| Diagnostics::Steps(StepCadence { every_steps });
    let config = TrialConfig { diagnostics: every(3), spectra: every(5), ..small(&[6]) };
    train(&config, 5, &toy.task(), &mut timer).unwrap();
    let (evaluation, diagnostics, spectra) = (Phase::Evaluation, Phase::Diagnostics, Phase::Spectra);
    let phases: [(u64, &[Phase]); 6] = [
        (0, &[evaluation, diagnostics, spectra]),
        (3, &[diagnostics]),
        (4, &[evaluation]),
        (5, &[spectra]),
        (6, &[diagnostics]),
        (8, &[evaluation, diagnostics, spectra]),
    ];
    let expected =
        phases.into_iter().flat_map(|(step, phases)| phases.iter().map(move |&phase| (step, phase)));
    let expected = expected.flat_map(|(step, phase)| [(step, phase, true), (step, phase, false)]);
    assert_eq!(timer.0, expected.collect::<Vec<_>>());
}

#[test]
fn the_update_ratio_is_the_last_steps_change_over_the_weights() {
    for (momentum, clip_norm) in [(0.0, 0.1), (0.0, 0.0), (0.6, 0.1)] {
        let zero = PerSynapse { w: 0.0, w_bar: 0.0, v: 0.0, v_bar: 0.0 };
        let diagnostics = Diagnostics::Steps(StepCadence { every_steps: 3 });
        let config = TrialConfig { momentum, clip_norm, decay: zero, diagnostics, ..small(&[9, 7]) };
        let recorder = recorded(&config);
        assert_eq!(recorder.points[0].get("update_ratio.w.1"), None, "no step yet");
        let before = naive::weights(&recorder.snapshots[&2]);
        for (name, value) in naive::weights(&recorder.snapshots[&3]) {
            let expected = norm(&naive::minus(&value, &before[&name])) / norm(&value);
            let logged = recorder.points[1].get(&format!("update_ratio.{name}")).unwrap();
            assert!((logged / expected - 1.0).abs() < 1e-3, "{name}: {logged}, expected {expected}");
        }
    }
}

#[test]
fn cadence_decides_what_is_logged_and_never_what_is_learnt() {
    let cadences = [
        (Diagnostics::Named(NamedCadence::Off), vec![4, 8], vec![]),
        (Diagnostics::Named(NamedCadence::Epoch), vec![0, 4, 8], vec![0, 4, 8]),
        (Diagnostics::Named(NamedCadence::Ends), vec![0, 4, 8], vec![0, 8]),
        (Diagnostics::Steps(StepCadence { every_steps: 3 }), vec![0, 3, 4, 6, 8], vec![0, 3, 6, 8]),
    ];
    let mut learnt = None;
    for (diagnostics, points, diagnosed) in cadences {
        let recorder = recorded(&TrialConfig { diagnostics, ..small(&[9, 7]) });
        let steps =
            |points: &mut dyn Iterator<Item = &Point>| points.map(|point| point.step).collect::<Vec<_>>();
        assert_eq!(steps(&mut recorder.points.iter()), points);
        let with =
            |name: &'static str| steps(&mut recorder.points.iter().filter(|point| point.get(name).is_some()));
        assert_eq!(with("cos_theorem1.2"), diagnosed);
        let tested: Vec<u64> = points.iter().copied().filter(|step| [0, 4, 8].contains(step)).collect();
        assert_eq!(with("test_accuracy"), tested);
        assert_eq!(with("train_loss"), [4, 8], "absent before training");
        assert_eq!(with("rate"), points);
        assert_eq!(*learnt.get_or_insert_with(|| recorder.last.clone()), recorder.last);
    }
}

#[test]
fn rules_without_a_downstream_pathway_log_no_alignment() {
    for rule in [RuleName::Bp, RuleName::Linear, RuleName::LastLayer] {
        let recorder = recorded(&TrialConfig { rule, ..small(&[9, 7]) });
        let names = |point: &Point| point.values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let expected = [
            "rate",
            "train_loss",
            "train_accuracy",
            "test_loss",
            "test_accuracy",
            "norm.w.1",
            "norm.w.2",
            "norm.w.3",
            "dead.1",
            "dead.2",
            "update_ratio.w.1",
            "update_ratio.w.2",
            "update_ratio.w.3",
        ];
        // Frozen layers do not move.
        let moves = |name: &&str| {
            rule != RuleName::LastLayer || !["update_ratio.w.1", "update_ratio.w.2"].contains(name)
        };
        let expected: Vec<&str> = expected.into_iter().filter(moves).collect();
        assert_eq!(names(recorder.points.last().unwrap()), expected);
        assert!(recorder.last.iter().all(|(name, _)| name.starts_with("w.")));
    }
}

#[test]
fn loss_and_accuracy_are_those_of_the_weights() {
    let config = TrialConfig { batch_size: EXAMPLES, epochs: 30, rule: RuleName::Bp, ..small(&[9, 7]) };
    let recorder = recorded(&config);
    let weights = naive::weights(&recorder.snapshots[&29]);
    let (x, y) = (naive::matrix(&recorder.batches[29].0), &recorder.batches[29].1);
    let act = naive::activity(&config, &weights, &x, y);
    let best = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let right = act.a[3].iter().zip(y).filter(|(row, label)| best(row) == usize::from(**label)).count();
    let last = recorder.points.last().unwrap();
    close(last, "train_loss", act.loss);
    close(last, "train_accuracy", right as f64 / EXAMPLES as f64);
    assert!(last.get("test_accuracy").unwrap() > 0.9, "the toy task is learnt: {last:?}");
    let rates: Vec<f64> = recorder.points.iter().filter_map(|point| point.get("rate")).collect();
    assert_eq!(rates[0], 1.0);
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]) && rates[30] < 1e-12, "{rates:?}");
}
