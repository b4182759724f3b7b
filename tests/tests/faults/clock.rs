//! What happens when clocks are wrong. No process can be given another wall clock than its neighbours: the side whose
//! clock is wrong runs in this process with the clock that it takes as a parameter, on real sockets, and the other side
//! are real processes.

use std::{sync::Arc, time::Duration};

use anyhow::ensure;
use motif_client::Client;
use motif_testkit::{SeededEntropy, TestApp, WrongClock};
use motif_tests::{
    invariants::{self, Ledger},
    player,
    process::{Process, worker_at},
};
use motif_wire::{system::Scope, trials::TrialRow};
use motif_worker::WorkerOptions;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::scene::{Scene, end, is, training, until, until_trials};

const HOUR_S: i64 = 3600;
/// Longer than the leases here.
const REAP_GRACE: Duration = Duration::from_secs(7);
const REAP_EVERY: Duration = Duration::from_millis(200);

struct World {
    app: TestApp,
    clock: Arc<WrongClock>,
    client: Client,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let clock = Arc::new(WrongClock::new(1.0, 0));
        let own = Arc::clone(&clock);
        let app = TestApp::start_with(move |options| {
            options.clock = own.clone();
            (options.reap_every, options.reap_grace) = (REAP_EVERY, REAP_GRACE);
        })
        .await;
        let client = player::client_at(&app.url, app.token(Scope::Admin))?;
        Ok(Self { app, clock, client })
    }

    fn worker(&self, name: &str) -> anyhow::Result<Process> {
        let data = self.app.data_dir().join(name);
        worker_at(
            (&self.app.url, self.app.token(Scope::Worker)),
            &[],
            name,
            &data,
            &["--checkpoint-every-s", "1"],
        )
    }

    async fn until(
        &self,
        sweep: Uuid,
        what: &str,
        wanted: impl Fn(&[TrialRow]) -> bool,
    ) -> anyhow::Result<Vec<TrialRow>> {
        until_trials(&self.client, sweep, what, wanted).await
    }
}

/// The server's wall clock is set an hour ahead, and back again, while workers train: no living worker loses its trial,
/// and the trial of one that dies right then is taken back all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_12_the_servers_wall_clock_jumps_an_hour_either_way() -> anyhow::Result<()> {
    let world = World::start().await?;
    let queue = json!({ "lease_ttl_s": 6, "heartbeat_s": 1 });
    let mut workers = vec![world.worker("a")?, world.worker("b")?];
    for (jump_s, name) in [(HOUR_S, "c"), (-HOUR_S, "d")] {
        let sweep = world.client.sweep_submit(&training(2, 250, &queue), None).await?.row.id;
        world.until(sweep, "steps of both", |all| all.iter().all(|trial| trial.step > 0)).await?;
        world.clock.jump_wall(jump_s);
        let trials = world.until(sweep, "both trials", |all| all.iter().all(|t| is(t, "succeeded"))).await?;
        ensure!(
            trials.iter().all(|t| t.attempts == 1 && t.crashes == 0),
            "{jump_s} s took a lease: {trials:?}"
        );

        let sweep = world.client.sweep_submit(&training(2, 250, &queue), None).await?.row.id;
        world.until(sweep, "steps of both", |all| all.iter().all(|trial| trial.step > 0)).await?;
        world.clock.jump_wall(-jump_s);
        workers.remove(0).kill()?;
        workers.push(world.worker(name)?);
        let trials = world.until(sweep, "both trials", |all| all.iter().all(|t| is(t, "succeeded"))).await?;
        let attempts: u32 = trials.iter().map(|trial| trial.attempts).sum();
        ensure!(attempts == 3, "one of two was taken over once: {trials:?}");
    }
    for worker in workers {
        let done = end(worker)?;
        ensure!(done["dropped"] == 0 && done["failed"] == 0, "{done}");
    }
    let found = invariants::check(world.app.data_dir(), &Ledger::default()).await?;
    ensure!(found.open == 0 && found.expired == 2, "{found:?}");
    Ok(())
}

/// Workers whose clocks are a day ahead, a day behind, eight times too fast and eight times too slow. The slow one sends
/// its heartbeats too late and loses leases; everything ends, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_13_workers_whose_clocks_are_wrong() -> anyhow::Result<()> {
    const DAY_S: i64 = 24 * HOUR_S;
    let scene = Scene::start(&["--reap-grace-s", "1"])?;
    let shutdown = CancellationToken::new();
    let clocks = [(1.0, DAY_S), (1.0, -DAY_S), (8.0, 0), (0.125, 0)];
    let mut workers = Vec::new();
    for (number, (rate, ahead_s)) in (1..).zip(clocks) {
        let options = WorkerOptions {
            client: player::client_at(&scene.server.url, &scene.server.token)?,
            name: format!("w{number}"),
            abilities: Default::default(),
            slots: 1,
            data_dir: scene.folder(&format!("w{number}")),
            checkpoint_every: Duration::from_secs(1),
            clock: Arc::new(WrongClock::new(rate, ahead_s)),
            entropy: Arc::new(SeededEntropy::new(number)),
        };
        workers.push(tokio::spawn(motif_worker::run(options, shutdown.clone())));
    }
    let spec = training(4, 300, &json!({ "lease_ttl_s": 1, "heartbeat_s": 1, "crashes_max": 1000 }));
    let mut rounds = 0;
    let found = until("a lease that the slow one lost", async || {
        let sweep = scene.submit(&spec).await?;
        scene.until_succeeded(sweep).await?;
        rounds += 1;
        let found = scene.check(&Ledger::default()).await?;
        Ok((found.expired > 0).then_some(found))
    })
    .await?;
    shutdown.cancel();
    let mut done = Vec::new();
    for worker in workers {
        done.push(worker.await??);
    }
    ensure!(found.open == 0 && found.trials == 4 * rounds, "{found:?}");
    let succeeded: u64 = done.iter().map(|summary| summary.succeeded).sum();
    ensure!(succeeded == 4 * u64::try_from(rounds)?, "each trial ends once: {done:?}");
    println!("{rounds} rounds: {done:?}; {found:?}");
    Ok(())
}
