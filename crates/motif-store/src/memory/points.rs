//! Points, and checkpoints that later attempts go on from.

use jiff::Timestamp;
use motif_sweep::{
    ids::TrialId,
    lifecycle::{self, Event},
};

use super::{reports, state::State, stopping};
use crate::{
    Result, StoreError,
    records::{CheckpointRecord, Fence, Moved, PointRecord},
};

impl State {
    /// The next `seq` that an attempt is expected to log.
    fn next_seq(&self, attempt: usize) -> u64 {
        self.attempts[attempt].points.len() as u64
    }
}

/// Adds points that are not there yet, lets the sweep's rule look at them, and returns the next `seq` expected.
pub(super) fn append(
    state: &mut State,
    fence: &Fence,
    points: Vec<PointRecord>,
    now: Timestamp,
) -> Result<(u64, Moved)> {
    let attempt = state.fenced_open(fence)?;
    let mut next = state.next_seq(attempt);
    let mut added = Vec::new();
    for point in points {
        if point.seq > next {
            return Err(StoreError::Gap { expected: next, found: point.seq });
        }
        if !point.epoch.is_finite() {
            let (seq, epoch) = (point.seq, point.epoch);
            return Err(StoreError::Conflict(format!(
                "epoch of point {seq} is {epoch}, not a finite number"
            )));
        }
        if point.seq == next {
            next += 1;
            added.push(point);
        }
    }
    let newest = state.attempts[attempt].points.last().map_or(0, |point| point.step);
    let step = added.iter().map(|point| point.step).fold(newest, u64::max);
    let stop_step = stopping::consider(state, attempt, &added, now)?;
    state.attempts[attempt].points.extend(added);
    let stop = stop_step.is_some_and(|stop_step| step >= stop_step);
    Ok((next, Moved { stop, ..state.moved(attempt, &state.life(attempt)) }))
}

/// The points of a trial's newest attempt, and that attempt's number.
pub(super) fn of_trial(state: &State, id: TrialId) -> Result<(u32, Vec<PointRecord>)> {
    let trial = &state.trials[state.trial(id)?];
    let points = trial.attempts.last().map(|attempt| state.attempts[*attempt].points.clone());
    Ok((trial.life.attempt, points.unwrap_or_default()))
}

/// Takes a checkpoint over unless a later one is there; returns the newest.
pub(super) fn save(state: &mut State, fence: &Fence, record: CheckpointRecord) -> Result<CheckpointRecord> {
    let attempt = state.fenced_open(fence)?;
    let next = state.next_seq(attempt);
    if record.points > next {
        return Err(StoreError::Gap { expected: next, found: record.points });
    }
    let trial = &mut state.trials[state.attempts[attempt].trial];
    match &trial.checkpoint {
        Some((_, stored)) if stored.step > record.step || stored.hash == record.hash => Ok(stored.clone()),
        _ => {
            trial.checkpoint = Some((attempt, record.clone()));
            Ok(record)
        }
    }
}

/// Lets an attempt without points of its own go on from its trial's checkpoint: it begins with the points before it.
pub(super) fn resume(state: &mut State, fence: &Fence, hash: String, now: Timestamp) -> Result<(u64, Moved)> {
    let attempt = state.fenced_open(fence)?;
    let life = state.life(attempt);
    let next = state.next_seq(attempt);
    let resumed_from = &state.attempts[attempt].resumed_from;
    if resumed_from.as_ref() == Some(&hash) {
        return Ok((next, state.moved(attempt, &life)));
    }
    if next > 0 || resumed_from.is_some() {
        return Err(StoreError::Conflict("this attempt has already begun: it cannot resume now".into()));
    }
    let Some((holder, record)) = state.trials[state.attempts[attempt].trial].checkpoint.clone() else {
        return Err(StoreError::NotFound("checkpoint"));
    };
    if record.hash != hash {
        return Err(StoreError::Conflict(format!("the trial's newest checkpoint is {}", record.hash)));
    }
    let event = Event::Heartbeat { step: record.step };
    let transition = lifecycle::step(&life, event, now, &state.policy(attempt)).map_err(reports::stale)?;
    let Some(lease) = transition.life.lease.clone() else { return Err(StoreError::StaleLease) };
    let before = usize::try_from(record.points).unwrap_or(usize::MAX);
    let points = state.attempts[holder].points.iter().take(before).cloned().collect();
    state.attempts[attempt].points = points;
    state.attempts[attempt].resumed_from = Some(hash);
    // Whether it is to stop is said by the step that it has reported, as it was before.
    let moved = state.moved(attempt, &life);
    state.extend(attempt, lease, now);
    Ok((record.points, moved))
}
