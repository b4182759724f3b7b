//! `motif trial`: a sweep's trials, and one with its attempts.

use motif_client::{Client, TrialQuery};
use motif_sweep::lifecycle::TrialState;
use motif_wire::{
    sweeps::StateCounts,
    trials::{TrialDetail, TrialRow},
};
use uuid::Uuid;

use crate::{
    args::{Global, Trial},
    commands::{Outcome, logs, snapshots, sweeps::resolve},
    input::WrongInput,
    output::{self, progress::duration, tables},
};

/// Trials that a sweep's table names one by one when they did not succeed.
const NAMED_TRIALS_MAX: usize = 10;

pub(crate) async fn run(global: &Global, command: &Trial) -> anyhow::Result<Outcome> {
    match command {
        Trial::List { sweep, state } => {
            if let Some(name) = state.as_deref().filter(|name| TrialState::from_name(name).is_none()) {
                let names = TrialState::ALL.map(TrialState::name).join(", ");
                return Err(WrongInput(format!("--state {name:?}: there are {names}")).into());
            }
            let client = global.client()?;
            let id = resolve(&client, &sweep.id).await?;
            let query = TrialQuery { state: state.clone(), ..TrialQuery::default() };
            let trials = client.sweep_trials_all(id, &query).await?;
            output::emit(global.json, &trials, || list_text(&trials))?;
        }
        Trial::Show { id } => {
            let trial = global.client()?.trial_get(trial_id(id)?).await?;
            output::emit(global.json, &trial, || trial_text(&trial))?;
        }
        Trial::Snapshots { id, out } => {
            return snapshots::run(global, trial_id(id)?, out.as_deref()).await;
        }
        Trial::Logs { id, follow } => return logs::run(global, trial_id(id)?, *follow).await,
    }
    Ok(Outcome::Done)
}

fn trial_id(text: &str) -> Result<Uuid, WrongInput> {
    Uuid::parse_str(text)
        .map_err(|_| WrongInput(format!("trial {text:?}: not an id; `motif trial list SWEEP` shows them")))
}

fn list_text(trials: &[TrialRow]) -> String {
    let mut table = tables::table(
        &["trial", "condition", "seed", "state", "metric", "attempts", "worker", "detail"],
        &[2, 4, 5],
    );
    for row in trials {
        table.add_row(vec![
            row.id.to_string(),
            row.label.clone(),
            row.seed.to_string(),
            row.state.name().to_owned(),
            row.metric.map(|value| format!("{value:.4}")).unwrap_or_default(),
            row.attempts.to_string(),
            row.worker.clone().unwrap_or_default(),
            detail(row),
        ]);
    }
    table.to_string()
}

fn detail(row: &TrialRow) -> String {
    match (row.diverged_step, row.stopped_step) {
        (Some(step), _) => format!("diverged at step {step}"),
        (None, Some(step)) => {
            format!("stopped early at step {step}: {}", row.reason.as_deref().unwrap_or("no reason given"))
        }
        (None, None) => row.reason.clone().unwrap_or_default(),
    }
}

/// A line for each trial that ended otherwise than well: which it is, and why.
pub(crate) async fn unhappy(client: &Client, sweep: Uuid, counts: &StateCounts) -> anyhow::Result<String> {
    let mut text = String::new();
    let states = [
        (TrialState::Diverged, counts.diverged),
        (TrialState::Failed, counts.failed),
        (TrialState::Dead, counts.dead),
    ];
    for (state, count) in states.into_iter().filter(|(_, count)| *count > 0) {
        let query = TrialQuery { state: Some(state.name().to_owned()), ..TrialQuery::default() };
        let page = client.sweep_trials(sweep, &query).await?;
        for row in page.items.iter().take(NAMED_TRIALS_MAX) {
            let (id, label, seed) = (row.id, &row.label, row.seed);
            text.push_str(&format!("{}: {label}, seed {seed}: {} (trial {id})\n", state.name(), detail(row)));
        }
        if count > NAMED_TRIALS_MAX as u64 {
            text.push_str(&format!("… {count} {} in all: motif trial list {sweep}\n", state.name()));
        }
    }
    Ok(text)
}

fn trial_text(trial: &TrialDetail) -> String {
    let row = &trial.row;
    let mut text = format!("{}  seed {}  {}\n{}\n", row.label, row.seed, row.state.name(), row.id);
    if let Some(step) = row.diverged_step {
        text.push_str(&format!("diverged at step {step} of {}\n", row.total_steps.unwrap_or(step)));
    }
    if let Some(step) = row.stopped_step {
        let epoch = row.stopped_epoch.unwrap_or_default();
        text.push_str(&format!(
            "stopped early at step {step} of {} (epoch {epoch:.2}), censored: where it ended hung on the other trials, and \
             another run need not end there\n",
            row.total_steps.map_or_else(|| "?".to_owned(), |total| total.to_string())
        ));
    }
    if let Some(reason) = &row.reason {
        text.push_str(&format!("{reason}\n"));
    }
    if let Some(result) = &trial.result {
        text.push_str(&format!("result {}\n", result.result_hash));
        for (name, value) in result.metrics.iter().filter(|(name, _)| output::is_result(name)) {
            let value = value.map_or_else(|| "not finite".to_owned(), |value| format!("{value:.6}"));
            text.push_str(&format!("  {name} = {value}\n"));
        }
        let costs = [
            ("test examples", result.evaluation_s),
            ("diagnostics", result.diagnostics_s),
            ("spectra", result.spectra_s),
        ];
        text.push_str(&format!(
            "trained in {}{} by {} ({}, {})\n",
            duration(result.training_s),
            output::costs(&costs),
            row.worker.as_deref().unwrap_or("?"),
            result.provenance.host,
            result.provenance.instruction_set
        ));
    }
    let mut table =
        tables::table(&["attempt", "worker", "outcome", "step", "began", "lasted", "reason"], &[0, 3]);
    for attempt in &trial.attempt_rows {
        let lasted = attempt.ended_at.map(|ended| ended.duration_since(attempt.started_at).as_secs_f64());
        table.add_row(vec![
            attempt.number.to_string(),
            attempt.worker.clone(),
            attempt.outcome.map_or("running", |outcome| outcome.name()).to_owned(),
            attempt.step.to_string(),
            attempt.started_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            lasted.map(duration).unwrap_or_default(),
            attempt.reason.clone().unwrap_or_default(),
        ]);
    }
    text.push_str(&table.to_string());
    text
}
