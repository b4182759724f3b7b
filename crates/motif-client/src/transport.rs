//! What carries a request to the server and its answer back.

use std::{fmt, io::Write, time::Duration};

use crate::RESPONSE_MAX_BYTES;

/// Time that one try may take unless the request says otherwise.
const DEFAULT_TIMEOUT_S: u64 = 30;

/// An HTTP method that Motif uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Acts.
    Post,
    /// Stores under a name.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request, addressed within a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path, from the server's root: `/api/v1/sweeps`.
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// How long until the whole answer must be there.
    pub timeout: Duration,
    /// Largest answer to read.
    pub response_max_bytes: usize,
}

impl Request {
    /// A request without query, headers and body.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(DEFAULT_TIMEOUT_S),
            response_max_bytes: RESPONSE_MAX_BYTES,
        }
    }

    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Header values are left out: they hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method.name(), self.path, self.body.len())
    }
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty where it went into a sink.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Whether the request succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Why there is no answer. What became of the request is unknown, unless it was refused.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// No connection came about.
    #[error("no connection")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer did not come in time.
    #[error("no answer within {seconds} s")]
    Timeout {
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is larger than is read.
    #[error("the answer is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: usize,
    },
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What was received could not be written.
    #[error("what was received cannot be written")]
    Sink(#[source] std::io::Error),
}

/// Carries requests.
#[async_trait::async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request once and reads the whole answer.
    ///
    /// # Errors
    /// [`TransportError`] when there is no whole answer.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;

    /// Sends a request once; a successful answer's body goes into `sink`, any other into the response.
    ///
    /// # Errors
    /// [`TransportError`] when there is no whole answer; `sink` may then hold the beginning of one.
    async fn download(
        &self,
        request: Request,
        sink: &mut (dyn Write + Send),
    ) -> Result<Response, TransportError> {
        let mut response = self.send(request).await?;
        if response.is_success() {
            sink.write_all(&response.body).map_err(TransportError::Sink)?;
            response.body = Vec::new();
        }
        Ok(response)
    }
}
