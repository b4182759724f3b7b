//! From a spec to what the store keeps: plan, dataset hashes, ids. Nothing is written here.

use std::collections::BTreeMap;

use motif_data::DatasetEntry;
use motif_store::records::{ConditionRecord, NewSweep, NewTrial};
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::Policy,
    plan::Plan,
    spec::{SpecError, SpecErrors, SweepSpec},
};

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
    let hashes = dataset_hashes(state, &plan).await?;
    let trials = plan.trials.iter().map(|trial| NewTrial {
        id: TrialId(state.ids.next()),
        condition: trial.condition,
        seed: trial.seed,
    });
    Ok(NewSweep {
        id: SweepId(state.ids.next()),
        name: spec.name.clone(),
        metric: spec.metric.clone(),
        spec: spec.to_json(),
        baseline: plan.baseline,
        seeds: plan.seeds.clone(),
        policy,
        trials: trials.collect(),
        conditions: conditions(&plan, &hashes),
        principal: principal.to_owned(),
    })
}

fn conditions(plan: &Plan, hashes: &BTreeMap<String, String>) -> Vec<ConditionRecord> {
    let record = |condition: &motif_sweep::plan::Condition| ConditionRecord {
        index: condition.index,
        label: condition.label.clone(),
        axes: condition.axes.clone(),
        config: serde_json::to_value(&condition.config).expect("a config is plain data"),
        config_hash: condition.config_hash(),
        dataset_hash: hashes.get(&condition.config.dataset).cloned().unwrap_or_default(),
    };
    plan.conditions.iter().map(record).collect()
}

/// The content hash behind each dataset's name; a name of unknown contents is an error that names the nearest one.
async fn dataset_hashes(state: &ServerState, plan: &Plan) -> ApiResult<BTreeMap<String, String>> {
    let mut conditions: BTreeMap<String, String> = BTreeMap::new();
    for condition in &plan.conditions {
        conditions.entry(condition.config.dataset.clone()).or_insert_with(|| condition.label.clone());
    }
    let names: Vec<String> = conditions.into_keys().collect();
    let resolve = move |library: &motif_data::Library| {
        let entries = names.iter().map(|name| Ok((name.clone(), library.resolve(name)?)));
        let entries: Vec<(String, Option<DatasetEntry>)> = entries.collect::<Result<_, _>>()?;
        Ok((entries, library.names()?))
    };
    let (entries, known) = state.library(resolve).await?;
    let mut errors = SpecErrors::default();
    let mut hashes = BTreeMap::new();
    for (name, entry) in entries {
        match entry {
            Some(entry) => {
                hashes.insert(name, entry.hash);
            }
            None => errors.push(unknown_dataset(&name, &known)),
        }
    }
    errors.or(hashes).map_err(ApiError::Spec)
}

fn unknown_dataset(name: &str, known: &[String]) -> SpecError {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let message = format!(
        "this server has no dataset of that name; it has {}; `motif dataset import` adds one",
        known.join(", ")
    );
    SpecError::new("trial.dataset", message)
        .found(&serde_json::Value::from(name))
        .suggest(nearest(name, known))
}
