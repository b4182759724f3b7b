//! Why a path could not be imported.

use std::io;
use std::path::PathBuf;

use crate::dataset::DatasetError;

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
         t10k-labels-idx1-ubyte (each plain or .gz), or data_batch_*.bin and test_batch.bin (or \
         cifar-10-binary.tar.gz), or train_32x32.mat and test_32x32.mat, or train.csv and test.csv (each plain or \
         .gz), or one .npz file",
        path.display()
    )]
    Unrecognized {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// Files of two datasets.
    #[error("{}: found {found}, expected one dataset per folder", path.display())]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
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
    /// A compressed file expands beyond what is read; how far is not tried.
    #[error("{}: expands to at least {found} bytes, expected at most {max}", path.display())]
    Expands {
        /// The file.
        path: PathBuf,
        /// Bytes that came out before reading stopped.
        found: u64,
        /// Most bytes that may come out.
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
    #[error("{}: label {index} is {label}, expected {min} to {max}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Position in the file, from 0.
        index: usize,
        /// The label.
        label: i64,
        /// Smallest label.
        min: i64,
        /// Largest label.
        max: i64,
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
    /// Something else than the format allows.
    #[error("{}: {what} is {found}, expected {expected}", path.display())]
    Mismatch {
        /// The file; for a part of an archive, the archive and the part.
        path: PathBuf,
        /// Which part.
        what: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
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
