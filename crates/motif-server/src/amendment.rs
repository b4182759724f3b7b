//! From a change of a sweep to what the store adds: planned upon what stands, checked like a submission.

use std::collections::BTreeMap;

use motif_store::records::{
    AmendOutcome, AmendmentRecord, ConditionRecord, IdempotencyKey, NewAmendment, NewTrial, SweepRecord,
};
use motif_sweep::{
    amend::{self, Amended, Standing},
    ids::{SweepId, TrialId},
    plan::Condition,
    spec::{SpecError, SpecErrors, SweepSpec},
};
use serde_json::Value;

use crate::{
    error::{ApiError, ApiResult},
    limits,
    state::ServerState,
    submission,
};

/// A change, and who wants it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) change: Value,
    pub(crate) note: Option<String>,
    pub(crate) principal: String,
    pub(crate) key: Option<IdempotencyKey>,
    /// Of sequential replication: see [`NewAmendment::decided_at`].
    pub(crate) decided_at: Option<Option<f64>>,
}

/// What became of it.
pub(crate) enum Done {
    Added(AmendmentRecord),
    Replayed(AmendmentRecord),
    /// All of it was there.
    Nothing,
    /// The sweep is no longer as the decision to amend it assumed.
    Overtaken,
}

/// Adds what is wanted. Someone else's amendment in between is planned upon.
///
/// # Errors
/// What is wrong with the change, or that the sweep cannot be amended; nothing is changed then.
pub(crate) async fn amend(state: &ServerState, id: SweepId, wanted: &Wanted) -> ApiResult<Done> {
    if let Some(key) = &wanted.key
        && let Some(record) = state.store.amendment_by_key(key).await?
    {
        return Ok(Done::Replayed(record));
    }
    for _ in 0..limits::AMEND_TRIES_MAX {
        let sweep = state.store.sweep_get(id).await?;
        check_open(&sweep)?;
        let Some(amendment) = planned(state, &sweep, wanted).await? else { return Ok(Done::Nothing) };
        let (store, key, now) = (state.store.clone(), wanted.key.clone(), state.clock.now());
        match state.write(async move { store.sweep_amend(amendment, key, now).await }).await? {
            AmendOutcome::Added(record) => {
                tracing::info!(sweep = %id, principal = %wanted.principal, trials = record.added_trials, "sweep amended");
                state.work.wake(record.added_trials);
                state.ended.notify_one();
                state.events.counts_changed(id);
                return Ok(Done::Added(record));
            }
            AmendOutcome::Replayed(record) => return Ok(Done::Replayed(record)),
            AmendOutcome::Stale if wanted.decided_at.is_some() => return Ok(Done::Overtaken),
            AmendOutcome::Stale => {}
        }
    }
    Err(ApiError::Busy("amendments of this sweep"))
}

fn check_open(sweep: &SweepRecord) -> ApiResult<()> {
    let refused = |why: &str| Err(motif_store::StoreError::Conflict(why.to_owned()).into());
    if sweep.cancelled {
        return refused("the sweep was cancelled and cannot be amended; `retry` makes it run again");
    }
    if sweep.control.verifies.is_some() {
        return refused("a verification re-runs trials of another sweep and cannot be amended");
    }
    Ok(())
}

/// What the store is to add; nothing when the spec stays as it is.
async fn planned(
    state: &ServerState,
    sweep: &SweepRecord,
    wanted: &Wanted,
) -> ApiResult<Option<NewAmendment>> {
    let stored: Vec<ConditionRecord> =
        state.store.sweep_conditions(sweep.id).await?.into_iter().map(|(condition, _)| condition).collect();
    let standing = stored.iter().map(|condition| Standing {
        label: condition.label.clone(),
        config: condition.config.clone(),
        config_hash: condition.config_hash.clone(),
    });
    let standing: Vec<Standing> = standing.collect();
    let (spec, seeds, change) = (sweep.spec.clone(), sweep.seeds.clone(), wanted.change.clone());
    let amended = tokio::task::spawn_blocking(move || amend::amend(&spec, &change, &standing, &seeds));
    let amended = amended.await.map_err(|error| ApiError::Panicked(error.to_string()))?;
    let Amended { spec, plan, added, added_seeds, trials } = amended.map_err(ApiError::Spec)?;
    let before = SweepSpec::from_json(sweep.spec.clone()).map_err(ApiError::Spec)?;
    if spec == before && trials.is_empty() {
        return Ok(None);
    }
    let (added, indices): (Vec<Condition>, Vec<u32>) = added.into_iter().unzip();
    let seeds = plan.seeds.clone();
    let (spec, mut conditions) = submission::checked(state, spec, plan, added)
        .await
        .map_err(|error| in_terms_of_change(error, before.arms.len()))?;
    for (condition, index) in conditions.iter_mut().zip(indices) {
        condition.index = index;
    }
    check_datasets(&stored, &conditions)?;
    let trials = trials.into_iter().map(|trial| NewTrial {
        id: TrialId(state.ids.next()),
        condition: trial.condition,
        seed: trial.seed,
    });
    Ok(Some(NewAmendment {
        sweep: sweep.id,
        revision: sweep.control.revision,
        until: spec.until.is_some(),
        spec: spec.to_json(),
        seeds,
        conditions,
        trials: trials.collect(),
        added_seeds: u32::try_from(added_seeds).unwrap_or(u32::MAX),
        change: wanted.change.clone(),
        note: wanted.note.clone(),
        principal: wanted.principal.clone(),
        decided_at: wanted.decided_at,
    }))
}

fn in_terms_of_change(error: ApiError, known_arms: usize) -> ApiError {
    match error {
        ApiError::Spec(errors) => ApiError::Spec(amend::own_arms(errors, known_arms)),
        other => other,
    }
}

/// A name that has come to mean other contents would make the sweep compare conditions on different data.
fn check_datasets(stored: &[ConditionRecord], added: &[ConditionRecord]) -> ApiResult<()> {
    let name = |condition: &ConditionRecord| condition.config["dataset"].as_str().map(str::to_owned);
    let before: BTreeMap<String, &str> =
        stored.iter().filter_map(|known| Some((name(known)?, known.dataset_hash.as_str()))).collect();
    let mut errors = SpecErrors::default();
    for condition in added {
        let Some(dataset) = name(condition) else { continue };
        if before.get(&dataset).is_some_and(|hash| *hash != condition.dataset_hash) {
            let message = "this name points at other contents than when the sweep was submitted: new conditions would \
                           not be comparable; submit another sweep, or import the old contents again";
            errors.push(SpecError::new("trial.dataset", message).found(&Value::from(dataset)));
        }
    }
    errors.or(()).map_err(ApiError::Spec)
}
