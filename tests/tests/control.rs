//! Steering a sweep after its submission, and verified reproducibility, through real processes.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Server, wait_for};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

const LIMIT: Duration = Duration::from_secs(120);

/// Two conditions of trials that take next to no time.
fn sweep(name: &str, more: &str) -> String {
    format!(
        "name = \"{name}\"\nmetric = \"test_loss\"\n{more}\n[queue]\nlease_ttl_s = 3\nheartbeat_s = 1\n[trial]\n\
         dataset = \"glyphs\"\nhidden = [8]\ntrain_limit = 64\ntest_limit = 64\nepochs = 1\n[axes]\nratio = [1, 2]\n"
    )
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = dir.join(name);
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("utf-8")?.to_owned())
}

fn submit(server: &Server, dir: &Path, text: &str) -> anyhow::Result<String> {
    let sweep = server.json(&["submit", &write(dir, "sweep.toml", text)?])?;
    Ok(sweep["id"].as_str().context("id")?.to_owned())
}

fn show(server: &Server, sweep: &str) -> anyhow::Result<Value> {
    Ok(server.json(&["sweep", "show", sweep])?["sweep"].clone())
}

fn ended(server: &Server, sweep: &str) -> anyhow::Result<Value> {
    wait_for("the sweep to end", LIMIT, || {
        let sweep = show(server, sweep)?;
        Ok((sweep["state"] == "finished").then_some(sweep))
    })
}

/// Runs a statement on a store that no server uses.
fn by_hand(data: &Path, sql: &'static str) -> anyhow::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let path = data.join("motif.db");
        let mut conn = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
        let done = sqlx::query(sql).execute(&mut conn).await?;
        conn.close().await?;
        Ok(done.rows_affected())
    })
}

/// Kills the server with −9, lets someone do something, and starts it again at its address.
fn killed(mut server: Server, meanwhile: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<Server> {
    server.process.kill()?;
    let (data, token) = (server.data.clone(), server.token.clone());
    let address = server.url.trim_start_matches("http://").to_owned();
    drop(server);
    meanwhile(&data)?;
    Server::start_at(&data, &address, Some(token))
}

#[test]
fn a_sweep_is_amended_prioritized_and_its_holes_are_run() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let first = submit(&server, dir.path(), &sweep("first", "seeds = 2"))?;
    let second = submit(&server, dir.path(), &sweep("second", "seeds = 1\npriority = 3"))?;
    server.json(&["sweep", "priority", &first, "-4"])?;
    let text = String::from_utf8(server.motif(&["sweep", "list"])?.stdout)?;
    ensure!(text.contains("priority") && text.contains("-4"), "{text}");

    // Cancelled before anyone works: two holes, which are run again, and nothing else.
    server.json(&["sweep", "cancel", &second])?;
    let holes = server.json(&["sweep", "holes", &second])?;
    ensure!(holes["holes"].as_array().context("holes")?.len() == 2, "{holes}");
    ensure!(server.json(&["sweep", "holes", &second, "--run"])?["changed"] == 2);
    ensure!(server.json(&["sweep", "holes", &second])?["holes"] == serde_json::json!([]));

    let _worker = server.worker("w", &dir.path().join("worker"), 1)?;
    ended(&server, &first)?;
    ensure!(show(&server, &second)?["state"] == "finished", "the higher priority ran first");

    let file = write(
        dir.path(),
        "more.toml",
        "[axes]\nratio = [1, 2, 3]\n[[arms]]\nlabel = \"bp\"\nrule = \"bp\"\n",
    )?;
    let reply = server.json(&["sweep", "amend", &first, &file, "--seeds", "5,", "--note", "wider"])?;
    let amendment = &reply["amendment"];
    ensure!(amendment["added_conditions"] == 2 && amendment["added_seeds"] == 1, "{reply}");
    ensure!(amendment["added_trials"] == 8 && amendment["note"] == "wider", "{reply}");
    let sweep = ended(&server, &first)?;
    ensure!(
        sweep["seed_values"] == serde_json::json!([0, 1, 5]) && sweep["counts"]["succeeded"] == 12,
        "{sweep}"
    );
    let text = String::from_utf8(server.motif(&["sweep", "show", &first])?.stdout)?;
    ensure!(
        text.contains("priority -4") && text.contains("+1 seed, +2 conditions (8 trials): wider"),
        "{text}"
    );

    // What would take something away names it, with its place in the file, and is wrong usage.
    let file = write(dir.path(), "less.toml", "[axes]\nratio = [1, 2]\n")?;
    let refused = server.motif(&["sweep", "amend", &first, &file])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2), "{said}");
    ensure!(said.contains("less.toml:1:2: axes: the condition \"ratio=3\" would vanish"), "{said}");
    Ok(())
}

#[test]
fn replication_goes_on_until_it_may_stop_and_waiting_waits_for_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let _worker = server.worker("w", &dir.path().join("worker"), 2)?;
    for (more, state, seeds) in [
        ("seeds = 2\nuntil = { half_width = 1000, max_seeds = 9 }", "reached", 3),
        ("seeds = 3\nuntil = { half_width = 1e-12, max_seeds = 5 }", "exhausted", 5),
    ] {
        let file = write(dir.path(), "until.toml", &sweep(state, more))?;
        let plan = server.json(&["submit", &file, "--dry-run"])?;
        ensure!(plan["until"]["max_trials"].as_u64() > plan["trials"].as_u64(), "{plan}");
        let report = server.json(&["submit", &file, "--wait"])?;
        let until = &report["sweep"]["until"];
        ensure!(until["state"] == state && until["seeds"] == seeds, "{until}");
        ensure!(report["sweep"]["counts"]["succeeded"] == 2 * seeds, "{report}");
    }
    Ok(())
}

#[test]
fn a_server_killed_between_a_block_and_its_decision_adds_one_block() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 8)?;
    let slow = sweep("slow", "seeds = 3\nuntil = { half_width = 1e-12, max_seeds = 9 }")
        .replace("train_limit = 64\n", "train_limit = 2000\n")
        .replace("epochs = 1", "epochs = 20");
    let id = submit(&server, dir.path(), &slow)?;
    wait_for(
        "all trials to run",
        LIMIT,
        || Ok((show(&server, &id)?["counts"]["queued"] == 0).then_some(())),
    )?;
    // Paused, the sweep is not decided on when its last trial ends: the state in which the server is to die.
    server.json(&["sweep", "pause", &id])?;
    let paused = wait_for("the block to end", LIMIT, || {
        let sweep = show(&server, &id)?;
        Ok((sweep["counts"]["succeeded"] == 6).then_some(sweep))
    })?;
    ensure!(paused["seeds"] == 3 && paused["state"] == "paused", "{paused}");
    worker.kill()?;
    let server = killed(server, |data| {
        let rows = by_hand(data, "update sweep_progress set paused = 0 where paused = 1")?;
        ensure!(rows == 1, "{rows} sweeps were paused");
        Ok(())
    })?;
    wait_for("the next block", LIMIT, || Ok((show(&server, &id)?["counts"]["queued"] == 2).then_some(())))?;
    // And again: it has been decided.
    let server = killed(server, |_| Ok(()))?;
    std::thread::sleep(Duration::from_secs(1));
    let sweep = show(&server, &id)?;
    ensure!(sweep["seeds"] == 4 && sweep["counts"]["queued"] == 2, "{sweep}");
    ensure!(sweep["amendments"].as_array().context("amendments")?.len() == 1, "{sweep}");
    Ok(())
}

#[test]
fn a_server_killed_again_and_again_adds_each_block_once() -> anyhow::Result<()> {
    const MAX_SEEDS: usize = 12;
    let dir = tempfile::tempdir()?;
    let mut server = Server::start(&dir.path().join("server"))?;
    let _worker = server.worker("w", &dir.path().join("worker"), 2)?;
    let more = format!("seeds = 2\nuntil = {{ half_width = 1e-12, max_seeds = {MAX_SEEDS} }}");
    let id = submit(&server, dir.path(), &sweep("killed", &more))?;
    for round in 1..=5_u64 {
        let before = show(&server, &id)?["seeds"].as_u64().context("seeds")?;
        wait_for("another block", LIMIT, || {
            let sweep = show(&server, &id)?;
            Ok((sweep["seeds"].as_u64() > Some(before) || sweep["state"] == "finished").then_some(()))
        })?;
        std::thread::sleep(Duration::from_millis(37 * round));
        server = killed(server, |_| Ok(()))?;
    }
    let sweep = ended(&server, &id)?;
    ensure!(sweep["until"]["state"] == "exhausted" && sweep["seeds"] == MAX_SEEDS, "{sweep}");
    let amendments = sweep["amendments"].as_array().context("amendments")?;
    ensure!(amendments.len() == MAX_SEEDS - 2, "{amendments:?}");
    ensure!(amendments.iter().all(|row| row["added_trials"] == 2), "{amendments:?}");
    ensure!(sweep["counts"]["succeeded"] == 2 * MAX_SEEDS, "{sweep}");
    let trials = server.trials(&id)?;
    let cells: std::collections::BTreeSet<String> =
        trials.iter().map(|trial| format!("{}/{}", trial["label"], trial["seed"])).collect();
    ensure!(cells.len() == 2 * MAX_SEEDS && trials.len() == cells.len(), "{} of {cells:?}", trials.len());
    Ok(())
}

#[test]
fn a_verification_finds_the_one_result_that_was_tampered_with() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let worker = server.worker("first", &dir.path().join("first"), 2)?;
    let id = submit(&server, dir.path(), &sweep("v", "seeds = 5"))?;
    ended(&server, &id)?;
    drop(worker);
    let _worker = server.worker("second", &dir.path().join("second"), 2)?;

    let out = server.motif(&["sweep", "verify", &id, "--share", "0.3", "--wait"])?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success() && said.trim() == "3 verified, 0 mismatched, 7 unverified", "{said}");

    let server = killed(server, |data| {
        let planted = "update results set result_hash = 'dead' || substr(result_hash, 5)
            where trial = (select n from trials order by n limit 1)";
        ensure!(by_hand(data, planted)? == 1, "no result to tamper with");
        Ok(())
    })?;
    let out = server.motif(&["sweep", "verify", &id, "--share", "1", "--seed", "1", "--wait"])?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.code() == Some(1), "a mismatch fails the command: {said}");
    ensure!(said.contains("9 verified, 1 mismatched, 0 unverified"), "{said}");
    ensure!(said.contains("dead") && said.contains("first") && said.contains("second"), "{said}");

    let found = server.json(&["sweep", "verification", &id]);
    ensure!(found.is_err(), "a mismatch fails this command, too");
    let listed = server.json(&["sweep", "list"])?;
    ensure!(listed["items"].as_array().context("items")?.len() == 1, "verifications are hidden: {listed}");
    let sweep = show(&server, &id)?;
    ensure!(sweep["verifications"] == 2, "{sweep}");
    Ok(())
}
