//! The transport over real HTTP: reqwest with rustls and ring.

use std::{
    error::Error,
    io::{self, Write},
    sync::Once,
    time::Duration,
};

use reqwest::{
    Url,
    header::{HeaderName, HeaderValue},
    redirect,
};

use crate::{
    error::{ClientError, Result},
    transport::{Method, Request, Response, Transport, TransportError},
};

/// Idle connections kept.
const IDLE_CONNECTIONS_MAX: usize = 8;

/// HTTP/1.1 over TCP or TLS.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    base: Url,
}

impl HttpTransport {
    /// A transport to one server. Proxies named by the environment are used, but not for this machine itself;
    /// redirections are not followed, because the token goes along.
    ///
    /// # Errors
    /// [`ClientError::Address`] or [`ClientError::Setup`].
    pub fn new(server: &str, connect_timeout: Duration) -> Result<Self> {
        install_tls_provider();
        let base = parse(server)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("motif/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX);
        if base.scheme() == "http" {
            // Without TLS no certificates are needed: minimal containers have none.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|source| ClientError::Setup { source: source.into() })?;
        Ok(Self { client, base })
    }

    async fn start(&self, request: Request) -> Result<(reqwest::Response, Limits), TransportError> {
        let limits = Limits { timeout: request.timeout, max_bytes: request.response_max_bytes };
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), request.path));
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, url).timeout(request.timeout).body(request.body);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(broken)?;
            let mut value = HeaderValue::from_str(value).map_err(broken)?;
            value.set_sensitive(name == "authorization" || name == motif_wire::LEASE_HEADER);
            builder = builder.header(name, value);
        }
        let response = builder.send().await.map_err(|error| sort(error, limits))?;
        Ok((response, limits))
    }
}

#[derive(Clone, Copy)]
struct Limits {
    timeout: Duration,
    max_bytes: usize,
}

#[async_trait::async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (mut response, limits) = self.start(request).await?;
        let mut answer = head(&response);
        read(&mut response, limits, &mut answer.body).await?;
        Ok(answer)
    }

    async fn download(
        &self,
        request: Request,
        sink: &mut (dyn Write + Send),
    ) -> Result<Response, TransportError> {
        let (mut response, limits) = self.start(request).await?;
        let mut answer = head(&response);
        if answer.is_success() {
            read(&mut response, limits, sink).await?;
        } else {
            read(&mut response, limits, &mut answer.body).await?;
        }
        Ok(answer)
    }
}

fn head(response: &reqwest::Response) -> Response {
    let headers = response.headers().iter();
    let headers = headers
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    Response { status: response.status().as_u16(), headers, body: Vec::new() }
}

async fn read(
    response: &mut reqwest::Response,
    limits: Limits,
    sink: &mut (dyn Write + Send),
) -> Result<(), TransportError> {
    let mut received_bytes = 0usize;
    while let Some(chunk) = response.chunk().await.map_err(|error| sort(error, limits))? {
        received_bytes = received_bytes.saturating_add(chunk.len());
        if received_bytes > limits.max_bytes {
            return Err(TransportError::TooLarge { max_bytes: limits.max_bytes });
        }
        sink.write_all(&chunk).map_err(TransportError::Sink)?;
    }
    Ok(())
}

fn sort(error: reqwest::Error, limits: Limits) -> TransportError {
    if error.is_connect() {
        if is_refused(&error) {
            return TransportError::Refused;
        }
        // The address is named by whoever shows the error.
        return TransportError::Connect(error.without_url().into());
    }
    if error.is_timeout() {
        return TransportError::Timeout { seconds: limits.timeout.as_secs() };
    }
    broken(error.without_url())
}

fn broken(error: impl Into<Box<dyn Error + Send + Sync>>) -> TransportError {
    TransportError::Broken(error.into())
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn parse(server: &str) -> Result<Url> {
    let wrong = |reason: String| ClientError::Address { server: server.to_owned(), reason };
    let url = Url::parse(server.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("it begins with {:?}, expected http or https", url.scheme())));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("it names no host".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("it has a query or a fragment".to_owned()));
    }
    Ok(url)
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Once per process; a provider that the program has already chosen stays.
pub(crate) fn install_tls_provider() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::debug!("another TLS provider is already installed");
        }
    });
}
