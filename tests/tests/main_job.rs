//! The main job through real processes: import, submit, train on two workers, kill one with −9, read the results.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::{
    fixtures::write_idx,
    process::{Server, wait_for},
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Five conditions as in Fig. 4, three seeds; leases short enough that a test need not wait half a minute.
const SWEEP: &str = r#"
name = "ablation"
seeds = 3
baseline = { rule = "bp" }
# Three seeds can be right equally often on a small test set, and would leave an interval without a width.
metric = "test_loss"

[queue]
lease_ttl_s = 3
heartbeat_s = 1

[trial]
dataset = "idx"
hidden = [128, 128]
epochs = 60
train_limit = 2000
rule = "sal"
rates = { w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }

[axes]
plastic = [["w"], ["w", "w_bar"], ["w", "v_bar"], ["w", "w_bar", "v", "v_bar"]]

[[arms]]
label = "bp"
rule = "bp"
rates = { w = 0.2 }
decay = { w = 0 }

[[claims]]
text = "V and V̄ become each other's transposes."
test = "grows"
metric = "cos_v.*"
of = { plastic = ["w", "w_bar", "v", "v_bar"], rule = "sal" }

[[claims]]
text = "Nobody is right about more than all images."
test = "above"
metric = "test_accuracy"
level = 1.0
"#;

const TRIALS: usize = 15;

/// Fault 4 of the queue: a worker killed in training.
#[test]
fn a_sweep_survives_a_killed_worker_and_every_trial_ends_once() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let images = dir.path().join("images");
    write_idx(&images, 2000, 500)?;
    let server = Server::start(&dir.path().join("server"))?;

    let imported = server.json(&["dataset", "import", "idx", images.to_str().context("utf-8")?])?;
    ensure!(imported["train_examples"] == 2000 && imported["test_examples"] == 500, "imported {imported}");

    let spec = dir.path().join("sweep.toml");
    std::fs::write(&spec, SWEEP)?;
    let sweep = server.json(&["submit", spec.to_str().context("utf-8")?])?;
    let id = sweep["id"].as_str().context("a sweep has an id")?.to_owned();
    ensure!(sweep["counts"]["queued"] == TRIALS, "submitted {sweep}");

    let mut victim = server.worker("victim", &dir.path().join("victim"), 1)?;
    // Stopped before we look, and looked at twice, so that it is killed in the middle of a trial: what it sent before
    // it was stopped has arrived by the second look.
    let held = wait_for("the victim to be in the middle of a trial", Duration::from_secs(60), || {
        victim.signal(Signal::SIGSTOP)?;
        let held = held_by(&server, &id, "victim")?.and(held_by(&server, &id, "victim")?);
        if held.is_none() {
            victim.signal(Signal::SIGCONT)?;
        }
        Ok(held)
    })?;
    victim.kill()?;
    let _survivor = server.worker("survivor", &dir.path().join("survivor"), 2)?;

    wait_for("every trial to end", Duration::from_secs(180), || {
        let sweep = server.json(&["sweep", "show", &id])?;
        Ok((sweep["sweep"]["counts"]["succeeded"] == TRIALS).then_some(()))
    })?;

    let killed = server.json(&["trial", "show", held["id"].as_str().context("id")?])?;
    let attempts = killed["attempt_rows"].as_array().context("attempts")?;
    let outcomes: Vec<_> = attempts.iter().map(|a| (a["worker"].as_str(), a["outcome"].as_str())).collect();
    ensure!(
        outcomes == [(Some("victim"), Some("expired")), (Some("survivor"), Some("succeeded"))],
        "the killed worker's trial shows {outcomes:?}"
    );
    for trial in server.trials(&id)? {
        let ends = server.json(&["trial", "show", trial["id"].as_str().context("id")?])?;
        let succeeded = ends["attempt_rows"].as_array().context("attempts")?.iter();
        ensure!(succeeded.filter(|a| a["outcome"] == "succeeded").count() == 1, "not once: {ends}");
    }

    statistics(&server, &id)?;
    verdicts(&server, &id)?;
    export(&server, &id, dir.path())
}

/// The trial that a worker holds and has made steps in.
fn held_by(server: &Server, sweep: &str, worker: &str) -> anyhow::Result<Option<Value>> {
    let held = |t: &Value| t["worker"] == worker && t["state"] == "leased" && t["step"].as_u64() > Some(0);
    Ok(server.trials(sweep)?.into_iter().find(held))
}

/// The table has a row per condition, with n, mean and interval, and all but the baseline are tested.
fn statistics(server: &Server, sweep: &str) -> anyhow::Result<()> {
    let report = server.json(&["sweep", "show", sweep])?;
    let rows = report["summary"]["conditions"].as_array().context("conditions")?;
    ensure!(rows.len() == 5, "{} conditions", rows.len());
    for row in rows {
        ensure!(row["n"] == 3 && row["complete"] == true, "{row}");
        let mean = row["mean"].as_f64().context("mean")?;
        let values: Vec<f64> =
            row["values"].as_array().context("values")?.iter().filter_map(|v| v["value"].as_f64()).collect();
        ensure!((mean - values.iter().sum::<f64>() / 3.0).abs() < 1e-12, "mean of {values:?} is not {mean}");
        let (low, high) = (row["interval"]["low"].as_f64(), row["interval"]["high"].as_f64());
        ensure!(low < Some(mean) && Some(mean) < high, "{row}");
        ensure!(mean < 1.0, "{} has learnt nothing: a loss of {mean}", row["label"]);
    }
    let tests = report["comparisons"]["rows"].as_array().context("comparisons")?;
    ensure!(tests.len() == 4 && tests.iter().all(|t| t["n"] == 3 && t["p_adjusted"].is_f64()), "{tests:?}");
    Ok(())
}

/// The claims are answered, in JSON and in words; what cannot be so is not supported.
fn verdicts(server: &Server, sweep: &str) -> anyhow::Result<()> {
    let report = server.json(&["sweep", "show", sweep])?;
    let claims = report["verdicts"]["claims"].as_array().context("claims")?;
    let answers: Vec<_> =
        claims.iter().map(|claim| (claim["verdict"].as_str(), claim["n"].as_u64())).collect();
    ensure!(
        answers == [(Some("supported"), Some(3)), (Some("not_supported"), Some(3))],
        "the claims are answered {claims:#?}"
    );
    let shown = server.motif(&["sweep", "show", sweep])?;
    let text = String::from_utf8_lossy(&shown.stdout);
    for part in ["V and V̄ become each other's transposes.", "verdict: not supported", "Bonferroni"] {
        ensure!(text.contains(part), "{part:?} is not in\n{text}");
    }
    Ok(())
}

/// The CSV has a row per trial; equal trials have equal hashes, different ones do not.
fn export(server: &Server, sweep: &str, dir: &std::path::Path) -> anyhow::Result<()> {
    let path = dir.join("out.csv");
    let out =
        server.motif(&["export", sweep, "--format", "csv", "--out", path.to_str().context("utf-8")?])?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut reader = csv::Reader::from_path(&path)?;
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().collect::<Result<_, _>>()?;
    ensure!(rows.len() == TRIALS, "{} rows", rows.len());
    let hashes: std::collections::BTreeSet<_> = rows.iter().map(|row| &row["result_hash"]).collect();
    ensure!(hashes.len() == TRIALS && hashes.iter().all(|hash| hash.len() == 64), "{hashes:?}");
    ensure!(
        rows.iter().all(|row| row["state"] == "succeeded" && row["test_accuracy"].parse::<f64>().is_ok())
    );
    Ok(())
}
