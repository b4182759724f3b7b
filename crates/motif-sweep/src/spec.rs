//! A sweep as its author writes it: strict keys, defaults, presets with overrides. [`SweepSpec::plan`] makes it concrete.
//!
//! It knows neither files nor HTTP: text or JSON in, a checked value or every problem out.

use motif_net::config::TrialConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    check,
    claims::Claim,
    document::{Document, Format},
    expand, keys,
    lifecycle::Policy,
    origin,
    plan::{Condition, Plan},
    presets, probe,
    requires::{Needs, Requires},
    sample,
    stopping::{Rule, Stop},
    until::Until,
};

pub use crate::errors::{SPEC_ERRORS_MAX, SpecError, SpecErrors};

/// Conditions of one sweep.
pub const CONDITIONS_MAX: usize = 10_000;
/// Trials of one sweep.
pub const TRIALS_MAX: usize = 1_000_000;
/// Seeds of one sweep.
pub const SEEDS_MAX: usize = 1_000;
/// Largest seed: JavaScript reads it exactly.
pub const SEED_VALUE_MAX: u64 = (1 << 53) - 1;
/// Longest name of a sweep, in characters.
pub const NAME_MAX_CHARS: usize = 100;
/// Longest description of a sweep, in characters.
pub const DESCRIPTION_MAX_CHARS: usize = 4_000;
/// Longest label of a condition, in characters.
pub const LABEL_MAX_CHARS: usize = 200;
/// Longest name of a metric, in characters.
pub const METRIC_MAX_CHARS: usize = 100;
/// Keys that one sweep varies.
pub const AXES_MAX: usize = 32;

/// Highest priority of a sweep; the lowest is its negative.
pub const PRIORITY_MAX: i32 = 1_000;

/// Items of one sweep's `exclude`.
pub const EXCLUDES_MAX: usize = 1_000;

/// The metrics that finished trials have: all of them those of the training examples, those with `validation` the ones
/// of the examples held out, the others the ones of the test examples.
pub const FINAL_METRICS: [&str; 6] =
    ["test_accuracy", "test_loss", "validation_accuracy", "validation_loss", "train_accuracy", "train_loss"];

/// The replicates of every condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Seeds {
    /// The seeds `0 … n-1`.
    Count(u64),
    /// These seeds.
    List(Vec<u64>),
}

impl Seeds {
    /// The seeds themselves, in order.
    #[must_use]
    pub fn values(&self) -> Vec<u64> {
        match self {
            Self::Count(count) => (0..*count).collect(),
            Self::List(seeds) => seeds.clone(),
        }
    }

    /// Number of seeds.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::List(seeds) => seeds.len(),
        }
    }
}

/// A sweep, as written. Maps keep the order of the text, which is the order of the conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SweepSpec {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The replicates of every condition: a count, or a list.
    pub seeds: Seeds,
    /// Part of a trial, or a `label`, that exactly one condition has: the others are tested against that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Map<String, Value>>,
    /// The metric that is compared.
    pub metric: String,
    /// What all trials share; keys as in a trial, those within tables also dotted.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub trial: Map<String, Value>,
    /// Lists of values by (dotted) trial key; they are crossed, the last one varying fastest.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub axes: Map<String, Value>,
    /// Groups of keys whose lists vary together, entry by entry; each group is crossed with the axes and the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zip: Vec<Map<String, Value>>,
    /// Keys that are sampled: `count` points, by which `method`, with which `seed`, and a range for each key. The points
    /// are crossed with everything else.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub sample: Map<String, Value>,
    /// Keys that are computed in every condition from its other numbers, by expressions such as `"rates.w * 0.4"`; an
    /// arm that sets such a key keeps its own value.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub derive: Map<String, Value>,
    /// What is left out of the crossed conditions: those that match all entries of one of these tables, each a value
    /// or a list of alternatives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Map<String, Value>>,
    /// Further conditions, not crossed: keys as in a trial, and an optional `label`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<Map<String, Value>>,
    /// What the sweep is to show, each with the test that decides on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// Which trials end early, for searches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What the queue may spend on each trial, where it differs from the server's policy.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub queue: Map<String, Value>,
    /// What workers must have to take the sweep's trials; of trials and their results it is no part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<Requires>,
    /// Trials of the sweep with the higher number run first, whole numbers from -1000 to 1000.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = -1000, max = 1000))]
    pub priority: i32,
    /// Whether trials hand over their weights and the matrices of Fig. 3, before training and after it, as NumPy archives.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub snapshots: bool,
    /// Sequential replication: a seed is added to all conditions after the last one has ended, until every condition's
    /// 95 % interval on the metric is at most `half_width` to either side, or there are `max_seeds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Default for SweepSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            seeds: Seeds::Count(1),
            baseline: None,
            metric: FINAL_METRICS[0].to_owned(),
            trial: Map::new(),
            axes: Map::new(),
            zip: Vec::new(),
            sample: Map::new(),
            derive: Map::new(),
            exclude: Vec::new(),
            arms: Vec::new(),
            claims: Vec::new(),
            stop: None,
            queue: Map::new(),
            requires: None,
            priority: 0,
            snapshots: false,
            until: None,
        }
    }
}

impl SweepSpec {
    /// Reads a sweep from TOML, `preset = "…"` with `[overrides]` included, and plans it once to find every problem.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, SpecErrors> {
        Document::read(text, Format::Toml)?.sweep()
    }

    /// Reads a sweep from JSON: a whole spec, or `{"preset": name, "overrides": {…}}`.
    ///
    /// # Errors
    /// Everything that is wrong with its parts; what is wrong with their combination, [`Self::plan`] tells.
    pub fn from_json(value: Value) -> Result<Self, SpecErrors> {
        match value {
            Value::Object(map) => Self::from_map(&map),
            other => Err(SpecError::new("", "a sweep is a table of keys and values").found(&other).into()),
        }
    }

    pub(crate) fn from_map(given: &Map<String, Value>) -> Result<Self, SpecErrors> {
        let resolved;
        let given = if given.contains_key("preset") {
            resolved = presets::resolve(given)?;
            &resolved
        } else {
            given
        };
        let mut errors = SpecErrors::default();
        let given = &flattened(given, &mut errors);
        check_shape(given, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let value = Value::Object(given.clone());
        let spec: Self = probe::read(&value).map_err(|located| keys::refused("", &value, located))?;
        check::spec(&spec, &mut errors);
        errors.or(spec)
    }

    /// The spec as JSON; [`Self::from_json`] reads it back to the same.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("a spec is plain data")
    }

    /// Makes the sweep concrete. The same spec always gives the same plan.
    ///
    /// # Errors
    /// Everything that is wrong: with the parts, with single conditions, between conditions, with the baseline.
    pub fn plan(&self) -> Result<Plan, SpecErrors> {
        expand::plan(self)
    }

    /// Where the spec gives a `field` of a condition of its plan its value: `axes.ratio`, `arms[1].rates.v`, or
    /// `trial.hidden[0]` when it stands nowhere else.
    #[must_use]
    pub fn origin(&self, plan: &Plan, condition: &Condition, field: &str) -> String {
        // Arms come after the crossed conditions.
        let crossed = plan.conditions.len().saturating_sub(self.arms.len());
        origin::of(self, (condition.index as usize).checked_sub(crossed), field)
    }

    /// The rule by which trials end early, with everything settled.
    #[must_use]
    pub fn stopping(&self) -> Option<Rule> {
        self.stop.as_ref().map(|stop| stop.rule(&self.metric))
    }

    /// What workers must have to take its trials.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.requires.as_ref().map(Requires::needs).unwrap_or_default()
    }

    /// What the queue may spend on each trial: the spec's `[queue]` table over the server's own policy.
    ///
    /// # Errors
    /// What is wrong with the outcome.
    pub fn policy(&self, server: &Policy) -> Result<Policy, SpecErrors> {
        check::policy(&self.queue, server)
    }
}

/// The spec with the keys of what varies dotted, so that `rates.v = […]` and `"rates.v" = […]` mean the same.
pub(crate) fn flattened(given: &Map<String, Value>, errors: &mut SpecErrors) -> Map<String, Value> {
    let mut flat = given.clone();
    for (name, leaf) in
        [("axes", never as fn(&Value) -> bool), ("sample", sample::is_range), ("derive", never)]
    {
        if let Some(Value::Object(table)) = flat.get_mut(name) {
            *table = keys::dotted(table, name, leaf, errors);
        }
    }
    for list in ["zip", "exclude"] {
        let Some(Value::Array(tables)) = flat.get_mut(list) else { continue };
        for (index, table) in tables.iter_mut().enumerate() {
            if let Value::Object(table) = table {
                *table = keys::dotted(table, &format!("{list}[{index}]"), never, errors);
            }
        }
    }
    if let Some(Value::Array(claims)) = flat.get_mut("claims") {
        for (index, claim) in claims.iter_mut().enumerate() {
            for name in ["of", "against"] {
                let Some(Value::Object(table)) = claim.get_mut(name) else { continue };
                *table = keys::dotted(table, &format!("claims[{index}].{name}"), never, errors);
            }
        }
    }
    flat
}

/// For lists, values and expressions: every table is on the way to one.
fn never(_: &Value) -> bool {
    false
}

/// Checks keys and types of the top level; what stands within `trial`, `axes`, `arms` is checked later.
fn check_shape(given: &Map<String, Value>, errors: &mut SpecErrors) {
    let mut rest = given.clone();
    if let Some(seeds) = rest.shift_remove("seeds")
        && probe::read::<Seeds>(&seeds).is_err()
    {
        let message = "expected a number of seeds, or a list of seeds, each a whole number, 0 or more";
        errors.push(SpecError::new("seeds", message).found(&seeds));
    }
    let known = probe::keys_of::<SweepSpec>();
    let trial_keys = probe::keys_of::<TrialConfig>();
    rest.retain(|key, value| {
        let misplaced = !known.contains(&key.as_str()) && trial_keys.contains(&key.as_str());
        if misplaced {
            let message = "unknown key here: what all trials share stands in the [trial] table";
            errors.push(SpecError::new(key, message).found(value).suggest(Some(format!("trial.{key}"))));
        }
        !misplaced
    });
    let Value::Object(defaults) = SweepSpec::default().to_json() else { return };
    keys::check_table::<SweepSpec>(&rest, known, &defaults, "", errors);
}
