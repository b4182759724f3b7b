//! CIFAR-10 as it is published: the batches in a `.tar.gz`, read without unpacking it to the disk.
//!
//! Must not know: where the archive came from.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::{TEST_BATCH, dataset, read_records};
use crate::dataset::{Dataset, MAX_DATASET_BYTES, Split};
use crate::import::{ImportError, check_size, io_error, mismatch, open};

/// The name under which it is published.
pub const ARCHIVE_FILE: &str = "cifar-10-binary.tar.gz";
/// Most entries of an archive; the published one has eight, folder included.
const MAX_ENTRIES: u64 = 64;
/// Most bytes that may come out of the compression: a dataset, and the headers and readme beside it.
const MAX_UNPACKED_BYTES: u64 = MAX_DATASET_BYTES as u64 + (1 << 20);

/// Looks for the archive by its published name.
pub(crate) fn find_archive(folder: &Path, names: &[String]) -> Option<PathBuf> {
    names.iter().any(|name| name == ARCHIVE_FILE).then(|| folder.join(ARCHIVE_FILE))
}

/// Reads every batch of the archive, in the order of their numbers.
pub(crate) fn read_archive(path: &Path) -> Result<Dataset, ImportError> {
    let (reader, _) = open(path, MAX_DATASET_BYTES as u64)?;
    // One byte more than allowed: to see that there is more.
    let unpacked = BufReader::new(MultiGzDecoder::new(reader)).take(MAX_UNPACKED_BYTES + 1);
    let mut archive = tar::Archive::new(unpacked);
    let batches = read_entries(path, &mut archive);
    // Whatever the reader made of the end it met: if that was the limit, the limit is the cause.
    if archive.into_inner().limit() == 0 {
        let (found, max) = (MAX_UNPACKED_BYTES + 1, MAX_UNPACKED_BYTES);
        return Err(ImportError::Expands { path: path.to_owned(), found, max });
    }
    let mut batches = batches?;
    let Some(test) = batches.remove(&BatchKey::test()) else {
        return Err(missing(path, TEST_BATCH, &batches));
    };
    if batches.is_empty() {
        return Err(missing(
            path,
            "data_batch_1.bin",
            &BTreeMap::from([(BatchKey::test(), Split::default())]),
        ));
    }
    let mut train = Split::default();
    for mut batch in batches.into_values() {
        train.pixels.append(&mut batch.pixels);
        train.labels.append(&mut batch.labels);
    }
    dataset(path, train, test)
}

/// Sorts batch 2 before batch 10.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BatchKey(usize, String);

impl BatchKey {
    fn test() -> Self {
        Self::new(TEST_BATCH)
    }

    fn new(name: &str) -> Self {
        Self(name.len(), name.to_owned())
    }
}

fn missing(path: &Path, missing: &str, batches: &BTreeMap<BatchKey, Split>) -> ImportError {
    let beside = batches.keys().next().map_or("nothing that is a batch", |BatchKey(_, name)| name.as_str());
    ImportError::Missing { path: path.to_owned(), missing: missing.to_owned(), beside: beside.to_owned() }
}

fn read_entries<R: Read>(
    path: &Path,
    archive: &mut tar::Archive<R>,
) -> Result<BTreeMap<BatchKey, Split>, ImportError> {
    let mut batches = BTreeMap::new();
    let mut room = MAX_DATASET_BYTES as u64;
    // Raw: extensions with long names would be read into memory whole, and no batch needs one.
    let entries = archive.entries().map_err(|source| io_error("read", path, source))?.raw(true);
    for (index, entry) in (1..).zip(entries) {
        if index > MAX_ENTRIES {
            let (path, field) = (path.to_owned(), "the number of entries");
            return Err(ImportError::OutOfRange { path, field, value: index, min: 1, max: MAX_ENTRIES });
        }
        let mut entry = entry.map_err(|source| io_error("read", path, source))?;
        let name = entry.path_bytes();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name).map(str::to_owned) else { continue };
        let batch = name.starts_with("data_batch_") && name.ends_with(".bin") || name == TEST_BATCH;
        if !batch || !entry.header().entry_type().is_file() {
            continue;
        }
        let (inside, bytes) = (path.join(&name), entry.size());
        check_size(&inside, bytes, room)?;
        room -= bytes;
        let mut split = Split::default();
        read_records(&inside, &mut entry, bytes, &mut split)?;
        if batches.insert(BatchKey::new(&name), split).is_some() {
            return Err(mismatch(path, name, "there twice", "there once"));
        }
    }
    Ok(batches)
}
