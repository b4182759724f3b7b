//! Records of what happens to a sweep after its submission: amendments, sequential replication, verification.

use jiff::Timestamp;
use motif_sweep::{
    ids::{SweepId, TrialId},
    requires::Needs,
    until::UntilState,
};
use serde_json::Value;

use super::{ConditionRecord, NewTrial};

/// How a new sweep is steered from the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewControl {
    /// Trials of the sweep with the higher number run first.
    pub priority: i32,
    /// Whether blocks of seeds are added until intervals are narrow enough.
    pub until: bool,
    /// The sweep whose trials it re-runs.
    pub verifies: Option<SweepId>,
    /// Whether its trials are to hand over snapshots.
    pub snapshots: bool,
    /// What workers must have to take its trials.
    pub needs: Needs,
}

/// How a sweep is steered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// Trials of the sweep with the higher number run first.
    pub priority: i32,
    /// Number of its amendments.
    pub revision: u32,
    /// Where sequential replication stands, when there is any.
    pub until: Option<UntilProgress>,
    /// The sweep whose trials it re-runs.
    pub verifies: Option<SweepId>,
    /// Number of sweeps that re-run its trials.
    pub verifications: u32,
    /// What workers must have to take its trials.
    pub needs: Needs,
}

/// Where sequential replication stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilProgress {
    /// Whether it goes on.
    pub state: UntilState,
    /// Half-width of the widest interval when this was last decided, where every condition had one.
    pub half_width: Option<f64>,
}

/// What is to be added to a sweep, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAmendment {
    /// The sweep.
    pub sweep: SweepId,
    /// The revision that it was planned upon; when the sweep has another one, nothing is changed.
    pub revision: u32,
    /// The amended spec.
    pub spec: Value,
    /// Whether blocks of seeds are added until intervals are narrow enough.
    pub until: bool,
    /// All its seeds, in the order of the amended spec.
    pub seeds: Vec<u64>,
    /// The conditions that are new; their indices go on from those that are there.
    pub conditions: Vec<ConditionRecord>,
    /// The trials that are new, in queue order.
    pub trials: Vec<NewTrial>,
    /// Number of seeds that are new.
    pub added_seeds: u32,
    /// What was asked for.
    pub change: Value,
    /// Why, in words.
    pub note: Option<String>,
    /// Who asks.
    pub principal: String,
    /// Set by sequential replication: the half-width that was not narrow enough. Then nothing is changed unless every
    /// trial has ended and the sweep is neither paused nor decided.
    pub decided_at: Option<Option<f64>>,
}

/// What became of an amendment.
#[derive(Debug, Clone, PartialEq)]
pub enum AmendOutcome {
    /// It is stored.
    Added(AmendmentRecord),
    /// The same request was stored before.
    Replayed(AmendmentRecord),
    /// The sweep is no longer as it was when this was planned: nothing was changed.
    Stale,
}

/// An amendment, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AmendmentRecord {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub principal: String,
    /// Why, in words.
    pub note: Option<String>,
    /// What was asked for.
    pub change: Value,
    /// Conditions that were new.
    pub added_conditions: u32,
    /// Seeds that were new.
    pub added_seeds: u32,
    /// Trials that were new.
    pub added_trials: u64,
}

/// A trial's result by what determines it, for comparison with a re-run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRecord {
    /// The trial.
    pub trial_id: TrialId,
    /// Index of its condition.
    pub condition: u32,
    /// Its condition's name.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// Hash over the final weights and metrics; absent while there is no result.
    pub result_hash: Option<String>,
    /// Name of the worker that completed it.
    pub worker: Option<String>,
    /// Instruction set of that worker's matrix products.
    pub instruction_set: Option<String>,
}
