//! Backups of a server under load, and what becomes of the leases of the time before.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::{
    chance::Chance,
    player,
    process::{Server, motif, motif_json, wait_for},
};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn sweep(dir: &Path, name: &str, epochs: u32, seeds: u32) -> anyhow::Result<String> {
    let path = dir.join(format!("{name}.toml"));
    let text = format!(
        "name = \"{name}\"\nseeds = {seeds}\n[queue]\nlease_ttl_s = 4\nheartbeat_s = 1\n[trial]\ndataset = \"glyphs\"\n\
         hidden = [24]\ntrain_limit = 500\ntest_limit = 100\nepochs = {epochs}\n\
         rates = {{ w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }}\n"
    );
    std::fs::write(&path, text)?;
    Ok(path.to_str().context("utf-8")?.to_owned())
}

fn submit(server: &Server, path: &str) -> anyhow::Result<String> {
    Ok(server.json(&["submit", path])?["id"].as_str().context("id")?.to_owned())
}

fn succeeded(server: &Server, sweep: &str) -> anyhow::Result<u64> {
    let shown = server.json(&["sweep", "show", sweep])?;
    shown["sweep"]["counts"]["succeeded"].as_u64().context("a count")
}

fn hashes(server: &Server, sweep: &str) -> anyhow::Result<Vec<(Value, Value)>> {
    Ok(server.trials(sweep)?.iter().map(|t| (t["seed"].clone(), t["result_hash"].clone())).collect())
}

#[test]
fn fault_23_a_backup_made_under_load_is_restored_and_older_leases_are_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let mut server = Server::start(&data)?;
    let path = |name: &str| dir.path().join(name).to_str().map(str::to_owned).context("utf-8");
    let long = submit(&server, &sweep(dir.path(), "long", 3000, 2)?)?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 2)?;
    wait_for("both long trials to make steps", LIMIT, || {
        let trials = server.trials(&long)?;
        Ok(trials.iter().all(|trial| trial["step"].as_u64() > Some(0)).then_some(()))
    })?;
    let short = sweep(dir.path(), "short", 1, 12)?;
    let acknowledged = submit(&server, &short)?;

    let out = path("backup")?;
    let made = motif_json(&data, &["backup", "--out", &out])?;
    ensure!(made["database"]["sweeps"] == 2 && made["database"]["trials"] == 14, "{made}");
    let refused = motif(&data, &["backup", "--out", &out])?;
    ensure!(refused.status.code() == Some(2), "an existing folder: {refused:?}");
    let after = submit(&server, &short)?;
    let in_use = motif(&data, &["restore", &out, "--replace"])?;
    let said = String::from_utf8_lossy(&in_use.stderr).into_owned();
    ensure!(!in_use.status.success() && said.contains("another motif server"), "{said}");

    server.process.kill()?;
    let restored = motif_json(&data, &["restore", &out, "--replace"])?;
    ensure!(restored["database"]["epoch"] == 2, "{restored}");
    let listen = server.url.trim_start_matches("http://").to_owned();
    server = Server::start_at(&data, &listen, Some(server.token.clone()))?;
    ensure!(server.motif(&["sweep", "show", &after])?.status.code() != Some(0), "it was submitted later");

    // The worker's two leases are from epoch 1: it drops them, and is given them anew or the other trials.
    wait_for("the short sweep to end", LIMIT, || {
        Ok((succeeded(&server, &acknowledged)? == 12).then_some(()))
    })?;
    wait_for("the long trials to be taken back", LIMIT, || {
        let trials = server.trials(&long)?;
        Ok(trials.iter().all(|trial| trial["attempts"].as_u64() >= Some(2)).then_some(()))
    })?;
    worker.kill()?;

    // The same trials elsewhere come to the same bits, from the same backup in another directory.
    let other = dir.path().join("other");
    motif_json(&other, &["restore", &out])?;
    let elsewhere = Server::start_at(&other, "127.0.0.1:0", Some(server.token.clone()))?;
    let _worker = elsewhere.worker("v", &dir.path().join("worker-2"), 2)?;
    elsewhere.json(&["sweep", "cancel", &long])?;
    wait_for("the short sweep to end", LIMIT, || {
        Ok((succeeded(&elsewhere, &acknowledged)? == 12).then_some(()))
    })?;
    ensure!(hashes(&elsewhere, &acknowledged)? == hashes(&server, &acknowledged)?);
    Ok(())
}

#[tokio::test]
async fn a_backup_carries_checkpoints_and_snapshots() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let server = Server::start(&data)?;
    let path = sweep(dir.path(), "long", 3000, 1)?;
    std::fs::write(&path, format!("snapshots = true\n{}", std::fs::read_to_string(&path)?))?;
    let long = submit(&server, &path)?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 1)?;
    wait_for("a step", LIMIT, || Ok((server.trials(&long)?[0]["step"].as_u64() > Some(0)).then_some(())))?;
    worker.signal(Signal::SIGTERM)?;
    worker.wait(LIMIT)?;
    let out = dir.path().join("backup").to_str().context("utf-8")?.to_owned();
    // One checkpoint, and the weights and matrices of step 0.
    let made = motif_json(&data, &["backup", "--out", &out])?;
    ensure!(made["handed_over_files"] == 3, "{made}");

    let other = dir.path().join("other");
    motif_json(&other, &["restore", &out])?;
    let elsewhere = Server::start_at(&other, "127.0.0.1:0", Some(server.token.clone()))?;
    let trial = elsewhere.trials(&long)?[0]["id"].as_str().context("an id")?.to_owned();
    let fetched = dir.path().join("fetched").to_str().context("utf-8")?.to_owned();
    let snapshots = elsewhere.json(&["trial", "snapshots", &trial, "--out", &fetched])?;
    ensure!(snapshots.as_array().map(Vec::len) == Some(2), "{snapshots}");
    let (client, chance) = (player::client(&elsewhere)?, Chance::new(7));
    let hello = player::hello(&chance, "test");
    let lease =
        client.claim(&player::claim_request(&chance, &hello, 1)).await?.leases.pop().context("a lease")?;
    let checkpoint = lease.checkpoint.context("a checkpoint")?;
    let mut bytes = Vec::new();
    client.checkpoint_content(lease.attempt_id, &lease.token, &mut bytes).await?;
    ensure!(
        checkpoint.step > 0 && blake3::hash(&bytes).to_hex().as_str() == checkpoint.hash,
        "{checkpoint:?}"
    );
    Ok(())
}
