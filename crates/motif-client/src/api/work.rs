//! What workers do: claim trials and report on their attempts. Every call can be repeated: a claim by its id, a
//! report because the server recognizes the same payload.

use std::time::Duration;

use motif_wire::{
    LEASE_HEADER,
    metrics::MetricPoint,
    trials::TrialReport,
    work::{
        ClaimReply, ClaimRequest, Completion, Failure, Heartbeat, HeartbeatReply, MetricsBatch, MetricsReply,
        Release, ReportReply,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Client, Repeat, error::Result};

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
