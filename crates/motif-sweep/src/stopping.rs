//! Early stopping for exploratory sweeps: which trials are not worth the epochs that they have left.
//!
//! A [`Rule`] is pure: what trials logged goes in, a decision comes out. It knows no store, no clock and no seeds: all
//! trials of a sweep are held against each other. A trial is judged once at each epoch that the rule looks at, by what
//! was known at that moment; what is known grows with every trial, so which trials stop depends on the order in which
//! they report. What each of them is held against does not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    document::join,
    errors::{SpecError, SpecErrors},
    keys,
    metric::higher_is_better,
    plan::Condition,
    spec::{FINAL_METRICS, SweepSpec},
};

/// Trials of a sweep that stops some: each decision reads one number of every other trial.
pub const STOP_TRIALS_MAX: usize = 20_000;
/// Largest reduction, and largest number of trials to wait for.
const FACTOR_MAX: u32 = 1_000;
/// Largest number of epochs to wait for.
const MIN_EPOCHS_MAX: u32 = 100_000;

/// How trials are chosen that end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopMethod {
    /// Successive halving, asynchronously: only the best of those that have reached a rung go on to the next.
    Asha,
    /// Who was never better than the median of the others' averages ends.
    Median,
}

/// Which trials of a search end early, as written. What was stopped is censored: it is in no mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// `asha` or `median`.
    pub method: StopMethod,
    /// What trials are held against each other by, logged at each epoch; the sweep's metric unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// No trial ends before so many epochs; for `asha` also the first rung. 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_epochs: Option<u32>,
    /// `asha`: one of so many goes on, and each rung is so many times as far as the one before. 3 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<u32>,
    /// `median`: no trial ends before so many others have got as far. 5 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_trials: Option<u32>,
}

impl Stop {
    /// The rule in a sweep that compares `sweep_metric`.
    #[must_use]
    pub fn rule(&self, sweep_metric: &str) -> Rule {
        Rule {
            metric: self.metric.clone().unwrap_or_else(|| sweep_metric.to_owned()),
            min_epochs: self.min_epochs.unwrap_or(1),
            test: match self.method {
                StopMethod::Asha => Test::Asha { reduction: self.reduction.unwrap_or(3) },
                StopMethod::Median => Test::Median { min_trials: self.min_trials.unwrap_or(5) },
            },
        }
    }

    /// What is wrong with it alone.
    pub(crate) fn check(&self, sweep_metric: &str, errors: &mut SpecErrors) {
        self.check_metric(sweep_metric, errors);
        let mut within = |key: &str, value: Option<u32>, least: u32, most: u32| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                let message = format!("expected {least} to {most}");
                errors.push(SpecError::new(join("stop", key), message).found(&Value::from(value)));
            }
        };
        within("min_epochs", self.min_epochs, 1, MIN_EPOCHS_MAX);
        within("reduction", self.reduction, 2, FACTOR_MAX);
        within("min_trials", self.min_trials, 1, FACTOR_MAX);
        let foreign = match self.method {
            StopMethod::Asha => ("min_trials", self.min_trials, "median"),
            StopMethod::Median => ("reduction", self.reduction, "asha"),
        };
        if let (key, Some(value), method) = foreign {
            let message = format!("this key belongs to method \"{method}\"");
            errors.push(SpecError::new(join("stop", key), message).found(&Value::from(value)));
        }
    }

    fn check_metric(&self, sweep_metric: &str, errors: &mut SpecErrors) {
        let names = || FINAL_METRICS.join(", ");
        match self.metric.as_deref() {
            Some(named) if !FINAL_METRICS.contains(&named) => {
                let message = format!("expected a metric that is logged at each epoch: one of {}", names());
                let error = SpecError::new("stop.metric", message).found(&Value::from(named));
                errors.push(error.suggest(keys::near(named, FINAL_METRICS)));
            }
            None if !FINAL_METRICS.contains(&sweep_metric) => {
                let message = format!(
                    "missing: the sweep's metric {sweep_metric} need not be logged at each epoch; name one of {}",
                    names()
                );
                errors.push(SpecError::new("stop.metric", message));
            }
            _ => {}
        }
    }
}

/// What is wrong with a sweep's `stop` under these conditions.
pub(crate) fn check(spec: &SweepSpec, conditions: &[Condition], errors: &mut SpecErrors) {
    let (Some(stop), Some(rule)) = (&spec.stop, spec.stopping()) else { return };
    if conditions.len() < 2 {
        let message = "trials are stopped in favour of better conditions, and this sweep has only one: let something \
                       vary, or leave `stop` out";
        errors.push(SpecError::new("stop", message));
        return;
    }
    let trials = conditions.len() * spec.seeds.count();
    if trials > STOP_TRIALS_MAX {
        let message = format!("expected at most {STOP_TRIALS_MAX} trials in a sweep that stops some");
        errors.push(SpecError::new("stop", message).found(&Value::from(trials)));
    }
    let silent = conditions.iter().find(|one| !one.config.final_metrics().contains(&rule.metric.as_str()));
    if let Some(condition) = silent {
        let [first, second, ..] = condition.config.final_metrics();
        let message = format!(
            "expected a metric that every condition logs at each epoch: \"{}\" logs {first} and {second} instead",
            condition.label
        );
        let error = SpecError::new("stop.metric", message).found(&Value::from(rule.metric.as_str()));
        errors.push(error.suggest(rule.metric.ends_with("loss").then_some(second).or(Some(first))));
    }
    if conditions.iter().all(|condition| condition.config.epochs <= rule.min_epochs as usize) {
        let longest = conditions.iter().map(|condition| condition.config.epochs).max().unwrap_or(0);
        let message = format!("expected less than the trials' {longest} epochs: nothing could be stopped");
        errors.push(SpecError::new("stop.min_epochs", message).found(&Value::from(rule.min_epochs)));
    }
    let (key, needed, given) = match rule.test {
        Test::Asha { reduction } => ("reduction", reduction as usize, stop.reduction),
        Test::Median { min_trials } => ("min_trials", min_trials as usize + 1, stop.min_trials),
    };
    if trials < needed {
        let message = format!("the sweep's {trials} trials are too few: nothing could be stopped");
        let error = SpecError::new(join("stop", key), message);
        errors.push(match given {
            Some(given) => error.found(&Value::from(given)),
            None => error.found(&Value::from(needed - usize::from(key == "min_trials"))),
        });
    }
}

/// A rule with everything settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What trials are held against each other by.
    pub metric: String,
    /// No trial ends before so many epochs.
    pub min_epochs: u32,
    /// Which trials end.
    pub test: Test,
}

/// Which trials end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Asynchronous successive halving in its stopping form (Li et al., *A System for Massively Parallel Hyperparameter
    /// Tuning*, 2020): rungs at `min_epochs · reduction^k` epochs. Of `n` values recorded at a rung so far, its own
    /// included, a trial goes on when fewer than `⌊n / reduction⌋` are better than its own; while `n < reduction`,
    /// every trial does.
    Asha {
        /// One of so many goes on.
        reduction: u32,
    },
    /// The median stopping rule (Golovin et al., *Google Vizier*, 2017): at each epoch from `min_epochs` on, a trial
    /// ends when its best value so far is worse than the median of the other trials' averages up to that epoch, of
    /// those that have got so far, when there are at least `min_trials` of them.
    Median {
        /// Trials to wait for.
        min_trials: u32,
    },
}

/// What is kept of a trial at an epoch that the rule looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The epoch, from 1: what is logged before training counts for nothing.
    pub epoch: u32,
    /// What others are held against: the value (ASHA), or the average of the values so far (median).
    pub shown: f64,
    /// The best value so far.
    pub best: f64,
    /// Number of values so far.
    pub values: u32,
}

impl Rule {
    /// The standings that a value logged at `epoch` adds to the one `before`: one for each rung that it is the first
    /// value at or after (ASHA), or one for the epoch that it ends (median). A value that is not finite adds none.
    #[must_use]
    pub fn advance(&self, before: Option<&Standing>, epoch: f64, value: f64) -> Vec<Standing> {
        let last = before.map_or(0, |standing| standing.epoch);
        // Saturating; what is not a number is no epoch.
        let reached = epoch as u32;
        if !value.is_finite() || reached <= last {
            return Vec::new();
        }
        match self.test {
            Test::Asha { reduction } => {
                let rungs = rungs(self.min_epochs, reduction).take_while(|rung| *rung <= reached);
                let standing = |epoch| Standing { epoch, shown: value, best: value, values: 1 };
                rungs.filter(|rung| *rung > last).map(standing).collect()
            }
            Test::Median { .. } => vec![self.averaged(before, reached, value)],
        }
    }

    fn averaged(&self, before: Option<&Standing>, epoch: u32, value: f64) -> Standing {
        let Some(before) = before else { return Standing { epoch, shown: value, best: value, values: 1 } };
        let values = before.values.saturating_add(1);
        let shown = before.shown + (value - before.shown) / f64::from(values);
        let best = if self.is_better(value, before.best) { value } else { before.best };
        Standing { epoch, shown, best, values }
    }

    /// Why a trial of `epochs` epochs ends at this standing, given what the other trials that have got so far show
    /// there; `None` when it goes on. In its last epoch there is nothing left to stop.
    #[must_use]
    pub fn decide(&self, own: &Standing, epochs: u32, others: &[f64]) -> Option<String> {
        if own.epoch >= epochs || own.epoch < self.min_epochs {
            return None;
        }
        let Self { metric, .. } = self;
        let Standing { epoch, shown, best, .. } = *own;
        match self.test {
            Test::Asha { reduction } => {
                let reached = others.len() + 1;
                let kept = reached / reduction as usize;
                let better = others.iter().filter(|other| self.is_better(**other, shown)).count();
                (kept > 0 && better >= kept).then(|| {
                    format!(
                        "at epoch {epoch}: {metric} of {shown:.4} is not among the best {kept} of {reached} so far"
                    )
                })
            }
            Test::Median { min_trials } => {
                let median = median(others).filter(|_| others.len() >= min_trials as usize)?;
                self.is_better(median, best).then(|| {
                    format!(
                        "at epoch {epoch}: the best {metric} so far, {best:.4}, is worse than the median {median:.4} of \
                         the averages of {} others",
                        others.len()
                    )
                })
            }
        }
    }

    fn is_better(&self, a: f64, b: f64) -> bool {
        if higher_is_better(&self.metric) { a > b } else { a < b }
    }
}

/// `first · reduction^k`.
fn rungs(first: u32, reduction: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(first.max(1)), move |rung| rung.checked_mul(reduction.max(2)))
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0) }
}
