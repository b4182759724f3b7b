//! The dashboard's static files, embedded in the binary. They need no token: they hold no data.

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::ApiError;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
struct Files;

/// The page of the single-page dashboard.
const INDEX: &str = "index.html";
/// The folder whose files carry a hash of their content in their names.
const HASHED_FOLDER: &str = "assets/";

/// The page of a bundle, without data: it is built beside the dashboard, into the same folder.
const BUNDLE_PAGE: &str = "bundle/index.html";

/// The page of a bundle, with marks where its data go; nothing when the dashboard is not built into this binary.
#[must_use]
pub fn bundle_page() -> Option<String> {
    String::from_utf8(Files::get(BUNDLE_PAGE)?.data.into_owned()).ok()
}

/// `/docs` is a page of the dashboard.
pub(crate) async fn docs() -> Redirect {
    Redirect::temporary("/#/docs")
}

/// Everything that is no operation: a file of the dashboard, or 404.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return ApiError::NotFound(format!("there is no operation at {path}")).into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return ApiError::Method(method).into_response();
    }
    let name = if path == "/" { INDEX } else { path.trim_start_matches('/') };
    match Files::get(name) {
        Some(file) => response(name, file, &headers),
        None => ApiError::NotFound(format!("there is nothing at {path}")).into_response(),
    }
}

fn response(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let cache =
        if name.starts_with(HASHED_FOLDER) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let media_type = HeaderValue::from_str(file.metadata.mimetype());
    let media_type = media_type.unwrap_or_else(|_| HeaderValue::from_static("application/octet-stream"));
    let fresh =
        known.is_some_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag));
    let Ok(tag) = HeaderValue::from_str(&tag) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::ETAG, tag),
        (header::CONTENT_TYPE, media_type),
    ];
    if fresh {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, file.data).into_response()
    }
}
