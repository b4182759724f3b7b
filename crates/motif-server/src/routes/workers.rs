//! Workers, as the server last heard of them.

use axum::{Json, extract::State};
use motif_wire::system::WorkerRow;

use crate::{convert, error::ApiResult, extract::Parameters, state::ServerState};

/// List workers, most recently heard of first
#[utoipa::path(
    get, path = "/api/v1/workers", tag = "workers",
    responses((status = 200, description = "The workers.", body = [WorkerRow]))
)]
pub(crate) async fn worker_list(
    State(state): State<ServerState>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Vec<WorkerRow>>> {
    let now = state.clock.now();
    let workers = state.store.worker_list().await?;
    Ok(Json(workers.into_iter().map(|worker| convert::worker_row(worker, now)).collect()))
}
