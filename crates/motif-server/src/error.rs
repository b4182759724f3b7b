//! What a request can fail with, and what of it a client may see.
//!
//! Every variant states its status. Internal text (the store's, the disk's) is logged here, once, and never sent.

use std::error::Error;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use motif_data::LibraryError;
use motif_store::StoreError;
use motif_sweep::spec::SpecErrors;
use motif_wire::{
    PROTOCOL_VERSION,
    problem::{FieldError, PROBLEM_MEDIA_TYPE, Problem, ProblemCode},
};

/// What a request can fail with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// 400: the body is not the JSON that was expected.
    #[error("the body is not what is expected here")]
    Body(Vec<FieldError>),
    /// 400: a parameter of the query, the path or a header is wrong.
    #[error("a parameter is wrong")]
    Parameter(Vec<FieldError>),
    /// 422: the spec breaks a rule.
    #[error("the spec cannot be run as it is")]
    Spec(SpecErrors),
    /// 400: the body is understood and breaks a rule.
    #[error("the body breaks a rule")]
    Rule(Vec<FieldError>),
    /// 401: no token, or an unknown one.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: the token lacks a scope.
    #[error("this token lacks the scope `{needed}`; it has: {held}")]
    Forbidden {
        /// The scope that is missing.
        needed: &'static str,
        /// The scopes it has.
        held: String,
    },
    /// 404: no such thing.
    #[error("{0}")]
    NotFound(String),
    /// 405: the path exists, the method does not.
    #[error("this path does not take {0}")]
    Method(axum::http::Method),
    /// 408: the client was too slow.
    #[error("the request's body did not arrive in time")]
    Slow,
    /// 415: the body is of another media type.
    #[error("the body must be `application/json`, not `{0}`")]
    MediaType(String),
    /// 413: the body is too large.
    #[error("the body is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// 426: another protocol.
    #[error("the worker speaks protocol {worker}, this server {PROTOCOL_VERSION}: {}", older(*.worker))]
    Protocol {
        /// The worker's version.
        worker: u32,
    },
    /// 429: too much at once.
    #[error("too many {0} at once: try again in a moment")]
    Busy(&'static str),
    /// 503: it took too long.
    #[error("the request took too long and was given up")]
    Timeout,
    /// The store's answer; its status depends on what it is.
    #[error("the store did not do it")]
    Store(#[from] StoreError),
    /// The library's answer; its status depends on what it is.
    #[error("the dataset library did not do it")]
    Library(#[from] LibraryError),
    /// 503: a file of a dataset could not be read or written.
    #[error("a dataset's file could not be read or written")]
    DatasetFile(#[source] std::io::Error),
    /// 503: the file of a checkpoint or snapshot could not be read or written.
    #[error("a checkpoint's or snapshot's file could not be read or written")]
    UploadedFile(#[source] std::io::Error),
    /// 500: what is stored cannot be read as what it should be.
    #[error("what is stored cannot be understood: {0}")]
    Stored(String),
    /// 500: a task panicked.
    #[error("a task panicked: {0}")]
    Panicked(String),
}

const fn older(worker: u32) -> &'static str {
    if worker < PROTOCOL_VERSION {
        "update Motif on the worker's machine"
    } else {
        "update Motif on the server"
    }
}

/// The result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

/// A field error with a value and a suggestion.
pub(crate) fn field_error(
    field: impl Into<String>,
    message: impl Into<String>,
    value: Option<String>,
    suggestion: Option<String>,
) -> FieldError {
    FieldError { field: field.into(), message: message.into(), value, suggestion }
}

impl ApiError {
    /// A wrong parameter.
    pub(crate) fn parameter(field: &str, message: impl Into<String>, value: &str) -> Self {
        Self::Parameter(vec![field_error(field, message, Some(value.to_owned()), None)])
    }

    /// A body's field that breaks a rule.
    pub(crate) fn rule(field: impl Into<String>, message: impl Into<String>, value: Option<String>) -> Self {
        Self::Rule(vec![field_error(field, message, value, None)])
    }

    /// Status, code, text for people, and fields to blame.
    fn parts(self) -> (StatusCode, ProblemCode, String, Vec<FieldError>) {
        let text = self.to_string();
        match self {
            Self::Body(errors) => {
                (StatusCode::BAD_REQUEST, ProblemCode::MalformedBody, counted(&text, &errors), errors)
            }
            Self::Parameter(errors) => {
                (StatusCode::BAD_REQUEST, ProblemCode::BadParameter, counted(&text, &errors), errors)
            }
            Self::Spec(errors) => {
                let errors: Vec<_> = errors.into_iter().map(spec_field).collect();
                (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::InvalidSpec, counted(&text, &errors), errors)
            }
            Self::Rule(errors) => {
                (StatusCode::BAD_REQUEST, ProblemCode::MalformedBody, counted(&text, &errors), errors)
            }
            Self::Unauthorized(_) => (StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, text, vec![]),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, ProblemCode::Forbidden, text, vec![]),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, ProblemCode::NotFound, text, vec![]),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, ProblemCode::MethodNotAllowed, text, vec![]),
            Self::MediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, ProblemCode::UnsupportedMediaType, text, vec![])
            }
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, ProblemCode::MalformedBody, text, vec![]),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::TooLarge, text, vec![]),
            Self::Protocol { .. } => {
                (StatusCode::UPGRADE_REQUIRED, ProblemCode::ProtocolMismatch, text, vec![])
            }
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, ProblemCode::Busy, text, vec![]),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable, text, vec![]),
            Self::Store(error) => store_parts(&error),
            Self::Library(error) => library_parts(error),
            Self::DatasetFile(_) => {
                log(&self);
                unavailable("the dataset library")
            }
            Self::UploadedFile(_) => {
                log(&self);
                unavailable("the folder of checkpoints and snapshots")
            }
            Self::Stored(_) | Self::Panicked(_) => {
                log(&self);
                internal()
            }
        }
    }

    /// The problem document, without the request's id.
    pub(crate) fn into_problem(self) -> Problem {
        let (status, code, detail, errors) = self.parts();
        Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            code,
            detail,
            errors,
            request_id: None,
        }
    }
}

fn spec_field(error: motif_sweep::spec::SpecError) -> FieldError {
    field_error(error.field, error.message, error.value, error.suggestion)
}

/// A summary: what is wrong in detail stands in `errors`, and there alone.
fn counted(text: &str, errors: &[FieldError]) -> String {
    match errors.len() {
        1 => format!("{text}: 1 error"),
        count => format!("{text}: {count} errors"),
    }
}

fn internal() -> (StatusCode, ProblemCode, String, Vec<FieldError>) {
    let text = "the server met a fault of its own; its log says more under this request's id".to_owned();
    (StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, text, vec![])
}

fn unavailable(what: &str) -> (StatusCode, ProblemCode, String, Vec<FieldError>) {
    let text = format!("{what} cannot be used at the moment; nothing was changed: try again");
    (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable, text, vec![])
}

fn log(error: &(dyn Error + 'static)) {
    tracing::error!(error, "a request failed");
}

fn store_parts(error: &StoreError) -> (StatusCode, ProblemCode, String, Vec<FieldError>) {
    let text = error.to_string();
    match error {
        StoreError::NotFound(_) => (StatusCode::NOT_FOUND, ProblemCode::NotFound, text, vec![]),
        StoreError::StaleLease => (StatusCode::CONFLICT, ProblemCode::StaleLease, text, vec![]),
        StoreError::Conflict(_) | StoreError::Gap { .. } => {
            (StatusCode::CONFLICT, ProblemCode::Conflict, text, vec![])
        }
        StoreError::IdempotencyMismatch => {
            (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::IdempotencyMismatch, text, vec![])
        }
        StoreError::Unavailable(_) => {
            log(error);
            unavailable("the store")
        }
        StoreError::Corrupt(_) => {
            log(error);
            internal()
        }
    }
}

fn library_parts(error: LibraryError) -> (StatusCode, ProblemCode, String, Vec<FieldError>) {
    let text = error.to_string();
    match error {
        LibraryError::Name { name } => {
            ApiError::Parameter(vec![field_error("name", text, Some(name), None)]).parts()
        }
        LibraryError::Hash { hash } => {
            ApiError::Parameter(vec![field_error("hash", text, Some(hash), None)]).parts()
        }
        LibraryError::UnknownName { .. } | LibraryError::UnknownHash { .. } => {
            (StatusCode::NOT_FOUND, ProblemCode::NotFound, text, vec![])
        }
        LibraryError::NameTaken { .. } => {
            (StatusCode::CONFLICT, ProblemCode::Conflict, format!("{text} (`?replace=true`)"), vec![])
        }
        LibraryError::BuiltIn { .. } => (StatusCode::CONFLICT, ProblemCode::Conflict, text, vec![]),
        LibraryError::Bytes { source } => {
            let text = format!("{text}: {source}");
            (StatusCode::BAD_REQUEST, ProblemCode::MalformedBody, text, vec![])
        }
        LibraryError::Io { .. } => {
            log(&error);
            unavailable("the dataset library")
        }
        other => {
            log(&other);
            internal()
        }
    }
}

/// A problem on its way out: the outermost layer adds the request's id.
#[derive(Debug, Clone)]
pub(crate) struct PendingProblem(pub(crate) Problem);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let headers = extra_headers(&self);
        let problem = self.into_problem();
        let mut response = problem_response(&problem);
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(PendingProblem(problem));
        response
    }
}

fn extra_headers(error: &ApiError) -> Vec<(HeaderName, HeaderValue)> {
    match error {
        ApiError::Unauthorized(_) => {
            vec![(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"motif\""))]
        }
        ApiError::Busy(_) | ApiError::Timeout | ApiError::Store(StoreError::Unavailable(_)) => {
            vec![(header::RETRY_AFTER, HeaderValue::from_static("1"))]
        }
        ApiError::Protocol { .. } => {
            vec![
                (header::UPGRADE, HeaderValue::from_static("motif/1")),
                (header::CONNECTION, HeaderValue::from_static("upgrade")),
            ]
        }
        _ => Vec::new(),
    }
}

/// The document with its media type.
pub(crate) fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE))];
    (status, media_type, Json(problem)).into_response()
}

/// The answer when a handler panics.
#[expect(clippy::needless_pass_by_value, reason = "the layer calls it so")]
pub(crate) fn panicked(payload: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    ApiError::Panicked(text).into_response()
}
