//! JSON bodies: bounded in size and time, refused with the path of the field that is wrong.

mod strict;

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{nearest, shown};
use crate::{
    error::{ApiError, ApiResult, field_error},
    limits,
};

async fn read(request: Request) -> ApiResult<Bytes> {
    check_media_type(request.headers())?;
    let reading = axum::body::to_bytes(request.into_body(), limits::JSON_BODY_MAX_BYTES);
    let limit = Duration::from_secs(limits::JSON_BODY_READ_TIMEOUT_S);
    match tokio::time::timeout(limit, reading).await {
        Err(_) => Err(ApiError::Slow),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            if source.is_some_and(|text| text.contains("length limit")) {
                return Err(ApiError::TooLarge { max_bytes: limits::JSON_BODY_MAX_BYTES as u64 });
            }
            tracing::debug!(error = &error as &dyn std::error::Error, "a body was not read");
            Err(ApiError::Body(vec![field_error("", "the body broke off", None, None)]))
        }
    }
}

/// A body that says nothing of its type is taken for JSON; one that says it is something else is believed.
fn check_media_type(headers: &HeaderMap) -> ApiResult<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.contains('/') && essence.ends_with("+json"));
    if is_json { Ok(()) } else { Err(ApiError::MediaType(shown(&text))) }
}

/// Extracts a body of a known type.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        parse(&read(request).await?).map(Self)
    }
}

/// Extracts a body of any JSON in which no object has a key twice, with its bytes.
pub(crate) struct RawJson {
    pub(crate) bytes: Bytes,
    pub(crate) value: Value,
}

impl RawJson {
    /// The body as a known type.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> ApiResult<T> {
        parse(&self.bytes)
    }
}

impl<S: Send + Sync> FromRequest<S> for RawJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> ApiResult<Self> {
        let bytes = read(request).await?;
        let strict::Strict(value) = parse(&bytes)?;
        Ok(Self { bytes, value })
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        wrong(bytes, if path == "." { String::new() } else { path }, &error.into_inner())
    })?;
    json.end().map_err(|error| wrong(bytes, String::new(), &error))?;
    Ok(value)
}

/// How serde's message of a repeated key begins.
const DUPLICATE: &str = "duplicate field";

fn wrong(bytes: &[u8], path: String, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if error.is_syntax() || error.is_eof() {
        let message = if bytes.is_empty() {
            "the body is empty: JSON is expected".to_owned()
        } else {
            format!("not JSON: {text}")
        };
        return ApiError::Body(vec![field_error("", message, None, None)]);
    }
    // serde appends a position that says less than the path does.
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (field, suggestion) = match quoted.next() {
        Some(name) if message.starts_with("unknown field") => {
            let suggestion = nearest(name, quoted);
            (with_last(&path, name), suggestion)
        }
        Some(name) if message.starts_with("missing field") => (with_last(&path, name), None),
        Some(name) if message.starts_with(DUPLICATE) => (with_last(&path, name), None),
        Some(name) if message.starts_with("unknown variant") => (path, nearest(name, quoted)),
        _ => (path, None),
    };
    let value = found(bytes, &field);
    let message = if message.starts_with(DUPLICATE) {
        "this key is given twice in one object".to_owned()
    } else {
        message
    };
    ApiError::Body(vec![field_error(field, message, value, suggestion)])
}

/// The path, ending with the name of the key to blame.
fn with_last(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The value at a path such as `points[3].seq`, as JSON text.
fn found(bytes: &[u8], path: &str) -> Option<String> {
    let root: Value = serde_json::from_slice(bytes).ok()?;
    let mut value = &root;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        value = match part.strip_suffix(']') {
            Some(index) => value.get(index.parse::<usize>().ok()?)?,
            None => value.get(part)?,
        };
    }
    Some(shown(&value.to_string()))
}

#[cfg(test)]
mod tests {
    use motif_wire::work::{ClaimRequest, MetricsBatch};

    use super::*;

    fn error<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> motif_wire::problem::FieldError {
        match parse::<T>(body.as_bytes()) {
            Err(ApiError::Body(mut errors)) => errors.remove(0),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_field_value_and_the_nearest_name() {
        let batch =
            error::<MetricsBatch>(r#"{"points": [{"seq": -1, "step": 0, "epoch": 0, "values": {}}]}"#);
        assert_eq!(batch.field, "points[0].seq");
        assert_eq!(batch.value.as_deref(), Some("-1"));
        let unknown = error::<MetricsBatch>(r#"{"pionts": []}"#);
        assert_eq!((unknown.field.as_str(), unknown.suggestion.as_deref()), ("pionts", Some("points")));
        let missing = error::<ClaimRequest>(r#"{"secret": "x"}"#);
        assert!(missing.message.starts_with("missing field"), "{missing:?}");
    }

    #[test]
    fn text_that_is_not_json_is_said_to_be_so() {
        assert!(error::<Value>("").message.contains("empty"));
        assert!(error::<Value>("{\"a\": 1").message.contains("not JSON"));
        assert!(error::<Value>("{} {}").message.contains("not JSON"));
    }
}
