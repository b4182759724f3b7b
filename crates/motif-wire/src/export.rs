//! A sweep with everything that is known of its trials, as one document.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    sweeps::SweepDetail,
    trials::{TrialReport, TrialRow},
};

/// A sweep with everything that is known of its trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportDocument {
    /// The sweep.
    pub sweep: SweepDetail,
    /// Its trials, in queue order.
    pub trials: Vec<ExportTrial>,
}

/// A trial with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExportTrial {
    /// What the list shows.
    #[serde(flatten)]
    pub row: TrialRow,
    /// Its condition's swept keys and values.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub axes: BTreeMap<String, Value>,
    /// What the worker reported at the end.
    pub result: Option<TrialReport>,
}
