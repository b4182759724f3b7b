//! Trials: a sweep's list, detail, logged points, attempts.

use axum::{Json, extract::State};
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::TrialState,
};
use motif_wire::{
    metrics::TrialMetrics,
    trials::{AttemptRow, TrialDetail, TrialPage},
};
use utoipa::IntoParams;

use super::{BadParameter, NoSuch};
use crate::{
    convert,
    error::ApiResult,
    extract::{Cursor, FromQuery, Id, Parameters, Params},
    state::ServerState,
};

/// Which trials.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TrialQuery {
    /// Only trials in this state.
    #[param(value_type = Option<String>)]
    state: Option<TrialState>,
    /// Items at the most, 1 to 500; 50 unless given.
    #[param(required = false, minimum = 1, maximum = 500)]
    limit: u32,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<u64>,
}

impl FromQuery for TrialQuery {
    const NAMES: &'static [&'static str] = &["state", "limit", "cursor"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let states = TrialState::ALL.map(|state| (state.name(), state));
        Ok(Self {
            state: params.choice("state", &states)?,
            limit: params.limit()?,
            cursor: Cursor::read('t', params)?,
        })
    }
}

/// List a sweep's trials in queue order
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/trials", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), TrialQuery),
    responses((status = 200, description = "One page.", body = TrialPage), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_trials(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<TrialQuery>,
) -> ApiResult<Json<TrialPage>> {
    let from = query.cursor.unwrap_or(0);
    let (sweep, page) = tokio::try_join!(
        state.store.sweep_get(id),
        state.store.trial_list(id, query.state, from, query.limit)
    )?;
    let items = page.items.iter().map(|trial| convert::trial_row(trial, &sweep.metric)).collect();
    Ok(Json(TrialPage { items, next_cursor: page.next.map(|key| Cursor::write('t', key)) }))
}

/// Show a trial
#[utoipa::path(
    get, path = "/api/v1/trials/{id}", tag = "trials", params(("id" = uuid::Uuid, Path, description = "The trial.")),
    responses((status = 200, description = "The trial.", body = TrialDetail), BadParameter, NoSuch)
)]
pub(crate) async fn trial_get(
    State(state): State<ServerState>,
    Id(id): Id<TrialId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<TrialDetail>> {
    let trial = state.store.trial_get(id).await?;
    let (sweep, condition, attempts) = tokio::try_join!(
        state.store.sweep_get(trial.sweep_id),
        state.store.trial_condition(id),
        state.store.trial_attempts(id)
    )?;
    convert::trial_detail(&trial, &sweep.metric, condition, attempts).map(Json)
}

/// Show what a trial's newest attempt has logged
#[utoipa::path(
    get, path = "/api/v1/trials/{id}/metrics", tag = "trials", params(("id" = uuid::Uuid, Path, description = "The trial.")),
    responses((status = 200, description = "The points.", body = TrialMetrics), BadParameter, NoSuch)
)]
pub(crate) async fn trial_metrics(
    State(state): State<ServerState>,
    Id(id): Id<TrialId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<TrialMetrics>> {
    let (attempt, points) = state.store.trial_points(id).await?;
    let points = points.into_iter().map(convert::metric_point).collect();
    Ok(Json(TrialMetrics { trial_id: id.0, attempt, points }))
}

/// List a trial's attempts, oldest first
#[utoipa::path(
    get, path = "/api/v1/trials/{id}/attempts", tag = "trials", params(("id" = uuid::Uuid, Path, description = "The trial.")),
    responses((status = 200, description = "The attempts.", body = [AttemptRow]), BadParameter, NoSuch)
)]
pub(crate) async fn trial_attempts(
    State(state): State<ServerState>,
    Id(id): Id<TrialId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Vec<AttemptRow>>> {
    let attempts = state.store.trial_attempts(id).await?;
    Ok(Json(attempts.into_iter().map(convert::attempt_row).collect()))
}
