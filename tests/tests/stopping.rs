//! A search through real processes: most trials are stopped early, the best one is not, and what was stopped is counted
//! apart everywhere.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use motif_tests::process::Server;
use serde_json::Value;

const EPOCHS: u64 = 27;
/// 800 training examples in minibatches of 50.
const EPOCH_STEPS: u64 = 16;
const STEPS: u64 = EPOCHS * EPOCH_STEPS;
const TRIALS: usize = 12;

/// The good rates come first: who comes when there is nothing better yet is not stopped. Points of diagnostics fall between the epochs, so that the last point of a stopped trial need not hold its accuracy.
const SEARCH: &str = r#"
name = "rates"
seeds = 1
metric = "validation_accuracy"
stop = { method = "asha", min_epochs = 1, reduction = 3 }

[trial]
dataset = "glyphs"
train_limit = 800
validation = 400
hidden = [256, 256]
epochs = 27
batch_size = 50
rule = "bp"
diagnostics = { every_steps = 5 }

[axes]
"rates.w" = [0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.003, 0.002, 0.001, 0.0003, 0.0001]
"#;

#[test]
fn a_search_spends_its_steps_on_the_best() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let _worker = server.worker("worker", &dir.path().join("worker"), 2)?;
    let spec = dir.path().join("search.toml");
    std::fs::write(&spec, SEARCH)?;
    let path = spec.to_str().context("utf-8")?;

    let dry = server.motif(&["submit", path, "--dry-run"])?;
    ensure!(String::from_utf8_lossy(&dry.stdout).contains("upper bounds"), "{dry:?}");
    let report = server.json(&["submit", path, "--wait"])?;
    let id = report["sweep"]["id"].as_str().context("id")?.to_owned();
    let count = |state: &str| report["sweep"]["counts"][state].as_u64().unwrap_or(0) as usize;
    let (stopped, whole) = (count("stopped"), count("succeeded"));
    ensure!(stopped + whole == TRIALS && whole > 0, "{}", report["sweep"]["counts"]);
    ensure!(stopped > TRIALS / 2, "only {stopped} of {TRIALS} were stopped");

    let trials = server.trials(&id)?;
    let steps: u64 = trials.iter().filter_map(|trial| trial["step"].as_u64()).sum();
    let without = STEPS * TRIALS as u64;
    println!("{stopped} of {TRIALS} stopped; {steps} steps instead of {without}");
    ensure!(steps < without * 3 / 4, "{steps} of {without} steps");
    for trial in &trials {
        check_trial(trial)?;
    }
    statistics(&server, &id, &report)?;
    leaderboard(&server, &id, &trials)?;

    let retried = server.json(&["sweep", "retry", &id])?;
    ensure!(retried["changed"] == 0, "a stopped trial is not run again: {retried}");
    Ok(())
}

/// A stopped trial says where and why, has what it measured last, and no hash that another run could be held against.
fn check_trial(trial: &Value) -> anyhow::Result<()> {
    let step = trial["step"].as_u64().context("step")?;
    if trial["state"] == "succeeded" {
        ensure!(
            step == STEPS && trial["result_hash"].is_string() && trial["stopped_step"].is_null(),
            "{trial}"
        );
        return Ok(());
    }
    ensure!(trial["state"] == "stopped" && trial["stopped_step"] == step && step < STEPS, "{trial}");
    ensure!(trial["result_hash"].is_null(), "{trial}");
    let epoch = trial["stopped_epoch"].as_f64().context("epoch")?;
    ensure!((epoch - step as f64 / EPOCH_STEPS as f64).abs() < 1e-9 && epoch >= 1.0, "{trial}");
    let reason = trial["reason"].as_str().context("reason")?;
    ensure!(reason.contains("validation_accuracy") && reason.contains("not among the best"), "{reason}");
    ensure!(trial["metric"].is_f64(), "what it measured last is there: {trial}");
    Ok(())
}

/// No mean holds a stopped trial.
fn statistics(server: &Server, id: &str, report: &Value) -> anyhow::Result<()> {
    for row in report["summary"]["conditions"].as_array().context("conditions")? {
        let stopped = row["counts"]["stopped"] == 1;
        ensure!(row["n"] == u64::from(!stopped) && row["mean"].is_null() == stopped, "{row}");
        let noted = row["notes"]
            .as_array()
            .context("notes")?
            .iter()
            .any(|note| note == "1 of 1 seeds stopped early: censored");
        ensure!(noted == stopped, "{row}");
    }
    let shown = server.motif(&["sweep", "show", id])?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(text.contains("were stopped early: censored"), "{text}");

    let csv = server.motif(&["export", id, "--format", "csv", "--out", "-"])?;
    let mut reader = csv::Reader::from_reader(csv.stdout.as_slice());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().collect::<Result<_, _>>()?;
    for row in &rows {
        let stopped = row["state"] == "stopped";
        ensure!(
            row["stopped_step"].is_empty() != stopped && row["result_hash"].is_empty() == stopped,
            "{row:?}"
        );
    }
    let listed = server.json(&["trial", "list", id, "--state", "stopped"])?;
    ensure!(
        listed
            .as_array()
            .is_some_and(|all| all.len() == rows.iter().filter(|r| r["state"] == "stopped").count())
    );
    Ok(())
}

/// The best of the search was trained to its end, and the table says what its value is worth.
fn leaderboard(server: &Server, id: &str, trials: &[Value]) -> anyhow::Result<()> {
    let board = server.json(&["sweep", "best", id, "--limit", "3"])?;
    let rows = board["rows"].as_array().context("rows")?;
    ensure!(rows.len() == 3 && board["ranked"] == TRIALS, "{board}");
    ensure!(rows[0]["stopped_epochs"] == serde_json::json!([]), "the best was stopped: {board}");
    let best = trials.iter().find(|trial| trial["condition"] == rows[0]["condition"]).context("its trial")?;
    ensure!(best["step"] == STEPS && best["metric"] == rows[0]["mean"], "{best}");
    ensure!(rows[0]["mean"].as_f64() > Some(0.5), "it has learnt: {board}");
    let all = server.motif(&["sweep", "best", id, "--limit", "12"])?;
    let text = String::from_utf8_lossy(&all.stdout);
    for part in ["optimistic", "1 of 1, at epoch", "validation_accuracy, largest first"] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    let wrong = server.motif(&["sweep", "best", id, "--metric", "validation_acuracy"])?;
    let said = String::from_utf8_lossy(&wrong.stderr);
    ensure!(!wrong.status.success() && said.contains("validation_accuracy"), "{said}");
    Ok(())
}
