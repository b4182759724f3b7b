//! `cargo xtask simulate`: worlds of a server, workers and faults from seeds, in simulated time.

use std::ffi::OsString;

use clap::Args;

use crate::{
    process::{self, Stop},
    workspace,
};

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Simulate {
    /// `--seeds N --from S`, or `--seed X --trace`; `--plant NAME`, `--sqlite`; `--help` says more.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<OsString>,
}

/// Whether every promise was kept.
pub(crate) async fn run(simulate: &Simulate, stop: &mut Stop) -> anyhow::Result<bool> {
    let mut cargo = process::cargo(&workspace::root());
    cargo.args(["run", "--quiet", "--release", "--package", "motif-testkit", "--example", "simulate", "--"]);
    cargo.args(&simulate.options);
    Ok(process::status(&mut cargo, stop).await?.success())
}
