//! Free variables: swept names that are no keys of a trial and that an expression of `[derive]` reads. They tell
//! conditions apart and appear in no config.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    errors::{SpecError, SpecErrors},
    expression::Expression,
    sample,
    spec::SweepSpec,
    trial,
};

/// The names of a spec's variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables(BTreeSet<String>);

impl Variables {
    /// Those that are swept and read; a swept name that no expression reads may be a misspelt key.
    pub(crate) fn of(spec: &SweepSpec) -> Self {
        let texts = spec.derive.values().filter_map(Value::as_str);
        let read: BTreeSet<String> = texts
            .filter_map(|text| Expression::parse(text).ok())
            .flat_map(|expression| expression.names().to_vec())
            .collect();
        let zips = spec.zip.iter().flat_map(Map::keys);
        let swept = spec.axes.keys().chain(zips).chain(sample::sampled_keys(&spec.sample));
        Self(swept.filter(|name| read.contains(*name) && is_free(name)).cloned().collect())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The entries of a table that are variables, and those that are not.
    pub(crate) fn split(&self, table: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
        table.clone().into_iter().partition(|(key, _)| self.contains(key))
    }
}

/// Whether a name is a plain one that a trial does not have, neither as a key nor as a table of keys.
fn is_free(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let taken = |key: &String| key == name || key.split_once('.').is_some_and(|(table, _)| table == name);
    plain && !matches!(name, "seed" | "seeds" | "label") && !trial::sweepable_keys().iter().any(taken)
}

/// Checks that a variable's value is a number.
pub(crate) fn check_value(name: &str, value: &Value, field: &str, errors: &mut SpecErrors) {
    if value.as_f64().is_none() {
        let message = format!("expected a number: `{name}` is a variable of [derive]");
        errors.push(SpecError::new(field, message).found(value));
    }
}

/// The variables among a condition's swept values.
pub(crate) fn numbers<'a>(
    variables: &Variables,
    axes: &'a BTreeMap<String, Value>,
) -> BTreeMap<&'a str, f64> {
    let own = axes.iter().filter(|(name, _)| variables.contains(name));
    own.filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?))).collect()
}
