//! What is kept, how a report finds its attempt, and how a trial is moved.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId, WorkerId},
    lifecycle::{AttemptOutcome, LeaseLife, Life, TrialState},
    stopping::Standing,
};

use super::{Plant, whole_ms};
use crate::{
    Result, StoreError,
    records::{
        CheckpointRecord, Control, Fence, Finish, Moved, NewSweep, PointRecord, StopDecision, WorkerSeen,
    },
};

/// There are no backups, hence one epoch.
pub(super) const EPOCH: u64 = 1;

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) plant: Option<Plant>,
    /// In the order in which they came.
    pub(super) sweeps: Vec<Sweep>,
    /// In the order in which they came, so that a sweep's stand by position.
    pub(super) trials: Vec<Trial>,
    /// In the order in which they began.
    pub(super) attempts: Vec<Attempt>,
    pub(super) workers: HashMap<WorkerId, WorkerSeen>,
    /// By principal and key: the body's hash and the sweep.
    pub(super) keys: BTreeMap<(String, String), (String, SweepId)>,
    pub(super) sweep_index: HashMap<SweepId, usize>,
    pub(super) trial_index: HashMap<TrialId, usize>,
    pub(super) attempt_index: HashMap<AttemptId, usize>,
    /// The latest time since the reaper looked last, if it has since the store was opened.
    pub(super) latest: Option<Timestamp>,
    /// Of [`Plant::ReapWithoutRecheck`]: what was due then.
    pub(super) suspects: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Sweep {
    /// As submitted, without its trials.
    pub(super) new: NewSweep,
    pub(super) control: Control,
    pub(super) paused: bool,
    pub(super) cancelled: bool,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) id: TrialId,
    pub(super) sweep: usize,
    pub(super) condition: u32,
    pub(super) seed: u64,
    pub(super) position: u64,
    /// Its life but for the lease, which stands with the attempt. `not_before` is the epoch once it waits no longer, even
    /// when the clock is set back then.
    pub(super) life: Life,
    pub(super) total_steps: Option<u64>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) attempts: Vec<usize>,
    pub(super) result: Option<Finish>,
    /// The newest checkpoint and the attempt that holds the points before it.
    pub(super) checkpoint: Option<(usize, CheckpointRecord)>,
    pub(super) stop: Option<StopDecision>,
    pub(super) standings: Vec<Standing>,
}

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) id: AttemptId,
    pub(super) trial: usize,
    pub(super) number: u32,
    pub(super) worker: WorkerId,
    pub(super) claim_id: uuid::Uuid,
    pub(super) offer: u32,
    pub(super) secret_hash: [u8; 32],
    pub(super) lease: LeaseLife,
    pub(super) seen_at: Timestamp,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) outcome: Option<AttemptOutcome>,
    pub(super) reason: Option<String>,
    pub(super) points: Vec<PointRecord>,
    pub(super) resumed_from: Option<String>,
}

impl Trial {
    /// Whether a claim may take it, unless its sweep is paused.
    pub(super) fn is_ready(&self) -> bool {
        self.life.state == TrialState::Queued && self.life.not_before == Timestamp::UNIX_EPOCH
    }

    /// Whether it backs off no longer than until now.
    pub(super) fn has_waited(&self, now: Timestamp) -> bool {
        self.life.state == TrialState::Queued
            && self.life.not_before != Timestamp::UNIX_EPOCH
            && self.life.not_before <= now
    }
}

impl State {
    pub(super) fn sweep(&self, id: SweepId) -> Result<usize> {
        self.sweep_index.get(&id).copied().ok_or(StoreError::NotFound("sweep"))
    }

    /// Takes note of a time that leases or retries are given by.
    pub(super) fn saw(&mut self, now: Timestamp) {
        if let Some(latest) = &mut self.latest {
            *latest = now.max(*latest);
        }
    }

    pub(super) fn trial(&self, id: TrialId) -> Result<usize> {
        self.trial_index.get(&id).copied().ok_or(StoreError::NotFound("trial"))
    }

    /// The attempt that a report is from, open or not, once its fence is proved.
    pub(super) fn fenced(&self, fence: &Fence) -> Result<usize> {
        let attempt = *self.attempt_index.get(&fence.attempt_id).ok_or(StoreError::StaleLease)?;
        if self.attempts[attempt].secret_hash != fence.secret_hash || fence.epoch != EPOCH {
            return Err(StoreError::StaleLease);
        }
        if self.plant == Some(Plant::DropFence) {
            let trial = &self.trials[self.attempts[attempt].trial];
            return Ok(trial.attempts.last().copied().unwrap_or(attempt));
        }
        Ok(attempt)
    }

    /// The same, if the attempt is still open.
    pub(super) fn fenced_open(&self, fence: &Fence) -> Result<usize> {
        let attempt = self.fenced(fence)?;
        if self.attempts[attempt].outcome.is_some() { Err(StoreError::StaleLease) } else { Ok(attempt) }
    }

    /// The life of an attempt's trial; its lease is there when the attempt is the open one.
    pub(super) fn life(&self, attempt: usize) -> Life {
        let found = &self.attempts[attempt];
        let trial = &self.trials[found.trial];
        Life {
            lease: found.outcome.is_none().then(|| found.lease.clone()),
            stop_decided: trial.stop.is_some(),
            ..trial.life.clone()
        }
    }

    /// What a caller learns of a trial after its report.
    pub(super) fn moved(&self, attempt: usize, life: &Life) -> Moved {
        let trial = &self.trials[self.attempts[attempt].trial];
        let sweep = &self.sweeps[trial.sweep].new;
        let step = life.lease.as_ref().map(|lease| lease.step);
        Moved {
            sweep_id: sweep.id,
            trial_id: trial.id,
            state: life.state,
            cancel_requested: life.cancel_requested,
            stop: trial.stop.as_ref().is_some_and(|stop| step >= Some(stop.step)),
            lease_ttl_s: sweep.policy.lease_ttl_s,
        }
    }

    /// Writes a lease that goes on.
    pub(super) fn extend(&mut self, attempt: usize, lease: LeaseLife, now: Timestamp) {
        let attempt = &mut self.attempts[attempt];
        attempt.lease = lease;
        attempt.seen_at = attempt.seen_at.max(now);
    }

    /// Writes a trial's new state.
    pub(super) fn move_trial(&mut self, trial: usize, to: &Life, now: Timestamp) {
        let found = &mut self.trials[trial];
        let waits = to.state == TrialState::Queued && to.not_before > now;
        let not_before = if waits { whole_ms(to.not_before) } else { Timestamp::UNIX_EPOCH };
        found.life = Life { lease: None, not_before, ..to.clone() };
        found.finished_at = found.life.state.is_terminal().then_some(now);
        use TrialState as T;
        if matches!(found.life.state, T::Succeeded | T::Diverged | T::Stopped | T::Failed) {
            found.checkpoint = None;
        }
        if found.finished_at.is_some() {
            let sweep = &mut self.sweeps[found.sweep];
            sweep.ended_at = sweep.ended_at.max(found.finished_at);
        }
    }

    /// Ends an attempt and moves its trial, as the lifecycle has decided.
    pub(super) fn end(&mut self, attempt: usize, ending: Ending, to: &Life, now: Timestamp) {
        let found = &mut self.attempts[attempt];
        found.outcome = Some(ending.outcome);
        found.reason = ending.reason;
        found.lease.step = found.lease.step.max(ending.step);
        found.seen_at = ending.heard_at.map_or(found.seen_at, |heard_at| heard_at.max(found.seen_at));
        found.ended_at = Some(now);
        let trial = found.trial;
        self.move_trial(trial, to, now);
    }

    pub(super) fn checkpoint(&self, trial: usize) -> Option<CheckpointRecord> {
        self.trials[trial].checkpoint.as_ref().map(|(_, record)| record.clone())
    }
}

/// How an attempt ended.
pub(super) struct Ending {
    pub(super) outcome: AttemptOutcome,
    pub(super) reason: Option<String>,
    /// Minibatches done, where the report says.
    pub(super) step: u64,
    /// When its worker was heard of, unless the server ended it.
    pub(super) heard_at: Option<Timestamp>,
}
