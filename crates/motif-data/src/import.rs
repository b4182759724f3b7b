//! Finding out what a path holds, and reading it: IDX files, CIFAR-10 batches or their archive, SVHN's MATLAB
//! files, CSV, NPZ, or our own canonical form.
//!
//! Must not know: the library, names, where the files came from.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::dataset::{Dataset, MAX_DATASET_BYTES, Shape, Split};
use crate::{cifar, csv, idx, npz, svhn};

mod error;

pub use error::ImportError;

/// Names of a folder that an error shows.
const MAX_SHOWN_NAMES: usize = 6;
/// First bytes of a gzip stream. Of the files read here only an archive begins like that.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// First bytes of a MATLAB file, of any version.
const MATLAB_MAGIC: &[u8] = b"MATLAB";

/// What a folder turned out to hold.
enum Found {
    Idx(idx::Files),
    Cifar(cifar::Batches),
    CifarArchive(PathBuf),
    Svhn(svhn::Files),
    Csv(csv::Files),
    Npz(PathBuf),
}

impl Found {
    fn label(&self) -> &'static str {
        match self {
            Self::Idx(_) => "IDX files",
            Self::Cifar(_) => "CIFAR-10 batches",
            Self::CifarArchive(_) => "a CIFAR-10 archive",
            Self::Svhn(_) => "SVHN files",
            Self::Csv(_) => "CSV files",
            Self::Npz(_) => "an NPZ file",
        }
    }

    fn read(&self, folder: &Path) -> Result<Dataset, ImportError> {
        match self {
            Self::Idx(files) => idx::read(folder, files),
            Self::Cifar(batches) => cifar::read(folder, batches),
            Self::CifarArchive(path) => cifar::read_archive(path),
            Self::Svhn(files) => svhn::read(folder, files),
            Self::Csv(files) => csv::read(folder, files),
            Self::Npz(path) => npz::read(path),
        }
    }
}

/// Reads the dataset at `path`. In a folder the names tell what it is: the IDX files of MNIST and its relatives,
/// CIFAR-10's batches or their archive, SVHN's `train_32x32.mat` and `test_32x32.mat`, `train.csv` and `test.csv`,
/// or one `.npz` file. In a single file the first bytes tell: NPZ, CIFAR-10's archive, or our canonical form.
///
/// # Errors
/// [`ImportError`] naming the file, what was found and what was expected.
pub fn import(path: &Path) -> Result<Dataset, ImportError> {
    let metadata = std::fs::metadata(path).map_err(|source| io_error("read", path, source))?;
    if !metadata.is_dir() {
        return import_file(path);
    }
    let names = file_names(path)?;
    let candidates = [
        idx::find(path, &names)?.map(Found::Idx),
        cifar::find(path, &names)?.map(Found::Cifar),
        svhn::find(path, &names)?.map(Found::Svhn),
        csv::find(path, &names)?.map(Found::Csv),
        npz::find(path, &names)?.map(Found::Npz),
    ];
    let mut found: Vec<Found> = candidates.into_iter().flatten().collect();
    if found.is_empty() {
        // Asked last: whoever has unpacked the archive beside it has one dataset, not two.
        found.extend(cifar::find_archive(path, &names).map(Found::CifarArchive));
    }
    match found.as_slice() {
        [] => Err(ImportError::Unrecognized { path: path.to_owned(), found: describe(&names) }),
        [one] => one.read(path),
        several => {
            let found = several.iter().map(Found::label).collect::<Vec<_>>().join(" and ");
            Err(ImportError::Ambiguous { path: path.to_owned(), found })
        }
    }
}

fn import_file(path: &Path) -> Result<Dataset, ImportError> {
    let (mut reader, _) = open(path, u64::MAX)?;
    let start = reader.fill_buf().map_err(|source| io_error("read", path, source))?;
    if start.starts_with(&npz::MAGIC) {
        return npz::read(path);
    }
    if start.starts_with(&GZIP_MAGIC) {
        return cifar::read_archive(path);
    }
    if start.starts_with(MATLAB_MAGIC) {
        let found = "a MATLAB file with one split".to_owned();
        let expected = format!("the folder that holds {} and {}", svhn::TRAIN_FILE, svhn::TEST_FILE);
        return Err(ImportError::Mismatch {
            path: path.to_owned(),
            what: "the path".into(),
            found,
            expected,
        });
    }
    drop(reader);
    import_canonical(path)
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

/// Finds two files that only make sense together, each by the first of its spellings that is there.
pub(crate) fn find_pair(
    folder: &Path,
    names: &[String],
    spellings: [&[&str]; 2],
) -> Result<Option<[PathBuf; 2]>, ImportError> {
    let found = spellings.map(|spellings| spellings.iter().find(|name| names.iter().any(|n| n == *name)));
    let (missing, beside) = match found {
        [None, None] => return Ok(None),
        [Some(first), Some(second)] => return Ok(Some([folder.join(first), folder.join(second)])),
        [Some(first), None] => (spellings[1][0], first),
        [None, Some(second)] => (spellings[0][0], second),
    };
    let (missing, beside) = (missing.to_owned(), (*beside).to_owned());
    Err(ImportError::Missing { path: folder.to_owned(), missing, beside })
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

/// Up to `wanted + beyond` bytes, fewer at the end. Memory grows with what is there, not with what a header claims.
///
/// A compressed stream that breaks off before `wanted` bytes gives what it had, as a plain file would.
pub(crate) fn read_at_most(
    path: &Path,
    reader: &mut dyn Read,
    wanted: u64,
    beyond: u64,
) -> Result<Vec<u8>, ImportError> {
    let mut bytes = Vec::new();
    match reader.take(wanted + beyond).read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof && (bytes.len() as u64) < wanted => Ok(bytes),
        Err(error) => Err(io_error("read", path, error)),
        Ok(_) => Ok(bytes),
    }
}

/// `found` as a path's size in a [`ImportError::TooLarge`], when it is beyond `max`.
pub(crate) fn check_size(path: &Path, bytes: u64, max: u64) -> Result<(), ImportError> {
    if bytes > max {
        return Err(ImportError::TooLarge { path: path.to_owned(), bytes, max });
    }
    Ok(())
}

/// Refuses a number of a header that is not in `1..=max`.
pub(crate) fn check_dim(
    path: &Path,
    field: &'static str,
    value: u64,
    max: usize,
) -> Result<usize, ImportError> {
    let max = max as u64;
    if value == 0 || value > max {
        return Err(ImportError::OutOfRange { path: path.to_owned(), field, value, min: 1, max });
    }
    Ok(usize::try_from(value).expect("at most max, which is a usize"))
}

/// Sides of one-channel images of which only the number of pixels is known: a square where that is one, else a row.
pub(crate) fn sides_of(pixels: usize) -> (usize, usize) {
    let root = pixels.isqrt();
    if root * root == pixels { (root, root) } else { (1, pixels) }
}

pub(crate) fn mismatch(
    path: &Path,
    what: impl Into<String>,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> ImportError {
    let (what, found, expected) = (what.into(), found.into(), expected.into());
    ImportError::Mismatch { path: path.to_owned(), what, found, expected }
}

/// A split and where its images and labels were read, for errors.
pub(crate) struct Part {
    pub(crate) split: Split,
    pub(crate) shape: Shape,
    pub(crate) images_path: PathBuf,
    pub(crate) labels_path: PathBuf,
}

/// Makes a dataset of two splits; the number of classes is the largest training label plus one.
pub(crate) fn join(path: &Path, train: Part, test: Part) -> Result<Dataset, ImportError> {
    if train.shape != test.shape {
        let show = |s: Shape| match s.channels {
            1 => format!("{} × {}", s.height, s.width),
            channels => format!("{} × {} × {channels}", s.height, s.width),
        };
        let (found, expected) = (show(test.shape), show(train.shape));
        return Err(ImportError::ShapeMismatch { path: test.images_path, found, expected });
    }
    let largest = train.split.labels.iter().copied().max().unwrap_or(0);
    if let Some(index) = test.split.labels.iter().position(|&label| label > largest) {
        let (label, max) = (i64::from(test.split.labels[index]), i64::from(largest));
        return Err(ImportError::Label { path: test.labels_path, index, label, min: 0, max });
    }
    // No reader gives a label of u16::MAX; were there one, it would be refused as out of range.
    let classes = largest.saturating_add(1);
    Dataset::new(train.shape, classes, train.split, test.split)
        .map_err(|source| ImportError::Dataset { path: path.to_owned(), source })
}
