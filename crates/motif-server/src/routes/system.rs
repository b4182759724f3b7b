//! Health, Prometheus, the API's description.

use std::fmt::Write as _;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use motif_sweep::lifecycle::TrialState;
use motif_wire::{PROTOCOL_VERSION, sweeps::StateCounts, system::Health};

use crate::{
    convert, error::ApiResult, extract::Parameters, limits, openapi::openapi_json, state::ServerState,
};

fn health(status: &str, reason: Option<String>) -> Health {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Health { status: status.to_owned(), version, protocol: PROTOCOL_VERSION, reason }
}

/// Tell whether the process runs
#[utoipa::path(
    get, path = "/healthz", tag = "system",
    responses((status = 200, description = "It runs.", body = Health))
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(health("ok", None))
}

/// Tell whether the server can do its work
#[utoipa::path(
    get, path = "/readyz", tag = "system",
    responses(
        (status = 200, description = "It can.", body = Health),
        (status = 503, description = "It cannot: the store cannot be written, or the server is ending.", body = Health),
    )
)]
pub(crate) async fn readyz(State(state): State<ServerState>) -> Response {
    if state.shutdown.is_cancelled() {
        let reason = "the server is ending".to_owned();
        return (StatusCode::SERVICE_UNAVAILABLE, Json(health("unavailable", Some(reason)))).into_response();
    }
    match state.store.ready().await {
        Ok(()) => Json(health("ok", None)).into_response(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
            let reason = "the store cannot be written".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, Json(health("unavailable", Some(reason)))).into_response()
        }
    }
}

/// Describe this API
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "system",
    responses((status = 200, description = "An OpenAPI document.", content_type = "application/json", body = String))
)]
pub(crate) async fn openapi_document(Parameters(()): Parameters<()>) -> ApiResult<Response> {
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((media_type, openapi_json()).into_response())
}

/// Export figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "system",
    responses((status = 200, description = "Prometheus text.", content_type = "text/plain", body = String))
)]
pub(crate) async fn metrics(
    State(state): State<ServerState>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Response> {
    let now = state.clock.now();
    let (trials, sweeps) = totals(&state).await?;
    let workers = state.store.worker_list().await?;
    let alive = workers.iter().filter(|worker| convert::is_alive(worker, now)).count();
    let mut text = String::new();
    family(&mut text, "motif_trials", "gauge", "Trials by state.");
    let mut trials = trials;
    for trial_state in TrialState::ALL {
        let count = *trials.of_mut(trial_state);
        let _ = writeln!(text, "motif_trials{{state=\"{}\"}} {count}", trial_state.name());
    }
    family(&mut text, "motif_sweeps", "gauge", "Sweeps.");
    let _ = writeln!(text, "motif_sweeps {sweeps}");
    family(&mut text, "motif_workers_alive", "gauge", "Workers heard of within one lease.");
    let _ = writeln!(text, "motif_workers_alive {alive}");
    family(&mut text, "motif_http_requests_total", "counter", "Requests answered.");
    for ((method, status), count) in state.counters.requests() {
        let _ =
            writeln!(text, "motif_http_requests_total{{method=\"{method}\",status=\"{status}\"}} {count}");
    }
    let (looks, reaped) = state.counters.reaper();
    family(&mut text, "motif_reaper_looks_total", "counter", "Rounds of the reaper.");
    let _ = writeln!(text, "motif_reaper_looks_total {looks}");
    family(&mut text, "motif_leases_reaped_total", "counter", "Leases taken back.");
    let _ = writeln!(text, "motif_leases_reaped_total {reaped}");
    let media_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

async fn totals(state: &ServerState) -> ApiResult<(StateCounts, u64)> {
    let (mut counts, mut sweeps, mut before) = (StateCounts::default(), 0, None);
    loop {
        let page = state.store.sweep_list(before, true, limits::PAGE_MAX_ITEMS).await?;
        for record in &page.items {
            sweeps += 1;
            for trial_state in TrialState::ALL {
                *counts.of_mut(trial_state) += record.counts.of(trial_state);
            }
        }
        before = page.next;
        if before.is_none() {
            return Ok((counts, sweeps));
        }
    }
}
