//! Claims: what a sweep is to show, said before it runs. A claim names conditions, a metric and a test; the server
//! decides on it from the trials' values (`motif_stats::verdict`).
//!
//! It knows which conditions a claim is about, not what they measured.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::join,
    errors::{SpecError, SpecErrors},
    exclude::{self, Excludes},
    keys, label, metric,
    plan::Condition,
    spec::{LABEL_MAX_CHARS, SweepSpec},
    trial,
    variables::Variables,
    varied,
};

/// Claims of one sweep.
pub const CLAIMS_MAX: usize = 50;
/// Longest text of a claim, in characters.
pub const CLAIM_TEXT_MAX_CHARS: usize = 500;
/// Most values of an `each` key, and so tests that one claim makes.
pub const EACH_VALUES_MAX: usize = 50;

/// The metrics of all layers (`cos_theorem1.*`) end so: their mean over the layers counts.
pub const ALL_LAYERS: &str = ".*";

/// What would have to be so for a claim to hold. An effect is one number for each seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimTest {
    /// The mean over the conditions `of` is greater than that over `against`.
    Greater,
    /// It is not greater by `margin` or more.
    NotGreater,
    /// The two differ by less than `margin`, either way (two one-sided tests).
    Equivalent,
    /// Each single condition of `against` has a smaller mean than the conditions `of`.
    Best,
    /// The metric rises with the key `over`: its slope, for each doubling where all values are positive.
    Rises,
    /// The metric falls with the key `over`.
    Falls,
    /// The mean is greater than `level`.
    Above,
    /// The metric is greater at the last logged point than at the first.
    Grows,
    /// The metric is smaller at the last logged point than at the first.
    Shrinks,
}

/// A claim, as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The claim in words.
    pub text: String,
    /// The test that decides on it.
    pub test: ClaimTest,
    /// The metric; the sweep's own by default. `cos_theorem1.*` is the mean over the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// The conditions it is about: keys of a trial, each with a value or a list of alternatives, or a `label`. All of
    /// them by default.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub of: Map<String, Value>,
    /// What they are compared with, by `greater`, `not_greater`, `equivalent` and `best`; all others by default.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub against: Map<String, Value>,
    /// The key that the metric `rises` or `falls` with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
    /// Make the test for each value of this key by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// The smallest effect that matters, in the metric's unit: a claim of a smaller one is not supported. 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub margin: f64,
    /// What the mean must be `above`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl ClaimTest {
    /// Whether two groups of conditions are compared.
    #[must_use]
    pub const fn compares(self) -> bool {
        matches!(self, Self::Greater | Self::NotGreater | Self::Equivalent | Self::Best)
    }

    /// Whether a slope over a key is tested.
    #[must_use]
    pub const fn slopes(self) -> bool {
        matches!(self, Self::Rises | Self::Falls)
    }

    /// Whether the first and the last logged point are compared.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(self, Self::Grows | Self::Shrinks)
    }
}

/// One test of a claim: which conditions, by their index.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimGroup {
    /// `ratio=2`, where the claim is tested for each value of a key.
    pub label: Option<String>,
    /// The conditions that it is about.
    pub of: Vec<u32>,
    /// What they are compared with.
    pub against: Vec<u32>,
    /// The value of the key `over` for each condition of `of`.
    pub x: Vec<f64>,
}

/// Which conditions a table of keys names.
struct Selector<'a> {
    label: Option<Value>,
    keys: Excludes,
    variables: &'a Variables,
}

impl<'a> Selector<'a> {
    fn new(table: &Map<String, Value>, variables: &'a Variables) -> Self {
        let mut keys = table.clone();
        let label = keys.shift_remove("label");
        Self { label, keys: exclude::read(std::slice::from_ref(&keys), variables), variables }
    }

    fn has(&self, condition: &Condition) -> bool {
        let label = condition.label.as_str();
        let named = match &self.label {
            None => true,
            Some(Value::Array(labels)) => labels.iter().any(|one| one == label),
            Some(one) => one == label,
        };
        let looked = self.keys.look(&condition.config, self.variables, &condition.axes);
        named && self.keys.matching(&looked, &[]).next().is_some()
    }
}

/// The tests that a claim of a spec makes over its conditions.
#[must_use]
pub fn groups<'a>(spec: &SweepSpec, claim: &Claim, conditions: &'a [Condition]) -> Vec<ClaimGroup> {
    let variables = Variables::of(spec);
    let of = Selector::new(&claim.of, &variables);
    let against = Selector::new(&claim.against, &variables);
    let chosen = |selector: &Selector<'_>| -> Vec<&'a Condition> {
        conditions.iter().filter(|condition| selector.has(condition)).collect()
    };
    let of = chosen(&of);
    let against = if claim.test.compares() { chosen(&against) } else { Vec::new() };
    let Some(key) = &claim.each else { return vec![group(claim, None, &of, &against)] };
    let value = |condition: &Condition| value_at(condition, key);
    let mut values: Vec<Value> = Vec::new();
    for found in of.iter().filter_map(|condition| value(condition)) {
        if !values.iter().any(|known| varied::meaning(known) == varied::meaning(&found)) {
            values.push(found);
        }
    }
    let part = |wanted: &Value| {
        let has = |condition: &&&Condition| {
            value(condition).is_some_and(|value| varied::meaning(&value) == varied::meaning(wanted))
        };
        let pick = |all: &[&'a Condition]| all.iter().filter(has).copied().collect::<Vec<&'a Condition>>();
        group(claim, Some(label::of([(key, wanted)].into_iter())), &pick(&of), &pick(&against))
    };
    values.iter().map(part).collect()
}

fn group(claim: &Claim, label: Option<String>, of: &[&Condition], against: &[&Condition]) -> ClaimGroup {
    let own: BTreeSet<u32> = of.iter().map(|condition| condition.index).collect();
    let over = claim.over.as_deref().filter(|_| claim.test.slopes());
    // Conditions without a number there are not on the line.
    let x = |condition: &Condition| match over {
        Some(key) => value_at(condition, key)?.as_f64(),
        None => Some(0.0),
    };
    let (of, x) = of.iter().filter_map(|condition| Some((condition.index, x(condition)?))).unzip();
    let others = against.iter().map(|condition| condition.index);
    ClaimGroup {
        label,
        of,
        against: others.filter(|index| !own.contains(index)).collect(),
        x: if over.is_some() { x } else { Vec::new() },
    }
}

/// What a condition has at a key: in its config, or, of a variable, in what it sweeps.
fn value_at(condition: &Condition, key: &str) -> Option<Value> {
    let config = trial::to_map(&condition.config);
    let found = trial::at(&config, key);
    found.or_else(|| condition.axes.get(key)).cloned()
}

/// Checks what claims say by themselves.
pub(crate) fn check(spec: &SweepSpec, errors: &mut SpecErrors) {
    let claims = &spec.claims;
    if claims.len() > CLAIMS_MAX {
        errors
            .push(SpecError::new("claims", format!("expected at most {CLAIMS_MAX}, found {}", claims.len())));
        return;
    }
    let variables = Variables::of(spec);
    for (index, claim) in claims.iter().enumerate() {
        let place = format!("claims[{index}]");
        check_one(claim, &place, &variables, errors);
    }
}

fn check_one(claim: &Claim, place: &str, variables: &Variables, errors: &mut SpecErrors) {
    let at = |key: &str| join(place, key);
    let length = claim.text.chars().count();
    if claim.text.trim().is_empty() || length > CLAIM_TEXT_MAX_CHARS {
        let message = format!("expected the claim in words, at most {CLAIM_TEXT_MAX_CHARS} characters");
        errors.push(SpecError::new(at("text"), message).found(&Value::from(claim.text.as_str())));
    }
    for (name, table) in [("of", &claim.of), ("against", &claim.against)] {
        check_selection(table, &at(name), variables, errors);
    }
    let test = claim.test;
    let unused = |name: &str, given: bool, used: bool, errors: &mut SpecErrors| {
        if given && !used {
            errors.push(SpecError::new(at(name), format!("the test {} does not read this", named(test))));
        }
    };
    unused("against", !claim.against.is_empty(), test.compares(), errors);
    unused("over", claim.over.is_some(), test.slopes(), errors);
    unused("level", claim.level.is_some(), test == ClaimTest::Above, errors);
    if test.slopes() && claim.over.is_none() {
        errors.push(SpecError::new(at("over"), "missing: the key that the metric rises or falls with"));
    }
    if test == ClaimTest::Above && claim.level.is_none_or(|level| !level.is_finite()) {
        errors.push(SpecError::new(at("level"), "expected the number that the mean must be above"));
    }
    let needs_margin = matches!(test, ClaimTest::Equivalent | ClaimTest::NotGreater);
    let enough = claim.margin.is_finite() && claim.margin >= 0.0 && (claim.margin > 0.0 || !needs_margin);
    if !enough {
        let message = if needs_margin {
            "expected the smallest difference that matters, above 0"
        } else {
            "expected the smallest effect that matters, 0 or more"
        };
        errors.push(SpecError::new(at("margin"), message).found(&Value::from(claim.margin)));
    }
    for (name, key) in [("over", &claim.over), ("each", &claim.each)] {
        let known = trial::sweepable_keys();
        if let Some(key) = key.as_ref().filter(|key| !known.contains(key) && !variables.contains(key)) {
            let error =
                SpecError::new(at(name), "expected a key of a trial").found(&Value::from(key.as_str()));
            errors.push(error.suggest(keys::near(key, known.iter().map(String::as_str))));
        }
    }
}

fn check_selection(table: &Map<String, Value>, place: &str, variables: &Variables, errors: &mut SpecErrors) {
    let mut keys_only = table.clone();
    let text = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= LABEL_MAX_CHARS);
    match keys_only.shift_remove("label") {
        None => {}
        Some(Value::Array(labels)) if !labels.is_empty() && labels.iter().all(text) => {}
        Some(label) if text(&label) => {}
        Some(other) => {
            errors.push(
                SpecError::new(join(place, "label"), "expected a label, or a list of labels").found(&other),
            );
        }
    }
    exclude::check_item(&keys_only, place, variables, errors);
}

fn named(test: ClaimTest) -> String {
    serde_json::to_value(test).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Checks what claims say of the conditions that there are.
pub(crate) fn check_against(spec: &SweepSpec, conditions: &[Condition], errors: &mut SpecErrors) {
    for (index, claim) in spec.claims.iter().enumerate() {
        let place = format!("claims[{index}]");
        let groups = groups(spec, claim, conditions);
        if groups.len() > EACH_VALUES_MAX {
            let message =
                format!("this key has {} values; at most {EACH_VALUES_MAX} are allowed", groups.len());
            errors.push(SpecError::new(join(&place, "each"), message));
            continue;
        }
        let before = errors.0.len();
        for group in &groups {
            check_group(claim, group, &place, errors);
        }
        if groups.is_empty() {
            errors.push(SpecError::new(join(&place, "of"), "no condition matches all of this"));
        }
        if errors.0.len() == before {
            let of = groups.iter().flat_map(|group| group.of.iter().chain(&group.against));
            let involved: BTreeSet<u32> = of.copied().collect();
            check_metric(spec, claim, conditions, &involved, &place, errors);
        }
    }
}

fn check_group(claim: &Claim, group: &ClaimGroup, place: &str, errors: &mut SpecErrors) {
    let with = group.label.as_ref().map(|label| format!(" with {label}")).unwrap_or_default();
    if group.of.is_empty() {
        errors.push(SpecError::new(join(place, "of"), format!("no condition{with} matches all of this")));
    } else if claim.test.compares() && group.against.is_empty() {
        let message = format!("no other condition{with} matches all of this");
        errors.push(SpecError::new(join(place, "against"), message));
    }
    let mut values = group.x.clone();
    values.sort_by(f64::total_cmp);
    values.dedup();
    if claim.test.slopes() && values.len() < 2 {
        let message = format!("this key has fewer than two values{with}: there is no slope");
        errors.push(SpecError::new(join(place, "over"), message));
    }
}

/// Each condition that a claim is about logs its metric.
fn check_metric(
    spec: &SweepSpec,
    claim: &Claim,
    conditions: &[Condition],
    involved: &BTreeSet<u32>,
    place: &str,
    errors: &mut SpecErrors,
) {
    let name = claim.metric.as_ref().unwrap_or(&spec.metric);
    for condition in conditions.iter().filter(|condition| involved.contains(&condition.index)) {
        // What is logged at all hidden layers is logged at the first.
        let first =
            name.strip_suffix(ALL_LAYERS).map_or_else(|| name.clone(), |family| format!("{family}.1"));
        let mut wrong = SpecErrors::default();
        metric::check(&first, std::slice::from_ref(condition), &mut wrong);
        if let Some(error) = wrong.into_iter().next() {
            let message = format!("{} (in the condition \"{}\")", error.message, condition.label);
            let found = SpecError::new(join(place, "metric"), message).found(&Value::from(name.as_str()));
            errors.push(found.suggest(error.suggestion));
            return;
        }
    }
}
