//! Backups of a server under load, and what becomes of the leases of the time before.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
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

/// A paused sweep whose trial a drained worker has saved, and the hash of what it has saved.
fn saved(server: &Server, dir: &Path) -> anyhow::Result<(String, String)> {
    let path = sweep(dir, "kept", 3000, 1)?;
    // Whoever goes on with it takes as long as it takes.
    let text = std::fs::read_to_string(&path)?.replace("lease_ttl_s = 4", "lease_ttl_s = 300");
    std::fs::write(&path, text)?;
    let kept = submit(server, &path)?;
    server.json(&["sweep", "priority", &kept, "5"])?;
    let mut worker = server.worker("drained", &dir.join("drained"), 1)?;
    wait_for("the trial to make steps", LIMIT, || {
        let trials = server.trials(&kept)?;
        Ok((trials[0]["step"].as_u64() > Some(0)).then_some(()))
    })?;
    // Before it is given back, so that the other worker does not take it.
    server.json(&["sweep", "pause", &kept])?;
    worker.signal(Signal::SIGTERM)?;
    ensure!(worker.wait(LIMIT)?.success());
    let files = std::fs::read_dir(server.data.join("checkpoints"))?.flatten();
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    ensure!(names.len() == 1, "nobody else has saved anything yet: {names:?}");
    Ok((kept, names[0].clone()))
}

/// The trial that was saved before the backup goes on from there after it.
fn goes_on(server: &Server, (sweep, hash): &(String, String)) -> anyhow::Result<()> {
    ensure!(server.data.join("checkpoints").join(hash).is_file());
    server.json(&["sweep", "resume", sweep])?;
    let (client, chance) = (player::client(server)?, Chance::new(1));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let reply = client.claim(&player::claim_request(&chance, &player::hello(&chance, "p"), 1)).await?;
        let [lease] = reply.leases.as_slice() else { bail!("no trial: {reply:?}") };
        ensure!(lease.sweep_id.to_string() == *sweep, "the highest priority is first");
        let said = lease.checkpoint.as_ref().context("it comes with a checkpoint")?;
        ensure!(said.hash == *hash, "{said:?}");
        let mut bytes = Vec::new();
        client.checkpoint_content(lease.attempt_id, &lease.token, &mut bytes).await?;
        ensure!(blake3::hash(&bytes).to_hex().as_str() == hash && !bytes.is_empty());
        let reply = client.resume(lease.attempt_id, &lease.token, hash).await?;
        ensure!(reply.next_seq == said.points, "with the points before it: {reply:?}");
        anyhow::Ok(())
    })?;
    server.json(&["sweep", "cancel", sweep])?;
    Ok(())
}

#[test]
fn fault_23_a_backup_made_under_load_is_restored_and_older_leases_are_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("server");
    let mut server = Server::start(&data)?;
    let path = |name: &str| dir.path().join(name).to_str().map(str::to_owned).context("utf-8");
    let kept = saved(&server, dir.path())?;
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
    ensure!(made["database"]["sweeps"] == 3 && made["database"]["trials"] == 15, "{made}");
    ensure!(made["checkpoint_files"].as_u64() >= Some(1), "{made}");
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
    goes_on(&elsewhere, &kept)?;
    let _worker = elsewhere.worker("v", &dir.path().join("worker-2"), 2)?;
    elsewhere.json(&["sweep", "cancel", &long])?;
    wait_for("the short sweep to end", LIMIT, || {
        Ok((succeeded(&elsewhere, &acknowledged)? == 12).then_some(()))
    })?;
    ensure!(hashes(&elsewhere, &acknowledged)? == hashes(&server, &acknowledged)?);
    Ok(())
}
