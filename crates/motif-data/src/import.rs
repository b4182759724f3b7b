//! Finding out what a path holds, and reading it: IDX files, CIFAR-10 batches, or our own canonical form.
//!
//! Must not know: the library, names, where the files came from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::dataset::{Dataset, DatasetError, MAX_DATASET_BYTES};
use crate::{cifar, idx};

/// Names of a folder that an error shows.
const MAX_SHOWN_NAMES: usize = 6;
/// First bytes of a gzip stream. No format read here begins like that.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Why a path could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        #[source]
        source: io::Error,
    },
    /// Nothing of the right name is there.
    #[error(
        "{}: found {found}, expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
         t10k-labels-idx1-ubyte (each plain or .gz), or data_batch_*.bin and test_batch.bin",
        path.display()
    )]
    Unrecognized {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// Files of two datasets.
    #[error("{}: found both IDX and CIFAR-10 files, expected one dataset per folder", path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
    },
    /// Part of a dataset.
    #[error("{}: {missing} is missing beside {beside}", path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The file that is not there.
        missing: String,
        /// A file that is.
        beside: String,
    },
    /// Not a regular file.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The wrong kind of file.
    #[error("{}: begins with {found:#010x}, expected {expected:#010x}", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// Its first four bytes, big-endian.
        found: u32,
        /// What they should be.
        expected: u32,
    },
    /// A number of the header is out of range.
    #[error("{}: {field} is {value}, expected {min} to {max}", path.display())]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// Which number.
        field: &'static str,
        /// What it is.
        value: u64,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// The file is, or says that it is, larger than a dataset may be.
    #[error("{}: {bytes} bytes, expected at most {max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, for a header the length it asks for.
        bytes: u64,
        /// Largest length that is read.
        max: u64,
    },
    /// Less than the header promises.
    #[error("{}: truncated by {} bytes: found {found}, expected {expected}", path.display(), expected - found)]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes there are, after decompression.
        found: u64,
        /// Bytes the header asks for.
        expected: u64,
    },
    /// More than the header promises; for gzip, it expands beyond that.
    #[error("{}: trailing bytes: goes on after the {expected} bytes that its header asks for", path.display())]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Bytes the header asks for.
        expected: u64,
    },
    /// As many images as labels there must be.
    #[error(
        "{} holds {images} images, but {} holds {labels} labels: expected as many",
        images_path.display(), labels_path.display()
    )]
    CountMismatch {
        /// The file with the images.
        images_path: PathBuf,
        /// Images in it.
        images: usize,
        /// The file with the labels.
        labels_path: PathBuf,
        /// Labels in it.
        labels: usize,
    },
    /// Training and test images of different size.
    #[error("{}: images are {found}, expected {expected} as in the training images", path.display())]
    ShapeMismatch {
        /// The file with the test images.
        path: PathBuf,
        /// Its height × width.
        found: String,
        /// Height × width of the training images.
        expected: String,
    },
    /// A label that names no class.
    #[error("{}: label {index} is {label}, expected 0 to {max}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Position in the file, from 0.
        index: usize,
        /// The label.
        label: u8,
        /// Largest label.
        max: u8,
    },
    /// A file that is not a whole number of records.
    #[error(
        "{}: {found} bytes, expected a multiple of {record}, at least one: {} bytes beyond the last whole record",
        path.display(), found % record
    )]
    Records {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// Length of a record.
        record: u64,
    },
    /// The parts were read but make no dataset.
    #[error("{}: not a dataset", path.display())]
    Dataset {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: DatasetError,
    },
}

/// Reads the dataset at `path`: a folder with IDX files or with CIFAR-10 batches, told apart by what is in it, or
/// one file in canonical form.
///
/// # Errors
/// [`ImportError`] naming the file, what was found and what was expected.
pub fn import(path: &Path) -> Result<Dataset, ImportError> {
    let metadata = std::fs::metadata(path).map_err(|source| io_error("read", path, source))?;
    if !metadata.is_dir() {
        return import_canonical(path);
    }
    let names = file_names(path)?;
    match (idx::find(path, &names)?, cifar::find(path, &names)?) {
        (Some(_), Some(_)) => Err(ImportError::Ambiguous { path: path.to_owned() }),
        (Some(files), None) => idx::read(path, &files),
        (None, Some(batches)) => cifar::read(path, &batches),
        (None, None) => Err(ImportError::Unrecognized { path: path.to_owned(), found: describe(&names) }),
    }
}

fn import_canonical(path: &Path) -> Result<Dataset, ImportError> {
    let mut bytes = Vec::new();
    let (mut reader, _) = open(path, MAX_DATASET_BYTES as u64)?;
    reader.read_to_end(&mut bytes).map_err(|source| io_error("read", path, source))?;
    Dataset::from_bytes(&bytes).map_err(|source| ImportError::Dataset { path: path.to_owned(), source })
}

/// Sorted, so that the same folder gives the same error everywhere.
fn file_names(folder: &Path) -> Result<Vec<String>, ImportError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|source| io_error("list", folder, source))? {
        let entry = entry.map_err(|source| io_error("list", folder, source))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn describe(names: &[String]) -> String {
    if names.is_empty() {
        return "an empty folder".to_owned();
    }
    let shown = names[..names.len().min(MAX_SHOWN_NAMES)].join(", ");
    let more = names.len().saturating_sub(MAX_SHOWN_NAMES);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

pub(crate) fn io_error(operation: &'static str, path: &Path, source: io::Error) -> ImportError {
    ImportError::Io { operation, path: path.to_owned(), source }
}

/// Opens a regular file of at most `max` bytes for reading from its start; also its length.
///
/// The reader ends at the length found, even when somebody is still writing.
pub(crate) fn open(path: &Path, max: u64) -> Result<(io::Take<BufReader<File>>, u64), ImportError> {
    // Asked of the path first: opening a pipe waits for a writer.
    let metadata = std::fs::metadata(path).map_err(|source| io_error("open", path, source))?;
    if !metadata.is_file() {
        return Err(ImportError::NotAFile { path: path.to_owned() });
    }
    let bytes = metadata.len();
    if bytes > max {
        return Err(ImportError::TooLarge { path: path.to_owned(), bytes, max });
    }
    let file = File::open(path).map_err(|source| io_error("open", path, source))?;
    Ok((BufReader::new(file).take(bytes), bytes))
}

/// The file's contents, through gzip when its first bytes say so (whatever its name says).
pub(crate) fn open_maybe_gzip(path: &Path, max: u64) -> Result<Box<dyn Read>, ImportError> {
    let (mut reader, _) = open(path, max)?;
    let start = reader.fill_buf().map_err(|source| io_error("read", path, source))?;
    // Not the first member alone: what follows it is then trailing data, not ignored data.
    let gzip = start.starts_with(&GZIP_MAGIC);
    Ok(if gzip { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}
