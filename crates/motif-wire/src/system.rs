//! Workers, datasets, tokens, health, live events.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sweeps::StateCounts;

/// A worker, as the server last heard of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its machine.
    pub host: String,
    /// Motif's version there.
    pub version: String,
    /// Instruction set of its matrix products.
    pub instruction_set: String,
    /// Trials it can run at once.
    pub slots: u32,
    /// Labels that it was given, sorted.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Memory that its trials may use, in bytes, where that is known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Trials it holds.
    pub leased: u32,
    /// Attempts it has completed.
    pub completed: u64,
    /// When it was first heard of.
    #[schema(value_type = String, format = DateTime)]
    pub first_seen_at: Timestamp,
    /// When it was last heard of.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
    /// Whether it was heard of within one lease.
    pub alive: bool,
}

/// A dataset that the server can hand out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatasetRow {
    /// Its name.
    pub name: String,
    /// Hex BLAKE3 of its canonical bytes.
    pub hash: String,
    /// Image height.
    pub height: u32,
    /// Image width.
    pub width: u32,
    /// Colour planes.
    pub channels: u32,
    /// Classes.
    pub classes: u32,
    /// Training examples.
    pub train_examples: u64,
    /// Test examples.
    pub test_examples: u64,
    /// Size of the canonical bytes.
    pub size_bytes: u64,
    /// Whether it is generated rather than stored.
    pub built_in: bool,
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    Admin,
    /// Submit, steer and read.
    Submit,
    /// Claim trials and report on them; fetch datasets.
    Worker,
    /// Read.
    Read,
}

/// Asks for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// A name, for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// A token as listed: never its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A new token: the only time that its secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenCreated {
    /// The token's row.
    #[serde(flatten)]
    pub row: TokenRow,
    /// The secret, beginning with `motif_`.
    pub token: String,
}

/// Whether the server can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: String,
    /// Motif's version.
    pub version: String,
    /// Protocol version.
    pub protocol: u32,
    /// Why not, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A live event; the SSE `event:` field is the variant's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LiveEvent {
    /// A sweep was submitted or its counts changed.
    Sweep {
        /// The sweep.
        sweep_id: Uuid,
        /// Trials by state.
        counts: StateCounts,
    },
    /// A trial changed its state.
    Trial {
        /// The sweep.
        sweep_id: Uuid,
        /// The trial.
        trial_id: Uuid,
        /// Its state.
        state: String,
    },
    /// A running trial logged points or made steps.
    Progress {
        /// The sweep.
        sweep_id: Uuid,
        /// The trial.
        trial_id: Uuid,
        /// Minibatches done.
        step: u64,
    },
    /// Events were dropped because the reader was slow: read everything again.
    Lagged {
        /// Number of events dropped.
        dropped: u64,
    },
}
