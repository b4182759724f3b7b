//! NPZ: NumPy's zip of arrays, with `x_train`, `y_train`, `x_test` and `y_test` in it, as Keras publishes MNIST.
//!
//! Must not know: other formats; the layout of the zip ([`zip`]) and of an array ([`npy`]).
//!
//! Images are uint8 of n × height × width, n × height × width × channels, or n × features (a square where features is
//! one, else one row); labels are integers of any width, n or n × 1.

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, MAX_CHANNELS, MAX_CLASSES, MAX_DATASET_BYTES, MAX_SIDE_PIXELS};
use crate::dataset::{MAX_SPLIT_EXAMPLES, Shape, Split};
use crate::import::{ImportError, Part, check_dim, join, mismatch, sides_of};

mod npy;
mod zip;

use npy::Array;
use zip::Zip;

/// First bytes of a zip that is not empty.
pub const MAGIC: [u8; 4] = *b"PK\x03\x04";
/// Largest file: a dataset that does not compress, with labels of eight bytes.
const MAX_FILE_BYTES: u64 = MAX_DATASET_BYTES as u64 + 16 * MAX_SPLIT_EXAMPLES as u64;
/// Labels of the largest split, each of eight bytes.
const MAX_LABEL_BYTES: u64 = 8 * MAX_SPLIT_EXAMPLES as u64;

/// Looks for a file that ends in `.npz`.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, ImportError> {
    let found: Vec<&String> = names.iter().filter(|name| name.ends_with(".npz")).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(folder.join(one))),
        [first, second, ..] => {
            let found = format!("the NPZ files {first} and {second}");
            Err(ImportError::Ambiguous { path: folder.to_owned(), found })
        }
    }
}

/// Reads the four arrays.
pub(crate) fn read(path: &Path) -> Result<Dataset, ImportError> {
    let mut zip = Zip::open(path, MAX_FILE_BYTES)?;
    let room = MAX_DATASET_BYTES as u64;
    let train = read_split(&mut zip, ["x_train", "y_train"], room)?;
    let test = read_split(&mut zip, ["x_test", "y_test"], room - train.split.pixels.len() as u64)?;
    join(path, train, test)
}

/// One split of at most `room` bytes of images.
fn read_split(zip: &mut Zip, [images, labels]: [&str; 2], room: u64) -> Result<Part, ImportError> {
    let (images_path, array) = npy::read(zip, images, room)?;
    let (n, shape) = image_shape(&images_path, &array)?;
    let (labels_path, labels) = npy::read(zip, labels, MAX_LABEL_BYTES)?;
    let labels = read_labels(&labels_path, &labels)?;
    if n != labels.len() {
        let labels = labels.len();
        return Err(ImportError::CountMismatch { images_path, images: n, labels_path, labels });
    }
    let pixels = if shape.channels == 1 { array.bytes } else { planes(&array.bytes, shape) };
    Ok(Part { split: Split { pixels, labels }, shape, images_path, labels_path })
}

/// Channels last to channel planes.
fn planes(interleaved: &[u8], shape: Shape) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(interleaved.len());
    for image in interleaved.chunks_exact(shape.features()) {
        for channel in 0..shape.channels {
            pixels.extend(image.iter().skip(channel).step_by(shape.channels));
        }
    }
    pixels
}

/// Number of images, and the shape of one.
fn image_shape(path: &Path, array: &Array) -> Result<(usize, Shape), ImportError> {
    if array.number != "|u1" {
        return Err(mismatch(path, "its type", format!("{:?}", array.number), "\"|u1\" (uint8)"));
    }
    let (n, sides) = match *array.shape.as_slice() {
        [n, features] => {
            // Within the limit of the file's length, so a usize.
            let (height, width) = sides_of(usize::try_from(features).unwrap_or(usize::MAX));
            (n, [height as u64, width as u64, 1])
        }
        [n, height, width] => (n, [height, width, 1]),
        [n, height, width, channels] => (n, [height, width, channels]),
        _ => {
            let expected = "n × features, n × height × width or n × height × width × channels";
            return Err(mismatch(path, "its shape", array.shown_shape(), expected));
        }
    };
    let shape = Shape {
        height: check_dim(path, "height", sides[0], MAX_SIDE_PIXELS)?,
        width: check_dim(path, "width", sides[1], MAX_SIDE_PIXELS)?,
        channels: check_dim(path, "channels", sides[2], MAX_CHANNELS)?,
    };
    Ok((check_dim(path, "images", n, MAX_SPLIT_EXAMPLES)?, shape))
}

fn read_labels(path: &Path, array: &Array) -> Result<Vec<u16>, ImportError> {
    let n = match *array.shape.as_slice() {
        [n] | [n, 1] => check_dim(path, "labels", n, MAX_SPLIT_EXAMPLES)?,
        _ => return Err(mismatch(path, "its shape", array.shown_shape(), "n or n × 1")),
    };
    let (width, signed) = match array.number.as_str() {
        "|u1" => (1, false),
        "|i1" => (1, true),
        "<u2" => (2, false),
        "<i2" => (2, true),
        "<u4" => (4, false),
        "<i4" => (4, true),
        "<u8" => (8, false),
        "<i8" => (8, true),
        other => {
            let expected = "|u1, |i1, <u2, <i2, <u4, <i4, <u8 or <i8 (integers)";
            return Err(mismatch(path, "its type", format!("{other:?}"), expected));
        }
    };
    let label = |(index, bytes): (usize, &[u8])| {
        let fill = if signed && bytes[width - 1] >= 0x80 { 0xff } else { 0 };
        let mut word = [fill; 8];
        word[..width].copy_from_slice(bytes);
        // An unsigned label beyond i64 shows as the largest there is.
        let label = if signed {
            i64::from_le_bytes(word)
        } else {
            i64::try_from(u64::from_le_bytes(word)).unwrap_or(i64::MAX)
        };
        let max = i64::from(MAX_CLASSES) - 1;
        let error = || ImportError::Label { path: path.to_owned(), index, label, min: 0, max };
        u16::try_from(label).ok().filter(|&label| label < MAX_CLASSES).ok_or_else(error)
    };
    array.bytes.chunks_exact(width).take(n).enumerate().map(label).collect()
}
