//! What happens to workers: stopped, cut off, hung, poisoned. The workers here speak the protocol and train nothing, but
//! for those that say otherwise.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_client::{Client, ClientError, SweepSteer};
use motif_testkit::build;
use motif_tests::{
    chance::Chance,
    invariants::{self, Ledger},
    player,
    process::Server,
};
use motif_wire::{
    problem::ProblemCode,
    work::{Failure, Heartbeat, Lease, Release},
};
use serde_json::Value;
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(60);
const GRACE: [&str; 2] = ["--reap-grace-s", "1"];

struct World {
    dir: tempfile::TempDir,
    server: Server,
    client: Client,
    chance: Chance,
}

impl World {
    fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let server = Server::start_with(&dir.path().join("server"), &GRACE)?;
        let client = player::client(&server)?;
        Ok(Self { dir, server, client, chance: Chance::new(3) })
    }

    async fn submit(&self, seeds: u64, queue: Value) -> anyhow::Result<Uuid> {
        let mut spec = player::sweep("s", seeds, &[1]);
        spec["queue"] = queue;
        Ok(self.client.sweep_submit(&spec, None).await?.row.id)
    }

    async fn claim(&self, max: u32) -> anyhow::Result<Vec<Lease>> {
        let hello = player::hello(&self.chance, "test");
        Ok(self.client.claim(&player::claim_request(&self.chance, &hello, max)).await?.leases)
    }

    /// Claims again and again until there is a trial.
    async fn next(&self) -> anyhow::Result<Lease> {
        for _ in 0..LIMIT.as_millis() / 100 {
            if let Some(lease) = self.claim(1).await?.pop() {
                return Ok(lease);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("no trial within {LIMIT:?}")
    }

    async fn complete(&self, lease: &Lease) -> Result<(), ClientError> {
        let mut report = build::report(BTreeMap::from([("test_loss".to_owned(), Some(1.0))]));
        report.result_hash = player::hash_of(lease);
        self.client.complete(lease.attempt_id, &lease.token, report).await.map(drop)
    }

    async fn check(&self) -> anyhow::Result<invariants::Found> {
        invariants::check(&self.server.data, &Ledger::default()).await
    }
}

fn is_stale<T>(result: Result<T, ClientError>) -> bool {
    result.is_err_and(|error| error.code() == Some(ProblemCode::StaleLease))
}

fn short(more: &[(&str, u32)]) -> Value {
    let mut queue = serde_json::json!({ "lease_ttl_s": 1, "heartbeat_s": 1, "backoff_base_s": 0 });
    for (key, value) in more {
        queue[*key] = (*value).into();
    }
    queue
}

#[tokio::test]
async fn fault_06_a_worker_that_was_silent_past_its_lease_is_refused_everything() -> anyhow::Result<()> {
    let world = World::start()?;
    world.submit(1, short(&[])).await?;
    let old = world.next().await?;
    let new = world.next().await?;
    ensure!(new.trial_id == old.trial_id && new.attempt == 2, "{new:?}");
    let (client, id, token) = (&world.client, old.attempt_id, old.token.as_str());
    let words = || "late".to_owned();
    let beat = Heartbeat { step: 5, total_steps: None };
    ensure!(is_stale(client.heartbeat(id, token, beat).await), "a stale heartbeat");
    let point = build::point(0, &[("loss", 1.0)]);
    ensure!(is_stale(client.metrics(id, token, vec![point]).await), "stale points");
    ensure!(is_stale(world.complete(&old).await), "a stale completion");
    let failure = Failure { reason: words(), retryable: true };
    ensure!(is_stale(client.fail(id, token, &failure).await), "a stale failure");
    ensure!(is_stale(client.release(id, token, &Release { reason: words() }).await), "a stale release");
    // The lease of one attempt opens no other.
    ensure!(client.heartbeat(new.attempt_id, token, beat).await.is_err(), "another attempt's token");
    world.complete(&new).await?;
    ensure!(is_stale(world.complete(&old).await), "a completion after the end");
    let trial = client.trial_get(new.trial_id).await?;
    ensure!(trial.result.context("a result")?.result_hash == player::hash_of(&new), "the wrong result");
    world.check().await?;
    Ok(())
}

#[tokio::test]
async fn fault_08_repeats_after_lost_replies_change_nothing_at_each_endpoint() -> anyhow::Result<()> {
    let world = World::start()?;
    world.submit(3, short(&[("lease_ttl_s", 30)])).await?;
    let leases = world.claim(3).await?;
    let [completed, failed, released] = leases.as_slice() else { anyhow::bail!("{leases:?}") };
    let client = &world.client;
    let points: Vec<_> = (0..4).map(|seq| build::point(seq, &[("loss", 1.0)])).collect();
    for _ in 0..3 {
        let beat = Heartbeat { step: 9, total_steps: Some(10) };
        client.heartbeat(completed.attempt_id, &completed.token, beat).await?;
        let reply = client.metrics(completed.attempt_id, &completed.token, points.clone()).await?;
        ensure!(reply.next_seq == 4, "{reply:?}");
    }
    let failure = Failure { reason: "an error".into(), retryable: false };
    let release = Release { reason: "drain".into() };
    for _ in 0..3 {
        world.complete(completed).await?;
        client.fail(failed.attempt_id, &failed.token, &failure).await?;
        client.release(released.attempt_id, &released.token, &release).await?;
    }
    let failed = client.trial_get(failed.trial_id).await?;
    ensure!(failed.row.failures == 1, "a repeated failure counts once: {:?}", failed.row);
    let mut other = build::report(BTreeMap::new());
    other.result_hash = "cd".repeat(32);
    let refused = client.complete(completed.attempt_id, &completed.token, other).await;
    ensure!(refused.is_err_and(|error| error.code() == Some(ProblemCode::Conflict)), "another result");
    world.check().await?;
    Ok(())
}

#[tokio::test]
async fn fault_10_a_repeated_claim_gets_the_same_leases_also_from_a_killed_server() -> anyhow::Result<()> {
    let mut world = World::start()?;
    world.submit(4, short(&[("lease_ttl_s", 30)])).await?;
    let hello = player::hello(&world.chance, "test");
    let request = player::claim_request(&world.chance, &hello, 2);
    let tokens = |leases: Vec<Lease>| leases.into_iter().map(|l| (l.attempt_id, l.token)).collect::<Vec<_>>();
    let first = tokens(world.client.claim(&request).await?.leases);
    ensure!(first.len() == 2, "{first:?}");
    ensure!(tokens(world.client.claim(&request).await?.leases) == first, "a repeat got something else");
    world.server.process.kill()?;
    world.server.again(&GRACE)?;
    let client = player::client(&world.server)?;
    ensure!(
        tokens(client.claim(&request).await?.leases) == first,
        "a repeat after a kill got something else"
    );
    // Another secret under the same id is another's claim.
    let mut stolen = request.clone();
    stolen.secret = "00".repeat(32);
    ensure!(client.claim(&stolen).await.is_err(), "a claim was stolen");
    let found = world.check().await?;
    ensure!(found.attempts == 2, "{found:?}");
    Ok(())
}

#[tokio::test]
async fn fault_15_a_trial_whose_workers_die_is_dead_at_its_limit_and_others_go_on() -> anyhow::Result<()> {
    let world = World::start()?;
    let sweep = world.submit(2, short(&[("crashes_max", 2)])).await?;
    let poison = world.next().await?.trial_id;
    let mut crashes = 1;
    let mut healthy = 0;
    while crashes < 2 || healthy < 1 {
        let lease = world.next().await?;
        if lease.trial_id == poison {
            crashes += 1;
        } else {
            world.complete(&lease).await?;
            healthy += 1;
        }
    }
    for _ in 0..LIMIT.as_millis() / 100 {
        if world.client.sweep_get(sweep).await?.row.counts.dead == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let trial = world.client.trial_get(poison).await?;
    ensure!(trial.row.state.name() == "dead" && trial.row.crashes == 2, "{:?}", trial.row);
    let reasons: Vec<_> = trial.attempt_rows.iter().filter_map(|row| row.reason.as_deref()).collect();
    ensure!(reasons.len() == 2 && reasons.iter().all(|text| text.contains("expired")), "{reasons:?}");
    ensure!(world.client.sweep_get(sweep).await?.row.counts.succeeded == 1, "the other did not go on");
    ensure!(world.check().await?.open == 0, "something is open");
    Ok(())
}

#[tokio::test]
async fn fault_16_a_hung_worker_that_still_sends_heartbeats_loses_its_trial() -> anyhow::Result<()> {
    let world = World::start()?;
    world.submit(1, short(&[("stall_timeout_s", 2), ("failures_max", 0)])).await?;
    let lease = world.next().await?;
    let beat = Heartbeat { step: 0, total_steps: None };
    let mut beats = 0;
    while world.client.heartbeat(lease.attempt_id, &lease.token, beat).await.is_ok() {
        beats += 1;
        ensure!(beats < 200, "it hangs for 40 s and still has its lease");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let trial = world.client.trial_get(lease.trial_id).await?;
    ensure!(trial.row.state.name() == "failed" && trial.row.failures == 1, "{:?}", trial.row);
    ensure!(trial.row.crashes == 0, "it did not crash: {:?}", trial.row);
    world.check().await?;
    Ok(())
}

/// How often the reaper has looked by the end, and lost or won, is chance on a loaded machine: the race goes on until both
/// outcomes have been seen this often.
const RACES_SEEN: u64 = 6;

/// Claims, and completes at times from before a lease can be taken back until after, until both outcomes were seen.
async fn race(world: &World, start_ms: u64, accepted: &AtomicU64, refused: &AtomicU64) -> anyhow::Result<()> {
    // Out of step with the others, so that one claims while the others still hold what was taken back.
    tokio::time::sleep(Duration::from_millis(start_ms)).await;
    while accepted.load(Ordering::Relaxed) < RACES_SEEN || refused.load(Ordering::Relaxed) < RACES_SEEN {
        let leases = world.claim(8).await?;
        for (lease, wait_ms) in leases.iter().zip([200, 600, 900, 300].into_iter().cycle()) {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            match world.complete(lease).await {
                Ok(()) => accepted.fetch_add(1, Ordering::Relaxed),
                Err(error) if error.code() == Some(ProblemCode::StaleLease) => {
                    refused.fetch_add(1, Ordering::Relaxed)
                }
                Err(error) => return Err(error.into()),
            };
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn fault_11_completions_race_the_reaper_and_the_next_holder() -> anyhow::Result<()> {
    // More than the racers can complete within their limit.
    const TRIALS: u64 = 1000;
    let world = World::start()?;
    let sweep = world.submit(TRIALS, short(&[("crashes_max", 1000)])).await?;
    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let racer = |start_ms| race(&world, start_ms, &accepted, &refused);
    let racers = async { tokio::try_join!(racer(0), racer(1300), racer(2600)) };
    let raced = tokio::time::timeout(2 * LIMIT, racers).await;
    raced.with_context(|| format!("no race: {accepted:?} accepted, {refused:?} refused"))??;
    world.client.sweep_steer(sweep, SweepSteer::Cancel).await?;
    let found = world.check().await?;
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    ensure!(found.open == 0 && found.expired > 0, "{accepted} accepted, {refused} refused: {found:?}");
    let counts = world.client.sweep_get(sweep).await?.row.counts;
    ensure!(counts.succeeded == accepted && counts.cancelled == TRIALS - accepted, "{accepted}: {counts:?}");
    println!("{accepted} accepted, {refused} refused, {} reaped", found.expired);
    ensure!(world.dir.path().exists(), "the folder lives as long as the world");
    Ok(())
}

#[tokio::test]
async fn fault_25_a_cancellation_races_claims_and_completions() -> anyhow::Result<()> {
    let world = World::start()?;
    let mut ends = (0, 0);
    for round in 0_u64..8 {
        let sweep = world.submit(24, short(&[("crashes_max", 1000)])).await?;
        let working = async {
            for _ in 0..6 {
                for lease in world.claim(4).await? {
                    // Flagged trials complete all the same: what was trained is not thrown away.
                    match world.complete(&lease).await {
                        Ok(()) => {}
                        Err(error) if error.code() == Some(ProblemCode::StaleLease) => {}
                        Err(error) => return Err(anyhow::Error::from(error)),
                    }
                }
            }
            Ok(())
        };
        let cancelling = async {
            tokio::time::sleep(Duration::from_millis(3 * round)).await;
            world.client.sweep_steer(sweep, SweepSteer::Cancel).await?;
            Ok(())
        };
        tokio::try_join!(working, cancelling)?;
        let counts = world.client.sweep_get(sweep).await?.row.counts;
        ensure!(counts.succeeded + counts.cancelled == 24, "round {round}: {counts:?}");
        ends = (ends.0 + counts.succeeded, ends.1 + counts.cancelled);
    }
    ensure!(ends.0 > 0 && ends.1 > 0, "no race: {ends:?} succeeded and cancelled");
    ensure!(world.check().await?.open == 0, "something is open");
    Ok(())
}
