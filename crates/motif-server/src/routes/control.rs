//! Sweeps after their submission: amendments, priority, holes.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
};
use motif_store::records::{NewTrial, Steer};
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::TrialState,
    spec::PRIORITY_MAX,
};
use motif_wire::{
    control::{AmendReply, Hole, Holes, PriorityRequest},
    sweeps::SweepAction,
};
use serde_json::Value;

use super::{
    BadParameter, Contradiction, Invalid, NoSuch, TooLarge,
    statistics::material,
    sweeps::{self, REPLAYED_HEADER},
};
use crate::{
    amendment::{self, Done, Wanted},
    auth::Principal,
    convert,
    error::{ApiError, ApiResult},
    extract::{Body, Id, Parameters, RawJson, shown},
    limits,
    state::ServerState,
    statistics::{self, Material},
};

/// Add seeds, values, arms to a sweep
///
/// The body has the meaning of a preset's `overrides` (tables merged, lists replaced, `null` removes), but that its `arms`
/// are appended. It must only add: whatever condition or seed would vanish is named. New trials are queued behind the old
/// ones, all or none. A `note` beside the keys says why, in the log of amendments.
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/amend", tag = "sweeps",
    params(
        ("id" = uuid::Uuid, Path, description = "The sweep."),
        ("idempotency-key" = Option<String>, Header, description = "The same key with the same body is the same amendment; with another body it is refused (422 `idempotency_mismatch`)."),
    ),
    request_body(content = inline(serde_json::Map<String, serde_json::Value>), description = "What changes: `seeds`, `axes`, `zip`, `sample`, `exclude`, `arms`, `until`; and a `note`."),
    responses((status = 200, description = "What was added.", body = AmendReply), BadParameter, NoSuch, Contradiction, TooLarge, Invalid)
)]
pub(crate) async fn sweep_amend(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Id(id): Id<SweepId>,
    headers: HeaderMap,
    Parameters(()): Parameters<()>,
    body: RawJson,
) -> ApiResult<Response> {
    let key = sweeps::idempotency_key(&headers, &principal, &[id.0.as_bytes(), &body.bytes])?;
    let mut change = body.value;
    let note = note(&mut change)?;
    let wanted = Wanted { change, note, principal: principal.to_string(), key, decided_at: None };
    let done = amendment::amend(&state, id, &wanted).await?;
    let replayed = matches!(done, Done::Replayed(_));
    let amendment = match done {
        Done::Added(record) | Done::Replayed(record) => Some(convert::amendment_row(record)),
        Done::Nothing | Done::Overtaken => None,
    };
    let sweep = sweeps::detail(&state, id).await?;
    let mut response = Json(AmendReply { amendment, sweep }).into_response();
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Takes the note out of the change.
fn note(change: &mut Value) -> ApiResult<Option<String>> {
    let found = change.as_object_mut().and_then(|change| change.shift_remove("note"));
    match found {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(note)) if note.chars().count() <= limits::NOTE_MAX_CHARS => Ok(Some(note)),
        Some(other) => {
            let message = format!("must be text of at most {} characters", limits::NOTE_MAX_CHARS);
            Err(ApiError::rule("note", message, Some(shown(&other.to_string()))))
        }
    }
}

/// Set a sweep's priority
///
/// Claims take trials of the sweep with the highest priority first, then of the oldest sweep.
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/priority", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    request_body = PriorityRequest,
    responses((status = 200, description = "Waiting trials that it concerns.", body = SweepAction), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_priority(
    State(state): State<ServerState>,
    principal: Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
    Body(PriorityRequest { priority }): Body<PriorityRequest>,
) -> ApiResult<Json<SweepAction>> {
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority) {
        let message = format!("must be a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}");
        return Err(ApiError::rule("priority", message, Some(priority.to_string())));
    }
    sweeps::steer(state, principal, id, Steer::Priority(priority)).await
}

/// List what has no value and will get none by itself
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/holes", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "The cells whose trial failed, died, was cancelled or is missing.", body = Holes), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_holes(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Holes>> {
    let material = material(&state, id).await?;
    Ok(Json(Holes { sweep_id: id.0, holes: holes(&material) }))
}

/// Run exactly the holes
///
/// Queues the trials that failed, died or were cancelled again, and adds those that are missing; nothing else.
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/holes", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "Trials that were queued.", body = SweepAction), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_holes_run(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepAction>> {
    let material = material(&state, id).await?;
    let absent = holes(&material).into_iter().filter(|hole| hole.trial_id.is_none());
    let missing: Vec<NewTrial> = absent
        .map(|hole| NewTrial { id: TrialId(state.ids.next()), condition: hole.condition, seed: hole.seed })
        .collect();
    let (store, now) = (state.store.clone(), state.clock.now());
    let audited = principal.clone();
    let write = async move { store.sweep_run_holes(id, missing, &audited, now).await };
    let steered = state.write(write).await?;
    tracing::info!(sweep = %id, %principal, changed = steered.changed, "holes queued");
    state.work.wake(steered.changed);
    state.events.counts_changed(id);
    Ok(Json(SweepAction { changed: steered.changed, pending: steered.pending }))
}

/// A verification holds a share of its original's cells: those that it does not hold are no holes.
fn holes(material: &Material) -> Vec<Hole> {
    let trials: BTreeMap<_, _> =
        material.trials.iter().map(|trial| ((trial.condition, trial.seed), trial)).collect();
    let whole = material.sweep.control.verifies.is_none();
    let ledger = statistics::ledger(material);
    let mut holes = Vec::new();
    for row in ledger.rows {
        for cell in row.cells {
            let hole = match cell.state {
                None => whole,
                Some(state) => matches!(state, TrialState::Failed | TrialState::Dead | TrialState::Cancelled),
            };
            if hole {
                let trial = trials.get(&(row.condition, cell.seed));
                holes.push(Hole {
                    condition: row.condition,
                    label: row.label.clone(),
                    seed: cell.seed,
                    trial_id: cell.trial_id,
                    state: cell.state,
                    reason: trial.and_then(|trial| trial.reason.clone()),
                });
            }
        }
    }
    holes
}
