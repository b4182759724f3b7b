//! What workers do: claim trials and report on their attempts. Every call can be repeated: a claim by its id, a
//! report because the server recognizes the same payload.

use std::{io::Write, time::Duration};

use motif_wire::{
    LEASE_HEADER,
    metrics::MetricPoint,
    trials::{Snapshot, TrialReport},
    work::{
        Checkpoint, ClaimReply, ClaimRequest, Completion, Failure, Heartbeat, HeartbeatReply, MetricsBatch,
        MetricsReply, Release, ReportReply, Resume,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Client, Repeat, error::Result, transport::Method};

/// Largest checkpoint or snapshot that is read: what the server takes.
pub(super) const UPLOAD_MAX_BYTES: usize = 1 << 30;

/// Every operation can fail with any [`ClientError`](crate::ClientError); a stale lease is a problem with the code
/// `stale_lease`.
impl Client {
    /// Asks for trials; the server may hold the request open for `wait_s`.
    pub async fn claim(&self, claim: &ClaimRequest) -> Result<ClaimReply> {
        let mut request = self.post("/claims", claim)?;
        request.timeout += Duration::from_secs(u64::from(claim.wait_s));
        self.call(request, Repeat::Harmless).await
    }

    /// Says that an attempt is alive.
    pub async fn heartbeat(&self, attempt: Uuid, lease: &str, beat: Heartbeat) -> Result<HeartbeatReply> {
        self.report(attempt, lease, "heartbeat", &beat).await
    }

    /// Sends points that an attempt has logged.
    pub async fn metrics(
        &self,
        attempt: Uuid,
        lease: &str,
        points: Vec<MetricPoint>,
    ) -> Result<MetricsReply> {
        self.report(attempt, lease, "metrics", &MetricsBatch { points }).await
    }

    /// Ends an attempt with its result.
    pub async fn complete(&self, attempt: Uuid, lease: &str, report: TrialReport) -> Result<ReportReply> {
        self.report(attempt, lease, "complete", &Completion { report }).await
    }

    /// Ends an attempt with an error.
    pub async fn fail(&self, attempt: Uuid, lease: &str, failure: &Failure) -> Result<ReportReply> {
        self.report(attempt, lease, "fail", failure).await
    }

    /// Gives an attempt back.
    pub async fn release(&self, attempt: Uuid, lease: &str, release: &Release) -> Result<ReportReply> {
        self.report(attempt, lease, "release", release).await
    }

    /// Saves an attempt's checkpoint, whose hash and place are as given; the answer is the trial's newest one.
    pub async fn checkpoint_save(
        &self,
        attempt: Uuid,
        lease: &str,
        checkpoint: &Checkpoint,
        bytes: Vec<u8>,
    ) -> Result<Checkpoint> {
        let mut request = self.request(Method::Put, &format!("/attempts/{attempt}/checkpoint"));
        request.query = vec![
            ("step".to_owned(), checkpoint.step.to_string()),
            ("points".to_owned(), checkpoint.points.to_string()),
            ("blake3".to_owned(), checkpoint.hash.clone()),
        ];
        request.headers.push((LEASE_HEADER.to_owned(), lease.to_owned()));
        request.headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
        request.body = bytes;
        request.timeout = self.timeouts.transfer;
        self.call(request, Repeat::Harmless).await
    }

    /// Writes the newest checkpoint of the attempt's trial into `sink`; the caller checks the hash. Tried once: `sink`
    /// may hold the beginning after an error.
    pub async fn checkpoint_content(
        &self,
        attempt: Uuid,
        lease: &str,
        sink: &mut (dyn Write + Send),
    ) -> Result<()> {
        let mut request = self.get(&format!("/attempts/{attempt}/checkpoint"));
        request.headers.push((LEASE_HEADER.to_owned(), lease.to_owned()));
        self.fetch(request, UPLOAD_MAX_BYTES, sink).await
    }

    /// Hands over a snapshot of an attempt; handing over the same again changes nothing.
    pub async fn snapshot_save(
        &self,
        attempt: Uuid,
        lease: &str,
        snapshot: &Snapshot,
        bytes: Vec<u8>,
    ) -> Result<Snapshot> {
        let mut request =
            self.request(Method::Put, &format!("/attempts/{attempt}/snapshots/{}", snapshot.name));
        request.query = vec![("blake3".to_owned(), snapshot.hash.clone())];
        request.headers.push((LEASE_HEADER.to_owned(), lease.to_owned()));
        request.headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
        request.body = bytes;
        request.timeout = self.timeouts.transfer;
        self.call(request, Repeat::Harmless).await
    }

    /// Goes on from the checkpoint of this hash: the attempt begins with the points before it.
    pub async fn resume(&self, attempt: Uuid, lease: &str, hash: &str) -> Result<MetricsReply> {
        self.report(attempt, lease, "resume", &Resume { hash: hash.to_owned() }).await
    }

    async fn report<B: Serialize, T: DeserializeOwned>(
        &self,
        attempt: Uuid,
        lease: &str,
        what: &str,
        body: &B,
    ) -> Result<T> {
        let mut request = self.post(&format!("/attempts/{attempt}/{what}"), body)?;
        request.headers.push((LEASE_HEADER.to_owned(), lease.to_owned()));
        self.call(request, Repeat::Harmless).await
    }
}
