//! What workers say and hear.

use motif_sweep::lifecycle::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{metrics::MetricPoint, trials::TrialReport};

/// Asks for trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// A repeat with the same id returns the same leases.
    pub claim_id: Uuid,
    /// 256 random bits in hex, drawn by the worker for this claim; the leases' secrets are derived from it, so that a
    /// repeated claim gets the same tokens although the server keeps only their hashes.
    pub secret: String,
    /// The worker.
    pub worker: WorkerHello,
    /// Trials wanted, at least 1.
    pub max: u32,
    /// How long the server may hold the request open when nothing is queued, in seconds (at most 30).
    #[serde(default)]
    pub wait_s: u32,
}

/// Who a worker is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerHello {
    /// Its id, chosen at its start.
    pub id: Uuid,
    /// Its name, for people.
    pub name: String,
    /// Trials it can run at once.
    pub slots: u32,
    /// Motif's version.
    pub version: String,
    /// Protocol version, [`crate::PROTOCOL_VERSION`].
    pub protocol: u32,
    /// Name of its machine.
    pub host: String,
    /// Instruction set of its matrix products.
    pub instruction_set: String,
    /// Labels that it was given, by which sweeps choose their workers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Memory that its trials may use, in bytes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// The trials a worker got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimReply {
    /// The leases; empty when nothing is queued.
    pub leases: Vec<Lease>,
}

/// One trial, leased.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// The attempt: address further calls to `/attempts/{attempt_id}/…`.
    pub attempt_id: Uuid,
    /// The secret for the [`crate::LEASE_HEADER`].
    pub token: String,
    /// The trial.
    pub trial_id: Uuid,
    /// Its sweep.
    pub sweep_id: Uuid,
    /// Number of the attempt within the trial, from 1.
    pub attempt: u32,
    /// Its config.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Its seed.
    pub seed: u64,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// How long the lease lasts, how often to send a heartbeat.
    #[schema(value_type = Object)]
    pub policy: Policy,
    /// Whether its points decide if it goes on: then they are not to wait for others.
    #[serde(default)]
    pub judged: bool,
    /// Whether it is to hand over snapshots before and after training.
    #[serde(default)]
    pub snapshots: bool,
    /// What an earlier attempt has saved: fetch it, check it, then resume. Without, or unusable: begin at 0.
    #[serde(default)]
    pub checkpoint: Option<Checkpoint>,
}

/// A trial's training at a step, as an attempt has saved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    /// Minibatches done.
    pub step: u64,
    /// Points logged up to this step: `seq` goes on from here.
    pub points: u64,
    /// Hex BLAKE3 of its bytes.
    pub hash: String,
    /// Size, in bytes.
    pub bytes: u64,
}

/// Goes on from a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Hash of the checkpoint, as it came with the lease.
    pub hash: String,
}

/// Says that an attempt is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Minibatches done.
    pub step: u64,
    /// Minibatches in all.
    #[serde(default)]
    pub total_steps: Option<u64>,
}

/// What the server answers to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeartbeatReply {
    /// Stop training and release: a person cancelled the trial.
    pub cancel: bool,
    /// Stop training and complete with what it has come to: the sweep's rule ends the trial early.
    #[serde(default)]
    pub stop: bool,
    /// The lease lasts this long from now, in seconds.
    pub lease_s: u32,
}

/// Points an attempt has logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsBatch {
    /// The points, `seq` rising by one.
    pub points: Vec<MetricPoint>,
}

/// What the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricsReply {
    /// All points below this `seq` are stored: send from here.
    pub next_seq: u64,
    /// Stop training and complete with what it has come to: the sweep's rule ends the trial early.
    #[serde(default)]
    pub stop: bool,
}

/// The trial has come to an end; the result comes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Completion {
    /// The result.
    pub report: TrialReport,
}

/// The attempt met an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What went wrong, in words.
    pub reason: String,
    /// Whether another attempt could help.
    pub retryable: bool,
}

/// The attempt is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Why, in words: `drain`, `cancelled`.
    pub reason: String,
}

/// Where a trial stands after a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportReply {
    /// The trial's state.
    #[schema(value_type = String)]
    pub state: motif_sweep::lifecycle::TrialState,
}
