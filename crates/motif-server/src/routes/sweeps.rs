//! Sweeps: submission, listing, detail, steering.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use motif_store::records::{IdempotencyKey, NewSweep, Steer, Submitted, SweepRecord};
use motif_sweep::{ids::SweepId, lifecycle::TrialState, requires::Abilities, spec::SweepSpec};
use motif_wire::{
    IDEMPOTENCY_HEADER,
    sweeps::{SweepAction, SweepDetail, SweepPage},
};
use utoipa::IntoParams;

use super::{BadParameter, Contradiction, Invalid, NoSuch, TooLarge};
use crate::{
    auth::Principal,
    convert,
    error::{ApiError, ApiResult},
    extract::{Cursor, FromQuery, Id, Parameters, Params, RawJson},
    limits,
    state::ServerState,
    submission,
};

/// Says that a reply is that of an earlier, equal request.
pub(super) const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Submit a sweep
///
/// A whole spec, or `{"preset": name, "overrides": {…}}`. All its trials are queued, or nothing is.
#[utoipa::path(
    post, path = "/api/v1/sweeps", tag = "sweeps",
    params(("idempotency-key" = Option<String>, Header, description = "The same key with the same body is the same submission; with another body it is refused (422 `idempotency_mismatch`).")),
    request_body(content = inline(serde_json::Map<String, serde_json::Value>), description = "The sweep's spec."),
    responses(
        (status = 201, description = "The sweep is stored; `location` is its address.", body = SweepDetail),
        BadParameter, TooLarge, Invalid,
    )
)]
pub(crate) async fn sweep_submit(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    headers: HeaderMap,
    Parameters(()): Parameters<()>,
    body: RawJson,
) -> ApiResult<Response> {
    let key = idempotency_key(&headers, &principal, &[&body.bytes])?;
    let spec = SweepSpec::from_json(body.value).map_err(ApiError::Spec)?;
    let sweep = submission::new_sweep(&state, spec, &principal).await?;
    submitted(&state, sweep, key, StatusCode::CREATED).await
}

/// Stores a sweep, tells everyone, and shows it.
pub(super) async fn submitted(
    state: &ServerState,
    sweep: NewSweep,
    key: Option<IdempotencyKey>,
    status: StatusCode,
) -> ApiResult<Response> {
    let (now, principal, trials) = (state.clock.now(), sweep.principal.clone(), sweep.trials.len() as u64);
    let store = state.store.clone();
    let submitted = state.write(async move { store.sweep_create(sweep, key, now).await }).await?;
    let (id, replayed) = match submitted {
        Submitted::New(id) => (id, false),
        Submitted::Replayed(id) => (id, true),
    };
    if !replayed {
        tracing::info!(sweep = %id, %principal, "sweep submitted");
        state.work.wake(trials);
        state.events.counts_changed(id);
    }
    let detail = detail(state, id).await?;
    let mut response = (status, Json(detail)).into_response();
    let location = HeaderValue::from_str(&format!("/api/v1/sweeps/{id}"));
    let location = location.map_err(|error| ApiError::Stored(error.to_string()))?;
    response.headers_mut().insert(header::LOCATION, location);
    if replayed {
        response.headers_mut().insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The key of a request, with the hash of what it is the key of.
pub(super) fn idempotency_key(
    headers: &HeaderMap,
    principal: &str,
    request: &[&[u8]],
) -> ApiResult<Option<IdempotencyKey>> {
    let Some(value) = headers.get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    let expected =
        || format!("must be 1 to {} printable ASCII characters", limits::IDEMPOTENCY_KEY_MAX_CHARS);
    let key = value.to_str().map_err(|_| ApiError::parameter(IDEMPOTENCY_HEADER, expected(), ""))?;
    if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_MAX_CHARS {
        return Err(ApiError::parameter(IDEMPOTENCY_HEADER, expected(), &crate::extract::shown(key)));
    }
    let mut hasher = blake3::Hasher::new();
    for part in request {
        hasher.update(part);
    }
    let body_hash = hasher.finalize().to_hex().to_string();
    Ok(Some(IdempotencyKey { principal: principal.to_owned(), key: key.to_owned(), body_hash }))
}

/// A sweep in full.
pub(super) async fn detail(state: &ServerState, id: SweepId) -> ApiResult<SweepDetail> {
    let store = &state.store;
    let (record, conditions, amendments) =
        tokio::try_join!(store.sweep_get(id), store.sweep_conditions(id), store.sweep_amendments(id))?;
    let waiting_for = waiting_for(state, &record).await?;
    let detail = convert::sweep_detail(&record, conditions, amendments, state.clock.now());
    Ok(SweepDetail { waiting_for, ..detail })
}

/// What a sweep's queued trials wait for, when no worker heard of lately can take them.
async fn waiting_for(state: &ServerState, sweep: &SweepRecord) -> ApiResult<Option<String>> {
    if sweep.paused || sweep.counts.of(TrialState::Queued) == 0 {
        return Ok(None);
    }
    let now = state.clock.now();
    let workers = state.store.worker_list().await?;
    let alive = workers.into_iter().filter(|worker| convert::is_alive(worker, now));
    let alive: Vec<Abilities> = alive.map(|worker| worker.seen.abilities).collect();
    Ok(sweep.control.needs.missing(&alive))
}

/// Which page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Items at the most, 1 to 500; 50 unless given.
    #[param(required = false, minimum = 1, maximum = 500)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<SweepId>,
    /// `true` also lists the sweeps that re-run trials of others; `false` unless given.
    #[param(required = false)]
    verifications: bool,
}

impl FromQuery for PageQuery {
    const NAMES: &'static [&'static str] = &["limit", "cursor", "verifications"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let flags = [("true", true), ("false", false)];
        Ok(Self {
            limit: params.limit()?,
            cursor: Cursor::read('s', params)?,
            verifications: params.choice("verifications", &flags)?.unwrap_or(false),
        })
    }
}

/// List sweeps, newest first
#[utoipa::path(
    get, path = "/api/v1/sweeps", tag = "sweeps", params(PageQuery),
    responses((status = 200, description = "One page.", body = SweepPage), BadParameter)
)]
pub(crate) async fn sweep_list(
    State(state): State<ServerState>,
    Parameters(query): Parameters<PageQuery>,
) -> ApiResult<Json<SweepPage>> {
    let page = state.store.sweep_list(query.cursor, query.verifications, query.limit).await?;
    let now = state.clock.now();
    let items = page.items.iter().map(|record| convert::sweep_row(record, now)).collect();
    Ok(Json(SweepPage { items, next_cursor: page.next.map(|id| Cursor::write('s', id)) }))
}

/// Show a sweep
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "The sweep.", body = SweepDetail), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_get(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepDetail>> {
    Ok(Json(detail(&state, id).await?))
}

/// Acts on a whole sweep.
pub(super) async fn steer(
    state: ServerState,
    principal: Principal,
    id: SweepId,
    steer: Steer,
) -> ApiResult<Json<SweepAction>> {
    let (store, now) = (state.store.clone(), state.clock.now());
    let Principal(who) = principal;
    let audited = who.clone();
    let steered = state.write(async move { store.sweep_steer(id, steer, &audited, now).await }).await?;
    tracing::info!(sweep = %id, principal = %who, ?steer, changed = steered.changed, "sweep steered");
    if matches!(steer, Steer::Resume | Steer::Retry) {
        // A sweep that goes on may have any number of trials to claim.
        state.work.wake(u64::MAX);
        state.ended.notify_one();
    }
    state.events.counts_changed(id);
    Ok(Json(SweepAction { changed: steered.changed, pending: steered.pending }))
}

/// Pause a sweep: no new trial starts
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/pause", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "What changed.", body = SweepAction), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_pause(
    State(state): State<ServerState>,
    principal: Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepAction>> {
    steer(state, principal, id, Steer::Pause).await
}

/// Resume a paused sweep
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/resume", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "What changed.", body = SweepAction), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_resume(
    State(state): State<ServerState>,
    principal: Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepAction>> {
    steer(state, principal, id, Steer::Resume).await
}

/// Cancel a sweep: waiting trials end, running ones are told
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/cancel", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "What changed.", body = SweepAction), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_cancel(
    State(state): State<ServerState>,
    principal: Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepAction>> {
    steer(state, principal, id, Steer::Cancel).await
}

/// Queue failed, dead and cancelled trials again
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/retry", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "What changed.", body = SweepAction), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_retry(
    State(state): State<ServerState>,
    principal: Principal,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<SweepAction>> {
    steer(state, principal, id, Steer::Retry).await
}
