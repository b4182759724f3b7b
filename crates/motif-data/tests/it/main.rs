//! What the crate promises, seen from outside; fixtures are written by the tests.

mod archive;
mod canonical;
mod catalog;
mod csv;
mod fixtures;
mod glyphs;
mod import;
mod library;
mod npz;
mod svhn;

use std::path::Path;

use motif_data::{Dataset, Shape, Split};
use tempfile::TempDir;

/// A valid dataset of `train` + `test` images of 2 channels × 3 × 2, three classes; `salt` makes it another one.
pub(crate) fn small(train: usize, test: usize, salt: u8) -> Dataset {
    let shape = Shape { height: 3, width: 2, channels: 2 };
    let split = |examples: usize| Split {
        pixels: (0..examples * 12).map(|i| (i as u8).wrapping_mul(31).wrapping_add(salt)).collect(),
        labels: (0..examples).map(|i| (i % 3) as u16).collect(),
    };
    Dataset::new(shape, 3, split(train), split(test)).expect("the parts fit")
}

/// A folder with these files.
pub(crate) fn folder<N: AsRef<Path>>(files: impl IntoIterator<Item = (N, Vec<u8>)>) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }
    dir
}
