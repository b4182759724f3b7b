//! `cargo xtask test`: everything that CI runs, step by step, with a summary.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use tokio::process::Command;

use crate::{
    arrows,
    process::{self, Stop},
    tools, venv, web, workspace,
};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Run only this step; may be given several times.
    #[arg(long, value_enum, value_name = "STEP")]
    only: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// cargo fmt --check.
    Fmt,
    /// The dependency edges between the crates.
    Arrows,
    /// The dashboard: packages, type checks, unit tests, build.
    Web,
    /// cargo clippy, warnings being errors.
    Clippy,
    /// cargo test, unit to end-to-end.
    Rust,
    /// numpy over what a run leaves, pandas and pyarrow over what a sweep is exported as.
    Python,
    /// The dashboard in Chromium, over a real sweep.
    Browser,
    /// cargo deny: licenses, bans, sources.
    Deny,
}

/// How a step ended.
enum Ending {
    Passed,
    Skipped(&'static str),
    Failed(anyhow::Error),
}

/// Filters of the tests that run in steps of their own.
const BROWSER_TEST: &str = "in_a_real_browser";
const PYTHON_TESTS: [&str; 2] = ["is_read_with_numpy", "are_read_with_pandas"];

pub(crate) async fn run(test: &Test, stop: &mut Stop) -> anyhow::Result<bool> {
    let wanted = |step: &Step| test.only.is_empty() || test.only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(wanted).collect();
    if steps.iter().any(|step| matches!(step, Step::Web | Step::Browser)) {
        tools::require_node()?;
    }
    let mut done = Vec::new();
    for step in steps {
        eprintln!("\n── {step}");
        let began = now();
        let ending = match step.run(stop).await {
            Ok(None) => Ending::Passed,
            Ok(Some(why)) => Ending::Skipped(why),
            Err(error) => Ending::Failed(error),
        };
        if let Ending::Failed(error) = &ending {
            eprintln!("{step} failed: {error:#}");
            if error.to_string() == "stopped" {
                return Ok(false);
            }
        }
        done.push((step, ending, began.elapsed()));
    }
    Ok(summary(&done))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a step is for people to read, nothing depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Prints a line per step; whether none failed.
fn summary(done: &[(Step, Ending, Duration)]) -> bool {
    eprintln!();
    for (step, ending, took) in done {
        let seconds = took.as_secs_f64();
        match ending {
            Ending::Passed => eprintln!("  passed   {seconds:7.1} s  {step}"),
            Ending::Skipped(why) => eprintln!("  skipped  {seconds:7.1} s  {step}: {why}"),
            Ending::Failed(error) => eprintln!("  FAILED   {seconds:7.1} s  {step}: {error:#}"),
        }
    }
    let total: f64 = done.iter().map(|(_, _, took)| took.as_secs_f64()).sum();
    let failed = done.iter().filter(|(_, ending, _)| matches!(ending, Ending::Failed(_))).count();
    if failed == 0 {
        eprintln!("everything passed in {total:.1} s");
    } else {
        eprintln!("{failed} of {} steps failed, {total:.1} s in all", done.len());
    }
    failed == 0
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("step", |value| value.get_name()))
    }
}

impl Step {
    /// Runs the step; a reason when there was nothing to run it with.
    async fn run(self, stop: &mut Stop) -> anyhow::Result<Option<&'static str>> {
        match self {
            Self::Fmt => cargo(&["fmt", "--all", "--check"], stop).await?,
            Self::Arrows => ensure!(arrows::run()?, "the crates do not follow their arrows"),
            Self::Web => {
                web::install(stop).await?;
                for script in ["check", "test"] {
                    web::script(script, stop).await?;
                }
                web::build(stop).await?;
            }
            Self::Clippy => {
                let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
                cargo(&arguments, stop).await?;
            }
            Self::Rust => {
                let mut arguments = vec!["test", "--workspace", "--", "--skip", BROWSER_TEST];
                arguments.extend(PYTHON_TESTS.iter().flat_map(|test| ["--skip", test]));
                cargo(&arguments, stop).await?;
            }
            Self::Python => python(stop).await?,
            Self::Browser => browser(stop).await?,
            Self::Deny => {
                if !tools::has_cargo_subcommand("deny") {
                    return Ok(Some("cargo-deny is not installed (`cargo install --locked cargo-deny`)"));
                }
                cargo(&["deny", "check", "licenses", "bans", "sources"], stop).await?;
            }
        }
        Ok(None)
    }
}

async fn python(stop: &mut Stop) -> anyhow::Result<()> {
    tools::require_python(stop).await?;
    let requirements = workspace::root().join("tests/python/requirements.txt");
    let python = venv::python("python", &requirements, "numpy, pandas and pyarrow, once", stop).await?;
    let mut test = cargo_command(&["test", "--workspace", "--test", "numpy", "--test", "tables"]);
    process::run(test.env("MOTIF_PYTHON", python), stop).await.context("the tests with Python")
}

async fn browser(stop: &mut Stop) -> anyhow::Result<()> {
    let chromium = tools::chromium(stop).await?;
    web::build(stop).await?;
    web::install(stop).await?;
    let mut test = cargo_command(&["test", "--workspace", "--test", "browser"]);
    process::run(test.env("CHROMIUM", chromium), stop).await.context("the browser test")
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut cargo = process::cargo(&workspace::root());
    cargo.args(arguments);
    cargo
}

async fn cargo(arguments: &[&str], stop: &mut Stop) -> anyhow::Result<()> {
    process::run(&mut cargo_command(arguments), stop).await
}
