//! Builders of what requests carry.

use std::collections::BTreeMap;

use motif_data::{
    Dataset,
    dataset::{Shape, Split},
};
use motif_wire::{
    metrics::MetricPoint,
    trials::{Provenance, TrialReport},
};
use serde_json::{Value, json};

/// A small sweep on the built-in dataset: the rules `bp` (the baseline) and `sal`, with this many seeds.
#[must_use]
pub fn sweep(name: &str, seeds: u64) -> Value {
    json!({
        "name": name,
        "seeds": seeds,
        "baseline": { "rule": "bp" },
        "metric": "test_accuracy",
        "trial": { "dataset": "glyphs", "train_limit": 64, "test_limit": 64, "hidden": [8], "epochs": 1 },
        "axes": { "rule": ["bp", "sal"] },
    })
}

/// A report of a trial that ended well.
#[must_use]
pub fn report(metrics: BTreeMap<String, Option<f64>>) -> TrialReport {
    TrialReport {
        diverged_step: None,
        stopped_step: None,
        stopped_epoch: None,
        steps: 10,
        metrics,
        result_hash: "ab".repeat(32),
        training_s: 0.5,
        evaluation_s: Some(0.125),
        diagnostics_s: Some(0.0625),
        spectra_s: Some(0.25),
        provenance: Provenance {
            version: "0.0.0-test".into(),
            commit: None,
            instruction_set: "none".into(),
            platform: "test".into(),
            host: "here".into(),
            dataset_hash: "d".repeat(64),
            config_hash: "c".repeat(64),
        },
    }
}

/// A logged point, one step per `seq`.
#[must_use]
pub fn point(seq: u64, values: &[(&str, f64)]) -> MetricPoint {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), Some(*value))).collect();
    MetricPoint { seq, step: seq * 10, epoch: seq as f64, values }
}

/// A dataset of two classes with a few images of four pixels.
///
/// # Panics
/// Never: its parts fit.
#[must_use]
pub fn dataset(shade: u8) -> Dataset {
    let split = |examples: u16| Split {
        pixels: (0..examples).flat_map(|i| [shade, 0, 255, i as u8]).collect(),
        labels: (0..examples).map(|i| i % 2).collect(),
    };
    let shape = Shape { height: 2, width: 2, channels: 1 };
    Dataset::new(shape, 2, split(6), split(4)).expect("the parts fit")
}
