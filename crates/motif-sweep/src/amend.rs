//! Amendments: what is added to a sweep that has been submitted, without touching what is there.
//!
//! It knows neither queue nor store: the stored spec, the change and what stands in, what is to be added out.

use std::collections::{HashMap, HashSet};

use motif_net::config::TrialConfig;
use serde_json::{Map, Value};

use crate::{
    errors::{SpecError, SpecErrors},
    keys,
    plan::{Condition, Plan, PlannedTrial, config_hash},
    presets, probe,
    spec::{self, SweepSpec},
};

/// What an amendment may change.
const AMENDABLE: [&str; 7] = ["seeds", "axes", "zip", "sample", "exclude", "arms", "until"];
/// Conditions that an error lists.
const VANISHED_LISTED_MAX: usize = 5;

/// A condition as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its name.
    pub label: String,
    /// Its config.
    pub config: Value,
    /// Hash of the config, by the version that stored it.
    pub config_hash: String,
}

/// What an amendment adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Amended {
    /// The amended spec.
    pub spec: SweepSpec,
    /// Its plan, as if it were submitted anew.
    pub plan: Plan,
    /// The conditions that are new, as the plan numbers them, each with the index that it gets: the stored ones keep theirs.
    pub added: Vec<(Condition, u32)>,
    /// Number of seeds that are new.
    pub added_seeds: usize,
    /// The new trials in queue order, seeded blocks, by the conditions' indices as stored.
    pub trials: Vec<PlannedTrial>,
}

/// What the stored spec becomes by a change that has the meaning of a preset's `overrides`, but that its `arms` are
/// appended: every condition and seed that stands must still be there.
///
/// # Errors
/// Everything that is wrong with the change, or with what it makes of the sweep, in terms of the change.
pub fn amend(
    stored: &Value,
    change: &Value,
    standing: &[Standing],
    seeds: &[u64],
) -> Result<Amended, SpecErrors> {
    let before = SweepSpec::from_json(stored.clone())?;
    let known_arms = before.arms.len();
    let spec = merged(&before, change).and_then(|merged| SweepSpec::from_map(&merged));
    let spec = spec.map_err(|errors| own_arms(errors, known_arms))?;
    let plan = match spec.plan() {
        Ok(plan) => plan,
        Err(errors) => {
            // What a baseline or a claim misses is best told as the condition that would vanish.
            if let Ok(plan) = (SweepSpec { baseline: None, claims: Vec::new(), ..spec }).plan() {
                places(&plan, standing, change)?;
            }
            return Err(own_arms(errors, known_arms));
        }
    };
    let places = places(&plan, standing, change)?;
    check_seeds(&plan, seeds)?;
    Ok(additions(spec, plan, &places, standing.len(), seeds))
}

/// Errors about arms in terms of the change, which lists only the new ones.
#[must_use]
pub fn own_arms(mut errors: SpecErrors, known: usize) -> SpecErrors {
    for error in &mut errors.0 {
        let renumbered = error.field.strip_prefix("arms[").and_then(|rest| {
            let (index, rest) = rest.split_once(']')?;
            let index = index.parse::<usize>().ok()?.checked_sub(known)?;
            Some(format!("arms[{index}]{rest}"))
        });
        if let Some(field) = renumbered {
            error.field = field;
        }
    }
    errors
}

fn merged(before: &SweepSpec, change: &Value) -> Result<Map<String, Value>, SpecErrors> {
    let Value::Object(change) = change else {
        return Err(SpecError::new("", "an amendment is a table of what is added").found(change).into());
    };
    let mut errors = SpecErrors::default();
    let mut change = spec::flattened(change, &mut errors);
    for (key, value) in &change {
        check_key(key, value, &mut errors);
    }
    let arms = match change.shift_remove("arms") {
        None => Vec::new(),
        Some(Value::Array(arms)) => arms,
        Some(other) => {
            errors.push(SpecError::new("arms", "expected a list of further conditions").found(&other));
            Vec::new()
        }
    };
    let Value::Object(mut merged) = before.to_json() else { unreachable!("a spec is a table") };
    presets::merge(&mut merged, &change);
    if !arms.is_empty() {
        let all = merged.entry("arms").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = all {
            all.extend(arms);
        }
    }
    errors.or(merged)
}

fn check_key(key: &str, value: &Value, errors: &mut SpecErrors) {
    if AMENDABLE.contains(&key) {
        return;
    }
    if key == "priority" {
        let message = "the priority is no part of an amendment: `motif sweep priority SWEEP N` sets it";
        errors.push(SpecError::new(key, message).found(value));
    } else if probe::keys_of::<SweepSpec>().contains(&key) {
        let message = format!(
            "this cannot change once trials may have run: an amendment adds {}",
            AMENDABLE.join(", ")
        );
        errors.push(SpecError::new(key, message).found(value));
    } else {
        errors.push(keys::unknown_key("", key, AMENDABLE));
    }
}

/// Where each standing condition is in the plan; an error that names those that are not.
fn places(plan: &Plan, standing: &[Standing], change: &Value) -> Result<Vec<usize>, SpecErrors> {
    let planned: HashMap<&str, usize> = plan
        .conditions
        .iter()
        .enumerate()
        .map(|(place, condition)| (condition.label.as_str(), place))
        .collect();
    let mut places = Vec::with_capacity(standing.len());
    let mut vanished = Vec::new();
    for condition in standing {
        match planned.get(condition.label.as_str()) {
            Some(&place) if same(condition, &plan.conditions[place]) => places.push(place),
            Some(_) => vanished.push(format!("\"{}\" (it would have another config)", condition.label)),
            None => vanished.push(format!("\"{}\"", condition.label)),
        }
    }
    if vanished.is_empty() {
        return Ok(places);
    }
    let count = vanished.len();
    vanished.truncate(VANISHED_LISTED_MAX);
    if count > VANISHED_LISTED_MAX {
        vanished.push(format!("… {count} in all"));
    }
    let (what, they) =
        if count == 1 { ("the condition", "it stays") } else { ("the conditions", "they stay") };
    let message = format!(
        "{what} {} would vanish, and an amendment only adds: a list that is given replaces the one before, so write all \
         values, old and new, so that {they}",
        vanished.join(", ")
    );
    let guilty =
        ["axes", "zip", "sample", "exclude", "arms"].into_iter().find(|key| change.get(key).is_some());
    Err(SpecError::new(guilty.unwrap_or_default(), message).into())
}

/// Whether a planned condition is the stored one. Another version may have hashed another set of keys: the stored config
/// as this version reads it decides then.
fn same(standing: &Standing, planned: &Condition) -> bool {
    let hash = planned.config_hash();
    let read = || probe::read::<TrialConfig>(&standing.config).ok();
    hash == standing.config_hash || read().is_some_and(|config| config_hash(&config) == hash)
}

fn check_seeds(plan: &Plan, seeds: &[u64]) -> Result<(), SpecErrors> {
    let kept: HashSet<u64> = plan.seeds.iter().copied().collect();
    let vanished: Vec<String> =
        seeds.iter().filter(|seed| !kept.contains(seed)).map(ToString::to_string).collect();
    if vanished.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the seed{} {} would vanish, and an amendment only adds: expected a larger count, or a list with the old seeds",
        if vanished.len() == 1 { "" } else { "s" },
        vanished.join(", ")
    );
    Err(SpecError::new("seeds", message).found(&Value::from(plan.seeds.clone())).into())
}

fn additions(spec: SweepSpec, plan: Plan, places: &[usize], standing: usize, seeds: &[u64]) -> Amended {
    let mut stored_index: Vec<Option<u32>> = vec![None; plan.conditions.len()];
    for (index, &place) in (0u32..).zip(places) {
        stored_index[place] = Some(index);
    }
    let mut added = Vec::new();
    let mut next = u32::try_from(standing).expect("the limit on conditions is far below");
    let indices: Vec<u32> = stored_index
        .into_iter()
        .zip(&plan.conditions)
        .map(|(stored, condition)| {
            stored.unwrap_or_else(|| {
                added.push((condition.clone(), next));
                next += 1;
                next - 1
            })
        })
        .collect();
    let known: HashSet<u64> = seeds.iter().copied().collect();
    let is_new = |trial: &PlannedTrial| trial.condition as usize >= standing || !known.contains(&trial.seed);
    let trials = plan
        .trials
        .iter()
        .map(|trial| PlannedTrial { condition: indices[trial.condition as usize], ..*trial })
        .filter(is_new)
        .collect();
    let added_seeds = plan.seeds.iter().filter(|seed| !known.contains(seed)).count();
    Amended { spec, plan, added, added_seeds, trials }
}
