//! What a bundle is made from. Plain data: whoever has it can write the bundle without a server.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use motif_wire::{
    export::ExportTrial,
    statistics::{Comparisons, Curves, Ledger, Summary},
    sweeps::{ConditionRow, SweepDetail},
    system::DatasetRow,
};
use serde::Serialize;
use serde_json::Value;

/// A sweep with everything that a bundle tells of it.
pub(crate) struct Material {
    pub(crate) sweep: SweepDetail,
    pub(crate) trials: Vec<ExportTrial>,
    pub(crate) summary: Summary,
    pub(crate) comparisons: Comparisons,
    pub(crate) curves: Curves,
    pub(crate) ledger: Ledger,
    /// The figures' data for each metric, the sweep's own first.
    pub(crate) views: Vec<View>,
    /// Metrics whose figures would have made the page too large.
    pub(crate) left_out: Vec<String>,
    pub(crate) datasets: Vec<Dataset>,
    /// What the server says of the sweep, by name, as it said it.
    pub(crate) documents: Vec<(&'static str, Value)>,
    /// What it does not say of this sweep, and why.
    pub(crate) refused: Vec<(&'static str, String)>,
    /// The server's version.
    pub(crate) server_version: String,
    pub(crate) made_at: Timestamp,
}

/// One metric's figures.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    pub(crate) metric: String,
    /// Of metrics that a trial ends with.
    pub(crate) summary: Option<Summary>,
    pub(crate) comparisons: Option<Comparisons>,
    /// Of metrics that are logged during training.
    pub(crate) curves: Option<Curves>,
}

/// A dataset that the sweep used: its name in the spec, its content, and what the server knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dataset {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) row: Option<DatasetRow>,
}

impl Material {
    /// Whether every trial has ended.
    pub(crate) fn is_finished(&self) -> bool {
        let counts = &self.sweep.row.counts;
        counts.finished() == counts.total()
    }

    /// The condition of a trial.
    pub(crate) fn condition(&self, index: u32) -> Option<&ConditionRow> {
        self.sweep.condition_rows.iter().find(|row| row.index == index)
    }

    /// Each key of the conditions' configs with its values by condition; keys that a config leaves out have none.
    pub(crate) fn settings(&self) -> BTreeMap<String, Vec<Option<Value>>> {
        let rows = &self.sweep.condition_rows;
        let flat: Vec<BTreeMap<String, Value>> = rows.iter().map(|row| flatten(&row.config)).collect();
        let keys: BTreeSet<String> = flat.iter().flat_map(BTreeMap::keys).cloned().collect();
        let values = |key: &String| flat.iter().map(|config| config.get(key).cloned()).collect();
        keys.into_iter()
            .map(|key| {
                let values = values(&key);
                (key, values)
            })
            .collect()
    }
}

/// The datasets that these conditions name, each once.
pub(crate) fn datasets_of(conditions: &[ConditionRow]) -> BTreeSet<(String, String)> {
    let name = |row: &ConditionRow| row.config.get("dataset").and_then(Value::as_str).map(str::to_owned);
    conditions.iter().filter_map(|row| Some((name(row)?, row.dataset_hash.clone()))).collect()
}

/// Nested tables as dotted keys; lists stay whole.
fn flatten(config: &Value) -> BTreeMap<String, Value> {
    fn into(flat: &mut BTreeMap<String, Value>, prefix: &str, value: &Value) {
        match value {
            Value::Object(table) => {
                for (key, value) in table {
                    let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    into(flat, &path, value);
                }
            }
            value => {
                flat.insert(prefix.to_owned(), value.clone());
            }
        }
    }
    let mut flat = BTreeMap::new();
    into(&mut flat, "", config);
    flat
}

/// A value as a person would write it in a spec.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
