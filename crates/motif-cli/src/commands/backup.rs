//! `motif backup` and `motif restore`: a data directory's database, datasets and checkpoints as a folder, and back.

use std::{
    fs, io,
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
/// Folders of a data directory that are copied as they are. Blobs are named by their content and never change.
const FOLDERS: [&str; 2] = ["datasets/blobs", "datasets/names"];
/// Of these, the copied database's trials name those that are needed.
const CHECKPOINTS: &str = "checkpoints";
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
    /// Files of checkpoints.
    #[serde(default)]
    checkpoint_files: u64,
    /// Checkpoints that the database names and that were gone: a newer one had taken their place. Their trials begin anew
    /// where nothing newer is restored.
    #[serde(default)]
    checkpoints_missing: u64,
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
    let mut dataset_files = 0;
    for folder in FOLDERS {
        dataset_files += copy_files(&data.join(folder), &unfinished.path().join(folder), false)?;
    }
    // After the database: one that is saved from now on is of no use to it. One that was deleted from now on costs time.
    let named = sqlite::checkpoints_of(&unfinished.path().join(DATABASE)).await?;
    let (from, to) = (data.join(CHECKPOINTS), unfinished.path().join(CHECKPOINTS));
    let mut checkpoint_files = 0;
    for hash in &named {
        checkpoint_files += u64::from(copy_named(&from, &to, hash)?);
    }
    let checkpoints_missing = named.len() as u64 - checkpoint_files;
    let motif = env!("CARGO_PKG_VERSION").to_owned();
    let manifest =
        Manifest { motif, made_at, database, dataset_files, checkpoint_files, checkpoints_missing };
    fs::write(unfinished.path().join(MANIFEST), serde_json::to_vec_pretty(&manifest)?)?;
    // Kept only under its final name: until then an error removes it.
    fs::rename(unfinished.path(), out).with_context(|| format!("cannot write {}", out.display()))?;
    let _moved = unfinished.keep();
    output::emit(global.json, &manifest, || {
        let Manifest { checkpoint_files, checkpoints_missing, .. } = &manifest;
        let missing = match checkpoints_missing {
            0 => String::new(),
            n => format!(" ({n} that it names were gone: their trials begin anew after a restore)"),
        };
        format!(
            "{}, {checkpoint_files} checkpoints{missing} in {}\nverified by opening it",
            contents(&manifest.database),
            out.display()
        )
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
    // Datasets and checkpoints first: a database that is in place must find them.
    for folder in [FOLDERS[0], CHECKPOINTS] {
        copy_files(&args.backup.join(folder), &data.join(folder), false)?;
    }
    let restored = sqlite::restore(&args.backup.join(DATABASE), &data.join(DATABASE), args.replace).await?;
    copy_files(&args.backup.join(FOLDERS[1]), &data.join(FOLDERS[1]), true)?;
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
        files += 1;
        if target.exists() && !overwrite {
            continue;
        }
        copy_file(&entry.path(), &target)
            .with_context(|| format!("cannot copy {} to {}", entry.path().display(), target.display()))?;
    }
    Ok(files)
}

/// Copies a file to another folder, whole or not at all.
fn copy_file(from: &Path, target: &Path) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    // With an ending by which the server knows what it may delete.
    let place = tempfile::Builder::new().prefix(".copy").suffix(".tmp").tempfile_in(folder)?;
    fs::copy(from, place.path())?;
    place.as_file().sync_all()?;
    place.persist(target)?;
    Ok(())
}

/// Copies the file of that name; whether it was there.
fn copy_named(from: &Path, to: &Path, name: &str) -> anyhow::Result<bool> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let (from, to) = (from.join(name), to.join(name));
    match copy_file(&from, &to) {
        Ok(()) => Ok(true),
        Err(_) if !from.exists() => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        }
    }
}
