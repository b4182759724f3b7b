//! What people do to whole sweeps.

use jiff::Timestamp;
use motif_sweep::{
    ids::SweepId,
    lifecycle::{self, Event, LeaseLife, Life, TrialState},
    until::UntilState,
};

use super::{state::State, sweeps};
use crate::{
    Result,
    records::{Steer, Steered},
};

/// Pauses, resumes, cancels, retries or prioritizes a sweep.
pub(super) fn steer(state: &mut State, id: SweepId, steer: Steer, now: Timestamp) -> Result<Steered> {
    let sweep = state.sweep(id)?;
    match steer {
        Steer::Pause | Steer::Resume => {
            state.sweeps[sweep].paused = steer == Steer::Pause;
            Ok(Steered::default())
        }
        Steer::Priority(priority) => Ok(prioritize(state, sweep, priority)),
        Steer::Cancel => Ok(cancel(state, sweep, now)),
        Steer::Retry => Ok(retry(state, sweep, now)),
    }
}

fn prioritize(state: &mut State, sweep: usize, priority: i32) -> Steered {
    let before = std::mem::replace(&mut state.sweeps[sweep].control.priority, priority);
    let waiting = sweeps::of_sweep(state, sweep).filter(|trial| trial.life.state == TrialState::Queued);
    let changed = if before == priority { 0 } else { waiting.count() as u64 };
    Steered { changed, pending: 0 }
}

fn cancel(state: &mut State, sweep: usize, now: Timestamp) -> Steered {
    let open = sweeps::of_sweep(state, sweep).any(|trial| !trial.life.state.is_terminal());
    // Between two blocks of seeds every trial has ended and the sweep has not.
    let until = state.sweeps[sweep].control.until;
    if !open && until.is_none_or(|until| until.state != UntilState::Running) {
        return Steered::default();
    }
    state.sweeps[sweep].cancelled = true;
    apply(state, sweep, Event::Cancel, now)
}

fn retry(state: &mut State, sweep: usize, now: Timestamp) -> Steered {
    let steered = apply(state, sweep, Event::Retry, now);
    if steered.changed > 0 {
        // A sweep that has trials again is no longer cancelled, and what its seeds have reached is open again.
        let sweep = &mut state.sweeps[sweep];
        sweep.cancelled = false;
        if let Some(until) = &mut sweep.control.until {
            until.state = UntilState::Running;
        }
    }
    steered
}

/// Applies an event to each of a sweep's trials that it concerns.
fn apply(state: &mut State, sweep: usize, event: Event, now: Timestamp) -> Steered {
    let policy = state.sweeps[sweep].new.policy;
    let mut steered = Steered::default();
    for trial in 0..state.trials.len() {
        let found = &mut state.trials[trial];
        if found.sweep != sweep {
            continue;
        }
        // Cancel and Retry look at nothing of a lease but that it is there.
        let lease = LeaseLife { started_at: now, expires_at: now, progressed_at: now, step: 0 };
        let lease = (found.life.state == TrialState::Leased).then_some(lease);
        let life = Life { lease, ..found.life.clone() };
        let Ok(transition) = lifecycle::step(&life, event, now, &policy) else { continue };
        if transition.life.state == life.state {
            found.life.cancel_requested = transition.life.cancel_requested;
            steered.pending += 1;
        } else {
            state.move_trial(trial, &transition.life, now);
            steered.changed += 1;
        }
    }
    steered
}
