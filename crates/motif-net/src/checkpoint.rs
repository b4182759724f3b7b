//! A checkpoint's bytes: everything of a trial under way that config, seed and task do not determine.
//!
//! ```text
//! "motif-net checkpoint\n", version, config hash, seed, task hash, instruction set,
//! steps, started, step of divergence or 0, this epoch's score, result chain, last point's values,
//! (name, rows, columns, values)… of the weights, then of the velocities, BLAKE3 of all of it
//! ```
//!
//! Integers are little-endian u64, numbers their IEEE bits, texts their length and UTF-8 bytes. Knows the format,
//! not the training loop.

use thiserror::Error;

/// The version written, and the only one read.
pub const CHECKPOINT_VERSION: u64 = 1;
const MAGIC: &[u8] = b"motif-net checkpoint\n";
const HASH_BYTES: usize = 32;

/// Why a checkpoint cannot be resumed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The bytes do not begin as a checkpoint does.
    #[error("these bytes are not a checkpoint of this engine")]
    NotACheckpoint,
    /// It was written by another version of the engine.
    #[error("the checkpoint has version {found}, expected {CHECKPOINT_VERSION}")]
    Version {
        /// What it says.
        found: u64,
    },
    /// It is cut short, or bytes were changed: its checksum does not fit.
    #[error("the checkpoint of {bytes} bytes is truncated or corrupt: its checksum does not fit")]
    Corrupt {
        /// Its length.
        bytes: usize,
    },
    /// It is of another trial.
    #[error("the checkpoint's {what} is {found}, expected {expected}")]
    Mismatch {
        /// `config hash`, `seed`, `task hash`, `instruction set` or `tensor`.
        what: &'static str,
        /// What it says.
        found: String,
        /// What this trial has.
        expected: String,
    },
}

impl CheckpointError {
    /// Checks that what a checkpoint says of `what` is what the trial has.
    pub(crate) fn unless_equal(what: &'static str, found: String, expected: String) -> Result<(), Self> {
        if found == expected { Ok(()) } else { Err(Self::Mismatch { what, found, expected }) }
    }
}

/// Collects a checkpoint's bytes.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins a checkpoint of about `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let mut writer = Self(Vec::with_capacity(bytes));
        writer.0.extend_from_slice(MAGIC);
        writer.integer(CHECKPOINT_VERSION);
        writer
    }

    pub(crate) fn integer(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn number(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.integer(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn hash(&mut self, hash: &[u8; HASH_BYTES]) {
        self.0.extend_from_slice(hash);
    }

    pub(crate) fn singles<'a>(&mut self, values: impl Iterator<Item = &'a f32>) {
        self.0.extend(values.flat_map(|value| value.to_le_bytes()));
    }

    /// Adds the checksum.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let checksum = blake3::hash(&self.0);
        self.0.extend_from_slice(checksum.as_bytes());
        self.0
    }
}

/// Reads what a [`Writer`] wrote. Every read is bounded by what is left.
pub(crate) struct Reader<'a> {
    left: &'a [u8],
    bytes: usize,
}

impl<'a> Reader<'a> {
    /// Checks beginning, version and checksum.
    pub(crate) fn new(checkpoint: &'a [u8]) -> Result<Self, CheckpointError> {
        let bytes = checkpoint.len();
        if bytes < MAGIC.len() && MAGIC.starts_with(checkpoint) && bytes > 0 {
            return Err(CheckpointError::Corrupt { bytes });
        }
        let left = checkpoint.strip_prefix(MAGIC).ok_or(CheckpointError::NotACheckpoint)?;
        let mut reader = Self { left, bytes };
        let version = reader.integer()?;
        let body = bytes.checked_sub(HASH_BYTES).ok_or_else(|| reader.corrupt())?;
        let (content, checksum) = checkpoint.split_at(body);
        let sound = blake3::hash(content).as_bytes() == checksum;
        // Another version may place its checksum elsewhere, so an unsound one is told by its version.
        match version {
            CHECKPOINT_VERSION if sound => {}
            CHECKPOINT_VERSION => return Err(reader.corrupt()),
            found => return Err(CheckpointError::Version { found }),
        }
        let content = reader.left.len().checked_sub(HASH_BYTES).ok_or_else(|| reader.corrupt())?;
        reader.left = &reader.left[..content];
        Ok(reader)
    }

    pub(crate) fn corrupt(&self) -> CheckpointError {
        CheckpointError::Corrupt { bytes: self.bytes }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CheckpointError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or_else(|| self.corrupt())?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.corrupt())
    }

    pub(crate) fn integer(&mut self) -> Result<u64, CheckpointError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take at least one byte each.
    pub(crate) fn count(&mut self) -> Result<usize, CheckpointError> {
        let count = self.integer()?;
        usize::try_from(count).ok().filter(|&count| count <= self.left.len()).ok_or_else(|| self.corrupt())
    }

    pub(crate) fn number(&mut self) -> Result<f64, CheckpointError> {
        self.array().map(f64::from_le_bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, CheckpointError> {
        let length = self.count()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt())
    }

    pub(crate) fn hash(&mut self) -> Result<[u8; HASH_BYTES], CheckpointError> {
        self.array()
    }

    pub(crate) fn singles<'b>(
        &mut self,
        values: impl ExactSizeIterator<Item = &'b mut f32>,
    ) -> Result<(), CheckpointError> {
        let bytes = values.len().checked_mul(4).ok_or_else(|| self.corrupt())?;
        let taken = self.take(bytes)?;
        for (value, bytes) in values.zip(taken.chunks_exact(4)) {
            *value = f32::from_le_bytes(bytes.try_into().map_err(|_| self.corrupt())?);
        }
        Ok(())
    }

    /// Checks that nothing is left.
    pub(crate) fn finish(self) -> Result<(), CheckpointError> {
        if self.left.is_empty() { Ok(()) } else { Err(self.corrupt()) }
    }
}
