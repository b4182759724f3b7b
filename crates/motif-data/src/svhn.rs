//! SVHN's cropped digits: two MATLAB files of 32 × 32 colour images and labels 1 to 10, where 10 means 0.
//!
//! Must not know: other formats, how MATLAB lays out a file ([`mat`] does).

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, MAX_DATASET_BYTES, MAX_SPLIT_EXAMPLES, Shape, Split};
use crate::import::{ImportError, check_dim, find_pair, mismatch};

mod mat;

use mat::{Array, Numbers};

/// The training split.
pub const TRAIN_FILE: &str = "train_32x32.mat";
/// The test split.
pub const TEST_FILE: &str = "test_32x32.mat";
/// Rows and columns of an image.
pub const SVHN_SIDE_PIXELS: usize = 32;
/// Number of classes, the digits.
pub const SVHN_CLASSES: u16 = 10;

const SHAPE: Shape = Shape { height: SVHN_SIDE_PIXELS, width: SVHN_SIDE_PIXELS, channels: 3 };
/// Labels of the largest split, each a double.
const MAX_LABEL_BYTES: u64 = 8 * MAX_SPLIT_EXAMPLES as u64;
/// The label that means 0.
const ZERO_LABEL: u8 = 10;

/// The two files of one dataset.
pub(crate) struct Files {
    train: PathBuf,
    test: PathBuf,
}

/// Looks for the two names.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Option<Files>, ImportError> {
    let pair = find_pair(folder, names, [&[TRAIN_FILE], &[TEST_FILE]])?;
    Ok(pair.map(|[train, test]| Files { train, test }))
}

/// Reads both files.
pub(crate) fn read(folder: &Path, files: &Files) -> Result<Dataset, ImportError> {
    let room = MAX_DATASET_BYTES as u64;
    let train = read_split(&files.train, room)?;
    let test = read_split(&files.test, room - train.pixels.len() as u64)?;
    Dataset::new(SHAPE, SVHN_CLASSES, train, test)
        .map_err(|source| ImportError::Dataset { path: folder.to_owned(), source })
}

/// One file of at most `room` bytes of images.
fn read_split(path: &Path, room: u64) -> Result<Split, ImportError> {
    let [images, labels] = mat::read(path, [("X", room), ("y", MAX_LABEL_BYTES)])?;
    let (images_path, labels_path) = (path.join("X"), path.join("y"));
    let n = examples(&images_path, &images)?;
    let labels = read_labels(&labels_path, labels)?;
    if n != labels.len() {
        let labels = labels.len();
        return Err(ImportError::CountMismatch { images_path, images: n, labels_path, labels });
    }
    let Numbers::Bytes(mut pixels) = images.numbers else {
        return Err(mismatch(&images_path, "its type", "double", "uint8"));
    };
    for plane in pixels.chunks_exact_mut(SVHN_SIDE_PIXELS * SVHN_SIDE_PIXELS) {
        transpose(plane);
    }
    Ok(Split { pixels, labels })
}

/// The last of 32 × 32 × 3 × n; MATLAB leaves it out where it is 1.
fn examples(path: &Path, images: &Array) -> Result<usize, ImportError> {
    let n = match images.dims.as_slice() {
        [32, 32, 3, n] => *n,
        [32, 32, 3] => 1,
        _ => return Err(mismatch(path, "its shape", images.shape(), "32 × 32 × 3 × n")),
    };
    check_dim(path, "images", n, MAX_SPLIT_EXAMPLES)
}

fn read_labels(path: &Path, labels: Array) -> Result<Vec<u16>, ImportError> {
    if !matches!(labels.dims.as_slice(), [_, 1] | [1, _]) {
        return Err(mismatch(path, "its shape", labels.shape(), "n × 1"));
    }
    let digit = |index: usize, label: f64| {
        if label.fract() == 0.0 && (1.0..=f64::from(ZERO_LABEL)).contains(&label) {
            Ok(label as u16 % u16::from(ZERO_LABEL))
        } else {
            // Casting saturates, and shows what is not whole as the whole number below it.
            let (label, max) = (label as i64, i64::from(ZERO_LABEL));
            Err(ImportError::Label { path: path.to_owned(), index, label, min: 1, max })
        }
    };
    match labels.numbers {
        Numbers::Bytes(bytes) => {
            bytes.into_iter().map(f64::from).enumerate().map(|(i, y)| digit(i, y)).collect()
        }
        Numbers::Doubles(doubles) => doubles.into_iter().enumerate().map(|(i, y)| digit(i, y)).collect(),
    }
}

/// Column-major to row-major, in place: the planes are square.
fn transpose(plane: &mut [u8]) {
    for row in 0..SVHN_SIDE_PIXELS {
        for column in 0..row {
            plane.swap(row * SVHN_SIDE_PIXELS + column, column * SVHN_SIDE_PIXELS + row);
        }
    }
}
