//! A worker that speaks the protocol and trains nothing.

use std::{collections::BTreeMap, sync::Arc};

use motif_sweep::clock::Entropy;
use motif_wire::{
    LEASE_HEADER, PROTOCOL_VERSION,
    work::{ClaimReply, ClaimRequest, Completion, Lease, WorkerHello},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{build, caller::Caller};

/// A worker that trains nothing.
pub struct TestWorker {
    /// How it calls the server.
    pub caller: Caller,
    hello: WorkerHello,
    entropy: Arc<dyn Entropy>,
}

impl TestWorker {
    pub(crate) fn new(caller: Caller, name: &str, entropy: Arc<dyn Entropy>) -> Self {
        let hello = WorkerHello {
            id: uuid_from(entropy.as_ref()),
            name: name.to_owned(),
            slots: 4,
            version: "0.0.0-test".into(),
            protocol: PROTOCOL_VERSION,
            host: "here".into(),
            instruction_set: "none".into(),
            labels: Vec::new(),
            memory_bytes: None,
        };
        Self { caller, hello, entropy }
    }

    /// The same worker with these labels and this memory.
    #[must_use]
    pub fn with(mut self, labels: &[&str], memory_bytes: Option<u64>) -> Self {
        self.hello.labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.hello.memory_bytes = memory_bytes;
        self
    }

    /// A claim that has not been sent before.
    #[must_use]
    pub fn claim_request(&self, max: u32, wait_s: u32) -> ClaimRequest {
        let mut secret = [0; 32];
        self.entropy.fill(&mut secret);
        ClaimRequest {
            claim_id: uuid_from(self.entropy.as_ref()),
            secret: secret.iter().map(|byte| format!("{byte:02x}")).collect(),
            worker: self.hello.clone(),
            max,
            wait_s,
        }
    }

    /// Claims up to `max` trials without waiting.
    ///
    /// # Panics
    /// When the claim is refused.
    pub async fn claim(&self, max: u32) -> Vec<Lease> {
        self.send_claim(&self.claim_request(max, 0)).await
    }

    /// Sends a claim.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn send_claim(&self, request: &ClaimRequest) -> Vec<Lease> {
        let reply: ClaimReply = self.caller.post("/api/v1/claims", request, StatusCode::OK).await;
        reply.leases
    }

    /// A report on a lease, `call` being the last part of its path.
    pub fn report(&self, lease: &Lease, call: &str, body: &impl Serialize) -> RequestBuilder {
        let path = format!("/api/v1/attempts/{}/{call}", lease.attempt_id);
        self.caller.request(Method::POST, &path).header(LEASE_HEADER, &lease.token).json(body)
    }

    /// Reports on a lease and gets the reply.
    ///
    /// # Panics
    /// When the report is refused.
    pub async fn say<T: DeserializeOwned>(&self, lease: &Lease, call: &str, body: &impl Serialize) -> T {
        let response = self.caller.send(self.report(lease, call, body)).await;
        let status = response.status();
        let text = response.text().await.expect("a body");
        assert_eq!(status, StatusCode::OK, "{call}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{call}: {error}: {text}"))
    }

    /// Ends a trial with these final metrics.
    ///
    /// # Panics
    /// When the report is refused.
    pub async fn complete(&self, lease: &Lease, metrics: &[(&str, f64)]) -> motif_wire::work::ReportReply {
        let metrics: BTreeMap<_, _> =
            metrics.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))).collect();
        self.say(lease, "complete", &Completion { report: build::report(metrics) }).await
    }
}

fn uuid_from(entropy: &dyn Entropy) -> Uuid {
    let mut bits = [0; 16];
    entropy.fill(&mut bits);
    uuid::Builder::from_random_bytes(bits).into_uuid()
}
