//! Sequential replication: seeds are added until intervals are narrow enough or the budget is spent.
//!
//! It says what may be asked for and which seed is next; what has been reached, only whoever has the results can tell.
//! Looking after every block costs coverage: a run stops early when the sample's spread happens to be small, so the
//! interval that it stops at covers the truth less often than its 95 % say. `motif-stats/tests/sequential.rs` measures by
//! how much.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    check,
    errors::{SpecError, SpecErrors},
    metric,
    plan::Condition,
    spec::{SEED_VALUE_MAX, SEEDS_MAX, Seeds, SweepSpec, TRIALS_MAX},
};

/// Values that a condition must have before its interval counts.
pub const VALUES_MIN: usize = 3;

/// When to stop adding seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The metric; the sweep's own unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Half the width that the 95 % t interval of every condition must have at the most, in the metric's unit.
    pub half_width: f64,
    /// Seeds after which it stops, reached or not.
    pub max_seeds: u64,
}

/// Where sequential replication stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UntilState {
    /// Trials run, or the next block is still to be decided on.
    Running,
    /// Every condition's interval is as narrow as asked for.
    Reached,
    /// All seeds that may be spent are.
    Exhausted,
}

impl UntilState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Running, Self::Reached, Self::Exhausted];

    /// The name in JSON, SQL and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Reached => "reached",
            Self::Exhausted => "exhausted",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl Until {
    /// The metric that decides, in a sweep that compares `own`.
    #[must_use]
    pub fn metric<'a>(&'a self, own: &'a str) -> &'a str {
        self.metric.as_deref().unwrap_or(own)
    }

    /// The seeds with the next block: one more, counted on from the largest. `None` when the budget is spent.
    #[must_use]
    pub fn next_seeds(&self, seeds: &Seeds) -> Option<Seeds> {
        if seeds.count() as u64 >= self.max_seeds {
            return None;
        }
        match seeds {
            Seeds::Count(count) => Some(Seeds::Count(count + 1)),
            Seeds::List(list) => {
                let next = list.iter().max().map_or(0, |largest| largest.saturating_add(1));
                (next <= SEED_VALUE_MAX).then(|| Seeds::List(list.iter().copied().chain([next]).collect()))
            }
        }
    }
}

/// Checks the numbers and how the metric is written.
pub(crate) fn check(spec: &SweepSpec, errors: &mut SpecErrors) {
    let Some(until) = &spec.until else { return };
    if spec.stop.is_some() {
        let message = "`until` adds replicates to confirm with, and `stop` would cut them short: a sweep has one of the two";
        errors.push(SpecError::new("until", message));
    }
    if !(until.half_width > 0.0 && until.half_width.is_finite()) {
        let message = "expected a number above 0, in the metric's unit (0.002 of an accuracy is 0.2 points)";
        errors.push(SpecError::new("until.half_width", message).found(&Value::from(until.half_width)));
    }
    let begins_with = spec.seeds.count() as u64;
    if until.max_seeds < begins_with || until.max_seeds > SEEDS_MAX as u64 {
        let message = format!("expected {begins_with} (the seeds that the sweep begins with) to {SEEDS_MAX}");
        errors.push(SpecError::new("until.max_seeds", message).found(&Value::from(until.max_seeds)));
    }
    if let Some(name) = &until.metric {
        as_own("until.metric", errors, |wrong| check::metric(name, wrong));
    }
}

/// Checks what only the conditions tell: whether the metric is logged, and how many trials there may be.
pub(crate) fn check_plan(spec: &SweepSpec, conditions: &[Condition], errors: &mut SpecErrors) {
    let Some(until) = &spec.until else { return };
    if let Some(name) = &until.metric {
        as_own("until.metric", errors, |wrong| metric::check(name, conditions, wrong));
    }
    let most = usize::try_from(until.max_seeds).unwrap_or(usize::MAX);
    let trials = conditions.len().saturating_mul(most);
    if trials > TRIALS_MAX {
        let message = format!(
            "{} conditions × {most} seeds may come to {trials} trials; at most {TRIALS_MAX} are allowed",
            conditions.len()
        );
        errors.push(SpecError::new("until.max_seeds", message).found(&Value::from(until.max_seeds)));
    }
}

/// Reports what a check of the sweep's own metric finds at another field.
fn as_own(field: &str, errors: &mut SpecErrors, check: impl FnOnce(&mut SpecErrors)) {
    let mut wrong = SpecErrors::default();
    check(&mut wrong);
    for error in wrong {
        errors.push(SpecError { field: field.to_owned(), ..error });
    }
}
