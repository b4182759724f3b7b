//! JSON Schemas of what is submitted. They are open: an editor that checks a file while it is written has no token, and
//! they say nothing that the source does not.

use axum::{
    Json,
    http::{HeaderValue, header},
    response::IntoResponse,
};
use motif_sweep::schema;
use serde_json::Value;

use crate::extract::Parameters;

/// Get the JSON Schema of a sweep
#[utoipa::path(
    get, path = "/api/v1/schema/sweep.json", tag = "system",
    responses((status = 200, description = "The schema, draft 2020-12.", body = Object, content_type = "application/schema+json"))
)]
pub(crate) async fn schema_sweep(Parameters(()): Parameters<()>) -> impl IntoResponse {
    published(schema::sweep())
}

/// Get the JSON Schema of a trial
#[utoipa::path(
    get, path = "/api/v1/schema/trial.json", tag = "system",
    responses((status = 200, description = "The schema, draft 2020-12.", body = Object, content_type = "application/schema+json"))
)]
pub(crate) async fn schema_trial(Parameters(()): Parameters<()>) -> impl IntoResponse {
    published(schema::trial())
}

fn published(schema: &'static Value) -> impl IntoResponse {
    let media_type = HeaderValue::from_static("application/schema+json");
    ([(header::CONTENT_TYPE, media_type)], Json(schema))
}
