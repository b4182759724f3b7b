//! A row per trial: what it is, its condition's swept keys as `axes.KEY`, how it ended, its final metrics by name, what
//! it cost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use motif_store::records::{ConditionRecord, TrialRecord};
use motif_wire::trials::TrialReport;
use serde_json::Value;

use super::{Field, Kind, Values, column::text};
use crate::{convert, error::ApiResult, statistics::Material};

/// Trials that are written at once.
pub(super) const GROUP_TRIALS: usize = 16_384;

/// What a row is made from.
struct Row<'a> {
    trial: &'a TrialRecord,
    condition: Option<&'a ConditionRecord>,
    report: Option<TrialReport>,
}

/// Where a column comes from.
#[derive(Clone)]
enum Source {
    Text(fn(&Row<'_>) -> Option<String>),
    Int(fn(&Row<'_>) -> Option<u64>),
    Real(fn(&Row<'_>) -> Option<f64>),
    Seconds(fn(&TrialReport) -> Option<f64>),
    Time(fn(&Row<'_>) -> Option<Timestamp>),
    Axis(String, Kind),
    Metric(String),
}

type Columns<const N: usize> = [(&'static str, Source); N];

const LEADING: Columns<5> = [
    ("sweep", Source::Text(|row| Some(row.trial.sweep_id.to_string()))),
    ("trial", Source::Text(|row| Some(row.trial.id.to_string()))),
    ("condition", Source::Int(|row| Some(row.trial.condition.into()))),
    ("label", Source::Text(|row| Some(row.trial.label.clone()))),
    ("seed", Source::Int(|row| Some(row.trial.seed))),
];
/// Between the axes and the metrics.
const MIDDLE: Columns<15> = [
    ("state", Source::Text(|row| Some(row.trial.state.name().to_owned()))),
    ("attempts", Source::Int(|row| Some(row.trial.attempt.into()))),
    ("failures", Source::Int(|row| Some(row.trial.failures.into()))),
    ("crashes", Source::Int(|row| Some(row.trial.crashes.into()))),
    ("steps", Source::Int(|row| Some(row.trial.step))),
    ("diverged_step", Source::Int(|row| row.trial.diverged_step)),
    ("stopped_step", Source::Int(|row| row.trial.stopped.map(|stopped| stopped.step))),
    ("stopped_epoch", Source::Real(|row| row.trial.stopped.map(|stopped| stopped.epoch))),
    ("result_hash", Source::Text(|row| row.trial.result_hash.clone())),
    ("config_hash", Source::Text(|row| row.condition.map(|condition| condition.config_hash.clone()))),
    ("dataset_hash", Source::Text(|row| row.condition.map(|condition| condition.dataset_hash.clone()))),
    ("worker", Source::Text(|row| row.trial.worker.clone())),
    (
        "instruction_set",
        Source::Text(|row| row.report.as_ref().map(|report| report.provenance.instruction_set.clone())),
    ),
    ("version", Source::Text(|row| row.report.as_ref().map(|report| report.provenance.version.clone()))),
    ("reason", Source::Text(|row| row.trial.reason.clone())),
];
/// After the metrics.
const TRAILING: Columns<6> = [
    ("training_s", Source::Seconds(|report| Some(report.training_s))),
    ("evaluation_s", Source::Seconds(|report| report.evaluation_s)),
    ("diagnostics_s", Source::Seconds(|report| report.diagnostics_s)),
    ("spectra_s", Source::Seconds(|report| report.spectra_s)),
    ("started_at", Source::Time(|row| row.trial.started_at)),
    ("finished_at", Source::Time(|row| row.trial.finished_at)),
];

/// The table of a sweep's trials.
pub(crate) struct Wide<'a> {
    material: &'a Material,
    conditions: BTreeMap<u32, &'a ConditionRecord>,
    columns: Vec<(String, Source)>,
}

impl<'a> Wide<'a> {
    /// The table of these trials.
    pub(crate) fn new(material: &'a Material) -> Self {
        let fixed = |columns: &[(&str, Source)]| -> Vec<(String, Source)> {
            columns.iter().map(|(name, source)| ((*name).to_owned(), source.clone())).collect()
        };
        let mut columns = fixed(&LEADING);
        columns.extend(
            axes(material)
                .into_iter()
                .map(|(key, kind)| (format!("axes.{key}"), Source::Axis(key.to_owned(), kind))),
        );
        columns.extend(fixed(&MIDDLE));
        let trailing = fixed(&TRAILING);
        let taken: BTreeSet<&str> = columns.iter().chain(&trailing).map(|(name, _)| name.as_str()).collect();
        let metrics: Vec<(String, Source)> = metric_names(material)
            .into_iter()
            .map(|name| {
                let column =
                    if taken.contains(name.as_str()) { format!("metric.{name}") } else { name.clone() };
                (column, Source::Metric(name))
            })
            .collect();
        columns.extend(metrics);
        columns.extend(trailing);
        Self { material, conditions: material.by_index(), columns }
    }

    /// The columns.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let field = |(name, source): &(String, Source)| {
            let kind = match source {
                Source::Text(_) => Kind::Text,
                Source::Int(_) => Kind::Int,
                Source::Real(_) | Source::Seconds(_) | Source::Metric(_) => Kind::Real,
                Source::Time(_) => Kind::Time,
                Source::Axis(_, kind) => *kind,
            };
            let repeats = !matches!(source, Source::Seconds(_) | Source::Metric(_) | Source::Time(_));
            Field { name: name.clone(), kind, repeats }
        };
        self.columns.iter().map(field).collect()
    }

    pub(super) fn trials(&self) -> &'a [TrialRecord] {
        &self.material.trials
    }

    /// The rows of some trials, by column in the order of [`Wide::fields`].
    pub(super) fn rows<'t>(&self, trials: &'t [TrialRecord]) -> ApiResult<Vec<Values>> {
        let row = |trial: &'t TrialRecord| {
            let condition = self.conditions.get(&trial.condition).copied();
            Ok(Row { trial, condition, report: convert::trial_report(trial)? })
        };
        let rows: Vec<Row<'_>> = trials.iter().map(row).collect::<ApiResult<_>>()?;
        Ok(self.columns.iter().map(|(_, source)| source.values(&rows)).collect())
    }
}

impl Source {
    fn values(&self, rows: &[Row<'_>]) -> Values {
        match self {
            Self::Text(of) => Values::Text(rows.iter().map(|row| of(row).map(text)).collect()),
            Self::Int(of) => Values::Int(rows.iter().map(|row| of(row).map(u64::cast_signed)).collect()),
            Self::Real(of) => Values::Real(rows.iter().map(of).collect()),
            Self::Seconds(of) => {
                Values::Real(rows.iter().map(|row| row.report.as_ref().and_then(of)).collect())
            }
            Self::Time(of) => Values::Time(rows.iter().map(of).collect()),
            Self::Metric(name) => Values::Real(rows.iter().map(|row| row.metric(name)).collect()),
            Self::Axis(key, kind) => {
                let value =
                    |row: &Row<'_>| row.condition.and_then(|condition| condition.axes.get(key)).cloned();
                let values = rows.iter().map(value);
                match kind {
                    Kind::Int => Values::Int(values.map(|value| value?.as_i64()).collect()),
                    Kind::Real => Values::Real(values.map(|value| value?.as_f64()).collect()),
                    _ => Values::Text(values.map(|value| Some(text(plain(&value?)))).collect()),
                }
            }
        }
    }
}

impl Row<'_> {
    /// A final metric; NaN where the worker says that it was not finite.
    fn metric(&self, name: &str) -> Option<f64> {
        let reported = || self.report.as_ref()?.metrics.get(name).copied();
        self.trial.metrics.get(name).copied().or_else(|| reported().map(|value| value.unwrap_or(f64::NAN)))
    }
}

/// The swept keys, and the kind that holds all of a key's values.
fn axes(material: &Material) -> BTreeMap<&str, Kind> {
    let mut kinds: BTreeMap<&str, Kind> = BTreeMap::new();
    for (key, value) in material.conditions.iter().flat_map(|condition| &condition.axes) {
        let kind = match value {
            Value::Number(number) if number.as_i64().is_some() => Kind::Int,
            Value::Number(_) => Kind::Real,
            _ => Kind::Text,
        };
        let known = kinds.entry(key).or_insert(kind);
        *known = match (*known, kind) {
            (known, kind) if known == kind => known,
            (Kind::Int, Kind::Real) | (Kind::Real, Kind::Int) => Kind::Real,
            _ => Kind::Text,
        };
    }
    kinds
}

/// Names of all final metrics, those included that were finite in no trial.
fn metric_names(material: &Material) -> BTreeSet<String> {
    let reported =
        material.trials.iter().filter_map(|trial| trial.report.as_ref()?.get("metrics")?.as_object());
    let finite = material.trials.iter().flat_map(|trial| trial.metrics.keys());
    reported.flat_map(|metrics| metrics.keys()).chain(finite).cloned().collect()
}

/// Strings without quotes, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
