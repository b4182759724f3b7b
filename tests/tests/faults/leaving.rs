//! What happens when a client goes away while it writes: at each endpoint that changes something, within its request and
//! right behind it. A request that did not come whole changes nothing; one that did is done whole or not at all, and its
//! repetition has one effect.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use motif_testkit::build;
use motif_tests::{chance::Chance, player};
use motif_wire::{IDEMPOTENCY_HEADER, LEASE_HEADER, work::Lease};
use serde_json::{Value, json};
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::scene::Scene;

/// A server has this long to do what it is not to do.
const WRONGLY: Duration = Duration::from_millis(40);
/// A server has done by then, on the whole, what it was sent: that it has not is no fault.
const DONE: Duration = Duration::from_millis(500);

/// A request, spelt out so that it can be cut anywhere.
struct Call {
    name: String,
    head: String,
    body: Vec<u8>,
}

struct Line {
    scene: Scene,
    address: String,
    /// Sees whether anybody else has written to the file.
    watch: SqliteConnection,
    chance: Chance,
    /// Requests that were cut, and those that were left behind whole.
    cut: u64,
    left: u64,
    /// Of those, the ones that were done.
    done: u64,
}

impl Line {
    async fn new() -> anyhow::Result<Self> {
        let scene = Scene::start(&[])?;
        let address = scene.server.url.trim_start_matches("http://").to_owned();
        let options =
            SqliteConnectOptions::new().filename(scene.server.data.join("motif.db")).read_only(true);
        let watch = SqliteConnection::connect_with(&options).await?;
        Ok(Self { scene, address, watch, chance: Chance::new(18), cut: 0, left: 0, done: 0 })
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Call {
        let (address, token) = (&self.address, &self.scene.server.token);
        let mut head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Call { name: format!("{method} {path}"), head, body }
    }

    fn json(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Call {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.call("POST", path, &headers, body.to_string().into_bytes())
    }

    /// A number that another one follows whenever somebody else has committed something.
    async fn version(&mut self) -> anyhow::Result<i64> {
        Ok(sqlx::query("pragma data_version").fetch_one(&mut self.watch).await?.try_get(0)?)
    }

    async fn leave(&self, bytes: &[u8], reset: bool) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(bytes).await?;
        if reset {
            stream.set_zero_linger()?;
        }
        Ok(())
    }

    /// Sends it in pieces and goes away, sends the whole and goes away, and sends it once more to hear the answer.
    async fn batter(&mut self, call: Call) -> anyhow::Result<Value> {
        let bytes = [call.head.as_bytes(), &call.body].concat();
        let (head, whole) = (call.head.len(), bytes.len());
        let within = usize::try_from(self.chance.below(whole as u64 - 1))?;
        let before = self.version().await?;
        for at in [1, head / 2, head - 1, within, whole - 1] {
            // Without a body the last cut is within the head, and a head that ends early is not whole either.
            for reset in [false, true] {
                self.leave(&bytes[..at], reset).await?;
                self.cut += 1;
            }
        }
        tokio::time::sleep(WRONGLY).await;
        let after = self.version().await?;
        ensure!(after == before, "{}: a request that did not come whole was done", call.name);
        self.left += 1;
        let reset = self.left.is_multiple_of(2);
        self.leave(&bytes, reset).await?;
        for _ in 0..DONE.as_millis() / 10 {
            if self.version().await? != before {
                self.done += 1;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.scene.check(&Default::default()).await.with_context(|| call.name.clone())?;
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(&bytes).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        let reply = String::from_utf8(reply)?;
        ensure!(reply.starts_with("HTTP/1.1 20"), "{}: {reply}", call.name);
        let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(body)?) }
    }

    async fn claim(&mut self) -> anyhow::Result<Lease> {
        let request = player::claim_request(&self.chance, &player::hello(&self.chance, "leaving"), 1);
        let reply = self.batter(self.json("/claims", &[], &serde_json::to_value(&request)?)).await?;
        let lease: Lease = serde_json::from_value(reply["leases"][0].clone())?;
        ensure!(reply["leases"].as_array().is_some_and(|all| all.len() == 1), "{reply}");
        Ok(lease)
    }

    async fn report(&mut self, lease: &Lease, what: &str, body: &Value) -> anyhow::Result<Value> {
        let path = format!("/attempts/{}/{what}", lease.attempt_id);
        self.batter(self.json(&path, &[(LEASE_HEADER, &lease.token)], body)).await
    }

    /// Reports at each endpoint of an attempt.
    async fn work(&mut self) -> anyhow::Result<()> {
        let lease = self.claim().await?;
        self.report(&lease, "heartbeat", &json!({ "step": 5, "total_steps": 9 })).await?;
        let points: Vec<_> = (0..3).map(|seq| build::point(seq, &[("loss", 1.0)])).collect();
        let stored = self.report(&lease, "metrics", &json!({ "points": points })).await?;
        ensure!(stored["next_seq"] == 3, "{stored}");
        let bytes = b"what a training has come to".to_vec();
        let hash = blake3::hash(&bytes).to_hex();
        let path = format!("/attempts/{}/checkpoint?step=30&points=3&blake3={hash}", lease.attempt_id);
        let call = self.call("PUT", &path, &[(LEASE_HEADER, &lease.token)], bytes);
        self.batter(call).await?;
        self.report(&lease, "release", &json!({ "reason": "drain" })).await?;

        let again = self.claim().await?;
        ensure!(again.trial_id == lease.trial_id && again.checkpoint.is_some(), "{again:?}");
        let resumed = self.report(&again, "resume", &json!({ "hash": hash.as_str() })).await?;
        ensure!(resumed["next_seq"] == 3, "{resumed}");
        let report = json!({ "report": build::report([("test_loss".to_owned(), Some(1.0))].into()) });
        let ended = self.report(&again, "complete", &report).await?;
        ensure!(ended["state"] == "succeeded", "{ended}");

        let failing = self.claim().await?;
        let failure = json!({ "reason": "an error", "retryable": false });
        let ended = self.report(&failing, "fail", &failure).await?;
        ensure!(ended["state"] == "failed", "{ended}");
        let row = self.scene.client.trial_get(failing.trial_id).await?.row;
        ensure!(row.failures == 1, "a failure counts once: {row:?}");
        Ok(())
    }
}

#[tokio::test]
async fn fault_18_clients_go_away_during_every_write() -> anyhow::Result<()> {
    let mut line = Line::new().await?;
    let mut spec = player::sweep("s", 4, &[1]);
    spec["queue"] = json!({ "lease_ttl_s": 300 });
    let key = (IDEMPOTENCY_HEADER, "a key");
    let sweep = line.batter(line.json("/sweeps", &[key], &spec)).await?;
    let at = format!("/sweeps/{}", sweep["id"].as_str().context("an id")?);
    line.work().await?;
    for what in ["pause", "resume"] {
        line.batter(line.call("POST", &format!("{at}/{what}"), &[], Vec::new())).await?;
    }
    line.batter(line.json(&format!("{at}/priority"), &[], &json!({ "priority": 3 }))).await?;
    let change = json!({ "seeds": 6, "note": "more" });
    let amended = line.batter(line.json(&format!("{at}/amend"), &[key], &change)).await?;
    ensure!(amended["amendment"]["added_trials"] == 2, "{amended}");
    line.batter(line.json(
        &format!("{at}/verify"),
        &[(IDEMPOTENCY_HEADER, "another")],
        &json!({ "share": 1.0 }),
    ))
    .await?;
    for what in ["cancel", "retry", "cancel", "holes"] {
        line.batter(line.call("POST", &format!("{at}/{what}"), &[], Vec::new())).await?;
    }
    let token = line.batter(line.json("/tokens", &[], &json!({ "name": "t", "scopes": ["read"] }))).await?;
    let token = format!("/tokens/{}", token["id"].as_str().context("an id")?);
    line.batter(line.call("DELETE", &token, &[], Vec::new())).await?;
    let bytes = build::dataset(7).to_bytes();
    line.batter(line.call("PUT", "/datasets/tiny", &[], bytes)).await?;

    let sweeps = line.scene.client.sweep_list(None, None).await?.items;
    ensure!(sweeps.len() == 1, "a sweep was stored twice: {sweeps:?}");
    let counts = &sweeps[0].counts;
    // Six of this sweep: one that succeeded, and the others queued again as holes.
    ensure!(counts.succeeded == 1 && counts.queued == 5, "{counts:?}");
    let found = line.scene.check(&Default::default()).await?;
    ensure!(found.attempts == 3, "a claim was answered with more than its leases: {found:?}");
    ensure!(line.done > 0, "no request was done after its client had gone");
    println!("{} cut, {} left behind of which {} were done", line.cut, line.left, line.done);
    Ok(())
}
