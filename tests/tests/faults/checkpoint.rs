//! What happens to checkpoints: cut short on the disk, and left half sent by a worker or half received by a server.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, ensure};
use motif_testkit::build;
use motif_tests::{chance::Chance, invariants::Ledger, player};
use motif_wire::{
    LEASE_HEADER,
    work::{Checkpoint, Lease},
};
use serde_json::json;
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::scene::{Scene, end, training, until};

const GRACE: [&str; 2] = ["--reap-grace-s", "1"];

/// The files of checkpoints: whole ones are named by their hashes, those that are being received are not.
fn files(scene: &Scene, whole: bool) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(scene.server.data.join("checkpoints"))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_none() == whole).collect())
}

/// A worker dies, and the checkpoint that it leaves is cut short: the next one begins at the first step and comes to the
/// same bits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_21_a_truncated_checkpoint_is_not_gone_on_from() -> anyhow::Result<()> {
    let scene = Scene::start(&GRACE)?;
    let spec = training(1, 300, &json!({ "lease_ttl_s": 5, "heartbeat_s": 1 }));
    let sweep = scene.submit(&spec).await?;
    let mut first = scene.worker(&scene.server.url, "first")?;
    until("a checkpoint", async || Ok((!files(&scene, true)?.is_empty()).then_some(()))).await?;
    first.kill()?;
    for path in files(&scene, true)? {
        let file = fs::File::options().write(true).open(&path)?;
        file.set_len(file.metadata()?.len() / 2)?;
    }
    let second = scene.worker(&scene.server.url, "second")?;
    let trial = scene.until_succeeded(sweep).await?.remove(0);
    ensure!(trial.attempts == 2 && trial.crashes == 1, "{trial:?}");
    let options = SqliteConnectOptions::new().filename(scene.server.data.join("motif.db")).read_only(true);
    let mut conn = SqliteConnection::connect_with(&options).await?;
    let resumed = "select count(*) from attempts where resumed_from is not null";
    let resumed: i64 = sqlx::query(resumed).fetch_one(&mut conn).await?.try_get(0)?;
    ensure!(resumed == 0, "an attempt went on from a truncated checkpoint");
    conn.close().await?;
    let undisturbed = scene.submit(&spec).await?;
    let undisturbed = scene.until_succeeded(undisturbed).await?.remove(0);
    ensure!(trial.result_hash.is_some() && trial.result_hash == undisturbed.result_hash, "other bits");
    let done = end(second)?;
    ensure!(done["succeeded"] == 2, "{done}");
    scene.check(&Ledger::default()).await?;
    Ok(())
}

struct Upload {
    lease: Lease,
    checkpoint: Checkpoint,
    bytes: Vec<u8>,
}

impl Upload {
    /// Sends half of it, until the server has begun to store it, and goes on holding the line.
    async fn half(&self, scene: &Scene) -> anyhow::Result<TcpStream> {
        let Checkpoint { step, points, hash, bytes } = &self.checkpoint;
        let (address, token) = (scene.server.url.trim_start_matches("http://"), &scene.server.token);
        let head = format!(
            "PUT /api/v1/attempts/{}/checkpoint?step={step}&points={points}&blake3={hash} HTTP/1.1\r\n\
             host: {address}\r\nauthorization: Bearer {token}\r\n{LEASE_HEADER}: {}\r\ncontent-length: {bytes}\r\n\r\n",
            self.lease.attempt_id, self.lease.token
        );
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&self.bytes[..self.bytes.len() / 2]).await?;
        until("half a checkpoint on the disk", async || Ok((!files(scene, false)?.is_empty()).then_some(())))
            .await?;
        Ok(stream)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_21_a_worker_or_a_server_dies_while_a_checkpoint_is_sent() -> anyhow::Result<()> {
    let mut scene = Scene::start(&GRACE)?;
    scene.submit(&training(1, 1, &json!({ "lease_ttl_s": 300 }))).await?;
    let chance = Chance::new(21);
    let claim = player::claim_request(&chance, &player::hello(&chance, "half"), 1);
    let lease = scene.client.claim(&claim).await?.leases.pop().context("a trial")?;
    let (attempt, token) = (lease.attempt_id, lease.token.clone());
    scene.client.metrics(attempt, &token, vec![build::point(0, &[("loss", 1.0)])]).await?;
    let bytes = chance.bytes().repeat(1 << 16);
    let hash = blake3::hash(&bytes).to_hex().to_string();
    let checkpoint = Checkpoint { step: 10, points: 1, hash, bytes: bytes.len() as u64 };
    let upload = Upload { lease, checkpoint, bytes };
    let gone = async |scene: &Scene| {
        until("what was begun to be deleted", async || Ok(files(scene, false)?.is_empty().then_some(())))
            .await
    };

    drop(upload.half(&scene).await?);
    gone(&scene).await?;
    let stream = upload.half(&scene).await?;
    scene.server.process.kill()?;
    ensure!(!files(&scene, false)?.is_empty(), "a killed server has cleaned up");
    scene.server.again(&GRACE)?;
    drop(stream);
    gone(&scene).await?;
    ensure!(files(&scene, true)?.is_empty(), "half a checkpoint got a name");

    let Upload { checkpoint, bytes, .. } = upload;
    let kept = scene.client.checkpoint_save(attempt, &token, &checkpoint, bytes).await?;
    ensure!(kept == checkpoint && files(&scene, true)?.len() == 1, "{kept:?}");
    scene.check(&Ledger::default()).await?;
    Ok(())
}
