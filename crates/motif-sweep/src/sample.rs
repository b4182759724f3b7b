//! `[sample]`: which keys are sampled and from what. [`crate::draw`] makes the points.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::join,
    draw,
    errors::{SpecError, SpecErrors},
    keys, numeric, probe, sobol,
    spec::{AXES_MAX, CONDITIONS_MAX, SEED_VALUE_MAX},
    trial,
    variables::Variables,
    varied::{self, Places},
};

/// How points are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// A Sobol sequence (Joe and Kuo's direction numbers), shifted digit by digit by the seed: it covers the ranges
    /// evenly, best with a power of two points.
    #[default]
    Sobol,
    /// Independent draws.
    Random,
}

/// The entries of `[sample]` that are no keys of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Points, all of them different.
    pub(crate) count: u64,
    /// How they are chosen.
    pub(crate) method: Method,
    /// Other points for another seed. It has nothing to do with the seeds of the trials.
    pub(crate) seed: u64,
}

/// How a range is covered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly by logarithm: each factor of ten as often as the next.
    Log,
}

/// What a key is sampled from: `low`, `high` and how, or `values`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Range {
    /// The least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) low: Option<f64>,
    /// The greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) high: Option<f64>,
    /// How the range is covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scale: Option<Scale>,
    /// Only `low`, `low + step`, `low + 2 step`, … up to `high`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<f64>,
    /// Only whole numbers; so it is anyway where a key takes no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) integer: Option<bool>,
    /// These values, each as often as the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) values: Option<Vec<Value>>,
}

/// A checked `[sample]`.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) settings: Settings,
    pub(crate) dimensions: Vec<(String, Dimension)>,
}

/// A checked range.
#[derive(Debug)]
pub(crate) enum Dimension {
    /// Any number of a range.
    Real { low: f64, high: f64, scale: Scale },
    /// The whole numbers of a range.
    Whole { low: f64, high: f64, scale: Scale },
    /// `low + k · step` for `k` below `count`.
    Steps { low: f64, step: f64, count: f64, whole: bool },
    /// A list.
    Values(Vec<Value>),
}

/// The number of points that a `[sample]` asks for, before anything else is checked.
pub(crate) fn count(sample: &Map<String, Value>) -> usize {
    let count = sample.get("count").and_then(Value::as_u64).unwrap_or(1);
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The keys that are sampled.
pub(crate) fn sampled_keys(sample: &Map<String, Value>) -> impl Iterator<Item = &String> {
    sample.keys().filter(|key| !probe::keys_of::<Settings>().contains(&key.as_str()))
}

/// Whether a table in `[sample]` is a range rather than the way to one, such as `rates` in `rates.w = { … }`.
pub(crate) fn is_range(value: &Value) -> bool {
    value.as_object().is_none_or(|table| table.values().any(|value| !value.is_object()))
}

/// Checks the table, and that its keys vary nowhere else.
pub(crate) fn check(
    sample: &Map<String, Value>,
    variables: &Variables,
    places: &mut Places,
    errors: &mut SpecErrors,
) {
    for key in sampled_keys(sample) {
        places.claim(key, &join("sample", key), errors);
    }
    let drawn = read(sample, variables).and_then(|sample| match sample {
        Some(sample) => draw::points(&sample).map(|_| ()).map_err(SpecErrors::from),
        None => Ok(()),
    });
    if let Err(wrong) = drawn {
        wrong.into_iter().for_each(|error| errors.push(error));
    }
}

/// Reads the table; `None` when it is empty.
pub(crate) fn read(sample: &Map<String, Value>, variables: &Variables) -> Result<Option<Sample>, SpecErrors> {
    if sample.is_empty() {
        return Ok(None);
    }
    let mut errors = SpecErrors::default();
    let settings = settings(sample, &mut errors);
    let mut dimensions = Vec::new();
    for key in sampled_keys(sample) {
        let dimension = dimension(key, &sample[key], variables, &mut errors);
        dimensions.extend(dimension.map(|dimension| (key.clone(), dimension)));
    }
    let most = if settings.method == Method::Sobol { sobol::DIMENSIONS_MAX } else { AXES_MAX };
    let keys = sampled_keys(sample).count();
    if keys == 0 {
        let message =
            "expected keys with ranges, such as \"rates.w\" = { low = 0.01, high = 1, scale = \"log\" }";
        errors.push(SpecError::new("sample", message));
    } else if keys > most {
        let message = format!("{keys} keys are sampled; at most {most} may be by this method");
        errors.push(SpecError::new("sample", message));
    }
    errors.or(Some(Sample { settings, dimensions }))
}

fn settings(sample: &Map<String, Value>, errors: &mut SpecErrors) -> Settings {
    let known = probe::keys_of::<Settings>();
    let given: Map<String, Value> =
        known.iter().filter_map(|&key| Some((key.to_owned(), sample.get(key)?.clone()))).collect();
    let before = errors.0.len();
    keys::check_table::<Settings>(&given, known, &Map::new(), "sample", errors);
    if errors.0.len() > before {
        return Settings::default();
    }
    let settings: Settings = probe::read(&Value::Object(given)).unwrap_or_default();
    if settings.count == 0 || settings.count > CONDITIONS_MAX as u64 {
        let message = format!("expected a number of points, 1 to {CONDITIONS_MAX}");
        let error = SpecError::new("sample.count", message);
        errors.push(sample.get("count").map_or(error.clone(), |count| error.found(count)));
    }
    if settings.seed > SEED_VALUE_MAX {
        let message = format!("expected a seed of at most {SEED_VALUE_MAX}");
        errors.push(SpecError::new("sample.seed", message).found(&Value::from(settings.seed)));
    }
    settings
}

fn dimension(key: &str, value: &Value, variables: &Variables, errors: &mut SpecErrors) -> Option<Dimension> {
    let field = join("sample", key);
    if !variables.contains(key) && !is_known(key, errors) {
        return None;
    }
    let Value::Object(table) = value else {
        let message =
            "expected a range such as { low = 0.01, high = 1, scale = \"log\" }, or { values = […] }";
        errors.push(SpecError::new(field, message).found(value));
        return None;
    };
    let before = errors.0.len();
    keys::check_table::<Range>(table, probe::keys_of::<Range>(), &Map::new(), &field, errors);
    if errors.0.len() > before {
        return None;
    }
    let range: Range = probe::read(value).unwrap_or_default();
    let checked = match &range.values {
        Some(values) => list(key, values, table, &field, variables, errors),
        None => interval(key, &range, variables).map_err(|(inner, message)| {
            let error = SpecError::new(join(&field, inner), message);
            errors.push(table.get(inner).map_or(error.clone(), |value| error.found(value)));
        }),
    };
    checked.ok()
}

/// Whether a key can be sampled; one that does not exist may be a mistyped setting.
fn is_known(key: &str, errors: &mut SpecErrors) -> bool {
    let mut unknown = SpecErrors::default();
    if varied::known_key(key, "sample", &mut unknown) {
        return true;
    }
    let known = trial::sweepable_keys();
    let names = probe::keys_of::<Settings>().iter().copied().chain(known.iter().map(String::as_str));
    errors.push(match unknown.0.pop() {
        Some(error) if error.suggestion.is_some() => keys::unknown_key("sample", key, names),
        Some(error) => error,
        None => SpecError::new(join("sample", key), "unknown key"),
    });
    false
}

fn list(
    key: &str,
    values: &[Value],
    table: &Map<String, Value>,
    field: &str,
    variables: &Variables,
    errors: &mut SpecErrors,
) -> Result<Dimension, ()> {
    let before = errors.0.len();
    let field = join(field, "values");
    if let Some(other) = table.keys().find(|key| *key != "values") {
        errors.push(SpecError::new(&field, format!("`values` stands alone: without `{other}`")));
    }
    if values.is_empty() || values.len() > CONDITIONS_MAX {
        errors.push(SpecError::new(&field, format!("expected 1 to {CONDITIONS_MAX} values")));
        return Err(());
    }
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        let field = format!("{field}[{index}]");
        varied::check_swept_value(key, value, &field, variables, errors);
        if !seen.insert(varied::meaning(value)) {
            errors.push(SpecError::new(field, "this value is listed twice").found(value));
        }
    }
    if errors.0.len() == before { Ok(Dimension::Values(values.to_vec())) } else { Err(()) }
}

/// An interval, or the entry that is wrong and what would be right.
fn interval(key: &str, range: &Range, variables: &Variables) -> Result<Dimension, (&'static str, String)> {
    let wrong = |entry, message: &str| Err((entry, message.to_owned()));
    let whole_only = match numeric::find(key) {
        Some(numeric) => numeric.whole,
        None if variables.contains(key) => false,
        None => return wrong("values", "this key is no number: expected { values = […] }"),
    };
    let (Some(low), Some(high)) = (range.low, range.high) else {
        let missing = if range.low.is_none() { "low" } else { "high" };
        return wrong(missing, "missing: expected `low` and `high`, or `values`");
    };
    // `partial_cmp` would take what is not finite for a case of its own; JSON has no such number.
    if !(low.is_finite() && high.is_finite() && low < high) {
        return wrong("high", &format!("expected a number above `low`, which is {low}"));
    }
    let scale = range.scale.unwrap_or_default();
    if scale == Scale::Log && low <= 0.0 {
        return wrong("low", "expected a number above 0: the scale is \"log\"");
    }
    let whole = whole(whole_only, range.integer)?;
    if whole {
        for (entry, end) in [("low", low), ("high", high)] {
            if numeric::whole(end).is_none() {
                return wrong(entry, "expected a whole number, since only those are sampled");
            }
        }
    }
    match range.step {
        None if whole => Ok(Dimension::Whole { low, high, scale }),
        None => Ok(Dimension::Real { low, high, scale }),
        Some(_) if scale == Scale::Log => wrong("step", "`step` and `scale = \"log\"` exclude each other"),
        Some(step) => steps(low, high, step, whole),
    }
}

fn whole(whole_only: bool, wanted: Option<bool>) -> Result<bool, (&'static str, String)> {
    match wanted {
        Some(false) if whole_only => Err(("integer", "this key takes whole numbers only".to_owned())),
        wanted => Ok(whole_only || wanted == Some(true)),
    }
}

fn steps(low: f64, high: f64, step: f64, whole: bool) -> Result<Dimension, (&'static str, String)> {
    /// Part of a step by which `high` may be missed: `0.1 + 2 · 0.1` is above `0.3`.
    const SLACK: f64 = 1e-9;
    if !(step > 0.0 && step <= high - low) {
        return Err(("step", format!("expected a number above 0, at most {}", high - low)));
    }
    if whole && step.fract() != 0.0 {
        return Err(("step", "expected a whole number, since only those are sampled".to_owned()));
    }
    let count = ((high - low) / step + SLACK).floor() + 1.0;
    Ok(Dimension::Steps { low, step, count, whole })
}
