//! What happens at the moment of a commit: the server killed right before and right after it, and the power gone, when
//! what was not synced is cut off, zero, or garbled.

use std::{
    fs, iter,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_client::ClientError;
use motif_store::{
    Store as _,
    sqlite::{Options, SqliteStore},
};
use motif_tests::{
    chance::Chance,
    invariants::{self, Ledger},
    player::{self, Shared},
    tracer::Tracer,
};
use nix::sys::signal::Signal;
use tokio::task::JoinHandle;

use crate::scene::{Scene, until};

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];
const MOMENTS: [&str; 2] = ["before_commit", "after_commit"];
const PLAYERS: u64 = 4;

/// Players and a submitter that write down what is acknowledged.
struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(scene: &Scene) -> Self {
        let shared = Arc::new(Shared::default());
        let submitter = tokio::spawn(player::submit(scene.client.clone(), Arc::clone(&shared)));
        let players = (1..=PLAYERS).map(|seed| {
            tokio::spawn(player::work(scene.client.clone(), Chance::new(seed), Arc::clone(&shared)))
        });
        Self { tasks: iter::once(submitter).chain(players).collect(), shared }
    }

    async fn stop(self) -> anyhow::Result<Ledger> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await?;
        }
        Ok(self.shared.ledger())
    }
}

/// Waits for a server that ends by itself at a commit.
async fn aborted(scene: &mut Scene) -> anyhow::Result<()> {
    let process = &mut scene.server.process;
    let status = until("the commit at which the server ends", async || Ok(process.try_wait()?)).await?;
    ensure!(status.signal() == Some(Signal::SIGABRT as i32), "the server ended with {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_a_submission_whose_commit_was_the_last_thing_its_server_did() -> anyhow::Result<()> {
    let mut scene = Scene::start(&GRACE)?;
    let mut trials = 0;
    for (key, moment) in MOMENTS.into_iter().cycle().take(6).enumerate() {
        let (key, spec) = (key.to_string(), player::sweep("s", 3, &[1]));
        scene.server.process.kill()?;
        // Nobody else commits anything that early: nothing is taken back for a while.
        scene.server.again_in(&["--reap-grace-s", "300"], &[("MOTIF_ABORT", &format!("{moment}:1"))])?;
        let answer = scene.client.sweep_submit(&spec, Some(&key)).await;
        ensure!(answer.as_ref().is_err_and(ClientError::is_transient), "{moment}: {answer:?}");
        aborted(&mut scene).await?;
        let found = scene.check(&Ledger::default()).await?;
        let stored = if moment == "after_commit" { 3 } else { 0 };
        ensure!(found.trials == trials + stored, "{moment}: {trials} trials before, then {found:?}");
        scene.server.again(&GRACE)?;
        let sweep = scene.client.sweep_submit(&spec, Some(&key)).await?.row.id;
        trials += 3;
        let ledger = Ledger { sweeps: vec![(sweep, 3)], ..Ledger::default() };
        let found = scene.check(&ledger).await?;
        ensure!(found.trials == trials, "{moment}: the repetition had another effect: {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_02_a_server_that_ends_before_and_after_commits_under_load() -> anyhow::Result<()> {
    const ROUNDS: usize = 24;
    let mut scene = Scene::start(&GRACE)?;
    let load = Load::start(&scene);
    let chance = Chance::new(2);
    for moment in MOMENTS.into_iter().cycle().take(ROUNDS) {
        scene.server.process.kill()?;
        let commit = format!("{moment}:{}", 1 + chance.below(60));
        scene.server.again_in(&GRACE, &[("MOTIF_ABORT", &commit)])?;
        aborted(&mut scene).await?;
        // What was acknowledged before the end, and not what comes of repetitions after it.
        scene.check(&load.shared.ledger()).await.context(commit)?;
    }
    scene.server.again(&GRACE)?;
    let before = load.shared.ledger().len();
    until("writes after the last end", async || Ok((load.shared.ledger().len() > before + 20).then_some(())))
        .await?;
    let ledger = load.stop().await?;
    let found = scene.check(&ledger).await?;
    let submitted: u64 = ledger.sweeps.iter().map(|(_, trials)| trials).sum();
    ensure!(u64::try_from(found.trials)? == submitted, "{submitted} trials were submitted: {found:?}");
    println!("{ROUNDS} ends, {} acknowledged, {found:?}", ledger.len());
    Ok(())
}

/// The file and its write-ahead log at one moment, and all that was acknowledged by then.
struct Moment {
    file: Vec<u8>,
    log: Vec<u8>,
    ledger: Ledger,
}

impl Moment {
    fn of(scene: &Scene, shared: &Shared) -> anyhow::Result<Self> {
        scene.server.process.pause()?;
        let read = |name: &str| fs::read(scene.server.data.join(name)).context(name.to_owned());
        let moment = Self { file: read("motif.db")?, log: read("motif.db-wal")?, ledger: shared.ledger() };
        scene.server.process.signal(Signal::SIGCONT)?;
        Ok(moment)
    }

    /// Where the last frame ends that completes a transaction of this log, and the log's salts, which change when it
    /// starts over: <https://www.sqlite.org/fileformat2.html#walformat>.
    fn end(&self) -> Option<(usize, &[u8])> {
        const HEADER: usize = 32;
        const FRAME: usize = 24;
        let page = u32::from_be_bytes(self.log.get(8..12)?.try_into().ok()?) as usize;
        let salts = &self.log[16..24];
        let mut end = None;
        for (number, frame) in self.log[HEADER..].chunks_exact(FRAME + page).enumerate() {
            if frame[8..16] != *salts {
                break;
            }
            if frame[4..8] != [0; 4] {
                end = Some((HEADER + (number + 1) * (FRAME + page), salts));
            }
        }
        end
    }
}

/// What is left of a log whose end was never synced.
fn lose(log: &[u8], synced: usize, kind: u64, chance: &Chance) -> Vec<u8> {
    const SECTOR: usize = 512;
    let below = |n: usize| usize::try_from(chance.below(n as u64)).unwrap_or(0);
    let cut = synced + below(log.len() - synced + 1);
    let mut left = log.to_vec();
    match kind {
        0 => left.truncate(cut),
        1 => left[cut..].fill(0),
        2 => left[cut..].iter_mut().for_each(|byte| *byte ^= u8::try_from(chance.below(256)).unwrap_or(0)),
        // The disk wrote in its own order: some sectors are there and others are not.
        _ => left[synced..].chunks_mut(SECTOR).filter(|_| below(2) == 0).for_each(|sector| sector.fill(0)),
    }
    left
}

async fn opens_whole(dir: &Path, ledger: &Ledger) -> anyhow::Result<()> {
    let found = invariants::check(dir, ledger).await?;
    ensure!(found.lost.is_empty(), "lost: {:?}", found.lost);
    let store = SqliteStore::open(&dir.join("motif.db"), Options::default()).await?;
    store.ready().await?;
    store.close().await;
    let found = invariants::check(dir, ledger).await?;
    ensure!(found.lost.is_empty(), "lost after the store was opened: {:?}", found.lost);
    Ok(())
}

/// Whatever the power leaves of the log behind the last commit that was acknowledged: the file is sound, and everything
/// acknowledged is in it. Two moments with the same file between which the log grew are what the disk held, and what was
/// on its way to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_the_power_goes_and_what_was_not_synced_is_cut_zero_or_garbled() -> anyhow::Result<()> {
    const CUTS: u64 = 64;
    const CUTS_AT_ONCE: u64 = 8;
    let scene = Scene::start(&GRACE)?;
    let load = Load::start(&scene);
    let chance = Chance::new(3);
    until("load", async || Ok((load.shared.ledger().len() > 60).then_some(()))).await?;
    let (mut cuts, mut lost_bytes) = (0, 0);
    for _ in 0..1000 {
        if cuts == CUTS {
            break;
        }
        let synced = Moment::of(&scene, &load.shared)?;
        tokio::time::sleep(Duration::from_millis(60 + chance.below(200))).await;
        let later = Moment::of(&scene, &load.shared)?;
        let (Some((from, salts)), Some((to, later_salts))) = (synced.end(), later.end()) else { continue };
        if salts != later_salts || from == to || synced.file != later.file {
            // The log was moved into the file meanwhile: these are not two states of one log.
            continue;
        }
        for kind in (0..4).cycle().take(CUTS_AT_ONCE as usize) {
            let dir = tempfile::tempdir()?;
            fs::write(dir.path().join("motif.db"), &synced.file)?;
            let left = lose(&later.log[..to], from, kind, &chance);
            fs::write(dir.path().join("motif.db-wal"), &left)?;
            opens_whole(dir.path(), &synced.ledger)
                .await
                .with_context(|| format!("kind {kind}, {} of {from} to {to} bytes", left.len()))?;
            lost_bytes += to - from;
            cuts += 1;
        }
    }
    ensure!(cuts == CUTS, "only {cuts} of {CUTS} cuts: the log is moved into the file too often");
    let ledger = load.stop().await?;
    scene.check(&ledger).await?;
    println!(
        "{cuts} cuts within {} KiB on average, {} acknowledged",
        (lost_bytes / cuts as usize) >> 10,
        ledger.len()
    );
    Ok(())
}

/// What the cuts above take for granted: between a write and its acknowledgement the log is synced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_nothing_is_acknowledged_before_it_is_synced() -> anyhow::Result<()> {
    const SUBMISSIONS: usize = 12;
    let scene = Scene::start(&GRACE)?;
    let options = ["-e", "trace=fsync,fdatasync,write,writev,sendto,sendmsg", "-s", "16"];
    let tracer = match Tracer::attach(scene.server.process.id(), &options, scene.dir.path()) {
        Ok(tracer) => tracer,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    for _ in 0..SUBMISSIONS {
        scene.submit(&player::sweep("s", 3, &[1])).await?;
    }
    let seen = tracer.detach()?;
    let (mut synced, mut acknowledged) = (false, 0);
    for line in seen.lines() {
        if line.contains("sync") && line.ends_with("= 0") {
            synced = true;
        } else if line.contains("\"HTTP/1.1 201") {
            ensure!(synced, "acknowledged before it was synced: {seen}");
            (synced, acknowledged) = (false, acknowledged + 1);
        }
    }
    ensure!(
        acknowledged == SUBMISSIONS,
        "{acknowledged} of {SUBMISSIONS} acknowledgements were seen: {seen}"
    );
    Ok(())
}

/// Bytes before the last commit are another matter: this is how the test above would notice a lost write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_03_a_log_that_loses_what_was_acknowledged_is_noticed() -> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    let load = Load::start(&scene);
    until("load", async || Ok((load.shared.ledger().len() > 60).then_some(()))).await?;
    let lost = until("a lost write", async || {
        let moment = Moment::of(&scene, &load.shared)?;
        let Some((end, _)) = moment.end() else { return Ok(None) };
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("motif.db"), &moment.file)?;
        fs::write(dir.path().join("motif.db-wal"), &moment.log[..end / 10 * 9])?;
        let found = invariants::check(dir.path(), &moment.ledger).await?;
        Ok(Some(found.lost).filter(|lost| !lost.is_empty()))
    })
    .await?;
    println!("noticed that {} acknowledged writes are lost", lost.len());
    let ledger = load.stop().await?;
    scene.check(&ledger).await?;
    Ok(())
}
