//! A worker and a researcher that train nothing and write down everything the server has acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use motif_client::{Client, ClientOptions, RetryPolicy};
use motif_testkit::build;
use motif_wire::{
    PROTOCOL_VERSION,
    work::{ClaimRequest, Lease, WorkerHello},
};
use serde_json::{Value, json};

use crate::{chance::Chance, invariants::Ledger, process::Server};

/// Between two tries of a call that the server did not answer.
const AGAIN: Duration = Duration::from_millis(50);
/// Points of one trial.
const POINTS: u64 = 3;

/// A client without patience of its own: this module decides what is repeated.
///
/// # Errors
/// When the address or the token is none.
pub fn client(server: &Server) -> anyhow::Result<Client> {
    client_at(&server.url, &server.token)
}

/// [`client`] of a server that is reached at this address.
///
/// # Errors
/// When the address or the token is none.
pub fn client_at(url: &str, token: &str) -> anyhow::Result<Client> {
    let mut options = ClientOptions::new(url);
    options.token = Some(token.to_owned());
    options.retry = RetryPolicy::NONE;
    options.timeouts.request = Duration::from_secs(5);
    Ok(Client::new(options)?)
}

/// A claim that was not made before.
#[must_use]
pub fn claim_request(chance: &Chance, worker: &WorkerHello, max: u32) -> ClaimRequest {
    let secret = chance.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    ClaimRequest { claim_id: chance.id(), secret, worker: worker.clone(), max, wait_s: 0 }
}

/// Who a worker that trains nothing is.
#[must_use]
pub fn hello(chance: &Chance, name: &str) -> WorkerHello {
    WorkerHello {
        id: chance.id(),
        name: name.to_owned(),
        slots: 1,
        version: "0.0.0-test".into(),
        protocol: PROTOCOL_VERSION,
        host: "here".into(),
        instruction_set: "none".into(),
        labels: Vec::new(),
        memory_bytes: None,
    }
}

/// The hash that an attempt's completion carries here: different for each.
#[must_use]
pub fn hash_of(lease: &Lease) -> String {
    blake3::hash(lease.attempt_id.as_bytes()).to_hex().to_string()
}

/// What players share.
#[derive(Default)]
pub struct Shared {
    /// Everything acknowledged so far.
    pub ledger: Mutex<Ledger>,
    /// Whether to end.
    pub stop: AtomicBool,
}

impl Shared {
    fn note(&self, write: impl FnOnce(&mut Ledger)) {
        write(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// The ledger as it is now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Claims, reports points, completes, until told to stop. Each call is repeated until it is answered.
pub async fn work(client: Client, chance: Chance, shared: Arc<Shared>) {
    let worker = hello(&chance, "player");
    while !shared.ended() {
        let request = claim_request(&chance, &worker, 1);
        let reply = loop {
            match client.claim(&request).await {
                Ok(reply) => break Some(reply),
                Err(_) if shared.ended() => break None,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        let leases = reply.map(|reply| reply.leases).unwrap_or_default();
        if leases.is_empty() {
            tokio::time::sleep(AGAIN).await;
        }
        for lease in leases {
            report(&client, &lease, &shared).await;
        }
    }
}

async fn report(client: &Client, lease: &Lease, shared: &Shared) {
    let points: Vec<_> = (0..POINTS).map(|seq| build::point(seq, &[("loss", 1.0)])).collect();
    loop {
        match client.metrics(lease.attempt_id, &lease.token, points.clone()).await {
            Ok(reply) => {
                shared.note(|ledger| ledger.points.push((lease.attempt_id, reply.next_seq)));
                break;
            }
            Err(error) if error.is_transient() => tokio::time::sleep(AGAIN).await,
            Err(_) => return,
        }
    }
    let metrics = BTreeMap::from([("test_loss".to_owned(), Some(1.0))]);
    let mut result = build::report(metrics);
    result.result_hash = hash_of(lease);
    loop {
        match client.complete(lease.attempt_id, &lease.token, result.clone()).await {
            Ok(_) => {
                shared.note(|ledger| ledger.completions.push((lease.attempt_id, hash_of(lease))));
                return;
            }
            Err(error) if error.is_transient() => tokio::time::sleep(AGAIN).await,
            Err(_) => return,
        }
    }
}

/// A sweep of short and of longer trials, with leases of two seconds and a budget that random kills do not use up.
#[must_use]
pub fn sweep(name: &str, seeds: u64, epochs: &[u32]) -> Value {
    json!({
        "name": name, "seeds": seeds, "metric": "test_loss",
        "queue": { "lease_ttl_s": 2, "heartbeat_s": 1, "crashes_max": 1000 },
        "trial": { "dataset": "glyphs", "hidden": [16], "train_limit": 1000, "test_limit": 64 },
        "axes": { "epochs": epochs },
    })
}

/// Submits sweeps, one after the other, until told to stop. Each submission is repeated, under its key, until it is
/// answered.
pub async fn submit(client: Client, shared: Arc<Shared>) {
    for number in 0_u64.. {
        if shared.ended() {
            return;
        }
        let (key, spec) = (format!("soak-{number}"), sweep(&format!("soak-{number}"), 6, &[1, 2, 100]));
        let sweep = loop {
            match client.sweep_submit(&spec, Some(&key)).await {
                Ok(sweep) => break sweep.row.id,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        shared.note(|ledger| ledger.sweeps.push((sweep, 18)));
        // Enough to do for everybody, and not more than they can do.
        for _ in 0..40 {
            let finished = client.sweep_get(sweep).await.is_ok_and(|sweep| sweep.row.counts.queued == 0);
            if finished || shared.ended() {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}
