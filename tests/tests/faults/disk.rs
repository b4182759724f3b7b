//! What happens to the server's disk and descriptors: full and then not, and back where they were after a load.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, atomic::Ordering},
};

use anyhow::{Context as _, ensure};
use motif_client::ClientError;
use motif_testkit::build;
use motif_tests::{
    chance::Chance,
    player::{self, Shared},
    tracer::Tracer,
};
use motif_wire::{problem::ProblemCode, system::Scope};
use serde_json::json;

use crate::scene::{Scene, end, is, training, until};

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];

/// A small file system of its own; it goes with this.
struct Mount(PathBuf);

impl Mount {
    /// Mounts it, or says why it cannot.
    fn new(at: &Path, size: &str) -> Result<Self, String> {
        let options = format!("size={size}");
        let mut command = Command::new("mount");
        let out = command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        let out = out.map_err(|error| format!("mount: {error}"))?;
        let said = String::from_utf8_lossy(&out.stderr);
        if out.status.success() { Ok(Self(at.to_owned())) } else { Err(format!("mount: {}", said.trim())) }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // At once for everybody else, and in truth when the last file is closed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Takes all the space there is.
fn fill(path: &Path) -> anyhow::Result<()> {
    let mut file = fs::File::create(path)?;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![7; size]).is_ok() {}
    }
    Ok(())
}

/// Whether it was refused because there is no space; anything but that and success is a fault.
fn refused<T>(what: &str, result: Result<T, ClientError>) -> anyhow::Result<bool> {
    match result {
        Ok(_) => Ok(false),
        Err(ClientError::Problem(problem)) => {
            let told = (problem.status, problem.code) == (503, ProblemCode::Unavailable);
            ensure!(told && !problem.detail.contains("disk"), "{what}: {problem:?}");
            Ok(true)
        }
        Err(error) => Err(error).with_context(|| what.to_owned()),
    }
}

/// Writes that come to rows.
const ROWS: [&str; 3] = ["submit", "claim", "token"];

/// Writes at several endpoints until each of these was refused, and says how often.
async fn refuse(scene: &Scene, wanted: &[&str]) -> anyhow::Result<u64> {
    let (client, chance) = (&scene.client, Chance::new(17));
    let mut refusals = BTreeMap::new();
    until("every kind of write to be refused", async || {
        let mut note =
            |what: &'static str, refused: bool| *refusals.entry(what).or_insert(0) += u64::from(refused);
        note(
            "submit",
            refused("submit", client.sweep_submit(&player::sweep("full", 40, &[1, 2, 3]), None).await)?,
        );
        let claim = player::claim_request(&chance, &player::hello(&chance, "late"), 1);
        note("claim", refused("claim", client.claim(&claim).await)?);
        note("token", refused("token", client.token_create("t", &[Scope::Read]).await)?);
        let dataset = build::dataset(u8::try_from(chance.below(256))?).to_bytes();
        note("dataset", refused("dataset", client.dataset_put("tiny", dataset, true).await)?);
        // Reading goes on.
        client.sweep_list(None, None).await?;
        Ok(wanted.iter().all(|what| refusals.get(what).is_some_and(|refused| *refused > 2)).then_some(()))
    })
    .await?;
    Ok(refusals.values().sum())
}

/// No space: writes are refused in a stable way and nothing of them is kept, workers train on; space again: all goes on,
/// and everything acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_a_full_disk_and_then_space_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let at = dir.path().join("disk");
    fs::create_dir(&at)?;
    let _mount = match Mount::new(&at, "24m") {
        Ok(mount) => mount,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let mut scene = Scene::start_at(dir, &at.join("server"), &GRACE)?;
    let sweep = scene.submit(&training(2, 300, &json!({ "lease_ttl_s": 120, "heartbeat_s": 1 }))).await?;
    let worker = scene.worker(&scene.server.url, "w")?;
    scene.until(sweep, "steps", |all| all.iter().any(|trial| trial.step > 0)).await?;
    let shared = Arc::new(Shared::default());
    let submitter = tokio::spawn(player::submit(scene.client.clone(), Arc::clone(&shared)));
    let player = tokio::spawn(player::work(scene.client.clone(), Chance::new(1), Arc::clone(&shared)));
    until("load", async || Ok((shared.ledger().len() > 20).then_some(()))).await?;

    let mut refusals = 0;
    for _ in 0..2 {
        fill(&at.join("filler"))?;
        let refused = refuse(&scene, &[&ROWS[..], &["dataset"]].concat()).await;
        let ended = scene.server.process.try_wait()?;
        ensure!(
            ended.is_none(),
            "the server ended with {ended:?}, {refused:?}: {}",
            fs::read_to_string(at.join("server.log"))?
        );
        refusals += refused?;
        fs::remove_file(at.join("filler"))?;
        let before = shared.ledger().len();
        until("writes", async || Ok((shared.ledger().len() > before + 10).then_some(()))).await?;
        scene.check(&shared.ledger()).await?;
    }
    shared.stop.store(true, Ordering::Relaxed);
    submitter.await?;
    player.await?;
    let trials = scene.until_succeeded(sweep).await?;
    ensure!(trials.iter().all(|trial| trial.attempts == 1), "trained again: {trials:?}");
    let done = end(worker)?;
    ensure!(done["dropped"] == 0 && done["failed"] == 0, "{done}");
    scene.check(&shared.ledger()).await?;
    let log = fs::read_to_string(at.join("server.log"))?;
    ensure!(!log.contains("panicked"), "the server panicked: {log}");
    println!("{refusals} writes refused, {} acknowledged", shared.ledger().len());
    Ok(())
}

/// The disk reports errors of writing and of syncing, and then does not any more: the same as above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_17_a_disk_that_fails_and_then_works_again() -> anyhow::Result<()> {
    let mut scene = Scene::start(&GRACE)?;
    let shared = Arc::new(Shared::default());
    let submitter = tokio::spawn(player::submit(scene.client.clone(), Arc::clone(&shared)));
    let player = tokio::spawn(player::work(scene.client.clone(), Chance::new(1), Arc::clone(&shared)));
    let mut refusals = 0;
    for calls in ["pwrite64", "fdatasync,fsync", "pwrite64,fdatasync,fsync"] {
        let before = shared.ledger().len();
        until("writes", async || Ok((shared.ledger().len() > before + 10).then_some(()))).await?;
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error=EIO"));
        let options = ["-e", trace.as_str(), "-e", inject.as_str()];
        let tracer = match Tracer::attach(scene.server.process.id(), &options, scene.dir.path()) {
            Ok(tracer) => tracer,
            Err(reason) => {
                println!("skipped: {reason}");
                break;
            }
        };
        let refused = refuse(&scene, &ROWS).await;
        let ended = scene.server.process.try_wait()?;
        ensure!(ended.is_none(), "the server ended with {ended:?}, {refused:?}");
        refusals += refused?;
        let seen = tracer.detach()?;
        ensure!(seen.contains("EIO") && seen.contains("INJECTED"), "nothing failed: {seen}");
        scene.check(&shared.ledger()).await?;
    }
    shared.stop.store(true, Ordering::Relaxed);
    submitter.await?;
    player.await?;
    scene.check(&shared.ledger()).await?;
    println!("{refusals} writes refused, {} acknowledged", shared.ledger().len());
    Ok(())
}

/// Descriptors of connections to the file that the first load may not have opened: four readers with three files each.
const READERS: usize = 12;

/// What a server holds on to.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    memory_kib: u64,
    /// Files in its data directory but those that hold what is to be kept.
    temporary: Vec<String>,
}

impl Held {
    fn by(scene: &Scene) -> anyhow::Result<Self> {
        let process = PathBuf::from(format!("/proc/{}", scene.server.process.id()));
        let status = fs::read_to_string(process.join("status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let memory_kib = memory.trim().trim_end_matches(" kB").parse()?;
        let mut temporary = Vec::new();
        for folder in ["", "checkpoints", "datasets/blobs", "datasets/names"] {
            let Ok(files) = fs::read_dir(scene.server.data.join(folder)) else { continue };
            let names = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
            temporary.extend(names.filter(|name| name.starts_with('.') || name.ends_with(".tmp")));
        }
        Ok(Self { descriptors: fs::read_dir(process.join("fd"))?.count(), memory_kib, temporary })
    }
}

async fn load(scene: &Scene, players: u64, writes: usize) -> anyhow::Result<()> {
    let shared = Arc::new(Shared::default());
    // Each with connections of its own.
    let client = || player::client(&scene.server);
    let mut tasks = vec![tokio::spawn(player::submit(client()?, Arc::clone(&shared)))];
    for seed in 0..players {
        tasks.push(tokio::spawn(player::work(client()?, Chance::new(seed), Arc::clone(&shared))));
    }
    until("load", async || Ok((shared.ledger().len() > writes).then_some(()))).await?;
    shared.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    scene.check(&shared.ledger()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i10_descriptors_memory_and_files_are_back_after_a_load() -> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    load(&scene, 40, 200).await?;
    let worker = scene.worker(&scene.server.url, "w")?;
    let sweep = scene.submit(&training(1, 200, &json!({ "lease_ttl_s": 30, "heartbeat_s": 1 }))).await?;
    scene.until(sweep, "the trial", |all| is(&all[0], "succeeded")).await?;
    end(worker)?;
    let before = Held::by(&scene)?;

    let worker = scene.worker(&scene.server.url, "w")?;
    load(&scene, 40, 400).await?;
    let sweep = scene.submit(&training(2, 200, &json!({ "lease_ttl_s": 30, "heartbeat_s": 1 }))).await?;
    scene.until_succeeded(sweep).await?;
    end(worker)?;
    let after = until("descriptors and files to be given back", async || {
        let after = Held::by(&scene)?;
        let back = after.descriptors <= before.descriptors + READERS && after.temporary.is_empty();
        Ok(back.then_some(after))
    })
    .await
    .with_context(|| format!("{before:?}, then {:?}", Held::by(&scene)))?;
    ensure!(after.memory_kib < before.memory_kib + (64 << 10), "{before:?}, then {after:?}");
    println!("{before:?}, then {after:?}");
    Ok(())
}
