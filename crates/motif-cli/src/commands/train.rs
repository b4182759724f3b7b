//! `motif train`: one trial here, without a server.

mod checkpoint;
mod recorder;
mod session;

use std::{fs::File, io::Write as _, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use motif_data::{Dataset, Library};
use motif_net::{Outcome as Trained, Task, TrialConfig, TrialResult};
use motif_sweep::{memory, plan::config_hash};
use motif_worker::Costs;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Global, Train},
    commands::Outcome,
    input::{WrongInput, read_input},
    output::{self, progress::duration},
    system::{self, SystemClock},
};
use session::Ended;

/// Trains the trial and writes what was asked for. A diverged trial is a result, too; one that was left is none.
pub(crate) fn run(global: &Global, args: &Train, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let input = read_input(&args.trial)?;
    let config = input.document()?.trial().map_err(|errors| input.wrong(&errors))?;
    let (hash, dataset) = dataset(global, &config)?;
    let task = motif_worker::task(&dataset)?;
    let memory_bytes = foresee(&input.name, &config, &task)?;
    match session::run(args, &config, &task, &SystemClock::new(), stop)? {
        Ended::Left { step, kept } => {
            left(global, args, step, motif_net::total_steps(&config, dataset.train().len()), kept)?;
            Ok(Outcome::Failed)
        }
        Ended::Trained { result, training, costs } => {
            let document = document(args, &config, &result, training, &costs, memory_bytes, &hash);
            if let Some(out) = &args.out {
                write_json(&out.join("result.json"), &document)?;
                checkpoint::remove(out)?;
            }
            output::emit(global.json, &document, || text(&result, training, &costs))?;
            Ok(Outcome::Done)
        }
    }
}

/// The dataset and its content hash.
fn dataset(global: &Global, config: &TrialConfig) -> anyhow::Result<(String, Arc<Dataset>)> {
    let library = Library::open(global.data_dir()?)?;
    let Some(entry) = library.resolve(&config.dataset)? else {
        let known = library.names()?.join(", ");
        return Err(WrongInput(format!(
            "dataset = {:?}: no such dataset in {} (there are: {known}); `motif dataset import` adds one",
            config.dataset,
            global.data_dir()?.display(),
        ))
        .into());
    };
    let dataset = library.load(&entry.hash)?;
    Ok((entry.hash, dataset))
}

/// Says how much memory the trial will need, and refuses one that does not fit into this machine.
fn foresee(name: &str, config: &TrialConfig, task: &Task<'_>) -> anyhow::Result<u64> {
    memory::check(config, &task.size(), system::trial_memory_max_bytes()).map_err(|large| {
        WrongInput(format!("{name}: {} = {}: {large}", large.widest.key(), large.widest.value(config)))
    })?;
    let bytes = config.memory_bytes(&task.size());
    eprintln!("memory: about {} beside the examples", memory::human(bytes));
    Ok(bytes)
}

fn document(
    args: &Train,
    config: &TrialConfig,
    result: &TrialResult,
    training: Duration,
    costs: &Costs,
    memory_bytes: u64,
    dataset_hash: &str,
) -> Value {
    let (outcome, diverged_step) = ending(result);
    json!({
        "outcome": outcome,
        "diverged_step": diverged_step,
        "seed": args.seed,
        "steps": result.steps,
        "total_steps": result.total_steps,
        "parameters": result.parameters,
        "memory_bytes": memory_bytes,
        "metrics": result.metrics,
        "result_hash": result.result_hash,
        "training_s": training.as_secs_f64(),
        "evaluation_s": costs.evaluation.as_secs_f64(),
        "diagnostics_s": costs.diagnostics.as_secs_f64(),
        "spectra_s": costs.spectra.as_secs_f64(),
        "config": config,
        "provenance": motif_worker::provenance(dataset_hash, &config_hash(config)),
    })
}

fn ending(result: &TrialResult) -> (&'static str, Option<u64>) {
    match result.outcome {
        Trained::Succeeded => ("succeeded", None),
        Trained::Diverged { step } => ("diverged", Some(step)),
        Trained::Stopped { step } => ("stopped", Some(step)),
    }
}

fn text(result: &TrialResult, training: Duration, costs: &Costs) -> String {
    let parts =
        [("test examples", costs.evaluation), ("diagnostics", costs.diagnostics), ("spectra", costs.spectra)];
    let costs = output::costs(&parts.map(|(on, time)| (on, Some(time.as_secs_f64()))));
    let training = duration(training.as_secs_f64());
    let mut text = match ending(result) {
        (outcome, None) => format!("{outcome} after {} steps in {training}{costs}\n", result.steps),
        (outcome, Some(step)) => format!("{outcome} at step {step} of {}\n", result.total_steps),
    };
    for (name, value) in result.metrics.iter().filter(|(name, _)| output::is_result(name)) {
        text.push_str(&format!("  {name} = {value:.6}\n"));
    }
    text.push_str(&format!("result {}", result.result_hash));
    text
}

/// Says where the trial stands and how to go on.
fn left(global: &Global, args: &Train, step: u64, total: u64, kept: bool) -> anyhow::Result<()> {
    let go_on = args.out.as_deref().filter(|_| kept).map(|dir| session::how_to_go_on(args, dir));
    let document = json!({ "outcome": "stopped", "steps": step, "total_steps": total, "go_on": go_on });
    output::emit(global.json, &document, || {
        let how = match (&go_on, &args.out) {
            (Some(command), _) => format!("go on with: {command}"),
            (None, Some(_)) => {
                "there is no checkpoint: the trace was not complete yet; start again with --overwrite"
                    .to_owned()
            }
            (None, None) => "nothing is kept: with --out DIR it could be taken up again".to_owned(),
        };
        format!("stopped after {step} of {total} steps\n{how}")
    })
}

fn write_json(path: &Path, document: &Value) -> anyhow::Result<()> {
    let name = || format!("cannot write {}", path.display());
    let mut file = File::create(path).with_context(name)?;
    serde_json::to_writer_pretty(&mut file, document).with_context(name)?;
    writeln!(file).and_then(|()| file.sync_all()).with_context(name)
}
