//! The queue: what the worker protocol and steering need of a store.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::TrialState,
    requires::Abilities,
};

use crate::{
    Result,
    records::{
        AttemptRecord, CheckpointRecord, Claim, Claimable, ConditionRecord, Counts, Fence, Finish,
        IdempotencyKey, Leased, Moved, NewSweep, Page, PointRecord, Steer, Steered, Submitted, SweepRecord,
        TrialRecord,
    },
};

/// The part of a [`Store`](crate::Store) in which trials wait, are leased and come to their end: what has to survive
/// faults. `now` is always the server's clock.
#[async_trait]
pub trait Queue: Send + Sync {
    /// The database's epoch: it changes when a backup is restored, so that older leases are refused.
    fn epoch(&self) -> u64;

    /// Stores a sweep and all its trials, or nothing.
    async fn sweep_create(
        &self,
        sweep: NewSweep,
        key: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Submitted>;
    /// One sweep.
    async fn sweep_get(&self, id: SweepId) -> Result<SweepRecord>;
    /// A sweep's conditions with their trials by state, by index.
    async fn sweep_conditions(&self, id: SweepId) -> Result<Vec<(ConditionRecord, Counts)>>;
    /// Pauses, resumes, cancels, retries or prioritizes a sweep; `principal` is audited.
    async fn sweep_steer(
        &self,
        id: SweepId,
        steer: Steer,
        principal: &str,
        now: Timestamp,
    ) -> Result<Steered>;

    /// One trial.
    async fn trial_get(&self, id: TrialId) -> Result<TrialRecord>;
    /// A sweep's trials by position, from the given position on, in one state or all.
    async fn trial_list(
        &self,
        sweep: SweepId,
        state: Option<TrialState>,
        from: u64,
        limit: u32,
    ) -> Result<Page<TrialRecord, u64>>;
    /// A trial's attempts, oldest first.
    async fn trial_attempts(&self, id: TrialId) -> Result<Vec<AttemptRecord>>;
    /// The points of a trial's newest attempt (of the completing one, once it is done), and that attempt's number.
    async fn trial_points(&self, id: TrialId) -> Result<(u32, Vec<PointRecord>)>;

    /// What a claim of a worker with these abilities may find now; after a claim that found nothing, nothing for it, until
    /// something changes. It writes nothing, so that many idle workers cost little.
    async fn trial_claimable(&self, worker: &Abilities, now: Timestamp) -> Result<Claimable>;
    /// Leases queued trials in queue order: sweeps of higher priority first, of those alike the one with the fewest open
    /// leases, then the older; within a sweep by position; at most one open attempt per trial. Sweeps whose needs the
    /// worker does not meet are passed over.
    async fn trial_claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<Leased>>;
    /// Extends a lease.
    async fn attempt_heartbeat(
        &self,
        fence: Fence,
        step: u64,
        total_steps: Option<u64>,
        now: Timestamp,
    ) -> Result<Moved>;
    /// Adds points that are not there yet; returns the next `seq` expected.
    async fn attempt_points(
        &self,
        fence: Fence,
        points: Vec<PointRecord>,
        now: Timestamp,
    ) -> Result<(u64, Moved)>;
    /// Ends a trial with its result. The same result again is `Ok`; another one is a conflict.
    async fn attempt_complete(&self, fence: Fence, finish: Finish, now: Timestamp) -> Result<Moved>;
    /// Ends an attempt with an error; `jitter` in `[0, 1)` spreads the retries.
    async fn attempt_fail(
        &self,
        fence: Fence,
        reason: String,
        retryable: bool,
        jitter: f64,
        now: Timestamp,
    ) -> Result<Moved>;
    /// Gives a trial back.
    async fn attempt_release(&self, fence: Fence, reason: String, now: Timestamp) -> Result<Moved>;
    /// Takes a checkpoint over, whose file must be safe on the disk, unless the trial has one of a later step; returns
    /// the newest. [`StoreError::Gap`] when points before it are missing.
    async fn attempt_checkpoint(
        &self,
        fence: Fence,
        record: CheckpointRecord,
        now: Timestamp,
    ) -> Result<CheckpointRecord>;
    /// The newest checkpoint of the trial that an open attempt holds.
    async fn attempt_checkpoint_held(&self, fence: Fence) -> Result<Option<CheckpointRecord>>;
    /// Lets an attempt that has logged nothing begin with the points before its trial's checkpoint; returns the next
    /// `seq` expected. A repeat is `Ok`; another hash, or an attempt that has begun, is a conflict.
    async fn attempt_resume(&self, fence: Fence, hash: String, now: Timestamp) -> Result<(u64, Moved)>;
    /// Forgets the checkpoints with this hash: their bytes are lost.
    async fn checkpoint_forget(&self, hash: String) -> Result<()>;
    /// The hashes of all checkpoints that are kept.
    async fn checkpoint_hashes(&self) -> Result<BTreeSet<String>>;
    /// Takes back every lease that has expired, stalled or overrun.
    async fn attempts_reap(&self, jitter: f64, now: Timestamp) -> Result<Vec<(AttemptId, Moved)>>;
}
