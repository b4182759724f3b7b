//! What can go wrong, in words that say what to do.

use motif_wire::problem::{Problem, ProblemCode};

use crate::TransportError;

/// Bytes of an unexpected body that an error shows.
const EXCERPT_MAX_BYTES: usize = 200;

/// The result of an operation.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and why.
    #[error("{}", describe(.0))]
    Problem(Box<Problem>),
    /// There is no answer.
    #[error("cannot reach the Motif server at {server}{}", hint(.source))]
    Unreachable {
        /// The server's address.
        server: String,
        /// What happened instead.
        source: TransportError,
    },
    /// The answer is not one that a Motif server gives.
    #[error(
        "{server} did not answer {path} as a Motif server of this version does (status {status}): {detail}"
    )]
    Protocol {
        /// The server's address.
        server: String,
        /// The path asked for.
        path: String,
        /// The HTTP status.
        status: u16,
        /// What was not understood.
        detail: String,
    },
    /// The server's address is none.
    #[error("{server:?} is not a server's address: {reason} (such as http://127.0.0.1:8080)")]
    Address {
        /// The address given.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent; it is not shown.
    #[error("the token holds characters that no token has: it is `motif_` and 64 hexadecimal digits")]
    Token,
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up")]
    Setup {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The request is not JSON.
    #[error("the request cannot be written as JSON")]
    Body {
        /// Why not.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// The problem's stable code, where the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// Whether the same request could succeed later, without anybody changing it.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => !matches!(source, TransportError::Sink(_)),
            Self::Problem(problem) => is_transient_status(problem.status) || problem.status == 500,
            Self::Protocol { status, .. } => is_transient_status(*status),
            _ => false,
        }
    }

    /// Whether the server was not reached at all.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// Statuses that say "later".
pub(crate) fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 429 | 502 | 503 | 504)
}

fn describe(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    for error in &problem.errors {
        text.push_str(&format!("\n  {}: {}", error.field, error.message));
        if let Some(value) = &error.value {
            text.push_str(&format!(" (found {value})"));
        }
        if let Some(suggestion) = &error.suggestion {
            text.push_str(&format!("; did you mean {suggestion:?}?"));
        }
    }
    match problem.code {
        ProblemCode::Unauthorized => text.push_str(" (set MOTIF_TOKEN or pass --token)"),
        ProblemCode::Internal => {
            if let Some(id) = &problem.request_id {
                text.push_str(&format!(" (request {id} in the server's log)"));
            }
        }
        _ => {}
    }
    text
}

fn hint(source: &TransportError) -> &'static str {
    match source {
        TransportError::Refused => {
            ": nothing listens there; start one with `motif up`, or name another with --server or MOTIF_SERVER"
        }
        TransportError::Connect(_) => ": check the address, the network and, for https, the certificate",
        TransportError::Timeout { .. } => ": it does not answer in time",
        TransportError::Broken(_) => ": the connection broke before the answer was complete",
        TransportError::TooLarge { .. } | TransportError::Sink(_) => "",
    }
}

/// The beginning of an unexpected body, ready to be appended to a sentence.
pub(crate) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_MAX_BYTES)]);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!("; it began with {text:?}") }
}
