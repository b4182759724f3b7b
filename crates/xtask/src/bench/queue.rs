//! `cargo xtask bench queue`: what the queue takes over HTTP with durable commits, alone and with a large store behind it,
//! beside Optuna's.

mod peers;
mod server;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::server::Server;
use super::figures::bytes;
use crate::{
    process::{self, Stop},
    workspace,
};

/// What is aimed at.
const TRIALS_PER_S_MIN: f64 = 5000.0;
const CALL_P99_MAX_MS: f64 = 50.0;
const WAKEUP_MAX_MS: f64 = 100.0;
const WAL_MAX_BYTES: u64 = 256 << 20;
/// Leases that are to survive a restart.
const HELD_LEASES: u64 = 200;

#[derive(Debug, Args)]
pub(crate) struct Queue {
    /// Trials of each run with 16 and with 256 workers; a fifth of them with one.
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    trials: u64,
    /// Trials of the large store.
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=10_000_000))]
    stored: u64,
    /// Few of everything: it says whether this command works, and nothing else.
    #[arg(long, conflicts_with_all = ["trials", "stored"])]
    quick: bool,
    /// Leave Optuna out.
    #[arg(long)]
    no_peers: bool,
    /// Print one JSON document on stdout instead of a table.
    #[arg(long)]
    json: bool,
}

/// How much of everything.
struct Size {
    trials: u64,
    stored: u64,
    rounds: u64,
    peer_s: u64,
}

/// A figure: of what, and what it was to be.
struct Row {
    name: String,
    measured: String,
    aim: &'static str,
    met: Option<bool>,
}

pub(crate) async fn run(arguments: &Queue, stop: &mut Stop) -> anyhow::Result<bool> {
    eprintln!("building motif and its example queue_load (a few minutes the first time)");
    let mut build = process::cargo(&workspace::root());
    build.args(["build", "--release", "--workspace", "--bin", "motif", "--example", "queue_load"]);
    process::run(&mut build, stop).await?;
    let size = if arguments.quick {
        Size { trials: 1000, stored: 5000, rounds: 10, peer_s: 1 }
    } else {
        Size { trials: arguments.trials, stored: arguments.stored, rounds: 100, peer_s: 5 }
    };
    let load_before = load();
    let mut measured = json!({ "load_before": load_before, "alone": alone(&size, stop).await? });
    measured["large"] = large(&size, stop).await?;
    if !arguments.no_peers {
        measured["peers"] = peers::measure(size.peer_s, stop).await?;
    }
    measured["load_after"] = json!(load());
    if arguments.json {
        println!("{measured:#}");
    } else {
        println!("{}", table(&measured, &size));
    }
    Ok(true)
}

/// The load of the machine over the last minute.
fn load() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

fn folder() -> anyhow::Result<TempDir> {
    // The temporary folder of the system may be in memory, where a commit costs nothing.
    Ok(tempfile::Builder::new().prefix("bench-queue-").tempdir_in(workspace::target_dir()?)?)
}

/// Workers on an empty store: each number of them with as many slots as make up what a machine has.
async fn alone(size: &Size, stop: &mut Stop) -> anyhow::Result<Value> {
    let mut runs = Vec::new();
    for (workers, slots, trials) in
        [(1, 16, size.trials / 5), (16, 1, size.trials / 5), (16, 16, size.trials), (256, 1, size.trials)]
    {
        eprintln!("{trials} trials, {workers} workers with {slots} slots");
        let data = folder()?;
        let mut server = Server::start(data.path(), None).await?;
        let before_s = server.cpu_s()?;
        let arguments = [workers, slots, trials].map(|number| number.to_string());
        let mut run = server.load("throughput", &arguments, stop).await?;
        let completed = run["trials"].as_f64().context("trials")?;
        run["server_cpu_us_per_trial"] = json!((server.cpu_s()? - before_s) / completed * 1e6);
        run["server_peak_bytes"] = json!(server.peak_bytes()?);
        runs.push(run);
        server.end().await?;
    }
    eprintln!("{} wake-ups of 256 waiting claims", size.rounds);
    let data = folder()?;
    let mut server = Server::start(data.path(), None).await?;
    let wakeup = server.load("wakeup", &["256".into(), size.rounds.to_string()], stop).await?;
    server.end().await?;
    Ok(json!({ "runs": runs, "wakeup": wakeup }))
}

/// A store of many trials: filled, restarted, looked at, and at work with an endless reader.
async fn large(size: &Size, stop: &mut Stop) -> anyhow::Result<Value> {
    eprintln!("filling a store with {} trials", size.stored);
    let data = folder()?;
    let mut server = Server::start(data.path(), None).await?;
    let filled = server.load("fill", &[size.stored.to_string()], stop).await?;
    let sweep = filled["sweeps"][0].as_str().context("a sweep")?.to_owned();
    let token = server.token.clone();
    // Ended in order, it leaves everything in the one file.
    server.end().await?;
    let file_bytes = size_of(&data.path().join("motif.db"));
    let mut server = Server::start(data.path(), Some(token.clone())).await?;
    let leases = data.path().join("leases.json").display().to_string();
    server.load("hold", &[leases.clone(), HELD_LEASES.to_string()], stop).await?;
    server.kill().await?;
    let mut server = Server::start(data.path(), Some(token)).await?;
    let mut measured = json!({
        "filled_s": filled["seconds"], "bytes_per_trial": file_bytes as f64 / size.stored as f64,
        "ready_ms": server.ready_ms, "leases": server.load("held", &[leases], stop).await?,
        "claim": server.load("claim", &["500".into()], stop).await?,
    });
    for (name, path) in [
        ("list", "/api/v1/sweeps".to_owned()),
        ("summary", format!("/api/v1/sweeps/{sweep}/summary")),
        ("trials", format!("/api/v1/sweeps/{sweep}/trials?limit=500")),
    ] {
        measured[name] = server.load("get", &[path, "50".into()], stop).await?;
    }
    eprintln!("{} trials with an endless reader", size.trials);
    let reader = server.endless_reader(&format!("/api/v1/sweeps/{sweep}/export?format=csv"))?;
    let watch = Wal::watch(data.path());
    let arguments = ["256".to_owned(), "1".to_owned(), size.trials.to_string()];
    measured["with_reader"] = server.load("throughput", &arguments, stop).await?;
    measured["wal_peak_bytes"] = json!(watch.peak_bytes());
    drop(reader);
    measured["server_peak_bytes"] = json!(server.peak_bytes()?);
    server.end().await?;
    Ok(measured)
}

fn size_of(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

/// Looks at the size of the write-ahead log while something else is done.
struct Wal {
    peak: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Wal {
    fn watch(data: &Path) -> Self {
        let peak = Arc::<AtomicU64>::default();
        let (seen, wal) = (Arc::clone(&peak), data.join("motif.db-wal"));
        let task = tokio::spawn(async move {
            loop {
                seen.fetch_max(size_of(&wal), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { peak, task }
    }

    fn peak_bytes(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One Markdown table of all figures.
fn table(measured: &Value, size: &Size) -> String {
    let mut lines = vec![
        format!(
            "load of the machine: {} before, {} after (0 would be quiet)",
            measured["load_before"].as_str().unwrap_or("unknown"),
            measured["load_after"].as_str().unwrap_or("unknown"),
        ),
        String::new(),
        "| figure | measured | aim | |".to_owned(),
        "|---|---:|---:|---|".to_owned(),
    ];
    let rows = alone_rows(&measured["alone"]).into_iter().chain(large_rows(&measured["large"], size));
    for Row { name, measured, aim, met } in rows.chain(peers::rows(&measured["peers"])) {
        let met = met.map_or("", |met| if met { "met" } else { "NOT met" });
        lines.push(format!("| {name} | {measured} | {aim} | {met} |"));
    }
    lines.join("\n")
}

fn number(value: &Value, digits: usize) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}

fn plain(name: impl Into<String>, measured: String) -> Row {
    Row { name: name.into(), measured, aim: "", met: None }
}

/// A call's median and 99th percentile, of which the latter has an aim.
fn calls(name: &str, times: &Value, aim: Option<(&'static str, f64)>) -> Row {
    let measured = format!("{} / {} ms", number(&times["p50_ms"], 1), number(&times["p99_ms"], 1));
    let met = aim.map(|(_, most)| times["p99_ms"].as_f64().is_some_and(|p99| p99 <= most));
    Row { name: format!("{name}, p50 / p99"), measured, aim: aim.map_or("", |(aim, _)| aim), met }
}

fn alone_rows(alone: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    for run in alone["runs"].as_array().into_iter().flatten() {
        let (workers, slots) = (number(&run["workers"], 0), number(&run["slots"], 0));
        let who = format!("{workers} workers × {slots} slots");
        let rate = run["trials_per_s"].as_f64().unwrap_or_default();
        let aimed = workers == "256";
        rows.push(Row {
            name: format!("{who}: trials/s, submit → completion"),
            measured: format!("{rate:.0}"),
            aim: if aimed { "≥ 5,000" } else { "" },
            met: aimed.then_some(rate >= TRIALS_PER_S_MIN),
        });
        let aim = aimed.then_some(("p99 ≤ 50 ms", CALL_P99_MAX_MS));
        rows.push(calls(&format!("{who}: claim"), &run["claim"], aim));
        rows.push(calls(&format!("{who}: complete"), &run["complete"], aim));
        rows.push(plain(
            format!("{who}: server's processor time per trial"),
            format!("{} µs", number(&run["server_cpu_us_per_trial"], 0)),
        ));
        let peak = run["server_peak_bytes"].as_u64().unwrap_or_default();
        rows.push(plain(format!("{who}: server's largest resident set"), bytes(peak)));
    }
    let aim = Some(("p99 ≤ 100 ms", WAKEUP_MAX_MS));
    rows.push(calls("wake-up of one of 256 waiting claims", &alone["wakeup"]["wakeup"], aim));
    rows
}

fn large_rows(large: &Value, size: &Size) -> Vec<Row> {
    let who = format!("{} stored trials", size.stored);
    let aim = Some(("p99 ≤ 50 ms", CALL_P99_MAX_MS));
    let kept = large["leases"]["kept"].as_u64();
    let wal = large["wal_peak_bytes"].as_u64().unwrap_or_default();
    let rate = number(&large["with_reader"]["trials_per_s"], 0);
    vec![
        plain(format!("{who}: filled over HTTP in"), format!("{} s", number(&large["filled_s"], 1))),
        plain(format!("{who}: file per trial"), format!("{} B", number(&large["bytes_per_trial"], 0))),
        plain(format!("{who}: start → ready after SIGKILL"), format!("{} ms", number(&large["ready_ms"], 0))),
        Row {
            name: format!("{who}: leases kept over the restart"),
            measured: format!("{} of {HELD_LEASES}", kept.unwrap_or_default()),
            aim: "all",
            met: Some(kept == Some(HELD_LEASES)),
        },
        calls(&format!("{who}: claim, one at a time"), &large["claim"], aim),
        calls(&format!("{who}: list of sweeps"), &large["list"], None),
        calls(&format!("{who}: summary of a sweep"), &large["summary"], None),
        calls(&format!("{who}: 500 trials"), &large["trials"], None),
        plain(format!("{who}, endless reader, 256 workers: trials/s"), rate),
        calls(&format!("{who}, endless reader, 256 workers: claim"), &large["with_reader"]["claim"], aim),
        calls(
            &format!("{who}, endless reader, 256 workers: complete"),
            &large["with_reader"]["complete"],
            aim,
        ),
        Row {
            name: format!("{who}, endless reader: largest write-ahead log"),
            measured: bytes(wal),
            aim: "≤ 268 MB",
            met: Some(wal <= WAL_MAX_BYTES),
        },
        plain(
            format!("{who}: server's largest resident set"),
            bytes(large["server_peak_bytes"].as_u64().unwrap_or_default()),
        ),
    ]
}
