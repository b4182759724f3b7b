//! Submitting sweeps and reading what is kept of them.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::{Life, TrialState},
    until::UntilState,
};

use super::state::{State, Sweep, Trial};
use crate::{
    Result, StoreError,
    records::{
        AttemptRecord, ConditionRecord, Control, Counts, IdempotencyKey, NewSweep, Page, Submitted,
        SweepRecord, TrialRecord, UntilProgress,
    },
};

/// Items of a page, whatever the caller asks for.
const PAGE_ITEMS_MAX: u32 = 1000;

/// Stores a sweep and all its trials.
pub(super) fn create(
    state: &mut State,
    mut sweep: NewSweep,
    key: Option<IdempotencyKey>,
    now: Timestamp,
) -> Result<Submitted> {
    let place = key.as_ref().map(|key| (key.principal.clone(), key.key.clone()));
    if let (Some(place), Some(key)) = (&place, &key)
        && let Some((body_hash, id)) = state.keys.get(place)
    {
        let same = *body_hash == key.body_hash;
        return if same { Ok(Submitted::Replayed(*id)) } else { Err(StoreError::IdempotencyMismatch) };
    }
    check(state, &sweep)?;
    let (id, index) = (sweep.id, state.sweeps.len());
    for (new, position) in std::mem::take(&mut sweep.trials).into_iter().zip(0..) {
        state.trial_index.insert(new.id, state.trials.len());
        state.trials.push(Trial {
            id: new.id,
            sweep: index,
            condition: new.condition,
            seed: new.seed,
            position,
            life: Life { not_before: Timestamp::UNIX_EPOCH, ..Life::submitted(now) },
            total_steps: None,
            finished_at: None,
            attempts: Vec::new(),
            result: None,
            checkpoint: None,
            stop: None,
            standings: Vec::new(),
        });
    }
    if let Some(original) = sweep.control.verifies {
        let original = state.sweep(original)?;
        state.sweeps[original].control.verifications += 1;
    }
    let running = UntilProgress { state: UntilState::Running, half_width: None };
    let control = Control {
        priority: sweep.control.priority,
        until: sweep.control.until.then_some(running),
        verifies: sweep.control.verifies,
        needs: sweep.control.needs.clone(),
        ..Control::default()
    };
    state.sweep_index.insert(id, index);
    state.sweeps.push(Sweep {
        new: sweep,
        control,
        paused: false,
        cancelled: false,
        created_at: now,
        started_at: None,
        ended_at: None,
    });
    if let (Some(place), Some(key)) = (place, key) {
        state.keys.insert(place, (key.body_hash, id));
    }
    Ok(Submitted::New(id))
}

fn check(state: &State, sweep: &NewSweep) -> Result<()> {
    let conflict = |text: String| Err(StoreError::Conflict(text));
    let conditions = sweep.conditions.len();
    if let Some(baseline) = sweep.baseline.filter(|baseline| *baseline as usize >= conditions) {
        return conflict(format!("baseline {baseline} is none of {conditions} conditions"));
    }
    if let Some((index, found)) =
        sweep.conditions.iter().enumerate().find(|(index, condition)| condition.index as usize != *index)
    {
        return conflict(format!("condition {index} of the sweep has index {}", found.index));
    }
    if state.sweep_index.contains_key(&sweep.id) {
        return conflict(format!("sweep {} is there already", sweep.id));
    }
    let mut ids = HashSet::new();
    for trial in &sweep.trials {
        if trial.condition as usize >= conditions {
            let found = trial.condition;
            return conflict(format!("a trial's condition {found} is none of {conditions} conditions"));
        }
        if !ids.insert(trial.id) || state.trial_index.contains_key(&trial.id) {
            return conflict(format!("trial {} is there twice", trial.id));
        }
    }
    sweep.control.verifies.map_or(Ok(()), |original| state.sweep(original).map(drop))
}

/// A sweep's trials, by position.
pub(super) fn of_sweep(state: &State, sweep: usize) -> impl Iterator<Item = &Trial> {
    state.trials.iter().filter(move |trial| trial.sweep == sweep)
}

/// One sweep.
pub(super) fn get(state: &State, id: SweepId) -> Result<SweepRecord> {
    let index = state.sweep(id)?;
    let sweep = &state.sweeps[index];
    let mut counts = Counts::default();
    let mut running_fraction = 0.0;
    for trial in of_sweep(state, index) {
        counts.0[trial.life.state as usize] += 1;
        if trial.life.state == TrialState::Leased
            && let (Some(attempt), Some(total @ 1..)) = (trial.attempts.last(), trial.total_steps)
        {
            running_fraction += (state.attempts[*attempt].lease.step as f64 / total as f64).min(1.0);
        }
    }
    Ok(SweepRecord {
        id,
        name: sweep.new.name.clone(),
        spec: sweep.new.spec.clone(),
        metric: sweep.new.metric.clone(),
        baseline: sweep.new.baseline,
        seeds: sweep.new.seeds.clone(),
        policy: sweep.new.policy,
        conditions: u32::try_from(sweep.new.conditions.len()).unwrap_or(u32::MAX),
        paused: sweep.paused,
        cancelled: sweep.cancelled,
        counts,
        created_at: sweep.created_at,
        started_at: sweep.started_at,
        ended_at: sweep.ended_at,
        running_fraction,
        control: sweep.control.clone(),
    })
}

/// A sweep's conditions with their counts.
pub(super) fn conditions(state: &State, id: SweepId) -> Result<Vec<(ConditionRecord, Counts)>> {
    let sweep = state.sweep(id)?;
    let mut counts: BTreeMap<u32, Counts> = BTreeMap::new();
    for trial in of_sweep(state, sweep) {
        counts.entry(trial.condition).or_default().0[trial.life.state as usize] += 1;
    }
    let counted = |condition: &ConditionRecord| counts.get(&condition.index).copied().unwrap_or_default();
    let conditions = state.sweeps[sweep].new.conditions.iter();
    Ok(conditions.map(|condition| (condition.clone(), counted(condition))).collect())
}

/// A page of a sweep's trials, by position.
pub(super) fn trials(
    state: &State,
    sweep: SweepId,
    wanted: Option<TrialState>,
    from: u64,
    limit: u32,
) -> Result<Page<TrialRecord, u64>> {
    let sweep = state.sweep(sweep)?;
    let limit = limit.clamp(1, PAGE_ITEMS_MAX) as usize;
    let mut found = (0..state.trials.len()).filter(|index| {
        let trial = &state.trials[*index];
        trial.sweep == sweep
            && trial.position >= from
            && wanted.is_none_or(|wanted| trial.life.state == wanted)
    });
    let items = found.by_ref().take(limit).map(|index| trial(state, index)).collect();
    Ok(Page { items, next: found.next().map(|index| state.trials[index].position) })
}

/// One trial.
pub(super) fn trial(state: &State, index: usize) -> TrialRecord {
    let trial = &state.trials[index];
    let life = &trial.life;
    let attempt = trial.attempts.last().map(|attempt| &state.attempts[*attempt]);
    let whole = matches!(life.state, TrialState::Succeeded | TrialState::Diverged);
    let (sweep, place) = (&state.sweeps[trial.sweep].new, (trial.condition, trial.seed));
    let bare = TrialRecord::bare(trial.id, sweep.id, place, trial.position, life.state);
    let result = trial.result.as_ref();
    TrialRecord {
        label: sweep.conditions[trial.condition as usize].label.clone(),
        cancel_requested: life.cancel_requested,
        attempt: life.attempt,
        failures: life.failures,
        crashes: life.crashes,
        step: attempt.map_or(0, |attempt| attempt.lease.step),
        total_steps: trial.total_steps,
        worker: attempt.and_then(|attempt| Some(state.workers.get(&attempt.worker)?.name.clone())),
        report: result.map(|result| result.report.clone()),
        metrics: result.map(|result| finite(&result.metrics)).unwrap_or_default(),
        diverged_step: result.and_then(|result| result.diverged_step),
        stop: trial.stop.clone(),
        stopped: result.and_then(|result| result.stopped),
        result_hash: result
            .filter(|_| life.state != TrialState::Stopped)
            .map(|result| result.result_hash.clone()),
        started_at: attempt.map(|attempt| attempt.lease.started_at),
        finished_at: trial.finished_at,
        reason: attempt.filter(|_| !whole).and_then(|attempt| attempt.reason.clone()),
        ..bare
    }
}

fn finite(metrics: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let finite = metrics.iter().filter(|(_, value)| value.is_finite());
    finite.map(|(name, value)| (name.clone(), *value)).collect()
}

/// A trial's attempts, oldest first.
pub(super) fn attempts(state: &State, id: TrialId) -> Result<Vec<AttemptRecord>> {
    let trial = &state.trials[state.trial(id)?];
    let record = |index: &usize| {
        let attempt = &state.attempts[*index];
        AttemptRecord {
            id: attempt.id,
            number: attempt.number,
            worker: state.workers.get(&attempt.worker).map(|worker| worker.name.clone()).unwrap_or_default(),
            outcome: attempt.outcome,
            reason: attempt.reason.clone(),
            step: attempt.lease.step,
            started_at: attempt.lease.started_at,
            seen_at: attempt.seen_at,
            ended_at: attempt.ended_at,
        }
    };
    Ok(trial.attempts.iter().map(record).collect())
}
