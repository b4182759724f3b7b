//! Trials and their attempts, as people read them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use motif_sweep::lifecycle::{AttemptOutcome, TrialState};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// A trial in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialRow {
    /// Its id.
    pub id: Uuid,
    /// Its sweep.
    pub sweep_id: Uuid,
    /// Index of its condition.
    pub condition: u32,
    /// Its condition's name.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Where it stands.
    #[schema(value_type = String)]
    pub state: TrialState,
    /// Whether it is to be cancelled at the next heartbeat.
    pub cancel_requested: bool,
    /// Number of attempts so far.
    pub attempts: u32,
    /// Reported errors so far.
    pub failures: u32,
    /// Expired leases so far.
    pub crashes: u32,
    /// Minibatches done by the newest attempt.
    pub step: u64,
    /// Minibatches in all, once known.
    pub total_steps: Option<u64>,
    /// Name of the worker that holds it or held it last.
    pub worker: Option<String>,
    /// Final value of the sweep's metric; `null` while there is none.
    pub metric: Option<f64>,
    /// The step at which it diverged.
    pub diverged_step: Option<u64>,
    /// Whether it was decided that it ends early, whatever became of it.
    pub stop_decided: bool,
    /// The step at which it was stopped early.
    pub stopped_step: Option<u64>,
    /// The same in epochs.
    pub stopped_epoch: Option<f64>,
    /// Hash over the final weights and metrics; absent from a trial that was stopped, which another run would end
    /// elsewhere.
    pub result_hash: Option<String>,
    /// When its newest attempt began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Why it failed, or was stopped early, in words.
    pub reason: Option<String>,
}

/// One page of trials, in queue order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialPage {
    /// The trials.
    pub items: Vec<TrialRow>,
    /// Pass as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// A trial in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub row: TrialRow,
    /// Its config.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Hex BLAKE3 of its config.
    pub config_hash: String,
    /// Hex BLAKE3 of its dataset's content.
    pub dataset_hash: String,
    /// What the worker reported at the end.
    pub result: Option<TrialReport>,
    /// Every attempt, oldest first.
    pub attempt_rows: Vec<AttemptRow>,
}

/// A file that a trial's attempt has handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its name, such as `step-000000.npz`.
    pub name: String,
    /// Hex BLAKE3 of its bytes.
    pub hash: String,
    /// Size, in bytes.
    pub bytes: u64,
}

/// An attempt: one lease of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptRow {
    /// Its id.
    pub id: Uuid,
    /// Its number within the trial, from 1.
    pub number: u32,
    /// Name of its worker.
    pub worker: String,
    /// How it ended; absent while it runs.
    #[schema(value_type = Option<String>)]
    pub outcome: Option<AttemptOutcome>,
    /// Why it ended so, in words.
    pub reason: Option<String>,
    /// Minibatches done.
    pub step: u64,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// What a worker reports of a trial that has come to an end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialReport {
    /// The step at which it diverged, if it did.
    pub diverged_step: Option<u64>,
    /// The step at which it was stopped early, if it was; never with `diverged_step`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_step: Option<u64>,
    /// The same in epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_epoch: Option<f64>,
    /// Minibatches done.
    pub steps: u64,
    /// Final metrics by name, those last measured of a trial that was stopped; `null` where not finite.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Hash over the final weights and metrics, and over how the trial ended: with a stop, also where.
    pub result_hash: String,
    /// Seconds from the first step to the last, as the worker saw them; outside the hash.
    pub training_s: f64,
    /// Seconds of them spent on the test examples; absent from a worker that does not measure them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_s: Option<f64>,
    /// Seconds of them spent on diagnostics; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics_s: Option<f64>,
    /// Seconds of them spent on spectra; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spectra_s: Option<f64>,
    /// Where and by what it was made.
    pub provenance: Provenance,
}

/// Where and by what a result was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Provenance {
    /// Motif's version.
    pub version: String,
    /// Git commit of the build, where known.
    pub commit: Option<String>,
    /// Instruction set of the matrix products, such as `avx2+fma`.
    pub instruction_set: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Name of the machine.
    pub host: String,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
}
