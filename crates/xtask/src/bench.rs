//! `cargo xtask bench engine`: what a step costs and what a sweep costs, beside the bound and beside PyTorch, in one
//! run and in turns, so that whatever else the machine does falls on all of them. `statistics` and `queue` stand by themselves.

mod digits;
mod figures;
mod machine;
mod peers;
mod queue;
mod statistics;
mod steps;
mod trials;

use std::path::PathBuf;

use anyhow::ensure;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::{
    process::{self, Stop},
    workspace,
};
use figures::Aim;
use machine::Machine;
use peers::Peers;
use steps::{Example, Steps};
use trials::Trials;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// A training step against its bound and PyTorch's; a small sweep against PyTorch processes.
    Engine(Engine),
    /// A large sweep's statistics over HTTP, and its file's size.
    Statistics(statistics::Statistics),
    /// The queue over HTTP: trials per second, waits, a store of a million trials; beside Optuna's.
    Queue(queue::Queue),
}

#[derive(Debug, Args)]
pub(crate) struct Engine {
    /// Folder with MNIST's four IDX files [default: a generated dataset of the same size and shape].
    #[arg(long, value_name = "DIR")]
    mnist: Option<PathBuf>,
    /// Virtual environment with tests/peers/requirements.txt [default: target/peers, made when absent: 5.6 GB].
    #[arg(long, value_name = "VENV")]
    peers: Option<PathBuf>,
    /// Leave PyTorch out.
    #[arg(long, conflicts_with = "peers")]
    no_peers: bool,
    /// Runs that medians are taken over.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=99))]
    runs: u16,
    /// Measure only this part.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// Print one JSON document on stdout instead of tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Milliseconds per minibatch.
    Steps,
    /// Sixteen trials from start to end.
    Trials,
}

pub(crate) async fn run(bench: &Bench, stop: &mut Stop) -> anyhow::Result<bool> {
    match bench {
        Bench::Engine(engine) => run_engine(engine, stop).await,
        Bench::Statistics(arguments) => statistics::run(arguments, stop).await,
        Bench::Queue(arguments) => queue::run(arguments, stop).await,
    }
}

/// The time that it took to measure is true whether or not the aims are met: only what could not be measured fails.
async fn run_engine(engine: &Engine, stop: &mut Stop) -> anyhow::Result<bool> {
    if let Some(mnist) = &engine.mnist {
        ensure!(mnist.is_dir(), "--mnist {}: not a folder", mnist.display());
    }
    let peers = match (&engine.peers, engine.no_peers) {
        (_, true) => None,
        (Some(venv), _) => Some(Peers::at(venv, stop).await?),
        (None, _) => Peers::made(stop).await?,
    };
    build(stop).await?;
    let wants = |part| engine.only.is_none_or(|only| only == part);
    let example = Example::built()?;
    let machine = Machine::describe(&example, stop).await?;
    let steps = match wants(Part::Steps) {
        true => Some(steps::measure(engine.runs, &example, peers.as_ref(), stop).await?),
        false => None,
    };
    let trials = match wants(Part::Trials) {
        true => Some(trials::measure(engine.runs, engine.mnist.as_deref(), peers.as_ref(), stop).await?),
        false => None,
    };
    let aims: Vec<Aim> =
        steps.iter().flat_map(Steps::aims).chain(trials.iter().filter_map(Trials::aim)).collect();
    if engine.json {
        let document = json!({
            "machine": machine, "peers": peers, "runs": engine.runs, "steps": steps, "trials": trials, "aims": aims,
        });
        println!("{document:#}");
        return Ok(true);
    }
    println!("{}", machine.head(peers.as_ref(), engine.runs));
    if let Some(steps) = &steps {
        println!("\n{}", steps.table(peers.as_ref()));
    }
    if let Some(trials) = &trials {
        println!("\n{}", trials.table());
    }
    if !aims.is_empty() {
        println!("\n{}", figures::aims_table(&aims));
    }
    Ok(true)
}

/// Binary and example in one build, so that both have the same features of what they share.
async fn build(stop: &mut Stop) -> anyhow::Result<()> {
    eprintln!("building motif and its example step_time (a few minutes the first time)");
    let mut build = process::cargo(&workspace::root());
    build.args(["build", "--release", "--workspace"]);
    process::run(build.args(["--bin", "motif", "--example", "step_time"]), stop).await
}
