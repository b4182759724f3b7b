//! Snapshots: files that attempts hand over, such as weights before and after training.

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use motif_store::records::SnapshotRecord;
use motif_sweep::ids::TrialId;
use motif_wire::trials::Snapshot;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;

use super::{BadParameter, NoSuch, Stale, TooLarge, checkpoints::check_hash};
use crate::{
    convert,
    error::{ApiError, ApiResult},
    extract::{FileName, FromQuery, Id, LeaseFence, Parameters, Params},
    state::ServerState,
};

/// What the bytes must be.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotQuery {
    /// Hex BLAKE3 that the bytes must have; not checked unless given.
    blake3: Option<String>,
}

impl FromQuery for SnapshotQuery {
    const NAMES: &'static [&'static str] = &["blake3"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let blake3 = params.text("blake3").map(str::to_owned);
        blake3.as_deref().map_or(Ok(()), |hash| check_hash("blake3", hash))?;
        Ok(Self { blake3 })
    }
}

/// Hand over a snapshot
///
/// The same bytes under the same name are there once; other bytes are a conflict.
#[utoipa::path(
    put, path = "/api/v1/attempts/{id}/snapshots/{file}", tag = "work",
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("file" = String, Path, description = "The snapshot's name, such as `step-000000.npz`: 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`, beginning with a letter or digit."), ("motif-lease" = String, Header, description = "The lease's token."), SnapshotQuery),
    request_body(content = inline(super::datasets::CanonicalBytes), content_type = "application/octet-stream", description = "The file's bytes."),
    responses((status = 200, description = "What is stored.", body = Snapshot), BadParameter, NoSuch, Stale, TooLarge)
)]
pub(crate) async fn attempt_snapshot_save(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    FileName(name): FileName,
    Parameters(query): Parameters<SnapshotQuery>,
    request: Request,
) -> ApiResult<Json<Snapshot>> {
    let permit = state.limits.attempt_uploads.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::Busy("snapshots"))?;
    // A stale lease is not to fill the disk; that it still holds is checked again with the row.
    state.store.attempt_checkpoint_held(fence).await?;
    let folder = state.folders.snapshots.clone();
    let received = folder.receive_as(request.into_body(), query.blake3.as_deref()).await?;
    let record = SnapshotRecord { name, hash: received.hash.clone(), bytes: received.bytes };
    let (store, now, stored) = (state.store.clone(), state.clock.now(), record.clone());
    let write = async move {
        let _held = permit;
        let _files = folder.lock().await;
        folder.keep(received).await?;
        store.attempt_snapshot(fence, record, now).await.map_err(ApiError::from)
    };
    state.write(write).await?;
    Ok(Json(convert::snapshot(stored)))
}

/// List the snapshots of a trial's newest attempt
#[utoipa::path(
    get, path = "/api/v1/trials/{id}/snapshots", tag = "trials", params(("id" = uuid::Uuid, Path, description = "The trial.")),
    responses((status = 200, description = "The snapshots, by name.", body = [Snapshot]), BadParameter, NoSuch)
)]
pub(crate) async fn trial_snapshots(
    State(state): State<ServerState>,
    Id(id): Id<TrialId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Vec<Snapshot>>> {
    let snapshots = state.store.trial_snapshots(id).await?;
    Ok(Json(snapshots.into_iter().map(convert::snapshot).collect()))
}

/// Fetch a snapshot of a trial's newest attempt
#[utoipa::path(
    get, path = "/api/v1/trials/{id}/snapshots/{file}", tag = "trials",
    params(("id" = uuid::Uuid, Path, description = "The trial."), ("file" = String, Path, description = "The snapshot's name.")),
    responses((status = 200, description = "The file's bytes.", content_type = "application/octet-stream", body = inline(super::datasets::CanonicalBytes)), BadParameter, NoSuch)
)]
pub(crate) async fn trial_snapshot_content(
    State(state): State<ServerState>,
    Id(id): Id<TrialId>,
    FileName(name): FileName,
    Parameters(()): Parameters<()>,
) -> ApiResult<Response> {
    let snapshots = state.store.trial_snapshots(id).await?;
    let Some(record) = snapshots.iter().find(|snapshot| snapshot.name == name) else {
        let known: Vec<_> = snapshots.iter().map(|snapshot| snapshot.name.as_str()).collect();
        let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ApiError::NotFound(format!("no snapshot {name} of this trial; there are: {there}")));
    };
    let Some(file) = state.folders.snapshots.whole(&record.hash).await? else {
        return Err(ApiError::NotFound(format!(
            "the snapshot {name} is missing or damaged on the server's disk"
        )));
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(record.bytes)),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)))).into_response())
}
