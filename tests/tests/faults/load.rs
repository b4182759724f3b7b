//! What many do at once: a thousand workers that come back.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use motif_client::{Client, ClientOptions, RetryPolicy};
use motif_tests::{
    chance::Chance,
    invariants::{self, Ledger},
    player,
    process::Server,
};
use motif_wire::work::{ClaimRequest, Lease};
use serde_json::json;
use tokio::task::JoinSet;

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];
const AGAIN: Duration = Duration::from_millis(200);
/// Tries of one call; a server that answers nobody uses them up.
const TRIES: usize = 100;

/// A client as patient as a worker's.
fn patient(server: &Server) -> anyhow::Result<Client> {
    let mut options = ClientOptions::new(server.url.clone());
    options.token = Some(server.token.clone());
    options.retry = RetryPolicy::NONE;
    Ok(Client::new(options)?)
}

/// What is answered 429 or not at all is asked again, as workers do.
async fn claim(client: &Client, request: &ClaimRequest) -> anyhow::Result<Vec<Lease>> {
    let mut last = None;
    for _ in 0..TRIES {
        match client.claim(request).await {
            Ok(reply) => return Ok(reply.leases),
            Err(error) if error.is_transient() => last = Some(error),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(last.context("a try")?).context("a claim was never answered")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_20_a_thousand_workers_that_come_at_once_share_the_trials() -> anyhow::Result<()> {
    const WORKERS: usize = 1000;
    let dir = tempfile::tempdir()?;
    let mut server = Server::start_with(&dir.path().join("server"), &GRACE)?;
    let chance = Chance::new(20);
    let mut spec = player::sweep("s", 700, &[1]);
    // No lease expires before the last claim is answered, however slow the machine is.
    spec["queue"] = json!({ "lease_ttl_s": 3600 });
    player::client(&server)?.sweep_submit(&spec, None).await?;
    server.process.kill()?;
    server.again(&GRACE)?;
    let mut calls = JoinSet::new();
    // Each call that is under way has a connection of its own.
    let client = patient(&server)?;
    for number in 0..WORKERS {
        let client = client.clone();
        let hello = player::hello(&chance, &format!("w{number}"));
        let request = player::claim_request(&chance, &hello, 1);
        calls.spawn(async move { claim(&client, &request).await });
    }
    let (mut answered, mut trials, mut leases) = (0, BTreeSet::new(), 0);
    while let Some(call) = calls.join_next().await {
        answered += 1;
        for lease in call?? {
            leases += 1;
            trials.insert(lease.trial_id);
        }
    }
    ensure!(answered == WORKERS, "{answered} claims were answered");
    ensure!(leases == 700 && trials.len() == 700, "{leases} leases of {} trials", trials.len());
    invariants::check(&server.data, &Ledger::default()).await?;
    Ok(())
}
