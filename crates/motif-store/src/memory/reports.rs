//! What workers report of their leases, and taking leases back.

use jiff::{SignedDuration, Timestamp};
use motif_sweep::{
    ids::AttemptId,
    lifecycle::{self, AttemptOutcome, Event, LeaseLife, Life, Policy, Refusal, TrialState},
};

use super::{
    Plant,
    state::{Ending, State},
};
use crate::{
    Result, StoreError,
    records::{Fence, Finish, Moved},
};

/// Calls may be this far apart in time, in milliseconds, without a clock that was set back.
const SET_BACK_MIN_MS: i64 = 1000;
/// Leases taken back at once; the jitter begins anew for the next ones.
const REAPED_AT_ONCE_MAX: usize = 256;
/// Turns one jitter into a well-spread series: the golden ratio's fraction.
const JITTER_STRIDE: f64 = 0.618_033_988_749_895;

/// Every refusal of a worker's report means the same to the worker: it no longer holds the trial.
pub(super) fn stale(_: Refusal) -> StoreError {
    StoreError::StaleLease
}

impl State {
    pub(super) fn policy(&self, attempt: usize) -> Policy {
        self.sweeps[self.trials[self.attempts[attempt].trial].sweep].new.policy
    }
}

/// Extends a lease.
pub(super) fn heartbeat(
    state: &mut State,
    fence: &Fence,
    step: u64,
    total_steps: Option<u64>,
    now: Timestamp,
) -> Result<Moved> {
    let attempt = state.fenced_open(fence)?;
    let policy = state.policy(attempt);
    let transition =
        lifecycle::step(&state.life(attempt), Event::Heartbeat { step }, now, &policy).map_err(stale)?;
    let Some(lease) = transition.life.lease.clone() else { return Err(StoreError::StaleLease) };
    state.extend(attempt, lease, now);
    let trial = &mut state.trials[state.attempts[attempt].trial];
    trial.total_steps = total_steps.or(trial.total_steps);
    Ok(state.moved(attempt, &transition.life))
}

/// Ends a trial with its result.
pub(super) fn complete(state: &mut State, fence: &Fence, finish: Finish, now: Timestamp) -> Result<Moved> {
    let attempt = state.fenced(fence)?;
    let trial = state.attempts[attempt].trial;
    let life = state.life(attempt);
    use AttemptOutcome as O;
    match state.attempts[attempt].outcome {
        None | Some(O::Expired | O::TimedOut) => {}
        Some(O::Succeeded | O::Diverged | O::Stopped) if state.plant != Some(Plant::ForgetCompletion) => {
            let stored = state.trials[trial].result.as_ref();
            return if stored.is_some_and(|stored| same(stored, &finish)) {
                Ok(state.moved(attempt, &life))
            } else {
                Err(StoreError::Conflict("this trial was completed with another result".into()))
            };
        }
        Some(_) => return Err(StoreError::StaleLease),
    }
    let event = Event::Complete { attempt: state.attempts[attempt].number, conclusion: finish.conclusion() };
    let transition = lifecycle::step(&life, event, now, &state.policy(attempt)).map_err(stale)?;
    let Some(outcome) = transition.ended else {
        return Err(StoreError::Corrupt("a completion that ends no attempt".into()));
    };
    let decision = state.trials[trial].stop.as_ref().filter(|_| outcome == O::Stopped);
    let reason = decision.map(|stop| stop.reason.clone());
    let ending = Ending { outcome, reason, step: finish.steps, heard_at: Some(now) };
    state.end(attempt, ending, &transition.life, now);
    state.trials[trial].result = Some(finish);
    Ok(state.moved(attempt, &transition.life))
}

/// Whether two completions say the same, to the bit.
fn same(one: &Finish, other: &Finish) -> bool {
    let bits = |finish: &Finish| -> Vec<(String, u64)> {
        finish.metrics.iter().map(|(name, value)| (name.clone(), value.to_bits())).collect()
    };
    let stopped = |finish: &Finish| finish.stopped.map(|stopped| (stopped.step, stopped.epoch.to_bits()));
    bits(one) == bits(other)
        && stopped(one) == stopped(other)
        && (one.diverged_step, one.steps) == (other.diverged_step, other.steps)
        && (&one.result_hash, &one.report) == (&other.result_hash, &other.report)
}

/// Ends an attempt without a result: an error, or a trial given back. `event` is one of these two.
pub(super) fn give_up(
    state: &mut State,
    fence: &Fence,
    event: Event,
    reason: String,
    now: Timestamp,
) -> Result<Moved> {
    let attempt = state.fenced(fence)?;
    let life = state.life(attempt);
    if let Some(outcome) = state.attempts[attempt].outcome {
        let usual = match event {
            Event::Fail { .. } => AttemptOutcome::Failed,
            _ => AttemptOutcome::Released,
        };
        // A repeat of the report that ended the attempt; a flagged trial's attempt ends as cancelled instead.
        let known = outcome == usual || outcome == AttemptOutcome::Cancelled;
        return if known { Ok(state.moved(attempt, &life)) } else { Err(StoreError::StaleLease) };
    }
    let transition = lifecycle::step(&life, event, now, &state.policy(attempt)).map_err(stale)?;
    let Some(outcome) = transition.ended else {
        return Err(StoreError::Corrupt("a report that ends no attempt".into()));
    };
    let ending = Ending { outcome, reason: Some(reason), step: 0, heard_at: Some(now) };
    state.end(attempt, ending, &transition.life, now);
    Ok(state.moved(attempt, &transition.life))
}

/// Takes back every lease that has expired, stalled or overrun.
pub(super) fn reap(state: &mut State, jitter: f64, now: Timestamp) -> Result<Vec<(AttemptId, Moved)>> {
    let set_back = SignedDuration::from_millis(SET_BACK_MIN_MS);
    if state.latest.replace(now).is_none_or(|latest| latest.duration_since(now) > set_back) {
        clock_set_back(state, now);
    }
    let due = match state.plant {
        Some(Plant::ReapWithoutRecheck) => std::mem::take(&mut state.suspects),
        _ => all_due(state, now),
    };
    let mut reaped = Vec::new();
    for (attempt, index) in due.into_iter().zip(0usize..) {
        let place = (index % REAPED_AT_ONCE_MAX) as f64;
        let event = Event::Reap { jitter: (jitter + place * JITTER_STRIDE).fract() };
        let mut life = state.life(attempt);
        if state.plant == Some(Plant::ReapWithoutRecheck) {
            let lease = LeaseLife { expires_at: now, ..state.attempts[attempt].lease.clone() };
            life = Life { state: TrialState::Leased, lease: Some(lease), ..life };
        }
        let Ok(transition) = lifecycle::step(&life, event, now, &state.policy(attempt)) else { continue };
        let Some(outcome) = transition.ended else { continue };
        let reason = match outcome {
            AttemptOutcome::TimedOut => "it made no step in time, or ran longer than allowed",
            _ => "its lease expired: the worker died or lost the server",
        };
        let ending = Ending { outcome, reason: Some(reason.into()), step: 0, heard_at: None };
        state.end(attempt, ending, &transition.life, now);
        reaped.push((state.attempts[attempt].id, state.moved(attempt, &transition.life)));
    }
    if state.plant == Some(Plant::ReapWithoutRecheck) {
        state.suspects = all_due(state, now);
    }
    Ok(reaped)
}

/// Open attempts that are due to be taken back, longest overdue first.
fn all_due(state: &State, now: Timestamp) -> Vec<usize> {
    let open = (0..state.attempts.len()).filter(|attempt| state.attempts[*attempt].outcome.is_none());
    let mut due: Vec<(Timestamp, usize)> = open
        .map(|attempt| (due_at(&state.attempts[attempt].lease, &state.policy(attempt)), attempt))
        .filter(|(due_at, _)| *due_at <= now)
        .collect();
    due.sort_unstable();
    due.into_iter().map(|(_, attempt)| attempt).collect()
}

/// The first moment at which the lifecycle would take a lease back.
fn due_at(lease: &LeaseLife, policy: &Policy) -> Timestamp {
    let mut due = lease.expires_at;
    for (since, limit_s) in
        [(lease.started_at, policy.runtime_max_s), (lease.progressed_at, policy.stall_timeout_s)]
    {
        if limit_s > 0 {
            due = due.min(since + SignedDuration::from_secs(limit_s.into()));
        }
    }
    due
}

/// Puts right what a clock that was set back would hold up: leases that end later than any could that is given now begin
/// anew, and trials that back off for longer than they could are queued at once.
fn clock_set_back(state: &mut State, now: Timestamp) {
    for attempt in 0..state.attempts.len() {
        let ttl = SignedDuration::from_secs(state.policy(attempt).lease_ttl_s.into());
        let found = &state.attempts[attempt];
        if found.outcome.is_some() || found.lease.expires_at <= now + ttl {
            continue;
        }
        let lease = LeaseLife {
            started_at: found.lease.started_at.min(now),
            expires_at: now + ttl,
            progressed_at: found.lease.progressed_at.min(now),
            step: found.lease.step,
        };
        state.extend(attempt, lease, now);
    }
    for trial in state.trials.iter_mut().filter(|trial| trial.life.state == TrialState::Queued) {
        let longest_s = state.sweeps[trial.sweep].new.policy.backoff_max_s;
        if trial.life.not_before > now + SignedDuration::from_secs(longest_s.into()) {
            trial.life.not_before = Timestamp::UNIX_EPOCH;
        }
    }
}
