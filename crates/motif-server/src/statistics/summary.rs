//! One estimate per condition.

use std::collections::BTreeMap;

use motif_stats::{Bootstrap, Interval, interval::RESAMPLES_DEFAULT};
use motif_store::records::{ConditionRecord, TrialRecord};
use motif_sweep::lifecycle::TrialState;
use motif_wire::{
    statistics::{ConditionSummary, DivergedPolicy, SeedValue, Summary},
    sweeps::StateCounts,
};

use super::{LEVEL, Material, censored, interval_row};

/// Seed of the bootstrap's resamples: the same sweep has the same intervals whenever it is looked at.
const BOOTSTRAP_SEED: u64 = 0;

/// How the interval of a mean is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum IntervalMethod {
    /// Student's t.
    #[default]
    StudentT,
    /// Bias-corrected and accelerated bootstrap.
    Bca,
}

/// Makes intervals.
enum Intervals {
    StudentT,
    Bca(Option<Bootstrap>),
}

impl Intervals {
    fn new(method: IntervalMethod) -> Self {
        match method {
            IntervalMethod::StudentT => Self::StudentT,
            IntervalMethod::Bca => Self::Bca(Bootstrap::new(RESAMPLES_DEFAULT, BOOTSTRAP_SEED)),
        }
    }

    fn of(&mut self, numbers: &[f64]) -> Option<Interval> {
        match self {
            Self::StudentT => motif_stats::student_t(numbers, LEVEL),
            Self::Bca(bootstrap) => bootstrap.as_mut()?.bca(numbers, LEVEL),
        }
    }
}

/// A sweep's estimates of one metric.
pub(crate) fn summary(
    material: &Material,
    metric: &str,
    metrics: Vec<String>,
    diverged: DivergedPolicy,
    interval: IntervalMethod,
) -> Summary {
    let mut intervals = Intervals::new(interval);
    let mut trials = material.by_condition();
    let mut values: BTreeMap<u32, Vec<SeedValue>> = material.values(metric, diverged);
    let conditions = material
        .conditions
        .iter()
        .map(|condition| {
            let values = values.remove(&condition.index).unwrap_or_default();
            let trials = trials.remove(&condition.index).unwrap_or_default();
            let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
            let interval = intervals.of(&numbers);
            estimate(condition, values, interval, &trials, material.sweep.seeds.len(), diverged)
        })
        .collect();
    Summary { sweep_id: material.sweep.id.0, metric: metric.to_owned(), metrics, diverged, conditions }
}

fn estimate(
    condition: &ConditionRecord,
    values: Vec<SeedValue>,
    interval: Option<Interval>,
    trials: &[&TrialRecord],
    seeds: usize,
    policy: DivergedPolicy,
) -> ConditionSummary {
    let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
    let described = motif_stats::describe(&numbers).ok();
    let mut counts = StateCounts::default();
    for trial in trials {
        *counts.of_mut(trial.state) += 1;
    }
    let complete = values.len() == seeds;
    ConditionSummary {
        condition: condition.index,
        label: condition.label.clone(),
        n: values.len() as u64,
        mean: described.map(|d| d.mean),
        sd: described.and_then(|d| d.sd),
        median: described.map(|d| d.median),
        iqm: described.map(|d| d.iqm),
        notes: notes(values.len(), seeds, interval.is_some(), trials, policy),
        interval: interval.map(interval_row),
        values,
        counts,
        complete,
    }
}

fn notes(
    n: usize,
    seeds: usize,
    has_interval: bool,
    trials: &[&TrialRecord],
    policy: DivergedPolicy,
) -> Vec<String> {
    let diverged = trials.iter().filter(|trial| trial.state == TrialState::Diverged).count();
    let silent = trials.iter().filter(|trial| trial.state == TrialState::Succeeded).count();
    let mut notes = Vec::new();
    let stopped = trials.iter().filter(|trial| trial.state == TrialState::Stopped).count();
    notes.extend(censored(Some(&stopped).filter(|stopped| **stopped > 0), seeds));
    if diverged > 0 {
        notes.push(match policy {
            DivergedPolicy::Exclude => format!("{diverged} diverged, left out"),
            DivergedPolicy::Worst => format!("{diverged} diverged, counted with the sweep's worst value"),
        });
    }
    if n < seeds {
        notes.push(format!("incomplete: {n} of {seeds} seeds"));
    }
    let counted = if policy == DivergedPolicy::Worst { silent + diverged } else { silent };
    if counted > n {
        notes.push(format!("{} ended without a usable value of this metric", counted - n));
    }
    if n == 1 {
        notes.push("n = 1: no interval".to_owned());
    }
    if n >= 2 && !has_interval {
        notes.push("the resamples lie all on one side of the mean: no bootstrap interval".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::{material, stop};

    #[test]
    fn diverged_trials_are_left_out_and_said_to_be_so() {
        let summary =
            summary(&material(), "test_accuracy", vec![], DivergedPolicy::Exclude, IntervalMethod::StudentT);
        let (base, other) = (&summary.conditions[0], &summary.conditions[1]);
        assert!(base.complete && base.notes.is_empty());
        assert!((base.mean.unwrap() - 0.6).abs() < 1e-12);
        // Student t, n = 3: 4.302652729749464 · 0.1 / √3.
        let interval = base.interval.as_ref().unwrap();
        assert!((interval.high - 0.6 - 0.248_413_770_6).abs() < 1e-9, "{interval:?}");
        assert_eq!((interval.n, interval.method.as_str()), (3, "student_t"));
        assert_eq!((other.n, other.complete, other.counts.diverged), (2, false, 1));
        assert_eq!(other.notes, ["1 diverged, left out", "incomplete: 2 of 3 seeds"]);
    }

    #[test]
    fn diverged_trials_can_count_with_the_worst_value() {
        let summary =
            summary(&material(), "test_accuracy", vec![], DivergedPolicy::Worst, IntervalMethod::StudentT);
        let other = &summary.conditions[1];
        assert_eq!(other.values.iter().map(|v| v.value).collect::<Vec<_>>(), [0.6, 0.8, 0.1]);
        assert!((other.mean.unwrap() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn stopped_trials_are_censored_whatever_the_policy() {
        let mut material = material();
        // The best and the worst value of all: neither may show.
        for (index, value) in [(0, 0.0), (3, 1.0)] {
            stop(&mut material.trials[index], 2.0);
            material.trials[index].metrics.insert("test_accuracy".into(), value);
        }
        for (policy, n, mean) in [(DivergedPolicy::Exclude, 1, 0.8), (DivergedPolicy::Worst, 2, 0.45)] {
            let summary = summary(&material, "test_accuracy", vec![], policy, IntervalMethod::StudentT);
            let (base, other) = (&summary.conditions[0], &summary.conditions[1]);
            assert_eq!((base.n, base.counts.stopped, base.complete), (2, 1, false));
            assert!((base.mean.unwrap() - 0.65).abs() < 1e-12);
            assert_eq!(base.notes[0], "1 of 3 seeds stopped early: censored");
            assert_eq!(other.n, n);
            assert!((other.mean.unwrap() - mean).abs() < 1e-12, "{policy:?}: {:?}", other.mean);
        }
    }

    #[test]
    fn one_seed_has_no_interval_and_says_so() {
        let mut material = material();
        material.trials.retain(|trial| trial.seed == 0);
        let summary =
            summary(&material, "test_accuracy", vec![], DivergedPolicy::Exclude, IntervalMethod::StudentT);
        let base = &summary.conditions[0];
        assert_eq!((base.n, base.sd, base.interval.clone()), (1, None, None));
        assert!(base.notes.iter().any(|note| note == "n = 1: no interval"));
    }

    #[test]
    fn a_bootstrap_interval_names_its_method_its_resamples_and_its_seed() {
        let summary =
            summary(&material(), "test_accuracy", vec![], DivergedPolicy::Exclude, IntervalMethod::Bca);
        let interval = summary.conditions[0].interval.clone().unwrap();
        assert_eq!((interval.method.as_str(), interval.n), ("bca_bootstrap", 3));
        assert_eq!((interval.resamples, interval.seed), (Some(10_000), Some(BOOTSTRAP_SEED)));
        let alone = motif_stats::bca(&[0.5, 0.6, 0.7], LEVEL, RESAMPLES_DEFAULT, BOOTSTRAP_SEED).unwrap();
        assert_eq!((interval.low, interval.high), (alone.low, alone.high));
    }
}
