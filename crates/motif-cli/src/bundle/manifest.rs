//! `manifest.json`: which files a bundle has, and what is in them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::input::WrongInput;

/// The manifest's file name.
pub(crate) const FILE: &str = "manifest.json";
/// What a manifest calls itself.
const KIND: &str = "motif-bundle";
/// Version of the bundle's format: it rises when an old reader could misunderstand a new bundle.
pub(crate) const FORMAT: u32 = 1;
/// Largest manifest that is read.
const MANIFEST_MAX_BYTES: u64 = 4 << 20;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    kind: String,
    pub(crate) format: u32,
    /// Motif's version.
    pub(crate) motif: String,
    pub(crate) sweep_id: Uuid,
    pub(crate) name: String,
    pub(crate) made_at: Timestamp,
    /// Whether every trial had ended.
    pub(crate) finished: bool,
    /// BLAKE3 over all results.
    pub(crate) results_hash: String,
    pub(crate) datasets: Vec<DatasetEntry>,
    /// Every other file, by its path within the bundle.
    pub(crate) files: BTreeMap<String, FileEntry>,
}

/// A dataset by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatasetEntry {
    pub(crate) name: String,
    pub(crate) hash: String,
}

/// A file's size and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) bytes: u64,
    pub(crate) blake3: String,
}

/// What the manifest's own fields say.
pub(crate) struct Facts {
    pub(crate) sweep_id: Uuid,
    pub(crate) name: String,
    pub(crate) made_at: Timestamp,
    pub(crate) finished: bool,
    pub(crate) results_hash: String,
    pub(crate) datasets: Vec<DatasetEntry>,
}

impl Manifest {
    /// A manifest of these files.
    pub(crate) fn new(facts: Facts, files: BTreeMap<String, FileEntry>) -> Self {
        let Facts { sweep_id, name, made_at, finished, results_hash, datasets } = facts;
        let motif = env!("CARGO_PKG_VERSION").to_owned();
        let kind = KIND.to_owned();
        Self { kind, format: FORMAT, motif, sweep_id, name, made_at, finished, results_hash, datasets, files }
    }

    /// Reads a bundle's manifest.
    ///
    /// # Errors
    /// [`WrongInput`] when the folder is no bundle that this version reads.
    pub(crate) fn read(bundle: &Path) -> anyhow::Result<Self> {
        let path = bundle.join(FILE);
        let no_bundle = |why: String| WrongInput(format!("{} is no bundle: {why}", bundle.display()));
        let file = fs::File::open(&path).map_err(|error| no_bundle(format!("{FILE}: {error}")))?;
        let mut text = String::new();
        file.take(MANIFEST_MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| no_bundle(format!("{FILE}: {error}")))?;
        let manifest: Self =
            serde_json::from_str(&text).map_err(|error| no_bundle(format!("{FILE}: {error}")))?;
        if manifest.kind != KIND {
            return Err(no_bundle(format!("{FILE} says kind {:?}, expected {KIND:?}", manifest.kind)).into());
        }
        if manifest.format != FORMAT {
            let (found, motif) = (manifest.format, &manifest.motif);
            let message =
                format!("it has format {found} (of motif {motif}), this motif reads format {FORMAT}");
            return Err(WrongInput(format!("{}: {message}", bundle.display())).into());
        }
        Ok(manifest)
    }

    /// The files that are not as they were written, each with what became of it.
    pub(crate) fn changed(&self, bundle: &Path) -> anyhow::Result<Vec<String>> {
        let mut changed = Vec::new();
        for (path, entry) in &self.files {
            let inside =
                Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !inside {
                return Err(
                    WrongInput(format!("{FILE} names {path:?}, which is not within the bundle")).into()
                );
            }
            match file_entry(&bundle.join(path)) {
                Ok(found) if found == *entry => {}
                Ok(_) => changed.push(format!("{path} has changed")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    changed.push(format!("{path} is missing"));
                }
                Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
            }
        }
        Ok(changed)
    }
}

/// Size and hash of a file, read piece by piece.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn file_entry(path: &Path) -> io::Result<FileEntry> {
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut fs::File::open(path)?, &mut hasher)?;
    Ok(FileEntry { bytes, blake3: hasher.finalize().to_hex().to_string() })
}
