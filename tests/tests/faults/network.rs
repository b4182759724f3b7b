//! What happens between workers and their server: partitions, lost replies, repeated, late and overtaken requests. The
//! workers are real ones behind a proxy.

use std::{
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_sweep::lifecycle::AttemptOutcome;
use motif_tests::{
    chance::Chance,
    player::{self, Shared},
    process::Process,
    proxy::{Fault, Proxy, Rule, When},
};
use motif_wire::work::Failure;
use serde_json::json;
use uuid::Uuid;

use crate::scene::{Scene, end, is, training, until};

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];
/// The endpoints that a worker trains through, by a part of their first lines.
const WORK: [&str; 7] = ["/claims", "/heartbeat", "/metrics", "/complete", "PUT", "/resume", "/release"];

fn on(part: &'static str, when: When, fault: Fault) -> Rule {
    Rule { part, when, fault }
}

/// A worker that is cut off for longer than its lease, while another one takes its trial over, drops its output.
async fn cut_off(
    scene: &Scene,
    cut: impl Fn() -> anyhow::Result<Process>,
    partition: impl Fn() -> anyhow::Result<()>,
    heal: impl Fn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let queue = json!({ "lease_ttl_s": 5, "heartbeat_s": 1, "crashes_max": 1000 });
    let sweep = scene.submit(&training(1, 600, &queue)).await?;
    let worker = cut()?;
    scene.until(sweep, "steps", |all| all[0].step > 0).await?;
    partition()?;
    let other = scene.worker(&scene.server.url, "other")?;
    scene.until(sweep, "the takeover", |all| all[0].attempts > 1).await?;
    heal()?;
    let trials = scene.until_succeeded(sweep).await?;
    let trial = scene.client.trial_get(trials[0].id).await?;
    let outcomes: Vec<_> = trial
        .attempt_rows
        .iter()
        .map(|row| (row.worker.as_str(), row.outcome.map(AttemptOutcome::name)))
        .collect();
    ensure!(outcomes == [("cut", Some("expired")), ("other", Some("succeeded"))], "{outcomes:?}");
    let found = scene.check(&Default::default()).await?;
    ensure!(found.open == 0 && found.attempts == 2, "{found:?}");
    let (done, other) = (end(worker)?, end(other)?);
    ensure!(done["dropped"] == 1 && done["succeeded"] == 0, "the one that was cut off: {done}");
    ensure!(other["succeeded"] == 1, "the other: {other}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_07_a_partition_longer_than_the_lease_and_the_healed_worker_drops_its_output()
-> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    let proxy = Proxy::start(&scene.server.url, 7).await?;
    let cut = || scene.worker(&proxy.url, "cut");
    let partition = || {
        proxy.partition();
        Ok(())
    };
    let heal = || {
        proxy.heal();
        Ok(())
    };
    cut_off(&scene, cut, partition, heal).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_07_a_result_that_a_partition_held_back_counts_when_nobody_took_over() -> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    let proxy = Proxy::start(&scene.server.url, 7).await?;
    let queue = json!({ "lease_ttl_s": 1, "heartbeat_s": 1, "crashes_max": 1000 });
    let sweep = scene.submit(&training(1, 5, &queue)).await?;
    proxy.set(&[on("/complete", When::Every(1), Fault::DropRequest)]);
    let worker = scene.worker(&proxy.url, "cut")?;
    until("a result", async || Ok((proxy.struck("/complete") > 0).then_some(()))).await?;
    proxy.partition();
    let expired = scene.until(sweep, "the lease to be taken back", |all| is(&all[0], "queued")).await?;
    proxy.set(&[]);
    proxy.heal();
    let trials = scene.until_succeeded(sweep).await?;
    ensure!(expired[0].crashes == 1 && trials[0].attempts == 1, "{trials:?}");
    let done = end(worker)?;
    ensure!(done["succeeded"] == 1 && done["dropped"] == 0, "{done}");
    scene.check(&Default::default()).await?;
    Ok(())
}

/// A network namespace with a cable to this one.
struct Namespace {
    name: String,
    cable: String,
    /// The address of this end.
    address: String,
}

impl Namespace {
    /// Makes one, or says why it cannot.
    fn new() -> Result<Self, String> {
        let number = std::process::id();
        let name = format!("motif-{number}");
        let cable = format!("mt{number}");
        let net = format!("10.213.{}", number % 256);
        let made = Self { name, cable, address: format!("{net}.1") };
        let (name, cable, inner) = (made.name.as_str(), made.cable.as_str(), format!("{}i", made.cable));
        ip(&["netns", "add", name])?;
        ip(&["link", "add", cable, "type", "veth", "peer", "name", &inner, "netns", name])?;
        ip(&["address", "add", &format!("{net}.1/24"), "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        ip(&["-n", name, "address", "add", &format!("{net}.2/24"), "dev", &inner])?;
        ip(&["-n", name, "link", "set", &inner, "up"])?;
        Ok(made)
    }

    fn plug(&self, state: &str) -> anyhow::Result<()> {
        ip(&["link", "set", &self.cable, state]).map_err(anyhow::Error::msg)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The cable's other end goes with it, and so does this one.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(args).output().map_err(|error| format!("ip: {error}"))?;
    let said = || format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr).trim());
    if out.status.success() { Ok(()) } else { Err(said()) }
}

/// The same with a real cable that is pulled, where this process may lay one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_07_a_pulled_cable() -> anyhow::Result<()> {
    let namespace = match Namespace::new() {
        Ok(namespace) => namespace,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    let listen = format!("{}:0", namespace.address);
    let scene = Scene::start(&[&GRACE[..], &["--listen", &listen]].concat())?;
    let cut = || {
        let before = ["ip", "netns", "exec", &namespace.name];
        scene.server.worker_through(&before, &scene.server.url, "cut", &scene.folder("cut"), &[])
    };
    cut_off(&scene, cut, || namespace.plug("down"), || namespace.plug("up")).await
}

/// Every other reply is lost, at each endpoint that a worker trains through: claims get the same leases again, reports
/// count once, and no trial is trained twice but the one that a worker gave back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_08_and_10_replies_are_lost_at_each_endpoint_while_real_workers_train() -> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    let proxy = Proxy::start(&scene.server.url, 8).await?;
    let spec = training(3, 300, &json!({ "lease_ttl_s": 30, "heartbeat_s": 1 }));
    let undisturbed = scene.submit(&spec).await?;
    let direct = scene.worker(&scene.server.url, "direct")?;
    let wanted = scene.until_succeeded(undisturbed).await?;
    end(direct)?;

    proxy.set(&WORK.map(|part| on(part, When::Every(2), Fault::DropReply)));
    let sweep = scene.submit(&spec).await?;
    let drained = scene.worker(&proxy.url, "drained")?;
    until("a checkpoint whose reply was lost", async || Ok((proxy.struck("PUT") > 0).then_some(()))).await?;
    let done = end(drained)?;
    ensure!(done["released"] == 1, "it ends while its trial is in training: {done}");
    let workers = [scene.worker(&proxy.url, "a")?, scene.worker(&proxy.url, "b")?];
    let trials = scene.until_succeeded(sweep).await?;
    for part in WORK {
        ensure!(proxy.struck(part) > 0, "no reply of {part} was lost");
    }
    let hashes = |rows: &[motif_wire::trials::TrialRow]| {
        rows.iter().map(|row| row.result_hash.clone()).collect::<Vec<_>>()
    };
    ensure!(hashes(&trials) == hashes(&wanted), "lost replies change results");
    let attempts: Vec<_> = trials.iter().map(|row| row.attempts).collect();
    ensure!(attempts.iter().sum::<u32>() == 4, "one trial was given back: {attempts:?}");
    for worker in workers {
        let done = end(worker)?;
        ensure!(done["dropped"] == 0 && done["failed"] == 0, "{done}");
    }
    let found = scene.check(&Default::default()).await?;
    ensure!(found.open == 0 && found.expired == 0, "{found:?}");
    println!("lost: {:?}", WORK.map(|part| (part, proxy.struck(part))));
    Ok(())
}

/// Those that no real worker calls here: submissions under a key, and failures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_08_lost_replies_of_submissions_and_failures_are_repeated_to_one_effect() -> anyhow::Result<()>
{
    let scene = Scene::start(&GRACE)?;
    let proxy = Proxy::start(&scene.server.url, 8).await?;
    let client = player::client_at(&proxy.url, &scene.server.token)?;
    let chance = Chance::new(8);
    for (part, key) in [("/sweeps", "a"), ("/nothing", "a"), ("/sweeps", "b")] {
        proxy.set(&[on(part, When::Every(2), Fault::DropReply)]);
        let spec = player::sweep(key, 3, &[1]);
        let lost = client.sweep_submit(&spec, Some(key)).await.is_err();
        ensure!(lost == (part == "/sweeps"), "{part} {key}");
        client.sweep_submit(&spec, Some(key)).await?;
    }
    ensure!(scene.client.sweep_list(None, None).await?.items.len() == 2, "a sweep was stored twice");
    proxy.set(&[on("/fail", When::Every(2), Fault::DropReply)]);
    let worker = player::hello(&chance, "failing");
    for number in 1..=3 {
        let claim = player::claim_request(&chance, &worker, 1);
        let lease = client.claim(&claim).await?.leases.pop().context("a trial")?;
        let failure = Failure { reason: "an error".into(), retryable: false };
        ensure!(client.fail(lease.attempt_id, &lease.token, &failure).await.is_err(), "a reply came");
        client.fail(lease.attempt_id, &lease.token, &failure).await?;
        let row = scene.client.trial_get(lease.trial_id).await?.row;
        ensure!(is(&row, "failed") && row.failures == 1, "{row:?}");
        ensure!(proxy.struck("/fail") == number, "{number}");
    }
    scene.check(&Default::default()).await?;
    Ok(())
}

/// Everything that passes is now and then sent twice, delayed, overtaken, or delivered when its sender has long repeated
/// it and gone on; players write down what was acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_09_requests_come_twice_late_and_in_another_order() -> anyhow::Result<()> {
    const ACKNOWLEDGED: usize = 150;
    let scene = Scene::start(&GRACE)?;
    let proxy = Proxy::start(&scene.server.url, 9).await?;
    let faults = [
        on("POST", When::Percent(15), Fault::Twice),
        on("HTTP", When::Percent(15), Fault::Late(Duration::from_millis(600))),
        on("1.1", When::Percent(30), Fault::Delay(Duration::from_millis(200))),
    ];
    proxy.set(&faults);
    let shared = Arc::new(Shared::default());
    let client = player::client_at(&proxy.url, &scene.server.token)?;
    let submitter = tokio::spawn(player::submit(client.clone(), Arc::clone(&shared)));
    let players: Vec<_> = (1..=6)
        .map(|seed| tokio::spawn(player::work(client.clone(), Chance::new(seed), Arc::clone(&shared))))
        .collect();
    let workers = [scene.worker(&proxy.url, "a")?, scene.worker(&proxy.url, "b")?];
    until("acknowledged writes", async || Ok((shared.ledger().len() > ACKNOWLEDGED).then_some(()))).await?;
    scene.check(&shared.ledger()).await?;
    shared.stop.store(true, Ordering::Relaxed);
    submitter.await?;
    for player in players {
        player.await?;
    }
    let ledger = shared.ledger();
    let found = until("everything to end", async || {
        let found = scene.check(&ledger).await?;
        Ok((found.open == 0).then_some(found))
    })
    .await?;
    let struck = faults.map(|rule| proxy.struck(rule.part));
    ensure!(struck.iter().all(|struck| *struck > 20), "{struck:?}");
    for worker in workers {
        let done = end(worker)?;
        ensure!(done["failed"] == 0, "{done}");
    }
    let sweeps: Vec<Uuid> = ledger.sweeps.iter().map(|(sweep, _)| *sweep).collect();
    for sweep in sweeps {
        let succeeded = scene.trials(sweep).await?.iter().filter(|trial| is(trial, "succeeded")).count();
        ensure!(succeeded == 18, "sweep {sweep}: {succeeded} of 18 succeeded");
    }
    println!("twice, late, delayed: {struck:?}; {} acknowledged; {found:?}", ledger.len());
    Ok(())
}
