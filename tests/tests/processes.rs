//! What processes owe each other: drains, restarts, refusals, identical results.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Server, Up, motif, motif_json, wait_for};
use nix::sys::signal::Signal;
use serde_json::Value;

const TRIAL: &str = r#"
dataset = "glyphs"
hidden = [48, 48]
train_limit = 2000
test_limit = 500
epochs = 3
rates = { w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }
"#;

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = dir.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("utf-8")?.to_owned())
}

fn sweep_of(epochs: u32, seeds: u32) -> String {
    format!(
        "name = \"s\"\nseeds = {seeds}\n[queue]\nlease_ttl_s = 4\nheartbeat_s = 1\n[trial]\ndataset = \"glyphs\"\n\
         hidden = [48, 48]\ntrain_limit = 2000\ntest_limit = 500\nepochs = {epochs}\n\
         rates = {{ w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }}\n"
    )
}

fn submit(server: &Server, dir: &Path, text: &str) -> anyhow::Result<String> {
    let sweep = server.json(&["submit", &write(dir, "sweep.toml", text)?])?;
    Ok(sweep["id"].as_str().context("id")?.to_owned())
}

fn counts(server: &Server, sweep: &str) -> anyhow::Result<Value> {
    Ok(server.json(&["sweep", "show", sweep])?["sweep"]["counts"].clone())
}

#[test]
fn a_trial_has_the_same_hash_alone_and_beside_others_on_any_number_of_slots() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let trial = write(dir.path(), "trial.toml", TRIAL)?;
    let mut alone = Vec::new();
    for seed in ["0", "1", "2"] {
        let result = motif_json(dir.path(), &["train", &trial, "--seed", seed])?;
        alone.push(result["result_hash"].as_str().context("hash")?.to_owned());
    }
    for slots in [1, 2] {
        let server = Server::start(&dir.path().join(format!("server-{slots}")))?;
        let sweep = submit(&server, dir.path(), &sweep_of(3, 3))?;
        let _worker = server.worker("w", &dir.path().join("worker"), slots)?;
        wait_for("the sweep to end", Duration::from_secs(120), || {
            Ok((counts(&server, &sweep)?["succeeded"] == 3).then_some(()))
        })?;
        for trial in server.trials(&sweep)? {
            let seed = usize::try_from(trial["seed"].as_u64().context("seed")?)?;
            ensure!(trial["result_hash"] == alone[seed].as_str(), "{slots} slots, seed {seed}: {trial}");
        }
    }
    Ok(())
}

/// Fault 5 of the queue: preemption.
#[test]
fn sigterm_drains_a_worker_and_its_trial_is_queued_at_once_at_no_cost() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), &sweep_of(2000, 1))?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 1)?;
    wait_for("the trial to make steps", Duration::from_secs(60), || {
        Ok(server.trials(&sweep)?.into_iter().find(|t| t["step"].as_u64() > Some(0)))
    })?;
    worker.signal(Signal::SIGTERM)?;
    let status = worker.wait(Duration::from_secs(10))?;
    ensure!(status.success(), "a drained worker ends with {status}");
    let trial = server.trials(&sweep)?.remove(0);
    ensure!(trial["state"] == "queued" && trial["crashes"] == 0 && trial["failures"] == 0, "{trial}");
    let id = trial["id"].as_str().context("id")?;
    let logs = String::from_utf8(server.motif(&["trial", "logs", id])?.stdout)?;
    ensure!(logs.contains("attempt 1  began on w") && logs.contains("released at step"), "{logs}");
    let shown = server.json(&["trial", "show", trial["id"].as_str().context("id")?])?;
    ensure!(shown["attempt_rows"][0]["outcome"] == "released", "{shown}");
    Ok(())
}

#[test]
fn a_killed_server_comes_back_with_everything_and_workers_go_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), &sweep_of(6, 4))?;
    let _worker = server.worker("w", &dir.path().join("worker"), 1)?;
    wait_for("a trial to end", Duration::from_secs(60), || {
        Ok((counts(&server, &sweep)?["succeeded"].as_u64() > Some(0)).then_some(()))
    })?;
    server.process.kill()?;
    let (data, token) = (server.data.clone(), server.token.clone());
    let address = server.url.trim_start_matches("http://").to_owned();
    let server = Server::start_at(&data, &address, Some(token))?;
    wait_for("the sweep to end", Duration::from_secs(120), || {
        Ok((counts(&server, &sweep)?["succeeded"] == 4).then_some(()))
    })?;
    for trial in server.trials(&sweep)? {
        ensure!(trial["attempts"].as_u64() <= Some(2), "{trial}");
    }
    Ok(())
}

#[test]
fn a_cancelled_sweep_stops_its_running_trial_within_a_heartbeat() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let sweep = submit(&server, dir.path(), &sweep_of(2000, 3))?;
    let _worker = server.worker("w", &dir.path().join("worker"), 1)?;
    wait_for("a trial to run", Duration::from_secs(60), || {
        Ok((counts(&server, &sweep)?["leased"] == 1).then_some(()))
    })?;
    let action = server.json(&["sweep", "cancel", &sweep])?;
    ensure!(action["changed"] == 2 && action["pending"] == 1, "{action}");
    wait_for("the running trial to stop", Duration::from_secs(10), || {
        Ok((counts(&server, &sweep)?["cancelled"] == 3).then_some(()))
    })
}

/// Fault 24 of the queue: two servers on one file.
#[test]
fn a_second_server_on_the_same_data_is_refused_in_words() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let second = motif(&server.data, &["serve", "--listen", "127.0.0.1:0"])?;
    let said = String::from_utf8_lossy(&second.stderr);
    ensure!(second.status.code() == Some(1) && said.contains("another"), "{}: {said}", second.status);
    Ok(())
}

#[test]
fn wrong_input_names_what_is_wrong_and_ends_with_status_2() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let cases = [
        ("learning_rate = 1", "learning_rate"),
        ("ratio = \"wide\"", "ratio"),
        ("ratio = -1.0", "-1"),
        ("rates = { w_baar = 0.1 }", "w_bar"),
        ("rule = \"bpp\"", "bp"),
        ("dataset = \"mnsit\"", "glyphs"),
        ("hidden = [", "trial.toml:1:"),
        ("train_limit = 1000000", "the number of training examples"),
        ("hidden = [16384, 16384, 16384]\nratio = 100", "widths of at most"),
    ];
    for (text, expected) in cases {
        let out = motif(dir.path(), &["train", &write(dir.path(), "trial.toml", text)?])?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(2), "{text}: {} {said}", out.status);
        ensure!(said.contains(expected), "{text}: no {expected:?} in {said}");
    }
    Ok(())
}

const SEARCH: &str = r#"
name = "search"
seeds = 3
exclude = [{ rule = "kp", ratio = 1.0 }]
[trial]
train_limit = 256
batch_size = 64
epochs = 2
hidden = [16]
[axes]
rule = ["sal", "kp"]
ratio = [1.0, 2.0]
[sample]
count = 4
rates.w = { low = 0.05, high = 1.0, scale = "log" }
[derive]
rates.v = "rates.w * 0.4"
"#;

#[test]
fn a_dry_run_counts_and_estimates_without_a_server_and_submits_nothing_to_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = write(dir.path(), "search.toml", SEARCH)?;
    let alone = motif_json(dir.path(), &["submit", &file, "--dry-run"])?;
    let conditions = alone["conditions"].as_array().map(Vec::len);
    let counted = (conditions, alone["trials"].as_u64(), alone["steps"].as_u64());
    ensure!(counted == (Some(12), Some(36), Some(288)), "{alone}");
    ensure!(alone["time"]["measured"].as_array().is_some_and(|all| !all.is_empty()), "{alone}");
    ensure!(alone["time"]["elapsed_s"].as_f64().is_some_and(|s| s > 0.0 && s < 600.0), "{alone}");
    ensure!(alone["server"].is_null() && alone["why_no_server"].is_string(), "{alone}");
    ensure!(
        alone["memory_bytes"].as_u64() > Some(0) && alone["disk_bytes"].as_u64() > Some(36 * 3000),
        "{alone}"
    );

    let server = Server::start(&dir.path().join("server"))?;
    let asked = server.json(&["preset", "submit", "demo", "--dry-run"])?;
    ensure!(asked["server"].is_string() && asked["trials"] == 18, "{asked}");
    let sweeps = server.json(&["sweep", "list"])?;
    ensure!(sweeps["items"].as_array().is_some_and(Vec::is_empty), "{sweeps}");

    let unknown =
        write(dir.path(), "unknown.toml", &SEARCH.replace("[trial]", "[trial]\ndataset = \"mnits\""))?;
    let refused = motif(dir.path(), &["submit", &unknown, "--dry-run"])?;
    let said = String::from_utf8_lossy(&refused.stdout);
    ensure!(refused.status.code() == Some(1) && said.contains("line 6, column 1: trial.dataset"), "{said}");
    let both = motif(dir.path(), &["submit", &file, "--dry-run", "--wait"])?;
    ensure!(both.status.code() == Some(2), "{}", both.status);
    Ok(())
}

#[test]
fn wrong_sweeps_are_told_with_file_line_and_column_whoever_finds_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let json = "{\"name\": \"a\",\n \"axes\": {\"ratoi\": [1]}}";
    for (name, text, expected) in [
        ("a.toml", SEARCH.replace("rates.w * 0.4", "rates.w *"), "a.toml:17:7: derive.rates.v: character 10"),
        ("b.toml", SEARCH.replace("ratio = 1.0", "ratoi = 1"), "b.toml:4:27: exclude[0].ratoi: unknown key"),
        ("c.json", json.to_owned(), "c.json:2:11: axes.ratoi: unknown key; did you mean `ratio`?"),
        // This one only the server knows.
        ("d.toml", SEARCH.replace("256", "256\ndataset = \"mnits\""), "d.toml:7:1: trial.dataset"),
    ] {
        let out = server.motif(&["submit", &write(dir.path(), name, &text)?])?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(2) && said.contains(expected), "{name}: {}: {said}", out.status);
    }
    Ok(())
}

#[test]
fn schemas_are_printed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for (of, key) in [("sweep", "axes"), ("trial", "hidden")] {
        let schema = motif_json(dir.path(), &["schema", of])?;
        ensure!(schema["properties"][key].is_object(), "{schema}");
    }
    Ok(())
}

#[test]
fn a_killed_motif_up_comes_back_with_the_tokens_it_had_and_its_workers_end_with_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let token = |dashboard: &str| dashboard.split("#token=").nth(1).map(str::to_owned);
    let mut first = Up::start(&data, 1)?;
    let had = token(&first.dashboard).context("the dashboard's address has a token")?;
    wait_for("its worker", Duration::from_secs(30), || {
        Ok((motif_json(&data, &["workers"])?[0]["alive"] == true).then_some(()))
    })?;
    first.process.kill()?;
    let second = Up::start(&data, 0)?;
    ensure!(token(&second.dashboard) == Some(had), "the page that was open is refused");
    // The first one's worker noticed that its parent is gone: it asks nobody any more, and the server says so.
    let seen = || anyhow::Ok(motif_json(&data, &["workers"])?[0]["leased"].clone());
    ensure!(seen()? == 0, "the killed one's worker holds a lease");
    second.stop(Duration::from_secs(20))
}

#[test]
fn a_search_on_held_out_examples_shows_no_test_metric() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let trial = "hidden = [8]\nepochs = 1\ntrain_limit = 100\nvalidation = 200\naugment = { shift = 2, flip = true }\n";
    let path = write(dir.path(), "trial.toml", trial)?;
    let shown = motif(dir.path(), &["train", &path])?;
    let (text, progress) = (String::from_utf8(shown.stdout)?, String::from_utf8(shown.stderr)?);
    ensure!(text.contains("validation_accuracy = ") && !text.contains("test_"), "{text}");
    ensure!(progress.contains(": validation accuracy ") && !progress.contains("test"), "{progress}");
    let alone = motif_json(dir.path(), &["train", &path])?;

    let server = Server::start(&dir.path().join("server"))?;
    let sweep = |metric| format!("name = \"s\"\n{metric}[trial]\n{trial}");
    let path = write(dir.path(), "default.toml", &sweep(""))?;
    let refused = server.motif(&["submit", &path])?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(
        refused.status.code() == Some(2) && said.contains("did you mean `validation_accuracy`?"),
        "{said}"
    );
    let path = write(dir.path(), "sweep.toml", &sweep("metric = \"validation_accuracy\"\n"))?;
    let _worker = server.worker("w", &dir.path().join("worker"), 1)?;
    let table = server.motif(&["submit", &path, "--wait"])?;
    let table = String::from_utf8(table.stdout)?;
    ensure!(table.contains("validation_accuracy\n") && table.contains(" %"), "{table}");
    let trials = server.trials("latest")?;
    ensure!(trials.len() == 1 && trials[0]["result_hash"] == alone["result_hash"], "{trials:?}");
    ensure!(trials[0]["metrics"]["test_accuracy"].is_null(), "{trials:?}");
    Ok(())
}

#[test]
fn two_runs_never_mix_in_one_folder() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let trial =
        write(dir.path(), "trial.toml", "hidden = [8]\nepochs = 1\ntrain_limit = 100\ntest_limit = 100\n")?;
    let out = dir.path().join("run");
    let out = out.to_str().context("utf-8")?;
    motif_json(dir.path(), &["train", &trial, "--out", out, "--trace-steps", "1"])?;
    let again = motif(dir.path(), &["train", &trial, "--out", out])?;
    ensure!(again.status.code() == Some(2), "{}", String::from_utf8_lossy(&again.stderr));
    motif_json(dir.path(), &["train", &trial, "--out", out, "--overwrite"])?;
    ensure!(!Path::new(out).join("trace.npz").exists(), "the earlier run's trace is still there");
    ensure!(Path::new(out).join("snapshots/step-000002.npz").exists(), "no final snapshot");
    Ok(())
}

#[test]
fn a_server_refuses_trials_beyond_the_memory_it_was_told() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for wrong in ["0B", "lots", "65GiB"] {
        let out = motif(dir.path(), &["serve", "--max-trial-memory", wrong])?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.code() == Some(2) && said.contains("up to 64.0 GiB"), "{wrong}: {said}");
    }
    let server = Server::start_with(&dir.path().join("server"), &["--max-trial-memory", "20MiB"])?;
    submit(&server, dir.path(), &sweep_of(3, 1))?;
    let wide = sweep_of(3, 1).replace("hidden = [48, 48]", "hidden = [900, 48]");
    let out = server.motif(&["submit", &write(dir.path(), "wide.toml", &wide)?])?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(!out.status.success(), "a sweep that cannot fit was taken");
    for part in ["trial.hidden", "at most 20.0 MiB (20971520 bytes)", "widths of at most"] {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    Ok(())
}
