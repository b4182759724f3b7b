//! What happens when a person cancels while leases are taken back and given out.

use std::time::Duration;

use anyhow::ensure;
use motif_client::SweepSteer;
use motif_tests::{chance::Chance, player};
use serde_json::json;

use crate::scene::{Scene, until};

/// The reaper looks every 5 s: cancellations at any time around a look, of trials whose leases expire right then and are
/// given out again, end every trial as cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_25_a_cancellation_races_the_reaper() -> anyhow::Result<()> {
    const TRIALS: u64 = 24;
    let scene = Scene::start(&["--reap-grace-s", "1"])?;
    let chance = Chance::new(25);
    let worker = player::hello(&chance, "silent");
    let claim = async || {
        let request = player::claim_request(&chance, &worker, 16);
        scene.client.claim(&request).await
    };
    let (mut rounds, mut flagged) = (0, 0);
    until("cancellations on both sides of the reaper's look", async || {
        let mut spec = player::sweep("s", TRIALS, &[1]);
        spec["queue"] = json!({ "lease_ttl_s": 1, "heartbeat_s": 1, "crashes_max": 1000 });
        let sweep = scene.submit(&spec).await?;
        // Somebody takes what there is and never says a word again.
        let taking = async {
            for _ in 0..10 {
                claim().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            anyhow::Ok(())
        };
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(chance.below(6000))).await;
            Ok(scene.client.sweep_steer(sweep, SweepSteer::Cancel).await?)
        };
        let ((), action) = tokio::try_join!(taking, cancelling)?;
        ensure!(action.changed + action.pending == TRIALS, "{action:?}");
        flagged += action.pending;
        until("every trial to be cancelled", async || {
            let counts = scene.client.sweep_get(sweep).await?.row.counts;
            ensure!(counts.dead == 0 && counts.failed == 0, "{counts:?}");
            Ok((counts.cancelled == TRIALS).then_some(()))
        })
        .await?;
        rounds += 1;
        let found = scene.check(&Default::default()).await?;
        ensure!(found.open == 0, "{found:?}");
        Ok((rounds >= 6 && flagged > 0 && found.expired > 0).then_some(()))
    })
    .await?;
    let found = scene.check(&Default::default()).await?;
    println!("{rounds} rounds, {flagged} flagged, {} taken back before", found.expired);
    Ok(())
}
