//! What a trial logs while it trains.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// One logged point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MetricPoint {
    /// Its number within the attempt, from 0, without gaps.
    pub seq: u64,
    /// Minibatches done.
    pub step: u64,
    /// Epochs done, with fraction.
    pub epoch: f64,
    /// Values by name; `null` where not finite.
    pub values: BTreeMap<String, Option<f64>>,
}

/// All points of a trial's newest attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrialMetrics {
    /// The trial.
    pub trial_id: Uuid,
    /// Number of the attempt whose points these are; 0 before the first.
    pub attempt: u32,
    /// The points, in order.
    pub points: Vec<MetricPoint>,
}
