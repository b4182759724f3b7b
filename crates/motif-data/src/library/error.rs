//! What can go wrong with the library, one variant per failed operation.

use std::io;
use std::path::PathBuf;

use crate::dataset::DatasetError;
use crate::glyphs::{GLYPHS_HASH, GLYPHS_NAME};
use crate::names::MAX_NAME_BYTES;

/// Why the library could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A name that cannot be a file name.
    #[error(
        "dataset name {name:?} is not allowed: 1 to {MAX_NAME_BYTES} of a-z 0-9 . _ - beginning with a letter or digit"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// A hash that is no hash.
    #[error("dataset hash {hash:?} is not 64 lower-case hexadecimal digits")]
    Hash {
        /// The hash given.
        hash: String,
    },
    /// Nobody knows the name.
    #[error("there is no dataset named {name:?}")]
    UnknownName {
        /// The name given.
        name: String,
    },
    /// The contents are not here.
    #[error("there is no dataset with hash {hash} in this library")]
    UnknownHash {
        /// The hash given.
        hash: String,
    },
    /// The name is taken by other contents.
    #[error("dataset {name:?} is {old}, not {new}: say so explicitly to replace it")]
    NameTaken {
        /// The name given.
        name: String,
        /// Hash that the name points at.
        old: String,
        /// Hash that it was to point at.
        new: String,
    },
    /// The name belongs to a generator.
    #[error("dataset name {name:?} is built in ({builtin}) and cannot be given to {new}")]
    BuiltIn {
        /// The name given.
        name: String,
        /// Hash of the built-in contents.
        builtin: String,
        /// Hash that it was to point at.
        new: String,
    },
    /// The bytes are not a dataset.
    #[error("the bytes given are not a dataset")]
    Bytes {
        /// What is wrong with them.
        #[source]
        source: DatasetError,
    },
    /// A blob does not have the hash it is filed under.
    #[error("{}: contents have hash {found}, expected {expected}: import the dataset again", path.display())]
    Corrupt {
        /// The blob.
        path: PathBuf,
        /// Hash of what is there.
        found: String,
        /// Hash it is filed under.
        expected: String,
    },
    /// A blob with the right hash that this version cannot read.
    #[error("{}: cannot be read as a dataset", path.display())]
    Blob {
        /// The blob.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DatasetError,
    },
    /// A file larger than it may be.
    #[error("{}: {found} bytes, expected at most {max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// Largest length that is read.
        max: usize,
    },
    /// A name file that does not say what it should.
    #[error("{}: not a valid name file: {detail}", path.display())]
    NameFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The generator does not give what its hash promises.
    #[error(
        "the built-in dataset {GLYPHS_NAME:?} has hash {found}, expected {GLYPHS_HASH}: this build is broken"
    )]
    Generator {
        /// Hash of what was generated.
        found: String,
    },
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
}
