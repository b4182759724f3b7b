//! Sweeps: submission, listing, detail.

use std::collections::BTreeMap;

use jiff::Timestamp;
use motif_sweep::lifecycle::TrialState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::control::{AmendmentRow, UntilRow};

/// Number of trials in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateCounts {
    /// Waiting.
    pub queued: u64,
    /// Running.
    pub leased: u64,
    /// Trained to the end.
    pub succeeded: u64,
    /// Diverged.
    pub diverged: u64,
    /// Ended early by the sweep's rule.
    pub stopped: u64,
    /// Failed.
    pub failed: u64,
    /// Given up after their workers died.
    pub dead: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl StateCounts {
    /// The count of one state.
    pub fn of_mut(&mut self, state: TrialState) -> &mut u64 {
        match state {
            TrialState::Queued => &mut self.queued,
            TrialState::Leased => &mut self.leased,
            TrialState::Succeeded => &mut self.succeeded,
            TrialState::Diverged => &mut self.diverged,
            TrialState::Stopped => &mut self.stopped,
            TrialState::Failed => &mut self.failed,
            TrialState::Dead => &mut self.dead,
            TrialState::Cancelled => &mut self.cancelled,
        }
    }

    /// All trials.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.finished() + self.queued + self.leased
    }

    /// Trials in a terminal state.
    #[must_use]
    pub const fn finished(&self) -> u64 {
        self.succeeded + self.diverged + self.stopped + self.failed + self.dead + self.cancelled
    }
}

/// Where a sweep stands, derived from its trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// No trial has started.
    Queued,
    /// Some trial has started and some is unfinished.
    Running,
    /// No new trial starts until it is resumed.
    Paused,
    /// Every trial is in a terminal state, and no more seeds are to come.
    Finished,
    /// It was cancelled.
    Cancelled,
}

/// A sweep in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: SweepState,
    /// Trials by state.
    pub counts: StateCounts,
    /// Number of conditions.
    pub conditions: u32,
    /// Number of seeds.
    pub seeds: u32,
    /// The metric it compares.
    pub metric: String,
    /// When it was submitted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its last trial ended, once it is finished.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Fraction of all minibatches done, in `[0, 1]`, running trials included.
    pub progress: f64,
    /// Seconds left at the pace so far, where that can be told.
    pub remaining_s: Option<f64>,
    /// Trials of the sweep with the higher number run first.
    pub priority: i32,
    /// The sweep whose trials it re-runs, when it is a verification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifies: Option<Uuid>,
}

/// One page of sweeps, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepPage {
    /// The sweeps.
    pub items: Vec<SweepRow>,
    /// Pass as `cursor` for the next page; absent on the last.
    pub next_cursor: Option<String>,
}

/// A condition of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConditionRow {
    /// Its index within the sweep.
    pub index: u32,
    /// Its name in tables and figures.
    pub label: String,
    /// The swept keys and this condition's values.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub axes: BTreeMap<String, Value>,
    /// Its trial config.
    #[schema(value_type = Object)]
    pub config: Value,
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
    /// Hex BLAKE3 of its dataset's content.
    pub dataset_hash: String,
    /// Its trials by state.
    pub counts: StateCounts,
}

/// A sweep in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub row: SweepRow,
    /// The spec as submitted and amended.
    #[schema(value_type = Object)]
    pub spec: Value,
    /// The conditions.
    pub condition_rows: Vec<ConditionRow>,
    /// The seeds.
    pub seed_values: Vec<u64>,
    /// Index of the condition that the others are tested against.
    pub baseline: Option<u32>,
    /// What was added after its submission, oldest first.
    pub amendments: Vec<AmendmentRow>,
    /// Where sequential replication stands, when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UntilRow>,
    /// Number of sweeps that re-run its trials.
    pub verifications: u32,
    /// What the trials that are queued wait for, in words, when no worker heard of lately can take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// What an action on a sweep changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SweepAction {
    /// Trials that changed state at once.
    pub changed: u64,
    /// Running trials that will learn of it on their next heartbeat.
    pub pending: u64,
}

/// A built-in preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PresetRow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub summary: String,
    /// Its spec.
    #[schema(value_type = Object)]
    pub spec: Value,
    /// Number of conditions.
    pub conditions: u32,
    /// Number of trials.
    pub trials: u64,
}
