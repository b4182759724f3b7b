//! CIFAR-10 in its binary form: records of a label byte and 32 × 32 red, green and blue planes.
//!
//! Must not know: other formats. A file need not hold 10,000 records, nor a folder five batches.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, MAX_DATASET_BYTES, Shape, Split};
use crate::import::{ImportError, io_error, open};

mod archive;

pub use archive::ARCHIVE_FILE;
pub(crate) use archive::{find_archive, read_archive};

/// Rows and columns of an image.
pub const CIFAR_SIDE_PIXELS: usize = 32;
/// Number of classes.
pub const CIFAR_CLASSES: u16 = 10;
/// Label and three planes.
pub const CIFAR_RECORD_BYTES: usize = 1 + SHAPE.features();

const SHAPE: Shape = Shape { height: CIFAR_SIDE_PIXELS, width: CIFAR_SIDE_PIXELS, channels: 3 };
const TEST_BATCH: &str = "test_batch.bin";

/// The files of one dataset, training batches in the order of their numbers.
pub(crate) struct Batches {
    train: Vec<PathBuf>,
    test: PathBuf,
}

/// Looks for `data_batch_*.bin` and `test_batch.bin`.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Option<Batches>, ImportError> {
    let mut train: Vec<&String> =
        names.iter().filter(|name| name.starts_with("data_batch_") && name.ends_with(".bin")).collect();
    // Shorter first: batch 2 comes before batch 10.
    train.sort_by_key(|name| (name.len(), *name));
    let test = names.iter().any(|name| name == TEST_BATCH);
    let (missing, beside) = match (train.first(), test) {
        (None, false) => return Ok(None),
        (Some(_), true) => {
            let train = train.into_iter().map(|name| folder.join(name)).collect();
            return Ok(Some(Batches { train, test: folder.join(TEST_BATCH) }));
        }
        (Some(first), false) => (TEST_BATCH, first.as_str()),
        (None, true) => ("data_batch_1.bin", TEST_BATCH),
    };
    let (missing, beside) = (missing.to_owned(), beside.to_owned());
    Err(ImportError::Missing { path: folder.to_owned(), missing, beside })
}

/// Reads every batch.
pub(crate) fn read(folder: &Path, batches: &Batches) -> Result<Dataset, ImportError> {
    let mut room = MAX_DATASET_BYTES as u64;
    let mut train = Split::default();
    for path in &batches.train {
        room -= read_batch(path, room, &mut train)?;
    }
    let mut test = Split::default();
    read_batch(&batches.test, room, &mut test)?;
    dataset(folder, train, test)
}

fn dataset(path: &Path, train: Split, test: Split) -> Result<Dataset, ImportError> {
    Dataset::new(SHAPE, CIFAR_CLASSES, train, test)
        .map_err(|source| ImportError::Dataset { path: path.to_owned(), source })
}

/// Appends the records of one file of at most `room` bytes; gives its length.
fn read_batch(path: &Path, room: u64, split: &mut Split) -> Result<u64, ImportError> {
    let (mut reader, found) = open(path, room)?;
    read_records(path, &mut reader, found, split)?;
    Ok(found)
}

/// Appends the records of `found` bytes, which the caller has found to be a dataset's at most.
fn read_records(
    path: &Path,
    reader: &mut dyn Read,
    found: u64,
    split: &mut Split,
) -> Result<(), ImportError> {
    let record = CIFAR_RECORD_BYTES as u64;
    if found == 0 || !found.is_multiple_of(record) {
        return Err(ImportError::Records { path: path.to_owned(), found, record });
    }
    let mut bytes = [0; CIFAR_RECORD_BYTES];
    for index in 0..usize::try_from(found / record).expect("at most MAX_DATASET_BYTES") {
        reader.read_exact(&mut bytes).map_err(|source| io_error("read", path, source))?;
        let [label, pixels @ ..] = &bytes;
        if u16::from(*label) >= CIFAR_CLASSES {
            let (label, max) = (i64::from(*label), i64::from(CIFAR_CLASSES) - 1);
            return Err(ImportError::Label { path: path.to_owned(), index, label, min: 0, max });
        }
        split.labels.push(u16::from(*label));
        split.pixels.extend_from_slice(pixels);
    }
    Ok(())
}
