//! The typed HTTP client: one method per operation of the server, errors that a person can act on, bounded retries
//! where a repeat is harmless.
//!
//! It must not know: what the answers are for, where a token is kept, how tables look. The wire is behind
//! [`Transport`], so that a simulation can lose, repeat and delay what passes it.

pub mod api;
pub mod download;
mod error;
mod http;
pub mod reproduce;
mod retry;
mod transport;

use std::{fmt, sync::Arc, time::Duration};

use motif_wire::problem::Problem;
use serde::de::DeserializeOwned;

pub use api::{StatisticsQuery, SweepSteer, TrialQuery};
pub use error::{ClientError, Result};
pub use http::HttpTransport;
pub use retry::RetryPolicy;
pub use transport::{Method, Request, Response, Transport, TransportError};

/// Prefix of every operation but the health checks.
pub const API_BASE: &str = "/api/v1";
/// Largest JSON document that is read.
pub const RESPONSE_MAX_BYTES: usize = 64 << 20;
/// Largest export that is read into memory.
pub const EXPORT_MAX_BYTES: usize = 1 << 30;
/// Largest export that is written to a file.
pub const EXPORT_FILE_MAX_BYTES: usize = 64 << 30;
/// Largest dataset that is read.
pub const DATASET_MAX_BYTES: usize = 1 << 30;

/// Whom to talk to, and how patiently.
#[derive(Clone)]
pub struct ClientOptions {
    /// The server's address, `http://127.0.0.1:8080`; a path is kept as a prefix.
    pub server: String,
    /// The bearer token, beginning with `motif_`.
    pub token: Option<String>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try again where a repeat is harmless.
    pub retry: RetryPolicy,
}

impl ClientOptions {
    /// The default patience, no token.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        let (timeouts, retry) = (Timeouts::default(), RetryPolicy::default());
        Self { server: server.into(), token: None, timeouts, retry }
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("server", &self.server)
            .field("token", &self.token.as_ref().map(|_| "(secret)"))
            .field("timeouts", &self.timeouts)
            .field("retry", &self.retry)
            .finish()
    }
}

/// How long one try may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To make a connection.
    pub connect: Duration,
    /// From the request to the whole answer; a long poll adds what it asked the server to wait.
    pub request: Duration,
    /// The same for exports and dataset contents.
    pub transfer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            transfer: Duration::from_secs(900),
        }
    }
}

/// A client of one server. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    server: Arc<str>,
    authorization: Option<Arc<str>>,
    timeouts: Timeouts,
    retry: RetryPolicy,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Whether a request may be sent again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It changes nothing, or the server recognizes it.
    Harmless,
    /// It might be done twice.
    Never,
}

impl Client {
    /// A client over HTTP.
    ///
    /// # Errors
    /// [`ClientError::Address`] for an address that is none, [`ClientError::Token`] for a token that no header can
    /// carry, [`ClientError::Setup`] when TLS cannot be set up.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let transport = HttpTransport::new(&options.server, options.timeouts.connect)?;
        Self::with_transport(options, Arc::new(transport))
    }

    /// A client over the given transport.
    ///
    /// # Errors
    /// [`ClientError::Token`] for a token that no header can carry.
    pub fn with_transport(options: ClientOptions, transport: Arc<dyn Transport>) -> Result<Self> {
        let ClientOptions { server, token, timeouts, retry } = options;
        let authorization = match token.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some(format!("Bearer {token}").into())
            }
            Some(_) => return Err(ClientError::Token),
        };
        let server = server.trim_end_matches('/').into();
        Ok(Self { transport, server, authorization, timeouts, retry })
    }

    /// The same client with other patience for repeats; [`RetryPolicy::NONE`] for callers that repeat by themselves.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        Self { retry, ..self.clone() }
    }

    /// The same client with another limit on one try of an ordinary request.
    #[must_use]
    pub fn with_request_timeout(&self, timeout: Duration) -> Self {
        let timeouts = Timeouts { request: timeout, ..self.timeouts };
        Self { timeouts, ..self.clone() }
    }

    /// The server's address, without a slash at its end.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    fn request(&self, method: Method, path: &str) -> Request {
        let mut request = Request::new(method, format!("{API_BASE}{path}"));
        request.timeout = self.timeouts.request;
        request
    }

    fn get(&self, path: &str) -> Request {
        self.request(Method::Get, path)
    }

    fn post<T: serde::Serialize + ?Sized>(&self, path: &str, body: &T) -> Result<Request> {
        let mut request = self.request(Method::Post, path);
        request.body = serde_json::to_vec(body).map_err(|source| ClientError::Body { source })?;
        request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        Ok(request)
    }

    /// Sends, repeats where that is harmless, and reads the answer as JSON.
    async fn call<T: DeserializeOwned>(&self, request: Request, repeat: Repeat) -> Result<T> {
        let path = request.path.clone();
        let response = self.send(request, repeat).await?;
        serde_json::from_slice(&response.body)
            .map_err(|error| self.protocol(&path, &response, &error.to_string()))
    }

    /// Sends, repeats where that is harmless, and returns what succeeded.
    async fn send(&self, mut request: Request, repeat: Repeat) -> Result<Response> {
        self.authorize(&mut request);
        let path = request.path.clone();
        let answer = retry::send(&*self.transport, request, self.retry_for(repeat)).await;
        self.judge(&path, answer)
    }

    /// Sends once and writes the answer, at most so many bytes, into `sink`, which may hold its beginning after an error.
    async fn fetch(
        &self,
        mut request: Request,
        max_bytes: usize,
        sink: &mut (dyn std::io::Write + Send),
    ) -> Result<()> {
        request.timeout = self.timeouts.transfer;
        request.response_max_bytes = max_bytes;
        self.authorize(&mut request);
        let path = request.path.clone();
        let answer = self.transport.download(request, sink).await;
        self.judge(&path, answer).map(drop)
    }

    fn authorize(&self, request: &mut Request) {
        if let Some(authorization) = &self.authorization {
            request.headers.push(("authorization".to_owned(), authorization.to_string()));
        }
    }

    fn retry_for(&self, repeat: Repeat) -> &RetryPolicy {
        match repeat {
            Repeat::Harmless => &self.retry,
            Repeat::Never => &RetryPolicy::NONE,
        }
    }

    /// Sorts an answer into what succeeded, a problem, and nonsense.
    fn judge(&self, path: &str, answer: Result<Response, TransportError>) -> Result<Response> {
        let response = answer.map_err(|source| self.unreachable(path, source))?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        match serde_json::from_slice::<Problem>(&response.body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(self.protocol(path, &response, "the body is no problem document")),
        }
    }

    fn unreachable(&self, path: &str, source: TransportError) -> ClientError {
        match source {
            TransportError::TooLarge { .. } => {
                let detail = source.to_string();
                ClientError::Protocol {
                    server: self.server.to_string(),
                    path: path.to_owned(),
                    status: 200,
                    detail,
                }
            }
            source => ClientError::Unreachable { server: self.server.to_string(), source },
        }
    }

    fn protocol(&self, path: &str, response: &Response, detail: &str) -> ClientError {
        ClientError::Protocol {
            server: self.server.to_string(),
            path: path.to_owned(),
            status: response.status,
            detail: format!("{detail}{}", error::excerpt(&response.body)),
        }
    }
}
