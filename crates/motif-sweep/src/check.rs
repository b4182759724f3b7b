//! Checks of a sweep's parts, one by one. What only shows when they are combined, `expand` finds.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    claims, derive,
    document::join,
    errors::{SpecError, SpecErrors},
    exclude, keys,
    lifecycle::Policy,
    probe, sample,
    spec::{
        DESCRIPTION_MAX_CHARS, FINAL_METRICS, LABEL_MAX_CHARS, METRIC_MAX_CHARS, NAME_MAX_CHARS,
        PRIORITY_MAX, SEED_VALUE_MAX, SEEDS_MAX, Seeds, SweepSpec,
    },
    trial, until,
    variables::Variables,
    varied::{self, Places},
};

/// What commands take for the newest sweep, so that no sweep may be called so.
const RESERVED_NAME: &str = "latest";

/// Checks every part.
pub(crate) fn spec(spec: &SweepSpec, errors: &mut SpecErrors) {
    text("name", &spec.name, NAME_MAX_CHARS, errors);
    if spec.name.trim() == RESERVED_NAME {
        let message = "this name is taken: it stands for the newest sweep, whatever it is called";
        errors.push(SpecError::new("name", message).found(&Value::from(spec.name.as_str())));
    }
    if let Some(description) = &spec.description
        && description.chars().count() > DESCRIPTION_MAX_CHARS
    {
        let message = format!("expected at most {DESCRIPTION_MAX_CHARS} characters");
        errors.push(SpecError::new("description", message));
    }
    seeds(&spec.seeds, errors);
    metric(&spec.metric, errors);
    until::check(spec, errors);
    priority(spec.priority, errors);
    trial::check_keys(&spec.trial, "trial", errors);
    let variables = Variables::of(spec);
    if varied::check_size(spec, errors) {
        let mut places = Places::default();
        varied::check(spec, &variables, &mut places, errors);
        sample::check(&spec.sample, &variables, &mut places, errors);
        derive::check(&spec.derive, &variables, &mut places, errors);
        exclude::check(&spec.exclude, &variables, errors);
        for (index, arm) in spec.arms.iter().enumerate() {
            labelled(arm, &format!("arms[{index}]"), errors);
        }
    }
    claims::check(spec, errors);
    if let Some(baseline) = &spec.baseline {
        if baseline.is_empty() {
            let message = "expected a label, or keys of a trial, that exactly one condition has";
            errors.push(SpecError::new("baseline", message).found(&Value::Object(Map::new())));
        }
        labelled(&variables.split(baseline).1, "baseline", errors);
    }
    if let Some(stop) = &spec.stop {
        stop.check(&spec.metric, errors);
    }
    if let Some(requires) = &spec.requires {
        requires.check(errors);
    }
    if let Err(wrong) = policy(&spec.queue, &Policy::default()) {
        wrong.into_iter().for_each(|error| errors.push(error));
    }
}

fn text(field: &str, text: &str, max_chars: usize, errors: &mut SpecErrors) {
    let message = if text.trim().is_empty() {
        "expected a text that is not empty".to_owned()
    } else if text.chars().count() > max_chars {
        format!("expected at most {max_chars} characters")
    } else if text.chars().any(char::is_control) {
        "expected a text without line breaks or other control characters".to_owned()
    } else {
        return;
    };
    errors.push(SpecError::new(field, message).found(&Value::from(text)));
}

fn seeds(seeds: &Seeds, errors: &mut SpecErrors) {
    let found = || serde_json::to_value(seeds).expect("seeds are plain data");
    let count = seeds.count();
    if count == 0 || count > SEEDS_MAX {
        let message = format!("expected 1 to {SEEDS_MAX} seeds");
        errors.push(SpecError::new("seeds", message).found(&found()));
        return;
    }
    let Seeds::List(list) = seeds else { return };
    let mut seen = HashSet::new();
    for (index, seed) in list.iter().enumerate() {
        let field = format!("seeds[{index}]");
        if *seed > SEED_VALUE_MAX {
            let message = format!("expected a seed of at most {SEED_VALUE_MAX}");
            errors.push(SpecError::new(&field, message).found(&Value::from(*seed)));
        }
        if !seen.insert(seed) {
            errors.push(SpecError::new(&field, "this seed is listed twice").found(&Value::from(*seed)));
        }
    }
}

fn priority(priority: i32, errors: &mut SpecErrors) {
    if !(-PRIORITY_MAX..=PRIORITY_MAX).contains(&priority) {
        let message = format!("expected a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}");
        errors.push(SpecError::new("priority", message).found(&Value::from(priority)));
    }
}

/// A metric is one of the final ones, or a diagnostic: lower-case words and the number of a layer, `cos_v.2`.
pub(crate) fn metric(name: &str, errors: &mut SpecErrors) {
    if FINAL_METRICS.contains(&name) || (name.len() <= METRIC_MAX_CHARS && is_diagnostic(name)) {
        return;
    }
    let message = format!("expected one of {}, or a diagnostic such as cos_v.1", FINAL_METRICS.join(", "));
    errors.push(
        SpecError::new("metric", message).found(&Value::from(name)).suggest(keys::near(name, FINAL_METRICS)),
    );
}

fn is_diagnostic(name: &str) -> bool {
    let Some((words, layer)) = name.rsplit_once('.') else { return false };
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    words.split('.').all(word) && !layer.is_empty() && layer.chars().all(|c| c.is_ascii_digit())
}

/// Checks a table of trial keys with an optional `label`.
fn labelled(table: &Map<String, Value>, field: &str, errors: &mut SpecErrors) {
    let mut keys_only = table.clone();
    match keys_only.shift_remove("label") {
        None => {}
        Some(Value::String(label)) => text(&join(field, "label"), &label, LABEL_MAX_CHARS, errors),
        Some(other) => errors.push(SpecError::new(join(field, "label"), "expected text").found(&other)),
    }
    trial::check_keys(&keys_only, field, errors);
}

/// The policy that a `[queue]` table makes of the server's.
pub(crate) fn policy(queue: &Map<String, Value>, server: &Policy) -> Result<Policy, SpecErrors> {
    let Ok(Value::Object(mut whole)) = serde_json::to_value(server) else {
        unreachable!("a policy is a table");
    };
    let mut errors = SpecErrors::default();
    let known: Vec<&str> = whole.keys().map(String::as_str).collect();
    keys::check_table::<Policy>(queue, &known, &whole, "queue", &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    keys::overlay(&mut whole, queue);
    let whole = Value::Object(whole);
    let policy: Policy = probe::read(&whole).map_err(|located| keys::refused("queue", &whole, located))?;
    policy_values(&policy, &mut errors);
    errors.or(policy)
}

/// Longest time in a policy, in seconds: 30 days.
const POLICY_TIME_MAX_S: u32 = 30 * 24 * 3600;
/// Largest budget of failures or crashes.
const POLICY_BUDGET_MAX: u32 = 1_000;

fn policy_values(policy: &Policy, errors: &mut SpecErrors) {
    let mut within = |field: &str, value: u32, min: u32, max: u32| {
        if value < min || value > max {
            let message = format!("expected {min} to {max}");
            errors.push(SpecError::new(join("queue", field), message).found(&Value::from(value)));
        }
    };
    within("lease_ttl_s", policy.lease_ttl_s, 1, POLICY_TIME_MAX_S);
    within("heartbeat_s", policy.heartbeat_s, 1, policy.lease_ttl_s.max(1));
    within("failures_max", policy.failures_max, 0, POLICY_BUDGET_MAX);
    within("crashes_max", policy.crashes_max, 1, POLICY_BUDGET_MAX);
    within("backoff_base_s", policy.backoff_base_s, 0, POLICY_TIME_MAX_S);
    within(
        "backoff_max_s",
        policy.backoff_max_s,
        policy.backoff_base_s.min(POLICY_TIME_MAX_S),
        POLICY_TIME_MAX_S,
    );
    within("runtime_max_s", policy.runtime_max_s, 0, POLICY_TIME_MAX_S);
    within("stall_timeout_s", policy.stall_timeout_s, 0, POLICY_TIME_MAX_S);
}
