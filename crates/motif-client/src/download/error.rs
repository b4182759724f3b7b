//! Why a file could not be fetched.

use std::{io, path::PathBuf};

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The address is none.
    #[error("{url:?} is not an address to fetch from: {reason}")]
    Address {
        /// The address given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be set up")]
    Setup {
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server has it not, or does not give it.
    #[error("{url}: the server answers with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Whether only the rest was asked for.
        resuming: bool,
    },
    /// The server gave another part than was asked for.
    #[error("{url}: the server answers with the range {found:?}, expected one from byte {at}")]
    Range {
        /// The address.
        url: String,
        /// What it says it gives.
        found: String,
        /// The first byte asked for.
        at: u64,
    },
    /// The file there is longer or shorter.
    #[error("{url}: {found} bytes or more, expected {expected}: this is another file")]
    Size {
        /// The address.
        url: String,
        /// Its length as far as it is known.
        found: u64,
        /// The length wanted.
        expected: u64,
    },
    /// The file there has the right length and other contents.
    #[error(
        "{url}: SHA-256 is {found}, expected {expected}: the file is damaged or another one; it was removed"
    )]
    Checksum {
        /// The address.
        url: String,
        /// Its sum.
        found: String,
        /// The sum wanted.
        expected: String,
    },
    /// The connection broke, and trying again did not get further.
    #[error("{url}: broke off after {received} of {expected} bytes; the same command goes on from there")]
    Broken {
        /// The address.
        url: String,
        /// Bytes that are there.
        received: u64,
        /// Bytes wanted.
        expected: u64,
        /// Why, unless the server just stopped.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Another process is at it.
    #[error("{}: another process is fetching this file", path.display())]
    Busy {
        /// The part that it holds.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}
