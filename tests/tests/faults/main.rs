//! Faults of the queue's promise, each by its number, through real processes; what holds is looked at from outside.

mod cancel;
mod checkpoint;
mod clock;
mod commit;
mod disk;
mod leaving;
mod load;
mod migration;
mod network;
mod outage;
mod scene;
mod server;
mod worker;

use std::env;

/// `cargo xtask soak` runs it: kills and seed come from the environment.
#[test]
#[ignore = "minutes: cargo xtask soak --kills N --seed S"]
fn soak() -> anyhow::Result<()> {
    let number = |name: &str, default: u64| env::var(name).map_or(Ok(default), |text| text.parse());
    let (kills, seed) = (number("MOTIF_SOAK_KILLS", 200)?, number("MOTIF_SOAK_SEED", 1)?);
    let dir = tempfile::tempdir()?;
    let report = motif_tests::soak::run(dir.path(), kills, seed)?;
    println!("seed {seed}: {report:#?}");
    Ok(())
}
