//! Claims: which trials are next, and leasing them.

use std::cmp::Reverse;

use jiff::Timestamp;
use motif_sweep::{
    lifecycle::{self, Event, Life, TrialState},
    requires::Abilities,
};

use super::{
    Plant,
    state::{Attempt, State},
};
use crate::{
    Result, StoreError,
    records::{Claim, Claimable, LeaseOffer, Leased},
};

/// The sweep whose turn it is, of those that are for this worker: the highest priority, then the fewest open leases, then
/// the oldest.
fn next_sweep(state: &State, worker: &Abilities) -> Option<usize> {
    let sweeps = (0..state.sweeps.len()).filter(|sweep| {
        let ready = state.trials.iter().any(|trial| trial.sweep == *sweep && trial.is_ready());
        let sweep = &state.sweeps[*sweep];
        ready && !sweep.paused && worker.meet(&sweep.control.needs)
    });
    sweeps.min_by_key(|sweep| {
        let leased =
            |trial: &&super::state::Trial| trial.sweep == *sweep && trial.life.state == TrialState::Leased;
        let leases = state.trials.iter().filter(leased).count();
        (Reverse(state.sweeps[*sweep].control.priority), leases, *sweep)
    })
}

/// What a claim would find, or promote.
pub(super) fn claimable(state: &State, worker: &Abilities, now: Timestamp) -> Claimable {
    if next_sweep(state, worker).is_some() || state.trials.iter().any(|trial| trial.has_waited(now)) {
        return Claimable::Yes;
    }
    let ready = |trial: &super::state::Trial| trial.is_ready() && !state.sweeps[trial.sweep].paused;
    if state.trials.iter().any(ready) { Claimable::ByOthers } else { Claimable::No }
}

/// Leases trials in queue order, or repeats what this claim was given before.
pub(super) fn claim(state: &mut State, claim: &Claim, now: Timestamp) -> Result<Vec<Leased>> {
    let given = |index: &usize| state.attempts[*index].claim_id == claim.claim_id;
    let mut earlier: Vec<usize> = (0..state.attempts.len()).filter(given).collect();
    if state.plant == Some(Plant::ForgetClaim) {
        earlier.clear();
    }
    if !earlier.is_empty() {
        return repeat(state, claim, earlier, now);
    }
    if let Some(taken) = claim.offers.iter().find(|offer| state.attempt_index.contains_key(&offer.attempt_id))
    {
        return Err(StoreError::Conflict(format!("attempt {} is there already", taken.attempt_id)));
    }
    state.workers.insert(claim.worker.id, claim.worker.clone());
    for trial in state.trials.iter_mut().filter(|trial| trial.has_waited(now)) {
        trial.life.not_before = Timestamp::UNIX_EPOCH;
    }
    let mut leased = Vec::new();
    for (offer, index) in claim.offers.iter().zip(0u32..) {
        let Some(sweep) = next_sweep(state, &claim.worker.abilities) else { break };
        let next = |found: &usize| state.trials[*found].sweep == sweep && state.trials[*found].is_ready();
        let Some(trial) = (0..state.trials.len()).find(next) else { break };
        let attempt = lease(state, trial, claim, (offer, index), now)?;
        leased.push(leased_record(state, attempt));
    }
    Ok(leased)
}

/// Leases a trial and returns the attempt.
fn lease(
    state: &mut State,
    trial: usize,
    claim: &Claim,
    (offer, index): (&LeaseOffer, u32),
    now: Timestamp,
) -> Result<usize> {
    let found = &state.trials[trial];
    let policy = state.sweeps[found.sweep].new.policy;
    let transition = lifecycle::step(&found.life, Event::Claim, now, &policy).map_err(|refusal| {
        StoreError::Corrupt(format!("a trial that is next cannot be leased: {refusal}"))
    })?;
    let Some(lease) = transition.life.lease.clone() else {
        return Err(StoreError::Corrupt("a claim without a lease".into()));
    };
    let mut number = transition.life.attempt;
    if state.plant == Some(Plant::ReuseNumber) && number > 1 {
        number -= 1;
    }
    let attempt = state.attempts.len();
    state.attempts.push(Attempt {
        id: offer.attempt_id,
        trial,
        number,
        worker: claim.worker.id,
        claim_id: claim.claim_id,
        offer: index,
        secret_hash: offer.secret_hash,
        lease,
        seen_at: now,
        ended_at: None,
        outcome: None,
        reason: None,
        points: Vec::new(),
        resumed_from: None,
    });
    state.attempt_index.insert(offer.attempt_id, attempt);
    state.trials[trial].attempts.push(attempt);
    let sweep = state.trials[trial].sweep;
    state.sweeps[sweep].started_at.get_or_insert(now);
    state.move_trial(trial, &Life { attempt: number, ..transition.life }, now);
    Ok(attempt)
}

fn leased_record(state: &State, attempt: usize) -> Leased {
    let found = &state.attempts[attempt];
    let trial = &state.trials[found.trial];
    let sweep = &state.sweeps[trial.sweep].new;
    let condition = &sweep.conditions[trial.condition as usize];
    Leased {
        offer: found.offer,
        attempt_id: found.id,
        trial_id: trial.id,
        sweep_id: sweep.id,
        attempt: found.number,
        config: condition.config.clone(),
        seed: trial.seed,
        dataset_hash: condition.dataset_hash.clone(),
        policy: sweep.policy,
        judged: sweep.stop.is_some(),
        snapshots: sweep.control.snapshots,
        checkpoint: state.checkpoint(found.trial),
    }
}

/// Answers a repeated claim. Its worker is alive, so the leases that are still open begin anew.
fn repeat(state: &mut State, claim: &Claim, earlier: Vec<usize>, now: Timestamp) -> Result<Vec<Leased>> {
    for index in &earlier {
        let attempt = &state.attempts[*index];
        let offer = claim.offers.get(attempt.offer as usize);
        let same = offer.is_some_and(|offer| offer.secret_hash == attempt.secret_hash);
        if !same || attempt.worker != claim.worker.id {
            return Err(StoreError::Conflict("this claim_id was used for another claim".into()));
        }
    }
    state.workers.insert(claim.worker.id, claim.worker.clone());
    let mut leased = Vec::new();
    for attempt in earlier {
        let life = state.life(attempt);
        let Some(step) = life.lease.as_ref().map(|lease| lease.step) else { continue };
        let policy = state.sweeps[state.trials[state.attempts[attempt].trial].sweep].new.policy;
        let transition = lifecycle::step(&life, Event::Heartbeat { step }, now, &policy)
            .map_err(|_| StoreError::StaleLease)?;
        if let Some(lease) = transition.life.lease {
            state.extend(attempt, lease, now);
        }
        leased.push(leased_record(state, attempt));
    }
    Ok(leased)
}
