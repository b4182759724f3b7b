//! From trials as they are stored to the statistics of the HTTP contract. Pure: no store, no HTTP.
//!
//! Which trials count, and under which policy, is decided here; what numbers can say is `motif_stats`'.

mod anova;
mod comparisons;
mod curves;
mod design;
mod importance;
mod leaderboard;
mod ledger;
mod precision;
mod summary;
mod verdicts;

pub(crate) use anova::anova;
pub(crate) use comparisons::comparisons;
pub(crate) use curves::curves;
pub(crate) use importance::importance;
pub(crate) use leaderboard::leaderboard;
pub(crate) use ledger::ledger;
pub(crate) use motif_sweep::metric::higher_is_better;
pub(crate) use precision::{Precision, precision};
pub(crate) use summary::{IntervalMethod, summary};
pub(crate) use verdicts::{curves_needed, verdicts};

use std::collections::{BTreeMap, BTreeSet};

use motif_stats::Interval;
use motif_store::records::{ConditionRecord, SweepRecord, TrialRecord};
use motif_sweep::lifecycle::TrialState;
use motif_wire::statistics::{DivergedPolicy, IntervalRow, SeedValue};

/// Coverage of every interval.
pub(crate) const LEVEL: f64 = 0.95;

/// A sweep with its conditions and all its trials.
pub(crate) struct Material {
    pub(crate) sweep: SweepRecord,
    pub(crate) conditions: Vec<ConditionRecord>,
    pub(crate) trials: Vec<TrialRecord>,
}

impl Material {
    /// Names of all final metrics, and of `also`.
    pub(crate) fn metric_names(&self, also: Vec<String>) -> Vec<String> {
        let finals = self.trials.iter().flat_map(|trial| trial.metrics.keys().cloned());
        finals.chain(also).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Trials that were stopped early, by condition.
    fn stopped(&self) -> BTreeMap<u32, usize> {
        let mut stopped = BTreeMap::new();
        for trial in self.trials.iter().filter(|trial| trial.state == TrialState::Stopped) {
            *stopped.entry(trial.condition).or_default() += 1;
        }
        stopped
    }

    /// The conditions by their index.
    pub(crate) fn by_index(&self) -> BTreeMap<u32, &ConditionRecord> {
        self.conditions.iter().map(|condition| (condition.index, condition)).collect()
    }

    /// Trials by condition.
    fn by_condition(&self) -> BTreeMap<u32, Vec<&TrialRecord>> {
        let mut trials: BTreeMap<u32, Vec<&TrialRecord>> = BTreeMap::new();
        for trial in &self.trials {
            trials.entry(trial.condition).or_default().push(trial);
        }
        trials
    }

    /// Final values by condition, in seed order, with diverged trials treated as the policy says. A trial that was
    /// stopped early is censored and has none, whatever the policy.
    pub(crate) fn values(&self, metric: &str, policy: DivergedPolicy) -> BTreeMap<u32, Vec<SeedValue>> {
        let worst = match policy {
            DivergedPolicy::Exclude => None,
            DivergedPolicy::Worst => self.worst(metric),
        };
        let mut values: BTreeMap<u32, Vec<SeedValue>> = BTreeMap::new();
        for trial in &self.trials {
            let value = match trial.state {
                TrialState::Succeeded => trial.metrics.get(metric).copied(),
                TrialState::Diverged => worst,
                _ => None,
            };
            if let Some(value) = value.filter(|value| value.abs() <= motif_stats::MAGNITUDE_MAX) {
                let value = SeedValue { seed: trial.seed, trial_id: trial.id.0, value };
                values.entry(trial.condition).or_default().push(value);
            }
        }
        for values in values.values_mut() {
            values.sort_by_key(|value| value.seed);
        }
        values
    }

    /// The worst value of any trial of the sweep but the stopped ones: the largest of a loss, the smallest of anything
    /// else.
    fn worst(&self, metric: &str) -> Option<f64> {
        let usable = |value: &f64| value.abs() <= motif_stats::MAGNITUDE_MAX;
        let ended = self.trials.iter().filter(|trial| trial.state != TrialState::Stopped);
        let values = ended.filter_map(|trial| trial.metrics.get(metric).copied()).filter(usable);
        if higher_is_better(metric) { values.reduce(f64::min) } else { values.reduce(f64::max) }
    }
}

/// That some of a condition's trials were stopped early, where some were.
fn censored(stopped: Option<&usize>, seeds: usize) -> Option<String> {
    stopped.map(|stopped| format!("{stopped} of {seeds} seeds stopped early: censored"))
}

fn interval_row(interval: Interval) -> IntervalRow {
    let (method, resamples, seed) = match interval.method {
        motif_stats::Method::StudentT => ("student_t", None, None),
        motif_stats::Method::Bca { resamples, seed } => ("bca_bootstrap", Some(resamples as u64), Some(seed)),
    };
    IntervalRow {
        low: interval.low,
        high: interval.high,
        level: interval.level,
        method: method.to_owned(),
        n: interval.n as u64,
        resamples,
        seed,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use motif_store::records::{Control, Counts, StoppedAt};
    use motif_sweep::{
        ids::{SweepId, TrialId},
        lifecycle::Policy,
    };
    use uuid::Uuid;

    use super::*;

    /// A sweep of two conditions and three seeds; the second condition's last seed diverged.
    pub(crate) fn material() -> Material {
        let condition = |index: u32, label: &str| ConditionRecord {
            index,
            label: label.into(),
            axes: BTreeMap::from([("ratio".into(), serde_json::json!(index))]),
            config: serde_json::json!({}),
            config_hash: "c".into(),
            dataset_hash: "d".into(),
        };
        let mut trials = Vec::new();
        for (condition, values) in [(0, [0.5, 0.6, 0.7]), (1, [0.6, 0.8, 0.0])] {
            for (seed, value) in values.into_iter().enumerate() {
                trials.push(trial(condition, seed as u64, value));
            }
        }
        trials[5].state = TrialState::Diverged;
        trials[5].metrics = BTreeMap::from([("test_accuracy".into(), 0.1)]);
        trials[5].diverged_step = Some(9);
        let sweep = SweepRecord {
            id: SweepId(Uuid::from_u128(1)),
            name: "s".into(),
            spec: serde_json::json!({}),
            metric: "test_accuracy".into(),
            baseline: Some(0),
            seeds: vec![0, 1, 2],
            policy: Policy::default(),
            conditions: 2,
            paused: false,
            cancelled: false,
            counts: Counts::default(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            running_fraction: 0.0,
            control: Control::default(),
        };
        Material { sweep, conditions: vec![condition(0, "base"), condition(1, "other")], trials }
    }

    /// Ends a trial early, at an epoch.
    pub(crate) fn stop(trial: &mut TrialRecord, epoch: f64) {
        trial.state = TrialState::Stopped;
        trial.stopped = Some(StoppedAt { step: 5, epoch });
        trial.result_hash = None;
        trial.reason = Some("worse than others".into());
    }

    pub(crate) fn trial(condition: u32, seed: u64, value: f64) -> TrialRecord {
        TrialRecord {
            id: TrialId(Uuid::from_u128(u128::from(condition) * 100 + u128::from(seed))),
            sweep_id: SweepId(Uuid::from_u128(1)),
            condition,
            label: format!("c{condition}"),
            seed,
            position: seed * 2 + u64::from(condition),
            state: TrialState::Succeeded,
            cancel_requested: false,
            attempt: 1,
            failures: 0,
            crashes: 0,
            step: 10,
            total_steps: Some(10),
            worker: Some("w".into()),
            report: None,
            metrics: BTreeMap::from([("test_accuracy".into(), value)]),
            diverged_step: None,
            stop: None,
            stopped: None,
            result_hash: Some("h".into()),
            started_at: None,
            finished_at: None,
            reason: None,
        }
    }

    #[test]
    fn the_worst_value_is_the_other_end_for_losses() {
        let mut material = material();
        assert_eq!(material.worst("test_accuracy"), Some(0.1));
        for trial in &mut material.trials {
            let value = trial.metrics["test_accuracy"];
            trial.metrics.insert("test_loss".into(), value);
        }
        assert_eq!(material.worst("test_loss"), Some(0.8));
    }
}
