//! Which swept keys matter.

use axum::{Json, extract::State};
use motif_sweep::ids::SweepId;
use motif_wire::{
    effects::{Anova, Importance},
    statistics::DivergedPolicy,
};
use utoipa::IntoParams;

use super::{
    BadParameter, NoSuch,
    statistics::{POLICIES, compute, lean},
};
use crate::{
    error::ApiResult,
    extract::{FromQuery, Id, Parameters, Params},
    state::ServerState,
    statistics,
};

/// Which metric, and what happens to diverged trials.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EffectsQuery {
    /// The metric; the sweep's own unless given.
    metric: Option<String>,
    /// `exclude` (default) leaves diverged trials out; `worst` gives them the sweep's worst value.
    #[param(required = false)]
    diverged: DivergedPolicy,
}

impl FromQuery for EffectsQuery {
    const NAMES: &'static [&'static str] = &["metric", "diverged"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let diverged = params.choice("diverged", &POLICIES)?.unwrap_or_default();
        Ok(Self { metric: params.text("metric").map(str::to_owned), diverged })
    }
}

/// Analyse the variance over the swept axes
///
/// Main effects and two-way interactions of the crossed conditions, with seeds as complete blocks. Where there is no whole
/// grid the answer says why in `refused`.
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/anova", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), EffectsQuery),
    responses((status = 200, description = "The table, or why there is none.", body = Anova), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_anova(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<EffectsQuery>,
) -> ApiResult<Json<Anova>> {
    let lean = lean(&state, id, query.metric).await?;
    compute(move || Ok(Json(statistics::anova(&lean.material, &lean.metric, query.diverged)))).await
}

/// Find how much each swept key matters
///
/// The share of the variance between conditions that each key explains by itself: by analysis of variance where the
/// conditions are a whole grid, else by functional analysis of variance over a forest of regression trees. R² out of
/// sample says whether the shares mean anything.
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/importance", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), EffectsQuery),
    responses((status = 200, description = "The shares, or why there are none.", body = Importance), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_importance(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<EffectsQuery>,
) -> ApiResult<Json<Importance>> {
    let lean = lean(&state, id, query.metric).await?;
    compute(move || Ok(Json(statistics::importance(&lean.material, &lean.metric, query.diverged)))).await
}
