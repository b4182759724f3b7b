//! `cargo xtask soak`: random kills of real servers and workers under load, with a ledger of what was acknowledged.

use clap::Args;

use crate::{
    process::{self, Stop},
    workspace,
};

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Signals sent to servers and workers.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    kills: u32,
    /// Fixes which process is struck when, and how.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
}

/// Whether every invariant held.
pub(crate) async fn run(soak: &Soak, stop: &mut Stop) -> anyhow::Result<bool> {
    let mut cargo = process::cargo(&workspace::root());
    cargo
        .args([
            "test",
            "--workspace",
            "--test",
            "faults",
            "--",
            "--ignored",
            "--exact",
            "soak",
            "--nocapture",
        ])
        .env("MOTIF_SOAK_KILLS", soak.kills.to_string())
        .env("MOTIF_SOAK_SEED", soak.seed.to_string());
    Ok(process::status(&mut cargo, stop).await?.success())
}
