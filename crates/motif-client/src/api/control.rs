//! Sweeps after their submission: amend, prioritize, fill holes, verify.

use motif_wire::{
    IDEMPOTENCY_HEADER,
    control::{AmendReply, Holes, PriorityRequest},
    reproduction::{Verification, VerifyRequest},
    sweeps::{SweepAction, SweepDetail},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::{Client, Method, Repeat, error::Result};

/// Every operation can fail with any [`ClientError`](crate::ClientError).
impl Client {
    /// Adds seeds, values, arms to a sweep: what `change` says, as a preset's overrides would. With a key the call is
    /// repeated where needed.
    pub async fn sweep_amend(
        &self,
        id: Uuid,
        change: &Value,
        idempotency_key: Option<&str>,
    ) -> Result<AmendReply> {
        self.keyed(&format!("/sweeps/{id}/amend"), change, idempotency_key).await
    }

    /// Sets a sweep's priority.
    pub async fn sweep_priority(&self, id: Uuid, priority: i32) -> Result<SweepAction> {
        let request = self.post(&format!("/sweeps/{id}/priority"), &PriorityRequest { priority })?;
        self.call(request, Repeat::Harmless).await
    }

    /// The cells that have no value and will get none by themselves.
    pub async fn sweep_holes(&self, id: Uuid) -> Result<Holes> {
        self.call(self.get(&format!("/sweeps/{id}/holes")), Repeat::Harmless).await
    }

    /// Queues exactly those; not repeated by itself, because one of them may have failed again in between.
    pub async fn sweep_holes_run(&self, id: Uuid) -> Result<SweepAction> {
        let request = self.request(Method::Post, &format!("/sweeps/{id}/holes"));
        self.call(request, Repeat::Never).await
    }

    /// Submits a re-run of a random share of a sweep's trials; the sweep that it is. With a key the call is repeated
    /// where needed.
    pub async fn sweep_verify(
        &self,
        id: Uuid,
        request: &VerifyRequest,
        idempotency_key: Option<&str>,
    ) -> Result<SweepDetail> {
        self.keyed(&format!("/sweeps/{id}/verify"), request, idempotency_key).await
    }

    /// How far a sweep's results have been reproduced.
    pub async fn sweep_verification(&self, id: Uuid) -> Result<Verification> {
        self.call(self.get(&format!("/sweeps/{id}/verification")), Repeat::Harmless).await
    }

    async fn keyed<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + ?Sized),
        key: Option<&str>,
    ) -> Result<T> {
        let mut request = self.post(path, body)?;
        let Some(key) = key else { return self.call(request, Repeat::Never).await };
        request.headers.push((IDEMPOTENCY_HEADER.to_owned(), key.to_owned()));
        self.call(request, Repeat::Harmless).await
    }
}
