//! Built-in sweeps, and specs that are a preset with some entries changed.

use std::{fmt, sync::LazyLock};

use serde_json::{Map, Value};

use crate::{
    document::{Document, Format},
    errors::{SpecError, SpecErrors},
    keys,
    spec::{self, SweepSpec},
};

/// How large a preset is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Minutes on two cores, on the built-in dataset.
    #[default]
    Quick,
    /// The sizes and datasets of the paper: hours to days.
    Paper,
}

impl Scale {
    /// All scales.
    pub const ALL: [Self; 2] = [Self::Quick, Self::Paper];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Paper => "paper",
        }
    }

    /// The scale of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scale| scale.name() == name)
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A built-in sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is for: the spec's description.
    pub summary: String,
    /// Its spec, at the scale `quick` when it has scales.
    pub spec: SweepSpec,
    /// The text that the spec was read from.
    pub toml: &'static str,
    /// Its spec at the scale `paper`, when it has scales.
    pub paper: Option<SweepSpec>,
}

impl Preset {
    /// Its spec at a scale; without one, as it stands.
    ///
    /// # Errors
    /// When it has no scales and one is asked for.
    pub fn at(&self, scale: Option<Scale>) -> Result<&SweepSpec, SpecError> {
        match (scale, &self.paper) {
            (None, _) | (Some(Scale::Quick), Some(_)) => Ok(&self.spec),
            (Some(Scale::Paper), Some(paper)) => Ok(paper),
            (Some(scale), None) => {
                let scaled: Vec<&str> =
                    all().iter().filter(|preset| preset.paper.is_some()).map(|preset| preset.name).collect();
                let message =
                    format!("the preset {} has only one scale; {} have two", self.name, scaled.join(", "));
                Err(SpecError::new("scale", message).found(&Value::from(scale.name())))
            }
        }
    }
}

/// A preset's name, its text and, when it has scales, what is different at the scale `paper`; a text that does not
/// parse fails the tests of this module.
type Text = (&'static str, &'static str, Option<&'static str>);

/// A preset of the paper's.
macro_rules! scaled {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../presets/", $name, ".toml")),
            Some(include_str!(concat!("../presets/", $name, ".paper.toml"))),
        )
    };
}

/// A preset of one scale.
macro_rules! plain {
    ($name:literal) => {
        ($name, include_str!(concat!("../presets/", $name, ".toml")), None)
    };
}

const TEXTS: [Text; 11] = [
    plain!("demo"),
    scaled!("fig2"),
    scaled!("fig3"),
    scaled!("fig4"),
    scaled!("fig5"),
    scaled!("tables"),
    scaled!("theorem1"),
    plain!("mnist"),
    plain!("rules-mnist"),
    plain!("rules-cifar10"),
    plain!("rules-glyphs"),
];

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| TEXTS.into_iter().map(read).collect());

fn read((name, toml, paper): Text) -> Preset {
    let spec = SweepSpec::from_toml(toml).expect("built-in presets are tested");
    let paper = paper.map(|text| {
        let over = Document::read(text, Format::Toml).expect("built-in presets are tested");
        let Value::Object(mut whole) = spec.to_json() else { unreachable!("a spec is a table") };
        let over = spec::flattened(over.root(), &mut SpecErrors::default());
        merge(&mut whole, &over);
        SweepSpec::from_json(Value::Object(whole)).expect("built-in presets are tested")
    });
    Preset { name, summary: spec.description.clone().unwrap_or_default(), spec, toml, paper }
}

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

/// `{"preset": name, "scale": "paper", "overrides": {…}}` as a whole spec. Tables are merged entry by entry, lists and
/// values replaced, and `null` removes an entry.
pub(crate) fn resolve(given: &Map<String, Value>) -> Result<Map<String, Value>, SpecErrors> {
    let mut errors = SpecErrors::default();
    for key in given.keys().filter(|key| !matches!(key.as_str(), "preset" | "scale" | "overrides")) {
        let message = "unknown key: beside `preset` stand only `scale`, and `overrides`, which holds what is to be different";
        errors.push(SpecError::new(key, message).suggest(Some(format!("overrides.{key}"))));
    }
    let spec = base(given, &mut errors);
    let overrides = match given.get("overrides") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(overrides)) => spec::flattened(overrides, &mut errors),
        Some(other) => {
            errors.push(SpecError::new("overrides", "expected a table").found(other));
            Map::new()
        }
    };
    match spec.map(SweepSpec::to_json) {
        Some(Value::Object(mut spec)) if errors.is_empty() => {
            merge(&mut spec, &overrides);
            Ok(spec)
        }
        _ => Err(errors),
    }
}

/// The spec of the preset and the scale that are named.
fn base(given: &Map<String, Value>, errors: &mut SpecErrors) -> Option<&'static SweepSpec> {
    let scale = match given.get("scale") {
        None | Some(Value::Null) => None,
        Some(named) => {
            let scale = named.as_str().and_then(Scale::from_name);
            if scale.is_none() {
                let names = Scale::ALL.map(Scale::name);
                let message = format!("expected a scale: {}", names.join(", "));
                let near = named.as_str().and_then(|name| keys::near(name, names));
                errors.push(SpecError::new("scale", message).found(named).suggest(near));
            }
            scale
        }
    };
    let name = &given["preset"];
    let Some(preset) = name.as_str().and_then(find) else {
        let names = || TEXTS.iter().map(|(name, ..)| *name);
        let message = format!("expected the name of a preset: {}", names().collect::<Vec<_>>().join(", "));
        let near = name.as_str().and_then(|name| keys::near(name, names()));
        errors.push(SpecError::new("preset", message).found(name).suggest(near));
        return None;
    };
    preset.at(scale).map_err(|error| errors.push(error)).ok()
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
