//! What happens when a person cancels while leases are taken back and given out.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::ensure;
use motif_client::SweepSteer;
use motif_tests::{chance::Chance, invariants::Ledger, player};
use serde_json::json;

use crate::scene::{Scene, until};

/// The reaper looks every 5 s. Sweeps are cancelled one after the other around a look, at which the leases of all their
/// trials have expired, while somebody claims whatever is queued again: every trial ends as cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_25_a_cancellation_races_the_reaper() -> anyhow::Result<()> {
    const SWEEPS: u64 = 8;
    const TRIALS: u64 = 6;
    let scene = Scene::start(&["--reap-grace-s", "1"])?;
    let chance = Chance::new(25);
    let worker = player::hello(&chance, "silent");
    let (mut rounds, mut before, mut after) = (0, 0, 0);
    until("cancellations on both sides of the reaper's look", async || {
        let mut spec = player::sweep("s", TRIALS, &[1]);
        spec["queue"] = json!({ "lease_ttl_s": 1, "heartbeat_s": 1, "crashes_max": 1000 });
        let mut sweeps = Vec::new();
        for _ in 0..SWEEPS {
            sweeps.push(scene.submit(&spec).await?);
        }
        let ended = AtomicBool::new(false);
        // Somebody takes what there is and never says a word again.
        let taking = async {
            while !ended.load(Ordering::Relaxed) {
                scene.client.claim(&player::claim_request(&chance, &worker, 16)).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        let cancelling = async {
            // The last round ended with a look.
            tokio::time::sleep(Duration::from_millis(4500)).await;
            for sweep in &sweeps {
                let action = scene.client.sweep_steer(*sweep, SweepSteer::Cancel).await?;
                ensure!(action.changed + action.pending == TRIALS, "{action:?}");
                tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
            }
            until("every trial to be cancelled", async || {
                let mut cancelled = 0;
                for sweep in &sweeps {
                    let counts = scene.client.sweep_get(*sweep).await?.row.counts;
                    ensure!(counts.dead == 0 && counts.failed == 0, "{counts:?}");
                    cancelled += counts.cancelled;
                }
                Ok((cancelled == SWEEPS * TRIALS).then_some(()))
            })
            .await?;
            ended.store(true, Ordering::Relaxed);
            Ok(())
        };
        tokio::try_join!(taking, cancelling)?;
        rounds += 1;
        let found = scene.check(&Ledger::default()).await?;
        ensure!(found.open == 0, "{found:?}");
        // Taken back and then cancelled, or flagged and then ended by the look.
        (before, after) = (found.expired, found.attempts - found.expired);
        Ok((rounds >= 2 && before > 0 && after > 0).then_some(()))
    })
    .await?;
    println!("{rounds} rounds: {before} attempts taken back before a cancellation, {after} ended by it");
    Ok(())
}
