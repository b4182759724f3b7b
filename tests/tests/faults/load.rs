//! What many do at once, or for ever: a thousand workers that come back, readers that never end.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_client::{Client, ClientOptions, RetryPolicy};
use motif_tests::{
    chance::Chance,
    invariants::{self, Ledger},
    player,
    process::Server,
};
use motif_wire::{
    problem::ProblemCode,
    work::{ClaimRequest, Lease},
};
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];
const AGAIN: Duration = Duration::from_millis(200);
/// Tries of one call; a server that answers nobody uses them up.
const TRIES: usize = 100;

/// A client that waits long, for a machine that has much else to do, and repeats nothing by itself.
fn patient(server: &Server) -> anyhow::Result<Client> {
    let mut options = ClientOptions::new(server.url.clone());
    options.token = Some(server.token.clone());
    options.retry = RetryPolicy::NONE;
    options.timeouts.request = Duration::from_secs(120);
    Ok(Client::new(options)?)
}

/// What is answered 429 or not at all is asked again, as workers do.
async fn claim(client: &Client, request: &ClaimRequest) -> anyhow::Result<Vec<Lease>> {
    let mut last = None;
    for _ in 0..TRIES {
        match client.claim(request).await {
            Ok(reply) => return Ok(reply.leases),
            Err(error) if error.is_transient() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(last.context("a try")?).context("a claim was never answered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_a_thousand_workers_that_come_at_once_share_the_trials() -> anyhow::Result<()> {
    const WORKERS: usize = 1000;
    let dir = tempfile::tempdir()?;
    let mut server = Server::start_with(&dir.path().join("server"), &GRACE)?;
    let chance = Chance::new(20);
    let mut spec = player::sweep("s", 700, &[1]);
    // No lease expires before the last claim is answered, however slow the machine is.
    spec["queue"] = json!({ "lease_ttl_s": 3600 });
    player::client(&server)?.sweep_submit(&spec, None).await?;
    server.process.kill()?;
    server.again(&GRACE)?;
    let mut calls = JoinSet::new();
    // Each call that is under way has a connection of its own.
    let client = patient(&server)?;
    for number in 0..WORKERS {
        let client = client.clone();
        let hello = player::hello(&chance, &format!("w{number}"));
        let request = player::claim_request(&chance, &hello, 1);
        calls.spawn(async move { claim(&client, &request).await });
    }
    let (mut answered, mut trials, mut leases) = (0, BTreeSet::new(), 0);
    while let Some(call) = calls.join_next().await {
        answered += 1;
        for lease in call?? {
            leases += 1;
            trials.insert(lease.trial_id);
        }
    }
    ensure!(answered == WORKERS, "{answered} claims were answered");
    ensure!(leases == 700 && trials.len() == 700, "{leases} leases of {} trials", trials.len());
    invariants::check(&server.data, &Ledger::default()).await?;
    Ok(())
}

/// What the log may come to: I10.
const WAL_MAX_BYTES: u64 = 256 << 20;

fn size(data: &Path, name: &str) -> u64 {
    std::fs::metadata(data.join(name)).map_or(0, |file| file.len())
}

/// A sweep of 50 conditions and 1,000 seeds.
fn large(number: u32) -> Value {
    let mut spec = player::sweep(&format!("large-{number}"), 1000, &[]);
    spec["axes"]["epochs"] = (1..=50).collect();
    spec
}

/// Asks for an answer and takes a byte of it each second, for as long as it lives.
struct EndlessReader {
    stream: TcpStream,
    read: usize,
}

impl EndlessReader {
    async fn start(server: &Server, path: &str) -> anyhow::Result<Self> {
        let address = server.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).await?;
        let token = &server.token;
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        Ok(Self { stream, read: 0 })
    }

    async fn go_on(&mut self) -> anyhow::Result<()> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).await.context("the answer ended")?;
        self.read += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }
}

#[tokio::test]
async fn fault_19_a_client_that_reads_an_export_for_ever_does_not_hold_up_the_log() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start_with(&dir.path().join("server"), &GRACE)?;
    let client = patient(&server)?;
    let sweep = client.sweep_submit(&large(0), None).await?.row.id;
    // More than what the sockets on both sides hold, so that the server cannot be done with it.
    let mut readers = Vec::new();
    for format in ["csv", "parquet"] {
        let path = format!("/api/v1/sweeps/{sweep}/export?format={format}");
        let mut reader = EndlessReader::start(&server, &path).await?;
        reader.go_on().await?;
        readers.push(reader);
    }
    let before = size(&server.data, "motif.db");
    let mut number = 1;
    let mut peak = 0;
    // As much as would have filled the log if a reader kept it from being emptied.
    while size(&server.data, "motif.db") < before + (96 << 20) {
        ensure!(number < 40, "{} bytes were written by {number} sweeps", size(&server.data, "motif.db"));
        client.sweep_submit(&large(number), None).await?;
        number += 1;
        peak = size(&server.data, "motif.db-wal").max(peak);
        for reader in &mut readers {
            reader.go_on().await?;
        }
    }
    ensure!(peak < 64 << 20, "the write-ahead log had {peak} bytes");
    ensure!(readers.iter().all(|reader| reader.read > 3), "the answers came byte by byte");
    invariants::check(&server.data, &Ledger::default()).await?;
    Ok(())
}

#[tokio::test]
async fn fault_19_a_foreign_reader_stops_writers_before_the_log_is_too_large() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start_with(&dir.path().join("server"), &GRACE)?;
    let client = patient(&server)?;
    let mut ledger = Ledger::default();
    ledger.sweeps.push((client.sweep_submit(&large(0), None).await?.row.id, 50_000));
    let file = server.data.join("motif.db");
    let mut foreign = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&file)).await?;
    sqlx::query("begin").execute(&mut foreign).await?;
    sqlx::query("select count(*) from sweeps").fetch_one(&mut foreign).await?;
    let mut number = 1;
    let refused = loop {
        ensure!(number < 40, "the log has {} bytes", size(&server.data, "motif.db-wal"));
        match client.sweep_submit(&large(number), None).await {
            Ok(sweep) => ledger.sweeps.push((sweep.row.id, 50_000)),
            Err(error) => break error,
        }
        let wal = size(&server.data, "motif.db-wal");
        ensure!(wal <= WAL_MAX_BYTES, "the write-ahead log has {wal} bytes");
        number += 1;
    };
    ensure!(refused.code() == Some(ProblemCode::Unavailable), "{refused}");
    client.sweep_list(None, None).await.context("it can be read")?;
    sqlx::query("rollback").execute(&mut foreign).await?;
    ledger.sweeps.push((client.sweep_submit(&large(number), None).await?.row.id, 50_000));
    let wal = size(&server.data, "motif.db-wal");
    ensure!(wal < 64 << 20, "the write-ahead log has {wal} bytes after the reader");
    let found = invariants::check(&server.data, &ledger).await?;
    ensure!(found.lost.is_empty(), "{:?}", found.lost);
    Ok(())
}
