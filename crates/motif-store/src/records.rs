//! What goes into the store and comes out of it: plain records in the domain's words. They know neither SQL nor HTTP.

use std::collections::BTreeMap;

use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TokenId, TrialId, WorkerId},
    lifecycle::{AttemptOutcome, Conclusion, Policy, TrialState},
    requires::Abilities,
    stopping::Rule,
};
use serde_json::Value;

mod control;

pub use control::{
    AmendOutcome, AmendmentRecord, Control, NewAmendment, NewControl, ResultRecord, UntilProgress,
};

/// Number of trials in each state, indexed by the order of [`TrialState::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts(pub [u64; TrialState::ALL.len()]);

impl Counts {
    /// The count of one state.
    #[must_use]
    pub fn of(&self, state: TrialState) -> u64 {
        self.0[state as usize]
    }
}

/// A stored reply under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Who submits: keys of different principals never meet.
    pub principal: String,
    /// The key.
    pub key: String,
    /// Hash of the body: the same key with another body is an error.
    pub body_hash: String,
}

/// A sweep to be stored, with all its trials, in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSweep {
    /// Its id.
    pub id: SweepId,
    /// Its name.
    pub name: String,
    /// The spec as submitted.
    pub spec: Value,
    /// The metric it compares.
    pub metric: String,
    /// Index of its baseline condition.
    pub baseline: Option<u32>,
    /// Its seeds, in the order of the spec.
    pub seeds: Vec<u64>,
    /// What its trials may spend.
    pub policy: Policy,
    /// Which of its trials end early.
    pub stop: Option<Rule>,
    /// Its conditions, by index.
    pub conditions: Vec<ConditionRecord>,
    /// Its trials, in queue order.
    pub trials: Vec<NewTrial>,
    /// Who submitted it.
    pub principal: String,
    /// How it is steered from the start.
    pub control: NewControl,
}

/// A condition, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct ConditionRecord {
    /// Its index within the sweep.
    pub index: u32,
    /// Its name.
    pub label: String,
    /// The swept keys and values.
    pub axes: BTreeMap<String, Value>,
    /// The trial config.
    pub config: Value,
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
}

/// A trial to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTrial {
    /// Its id.
    pub id: TrialId,
    /// Index of its condition.
    pub condition: u32,
    /// Its seed.
    pub seed: u64,
}

/// Whether a submission was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It was stored.
    New(SweepId),
    /// The same submission was stored before.
    Replayed(SweepId),
}

/// A sweep, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRecord {
    /// Its id.
    pub id: SweepId,
    /// Its name.
    pub name: String,
    /// The spec as submitted.
    pub spec: Value,
    /// The metric it compares.
    pub metric: String,
    /// Index of its baseline condition.
    pub baseline: Option<u32>,
    /// Its seeds.
    pub seeds: Vec<u64>,
    /// What its trials may spend.
    pub policy: Policy,
    /// Number of its conditions.
    pub conditions: u32,
    /// No new trial starts.
    pub paused: bool,
    /// A person cancelled it.
    pub cancelled: bool,
    /// Its trials by state.
    pub counts: Counts,
    /// When it was submitted.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When its newest terminal trial ended.
    pub ended_at: Option<Timestamp>,
    /// Sum over running trials of `step / total_steps`.
    pub running_fraction: f64,
    /// How it is steered.
    pub control: Control,
}

/// A trial, as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRecord {
    /// Its id.
    pub id: TrialId,
    /// Its sweep.
    pub sweep_id: SweepId,
    /// Index of its condition.
    pub condition: u32,
    /// Its condition's name.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Its place in the sweep's queue, from 0.
    pub position: u64,
    /// Where it stands.
    pub state: TrialState,
    /// To be cancelled at the next heartbeat.
    pub cancel_requested: bool,
    /// Number of its newest attempt.
    pub attempt: u32,
    /// Reported errors.
    pub failures: u32,
    /// Expired leases.
    pub crashes: u32,
    /// Minibatches done by the newest attempt.
    pub step: u64,
    /// Minibatches in all, once known.
    pub total_steps: Option<u64>,
    /// Name of the newest attempt's worker.
    pub worker: Option<String>,
    /// What the completing worker reported (the wire's trial report as JSON).
    pub report: Option<Value>,
    /// Final metrics that are finite.
    pub metrics: BTreeMap<String, f64>,
    /// The step at which it diverged.
    pub diverged_step: Option<u64>,
    /// The decision that it ends early, whatever became of it.
    pub stop: Option<StopDecision>,
    /// Where it ended early.
    pub stopped: Option<StoppedAt>,
    /// Hash over the final weights and metrics. A trial that was stopped has none: another run would end elsewhere.
    pub result_hash: Option<String>,
    /// When its newest attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it failed.
    pub reason: Option<String>,
}

impl TrialRecord {
    /// A trial of which nothing is known but whose it is and where it stands.
    #[must_use]
    pub const fn bare(
        id: TrialId,
        sweep_id: SweepId,
        (condition, seed): (u32, u64),
        position: u64,
        state: TrialState,
    ) -> Self {
        Self {
            id,
            sweep_id,
            condition,
            label: String::new(),
            seed,
            position,
            state,
            cancel_requested: false,
            stop: None,
            stopped: None,
            attempt: 0,
            failures: 0,
            crashes: 0,
            step: 0,
            total_steps: None,
            worker: None,
            report: None,
            metrics: BTreeMap::new(),
            diverged_step: None,
            result_hash: None,
            started_at: None,
            finished_at: None,
            reason: None,
        }
    }
}

/// That a trial ends early, and what it was decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopDecision {
    /// Minibatches done at the point that decided.
    pub step: u64,
    /// Epochs done there.
    pub epoch: u32,
    /// Why.
    pub reason: String,
}

/// Where a trial that was stopped came to its end: some steps after the decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StoppedAt {
    /// Minibatches done.
    pub step: u64,
    /// Epochs done, with fraction.
    pub epoch: f64,
}

/// An attempt, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Its id.
    pub id: AttemptId,
    /// Its number within the trial, from 1.
    pub number: u32,
    /// Name of its worker.
    pub worker: String,
    /// How it ended.
    pub outcome: Option<AttemptOutcome>,
    /// Why.
    pub reason: Option<String>,
    /// Minibatches done.
    pub step: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Asks for trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// A repeat with the same id returns the same leases as long as they are open.
    pub claim_id: uuid::Uuid,
    /// The worker.
    pub worker: WorkerSeen,
    /// An id and a secret for each lease wanted; as many trials at the most.
    pub offers: Vec<LeaseOffer>,
}

/// Identity for one lease. The secret is derived from the claim's own and the offer's index, so that a repeated claim
/// can be answered with the same token while only its hash is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseOffer {
    /// The attempt's id.
    pub attempt_id: AttemptId,
    /// Hash of the lease's secret.
    pub secret_hash: [u8; 32],
}

/// A leased trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// Which of the claim's offers it took.
    pub offer: u32,
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The trial.
    pub trial_id: TrialId,
    /// Its sweep.
    pub sweep_id: SweepId,
    /// Number of the attempt.
    pub attempt: u32,
    /// The trial's config.
    pub config: Value,
    /// Its seed.
    pub seed: u64,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// What it may spend.
    pub policy: Policy,
    /// Whether its sweep ends some trials early, so that its points decide whether it goes on.
    pub judged: bool,
    /// Whether it is to hand over snapshots.
    pub snapshots: bool,
    /// What it can go on from.
    pub checkpoint: Option<CheckpointRecord>,
}

/// A trial's training at a step, as saved by an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Minibatches done.
    pub step: u64,
    /// The attempt's points below this `seq` were logged up to this step.
    pub points: u64,
    /// Hex BLAKE3 of its bytes.
    pub hash: String,
    /// Size, in bytes.
    pub bytes: u64,
}

/// What a worker's claim may find now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimable {
    /// Something for this worker, or something that has waited long enough, for whomever.
    Yes,
    /// Only what this worker cannot take.
    ByOthers,
    /// Nothing.
    No,
}

/// A file that an attempt has handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// Its name, unique within the attempt.
    pub name: String,
    /// Hex BLAKE3 of its bytes.
    pub hash: String,
    /// Size, in bytes.
    pub bytes: u64,
}

/// Proof that a report comes from a lease's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The attempt.
    pub attempt_id: AttemptId,
    /// The database's epoch that the lease was given in.
    pub epoch: u64,
    /// Hash of the secret that was presented.
    pub secret_hash: [u8; 32],
}

/// The effect of a report on a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// The sweep.
    pub sweep_id: SweepId,
    /// The trial.
    pub trial_id: TrialId,
    /// Its state now.
    pub state: TrialState,
    /// Whether a person has asked for it to be cancelled.
    pub cancel_requested: bool,
    /// Whether the attempt has reached the point at which the trial was decided to end early.
    pub stop: bool,
    /// How long a lease lasts, in seconds.
    pub lease_ttl_s: u32,
}

/// A logged point: `seq` rises by one within an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct PointRecord {
    /// Number within the attempt, from 0.
    pub seq: u64,
    /// Minibatches done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Values by name; NaN where not finite.
    pub values: BTreeMap<String, f64>,
}

/// The end of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// The step at which it diverged, if it did.
    pub diverged_step: Option<u64>,
    /// Where it ended early, if it did; never with `diverged_step`.
    pub stopped: Option<StoppedAt>,
    /// Minibatches done.
    pub steps: u64,
    /// Final metrics that are finite.
    pub metrics: BTreeMap<String, f64>,
    /// Hash over the final weights and metrics.
    pub result_hash: String,
    /// The whole report, as JSON.
    pub report: Value,
}

impl Finish {
    /// Which end it is.
    #[must_use]
    pub const fn conclusion(&self) -> Conclusion {
        match (self.diverged_step, self.stopped) {
            (Some(_), _) => Conclusion::Diverged,
            (None, Some(_)) => Conclusion::Stopped,
            (None, None) => Conclusion::Succeeded,
        }
    }
}

/// A worker, as it introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSeen {
    /// Its id.
    pub id: WorkerId,
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Motif's version.
    pub version: String,
    /// Instruction set of its matrix products.
    pub instruction_set: String,
    /// Trials it can run at once.
    pub slots: u32,
    /// What it has, by which sweeps choose their workers.
    pub abilities: Abilities,
}

/// A worker, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRecord {
    /// As it introduced itself.
    pub seen: WorkerSeen,
    /// Trials it holds.
    pub leased: u32,
    /// Attempts it has completed.
    pub completed: u64,
    /// When it was first heard of.
    pub first_seen_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
}

/// A token, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its id.
    pub id: TokenId,
    /// Its name.
    pub name: String,
    /// What it may do, by name.
    pub scopes: Vec<String>,
    /// Hash of the token.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A page of something, with the key of the next page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, K> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last.
    pub next: Option<K>,
}

/// What a person does to a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// No new trial starts.
    Pause,
    /// New trials start again.
    Resume,
    /// Waiting trials end, running ones are told.
    Cancel,
    /// Failed, dead and cancelled trials are queued again.
    Retry,
    /// Its trials run before those of sweeps with a lower priority.
    Priority(i32),
}

/// What steering changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steered {
    /// Trials that changed state at once.
    pub changed: u64,
    /// Running trials that will learn of it.
    pub pending: u64,
}

/// One value of one metric of one trial, for curves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurveSample {
    /// Index of the trial's condition.
    pub condition: u32,
    /// The trial's seed.
    pub seed: u64,
    /// Minibatches done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The value.
    pub value: f64,
}
