//! One trial's config from TOML or JSON, strictly: unknown keys, wrong types and impossible values are all reported.
//!
//! It knows what a config consists of only through [`TrialConfig`] itself.

use std::sync::LazyLock;

use motif_net::config::{Augment, Diagnostics, NamedCadence, StepCadence, Synapse, TrialConfig};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::{
    document::{Document, Format, join},
    keys, probe,
};

pub use crate::errors::{SpecError, SpecErrors};
pub use motif_net::{ImageShape, TaskSize};

/// Reads a trial from TOML; what it leaves out has its default.
///
/// # Errors
/// Everything that is wrong, with line and column.
pub fn from_toml(text: &str) -> Result<TrialConfig, SpecErrors> {
    Document::read(text, Format::Toml)?.trial()
}

/// Reads a trial from JSON; what it leaves out has its default.
///
/// # Errors
/// Everything that is wrong.
pub fn from_json(value: &Value) -> Result<TrialConfig, SpecErrors> {
    match value {
        Value::Object(map) => from_map(map),
        other => Err(SpecError::new("", "a trial is a table of keys and values").found(other).into()),
    }
}

pub(crate) fn from_map(given: &Map<String, Value>) -> Result<TrialConfig, SpecErrors> {
    let mut errors = SpecErrors::default();
    let given = check_keys(given, "", &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let config = resolve(&[&given], "")?;
    check_values(&config, "", &mut errors);
    errors.or(config)
}

/// The metrics that trials of a stored config have once they succeeded; `None` of what is no config.
#[must_use]
pub fn final_metrics(config: &Value) -> Option<[&'static str; 4]> {
    TrialConfig::deserialize(config).ok().map(|config| config.final_metrics())
}

/// The defaults, as a table. `augment`, which a config leaves out while it is off, is there: its keys can be reached.
static DEFAULTS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut defaults = to_map(&TrialConfig::default());
    let off = serde_json::to_value(Augment::default()).expect("a config is plain data");
    defaults.insert("augment".to_owned(), off);
    defaults
});

/// A config as a table.
pub(crate) fn to_map(config: &TrialConfig) -> Map<String, Value> {
    match serde_json::to_value(config).expect("a config is plain data") {
        Value::Object(map) => map,
        other => unreachable!("a config is a table, not {other}"),
    }
}

/// What a config, as a table, has at a dotted key.
pub(crate) fn at<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    let mut steps = key.split('.');
    let first = config.get(steps.next()?)?;
    steps.try_fold(first, |here, step| here.get(step))
}

/// The keys that say when something is logged.
pub(crate) const CADENCES: [&str; 2] = ["diagnostics", "spectra"];

/// Every key a trial may have, those within tables dotted.
pub(crate) fn dotted_keys() -> Vec<String> {
    let mut dotted = Vec::new();
    for key in probe::keys_of::<TrialConfig>() {
        dotted.push((*key).to_owned());
        if let Some(Value::Object(inner)) = DEFAULTS.get(*key) {
            dotted.extend(inner.keys().map(|inner| join(key, inner)));
        }
    }
    dotted
}

/// Every key that can be swept: those, and those within tables that the defaults do not show.
pub(crate) fn sweepable_keys() -> &'static [String] {
    static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let cadences = CADENCES.iter().map(|cadence| format!("{cadence}.every_steps"));
        let updates = Synapse::ALL.iter().map(|synapse| format!("updates.{}", synapse.name()));
        dotted_keys().into_iter().chain(cadences).chain(updates).collect()
    });
    &KEYS
}

/// Checks a part of a trial by keys and types; returns it with its dotted keys opened into tables.
pub(crate) fn check_keys(
    given: &Map<String, Value>,
    prefix: &str,
    errors: &mut SpecErrors,
) -> Map<String, Value> {
    let given = keys::undotted(given, prefix, errors);
    let mut rest = given.clone();
    for key in CADENCES {
        if let Some(cadence) = rest.shift_remove(key) {
            check_cadence(&cadence, &join(prefix, key), errors);
        }
    }
    let known = probe::keys_of::<TrialConfig>();
    keys::check_table::<TrialConfig>(&rest, known, &DEFAULTS, prefix, errors);
    given
}

/// An untagged enum cannot say which of its two forms was meant: the value's type tells.
fn check_cadence(value: &Value, field: &str, errors: &mut SpecErrors) {
    let checked = match value {
        Value::String(_) => probe::read::<NamedCadence>(value).map(|_| ()),
        Value::Object(_) => probe::read::<StepCadence>(value).map(|_| ()),
        _ => probe::read::<Diagnostics>(value).map(|_| ()).map_err(|_| {
            let expected = "expected \"off\", \"ends\", \"epoch\" or { every_steps = n }";
            probe::Fault::Other(expected.to_owned()).into()
        }),
    };
    if let Err(located) = checked {
        errors.push(keys::refused(field, value, located));
    }
}

/// The config of the defaults overlaid with checked layers, in their order.
pub(crate) fn resolve(layers: &[&Map<String, Value>], prefix: &str) -> Result<TrialConfig, SpecErrors> {
    let mut whole = DEFAULTS.clone();
    for layer in layers {
        keys::overlay(&mut whole, layer);
    }
    let whole = Value::Object(whole);
    probe::read(&whole).map_err(|located| keys::refused(prefix, &whole, located).into())
}

/// Checks a whole config by its values.
pub(crate) fn check_values(config: &TrialConfig, prefix: &str, errors: &mut SpecErrors) {
    for violation in config.violations() {
        let message = format!("expected {}", violation.expected);
        errors.push(SpecError {
            value: Some(violation.value),
            ..SpecError::new(join(prefix, &violation.field), message)
        });
    }
}
