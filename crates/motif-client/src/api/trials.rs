//! Trials: lists, details, metrics, attempts.

use std::io::Write;

use motif_wire::{
    metrics::TrialMetrics,
    trials::{AttemptRow, Snapshot, TrialDetail, TrialPage, TrialRow},
};
use uuid::Uuid;

use super::work::UPLOAD_MAX_BYTES;
use crate::{Client, Repeat, error::Result};

/// Trials per page when all are read.
const PAGE_TRIALS: u32 = 500;
/// Pages after which reading all is given up: the server's limit on a sweep is far below.
const PAGES_MAX: usize = 10_000;

/// Which trials of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrialQuery {
    /// Only those in this state, by its name: `failed`.
    pub state: Option<String>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// Trials per page; the server's default when absent.
    pub limit: Option<u32>,
}

/// Every operation can fail with any [`ClientError`](crate::ClientError).
impl Client {
    /// One page of a sweep's trials, in queue order.
    pub async fn sweep_trials(&self, sweep: Uuid, query: &TrialQuery) -> Result<TrialPage> {
        let mut request = self.get(&format!("/sweeps/{sweep}/trials"));
        let fields = [
            ("state", query.state.clone()),
            ("cursor", query.cursor.clone()),
            ("limit", query.limit.map(|limit| limit.to_string())),
        ];
        for (name, value) in fields {
            request.query.extend(value.map(|value| (name.to_owned(), value)));
        }
        self.call(request, Repeat::Harmless).await
    }

    /// All of a sweep's trials from the query's cursor on, in its state, in queue order.
    pub async fn sweep_trials_all(&self, sweep: Uuid, query: &TrialQuery) -> Result<Vec<TrialRow>> {
        let mut query = TrialQuery { limit: Some(query.limit.unwrap_or(PAGE_TRIALS)), ..query.clone() };
        let mut trials = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.sweep_trials(sweep, &query).await?;
            trials.extend(page.items);
            if page.next_cursor.is_none() || page.next_cursor == query.cursor {
                break;
            }
            query.cursor = page.next_cursor;
        }
        Ok(trials)
    }

    /// A trial in full.
    pub async fn trial_get(&self, id: Uuid) -> Result<TrialDetail> {
        self.call(self.get(&format!("/trials/{id}")), Repeat::Harmless).await
    }

    /// All points of its newest attempt.
    pub async fn trial_metrics(&self, id: Uuid) -> Result<TrialMetrics> {
        self.call(self.get(&format!("/trials/{id}/metrics")), Repeat::Harmless).await
    }

    /// Its attempts, oldest first.
    pub async fn trial_attempts(&self, id: Uuid) -> Result<Vec<AttemptRow>> {
        self.call(self.get(&format!("/trials/{id}/attempts")), Repeat::Harmless).await
    }

    /// The snapshots of a trial's newest attempt.
    pub async fn trial_snapshots(&self, id: Uuid) -> Result<Vec<Snapshot>> {
        self.call(self.get(&format!("/trials/{id}/snapshots")), Repeat::Harmless).await
    }

    /// Writes a snapshot's bytes into `sink`; the caller checks the hash. Tried once: `sink` may hold the beginning after
    /// an error.
    pub async fn trial_snapshot_content(
        &self,
        id: Uuid,
        name: &str,
        sink: &mut (dyn Write + Send),
    ) -> Result<()> {
        self.fetch(self.get(&format!("/trials/{id}/snapshots/{name}")), UPLOAD_MAX_BYTES, sink).await
    }
}
