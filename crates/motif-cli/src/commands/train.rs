//! `motif train`: one trial here, without a server.

mod recorder;

use std::{fs::File, io::Write as _, path::Path};

use anyhow::Context as _;
use motif_data::{Dataset, Library, Split};
use motif_net::{Examples, Outcome as Trained, Task, Values};
use motif_sweep::{clock::Clock as _, plan::config_hash};
use serde_json::{Value, json};

use crate::{
    args::{Global, Train},
    commands::Outcome,
    input::{WrongInput, read_input},
    output::{self, progress::duration},
    system::SystemClock,
};
use recorder::Recorder;

/// Trains the trial and writes what was asked for. A diverged trial is a result, too.
pub(crate) fn run(global: &Global, args: &Train) -> anyhow::Result<Outcome> {
    let input = read_input(&args.trial)?;
    let config = input.document()?.trial().map_err(|errors| input.wrong(&errors))?;
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
    let task = task(&dataset)?;

    let clock = SystemClock::new();
    let total = motif_net::total_steps(&config, dataset.train().len());
    let mut recorder = Recorder::new(args, total)?;
    let started = clock.monotonic();
    let result = motif_net::train(&config, args.seed, &task, &mut recorder)?;
    let training_s = (clock.monotonic() - started).as_secs_f64();
    recorder.finish()?;

    let (outcome, diverged_step) = match result.outcome {
        Trained::Succeeded => ("succeeded", None),
        Trained::Diverged { step } => ("diverged", Some(step)),
        Trained::Stopped { step } => ("stopped", Some(step)),
    };
    let metrics: serde_json::Map<String, Value> =
        result.metrics.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let document = json!({
        "outcome": outcome,
        "diverged_step": diverged_step,
        "seed": args.seed,
        "steps": result.steps,
        "total_steps": result.total_steps,
        "parameters": result.parameters,
        "metrics": metrics,
        "result_hash": result.result_hash,
        "training_s": training_s,
        "config": config,
        "provenance": motif_worker::provenance(&entry.hash, &config_hash(&config)),
    });
    if let Some(out) = &args.out {
        write_json(&out.join("result.json"), &document)?;
    }
    output::emit(global.json, &document, || {
        let mut text = match diverged_step {
            None => format!("{outcome} after {} steps in {}\n", result.steps, duration(training_s)),
            Some(step) => format!("{outcome} at step {step} of {}\n", result.total_steps),
        };
        for (name, value) in result.metrics.iter().filter(|(name, _)| output::is_result(name)) {
            text.push_str(&format!("  {name} = {value:.6}\n"));
        }
        text.push_str(&format!("result {}", result.result_hash));
        text
    })?;
    Ok(Outcome::Done)
}

fn task(dataset: &Dataset) -> anyhow::Result<Task<'_>> {
    let features = dataset.features();
    let examples = |split| -> Examples<'_> {
        let split: &Split = split;
        Examples { values: Values::U8(&split.pixels), labels: &split.labels, features }
    };
    Ok(Task::new(examples(dataset.train()), examples(dataset.test()), usize::from(dataset.classes()))?)
}

fn write_json(path: &Path, document: &Value) -> anyhow::Result<()> {
    let name = || format!("cannot write {}", path.display());
    let mut file = File::create(path).with_context(name)?;
    serde_json::to_writer_pretty(&mut file, document).with_context(name)?;
    writeln!(file).with_context(name)
}
