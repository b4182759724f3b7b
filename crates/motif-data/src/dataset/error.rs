//! Why something is not a dataset.

use super::{FORMAT_VERSION, MAGIC};

/// Why something is not a dataset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// The bytes are of another kind.
    #[error("not a dataset: begins with {found:02x?}, expected {MAGIC:02x?} (\"MOTIFDAT\")")]
    Magic {
        /// The first bytes, at most eight.
        found: Vec<u8>,
    },
    /// The bytes are of a later or broken version.
    #[error("dataset format version {found} is not known, expected {FORMAT_VERSION}")]
    Version {
        /// The version named.
        found: u32,
    },
    /// Fewer bytes than the header promises.
    #[error("truncated by {} bytes: found {found}, expected {expected}", expected - found)]
    Truncated {
        /// Bytes there are.
        found: usize,
        /// Bytes the header asks for.
        expected: usize,
    },
    /// More bytes than the header promises.
    #[error("{} trailing bytes: found {found}, expected {expected}", found - expected)]
    Trailing {
        /// Bytes there are.
        found: usize,
        /// Bytes the header asks for.
        expected: usize,
    },
    /// A number of the header is out of range.
    #[error("{field} is {value}, expected {min} to {max}")]
    OutOfRange {
        /// Which number.
        field: &'static str,
        /// What it is.
        value: usize,
        /// Smallest allowed.
        min: usize,
        /// Largest allowed.
        max: usize,
    },
    /// A split whose pixels do not fit its labels.
    #[error("{split} has {found} pixel bytes, expected {expected} ({examples} labels × {features} features)")]
    PixelCount {
        /// `train` or `test`.
        split: &'static str,
        /// Pixel bytes there are.
        found: usize,
        /// Pixel bytes the labels ask for.
        expected: usize,
        /// Labels there are.
        examples: usize,
        /// Features of one example.
        features: usize,
    },
    /// A label that names no class.
    #[error("{split} label {index} is {label}, expected less than {classes}")]
    Label {
        /// `train` or `test`.
        split: &'static str,
        /// Position of the example in its split, from 0.
        index: usize,
        /// The label.
        label: u16,
        /// Number of classes.
        classes: u16,
    },
}
