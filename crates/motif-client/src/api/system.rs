//! Workers, presets, datasets, tokens, health.

use std::io::Write;

use motif_wire::{
    sweeps::PresetRow,
    system::{DatasetRow, Health, Scope, TokenCreated, TokenRequest, TokenRow, WorkerRow},
};
use uuid::Uuid;

use crate::{Client, DATASET_MAX_BYTES, Method, Repeat, Request, error::Result, retry::send};

/// Every operation can fail with any [`ClientError`](crate::ClientError).
impl Client {
    /// The workers that the server knows.
    pub async fn worker_list(&self) -> Result<Vec<WorkerRow>> {
        self.call(self.get("/workers"), Repeat::Harmless).await
    }

    /// The built-in sweeps.
    pub async fn preset_list(&self) -> Result<Vec<PresetRow>> {
        self.call(self.get("/presets"), Repeat::Harmless).await
    }

    /// The datasets that the server has.
    pub async fn dataset_list(&self) -> Result<Vec<DatasetRow>> {
        self.call(self.get("/datasets"), Repeat::Harmless).await
    }

    /// One dataset, by name or hash.
    pub async fn dataset_get(&self, name_or_hash: &str) -> Result<DatasetRow> {
        self.call(self.get(&format!("/datasets/{name_or_hash}")), Repeat::Harmless).await
    }

    /// Writes a dataset's canonical bytes into `sink`; the caller checks the hash. Tried once: `sink` may hold the
    /// beginning after an error.
    pub async fn dataset_content(&self, hash: &str, sink: &mut (dyn Write + Send)) -> Result<()> {
        self.fetch(self.get(&format!("/datasets/{hash}/content")), DATASET_MAX_BYTES, sink).await
    }

    /// Stores canonical bytes under a name. Tried once: the bytes are many.
    pub async fn dataset_put(&self, name: &str, bytes: Vec<u8>, replace: bool) -> Result<DatasetRow> {
        let mut request = self.request(Method::Put, &format!("/datasets/{name}"));
        if replace {
            request.query.push(("replace".to_owned(), "true".to_owned()));
        }
        request.headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
        request.body = bytes;
        request.timeout = self.timeouts.transfer;
        self.call(request, Repeat::Never).await
    }

    /// Makes a token; its secret is in the answer and nowhere else.
    pub async fn token_create(&self, name: &str, scopes: &[Scope]) -> Result<TokenCreated> {
        let body = TokenRequest { name: name.to_owned(), scopes: scopes.to_vec() };
        self.call(self.post("/tokens", &body)?, Repeat::Never).await
    }

    /// The tokens, without their secrets.
    pub async fn token_list(&self) -> Result<Vec<TokenRow>> {
        self.call(self.get("/tokens"), Repeat::Harmless).await
    }

    /// Revokes a token.
    pub async fn token_revoke(&self, id: Uuid) -> Result<()> {
        self.send(self.request(Method::Delete, &format!("/tokens/{id}")), Repeat::Harmless).await.map(drop)
    }

    /// Whether the server can do its work; an unavailable one answers too. Needs no token. Tried once.
    pub async fn health(&self) -> Result<Health> {
        let mut request = Request::new(Method::Get, "/readyz");
        request.timeout = self.timeouts.request;
        let answer = send(&*self.transport, request, &crate::RetryPolicy::NONE).await;
        if let Ok(response) = &answer
            && let Ok(health) = serde_json::from_slice(&response.body)
        {
            return Ok(health);
        }
        let response = self.judge("/readyz", answer)?;
        Err(self.protocol("/readyz", &response, "the body is no health report"))
    }
}
