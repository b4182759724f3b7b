//! Downloads from servers that truncate, corrupt, redirect, ignore ranges, or give another file.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use motif_client::{
    RetryPolicy,
    download::{DownloadError, DownloadOptions, Wanted, download},
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

/// Answers every connection with what the function makes of the request's number and text, then closes it.
struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    let mut buffer = [0; 1024];
                    let read = stream.read(&mut buffer).await.unwrap();
                    assert!(read > 0, "the client went away");
                    request.extend_from_slice(&buffer[..read]);
                }
                let request = String::from_utf8(request).unwrap().to_lowercase();
                let bytes = answer(number, &request);
                log.lock().unwrap().push(request);
                // The client may stop reading early.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { base, asked, task }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The ranges asked for, in order; empty where none was.
    fn ranges(&self) -> Vec<String> {
        let range = |request: &String| {
            let line = request.lines().find_map(|line| line.strip_prefix("range: "));
            line.unwrap_or_default().to_owned()
        };
        self.asked().iter().map(range).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn contents() -> Vec<u8> {
    (0..100_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An answer whose head promises `promised` bytes.
fn http(status: &str, headers: &str, promised: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {promised}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// A server that does what was asked, whole or from an offset.
fn honest(request: &str) -> Vec<u8> {
    let all = contents();
    match request.split_once("range: bytes=") {
        None => http("200 OK", "", all.len(), &all),
        Some((_, range)) => {
            let at: usize = range.split_once('-').unwrap().0.parse().unwrap();
            let header = format!("content-range: bytes {at}-{}/{}\r\n", all.len() - 1, all.len());
            http("206 Partial Content", &header, all.len() - at, &all[at..])
        }
    }
}

fn options() -> DownloadOptions {
    let delay = Duration::from_millis(1);
    let retry = RetryPolicy { retries_max: 3, delay_min: delay, delay_max: delay, seed: Some(1) };
    DownloadOptions { retry, ..DownloadOptions::default() }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("data.bin")
    }

    fn part(&self) -> PathBuf {
        self.0.path().join("data.bin.part")
    }

    async fn fetch(&self, server: &Server, path: &str) -> Result<Vec<u64>, DownloadError> {
        let (url, all, mut seen) = (format!("{}{path}", server.base), contents(), Vec::new());
        let wanted = Wanted { url: &url, bytes: all.len() as u64, sha256: &sum(&all) };
        download(wanted, &self.target(), &options(), &mut |bytes| seen.push(bytes)).await?;
        assert_eq!(fs::read(self.target()).unwrap(), all);
        assert!(!self.part().exists());
        Ok(seen)
    }

    async fn error(&self, server: &Server) -> DownloadError {
        let error = self.fetch(server, "/data.bin").await.expect_err("must be refused");
        assert!(!self.target().exists());
        let text = error.to_string();
        assert!(text.contains("/data.bin"), "names the file: {text}");
        error
    }
}

#[tokio::test]
async fn a_file_is_fetched_once() {
    let (folder, server) = (Folder::new(), Server::start(|_, request| honest(request)).await);
    let seen = folder.fetch(&server, "/data.bin").await.unwrap();
    assert!(seen.is_sorted() && seen.last() == Some(&100_000), "{seen:?}");
    assert!(server.asked()[0].starts_with("get /data.bin http/1.1\r\n"), "{:?}", server.asked());
    assert!(server.asked()[0].contains("accept-encoding: identity\r\n"));
    assert!(!server.asked()[0].contains("authorization"));
    folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.asked().len(), 1, "it is already there");
    fs::write(folder.target(), b"damaged").unwrap();
    folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn what_breaks_off_is_resumed() {
    let server = Server::start(|number, request| {
        let mut bytes = honest(request);
        if number < 5 {
            let keep = bytes.len() - bytes.len() * 2 / 3;
            bytes.truncate(keep);
        }
        bytes
    })
    .await;
    Folder::new().fetch(&server, "/data.bin").await.unwrap();
    let ranges = server.ranges();
    assert_eq!(ranges.len(), 6, "more often than there are retries: each got further");
    assert_eq!(ranges[0], "");
    assert!(ranges[1..].iter().all(|range| range.starts_with("bytes=")), "{ranges:?}");
}

#[tokio::test]
async fn a_later_call_goes_on_where_an_earlier_one_ended() {
    let (folder, all) = (Folder::new(), contents());
    let cut = Server::start(move |_, _| http("200 OK", "", 100_000, &contents()[..30_000])).await;
    let error = folder.error(&cut).await;
    assert!(matches!(error, DownloadError::Broken { received: 30_000, expected: 100_000, .. }), "{error:?}");
    assert_eq!(cut.asked().len(), 4, "the first try brings bytes, its three repeats none that are new");
    assert_eq!(fs::read(folder.part()).unwrap(), all[..30_000]);
    let server = Server::start(|_, request| honest(request)).await;
    let seen = folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.ranges(), ["bytes=30000-"]);
    assert!(seen[0] > 30_000);
}

#[tokio::test]
async fn a_server_that_ignores_ranges_is_read_from_the_start() {
    let (folder, all) = (Folder::new(), contents());
    fs::write(folder.part(), &all[..50_000]).unwrap();
    let server = Server::start(|_, _| http("200 OK", "", 100_000, &contents())).await;
    folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.ranges(), ["bytes=50000-"]);
    // One that gives a range, but another.
    let folder = Folder::new();
    fs::write(folder.part(), &all[..50_000]).unwrap();
    let server = Server::start(|number, request| match number {
        0 => http("206 Partial Content", "content-range: bytes 7-99999/100000\r\n", 5, b"wrong"),
        _ => honest(request),
    })
    .await;
    folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.ranges(), ["bytes=50000-", ""]);
}

#[tokio::test]
async fn a_part_of_another_file_leads_to_one_fresh_start() {
    let folder = Folder::new();
    for part in [vec![7; 50_000], vec![7; 100_000], vec![7; 200_000]] {
        fs::write(folder.part(), part).unwrap();
        let server = Server::start(|_, request| honest(request)).await;
        folder.fetch(&server, "/data.bin").await.unwrap();
        assert_eq!(server.ranges().last().map(String::as_str), Some(""));
        fs::remove_file(folder.target()).unwrap();
    }
}

#[tokio::test]
async fn damaged_contents_are_refused_and_removed() {
    let folder = Folder::new();
    let server = Server::start(|_, _| {
        let mut all = contents();
        all[77_777] ^= 1;
        http("200 OK", "", all.len(), &all)
    })
    .await;
    let error = folder.error(&server).await;
    let DownloadError::Checksum { found, expected, .. } = &error else { panic!("{error:?}") };
    assert!(found != expected && *expected == sum(&contents()));
    assert!(!folder.part().exists());
    assert_eq!(server.asked().len(), 1, "nothing was left from before that could be to blame");
}

#[tokio::test]
async fn files_of_another_length_are_refused() {
    for promised in [99_999, 100_001] {
        let server = Server::start(move |_, _| http("200 OK", "", promised, &vec![0; promised])).await;
        let error = Folder::new().error(&server).await;
        assert!(
            matches!(error, DownloadError::Size { found, expected: 100_000, .. } if found == promised as u64),
            "{error:?}"
        );
    }
    // Nothing promised: what comes is counted.
    let server = Server::start(|_, _| {
        [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".as_slice(), &[0; 300_000]].concat()
    })
    .await;
    let error = Folder::new().error(&server).await;
    assert!(matches!(error, DownloadError::Size { found: 100_001.., expected: 100_000, .. }), "{error:?}");
    let folder = Folder::new();
    fs::write(folder.part(), [1]).unwrap();
    let server =
        Server::start(|_, _| http("206 Partial Content", "content-range: bytes 1-2/3\r\n", 2, b"ab")).await;
    assert!(matches!(folder.error(&server).await, DownloadError::Size { found: 3, .. }));
}

#[tokio::test]
async fn redirections_are_followed_a_few_times() {
    let server = Server::start(|number, request| match number {
        0 | 1 => http("302 Found", &format!("location: /hop{number}/data.bin\r\n"), 0, b""),
        _ => honest(request),
    })
    .await;
    Folder::new().fetch(&server, "/data.bin").await.unwrap();
    assert!(server.asked()[2].starts_with("get /hop1/data.bin "));
    let server = Server::start(|_, _| http("302 Found", "location: /data.bin\r\n", 0, b"")).await;
    let error = Folder::new().error(&server).await;
    assert!(matches!(error, DownloadError::Broken { received: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn errors_of_the_server_are_reported_and_passing_ones_waited_out() {
    let server = Server::start(|_, _| http("404 Not Found", "", 0, b"")).await;
    let error = Folder::new().error(&server).await;
    assert!(matches!(error, DownloadError::Status { status: 404, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
    let server = Server::start(|number, request| match number {
        0 | 1 => http("503 Service Unavailable", "", 0, b""),
        _ => honest(request),
    })
    .await;
    Folder::new().fetch(&server, "/data.bin").await.unwrap();
    // The part is longer than what the server has now; asking from the start settles it.
    let folder = Folder::new();
    fs::write(folder.part(), [1]).unwrap();
    let server = Server::start(|number, request| match number {
        0 => http("416 Range Not Satisfiable", "", 0, b""),
        _ => honest(request),
    })
    .await;
    folder.fetch(&server, "/data.bin").await.unwrap();
    assert_eq!(server.ranges(), ["bytes=1-", ""]);
}

#[tokio::test]
async fn other_addresses_and_a_locked_part_are_refused() {
    let folder = Folder::new();
    for url in ["ftp://127.0.0.1/x", "data.bin", ""] {
        let wanted = Wanted { url, bytes: 1, sha256: "" };
        let error = download(wanted, &folder.target(), &options(), &mut |_| ()).await.unwrap_err();
        assert!(matches!(error, DownloadError::Address { .. }), "{error:?}");
    }
    let held = fs::File::create(folder.part()).unwrap();
    held.lock().unwrap();
    let wanted = Wanted { url: "http://127.0.0.1:9/data.bin", bytes: 1, sha256: "" };
    let error = download(wanted, &folder.target(), &options(), &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, DownloadError::Busy { .. }), "{error:?}");
}
