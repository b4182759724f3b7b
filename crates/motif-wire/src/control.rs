//! What happens to a sweep after its submission: amendments, priority, holes, sequential replication.

use jiff::Timestamp;
use motif_sweep::{lifecycle::TrialState, until::UntilState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sweeps::SweepDetail;

/// What was added to a sweep after its submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmendmentRow {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who asked: a token's name, or `until` for sequential replication.
    pub principal: String,
    /// Why, in words.
    pub note: Option<String>,
    /// What was asked for, as in a spec.
    #[schema(value_type = Object)]
    pub change: Value,
    /// Conditions that were new.
    pub added_conditions: u32,
    /// Seeds that were new.
    pub added_seeds: u32,
    /// Trials that were new.
    pub added_trials: u64,
}

impl AmendmentRow {
    /// `+2 seeds, +1 condition (14 trials)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let counted = [(self.added_seeds, "seed"), (self.added_conditions, "condition")];
        let counted = counted.into_iter().filter(|(n, _)| *n > 0);
        let parts: Vec<String> =
            counted.map(|(n, what)| format!("+{n} {what}{}", if n == 1 { "" } else { "s" })).collect();
        let trials = self.added_trials;
        if parts.is_empty() {
            return "another spec, no trials".to_owned();
        }
        format!("{} ({trials} trial{})", parts.join(", "), if trials == 1 { "" } else { "s" })
    }
}

/// The answer to an amendment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AmendReply {
    /// What was added; absent when all of it was there.
    pub amendment: Option<AmendmentRow>,
    /// The sweep as it stands now.
    pub sweep: SweepDetail,
}

/// Sets a sweep's priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorityRequest {
    /// Trials of the sweep with the higher number run first; from -1000 to 1000, 0 unless set.
    #[schema(minimum = -1000, maximum = 1000)]
    pub priority: i32,
}

/// A cell, condition × seed, that has no value and will get none by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hole {
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// The seed.
    pub seed: u64,
    /// Its trial; absent when missing.
    pub trial_id: Option<Uuid>,
    /// `failed`, `dead` or `cancelled`; absent when missing.
    #[schema(value_type = Option<String>)]
    pub state: Option<TrialState>,
    /// Why it ended so, in words.
    pub reason: Option<String>,
}

/// A sweep's holes, by condition, then seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holes {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The cells.
    pub holes: Vec<Hole>,
}

/// Where sequential replication stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UntilRow {
    /// `running`, `reached` (every interval is narrow enough) or `exhausted` (all seeds that may be spent are).
    #[schema(value_type = String)]
    pub state: UntilState,
    /// The metric that decides.
    pub metric: String,
    /// Half-width that every condition's 95 % t interval must have at the most.
    pub target: f64,
    /// Half-width of the widest interval when this was last decided; absent before, and while a condition has none.
    pub half_width: Option<f64>,
    /// Seeds so far.
    pub seeds: u64,
    /// Seeds after which it stops.
    pub max_seeds: u64,
}
