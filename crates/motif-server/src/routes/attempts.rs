//! What a lease's holder reports. Each call is one call of the store; a stale lease changes nothing.

use axum::{Json, extract::State};
use motif_store::records::Fence;
use motif_wire::{
    metrics::MetricPoint,
    system::LiveEvent,
    trials::TrialReport,
    work::{
        Completion, Failure, Heartbeat, HeartbeatReply, MetricsBatch, MetricsReply, Release, ReportReply,
    },
};

use super::{BadParameter, NoSuch, Stale, TooLarge};
use crate::{
    convert,
    error::{ApiError, ApiResult},
    extract::{Body, LeaseFence, Parameters, shown},
    folders::HASH_DIGITS,
    limits, reaper,
    state::ServerState,
};

/// Extend a lease
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/heartbeat", tag = "work", request_body = Heartbeat,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "How long the lease lasts, and whether to stop.", body = HeartbeatReply), BadParameter, NoSuch, Stale)
)]
pub(crate) async fn attempt_heartbeat(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(beat): Body<Heartbeat>,
) -> ApiResult<Json<HeartbeatReply>> {
    let (store, now) = (state.store.clone(), state.clock.now());
    let write = async move { store.attempt_heartbeat(fence, beat.step, beat.total_steps, now).await };
    let moved = state.write(write).await?;
    state.events.send(LiveEvent::Progress {
        sweep_id: moved.sweep_id.0,
        trial_id: moved.trial_id.0,
        step: beat.step,
    });
    Ok(Json(HeartbeatReply { cancel: moved.cancel_requested, stop: moved.stop, lease_s: moved.lease_ttl_s }))
}

/// Add logged points
///
/// Points that are already there are ignored; the reply says from where to go on, and whether to stop early. The same
/// points again are answered the same.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/metrics", tag = "work", request_body = MetricsBatch,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "What the server has.", body = MetricsReply), BadParameter, NoSuch, Stale, TooLarge)
)]
pub(crate) async fn attempt_metrics(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(batch): Body<MetricsBatch>,
) -> ApiResult<Json<MetricsReply>> {
    check_points(&batch.points)?;
    let step = batch.points.last().map(|point| point.step);
    let points = batch.points.into_iter().map(convert::point_record).collect();
    let (store, now) = (state.store.clone(), state.clock.now());
    let (next_seq, moved) =
        state.write(async move { store.attempt_points(fence, points, now).await }).await?;
    if let Some(step) = step {
        let (sweep_id, trial_id) = (moved.sweep_id.0, moved.trial_id.0);
        state.events.send(LiveEvent::Progress { sweep_id, trial_id, step });
    }
    Ok(Json(MetricsReply { next_seq, stop: moved.stop }))
}

/// End a trial with its result
///
/// The same result again is answered 200, another one 409.
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/complete", tag = "work", request_body = Completion,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "Where the trial stands.", body = ReportReply), BadParameter, NoSuch, Stale, TooLarge)
)]
pub(crate) async fn attempt_complete(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(completion): Body<Completion>,
) -> ApiResult<Json<ReportReply>> {
    check_report(&completion.report)?;
    let finish = convert::finish(&completion.report);
    let (store, now) = (state.store.clone(), state.clock.now());
    let moved = state.write(async move { store.attempt_complete(fence, finish, now).await }).await?;
    state.moved(&moved);
    Ok(Json(ReportReply { state: moved.state }))
}

/// End an attempt with an error
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/fail", tag = "work", request_body = Failure,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "Where the trial stands.", body = ReportReply), BadParameter, NoSuch, Stale)
)]
pub(crate) async fn attempt_fail(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(failure): Body<Failure>,
) -> ApiResult<Json<ReportReply>> {
    let jitter = reaper::jitter(&state);
    let reason = cut(&failure.reason);
    let (store, now) = (state.store.clone(), state.clock.now());
    let write = async move { store.attempt_fail(fence, reason, failure.retryable, jitter, now).await };
    let moved = state.write(write).await?;
    state.moved(&moved);
    Ok(Json(ReportReply { state: moved.state }))
}

/// Give a trial back
#[utoipa::path(
    post, path = "/api/v1/attempts/{id}/release", tag = "work", request_body = Release,
    params(("id" = uuid::Uuid, Path, description = "The attempt."), ("motif-lease" = String, Header, description = "The lease's token.")),
    responses((status = 200, description = "Where the trial stands.", body = ReportReply), BadParameter, NoSuch, Stale)
)]
pub(crate) async fn attempt_release(
    State(state): State<ServerState>,
    LeaseFence(fence): LeaseFence,
    Parameters(()): Parameters<()>,
    Body(release): Body<Release>,
) -> ApiResult<Json<ReportReply>> {
    let moved = release_attempt(&state, fence, cut(&release.reason)).await?;
    Ok(Json(ReportReply { state: moved.state }))
}

async fn release_attempt(
    state: &ServerState,
    fence: Fence,
    reason: String,
) -> ApiResult<motif_store::records::Moved> {
    let (store, now) = (state.store.clone(), state.clock.now());
    let moved = state.write(async move { store.attempt_release(fence, reason, now).await }).await?;
    state.moved(&moved);
    Ok(moved)
}

/// A reason is for people: what is too long is cut, not refused.
fn cut(reason: &str) -> String {
    reason.chars().take(limits::REASON_MAX_CHARS).collect()
}

fn check_points(points: &[MetricPoint]) -> ApiResult<()> {
    if points.len() > limits::METRIC_POINTS_MAX {
        let message = format!("must hold at most {} points", limits::METRIC_POINTS_MAX);
        return Err(ApiError::rule("points", message, Some(points.len().to_string())));
    }
    for (index, point) in points.iter().enumerate() {
        let expected = points[0].seq.saturating_add(index as u64);
        if point.seq != expected {
            let message = format!("must be {expected}: seq rises by one");
            return Err(ApiError::rule(format!("points[{index}].seq"), message, Some(point.seq.to_string())));
        }
        if !(point.epoch >= 0.0 && point.epoch.is_finite()) {
            let message = "must be a number that is not negative";
            return Err(ApiError::rule(
                format!("points[{index}].epoch"),
                message,
                Some(point.epoch.to_string()),
            ));
        }
        check_values(&format!("points[{index}].values"), point.values.keys())?;
    }
    Ok(())
}

fn check_values<'a>(field: &str, names: impl ExactSizeIterator<Item = &'a String>) -> ApiResult<()> {
    if names.len() > limits::METRIC_VALUES_MAX {
        let message = format!("must hold at most {} values", limits::METRIC_VALUES_MAX);
        return Err(ApiError::rule(field, message, Some(names.len().to_string())));
    }
    for name in names {
        if name.is_empty() || name.chars().count() > limits::METRIC_NAME_MAX_CHARS {
            let message =
                format!("a metric's name must have 1 to {} characters", limits::METRIC_NAME_MAX_CHARS);
            return Err(ApiError::rule(field, message, Some(shown(name))));
        }
    }
    Ok(())
}

fn check_report(report: &TrialReport) -> ApiResult<()> {
    check_values("report.metrics", report.metrics.keys())?;
    let hash = &report.result_hash;
    if hash.len() != HASH_DIGITS || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let message = format!("must be {HASH_DIGITS} hexadecimal digits");
        return Err(ApiError::rule("report.result_hash", message, Some(shown(hash))));
    }
    check_stop(report)?;
    let times = [
        ("report.training_s", Some(report.training_s)),
        ("report.evaluation_s", report.evaluation_s),
        ("report.diagnostics_s", report.diagnostics_s),
        ("report.spectra_s", report.spectra_s),
    ];
    for (field, seconds) in times {
        if let Some(seconds) = seconds.filter(|seconds| !(*seconds >= 0.0 && seconds.is_finite())) {
            let message = "must be a number that is not negative";
            return Err(ApiError::rule(field, message, Some(seconds.to_string())));
        }
    }
    Ok(())
}

/// A trial that was stopped says where, in steps and in epochs, and did nothing else.
fn check_stop(report: &TrialReport) -> ApiResult<()> {
    let (Some(step), Some(epoch)) = (report.stopped_step, report.stopped_epoch) else {
        if report.stopped_step.is_none() && report.stopped_epoch.is_none() {
            return Ok(());
        }
        let message = "must be given together with report.stopped_step, or not at all";
        return Err(ApiError::rule("report.stopped_epoch", message, None));
    };
    if report.diverged_step.is_some() {
        let message = "must not be given with report.diverged_step: a trial has one end";
        return Err(ApiError::rule("report.stopped_step", message, Some(step.to_string())));
    }
    if step != report.steps {
        let message = format!("must be report.steps, {}", report.steps);
        return Err(ApiError::rule("report.stopped_step", message, Some(step.to_string())));
    }
    if !(epoch >= 0.0 && epoch.is_finite()) {
        let message = "must be a number that is not negative";
        return Err(ApiError::rule("report.stopped_epoch", message, Some(epoch.to_string())));
    }
    Ok(())
}
