//! `exclude`: which crossed conditions a sweep leaves out.
//!
//! An entry is compared with what the condition's config has there, so that `2` and `2.0`, or synapses in another
//! order, are the same.

use std::collections::{BTreeMap, HashSet};

use motif_net::config::TrialConfig;
use serde_json::{Map, Value};

use crate::{
    document::join,
    errors::{SpecError, SpecErrors},
    keys, normal, origin,
    spec::EXCLUDES_MAX,
    trial,
    variables::{self, Variables},
    varied::{self, meaning},
};

/// The items of a spec, with the keys that they look at.
#[derive(Debug)]
pub(crate) struct Excludes {
    keys: Vec<String>,
    items: Vec<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Index into the keys.
    key: usize,
    /// What the key's value may mean; `None` is what a config leaves out.
    alternatives: HashSet<Option<String>>,
}

/// What a config has at the keys that excludes look at.
pub(crate) struct Looked(Vec<Option<String>>);

/// Checks keys and values.
pub(crate) fn check(items: &[Map<String, Value>], variables: &Variables, errors: &mut SpecErrors) {
    if items.len() > EXCLUDES_MAX {
        let message = format!("expected at most {EXCLUDES_MAX} items, found {}", items.len());
        errors.push(SpecError::new("exclude", message));
        return;
    }
    for (index, item) in items.iter().enumerate() {
        let table = format!("exclude[{index}]");
        if item.is_empty() {
            errors.push(SpecError::new(&table, "expected keys that a condition must match to be left out"));
        }
        check_item(item, &table, variables, errors);
    }
}

/// Checks one table of keys, each with a value or a list of alternatives.
pub(crate) fn check_item(
    item: &Map<String, Value>,
    table: &str,
    variables: &Variables,
    errors: &mut SpecErrors,
) {
    for (key, value) in item {
        if variables.contains(key) {
            let field = join(table, key);
            alternatives(value).iter().for_each(|value| variables::check_value(key, value, &field, errors));
            continue;
        }
        if !varied::known_key(key, table, errors) || is_value(key, value) {
            continue;
        }
        let field = join(table, key);
        match value {
            Value::Array(values) if !values.is_empty() && values.iter().any(|value| is_value(key, value)) => {
                for (index, value) in values.iter().enumerate() {
                    varied::check_value(key, value, &format!("{field}[{index}]"), errors);
                }
            }
            _ => varied::check_value(key, value, &field, errors),
        }
    }
}

/// The alternatives that a variable's entry lists, or the one that it is.
fn alternatives(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) if !values.is_empty() => values,
        _ => std::slice::from_ref(value),
    }
}

/// Whether it is a value of the key rather than a list of alternatives.
fn is_value(key: &str, value: &Value) -> bool {
    let mut wrong = SpecErrors::default();
    varied::check_value(key, value, "", &mut wrong);
    wrong.is_empty()
}

/// The items, once they are checked.
pub(crate) fn read(items: &[Map<String, Value>], variables: &Variables) -> Excludes {
    let mut excludes = Excludes { keys: Vec::new(), items: Vec::new() };
    for item in items {
        let entries = item.iter().map(|(key, value)| excludes.entry(key, value, variables)).collect();
        excludes.items.push(entries);
    }
    excludes
}

/// What a value means in a config: it is read there, and written as the config writes it.
fn meant(key: &str, value: &Value) -> Option<Option<String>> {
    let entry = Map::from_iter([(key.to_owned(), value.clone())]);
    let opened = keys::undotted(&entry, "", &mut SpecErrors::default());
    let config = trial::resolve(&[&opened], "").ok()?;
    Some(trial::at(&whole(&config), key).map(meaning))
}

/// A config as a table in which equal configs are equal.
fn whole(config: &TrialConfig) -> Map<String, Value> {
    trial::to_map(&normal::sorted(config.clone()))
}

impl Excludes {
    fn entry(&mut self, key: &str, value: &Value, variables: &Variables) -> Entry {
        let is_variable = variables.contains(key);
        let values = match value {
            Value::Array(values) if is_variable || !is_value(key, value) => values.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let meant = |value| if is_variable { Some(Some(meaning(value))) } else { meant(key, value) };
        let alternatives = values.iter().filter_map(meant).collect();
        let known = self.keys.iter().position(|known| known == key);
        let key = known.unwrap_or_else(|| {
            self.keys.push(key.to_owned());
            self.keys.len() - 1
        });
        Entry { key, alternatives }
    }

    /// What a condition has at the keys of the items: in its config, or in what it sweeps, where that is a variable.
    pub(crate) fn look(
        &self,
        config: &TrialConfig,
        variables: &Variables,
        axes: &BTreeMap<String, Value>,
    ) -> Looked {
        let config = if self.keys.is_empty() { Map::new() } else { whole(config) };
        let look = |key: &String| match axes.get(key) {
            Some(value) if variables.contains(key) => Some(meaning(value)),
            _ => trial::at(&config, key).map(meaning),
        };
        Looked(self.keys.iter().map(look).collect())
    }

    /// The items that match, by their index; those that look at one of the `unknown` keys do not count.
    pub(crate) fn matching(&self, looked: &Looked, unknown: &[&str]) -> impl Iterator<Item = usize> {
        let related = |key: &String| unknown.iter().any(|unknown| origin::related(key, unknown));
        let unknown: Vec<bool> = self.keys.iter().map(related).collect();
        let matches = move |item: &[Entry]| {
            item.iter().all(|entry| !unknown[entry.key] && entry.alternatives.contains(&looked.0[entry.key]))
        };
        self.items.iter().enumerate().filter(move |(_, item)| matches(item)).map(|(index, _)| index)
    }

    /// Refuses items that leave nothing out, which are probably mistyped.
    pub(crate) fn check_used(&self, used: &HashSet<usize>, errors: &mut SpecErrors) {
        for index in (0..self.items.len()).filter(|index| !used.contains(index)) {
            let message = "no crossed condition matches all of this, so that it leaves nothing out";
            errors.push(SpecError::new(format!("exclude[{index}]"), message));
        }
    }
}
