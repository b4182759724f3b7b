//! A trial that goes from one worker to another goes on where it was, to the same bits.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::{
    process::{Process, Server, wait_for},
    single::{ended, points, submit, trial},
};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

const QUEUE: &str = "lease_ttl_s = 4\nheartbeat_s = 1";

fn saved(server: &Server) -> usize {
    std::fs::read_dir(server.data.join("checkpoints")).map_or(0, |files| {
        files.flatten().filter(|file| !file.file_name().as_encoded_bytes().contains(&b'.')).count()
    })
}

fn worker(server: &Server, dir: &Path, name: &str) -> anyhow::Result<Process> {
    server.worker_with(name, &dir.join(name), 1, &["--checkpoint-every-s", "1"])
}

/// Faults 4 and 5 of the queue, in training. A drained worker's trial, a killed worker's and an undisturbed one come to the
/// same result and the same points; each takeover begins behind the first step.
#[test]
fn a_trial_resumes_on_another_worker_bit_identically() -> anyhow::Result<()> {
    const EPOCHS: u32 = 260;
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), EPOCHS, QUEUE)?;

    let mut drained = worker(&server, dir.path(), "drained")?;
    trial(&server, &sweep, "steps", |trial| trial["step"].as_u64() > Some(200))?;
    drained.signal(Signal::SIGTERM)?;
    ensure!(drained.wait(Duration::from_secs(15))?.success());
    ensure!(saved(&server) == 1, "a drained worker leaves a checkpoint");

    let mut killed = worker(&server, dir.path(), "killed")?;
    let second = |trial: &Value| trial["attempts"] == 2 && trial["step"].as_u64() > Some(0);
    let at =
        trial(&server, &sweep, "the second attempt's steps", second)?["step"].as_u64().context("step")?;
    ensure!(at > 200, "the second attempt begins at step {at}");
    trial(&server, &sweep, "later steps", |trial| trial["step"].as_u64() > Some(at + 400))?;
    let before: Vec<_> =
        std::fs::read_dir(server.data.join("checkpoints"))?.flatten().map(|f| f.file_name()).collect();
    wait_for("a newer checkpoint", LIMIT, || {
        let now: Vec<_> =
            std::fs::read_dir(server.data.join("checkpoints"))?.flatten().map(|f| f.file_name()).collect();
        Ok((now.iter().any(|name| !before.contains(name))).then_some(()))
    })?;
    killed.kill()?;

    let _last = worker(&server, dir.path(), "last")?;
    let resumed = ended(&server, &sweep)?;
    let attempts = resumed["attempt_rows"].as_array().context("attempts")?;
    ensure!(attempts.len() == 3, "{resumed}");
    ensure!(attempts[0]["outcome"] == "released" && attempts[1]["outcome"] == "expired", "{resumed}");

    let alone = Server::start(&dir.path().join("alone"))?;
    let sweep = submit(&alone, dir.path(), EPOCHS, QUEUE)?;
    let _worker = worker(&alone, dir.path(), "undisturbed")?;
    let undisturbed = ended(&alone, &sweep)?;
    ensure!(resumed["result_hash"] == undisturbed["result_hash"], "{resumed}\n{undisturbed}");
    ensure!(resumed["result"]["metrics"] == undisturbed["result"]["metrics"]);
    let (theirs, its) = (points(&server, &resumed)?, points(&alone, &undisturbed)?);
    ensure!(its.len() >= EPOCHS as usize && theirs == its);
    Ok(())
}
