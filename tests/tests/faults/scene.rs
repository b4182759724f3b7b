//! What faults have in common: a server, a client that reaches it whatever befalls the workers, trials that take a while.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_client::{Client, TrialQuery};
use motif_tests::{
    invariants::{self, Found, Ledger},
    player,
    process::{Process, Server},
};
use motif_wire::trials::TrialRow;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

/// Longest wait for anything: far more than two slow cores that run all faults at once need.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) server: Server,
    /// A client that no proxy is before.
    pub(crate) client: Client,
}

impl Scene {
    pub(crate) fn start(args: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("server");
        Self::start_at(dir, &data, args)
    }

    /// With the server's data directory there.
    pub(crate) fn start_at(dir: tempfile::TempDir, data: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let server = Server::start_with(data, args)?;
        let client = player::client(&server)?;
        Ok(Self { dir, server, client })
    }

    pub(crate) async fn submit(&self, spec: &Value) -> anyhow::Result<Uuid> {
        Ok(self.client.sweep_submit(spec, None).await?.row.id)
    }

    /// A folder of this name for a worker.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A worker of one slot that knows the server by this address.
    pub(crate) fn worker(&self, url: &str, name: &str) -> anyhow::Result<Process> {
        let args = ["--checkpoint-every-s", "1"];
        self.server.worker_through(&[], url, name, &self.folder(name), &args)
    }

    pub(crate) async fn trials(&self, sweep: Uuid) -> anyhow::Result<Vec<TrialRow>> {
        Ok(self.client.sweep_trials_all(sweep, &TrialQuery::default()).await?)
    }

    /// Looks until all trials of a sweep are as wanted.
    pub(crate) async fn until(
        &self,
        sweep: Uuid,
        what: &str,
        wanted: impl Fn(&[TrialRow]) -> bool,
    ) -> anyhow::Result<Vec<TrialRow>> {
        until_trials(&self.client, sweep, what, wanted).await
    }

    pub(crate) async fn until_succeeded(&self, sweep: Uuid) -> anyhow::Result<Vec<TrialRow>> {
        self.until(sweep, "every trial to succeed", |all| all.iter().all(|t| is(t, "succeeded"))).await
    }

    /// Every invariant holds, and nothing that was acknowledged is lost.
    pub(crate) async fn check(&self, ledger: &Ledger) -> anyhow::Result<Found> {
        let found = invariants::check(&self.server.data, ledger).await?;
        ensure!(found.lost.is_empty(), "lost: {:?}", found.lost);
        Ok(found)
    }
}

pub(crate) fn is(trial: &TrialRow, state: &str) -> bool {
    trial.state.name() == state
}

/// Looks until all trials of a sweep are as wanted.
pub(crate) async fn until_trials(
    client: &Client,
    sweep: Uuid,
    what: &str,
    wanted: impl Fn(&[TrialRow]) -> bool,
) -> anyhow::Result<Vec<TrialRow>> {
    until(what, async || {
        let trials = client.sweep_trials_all(sweep, &TrialQuery::default()).await?;
        Ok(wanted(&trials).then_some(trials))
    })
    .await
}

/// Looks until there is something.
pub(crate) async fn until<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LIMIT, looking).await.with_context(|| format!("waited in vain for {what}"))?
}

/// A sweep of one condition and so many seeds that really learns something; 100 epochs are about a second.
pub(crate) fn training(seeds: u64, epochs: u32, queue: &Value) -> Value {
    json!({
        "name": "s", "seeds": seeds, "queue": queue,
        "trial": {
            "dataset": "glyphs", "hidden": [48, 48], "train_limit": 2000, "test_limit": 200, "epochs": epochs,
            "rates": { "w": 0.03, "w_bar": 0.006, "v": 0.03, "v_bar": 0.03 },
        },
    })
}

/// Tells a worker to end, and reads what it says it has done.
pub(crate) fn end(mut worker: Process) -> anyhow::Result<Value> {
    worker.signal(Signal::SIGTERM)?;
    let (status, said) = worker.output(Duration::from_secs(60))?;
    ensure!(status.success(), "a drained worker ends with {status}");
    serde_json::from_str(&said).with_context(|| format!("not a summary: {said}"))
}
