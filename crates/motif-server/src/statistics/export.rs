//! All trials of a sweep, one row each, as CSV or JSON.

use std::collections::{BTreeMap, BTreeSet};

use motif_store::records::{ConditionRecord, TrialRecord};
use motif_wire::{
    sweeps::SweepDetail,
    trials::{TrialReport, TrialRow},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::Material;
use crate::{
    convert,
    error::{ApiError, ApiResult},
};

/// Columns before the swept axes.
const LEADING: [&str; 5] = ["sweep", "trial", "condition", "label", "seed"];
/// Columns between the axes and the metrics.
const MIDDLE: [&str; 13] = [
    "state",
    "attempts",
    "failures",
    "crashes",
    "steps",
    "diverged_step",
    "stopped_step",
    "stopped_epoch",
    "result_hash",
    "config_hash",
    "dataset_hash",
    "worker",
    "reason",
];
/// Columns after the metrics.
const TRAILING: [&str; 6] =
    ["training_s", "evaluation_s", "diagnostics_s", "spectra_s", "started_at", "finished_at"];

/// A sweep with everything that is known of its trials.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportDocument {
    /// The sweep.
    sweep: SweepDetail,
    /// Its trials, in queue order.
    trials: Vec<ExportTrial>,
}

/// A trial with its result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportTrial {
    /// What the list shows.
    #[serde(flatten)]
    row: TrialRow,
    /// Its condition's swept keys and values.
    #[schema(value_type = BTreeMap<String, Object>)]
    axes: BTreeMap<String, Value>,
    /// What the worker reported at the end.
    result: Option<TrialReport>,
}

/// The sweep as one JSON document.
pub(crate) fn document(material: &Material, sweep: SweepDetail) -> ApiResult<ExportDocument> {
    let conditions = by_index(material);
    let trial = |trial: &TrialRecord| {
        Ok(ExportTrial {
            row: convert::trial_row(trial, &material.sweep.metric),
            axes: conditions.get(&trial.condition).map(|c| c.axes.clone()).unwrap_or_default(),
            result: convert::trial_report(trial)?,
        })
    };
    let trials = material.trials.iter().map(trial).collect::<ApiResult<_>>()?;
    Ok(ExportDocument { sweep, trials })
}

/// The sweep as CSV, one row per trial; swept keys as `axes.KEY`, final metrics by name. Text that a spreadsheet would
/// take for a formula is preceded by a single quote.
pub(crate) fn csv(material: &Material) -> ApiResult<Vec<u8>> {
    let conditions = by_index(material);
    let axes: BTreeSet<&String> = material.conditions.iter().flat_map(|c| c.axes.keys()).collect();
    let metrics = material.metric_names(Vec::new());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |error: csv::Error| ApiError::Stored(format!("CSV: {error}"));
    let header = LEADING
        .iter()
        .map(|name| (*name).to_owned())
        .chain(axes.iter().map(|axis| format!("axes.{axis}")))
        .chain(MIDDLE.iter().map(|name| (*name).to_owned()))
        .chain(metrics.iter().cloned().map(inert))
        .chain(TRAILING.iter().map(|name| (*name).to_owned()));
    writer.write_record(header).map_err(broken)?;
    for trial in &material.trials {
        let condition = conditions.get(&trial.condition).copied();
        let axes =
            axes.iter().map(|axis| condition.and_then(|c| c.axes.get(*axis)).map(plain).unwrap_or_default());
        let metrics = metrics.iter().map(|metric| optional(trial.metrics.get(metric)));
        let cells = leading(trial)
            .into_iter()
            .chain(axes)
            .chain(middle(trial, condition))
            .chain(metrics)
            .chain(trailing(trial)?);
        writer.write_record(cells).map_err(broken)?;
    }
    writer.into_inner().map_err(|error| ApiError::Stored(format!("CSV: {error}")))
}

fn leading(trial: &TrialRecord) -> [String; LEADING.len()] {
    [
        trial.sweep_id.to_string(),
        trial.id.to_string(),
        trial.condition.to_string(),
        inert(trial.label.clone()),
        trial.seed.to_string(),
    ]
}

fn middle(trial: &TrialRecord, condition: Option<&ConditionRecord>) -> [String; MIDDLE.len()] {
    [
        trial.state.name().to_owned(),
        trial.attempt.to_string(),
        trial.failures.to_string(),
        trial.crashes.to_string(),
        trial.step.to_string(),
        optional(trial.diverged_step),
        optional(trial.stopped.map(|stopped| stopped.step)),
        optional(trial.stopped.map(|stopped| stopped.epoch)),
        optional(trial.result_hash.as_ref()),
        condition.map(|c| c.config_hash.clone()).unwrap_or_default(),
        condition.map(|c| c.dataset_hash.clone()).unwrap_or_default(),
        inert(optional(trial.worker.as_ref())),
        inert(optional(trial.reason.as_ref())),
    ]
}

fn trailing(trial: &TrialRecord) -> ApiResult<[String; TRAILING.len()]> {
    let report = convert::trial_report(trial)?;
    let seconds = |of: fn(&TrialReport) -> Option<f64>| optional(report.as_ref().and_then(of));
    Ok([
        seconds(|report| Some(report.training_s)),
        seconds(|report| report.evaluation_s),
        seconds(|report| report.diagnostics_s),
        seconds(|report| report.spectra_s),
        optional(trial.started_at),
        optional(trial.finished_at),
    ])
}

fn by_index(material: &Material) -> BTreeMap<u32, &ConditionRecord> {
    material.conditions.iter().map(|condition| (condition.index, condition)).collect()
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Strings without quotes, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| inert(text.to_owned()))
}

/// Text that no spreadsheet takes for a formula. Numbers do not come here: `-1` stays what it is.
fn inert(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::{material, stop};

    #[test]
    fn csv_has_one_row_per_trial_and_a_column_per_axis_and_metric() {
        let mut material = material();
        material.trials[0].label = "a, \"b\"".into();
        stop(&mut material.trials[1], 2.5);
        let text = String::from_utf8(csv(&material).unwrap()).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let column = |name: &str| {
            header.iter().position(|h| h == name).unwrap_or_else(|| panic!("{name} in {header:?}"))
        };
        let (axis, metric, label) = (column("axes.ratio"), column("test_accuracy"), column("label"));
        let diverged = column("diverged_step");
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 6);
        assert_eq!((&rows[0][label], &rows[0][axis], &rows[0][metric]), ("a, \"b\"", "0", "0.5"));
        assert_eq!((&rows[5][diverged], &rows[4][diverged]), ("9", ""));
        let cells =
            ["state", "stopped_step", "stopped_epoch", "result_hash"].map(|name| &rows[1][column(name)]);
        assert_eq!(cells, ["stopped", "5", "2.5", ""]);
        assert_eq!(&rows[0][column("stopped_step")], "");
    }

    #[test]
    fn text_that_looks_like_a_formula_is_made_inert_and_numbers_are_not() {
        let mut material = material();
        material.trials[0].label = "=1+1".into();
        material.trials[0].worker = Some("@host".into());
        material.trials[0].reason = Some("-x".into());
        material.trials[0].metrics.insert("test_accuracy".into(), -0.5);
        material.conditions[0].axes.insert("ratio".into(), serde_json::json!(-2));
        material.conditions[0].axes.insert("dataset".into(), serde_json::json!("+a"));
        let bytes = csv(&material).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header = reader.headers().unwrap().clone();
        let row = reader.records().next().unwrap().unwrap();
        let cell = |name: &str| row[header.iter().position(|h| h == name).unwrap()].to_owned();
        let cells = ["label", "worker", "reason", "test_accuracy", "axes.ratio", "axes.dataset"].map(cell);
        assert_eq!(cells, ["'=1+1", "'@host", "'-x", "-0.5", "-2", "'+a"]);
    }
}
