//! From spec to plan: factors crossed, arms added, conditions told apart, the baseline found, trials put in order.
//!
//! It knows neither text nor store; the same spec always expands to the same plan.

use std::collections::{BTreeMap, HashMap, HashSet};

use motif_net::config::TrialConfig;
use serde_json::{Map, Value};

use crate::{
    check, claims,
    errors::{SpecError, SpecErrors},
    keys, label, metric, normal, order,
    plan::{Condition, Plan},
    resolve,
    spec::SweepSpec,
    stopping, trial, until,
    variables::Variables,
    varied::{self, Factor},
};

/// Labels that an error lists.
const LABELS_LISTED_MAX: usize = 20;

/// A condition before its config is resolved.
pub(crate) struct Draft {
    /// Its place among the arms, when it is one.
    pub(crate) arm: Option<usize>,
    pub(crate) label: String,
    /// What varies, dotted.
    pub(crate) axes: BTreeMap<String, Value>,
    /// What it sets, opened.
    pub(crate) keys: Map<String, Value>,
}

pub(crate) fn plan(spec: &SweepSpec) -> Result<Plan, SpecErrors> {
    let mut errors = SpecErrors::default();
    check::spec(spec, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let shared = opened(&spec.trial);
    let conditions = resolve::conditions(spec, drafts(spec, &shared), &shared, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    check_distinct(spec, &conditions, &mut errors);
    metric::check(&spec.metric, &conditions, &mut errors);
    claims::check_against(spec, &conditions, &mut errors);
    stopping::check(spec, &conditions, &mut errors);
    until::check_plan(spec, &conditions, &mut errors);
    let variables = Variables::of(spec);
    let wanted = spec.baseline.as_ref();
    let baseline = wanted.and_then(|wanted| baseline(wanted, &variables, &conditions, &mut errors));
    if !errors.is_empty() {
        return Err(errors);
    }
    let seeds = spec.seeds.values();
    let trials = order::blocks(&conditions, &seeds);
    Ok(Plan { conditions, seeds, baseline, trials })
}

/// Opens the dotted keys of a part that has been checked.
fn opened(part: &Map<String, Value>) -> Map<String, Value> {
    keys::undotted(part, "", &mut SpecErrors::default())
}

fn drafts(spec: &SweepSpec, shared: &Map<String, Value>) -> Vec<Draft> {
    let mut drafts = crossed(&varied::factors(spec), &Variables::of(spec));
    for (index, arm) in spec.arms.iter().enumerate() {
        let mut keys = arm.clone();
        let given = keys.shift_remove("label");
        let label = match given.as_ref().and_then(Value::as_str) {
            Some(label) => label.to_owned(),
            None => label::of(keys.iter()),
        };
        drafts.push(Draft { arm: Some(index), label, axes: BTreeMap::new(), keys: opened(&keys) });
    }
    if drafts.is_empty() {
        let rule = trial::resolve(&[shared], "trial").map(|config| trial::to_map(&config));
        let label = match rule.ok().as_ref().and_then(|config| config.get("rule")) {
            Some(Value::String(rule)) => rule.clone(),
            _ => "trial".to_owned(),
        };
        drafts.push(Draft { arm: None, label, axes: BTreeMap::new(), keys: Map::new() });
    }
    drafts
}

/// The product of the factors in their order, the last one varying fastest.
fn crossed(factors: &[Factor], variables: &Variables) -> Vec<Draft> {
    if factors.is_empty() {
        return Vec::new();
    }
    let untold: HashSet<&String> =
        factors.iter().flat_map(|factor| factor.keys.iter().skip(factor.telling)).collect();
    let mut points: Vec<Vec<(&String, &Value)>> = vec![Vec::new()];
    for factor in factors {
        let longer = |point: &Vec<_>, row| {
            let point: &Vec<(&String, &Value)> = point;
            point.iter().copied().chain(factor.keys.iter().zip(row)).collect()
        };
        points =
            points.iter().flat_map(|point| factor.rows.iter().map(move |row| longer(point, row))).collect();
    }
    let draft = |point: Vec<(&String, &Value)>| {
        let entries = || point.iter().map(|(key, value)| ((*key).clone(), (*value).clone()));
        let keys = opened(&variables.split(&entries().collect()).1);
        let told = point.iter().copied().filter(|(key, _)| !untold.contains(key));
        Draft { arm: None, label: label::of(told), axes: entries().collect(), keys }
    };
    points.into_iter().map(draft).collect()
}

fn check_distinct(spec: &SweepSpec, conditions: &[Condition], errors: &mut SpecErrors) {
    let table =
        |condition: &Condition| if condition.axes.is_empty() { "arms" } else { varied::first_factor(spec) };
    let mut labels = HashMap::new();
    let mut configs = HashMap::new();
    for condition in conditions {
        if let Some(other) = labels.insert(condition.label.as_str(), condition.index) {
            let message = format!("conditions {other} and {} have the same label", condition.index);
            // An arm, when there is one, comes last.
            errors.push(
                SpecError::new(table(condition), message).found(&Value::from(condition.label.as_str())),
            );
        }
        let same = configs.insert(normal::key(&condition.config), condition);
        if let Some(other) = same.filter(|other| other.label != condition.label) {
            let message = format!(
                "the conditions \"{}\" and \"{}\" train the same thing: what tells them apart has no effect under \
                 rule {}{}",
                other.label,
                condition.label,
                trial::to_map(&condition.config).get("rule").unwrap_or(&Value::Null),
                if condition.axes.is_empty() { "" } else { "; `exclude` can leave one of them out" }
            );
            errors.push(SpecError::new(table(condition), message));
        }
    }
}

/// The one condition that has the wanted label and the wanted keys.
fn baseline(
    wanted: &Map<String, Value>,
    variables: &Variables,
    conditions: &[Condition],
    errors: &mut SpecErrors,
) -> Option<u32> {
    let mut keys_only = wanted.clone();
    let label = keys_only.shift_remove("label");
    let (own_variables, keys_only) = variables.split(&keys_only);
    let keys_only = opened(&keys_only);
    let swept = |condition: &Condition, (name, wanted): (&String, &Value)| {
        condition.axes.get(name).is_some_and(|value| varied::meaning(value) == varied::meaning(wanted))
    };
    let matches: Vec<&Condition> = conditions
        .iter()
        .filter(|condition| label.as_ref().is_none_or(|label| label == condition.label.as_str()))
        .filter(|condition| own_variables.iter().all(|entry| swept(condition, entry)))
        .filter(|condition| has(&condition.config, &keys_only))
        .collect();
    if let [only] = matches.as_slice() {
        return Some(only.index);
    }
    let listed = if matches.is_empty() { conditions.iter().collect() } else { matches.clone() };
    let mut labels: Vec<String> =
        listed.iter().take(LABELS_LISTED_MAX).map(|condition| format!("\"{}\"", condition.label)).collect();
    if listed.len() > LABELS_LISTED_MAX {
        labels.push("…".to_owned());
    }
    let message = if matches.is_empty() {
        format!("no condition matches; exactly one must. The conditions are {}", labels.join(", "))
    } else {
        format!("{} conditions match; exactly one must. They are {}", matches.len(), labels.join(", "))
    };
    let suggestion = label
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|label| keys::near(label, conditions.iter().map(|condition| condition.label.as_str())));
    errors
        .push(SpecError::new("baseline", message).found(&Value::Object(wanted.clone())).suggest(suggestion));
    None
}

/// Whether laying the keys over the config changes nothing.
fn has(config: &TrialConfig, wanted: &Map<String, Value>) -> bool {
    let own = trial::to_map(config);
    trial::resolve(&[&own, wanted], "baseline")
        .is_ok_and(|changed| normal::sorted(changed) == normal::sorted(config.clone()))
}
