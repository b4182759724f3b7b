//! What crossed conditions differ in: axes, zipped groups and sampled points, each one factor of the product.
//!
//! It checks keys and values one by one; what they make of a trial, `expand` finds.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    document::join,
    draw,
    errors::{SpecError, SpecErrors},
    keys, sample,
    spec::{AXES_MAX, CONDITIONS_MAX, SEEDS_MAX, SweepSpec, TRIALS_MAX},
    trial,
    variables::{self, Variables},
};

/// A factor of the product: rows of values for its keys.
#[derive(Debug)]
pub(crate) struct Factor {
    pub(crate) keys: Vec<String>,
    /// At least one, each as long as `keys`.
    pub(crate) rows: Vec<Vec<Value>>,
    /// The first keys, as many as tell the rows apart: what labels show.
    pub(crate) telling: usize,
}

impl Factor {
    fn zipped(keys: Vec<String>, rows: Vec<Vec<Value>>) -> Self {
        let apart = |count: &usize| {
            let mut seen = HashSet::new();
            rows.iter().all(|row| seen.insert(row.iter().take(*count).map(meaning).collect::<Vec<_>>()))
        };
        let telling = (1..keys.len()).find(apart).unwrap_or(keys.len());
        Self { keys, rows, telling }
    }
}

/// The factors in the order in which they are crossed, the last one varying fastest: axes, zipped groups,
/// the sampled points.
pub(crate) fn factors(spec: &SweepSpec) -> Vec<Factor> {
    let variables = Variables::of(spec);
    let axes = spec.axes.iter().map(|(key, values)| Factor {
        keys: vec![key.clone()],
        rows: items(values).iter().map(|value| vec![value.clone()]).collect(),
        telling: 1,
    });
    let zips = spec.zip.iter().map(|zip| {
        let row = |row| zip.values().filter_map(|values| items(values).get(row).cloned()).collect();
        Factor::zipped(zip.keys().cloned().collect(), (0..zip_length(zip)).map(row).collect())
    });
    let sampled = sample::read(&spec.sample, &variables).ok().flatten().into_iter().map(|sample| Factor {
        keys: sample.dimensions.iter().map(|(key, _)| key.clone()).collect(),
        rows: draw::points(&sample).unwrap_or_default(),
        telling: sample.dimensions.len(),
    });
    axes.chain(zips).chain(sampled).collect()
}

fn items(values: &Value) -> &[Value] {
    values.as_array().map_or(&[], Vec::as_slice)
}

/// Rows of a zipped group, whose lists are equally long once they are checked.
fn zip_length(zip: &Map<String, Value>) -> usize {
    zip.values().map(|values| items(values).len()).min().unwrap_or(0)
}

/// Conditions that the factors make, before anything is built; 0 without any factor.
pub(crate) fn crossed_count(spec: &SweepSpec) -> usize {
    let axes = spec.axes.values().map(|values| items(values).len());
    let zips = spec.zip.iter().map(zip_length);
    let sampled = (!spec.sample.is_empty()).then(|| sample::count(&spec.sample));
    let lengths: Vec<usize> = axes.chain(zips).chain(sampled).collect();
    if lengths.is_empty() { 0 } else { lengths.into_iter().fold(1, usize::saturating_mul) }
}

/// Refuses a sweep that is too large, by counting alone. Whether it is not.
pub(crate) fn check_size(spec: &SweepSpec, errors: &mut SpecErrors) -> bool {
    let before = errors.0.len();
    let zipped = spec.zip.iter().map(Map::len).sum::<usize>();
    let swept = spec.axes.len() + zipped + sample::sampled_keys(&spec.sample).count();
    if swept > AXES_MAX {
        errors.push(SpecError::new(
            first_factor(spec),
            format!("{swept} keys are swept; at most {AXES_MAX} may be"),
        ));
    }
    check_lengths(spec, errors);
    let crossed = crossed_count(spec);
    let conditions = crossed.saturating_add(spec.arms.len()).max(1);
    if conditions > CONDITIONS_MAX {
        let counted = if spec.exclude.is_empty() { "" } else { " before any is excluded" };
        let message =
            format!("this makes {conditions} conditions{counted}; at most {CONDITIONS_MAX} are allowed");
        let field = if crossed > spec.arms.len() { first_factor(spec) } else { "arms" };
        errors.push(SpecError::new(field, message));
        return false;
    }
    let seeds = spec.seeds.count();
    let trials = conditions.saturating_mul(seeds);
    if trials > TRIALS_MAX && seeds <= SEEDS_MAX {
        let message = format!(
            "{conditions} conditions × {seeds} seeds make {trials} trials; at most {TRIALS_MAX} are allowed"
        );
        errors.push(SpecError::new("seeds", message));
    }
    errors.0.len() == before
}

/// The table that errors about the product as a whole are blamed on.
pub(crate) fn first_factor(spec: &SweepSpec) -> &'static str {
    match spec {
        SweepSpec { axes, .. } if !axes.is_empty() => "axes",
        SweepSpec { zip, .. } if !zip.is_empty() => "zip",
        _ => "sample",
    }
}

/// An empty list would hide in the product how long the others are.
fn check_lengths(spec: &SweepSpec, errors: &mut SpecErrors) {
    let zips = spec.zip.iter().enumerate();
    let zips = zips.flat_map(|(index, zip)| zip.iter().map(move |entry| (format!("zip[{index}]"), entry)));
    let axes = spec.axes.iter().map(|entry| ("axes".to_owned(), entry));
    for (table, (key, values)) in axes.chain(zips) {
        let length = items(values).len();
        if length > CONDITIONS_MAX {
            let message = format!("this list has {length} values; at most {CONDITIONS_MAX} are allowed");
            errors.push(SpecError::new(join(&table, key), message));
        }
    }
}

/// Where each key stands, so that none is given twice.
#[derive(Default)]
pub(crate) struct Places(Vec<(String, Map<String, Value>)>);

impl Places {
    /// Notes that `key` stands at `field`; an error when it, a part of it or the whole of it stands elsewhere.
    pub(crate) fn claim(&mut self, key: &str, field: &str, errors: &mut SpecErrors) {
        let entry = Map::from_iter([(key.to_owned(), Value::Null)]);
        let opened = keys::undotted(&entry, "", &mut SpecErrors::default());
        let other = self.0.iter().find(|(_, other)| covers(other, &opened) || covers(&opened, other));
        if let Some((other, _)) = other {
            let message = format!(
                "this key, a part of it or the whole of it already stands in {other}: a key varies in one place"
            );
            errors.push(SpecError::new(field, message));
        }
        self.0.push((field.to_owned(), opened));
    }
}

/// Whether `a` sets the whole of something that `b` sets.
fn covers(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    b.iter().any(|(key, value)| match (a.get(key), value) {
        (Some(Value::Object(a)), Value::Object(b)) => covers(a, b),
        (Some(Value::Null), _) => true,
        _ => false,
    })
}

/// Checks axes and zipped groups.
pub(crate) fn check(spec: &SweepSpec, variables: &Variables, places: &mut Places, errors: &mut SpecErrors) {
    for (key, values) in &spec.axes {
        let field = join("axes", key);
        if list(key, values, "axes", variables, errors) {
            distinct(items(values), &field, errors);
            places.claim(key, &field, errors);
        }
    }
    for (index, zip) in spec.zip.iter().enumerate() {
        check_zip(zip, &format!("zip[{index}]"), variables, places, errors);
    }
}

fn check_zip(
    zip: &Map<String, Value>,
    table: &str,
    variables: &Variables,
    places: &mut Places,
    errors: &mut SpecErrors,
) {
    if zip.is_empty() {
        let message = "expected keys with lists of equal length, which vary together";
        errors.push(SpecError::new(table, message));
        return;
    }
    let before = errors.0.len();
    for (key, values) in zip {
        if list(key, values, table, variables, errors) {
            places.claim(key, &join(table, key), errors);
        }
    }
    if errors.0.len() > before {
        return;
    }
    let lengths: HashSet<usize> = zip.values().map(|values| items(values).len()).collect();
    if lengths.len() > 1 {
        let told: Vec<String> =
            zip.iter().map(|(key, values)| format!("{key} has {}", items(values).len())).collect();
        let message =
            format!("lists of one [[zip]] vary together and must have the same length: {}", told.join(", "));
        errors.push(SpecError::new(table, message));
        return;
    }
    let row = |row| zip.values().map(|values| meaning(&items(values)[row])).collect::<Vec<_>>().join(" ");
    let mut seen = HashSet::new();
    for index in 0..zip_length(zip) {
        if !seen.insert(row(index)) {
            let message = format!("these values stand together twice: entry {index} repeats an earlier one");
            errors.push(SpecError::new(table, message));
        }
    }
}

/// Checks a list of values of a key; whether the key exists and it is a list.
fn list(key: &str, values: &Value, table: &str, variables: &Variables, errors: &mut SpecErrors) -> bool {
    if !variables.contains(key) && !known_key(key, table, errors) {
        return false;
    }
    let field = join(table, key);
    let Value::Array(values) = values else {
        errors.push(SpecError::new(&field, "expected a list of values").found(values));
        return false;
    };
    if values.is_empty() {
        errors.push(SpecError::new(&field, "expected at least one value"));
    }
    for (index, value) in values.iter().enumerate() {
        check_swept_value(key, value, &format!("{field}[{index}]"), variables, errors);
    }
    true
}

/// Whether a (dotted) key can be swept.
pub(crate) fn known_key(key: &str, table: &str, errors: &mut SpecErrors) -> bool {
    if matches!(key, "seed" | "seeds") {
        let message = "seeds are replicates, not an axis: write `seeds = …` at the top";
        errors.push(SpecError::new(join(table, key), message));
        return false;
    }
    let known = trial::sweepable_keys();
    let exists = known.iter().any(|known| known == key);
    if !exists {
        errors.push(keys::unknown_key(table, key, known.iter().map(String::as_str)));
    }
    exists
}

/// Checks a value of a key or of a variable.
pub(crate) fn check_swept_value(
    key: &str,
    value: &Value,
    field: &str,
    variables: &Variables,
    errors: &mut SpecErrors,
) {
    if variables.contains(key) {
        variables::check_value(key, value, field, errors);
    } else {
        check_value(key, value, field, errors);
    }
}

/// Checks a value as if it stood in a trial, and reports it where it stands.
pub(crate) fn check_value(key: &str, value: &Value, field: &str, errors: &mut SpecErrors) {
    let mut wrong = SpecErrors::default();
    trial::check_keys(&Map::from_iter([(key.to_owned(), value.clone())]), "", &mut wrong);
    for mut error in wrong {
        let below = error.field.strip_prefix(key).unwrap_or_default();
        error.field = format!("{field}{below}");
        errors.push(error);
    }
}

fn distinct(values: &[Value], field: &str, errors: &mut SpecErrors) {
    let mut seen = HashSet::new();
    for (index, value) in values.iter().enumerate() {
        if !seen.insert(meaning(value)) {
            let field = format!("{field}[{index}]");
            errors.push(SpecError::new(field, "this value is listed twice").found(value));
        }
    }
}

/// A text that is equal for values that mean the same: for `1` and `1.0`.
pub(crate) fn meaning(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |float| float.to_string())
        }
        Value::Array(items) => format!("[{}]", items.iter().map(meaning).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let entries =
                map.iter().map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), meaning(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}
