//! Sweeps: submit, read, steer, export.

use std::io::Write;

use motif_wire::{
    IDEMPOTENCY_HEADER,
    effects::{Anova, Importance},
    statistics::{Comparisons, Curves, DivergedPolicy, Leaderboard, Ledger, Summary},
    sweeps::{SweepAction, SweepDetail, SweepPage},
    verdicts::Verdicts,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Client, EXPORT_FILE_MAX_BYTES, EXPORT_MAX_BYTES, Repeat,
    error::{ClientError, Result},
};

/// What a person can do to a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepSteer {
    /// Start no new trials.
    Pause,
    /// Start new trials again.
    Resume,
    /// End waiting trials and stop running ones.
    Cancel,
    /// Queue failed, dead and cancelled trials again.
    Retry,
}

impl SweepSteer {
    /// The last part of the operation's path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

/// Which statistics; what is `None` is the server's default. Each operation reads the fields that concern it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatisticsQuery {
    /// The metric; the sweep's own by default.
    pub metric: Option<String>,
    /// What happens to diverged trials; they are excluded by default.
    pub diverged: Option<DivergedPolicy>,
    /// The correction of a family of tests: `holm` (default) or `benjamini_hochberg`.
    pub correction: Option<String>,
    /// The interval of a mean: `student_t` (default) or `bca`.
    pub interval: Option<String>,
}

impl StatisticsQuery {
    /// The parameters among `names`: the server refuses any other.
    fn parameters(&self, names: &[&str]) -> impl Iterator<Item = (String, String)> {
        let diverged = self.diverged.map(|policy| match policy {
            DivergedPolicy::Exclude => "exclude".to_owned(),
            DivergedPolicy::Worst => "worst".to_owned(),
        });
        let fields = [
            ("metric", self.metric.clone()),
            ("diverged", diverged),
            ("correction", self.correction.clone()),
            ("interval", self.interval.clone()),
        ];
        let asked = fields.into_iter().filter(|(name, _)| names.contains(name));
        asked.filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }
}

/// Every operation can fail with any [`ClientError`](crate::ClientError).
impl Client {
    /// Submits a spec, or `{"preset": name, "overrides": {…}}`. With a key the call is repeated where needed, and a
    /// later call with the same key and spec returns the same sweep.
    pub async fn sweep_submit(&self, spec: &Value, idempotency_key: Option<&str>) -> Result<SweepDetail> {
        let mut request = self.post("/sweeps", spec)?;
        let Some(key) = idempotency_key else { return self.call(request, Repeat::Never).await };
        request.headers.push((IDEMPOTENCY_HEADER.to_owned(), key.to_owned()));
        self.call(request, Repeat::Harmless).await
    }

    /// One page of sweeps, newest first.
    pub async fn sweep_list(&self, cursor: Option<&str>, limit: Option<u32>) -> Result<SweepPage> {
        let mut request = self.get("/sweeps");
        request.query.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor.to_owned())));
        request.query.extend(limit.map(|limit| ("limit".to_owned(), limit.to_string())));
        self.call(request, Repeat::Harmless).await
    }

    /// A sweep in full.
    pub async fn sweep_get(&self, id: Uuid) -> Result<SweepDetail> {
        self.call(self.get(&format!("/sweeps/{id}")), Repeat::Harmless).await
    }

    /// Its estimates.
    pub async fn sweep_summary(&self, id: Uuid, query: &StatisticsQuery) -> Result<Summary> {
        self.sweep_statistics(id, "summary", query.parameters(&["metric", "diverged", "interval"])).await
    }

    /// Its tests against the baseline.
    pub async fn sweep_comparisons(&self, id: Uuid, query: &StatisticsQuery) -> Result<Comparisons> {
        self.sweep_statistics(id, "comparisons", query.parameters(&["metric", "diverged", "correction"]))
            .await
    }

    /// Its curves.
    pub async fn sweep_curves(&self, id: Uuid, query: &StatisticsQuery) -> Result<Curves> {
        self.sweep_statistics(id, "curves", query.parameters(&["metric", "diverged"])).await
    }

    /// The analysis of variance over its axes.
    pub async fn sweep_anova(&self, id: Uuid, query: &StatisticsQuery) -> Result<Anova> {
        self.sweep_statistics(id, "anova", query.parameters(&["metric", "diverged"])).await
    }

    /// How much each of its swept keys matters.
    pub async fn sweep_importance(&self, id: Uuid, query: &StatisticsQuery) -> Result<Importance> {
        self.sweep_statistics(id, "importance", query.parameters(&["metric", "diverged"])).await
    }

    async fn sweep_statistics<T: serde::de::DeserializeOwned>(
        &self,
        id: Uuid,
        what: &str,
        parameters: impl Iterator<Item = (String, String)>,
    ) -> Result<T> {
        let mut request = self.get(&format!("/sweeps/{id}/{what}"));
        request.query.extend(parameters);
        self.call(request, Repeat::Harmless).await
    }

    /// Its conditions, the best first.
    pub async fn sweep_leaderboard(
        &self,
        id: Uuid,
        metric: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Leaderboard> {
        let metric = metric.map(|metric| ("metric".to_owned(), metric.to_owned()));
        let limit = limit.map(|limit| ("limit".to_owned(), limit.to_string()));
        self.sweep_statistics(id, "leaderboard", metric.into_iter().chain(limit)).await
    }

    /// Condition × seed: what is there and what is missing.
    pub async fn sweep_ledger(&self, id: Uuid) -> Result<Ledger> {
        self.call(self.get(&format!("/sweeps/{id}/ledger")), Repeat::Harmless).await
    }

    /// What the trials say of the sweep's claims.
    pub async fn sweep_verdicts(&self, id: Uuid) -> Result<Verdicts> {
        self.call(self.get(&format!("/sweeps/{id}/verdicts")), Repeat::Harmless).await
    }

    /// The trials as a file in memory: `csv` or `json`.
    pub async fn sweep_export(&self, id: Uuid, format: &str) -> Result<Vec<u8>> {
        let mut request = self.get(&format!("/sweeps/{id}/export"));
        request.query.push(("format".to_owned(), format.to_owned()));
        request.timeout = self.timeouts.transfer;
        request.response_max_bytes = EXPORT_MAX_BYTES;
        Ok(self.send(request, Repeat::Harmless).await?.body)
    }

    /// Writes the trials as a file into `sink`: `csv`, `json` or `parquet`, the tables `wide` (a row per trial) or `long` (a
    /// row per logged value). Tried once: `sink` may hold the beginning after an error.
    pub async fn sweep_export_to(
        &self,
        id: Uuid,
        format: &str,
        shape: Option<&str>,
        sink: &mut (dyn Write + Send),
    ) -> Result<()> {
        let mut request = self.get(&format!("/sweeps/{id}/export"));
        request.query.push(("format".to_owned(), format.to_owned()));
        request.query.extend(shape.map(|shape| ("shape".to_owned(), shape.to_owned())));
        self.fetch(request, EXPORT_FILE_MAX_BYTES, sink).await
    }

    /// A document about a sweep by the last part of its path, `summary` say, as the server sends it; nothing where the
    /// server has no such document.
    pub async fn sweep_document(&self, id: Uuid, name: &str) -> Result<Option<Value>> {
        match self.call(self.get(&format!("/sweeps/{id}/{name}")), Repeat::Harmless).await {
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Pauses, resumes, cancels or retries; not repeated by itself, because another person may act in between.
    pub async fn sweep_steer(&self, id: Uuid, steer: SweepSteer) -> Result<SweepAction> {
        let request = self.request(crate::Method::Post, &format!("/sweeps/{id}/{}", steer.name()));
        self.call(request, Repeat::Never).await
    }
}
