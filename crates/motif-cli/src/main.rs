//! `motif`, the binary: it reads arguments, wires the crates together and prints. Exit status 0 is done, 1 failed,
//! 2 wrong usage or input.

mod args;
mod bundle;
mod commands;
mod context;
mod input;
mod output;
mod preview;
mod signals;
mod system;

use std::{io::IsTerminal as _, process::ExitCode};

use args::{Cli, Command};
use clap::Parser as _;
use commands::{
    Outcome, backup, datasets, doctor, export, look, presets, rerun, serve, sweeps, train, trials, up, worker,
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging(&cli.command);
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("motif: {}", chain(&error));
            let wrong_input = error.downcast_ref::<input::WrongInput>().is_some();
            ExitCode::from(if wrong_input { 2 } else { 1 })
        }
    }
}

/// The error and its causes on one line, without a cause that its effect has already said.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// Servers and workers say what they do; other commands only what goes wrong. `MOTIF_LOG` overrides.
fn init_logging(command: &Command) {
    let default = match command {
        Command::Serve(_) | Command::Worker(_) => "motif=info,warn",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_env("MOTIF_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // They go to stderr by way of a panic when that cannot be written: a log on a full disk would end whoever logs.
        .log_internal_errors(false)
        .init();
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let global = cli.global;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Command::Train(args) = &cli.command {
        // It trains on this thread; the runtime only listens for signals.
        let _entered = runtime.enter();
        return train::run(&global, args, &signals::shutdown()?);
    }
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(&global, &args).await,
            Command::Serve(args) => serve::run(&global, &args).await,
            Command::Worker(args) => worker::run(&global, &args).await,
            Command::Train(_) => unreachable!("handled above, outside the runtime"),
            Command::Submit(args) => sweeps::submit(&global, &args).await,
            Command::Preset(command) => presets::run(&global, &command).await,
            Command::Sweep(command) => sweeps::sweep(&global, &command).await,
            Command::Trial(command) => trials::run(&global, &command).await,
            Command::Workers => look::workers(&global).await,
            Command::Export(args) => export::run(&global, &args).await,
            Command::Rerun(args) => rerun::run(&global, &args).await,
            Command::Dataset(command) => datasets::run(&global, &command).await,
            Command::Token(command) => look::token(&global, &command).await,
            Command::Backup(args) => backup::backup(&global, &args).await,
            Command::Restore(args) => backup::restore(&global, &args).await,
            Command::Schema { of } => look::schema(of),
            Command::Doctor(args) => doctor::run(&global, &args).await,
        }
    });
    // Blocking tasks (a read of stdin, say) must not hold the process back.
    runtime.shutdown_background();
    outcome
}
