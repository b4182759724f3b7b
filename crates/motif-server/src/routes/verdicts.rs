//! What a sweep's trials say of its claims.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use motif_sweep::{ids::SweepId, plan::Condition, spec::SweepSpec};
use motif_wire::verdicts::Verdicts;

use super::{
    BadParameter, NoSuch,
    statistics::{compute, material},
};
use crate::{
    error::{ApiError, ApiResult},
    extract::{Id, Parameters},
    state::ServerState,
    statistics,
};

/// Answer a sweep's claims
///
/// Each claim of the spec is supported, not supported or undecided, by the interval of its effect over the seeds. Before
/// all trials have ended the answers are preliminary (`complete` is false).
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/verdicts", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "One row per test.", body = Verdicts), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_verdicts(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Verdicts>> {
    let material = material(&state, id).await?;
    let stored = |error: String| ApiError::Stored(format!("the spec of sweep {id} cannot be read: {error}"));
    let spec =
        SweepSpec::from_json(material.sweep.spec.clone()).map_err(|errors| stored(errors.to_string()))?;
    let conditions: Result<Vec<Condition>, _> = material
        .conditions
        .iter()
        .map(|condition| {
            Ok(Condition {
                index: condition.index,
                label: condition.label.clone(),
                axes: condition.axes.clone(),
                config: serde_json::from_value(condition.config.clone())?,
            })
        })
        .collect();
    let conditions = conditions.map_err(|error: serde_json::Error| stored(error.to_string()))?;
    let logged = state.store.sweep_metric_names(id).await?;
    let mut curves = BTreeMap::new();
    for name in statistics::curves_needed(&spec.claims, &material.sweep.metric, &logged) {
        let samples = state.store.sweep_curve(id, &name).await?;
        curves.insert(name, samples);
    }
    compute(move || Ok(Json(statistics::verdicts(&material, &spec, &conditions, &curves)))).await
}
