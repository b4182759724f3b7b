//! `motif backup` and `motif restore`: a data directory's database, datasets, checkpoints and snapshots as a folder, and
//! back.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytesize::ByteSize;
use jiff::Timestamp;
use motif_store::sqlite::{self, BackupSummary};
use motif_sweep::clock::Clock as _;
use serde::{Deserialize, Serialize};

use crate::{
    args::{Backup, Global, Restore},
    commands::Outcome,
    input::WrongInput,
    output,
    system::SystemClock,
};

const DATABASE: &str = "motif.db";
const DATASETS: &str = "datasets/blobs";
/// Files that attempts have handed over.
const HANDED_OVER: [&str; 2] = ["checkpoints", "snapshots"];
/// The only files that change: all others are named by their content.
const DATASET_NAMES: &str = "datasets/names";
const MANIFEST: &str = "backup.json";

/// What a backup says of itself.
#[derive(Serialize, Deserialize)]
struct Manifest {
    /// Version of motif that wrote it.
    motif: String,
    made_at: Timestamp,
    database: BackupSummary,
    /// Files of datasets.
    dataset_files: u64,
    /// Checkpoints and snapshots.
    #[serde(default)]
    handed_over_files: u64,
}

/// Writes the backup beside its place and moves it there when it is whole.
pub(crate) async fn backup(global: &Global, args: &Backup) -> anyhow::Result<Outcome> {
    let (data, out) = (global.data_dir()?, &args.out);
    if out.exists() {
        let out = out.display();
        return Err(WrongInput(format!("--out {out}: it is there already; name a new folder")).into());
    }
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let made_at = SystemClock::new().now();
    let unfinished = tempfile::Builder::new().prefix(".motif-backup").tempdir_in(parent)?;
    let database = sqlite::backup(&data.join(DATABASE), &unfinished.path().join(DATABASE)).await?;
    // Files after the rows that name them. A checkpoint that is no longer needed may be gone meanwhile: then its trial has
    // ended here, and begins at 0 where the backup is restored.
    let copy = |folder| copy_files(&data.join(folder), &unfinished.path().join(folder), false);
    let dataset_files = copy(DATASETS)? + copy(DATASET_NAMES)?;
    let handed_over_files = HANDED_OVER.into_iter().map(copy).sum::<anyhow::Result<u64>>()?;
    let motif = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { motif, made_at, database, dataset_files, handed_over_files };
    fs::write(unfinished.path().join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    // Kept only under its final name: until then an error removes it.
    fs::rename(unfinished.path(), out).with_context(|| format!("cannot write {}", out.display()))?;
    let _moved = unfinished.keep();
    output::emit(global.json, &manifest, || {
        format!("{} in {}\nverified by opening it", contents(&manifest.database), out.display())
    })?;
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Done<'a> {
    made_at: Timestamp,
    database: &'a BackupSummary,
    replaced: Option<&'a PathBuf>,
}

pub(crate) async fn restore(global: &Global, args: &Restore) -> anyhow::Result<Outcome> {
    let manifest = manifest(&args.backup)?;
    let data = global.data_dir()?;
    let copy = |folder, overwrite| copy_files(&args.backup.join(folder), &data.join(folder), overwrite);
    // Before the database, which must find them.
    for folder in [DATASETS].into_iter().chain(HANDED_OVER) {
        copy(folder, false)?;
    }
    let restored = sqlite::restore(&args.backup.join(DATABASE), &data.join(DATABASE), args.replace).await?;
    copy(DATASET_NAMES, true)?;
    let done =
        Done { made_at: manifest.made_at, database: &restored.summary, replaced: restored.replaced.as_ref() };
    output::emit(global.json, &done, || {
        let kept = restored.replaced.as_ref().map(|path| format!("\nwhat was there: {}", path.display()));
        format!(
            "{} as of {}, in epoch {}: leases given before are refused, their trials run again{}",
            contents(&restored.summary),
            manifest.made_at.strftime("%Y-%m-%d %H:%M:%SZ"),
            restored.summary.epoch,
            kept.unwrap_or_default()
        )
    })?;
    Ok(Outcome::Done)
}

fn manifest(backup: &Path) -> anyhow::Result<Manifest> {
    let path = backup.join(MANIFEST);
    let text = fs::read(&path).map_err(|error| {
        WrongInput(format!("{} is no folder that `motif backup` wrote: {error}", backup.display()))
    })?;
    let read = serde_json::from_slice(&text);
    Ok(read.map_err(|error| WrongInput(format!("{}: {error}", path.display())))?)
}

fn contents(summary: &BackupSummary) -> String {
    let BackupSummary { sweeps, trials, bytes, .. } = summary;
    format!("{sweeps} sweeps, {trials} trials, {}", ByteSize(*bytes))
}

/// Copies a folder's files, each whole or not at all; those that are there are left alone unless told otherwise.
fn copy_files(from: &Path, to: &Path, overwrite: bool) -> anyhow::Result<u64> {
    if !from.is_dir() {
        return Ok(0);
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut files = 0;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let unfinished = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !entry.file_type()?.is_file() || unfinished {
            continue;
        }
        if target.exists() && !overwrite {
            files += 1;
            continue;
        }
        let place = tempfile::Builder::new().prefix(".copy").tempfile_in(to)?;
        match fs::copy(entry.path(), place.path()) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            copied => copied.with_context(|| format!("cannot copy {}", entry.path().display()))?,
        };
        place.as_file().sync_all()?;
        place.persist(&target).with_context(|| format!("cannot write {}", target.display()))?;
        files += 1;
    }
    Ok(files)
}
