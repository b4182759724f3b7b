//! Development tasks, `cargo xtask …`. It builds and runs the project from outside and links none of its crates.

mod arrows;
mod bench;
mod demo;
mod motif;
mod openapi;
mod process;
mod simulate;
mod soak;
mod steps;
mod tools;
mod venv;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build everything, run the demo sweep on this machine, print its table, keep serving the dashboard.
    Demo(demo::Demo),
    /// Run what CI runs.
    Test(steps::Test),
    /// Check the dependency edges between this project's crates.
    Arrows,
    /// Measure.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Kill servers and workers at random under load, and look whether every promise holds.
    Soak(soak::Soak),
    /// Simulate a server, workers and faults from seeds, and look whether every promise of the queue holds.
    Simulate(simulate::Simulate),
    /// Write web/openapi.json, and the dashboard's types from it.
    Openapi,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(cli.task)));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the task has found everything as it should be.
async fn run(task: Task) -> anyhow::Result<bool> {
    let mut stop = process::Stop::new()?;
    match task {
        Task::Demo(demo) => demo::run(&demo, &mut stop).await,
        Task::Test(test) => steps::run(&test, &mut stop).await,
        Task::Arrows => arrows::run(),
        Task::Bench(bench) => bench::run(&bench, &mut stop).await,
        Task::Soak(soak) => soak::run(&soak, &mut stop).await,
        Task::Simulate(simulate) => simulate::run(&simulate, &mut stop).await,
        Task::Openapi => openapi::run(&mut stop).await,
    }
}
