//! Fetches a published file: resumes what was broken off, and believes only its length and checksum.
//!
//! It must not know: what the file is for, where the list of files comes from, how progress is shown. It talks to
//! anybody's web server, never with a token.
//!
//! What has arrived is kept beside the target as `NAME.part`, so that a later call goes on where this one ended.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Response, StatusCode, Url, header, redirect};
use sha2::{Digest as _, Sha256};

use crate::{
    error::is_transient_status,
    http::{install_tls_provider, is_loopback},
    retry::RetryPolicy,
};

mod error;

pub use error::DownloadError;

/// Redirections that are followed.
const REDIRECTS_MAX: usize = 5;
/// Bytes read at once when a file is hashed.
const HASH_BUFFER_BYTES: usize = 64 << 10;

type Result<T> = std::result::Result<T, DownloadError>;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Where it is published.
    pub url: &'a str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: &'a str,
}

/// How patiently to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownloadOptions {
    /// Time to make a connection.
    pub connect: Duration,
    /// Time without a byte after which a connection is given up.
    pub stall: Duration,
    /// How often to try again without getting further.
    pub retry: RetryPolicy,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            retry: RetryPolicy::default(),
        }
    }
}

/// Fetches a file to `target`, whose folder exists. `progress` is told the bytes that are there, from time to time.
/// A target that is already what is wanted is left alone.
///
/// # Errors
/// [`DownloadError`]; what has arrived stays for the next call unless it is known to be wrong.
pub async fn download(
    wanted: Wanted<'_>,
    target: &Path,
    options: &DownloadOptions,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let url = parse(wanted.url)?;
    if target.is_file() && sha256(target).await? == wanted.sha256 {
        progress(wanted.bytes);
        return Ok(());
    }
    let mut part = Part::open(target)?;
    // What an earlier call left may be of another file: then one fresh start is due.
    let mut suspect = part.len()? > 0;
    let client = client(&url, options)?;
    loop {
        fill(&client, &url, wanted, &mut part, options, progress).await?;
        let found = sha256(&part.path).await?;
        if found == wanted.sha256 {
            return part.finish(target);
        }
        part.clear()?;
        if !suspect {
            part.remove()?;
            let (url, expected) = (url.to_string(), wanted.sha256.to_owned());
            return Err(DownloadError::Checksum { url, found, expected });
        }
        suspect = false;
    }
}

/// Tries until the part has its full length.
async fn fill(
    client: &reqwest::Client,
    url: &Url,
    wanted: Wanted<'_>,
    part: &mut Part,
    options: &DownloadOptions,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let mut delays = options.retry.delays();
    let mut furthest = part.len()?;
    while part.len()? != wanted.bytes {
        let Err(error) = fetch_rest(client, url, wanted, part, progress).await else { continue };
        if !error.is_transient() {
            return Err(error);
        }
        // Only a byte that was never there before counts: a server that always breaks off at the same place and
        // does not resume must not keep this going.
        if part.len()? > furthest {
            (furthest, delays) = (part.len()?, options.retry.delays());
        }
        let Some(delay) = delays.next() else { return Err(error) };
        tracing::debug!(%error, ?delay, "trying again");
        tokio::time::sleep(delay).await;
    }
    Ok(())
}

/// One request for what is still missing; on success the part has its full length.
async fn fetch_rest(
    client: &reqwest::Client,
    url: &Url,
    wanted: Wanted<'_>,
    part: &mut Part,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    if part.len()? > wanted.bytes {
        part.clear()?;
    }
    let at = part.len()?;
    // Compressed on the way, the length would say nothing.
    let mut request = client.get(url.clone()).header(header::ACCEPT_ENCODING, "identity");
    if at > 0 {
        request = request.header(header::RANGE, format!("bytes={at}-"));
    }
    let broken = |received: u64| {
        let url = url.to_string();
        move |error: reqwest::Error| DownloadError::Broken {
            url,
            received,
            expected: wanted.bytes,
            source: Some(error.without_url().into()),
        }
    };
    let mut response = request.send().await.map_err(broken(at))?;
    accept(&response, url, wanted, part, at)?;
    let mut received = part.len()?;
    while let Some(chunk) = response.chunk().await.map_err(broken(received))? {
        received += chunk.len() as u64;
        if received > wanted.bytes {
            part.clear()?;
            let (url, expected) = (url.to_string(), wanted.bytes);
            return Err(DownloadError::Size { url, found: received, expected });
        }
        part.append(&chunk)?;
        progress(received);
    }
    if received < wanted.bytes {
        let (url, expected) = (url.to_string(), wanted.bytes);
        return Err(DownloadError::Broken { url, received, expected, source: None });
    }
    Ok(())
}

/// Judges the head of an answer; empties the part when the answer begins at the beginning.
fn accept(response: &Response, url: &Url, wanted: Wanted<'_>, part: &mut Part, at: u64) -> Result<()> {
    let size = |found: u64| match found {
        found if found == wanted.bytes => Ok(()),
        found => Err(DownloadError::Size { url: url.to_string(), found, expected: wanted.bytes }),
    };
    let status = response.status();
    match status {
        StatusCode::OK => {
            if at > 0 {
                part.clear()?;
            }
            response.content_length().map_or(Ok(()), size)
        }
        StatusCode::PARTIAL_CONTENT if at > 0 => {
            let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let (start, total) = range.and_then(content_range).unwrap_or((u64::MAX, None));
            if start != at {
                part.clear()?;
                let found = range.unwrap_or("no content-range").to_owned();
                return Err(DownloadError::Range { url: url.to_string(), found, at });
            }
            total.map_or(Ok(()), size)
        }
        _ => {
            if status == StatusCode::RANGE_NOT_SATISFIABLE {
                part.clear()?;
            }
            Err(DownloadError::Status { url: url.to_string(), status: status.as_u16(), resuming: at > 0 })
        }
    }
}

/// Start and, where it is known, total of `bytes 100-199/200`.
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

fn parse(text: &str) -> Result<Url> {
    let wrong = |reason: String| DownloadError::Address { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(wrong(format!("it begins with {other:?}, expected http or https"))),
    }
}

fn client(url: &Url, options: &DownloadOptions) -> Result<reqwest::Client> {
    install_tls_provider();
    let builder = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("motif/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect)
            .read_timeout(options.stall)
            .redirect(redirect::Policy::limited(REDIRECTS_MAX));
        if is_loopback(url) { builder.no_proxy() } else { builder }
    };
    let built = builder().build().or_else(|error| match url.scheme() {
        // Minimal containers have no certificates; without TLS none are needed.
        "http" => builder().tls_certs_only([]).build(),
        _ => Err(error),
    });
    built.map_err(|source| DownloadError::Setup { source: source.into() })
}

/// Hex digits of a file's sum.
async fn sha256(path: &Path) -> Result<String> {
    let path = path.to_owned();
    let sum = move || {
        let mut hasher = Sha256::new();
        let mut file = File::open(&path).map_err(io_error("open", &path))?;
        let mut buffer = vec![0; HASH_BUFFER_BYTES];
        loop {
            match file.read(&mut buffer).map_err(io_error("read", &path))? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            }
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    tokio::task::spawn_blocking(sum).await.expect("hashing does not panic, and nobody aborts it")
}

/// What has arrived so far, locked against other processes that fetch the same.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(target: &Path) -> Result<Self> {
        let mut path = target.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(io_error("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path, file }),
            Err(TryLockError::WouldBlock) => Err(DownloadError::Busy { path }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }

    fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(io_error("read", &self.path))?.len())
    }

    fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(io_error("empty", &self.path))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self.file.seek(SeekFrom::End(0));
        end.and_then(|_| self.file.write_all(bytes)).map_err(io_error("write", &self.path))
    }

    fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(io_error("remove", &self.path))
    }

    fn finish(self, target: &Path) -> Result<()> {
        self.file.sync_all().map_err(io_error("sync", &self.path))?;
        fs::rename(&self.path, target).map_err(io_error("rename", &self.path))
    }
}

fn io_error<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DownloadError + 'a {
    move |source| DownloadError::Io { operation, path: path.to_owned(), source }
}

impl DownloadError {
    /// Whether trying again at once may help.
    fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Range { .. } => true,
            Self::Status { status, resuming, .. } => {
                is_transient_status(*status) || *status == 500 || (*resuming && *status == 416)
            }
            _ => false,
        }
    }
}
