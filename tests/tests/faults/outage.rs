//! What happens while the server is away for longer than leases, delays between repeats and every time limit.

use std::{thread, time::Duration};

use anyhow::ensure;
use motif_client::SweepSteer;
use serde_json::json;

use crate::scene::{Scene, end, is, training};

/// Two workers train on: one through trials that end meanwhile, whose results wait, one in a trial that goes on. Nothing
/// is trained twice.
async fn outage(away: Duration) -> anyhow::Result<()> {
    let mut scene = Scene::start(&[])?;
    // Leases that a worker on a starved machine keeps, and shorter than the outage.
    let queue = json!({ "lease_ttl_s": 10, "heartbeat_s": 1 });
    // More than fits into the longest outage, and few points, because a trial waits when too many cannot be sent.
    let mut spec = training(1, 50_000, &queue);
    spec["trial"]["hidden"] = json!([256, 256]);
    let long = scene.submit(&spec).await?;
    let workers = [scene.worker(&scene.server.url, "a")?];
    scene.until(long, "steps of the long trial", |all| all[0].step > 0).await?;
    let short = scene.submit(&training(3, 200, &queue)).await?;
    let other = scene.worker(&scene.server.url, "b")?;
    scene.until(short, "steps of a short trial", |all| all[0].step > 0).await?;

    let before = scene.trials(long).await?.remove(0);
    scene.server.process.kill()?;
    thread::sleep(away);
    scene.server.again(&[])?;
    let trials = scene.until_succeeded(short).await?;
    let on = scene.until(long, "the long trial's steps", |all| all[0].step > before.step).await?.remove(0);
    ensure!(is(&on, "leased") && on.attempts == 1 && on.crashes == 0, "{on:?}");
    let attempts: Vec<_> = trials.iter().map(|trial| (trial.attempts, trial.crashes)).collect();
    ensure!(attempts == [(1, 0); 3], "trained twice: {attempts:?}");
    let first = scene.client.trial_get(trials[0].id).await?;
    ensure!(first.result.is_some_and(|result| result.training_s > 0.0), "no result");

    scene.client.sweep_steer(long, SweepSteer::Cancel).await?;
    scene.until(long, "the long trial to end", |all| is(&all[0], "cancelled")).await?;
    let found = scene.check(&Default::default()).await?;
    ensure!(found.open == 0 && found.attempts == 4 && found.expired == 0, "{found:?}");
    for worker in workers.into_iter().chain([other]) {
        let done = end(worker)?;
        ensure!(done["dropped"] == 0 && done["failed"] == 0, "{done}");
    }
    println!("away for {away:?}: step {} before, {} after", before.step, on.step);
    Ok(())
}

/// Longer than a lease (10 s), a call's limit (10 s), a delay between repeats (15 s), and all of them together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_14_a_server_that_is_away_while_workers_train() -> anyhow::Result<()> {
    outage(Duration::from_secs(32)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes"]
async fn fault_14_a_server_that_is_away_for_ten_minutes() -> anyhow::Result<()> {
    outage(Duration::from_secs(600)).await
}
