//! A sweep made concrete: conditions × seeds → trials, in the order in which they are queued.

use std::collections::BTreeMap;

use motif_net::config::TrialConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A condition: one resolved config without seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Its place among the sweep's conditions, from 0.
    pub index: u32,
    /// Its name in tables and figures: an arm's label, or the swept values, `plastic={w,v_bar} ratio=2`.
    pub label: String,
    /// The swept keys and this condition's values (dotted keys); empty for an arm that sweeps nothing.
    pub axes: BTreeMap<String, Value>,
    /// Everything that determines a trial but its seed and the dataset's content.
    pub config: TrialConfig,
}

impl Condition {
    /// Hex BLAKE3 of the config's canonical JSON (keys sorted).
    #[must_use]
    pub fn config_hash(&self) -> String {
        config_hash(&self.config)
    }
}

/// Hex BLAKE3 of a config's canonical JSON (keys sorted, no spaces).
#[must_use]
pub fn config_hash(config: &TrialConfig) -> String {
    let value = serde_json::to_value(config).expect("a config is plain data");
    blake3::hash(canonical_json(&value).as_bytes()).to_hex().to_string()
}

/// JSON text with the keys of every table sorted by their bytes, whatever order the value keeps.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let entries = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical_json(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// One planned trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// Index of its condition.
    pub condition: u32,
    /// Its seed.
    pub seed: u64,
}

/// A sweep made concrete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The conditions, in the order of the spec.
    pub conditions: Vec<Condition>,
    /// The seeds, in the order of the spec.
    pub seeds: Vec<u64>,
    /// The condition that the others are tested against.
    pub baseline: Option<u32>,
    /// The trials in queue order: seeded blocks, all conditions of one seed before the next seed.
    pub trials: Vec<PlannedTrial>,
}
