//! Checkpoints of attempts: saving one, fetching the trial's newest, going on from it.

use axum::{
    Json,
    body::Body as Bytes,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use motif_store::records::CheckpointRecord;
use motif_wire::work::{Checkpoint, MetricsReply, Resume};
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;

use super::{BadParameter, NoSuch, Stale, TooLarge};
use crate::{
    convert,
    error::{ApiError, ApiResult},
    extract::{Body, FromQuery, LeaseFence, Parameters, Params, shown},
    folders::HASH_DIGITS,
    state::ServerState,
};

/// What is saved.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckpointQuery {
    /// Minibatches done.
    step: u64,
    /// The attempt's points below this `seq` were logged up to this step; they must have been sent.
    points: u64,
    /// Hex BLAKE3 that the bytes must have.
    blake3: String,
}

impl FromQuery for CheckpointQuery {
    const NAMES: &'static [&'static str] = &["step", "points", "blake3"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let number = |name| {
            let expected = format!("a whole number from 0 to {}", i64::MAX);
            let value: i64 = params.parsed(name, &expected)?.unwrap_or(-1);
            let found = params.text(name).unwrap_or_default();
            u64::try_from(value)
                .map_err(|_| ApiError::parameter(name, format!("must be {expected}"), &shown(found)))
        };
        let blake3 = params.text("blake3").unwrap_or_default();
        check_hash("blake3", blake3)?;
        Ok(Self { step: number("step")?, points: number("points")?, blake3: blake3.to_owned() })
    }
}

pub(super) fn check_hash(field: &str, hash: &str) -> ApiResult<()> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if hash.len() == HASH_DIGITS && hash.bytes().all(digit) {
        return Ok(());
    }
    let message = format!("must be {HASH_DIGITS} hexadecimal digits in lower case");
    Err(ApiError::parameter(field, message, &shown(hash)))
}

/// Save a checkpoint
///
/// The reply is the trial's newest checkpoint: another one than was sent when that is of a later step.
#[utoipa::path(
    put, path = "/api/v1/attempts/{id}/checkpoint", tag = "work",
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token."), CheckpointQuery),
    request_body(content = inline(super::datasets::CanonicalBytes), content_type = "application/octet-stream", description = "The checkpoint's bytes."),
    responses((status = 200, description = "The trial's newest checkpoint.", body = Checkpoint), BadParameter, NoSuch, Stale, TooLarge)
)]
pub(crate) async fn attempt_checkpoint_save(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(query): Parameters<CheckpointQuery>,
    request: Request,
) -> ApiResult<Json<Checkpoint>> {
    let permit = state.limits.attempt_uploads.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::Busy("checkpoints"))?;
    // A stale lease is not to fill the disk; that it still holds is checked again with the row.
    state.store.attempt_checkpoint_held(fence).await?;
    let received = state.folders.checkpoints.receive_as(request.into_body(), Some(&query.blake3)).await?;
    let record = CheckpointRecord {
        step: query.step,
        points: query.points,
        hash: query.blake3,
        bytes: received.bytes,
    };
    let (store, now, folder) = (state.store.clone(), state.clock.now(), state.folders.checkpoints.clone());
    let write = async move {
        let _held = permit;
        let _files = folder.lock().await;
        folder.keep(received).await?;
        store.attempt_checkpoint(fence, record, now).await.map_err(ApiError::from)
    };
    Ok(Json(convert::checkpoint(state.write(write).await?)))
}

/// Fetch the newest checkpoint of the lease's trial
///
/// One whose file is missing or damaged is forgotten, and answered 404: begin at 0.
#[utoipa::path(
    get, path = "/api/v1/attempts/{id}/checkpoint", tag = "work",
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "The bytes.", content_type = "application/octet-stream", body = inline(super::datasets::CanonicalBytes)), BadParameter, NoSuch, Stale)
)]
pub(crate) async fn attempt_checkpoint_content(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
) -> ApiResult<Response> {
    let files = state.folders.checkpoints.lock().await;
    let Some(record) = state.store.attempt_checkpoint_held(fence).await? else {
        return Err(ApiError::NotFound("this trial has no checkpoint: begin at 0".into()));
    };
    let Some(file) = state.folders.checkpoints.whole(&record.hash).await? else {
        tracing::warn!(hash = %record.hash, "a checkpoint's file is missing or damaged: it is forgotten");
        let store = state.store.clone();
        let forget = async move {
            let _files = files;
            store.checkpoint_forget(record.hash).await
        };
        state.write(forget).await?;
        return Err(ApiError::NotFound("this trial's checkpoint is damaged: begin at 0".into()));
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(record.bytes)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let stream = ReaderStream::new(tokio::fs::File::from_std(file));
    Ok((headers, Bytes::from_stream(stream)).into_response())
}

/// Go on from a checkpoint
///
/// To be called once its bytes are there and usable, before anything is logged: the attempt then begins with the points
/// before it. An attempt that does not call this begins at 0.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/resume", tag = "work", request_body = Resume,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "What the server has.", body = MetricsReply), BadParameter, NoSuch, Stale)
)]
pub(crate) async fn attempt_resume(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(resume): Body<Resume>,
) -> ApiResult<Json<MetricsReply>> {
    check_hash("hash", &resume.hash)?;
    let (store, now) = (state.store.clone(), state.clock.now());
    let write = async move { store.attempt_resume(fence, resume.hash, now).await };
    let (next_seq, moved) = state.write(write).await?;
    Ok(Json(MetricsReply { next_seq, stop: moved.stop }))
}
