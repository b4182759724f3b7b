//! From a spec to what the store keeps: plan, dataset hashes, ids. Nothing is written here.

use std::collections::BTreeMap;

use motif_data::{DatasetEntry, DatasetSummary};
use motif_store::records::{ConditionRecord, NewControl, NewSweep, NewTrial};
use motif_sweep::{
    errors::SPEC_ERRORS_MAX,
    ids::{SweepId, TrialId},
    lifecycle::Policy,
    memory,
    plan::{Condition, Plan},
    spec::{SpecError, SpecErrors, SweepSpec},
    trial::{ImageShape, TaskSize},
};
use serde_json::Value;

use crate::{
    error::{ApiError, ApiResult},
    extract::nearest,
    state::ServerState,
};

/// The sweep to be stored.
///
/// # Errors
/// Everything that is wrong with the spec, unknown datasets included.
pub(crate) async fn new_sweep(state: &ServerState, spec: SweepSpec, principal: &str) -> ApiResult<NewSweep> {
    // A large sweep takes a while to plan: not on an async thread.
    let planned = tokio::task::spawn_blocking(move || {
        let policy = spec.policy(&Policy::default())?;
        let plan = spec.plan()?;
        Ok((spec, policy, plan))
    });
    let planned = planned.await.map_err(|error| ApiError::Panicked(error.to_string()))?;
    let (spec, policy, plan) = planned.map_err(ApiError::Spec)?;
    let (baseline, seeds, planned_trials) = (plan.baseline, plan.seeds.clone(), plan.trials.clone());
    let all = plan.conditions.clone();
    let (spec, conditions) = checked(state, spec, plan, all).await?;
    let trials = planned_trials.iter().map(|trial| NewTrial {
        id: TrialId(state.ids.next()),
        condition: trial.condition,
        seed: trial.seed,
    });
    Ok(NewSweep {
        id: SweepId(state.ids.next()),
        name: spec.name.clone(),
        metric: spec.metric.clone(),
        spec: spec.to_json(),
        baseline,
        seeds,
        policy,
        stop: spec.stopping(),
        trials: trials.collect(),
        conditions,
        principal: principal.to_owned(),
        control: NewControl {
            priority: spec.priority,
            until: spec.until.is_some(),
            verifies: None,
            snapshots: spec.snapshots,
            needs: spec.needs(),
        },
    })
}

/// The given conditions of a plan as they are stored, once their datasets are known, fit the limits and fit into memory.
///
/// # Errors
/// Everything that is wrong with them.
pub(crate) async fn checked(
    state: &ServerState,
    spec: SweepSpec,
    plan: Plan,
    conditions: Vec<Condition>,
) -> ApiResult<(SweepSpec, Vec<ConditionRecord>)> {
    let datasets = datasets(state, &spec, &plan, &conditions).await?;
    let most_bytes = state.trial_memory_max_bytes;
    let checked = tokio::task::spawn_blocking(move || {
        check_limits(&spec, &plan, &conditions, &datasets)?;
        check_memory(&spec, &plan, &conditions, &datasets, most_bytes)?;
        Ok((spec, records(&conditions, &datasets)))
    });
    let checked = checked.await.map_err(|error| ApiError::Panicked(error.to_string()))?;
    checked.map_err(ApiError::Spec)
}

fn records(conditions: &[Condition], datasets: &BTreeMap<String, DatasetEntry>) -> Vec<ConditionRecord> {
    let record = |condition: &Condition| ConditionRecord {
        index: condition.index,
        label: condition.label.clone(),
        axes: condition.axes.clone(),
        config: serde_json::to_value(&condition.config).expect("a config is plain data"),
        config_hash: condition.config_hash(),
        dataset_hash: datasets
            .get(&condition.config.dataset)
            .map(|entry| entry.hash.clone())
            .unwrap_or_default(),
    };
    conditions.iter().map(record).collect()
}

/// The dataset behind each name; a name of unknown contents is an error that names the nearest one.
async fn datasets(
    state: &ServerState,
    spec: &SweepSpec,
    plan: &Plan,
    conditions: &[Condition],
) -> ApiResult<BTreeMap<String, DatasetEntry>> {
    // With the place that names it first.
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for condition in conditions {
        let place = || spec.origin(plan, condition, "dataset");
        places.entry(condition.config.dataset.clone()).or_insert_with(place);
    }
    let names: Vec<String> = places.keys().cloned().collect();
    let resolve = move |library: &motif_data::Library| {
        let entries = names.iter().map(|name| Ok((name.clone(), library.resolve(name)?)));
        let entries: Vec<(String, Option<DatasetEntry>)> = entries.collect::<Result<_, _>>()?;
        Ok((entries, library.names()?))
    };
    let (entries, known) = state.library(resolve).await?;
    let mut errors = SpecErrors::default();
    let mut found = BTreeMap::new();
    for (name, entry) in entries {
        match entry {
            Some(entry) => {
                found.insert(name, entry);
            }
            None => errors.push(unknown_dataset(&places[&name], &name, &known)),
        }
    }
    errors.or(found).map_err(ApiError::Spec)
}

/// A trial that asks for more than its dataset has would fail on every worker.
fn check_limits(
    spec: &SweepSpec,
    plan: &Plan,
    conditions: &[Condition],
    datasets: &BTreeMap<String, DatasetEntry>,
) -> Result<(), SpecErrors> {
    let mut errors = SpecErrors::default();
    for condition in conditions {
        let config = &condition.config;
        let Some(entry) = datasets.get(&config.dataset) else { continue };
        for violation in config.violations_on(&size(&entry.summary)) {
            let message = format!("with the dataset {:?}, expected {}", config.dataset, violation.expected);
            let field = spec.origin(plan, condition, &violation.field);
            errors.push(SpecError { value: Some(violation.value), ..SpecError::new(field, message) });
        }
    }
    errors.or(())
}

fn size(dataset: &DatasetSummary) -> TaskSize {
    let &DatasetSummary { channels, height, width, train_examples, test_examples, classes, .. } = dataset;
    let image = Some(ImageShape { channels, height, width });
    let (features, classes) = (channels * height * width, usize::from(classes));
    TaskSize { train_examples, test_examples, features, classes, image }
}

/// A trial that needs more memory than there is would take its worker down, again and again.
fn check_memory(
    spec: &SweepSpec,
    plan: &Plan,
    conditions: &[Condition],
    datasets: &BTreeMap<String, DatasetEntry>,
    most_bytes: u64,
) -> Result<(), SpecErrors> {
    let mut errors = SpecErrors::default();
    for condition in conditions {
        let Some(DatasetEntry { summary, .. }) = datasets.get(&condition.config.dataset) else { continue };
        if let Err(large) = memory::check(&condition.config, &size(summary), most_bytes) {
            let (key, value) = (large.widest.key(), large.widest.value(&condition.config));
            let error = SpecError::new(spec.origin(plan, condition, key), large.to_string());
            errors.push(error.found(&value));
        }
        // Finding what would fit takes a while, and no more errors are kept.
        if errors.0.len() >= SPEC_ERRORS_MAX {
            break;
        }
    }
    errors.or(())
}

fn unknown_dataset(place: &str, name: &str, known: &[String]) -> SpecError {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let message = format!(
        "this server has no dataset of that name; it has {}; `motif dataset import` adds one",
        known.join(", ")
    );
    SpecError::new(place, message).found(&Value::from(name)).suggest(nearest(name, known))
}
