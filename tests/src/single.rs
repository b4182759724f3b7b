//! A sweep of one trial of real training, and what became of it.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::Value;

use crate::process::{Server, wait_for};

const LIMIT: Duration = Duration::from_secs(180);

/// Submits a trial of so many epochs, with these lines in its sweep's `[queue]`.
///
/// # Errors
/// When it is refused.
pub fn submit(server: &Server, dir: &Path, epochs: u32, queue: &str) -> anyhow::Result<String> {
    let path = dir.join("sweep.toml");
    let text = format!(
        "name = \"s\"\nseeds = 1\n[queue]\n{queue}\n[trial]\ndataset = \"glyphs\"\nhidden = [64, 64]\n\
         train_limit = 2000\ntest_limit = 200\nepochs = {epochs}\nmomentum = 0.5\n\
         rates = {{ w = 0.03, w_bar = 0.006, v = 0.03, v_bar = 0.03 }}\n"
    );
    std::fs::write(&path, text)?;
    let submitted = server.json(&["submit", path.to_str().context("utf-8")?])?;
    Ok(submitted["id"].as_str().context("id")?.to_owned())
}

/// The sweep's one trial, once it is as wanted.
///
/// # Errors
/// When that takes too long.
pub fn trial(
    server: &Server,
    sweep: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    wait_for(what, LIMIT, || Ok(server.trials(sweep)?.into_iter().next().filter(&wanted)))
}

/// The trial in full, once it has succeeded.
///
/// # Errors
/// When that takes too long.
pub fn ended(server: &Server, sweep: &str) -> anyhow::Result<Value> {
    let trial = trial(server, sweep, "the trial to end", |trial| trial["state"] == "succeeded")?;
    server.json(&["trial", "show", trial["id"].as_str().context("id")?])
}

/// All points of the newest attempt.
///
/// # Errors
/// When they cannot be had.
pub fn points(server: &Server, trial: &Value) -> anyhow::Result<Vec<Value>> {
    let logs = server.json(&["trial", "logs", trial["id"].as_str().context("id")?])?;
    Ok(logs["metrics"]["points"].as_array().context("points")?.clone())
}
