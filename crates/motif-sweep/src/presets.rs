//! Built-in sweeps, and specs that are a preset with some entries changed.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::{
    errors::{SpecError, SpecErrors},
    keys,
    spec::{self, SweepSpec},
};

/// A built-in sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for: the spec's description.
    pub summary: String,
    /// Its spec.
    pub spec: SweepSpec,
    /// The text that the spec was read from.
    pub toml: &'static str,
}

/// Names and texts; a text that does not parse fails the tests of this module.
const TEXTS: [(&str, &str); 5] = [
    ("demo", include_str!("../presets/demo.toml")),
    ("mnist", include_str!("../presets/mnist.toml")),
    ("rules-mnist", include_str!("../presets/rules-mnist.toml")),
    ("rules-cifar10", include_str!("../presets/rules-cifar10.toml")),
    ("rules-glyphs", include_str!("../presets/rules-glyphs.toml")),
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    TEXTS
        .into_iter()
        .map(|(name, toml)| {
            let spec = SweepSpec::from_toml(toml).expect("built-in presets are tested");
            Preset { name, summary: spec.description.clone().unwrap_or_default(), spec, toml }
        })
        .collect()
});

/// All presets.
#[must_use]
pub fn all() -> &'static [Preset] {
    &PRESETS
}

/// The preset of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// `{"preset": name, "overrides": {…}}` as a whole spec. Tables are merged entry by entry, lists and values replaced,
/// and `null` removes an entry.
pub(crate) fn resolve(given: &Map<String, Value>) -> Result<Map<String, Value>, SpecErrors> {
    let mut errors = SpecErrors::default();
    for key in given.keys().filter(|key| !matches!(key.as_str(), "preset" | "overrides")) {
        let message =
            "unknown key: beside `preset` stands only `overrides`, which holds what is to be different";
        errors.push(SpecError::new(key, message).suggest(Some(format!("overrides.{key}"))));
    }
    let names = || TEXTS.iter().map(|(name, _)| *name);
    let name = &given["preset"];
    let preset = name.as_str().and_then(find);
    if preset.is_none() {
        let listed: Vec<&str> = names().collect();
        let message = format!("expected the name of a preset: {}", listed.join(", "));
        let suggestion = name.as_str().and_then(|name| keys::near(name, names()));
        errors.push(SpecError::new("preset", message).found(name).suggest(suggestion));
    }
    let overrides = match given.get("overrides") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(overrides)) => spec::flattened(overrides, &mut errors),
        Some(other) => {
            errors.push(SpecError::new("overrides", "expected a table").found(other));
            Map::new()
        }
    };
    match preset.map(|preset| preset.spec.to_json()) {
        Some(Value::Object(mut spec)) if errors.is_empty() => {
            merge(&mut spec, &overrides);
            Ok(spec)
        }
        _ => Err(errors),
    }
}

/// Lays `over` upon `base`; `null` removes.
pub(crate) fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => {
                base.shift_remove(key);
            }
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}
