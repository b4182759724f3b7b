//! The queue in memory: the rules of [`Queue`] once more and as plainly as they can be said, without SQL. What the SQLite
//! store answers is compared with it, and the simulation runs on it. For tests only: nothing outlives the process.
//!
//! One call at a time, each all or nothing: what may be refused is refused before anything is changed.

mod claims;
mod points;
mod reports;
mod state;
mod steering;
mod stopping;
mod sweeps;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::{Event, TrialState},
    requires::Abilities,
};

use self::state::State;
use crate::{
    Queue, Result,
    records::{
        AttemptRecord, CheckpointRecord, Claim, Claimable, ConditionRecord, Counts, Fence, Finish,
        IdempotencyKey, Leased, Moved, NewSweep, Page, PointRecord, Steer, Steered, Submitted, SweepRecord,
        TrialRecord,
    },
};

/// A fault that is built in on purpose, so that a test can show that it would be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plant {
    /// A report counts for whichever attempt holds the trial, whichever sends it.
    DropFence,
    /// A trial that was given back is leased again under the same attempt number.
    ReuseNumber,
    /// The reaper ends the leases that were due when it looked last, whatever has become of them.
    ReapWithoutRecheck,
    /// Calls are answered before they are committed; a crash takes the last ones back.
    AckBeforeCommit,
    /// A repeated claim is taken for a new one.
    ForgetClaim,
    /// A repeated completion is taken for one that comes too late.
    ForgetCompletion,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DropFence,
        Self::ReuseNumber,
        Self::ReapWithoutRecheck,
        Self::AckBeforeCommit,
        Self::ForgetClaim,
        Self::ForgetCompletion,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropFence => "drop-fence",
            Self::ReuseNumber => "reuse-number",
            Self::ReapWithoutRecheck => "reap-without-recheck",
            Self::AckBeforeCommit => "ack-before-commit",
            Self::ForgetClaim => "forget-claim",
            Self::ForgetCompletion => "forget-completion",
        }
    }
}

/// Writes that [`Plant::AckBeforeCommit`] commits together.
const COMMITTED_TOGETHER: u32 = 6;

/// The queue in memory.
#[derive(Debug)]
pub struct MemoryStore(Mutex<Inner>);

/// A copy goes its own way.
impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.inner().clone()))
    }
}

#[derive(Debug, Clone)]
struct Inner {
    state: State,
    /// What a crash leaves, where that is not everything.
    committed: Option<Box<State>>,
    uncommitted: u32,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with(None)
    }
}

impl MemoryStore {
    /// An empty store with a fault in it.
    #[must_use]
    pub fn planted(plant: Plant) -> Self {
        Self::with(Some(plant))
    }

    fn with(plant: Option<Plant>) -> Self {
        let state = State { plant, ..State::default() };
        let committed = (plant == Some(Plant::AckBeforeCommit)).then(|| Box::new(state.clone()));
        Self(Mutex::new(Inner { state, committed, uncommitted: 0 }))
    }

    /// The process ends without warning and another one opens the store.
    pub fn crash(&self) {
        let mut inner = self.inner();
        if let Some(committed) = inner.committed.clone() {
            inner.state = *committed;
            inner.uncommitted = 0;
        }
        inner.state.latest = None;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A check that panics while it holds the lock has failed its test by that.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> Result<T>) -> Result<T> {
        read(&self.inner().state)
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut inner = self.inner();
        let done = write(&mut inner.state)?;
        if inner.committed.is_some() {
            inner.uncommitted += 1;
            if inner.uncommitted == COMMITTED_TOGETHER {
                inner.uncommitted = 0;
                inner.committed = Some(Box::new(inner.state.clone()));
            }
        }
        Ok(done)
    }
}

/// Times are kept to the millisecond.
fn whole_ms(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[async_trait]
impl Queue for MemoryStore {
    fn epoch(&self) -> u64 {
        state::EPOCH
    }

    async fn sweep_create(
        &self,
        sweep: NewSweep,
        key: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Submitted> {
        self.write(|state| sweeps::create(state, sweep, key, whole_ms(now)))
    }

    async fn sweep_get(&self, id: SweepId) -> Result<SweepRecord> {
        self.read(|state| sweeps::get(state, id))
    }

    async fn sweep_conditions(&self, id: SweepId) -> Result<Vec<(ConditionRecord, Counts)>> {
        self.read(|state| sweeps::conditions(state, id))
    }

    async fn sweep_steer(&self, id: SweepId, steer: Steer, _: &str, now: Timestamp) -> Result<Steered> {
        self.write(|state| steering::steer(state, id, steer, whole_ms(now)))
    }

    async fn trial_get(&self, id: TrialId) -> Result<TrialRecord> {
        self.read(|state| Ok(sweeps::trial(state, state.trial(id)?)))
    }

    async fn trial_list(
        &self,
        sweep: SweepId,
        state: Option<TrialState>,
        from: u64,
        limit: u32,
    ) -> Result<Page<TrialRecord, u64>> {
        self.read(|stored| sweeps::trials(stored, sweep, state, from, limit))
    }

    async fn trial_attempts(&self, id: TrialId) -> Result<Vec<AttemptRecord>> {
        self.read(|state| sweeps::attempts(state, id))
    }

    async fn trial_points(&self, id: TrialId) -> Result<(u32, Vec<PointRecord>)> {
        self.read(|state| points::of_trial(state, id))
    }

    async fn trial_claimable(&self, worker: &Abilities, now: Timestamp) -> Result<Claimable> {
        self.read(|state| Ok(claims::claimable(state, worker, whole_ms(now))))
    }

    async fn trial_claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<Leased>> {
        self.write(|state| {
            state.saw(now);
            claims::claim(state, &claim, whole_ms(now))
        })
    }

    async fn attempt_heartbeat(
        &self,
        fence: Fence,
        step: u64,
        total_steps: Option<u64>,
        now: Timestamp,
    ) -> Result<Moved> {
        self.write(|state| {
            state.saw(now);
            reports::heartbeat(state, &fence, step, total_steps, whole_ms(now))
        })
    }

    async fn attempt_points(
        &self,
        fence: Fence,
        points: Vec<PointRecord>,
        now: Timestamp,
    ) -> Result<(u64, Moved)> {
        self.write(|state| points::append(state, &fence, points, whole_ms(now)))
    }

    async fn attempt_complete(&self, fence: Fence, finish: Finish, now: Timestamp) -> Result<Moved> {
        self.write(|state| reports::complete(state, &fence, finish, whole_ms(now)))
    }

    async fn attempt_fail(
        &self,
        fence: Fence,
        reason: String,
        retryable: bool,
        jitter: f64,
        now: Timestamp,
    ) -> Result<Moved> {
        let event = Event::Fail { retryable, jitter };
        self.write(|state| {
            state.saw(now);
            reports::give_up(state, &fence, event, reason, whole_ms(now))
        })
    }

    async fn attempt_release(&self, fence: Fence, reason: String, now: Timestamp) -> Result<Moved> {
        self.write(|state| reports::give_up(state, &fence, Event::Release, reason, whole_ms(now)))
    }

    async fn attempt_checkpoint(
        &self,
        fence: Fence,
        record: CheckpointRecord,
        _: Timestamp,
    ) -> Result<CheckpointRecord> {
        self.write(|state| points::save(state, &fence, record))
    }

    async fn attempt_checkpoint_held(&self, fence: Fence) -> Result<Option<CheckpointRecord>> {
        self.read(|state| {
            let attempt = state.fenced_open(&fence)?;
            Ok(state.checkpoint(state.attempts[attempt].trial))
        })
    }

    async fn attempt_resume(&self, fence: Fence, hash: String, now: Timestamp) -> Result<(u64, Moved)> {
        self.write(|state| {
            state.saw(now);
            points::resume(state, &fence, hash, whole_ms(now))
        })
    }

    async fn checkpoint_forget(&self, hash: String) -> Result<()> {
        self.write(|state| {
            for trial in &mut state.trials {
                trial.checkpoint.take_if(|(_, kept)| kept.hash == hash);
            }
            Ok(())
        })
    }

    async fn checkpoint_hashes(&self) -> Result<BTreeSet<String>> {
        self.read(|state| {
            let kept = state.trials.iter().filter_map(|trial| trial.checkpoint.as_ref());
            Ok(kept.map(|(_, record)| record.hash.clone()).collect())
        })
    }

    async fn attempts_reap(&self, jitter: f64, now: Timestamp) -> Result<Vec<(AttemptId, Moved)>> {
        self.write(|state| reports::reap(state, jitter, whole_ms(now)))
    }
}
