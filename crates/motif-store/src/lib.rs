//! The store: where sweeps, trials, attempts, metrics, workers and tokens live. The only crate with SQL.
//!
//! Everything above speaks to the [`Store`] trait, of which [`Queue`] is the part that workers meet, and may assume
//! nothing of SQLite. A call that returns `Ok` has committed. Every change of a trial's state goes through [`motif_sweep::lifecycle`].

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod memory;
mod queue;
pub mod records;
pub mod sqlite;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use motif_sweep::{
    ids::{SweepId, TokenId, TrialId},
    until::UntilState,
};

pub use self::queue::Queue;
use crate::records::{
    AmendOutcome, AmendmentRecord, ConditionRecord, CurveSample, Fence, IdempotencyKey, NewAmendment,
    NewTrial, Page, ResultRecord, SnapshotRecord, Steered, SweepRecord, TokenRecord, TrialRecord,
    WorkerRecord,
};

/// Why a call changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The lease is no longer the trial's current one.
    #[error("the lease is stale: the trial has gone on without this attempt")]
    StaleLease,
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// The idempotency key was used with another body.
    #[error("this idempotency key was used with another body")]
    IdempotencyMismatch,
    /// A batch of points starts beyond what is stored.
    #[error("points are missing before seq {found}: send from {expected}")]
    Gap {
        /// The next `seq` the store expects.
        expected: u64,
        /// The first one it was sent.
        found: u64,
    },
    /// The store cannot be read or written at the moment; nothing was changed.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored cannot be understood.
    #[error("the store holds what it should not: {0}")]
    Corrupt(String),
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The whole store: the queue and what people read of it. `now` is always the server's clock.
#[async_trait]
pub trait Store: Queue {
    /// Whether the store can be written right now.
    async fn ready(&self) -> Result<()>;
    /// Sweeps, newest first, before (older than) the given one; those that re-run trials of others only when asked for.
    async fn sweep_list(
        &self,
        before: Option<SweepId>,
        verifications: bool,
        limit: u32,
    ) -> Result<Page<SweepRecord, SweepId>>;
    /// Queues a sweep's failed, dead and cancelled trials again, and those of the `missing` that nobody has added yet;
    /// `principal` is audited.
    async fn sweep_run_holes(
        &self,
        id: SweepId,
        missing: Vec<NewTrial>,
        principal: &str,
        now: Timestamp,
    ) -> Result<Steered>;
    /// Adds conditions, seeds and trials to a sweep, or changes nothing.
    async fn sweep_amend(
        &self,
        amendment: NewAmendment,
        key: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<AmendOutcome>;
    /// The amendment that was stored under a key, if there is one.
    async fn amendment_by_key(&self, key: &IdempotencyKey) -> Result<Option<AmendmentRecord>>;
    /// A sweep's amendments, oldest first.
    async fn sweep_amendments(&self, id: SweepId) -> Result<Vec<AmendmentRecord>>;
    /// Sweeps whose trials have all ended and of which it is not decided whether seeds are added.
    async fn sweeps_undecided(&self) -> Result<Vec<SweepId>>;
    /// Ends a sweep's replication; whether the sweep was still as it was at that revision, and undecided.
    async fn sweep_decide(
        &self,
        id: SweepId,
        revision: u32,
        state: UntilState,
        half_width: Option<f64>,
    ) -> Result<bool>;
    /// The sweeps that re-run a sweep's trials, oldest first.
    async fn sweep_verifications(&self, id: SweepId) -> Result<Vec<SweepRecord>>;
    /// A sweep's trials by position, with what determines them and their results.
    async fn sweep_results(&self, id: SweepId) -> Result<Vec<ResultRecord>>;
    /// A trial's config, its hash and its dataset's hash.
    async fn trial_condition(&self, id: TrialId) -> Result<ConditionRecord>;
    /// All of a sweep's trials by position, as statistics read them: id, condition, seed, position, state, number of
    /// attempts, and of the final metrics the named one. Nothing else of the records is filled in.
    async fn trial_outcomes(&self, sweep: SweepId, metric: Option<&str>) -> Result<Vec<TrialRecord>>;
    /// Names of all metrics logged in a sweep, sorted.
    async fn sweep_metric_names(&self, id: SweepId) -> Result<Vec<String>>;
    /// Names of all final metrics in a sweep, sorted.
    async fn sweep_final_names(&self, id: SweepId) -> Result<Vec<String>>;
    /// One metric over training for all trials of a sweep (each trial's newest attempt), by condition, seed, step.
    async fn sweep_curve(&self, id: SweepId, metric: &str) -> Result<Vec<CurveSample>>;

    /// Takes over a file that an attempt hands over, which must be safe on the disk. The same again is `Ok`; another one
    /// under the same name is a conflict.
    async fn attempt_snapshot(&self, fence: Fence, record: SnapshotRecord, now: Timestamp) -> Result<()>;
    /// The snapshots of a trial's newest attempt, by name.
    async fn trial_snapshots(&self, id: TrialId) -> Result<Vec<SnapshotRecord>>;
    /// The hashes of all snapshots.
    async fn snapshot_hashes(&self) -> Result<BTreeSet<String>>;

    /// All workers, most recently heard of first.
    async fn worker_list(&self) -> Result<Vec<WorkerRecord>>;

    /// Stores a token.
    async fn token_create(&self, token: TokenRecord) -> Result<()>;
    /// All tokens, oldest first.
    async fn token_list(&self) -> Result<Vec<TokenRecord>>;
    /// Revokes a token; revoking twice is `Ok`.
    async fn token_revoke(&self, id: TokenId, now: Timestamp) -> Result<()>;
    /// The unrevoked token with this hash.
    async fn token_by_hash(&self, hash: [u8; 32]) -> Result<Option<TokenRecord>>;
}
