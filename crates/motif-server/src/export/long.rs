//! A row per trial, step and metric: what was logged during training.

use std::{collections::HashMap, mem};

use motif_store::records::{PointRecord, TrialRecord};

use super::{Field, Kind, Text, Values, column::text};
use crate::limits;

/// Rows that wait to be written.
#[derive(Default)]
pub(crate) struct Long {
    trials: Vec<Option<Text>>,
    conditions: Vec<Option<i64>>,
    labels: Vec<Option<Text>>,
    seeds: Vec<Option<i64>>,
    steps: Vec<Option<i64>>,
    epochs: Vec<Option<f64>>,
    metrics: Vec<Option<Text>>,
    values: Vec<Option<f64>>,
    /// Each metric's name once.
    names: HashMap<String, Text>,
}

impl Long {
    /// The columns.
    pub(crate) fn fields() -> Vec<Field> {
        let field = |name: &str, kind, repeats| Field { name: name.to_owned(), kind, repeats };
        vec![
            field("trial_id", Kind::Text, true),
            field("condition", Kind::Int, true),
            field("label", Kind::Text, true),
            field("seed", Kind::Int, true),
            field("step", Kind::Int, true),
            field("epoch", Kind::Real, true),
            field("metric", Kind::Text, true),
            field("value", Kind::Real, false),
        ]
    }

    /// Adds a trial's points. A value that was not finite when it was logged is NaN.
    pub(crate) fn add(&mut self, trial: &TrialRecord, points: &[PointRecord]) {
        let (id, label) = (text(trial.id.to_string()), text(trial.label.clone()));
        for point in points {
            for (name, value) in &point.values {
                let name = match self.names.get(name) {
                    Some(known) => known.clone(),
                    None => self.names.entry(name.clone()).or_insert(text(name.clone())).clone(),
                };
                self.trials.push(Some(id.clone()));
                self.conditions.push(Some(i64::from(trial.condition)));
                self.labels.push(Some(label.clone()));
                self.seeds.push(Some(trial.seed.cast_signed()));
                self.steps.push(Some(point.step.cast_signed()));
                self.epochs.push(Some(point.epoch));
                self.metrics.push(Some(name));
                self.values.push(Some(*value));
            }
        }
    }

    /// Whether the rows make a row group.
    pub(crate) fn is_full(&self) -> bool {
        self.values.len() >= limits::EXPORT_GROUP_ROWS
    }

    /// The rows so far, by column in the order of [`Long::fields`]; none are left.
    pub(crate) fn take(&mut self) -> Vec<Values> {
        vec![
            Values::Text(mem::take(&mut self.trials)),
            Values::Int(mem::take(&mut self.conditions)),
            Values::Text(mem::take(&mut self.labels)),
            Values::Int(mem::take(&mut self.seeds)),
            Values::Int(mem::take(&mut self.steps)),
            Values::Real(mem::take(&mut self.epochs)),
            Values::Text(mem::take(&mut self.metrics)),
            Values::Real(mem::take(&mut self.values)),
        ]
    }
}
