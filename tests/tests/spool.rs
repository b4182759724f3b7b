//! What a worker had not delivered outlives it: the server is killed, then the worker, and nothing is trained twice.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_tests::{
    process::{Process, Server, wait_for},
    single::{ended, points, submit, trial},
};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

/// The result of the same trial when nothing happens to it.
fn undisturbed(dir: &Path, epochs: u32) -> anyhow::Result<(Value, Vec<Value>)> {
    let server = Server::start(&dir.join("undisturbed"))?;
    let sweep = submit(&server, dir, epochs, "")?;
    let _worker = server.worker("undisturbed", &dir.join("undisturbed-worker"), 1)?;
    let trial = ended(&server, &sweep)?;
    let points = points(&server, &trial)?;
    Ok((trial, points))
}

/// The spool's files of a kind.
fn spooled(data: &Path, ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("spool")).into_iter().flatten().flatten().map(|file| file.path());
    files
        .filter(|path| {
            path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.ends_with(ending) && !name.starts_with('.')
            })
        })
        .collect()
}

/// What the only file of a kind holds.
fn content(data: &Path, ending: &str) -> Option<Vec<u8>> {
    spooled(data, ending).first().and_then(|path| fs::read(path).ok())
}

/// Waits for a training's first points. The file is looked at and not the server, which would take longer to ask than a
/// small trial takes to train.
fn training(data: &Path) -> anyhow::Result<()> {
    wait_for("points", LIMIT, || {
        let log = content(data, ".spool").unwrap_or_default();
        Ok((String::from_utf8_lossy(&log).matches("{\"point\":").count() > 3).then_some(()))
    })
}

fn worker(server: &Server, data: &Path) -> anyhow::Result<Process> {
    server.worker_with("w", data, 1, &["--checkpoint-every-s", "1"])
}

#[test]
fn a_result_of_an_outage_outlives_its_worker() -> anyhow::Result<()> {
    const EPOCHS: u32 = 200;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("worker");
    let mut server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), EPOCHS, "")?;
    let mut first = worker(&server, &data)?;
    training(&data)?;
    server.process.kill()?;
    wait_for("the training to end without a server", LIMIT, || {
        let log = content(&data, ".spool").unwrap_or_default();
        Ok(String::from_utf8_lossy(&log).contains("{\"ended\":{\"trained\"").then_some(()))
    })?;
    first.kill()?;

    server.again(&[])?;
    let before = server.trials(&sweep)?;
    ensure!(before[0]["state"] == "leased", "the server knows of no end: {before:?}");
    let _second = worker(&server, &data)?;
    let trial = ended(&server, &sweep)?;
    let attempts = trial["attempt_rows"].as_array().context("attempts")?;
    ensure!(attempts.len() == 1 && attempts[0]["outcome"] == "succeeded", "{trial}");
    let found = points(&server, &trial)?;
    let (expected, its) = undisturbed(dir.path(), EPOCHS)?;
    ensure!(trial["result_hash"] == expected["result_hash"], "{trial}\n{expected}");
    ensure!(its.len() >= EPOCHS as usize && found == its, "{} points, not {}", found.len(), its.len());
    wait_for("the spool to be empty", LIMIT, || Ok(spooled(&data, "").is_empty().then_some(())))
}

#[test]
fn a_checkpoint_of_an_outage_outlives_its_worker() -> anyhow::Result<()> {
    const EPOCHS: u32 = 400;
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("worker");
    let mut server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), EPOCHS, "lease_ttl_s = 4\nheartbeat_s = 1")?;
    let mut first = worker(&server, &data)?;
    training(&data)?;
    server.process.kill()?;
    // Another one than that which may have been under way.
    let mut seen = 0;
    let mut last = None;
    wait_for("checkpoints without a server", LIMIT, || {
        let now = content(&data, ".checkpoint");
        if now.is_some() && now != last {
            seen += 1;
            last = now;
        }
        Ok((seen > 1).then_some(()))
    })?;
    first.kill()?;
    let kept = content(&data, ".checkpoint").context("it is kept")?;
    let line =
        String::from_utf8_lossy(kept.split(|byte| *byte == b'\n').next().context("a line")?).into_owned();
    let (_, line) = line.split_once(' ').context("a hash and a line")?;
    let step = serde_json::from_str::<Value>(line)?["checkpoint"]["step"].as_u64().context("step")?;

    server.again(&[])?;
    let _second = worker(&server, &data)?;
    let begun = |trial: &Value| trial["attempts"] == 2 && trial["step"].as_u64() > Some(0);
    let second = trial(&server, &sweep, "the second attempt's steps", begun)?;
    ensure!(second["step"].as_u64() >= Some(step), "it begins behind step {step}: {second}");
    ensure!(second["crashes"] == 1, "a worker that died is counted: {second}");
    let trial = ended(&server, &sweep)?;
    let found = points(&server, &trial)?;
    let (expected, its) = undisturbed(dir.path(), EPOCHS)?;
    ensure!(trial["result_hash"] == expected["result_hash"], "{trial}\n{expected}");
    ensure!(found == its, "{} points, not {}", found.len(), its.len());
    Ok(())
}
