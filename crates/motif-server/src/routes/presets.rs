//! Sweeps that come with Motif.

use axum::Json;
use motif_sweep::presets;
use motif_wire::sweeps::PresetRow;

use crate::{
    error::{ApiError, ApiResult},
    extract::Parameters,
};

/// List the built-in sweeps
#[utoipa::path(
    get, path = "/api/v1/presets", tag = "sweeps",
    responses((status = 200, description = "The presets.", body = [PresetRow]))
)]
pub(crate) async fn preset_list(Parameters(()): Parameters<()>) -> ApiResult<Json<Vec<PresetRow>>> {
    let rows = presets::all().iter().map(|preset| {
        let plan = preset.spec.plan().map_err(|errors| {
            ApiError::Stored(format!("the preset {} cannot be planned: {errors}", preset.name))
        })?;
        Ok(PresetRow {
            name: preset.name.to_owned(),
            summary: preset.summary.clone(),
            spec: preset.spec.to_json(),
            conditions: u32::try_from(plan.conditions.len()).unwrap_or(u32::MAX),
            trials: plan.trials.len() as u64,
        })
    });
    rows.collect::<ApiResult<_>>().map(Json)
}
