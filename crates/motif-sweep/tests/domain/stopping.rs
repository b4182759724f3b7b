//! Early stopping: the rules by cases worked out by hand from the papers' definitions, what holds for any of them, and
//! how `stop` is written.

use std::collections::BTreeMap;

use motif_sweep::{
    spec::SweepSpec,
    stopping::{Rule, Standing, Stop, Test},
};
use proptest::prelude::*;

use crate::spec::{only, plan};

fn asha(min_epochs: u32, reduction: u32) -> Rule {
    Rule { metric: "validation_accuracy".into(), min_epochs, test: Test::Asha { reduction } }
}

fn median(min_epochs: u32, min_trials: u32) -> Rule {
    Rule { metric: "validation_loss".into(), min_epochs, test: Test::Median { min_trials } }
}

fn stands(epoch: u32, shown: f64, best: f64) -> Standing {
    Standing { epoch, shown, best, values: 1 }
}

/// Trials under a rule, as a store keeps them.
struct Search {
    rule: Rule,
    epochs: u32,
    standings: BTreeMap<usize, Vec<Standing>>,
    stopped: BTreeMap<usize, u32>,
}

impl Search {
    fn new(rule: Rule, epochs: u32) -> Self {
        Self { rule, epochs, standings: BTreeMap::new(), stopped: BTreeMap::new() }
    }

    fn others(&self, trial: usize, epoch: u32) -> Vec<f64> {
        let others = self.standings.iter().filter(|(other, _)| **other != trial);
        others.flat_map(|(_, all)| all).filter(|at| at.epoch == epoch).map(|at| at.shown).collect()
    }

    /// A trial logs a value; whether it goes on.
    fn log(&mut self, trial: usize, epoch: f64, value: f64) -> bool {
        if self.stopped.contains_key(&trial) {
            return false;
        }
        let before = self.standings.get(&trial).and_then(|all| all.last()).copied();
        for next in self.rule.advance(before.as_ref(), epoch, value) {
            self.standings.entry(trial).or_default().push(next);
            if self.rule.decide(&next, self.epochs, &self.others(trial, next.epoch)).is_some() {
                self.stopped.insert(trial, next.epoch);
                return false;
            }
        }
        true
    }
}

#[test]
fn rungs_are_a_reduction_apart_and_take_the_first_value_at_or_after_them() {
    let rule = asha(2, 3);
    let at = |before: Option<Standing>, epoch| {
        let added = rule.advance(before.as_ref(), epoch, 0.5);
        added.into_iter().map(|standing| standing.epoch).collect::<Vec<_>>()
    };
    assert_eq!(at(None, 0.0), [0u32; 0], "before training");
    assert_eq!(at(None, 1.0), [0u32; 0]);
    assert_eq!(at(None, 2.0), [2]);
    assert_eq!(at(None, 2.5), [2], "the first one after the rung");
    assert_eq!(at(Some(stands(2, 0.4, 0.4)), 2.9), [0u32; 0], "a rung takes one value");
    assert_eq!(at(Some(stands(2, 0.4, 0.4)), 5.0), [0u32; 0]);
    assert_eq!(at(Some(stands(2, 0.4, 0.4)), 20.0), [6, 18]);
    assert_eq!(at(None, f64::MAX).len(), 20, "2 · 3^19 is the last that 32 bits hold");
    for wrong in [f64::NAN, f64::INFINITY] {
        assert!(rule.advance(None, 2.0, wrong).is_empty());
    }
    assert!(rule.advance(None, f64::NAN, 0.5).is_empty());
}

/// Reduction 3: ⌊n/3⌋ of n go on. Nine trials reach the first rung one after the other.
#[test]
fn asha_keeps_the_best_third_of_those_that_came_so_far() {
    let mut search = Search::new(asha(1, 3), 27);
    let goes_on = [
        // n < 3: nothing to compare with.
        (0.50, true),
        (0.10, true),
        // n = 3, one goes on: 0.60 is the best of 0.5, 0.1, 0.6.
        (0.60, true),
        // n = 4 and 5, still one.
        (0.55, false),
        (0.60, true),
        // n = 6, two: 0.60 and 0.60 are better than 0.58.
        (0.58, false),
        (0.70, true),
        (0.59, false),
        // n = 9, three: only 0.70 is better, and a tie is not better.
        (0.60, true),
    ];
    for (trial, (value, expected)) in goes_on.into_iter().enumerate() {
        assert_eq!(search.log(trial, 1.0, value), expected, "trial {trial}");
    }
    // The second rung has its own values; a stopped trial is not heard any more.
    assert!(!search.log(3, 3.0, 0.99));
    assert_eq!(search.others(9, 3), [0.0; 0]);
    assert!(search.log(0, 2.0, 0.0), "epoch 2 is no rung");
    assert!(search.log(0, 3.0, 0.61) && search.log(1, 3.0, 0.62) && !search.log(2, 3.0, 0.60));
}

/// Smaller is better for a loss. Averages at epoch 3 are 2, 3, 4, 5; their median is 3.5.
#[test]
fn the_median_rule_holds_the_best_so_far_against_the_others_averages() {
    let others = [2.0, 3.0, 4.0, 5.0];
    let rule = median(2, 4);
    assert_eq!(rule.decide(&stands(3, 9.0, 3.4), 10, &others), None, "its average is not what counts");
    assert_eq!(rule.decide(&stands(3, 3.5, 3.5), 10, &others), None, "as good as the median");
    let reason = rule.decide(&stands(3, 3.6, 3.6), 10, &others).unwrap();
    assert!(
        reason.contains("epoch 3") && reason.contains("3.5000") && reason.contains("4 others"),
        "{reason}"
    );
    assert_eq!(rule.decide(&stands(1, 9.0, 9.0), 10, &others), None, "before min_epochs");
    assert_eq!(rule.decide(&stands(3, 9.0, 9.0), 10, &others[..3]), None, "too few others");
    assert_eq!(rule.decide(&stands(10, 9.0, 9.0), 10, &others), None, "nothing is left to stop");
    // An odd number has a middle: 3.
    assert!(median(1, 3).decide(&stands(3, 3.1, 3.1), 10, &others[..3]).is_some());
    assert!(median(1, 3).decide(&stands(3, 2.9, 2.9), 10, &others[..3]).is_none());
}

#[test]
fn averages_and_bests_run_over_the_epochs_of_training() {
    let rule = median(1, 1);
    assert!(rule.advance(None, 0.0, 100.0).is_empty(), "what is measured before training counts for nothing");
    let mut standing = None;
    for (epoch, value, average, best) in [(1.0, 4.0, 4.0, 4.0), (2.0, 1.0, 2.5, 1.0), (3.0, 4.0, 3.0, 1.0)] {
        let next = rule.advance(standing.as_ref(), epoch, value);
        assert_eq!(next.len(), 1);
        assert_eq!((next[0].shown, next[0].best, f64::from(next[0].epoch)), (average, best, epoch));
        assert!(rule.advance(Some(&next[0]), epoch + 0.5, 9.0).is_empty(), "within an epoch");
        standing = next.into_iter().next();
    }
}

#[test]
fn median_stopping_from_end_to_end() {
    // Loss. Trial 2 is worse than the median of the averages of 0 and 1 at epoch 2: (2.5 + 3.5)/2 = 3.
    let mut search = Search::new(median(2, 2), 4);
    for (trial, first, second) in [(0, 3.0, 2.0), (1, 4.0, 3.0)] {
        assert!(search.log(trial, 1.0, first) && search.log(trial, 2.0, second));
    }
    assert!(search.log(2, 1.0, 9.0), "before min_epochs");
    assert!(!search.log(2, 2.0, 3.1));
    assert!(search.log(3, 1.0, 2.9) && search.log(3, 2.0, 9.0), "its best, 2.9, is better");
    assert_eq!(search.stopped, BTreeMap::from([(2, 2)]));
}

/// Values of trials at each of four epochs, and an order in which trials take their turns.
fn runs() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<usize>)> {
    (2usize..20).prop_flat_map(|trials| {
        let values = prop::collection::vec(prop::collection::vec(0u8..12, 9), trials);
        let values = values.prop_map(|all| {
            all.into_iter().map(|one| one.into_iter().map(|v| f64::from(v) / 12.0).collect()).collect()
        });
        let turns: Vec<usize> = (0..trials).flat_map(|trial| vec![trial; 9]).collect();
        (values, Just(turns).prop_shuffle())
    })
}

fn run(rule: Rule, values: &[Vec<f64>], turns: &[usize]) -> Search {
    let mut search = Search::new(rule, 9);
    let mut at = vec![0; values.len()];
    for &trial in turns {
        search.log(trial, (at[trial] + 1) as f64, values[trial][at[trial]]);
        at[trial] += 1;
    }
    search
}

fn rules() -> impl Strategy<Value = Rule> {
    let metric = prop_oneof![Just("test_loss".to_owned()), Just("test_accuracy".to_owned())];
    let test = prop_oneof![
        (2u32..5).prop_map(|reduction| Test::Asha { reduction }),
        (1u32..6).prop_map(|min_trials| Test::Median { min_trials })
    ];
    (metric, 1u32..4, test).prop_map(|(metric, min_epochs, test)| Rule { metric, min_epochs, test })
}

/// The best of some values.
fn best(rule: &Rule, values: impl Iterator<Item = f64>) -> f64 {
    if rule.metric.ends_with("loss") {
        values.fold(f64::MAX, f64::min)
    } else {
        values.fold(f64::MIN, f64::max)
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    /// Whoever is the best at an epoch that was looked at, at that moment or in the end, was not stopped there.
    #[test]
    fn the_best_at_a_rung_is_never_stopped_there((values, turns) in runs(), rule in rules()) {
        let search = run(rule.clone(), &values, &turns);
        for (&trial, &epoch) in &search.stopped {
            let own = search.standings[&trial].last().unwrap();
            prop_assert_eq!(own.epoch, epoch);
            prop_assert!(epoch >= rule.min_epochs && epoch < 9);
            let others = search.others(trial, epoch);
            prop_assert!(!others.is_empty(), "nothing to compare with");
            let champion = best(&rule, others.iter().copied());
            let beaten = if rule.metric.ends_with("loss") { champion < own.best } else { champion > own.best };
            prop_assert!(beaten, "{trial} was stopped at {epoch} with {own:?} against {others:?}");
        }
        prop_assert!(search.stopped.len() < values.len(), "someone goes on to the end");
    }

    /// Which trials stop depends on who comes first; what a trial that is not stopped shows at an epoch does not.
    #[test]
    fn what_is_recorded_does_not_depend_on_the_order((values, turns) in runs(), rule in rules()) {
        let (one, other) = (run(rule.clone(), &values, &turns), {
            let reversed: Vec<usize> = turns.iter().rev().copied().collect();
            run(rule, &values, &reversed)
        });
        for (trial, standings) in &one.standings {
            let Some(theirs) = other.standings.get(trial) else { continue };
            let shared = standings.len().min(theirs.len());
            prop_assert_eq!(&standings[..shared], &theirs[..shared]);
        }
    }

    /// A decision looks at values, not at their order.
    #[test]
    fn a_decision_does_not_depend_on_the_order_of_the_others(
        others in prop::collection::vec(0.0..1.0f64, 0..12), own in 0.0..1.0f64, rule in rules(),
    ) {
        let standing = stands(4, own, own);
        let reversed: Vec<f64> = others.iter().rev().copied().collect();
        prop_assert_eq!(rule.decide(&standing, 9, &others), rule.decide(&standing, 9, &reversed));
    }

    /// All at once, one of `reduction` goes on from each rung, the best.
    #[test]
    fn the_last_of_many_is_judged_among_all(values in prop::collection::hash_set(0u16..1000, 9..40)) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        for (index, &own) in values.iter().enumerate() {
            let others: Vec<f64> =
                values.iter().enumerate().filter(|(at, _)| *at != index).map(|(_, value)| *value).collect();
            let rank = values.iter().filter(|value| **value > own).count();
            let stopped = asha(1, 3).decide(&stands(1, own, own), 9, &others).is_some();
            prop_assert_eq!(stopped, rank >= values.len() / 3);
        }
    }
}

const SEARCH: &str = r#"
name = "search"
seeds = 2
metric = "validation_accuracy"
stop = { STOP }
[trial]
validation = 100
epochs = 9
[axes]
"rates.w" = [0.1, 0.2, 0.3]
"#;

fn search(stop: &str) -> String {
    SEARCH.replace("STOP", stop)
}

#[test]
fn defaults_are_the_sweeps_metric_and_a_third() {
    let spec = |stop: &str| {
        let text = search(stop);
        plan(&text);
        let spec = SweepSpec::from_toml(&text).unwrap();
        let again = SweepSpec::from_json(spec.to_json()).unwrap();
        assert_eq!(spec, again);
        spec.stopping().unwrap()
    };
    assert_eq!(spec("method = \"asha\""), asha(1, 3));
    let stop = "method = \"median\", metric = \"validation_loss\", min_epochs = 2, min_trials = 4";
    assert_eq!(spec(stop), median(2, 4));
    let none = search("method = \"asha\"").replace("stop =", "# stop =");
    assert_eq!(SweepSpec::from_toml(&none).unwrap().stopping(), None);
    let stop: Stop = serde_json::from_value(serde_json::json!({ "method": "median" })).unwrap();
    assert_eq!(stop.rule("test_loss").test, Test::Median { min_trials: 5 });
}

#[test]
fn each_mistake_is_named() {
    let cases = [
        ("method = \"ashe\"", "stop.method", "", Some("asha")),
        ("metric = \"test_loss\"", "stop.method", "missing", None),
        ("method = \"asha\", reductoin = 3", "stop.reductoin", "unknown key", Some("reduction")),
        ("method = \"asha\", reduction = 1", "stop.reduction", "expected 2 to", None),
        ("method = \"asha\", reduction = 2.5", "stop.reduction", "whole number", None),
        ("method = \"asha\", min_epochs = 0", "stop.min_epochs", "expected 1 to", None),
        ("method = \"asha\", min_trials = 3", "stop.min_trials", "belongs to method \"median\"", None),
        ("method = \"median\", reduction = 3", "stop.reduction", "belongs to method \"asha\"", None),
        ("method = \"asha\", metric = \"cos_v.1\"", "stop.metric", "at each epoch", None),
        (
            "method = \"asha\", metric = \"validation_acuracy\"",
            "stop.metric",
            "",
            Some("validation_accuracy"),
        ),
        (
            "method = \"asha\", metric = \"test_loss\"",
            "stop.metric",
            "every condition",
            Some("validation_loss"),
        ),
        ("method = \"asha\", min_epochs = 9", "stop.min_epochs", "less than the trials' 9 epochs", None),
        ("method = \"asha\", reduction = 7", "stop.reduction", "6 trials are too few", None),
        ("method = \"median\", min_trials = 6", "stop.min_trials", "6 trials are too few", None),
    ];
    for (stop, field, message, suggestion) in cases {
        let error = only(&search(stop));
        assert_eq!((error.field.as_str(), error.suggestion.as_deref()), (field, suggestion), "{error}");
        assert!(error.message.contains(message), "{stop}: {error}");
    }
    let one = search("method = \"asha\"").replace("[0.1, 0.2, 0.3]", "[0.1]");
    assert!(only(&one).message.contains("only one"));
    let diagnostic = search("method = \"asha\"").replace("validation_accuracy", "cos_v.1");
    let error = only(&diagnostic);
    assert_eq!(error.field, "stop.metric");
    assert!(error.message.contains("cos_v.1"), "{error}");
    let many = search("method = \"asha\"").replace("seeds = 2", "seeds = 1000").replace(
        "[0.1, 0.2, 0.3]",
        &format!("{:?}", (1..=21).map(|n| f64::from(n) / 100.0).collect::<Vec<_>>()),
    );
    assert_eq!(only(&many).field, "stop");
}
