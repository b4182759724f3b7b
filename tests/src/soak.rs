//! Random kills of servers and workers under load, with a ledger of everything that was acknowledged.

use std::{path::Path, sync::Arc, thread, time::Duration};

use anyhow::ensure;
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;

use crate::{
    chance::Chance,
    invariants::{self, Found},
    player::{self, Shared},
    process::{Process, Server, wait_for},
};

/// Real worker processes.
const WORKERS: usize = 3;
/// Kills between two looks at the invariants.
const CHECK_EVERY_KILLS: u64 = 25;
/// On a loaded machine, with little acknowledged between kills, it goes on for up to so many times as many.
const EXTENDED_MAX: u64 = 8;
/// Without kills before a look, so that leases of the dead are taken back: grace and the reaper's interval.
const QUIET: Duration = Duration::from_secs(9);
/// A server that takes leases back soon after its start.
const SERVER_ARGS: [&str; 2] = ["--reap-grace-s", "2"];
/// A stopped worker goes on after so many further kills, longer than its lease.
const STOPPED_KILLS: u64 = 8;

/// What a soak did and found.
#[derive(Debug, Default)]
pub struct Report {
    /// SIGKILLs of the server.
    pub server_kills: u64,
    /// SIGKILLs of workers.
    pub worker_kills: u64,
    /// SIGSTOPs of workers, each followed by SIGCONT.
    pub stops: u64,
    /// SIGTERMs of server and workers.
    pub terminations: u64,
    /// Processes that were started again.
    pub restarts: u64,
    /// Looks at the invariants.
    pub checks: u64,
    /// Acknowledged submissions, completions and batches of points.
    pub acknowledged: usize,
    /// What the file came to.
    pub found: Found,
}

struct Soak<'a> {
    server: Server,
    workers: Vec<Process>,
    /// Workers that are stopped, and at which kill they go on.
    stopped: Vec<(usize, u64)>,
    started: u64,
    dir: &'a Path,
    chance: Chance,
    report: Report,
}

impl Soak<'_> {
    fn worker(&mut self) -> anyhow::Result<Process> {
        self.started += 1;
        let name = format!("w{}", self.started);
        self.server.worker(&name, &self.dir.join(format!("worker-{}", self.started % 8)), 1)
    }

    fn wake(&mut self, kill: u64) -> anyhow::Result<()> {
        for (index, _) in self.stopped.extract_if(.., |(_, until)| *until <= kill) {
            self.workers[index].signal(Signal::SIGCONT)?;
        }
        Ok(())
    }

    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        self.stopped.retain(|(stopped, _)| *stopped != index);
        let worker = self.worker()?;
        self.workers[index] = worker;
        self.report.restarts += 1;
        Ok(())
    }

    fn strike(&mut self, kill: u64) -> anyhow::Result<()> {
        let index = usize::try_from(self.chance.below(WORKERS as u64))?;
        match self.chance.below(100) {
            0..45 => {
                self.report.server_kills += 1;
                self.server.process.kill()?;
                self.server.again(&SERVER_ARGS)?;
                self.report.restarts += 1;
            }
            45..50 => {
                self.report.terminations += 1;
                self.server.process.signal(Signal::SIGTERM)?;
                self.server.process.wait(Duration::from_secs(20))?;
                self.server.again(&SERVER_ARGS)?;
                self.report.restarts += 1;
            }
            50..82 => {
                self.report.worker_kills += 1;
                self.workers[index].kill()?;
                self.replace(index)?;
            }
            82..94 if !self.stopped.iter().any(|(stopped, _)| *stopped == index) => {
                self.report.stops += 1;
                self.workers[index].signal(Signal::SIGSTOP)?;
                self.stopped.push((index, kill + STOPPED_KILLS));
            }
            _ => {
                self.report.terminations += 1;
                self.workers[index].signal(Signal::SIGCONT)?;
                self.workers[index].signal(Signal::SIGTERM)?;
                self.workers[index].wait(Duration::from_secs(60))?;
                self.replace(index)?;
            }
        }
        Ok(())
    }
}

/// Strikes `kills` times, and then on until as many writes were acknowledged and a lease has expired; looks at the
/// invariants now and then, lets everything end, and looks again.
///
/// # Errors
/// When an invariant does not hold, an acknowledged write is lost, or trials do not end.
pub fn run(dir: &Path, kills: u64, seed: u64) -> anyhow::Result<Report> {
    let runtime = Runtime::new()?;
    let server = Server::start_with(&dir.join("server"), &SERVER_ARGS)?;
    let shared = Arc::new(Shared::default());
    let client = player::client(&server)?;
    let submitter = runtime.spawn(player::submit(client.clone(), Arc::clone(&shared)));
    let players = [1, 2].map(|player| {
        runtime.spawn(player::work(client.clone(), Chance::new(seed ^ (player << 32)), Arc::clone(&shared)))
    });
    let chance = Chance::new(seed);
    let mut soak = Soak {
        server,
        workers: Vec::new(),
        stopped: Vec::new(),
        started: 0,
        dir,
        chance,
        report: Report::default(),
    };
    for _ in 0..WORKERS {
        let worker = soak.worker()?;
        soak.workers.push(worker);
    }
    for kill in 1..=kills * EXTENDED_MAX {
        thread::sleep(Duration::from_millis(30 + soak.chance.below(600)));
        soak.wake(kill)?;
        soak.strike(kill)?;
        if kill % CHECK_EVERY_KILLS == 0 {
            soak.wake(u64::MAX)?;
            thread::sleep(QUIET);
            let found = runtime.block_on(invariants::check(&soak.server.data, &shared.ledger()))?;
            ensure!(found.lost.is_empty(), "after {kill} kills these are lost: {:?}", found.lost);
            soak.report.checks += 1;
            eprintln!("{kill} kills: {} acknowledged writes, {} trials", shared.ledger().len(), found.trials);
            let enough = shared.ledger().len() as u64 >= kills && found.expired > 0;
            if kill >= kills && enough {
                break;
            }
        }
    }
    soak.wake(u64::MAX)?;
    shared.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    runtime.block_on(submitter)?;
    for player in players {
        runtime.block_on(player)?;
    }
    let ledger = shared.ledger();
    let found = wait_for("every trial to end", Duration::from_secs(180), || {
        let found = runtime.block_on(invariants::check(&soak.server.data, &ledger))?;
        thread::sleep(Duration::from_secs(1));
        Ok((found.open == 0).then_some(found))
    })?;
    ensure!(found.lost.is_empty(), "lost: {:?}", found.lost);
    soak.report.checks += 1;
    Ok(Report { acknowledged: ledger.len(), found, ..soak.report })
}
