//! `cargo xtask bench statistics`: what a large sweep's statistics cost over HTTP, and what it takes on disk.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    figures::{bytes, median, table},
    trials::now,
};
use crate::{
    motif::{Motif, start},
    process::{self, Stop},
    workspace,
};

/// Longest time that an answer may take, in milliseconds.
const ANSWER_MAX_MS: f64 = 300.0;
/// Largest file, in bytes.
const FILE_MAX_BYTES: u64 = 1 << 30;
/// Longest wait for the server to start.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks for it.
const READY_LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(crate) struct Statistics {
    /// Trials, five of each condition.
    #[arg(long, default_value_t = 10_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=50_000))]
    trials: u32,
    /// Points that each trial logs.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    points: u32,
    /// Values of each point.
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    metrics: u32,
    /// Calls of each operation after its first one.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=99))]
    runs: u16,
    /// Print one JSON document on stdout instead of a table.
    #[arg(long)]
    json: bool,
}

/// One operation's calls.
#[derive(Debug, Serialize)]
struct Timed {
    /// The sweep's name and the rest of the path.
    operation: String,
    /// The first call, which finds nothing in memory.
    first_ms: f64,
    /// Median of the calls after it.
    p50_ms: f64,
    /// The slowest of them.
    max_ms: f64,
    answer_bytes: usize,
    /// Whether the median is within 300 ms; `null` for what has no aim.
    met: Option<bool>,
}

pub(crate) async fn run(arguments: &Statistics, stop: &mut Stop) -> anyhow::Result<bool> {
    eprintln!("building motif and its example fill_statistics (a few minutes the first time)");
    let mut build = process::cargo(&workspace::root());
    build.args(["build", "--release", "--workspace", "--bin", "motif", "--example", "fill_statistics"]);
    process::run(&mut build, stop).await?;
    let data = tempfile::Builder::new().prefix("motif-bench-").tempdir()?;
    let file = data.path().join("motif.db");
    let began = now();
    let sweeps = fill(arguments, &file, stop).await?;
    let filled_s = began.elapsed().as_secs_f64();
    let file_bytes = size(&file)?;
    let motif = Motif::built()?;
    let mut server = start(&mut motif.up("127.0.0.1:0", 0, data.path()))?;
    let timed = tokio::select! {
        timed = measure(arguments, &sweeps, data.path()) => timed,
        status = server.wait() => bail!("the server ended too early, with {}", status?),
        () = stop.wanted() => bail!("stopped"),
    };
    process::end(&mut server, process::END_LIMIT).await?;
    report(arguments, &timed?, file_bytes, filled_s);
    Ok(true)
}

/// The store of two sweeps, and their ids.
async fn fill(arguments: &Statistics, file: &Path, stop: &mut Stop) -> anyhow::Result<Value> {
    eprintln!("filling a store with {} trials", 2 * arguments.trials);
    let example = workspace::target_dir()?.join("release/examples/fill_statistics");
    let mut fill = process::command(&example, &workspace::root());
    fill.arg(file)
        .args([arguments.trials, arguments.points, arguments.metrics].map(|number| number.to_string()));
    let ids = process::output(&mut fill, stop).await?;
    serde_json::from_str(&ids).context("fill_statistics prints JSON")
}

/// The file with its write-ahead log.
fn size(file: &Path) -> anyhow::Result<u64> {
    let log = file.with_extension("db-wal");
    let log_bytes = if log.exists() { std::fs::metadata(log)?.len() } else { 0 };
    Ok(std::fs::metadata(file)?.len() + log_bytes)
}

async fn measure(arguments: &Statistics, sweeps: &Value, data: &Path) -> anyhow::Result<Vec<Timed>> {
    let server = Server::ready(data).await?;
    // What the aim is about, and what else a reader may wait for.
    let operations = [
        ("grid", "summary", true),
        ("grid", "comparisons", true),
        ("grid", "curves", true),
        ("grid", "curves?metric=cos_v.1", true),
        ("grid", "ledger", true),
        ("grid", "importance", true),
        ("search", "importance", true),
        ("grid", "anova", false),
        ("grid", "summary?interval=bca", false),
    ];
    let mut timed = Vec::new();
    for (sweep, operation, aimed) in operations {
        let id = sweeps[sweep].as_str().context("fill_statistics names both sweeps")?;
        let path = format!("/api/v1/sweeps/{id}/{operation}");
        let (first_ms, answer_bytes) = server.get(&path).await?;
        let mut calls = Vec::new();
        for _ in 0..arguments.runs {
            calls.push(server.get(&path).await?.0);
        }
        let p50_ms = median(calls.iter().copied());
        timed.push(Timed {
            operation: format!("{sweep}/{operation}"),
            first_ms,
            p50_ms,
            max_ms: calls.into_iter().fold(0.0, f64::max),
            answer_bytes,
            met: aimed.then_some(p50_ms <= ANSWER_MAX_MS),
        });
    }
    Ok(timed)
}

/// A server on loopback.
struct Server {
    address: String,
    token: String,
}

impl Server {
    /// Waits for the file in which a server leaves its address.
    async fn ready(data: &Path) -> anyhow::Result<Self> {
        let file = data.join("client.json");
        let began = now();
        while !file.exists() {
            ensure!(began.elapsed() < READY_LIMIT, "the server was not ready within {READY_LIMIT:?}");
            tokio::time::sleep(READY_LOOK).await;
        }
        let left: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let text = |key: &str| left[key].as_str().map(str::to_owned).context("client.json is whole");
        Ok(Self { address: text("server")?.trim_start_matches("http://").to_owned(), token: text("token")? })
    }

    /// Milliseconds until the whole answer is there, and its size.
    async fn get(&self, path: &str) -> anyhow::Result<(f64, usize)> {
        let began = now();
        let mut stream = TcpStream::connect(&self.address).await?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            self.address, self.token
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let ms = began.elapsed().as_secs_f64() * 1e3;
        let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
        ensure!(line.ends_with(b" 200 OK"), "{path}: {}", String::from_utf8_lossy(&answer));
        Ok((ms, answer.len()))
    }
}

fn report(arguments: &Statistics, timed: &[Timed], file_bytes: u64, filled_s: f64) {
    let file_met = file_bytes <= FILE_MAX_BYTES;
    if arguments.json {
        let document = json!({
            "trials": arguments.trials, "points": arguments.points, "metrics": arguments.metrics, "runs": arguments.runs,
            "operations": timed, "file_bytes": file_bytes, "file_met": file_met, "filled_s": filled_s,
        });
        println!("{document:#}");
        return;
    }
    println!(
        "{} trials × {} points × {} values, {} conditions × 5 seeds; and a search of as many trials without points",
        arguments.trials,
        arguments.points,
        arguments.metrics,
        arguments.trials / 5
    );
    let mut table = table(&["operation", "first, ms", "p50, ms", "max, ms", "answer", "at most 300 ms"]);
    for one in timed {
        table.add_row(vec![
            one.operation.clone(),
            format!("{:.0}", one.first_ms),
            format!("{:.0}", one.p50_ms),
            format!("{:.0}", one.max_ms),
            bytes(one.answer_bytes as u64),
            one.met.map_or("no aim", word).to_owned(),
        ]);
    }
    println!(
        "{table}\nfile: {}, at most 1 GiB: {} (filled in {filled_s:.0} s)",
        bytes(file_bytes),
        word(file_met)
    );
}

fn word(met: bool) -> &'static str {
    if met { "met" } else { "NOT met" }
}
