//! Errors as `application/problem+json` (RFC 9457) with a stable `code`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of [`Problem`].
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Stable error codes; scripts may match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the body is not the JSON that was expected.
    MalformedBody,
    /// 400: a query or path parameter is wrong.
    BadParameter,
    /// 422: the spec breaks a rule; see `errors`.
    InvalidSpec,
    /// 401: no token, or one that is unknown or revoked.
    Unauthorized,
    /// 403: the token lacks the scope.
    Forbidden,
    /// 404: no such thing.
    NotFound,
    /// 409: the lease is no longer the trial's current one; stop and drop the output.
    StaleLease,
    /// 409: the request contradicts what is stored.
    Conflict,
    /// 422: the idempotency key was used with another body.
    IdempotencyMismatch,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 415: the body's media type is not the one that is read here.
    UnsupportedMediaType,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 426: the worker speaks another protocol version.
    ProtocolMismatch,
    /// 429: too many requests at once.
    Busy,
    /// 503: the store cannot be written at the moment (disk full, say); nothing was changed.
    Unavailable,
    /// 500: a fault of the server.
    Internal,
}

/// An error, for programs and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the code says what happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status's phrase.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, for programs.
    pub code: ProblemCode,
    /// What happened, for people.
    pub detail: String,
    /// Each thing that is wrong, where there are several or where a field is to blame.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request's id, to find it in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// One thing that is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Dotted path of the field, `trial.rates.v`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The value that was found, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The nearest key that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}
