//! `motif trial snapshots`: the files that a trial has handed over.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};
use indicatif::HumanBytes;
use motif_client::Client;
use motif_wire::trials::Snapshot;
use uuid::Uuid;

use crate::{
    args::Global,
    commands::Outcome,
    output::{self, tables},
};

pub(crate) async fn run(global: &Global, trial: Uuid, out: Option<&Path>) -> anyhow::Result<Outcome> {
    let client = global.client()?;
    let snapshots = client.trial_snapshots(trial).await?;
    if let Some(dir) = out {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for snapshot in &snapshots {
            fetch(&client, trial, snapshot, dir).await?;
        }
    }
    output::emit(global.json, &snapshots, || text(&snapshots, out))?;
    Ok(Outcome::Done)
}

/// Writes a snapshot's file once all of it has arrived whole.
async fn fetch(client: &Client, trial: Uuid, snapshot: &Snapshot, dir: &Path) -> anyhow::Result<()> {
    let path = dir.join(&snapshot.name);
    let name = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(name)?;
    client.trial_snapshot_content(trial, &snapshot.name, &mut file).await?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(fs::File::open(file.path()).with_context(name)?).with_context(name)?;
    let found = hasher.finalize().to_hex();
    ensure!(
        found.as_str() == snapshot.hash,
        "{} arrived as {found}, expected {}",
        snapshot.name,
        snapshot.hash
    );
    file.as_file().sync_all().with_context(name)?;
    file.persist(&path).with_context(name)?;
    Ok(())
}

fn text(snapshots: &[Snapshot], out: Option<&Path>) -> String {
    if snapshots.is_empty() {
        return "no snapshots: a sweep asks for them with `snapshots = true`".to_owned();
    }
    let mut table = tables::table(&["snapshot", "size", "blake3"], &[1]);
    for snapshot in snapshots {
        table.add_row(vec![
            snapshot.name.clone(),
            HumanBytes(snapshot.bytes).to_string(),
            snapshot.hash.chars().take(12).collect(),
        ]);
    }
    match out {
        None => table.to_string(),
        Some(dir) => format!("{table}\nfetched into {}", dir.display()),
    }
}
