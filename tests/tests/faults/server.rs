//! What happens to servers: killed under load.

use anyhow::ensure;
use motif_tests::soak;

#[test]
fn fault_01_server_and_workers_killed_in_a_loop_under_load() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let report = soak::run(dir.path(), 25, 7)?;
    ensure!(report.server_kills >= 5 && report.worker_kills >= 5, "{report:#?}");
    ensure!(report.acknowledged >= 25 && report.found.expired > 0, "{report:#?}");
    Ok(())
}
