//! The IDX files of MNIST and its relatives: big-endian header, then bytes.
//!
//! Must not know: which dataset it is, other formats.

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, MAX_DATASET_BYTES, MAX_SIDE_PIXELS, MAX_SPLIT_EXAMPLES, Shape, Split};
use crate::import::{ImportError, Part, check_dim, check_size, join, open_maybe_gzip, read_at_most};

/// Three dimensions of unsigned bytes: examples, rows, columns.
pub const IMAGES_MAGIC: u32 = 0x0803;
/// One dimension of unsigned bytes: examples.
pub const LABELS_MAGIC: u32 = 0x0801;
/// Largest label: EMNIST has 62 classes, and beyond this the file is more likely damaged.
pub const MAX_IDX_LABEL: u8 = 99;
/// Largest file on disk, compressed or not: the data plus its header.
const MAX_FILE_BYTES: u64 = MAX_DATASET_BYTES as u64 + 16;

/// The four files of one dataset.
pub(crate) struct Files {
    train_images: PathBuf,
    train_labels: PathBuf,
    test_images: PathBuf,
    test_labels: PathBuf,
}

/// Looks for the four usual names; the plain file is taken where there is also a compressed one.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Option<Files>, ImportError> {
    let parts = [
        ("train-images", "idx3"),
        ("train-labels", "idx1"),
        ("t10k-images", "idx3"),
        ("t10k-labels", "idx1"),
    ];
    let found = parts.map(|(part, kind)| {
        let spellings = ["-", "."].map(|dash| format!("{part}{dash}{kind}-ubyte"));
        let plain = spellings.iter().find(|name| names.contains(name)).cloned();
        plain.or_else(|| spellings.iter().map(|name| format!("{name}.gz")).find(|name| names.contains(name)))
    });
    let Some(beside) = found.iter().flatten().next().cloned() else { return Ok(None) };
    if let Some(index) = found.iter().position(Option::is_none) {
        let (part, kind) = parts[index];
        let missing = format!("{part}-{kind}-ubyte[.gz]");
        return Err(ImportError::Missing { path: folder.to_owned(), missing, beside });
    }
    let [train_images, train_labels, test_images, test_labels] =
        found.map(|name| folder.join(name.expect("the missing ones were refused above")));
    Ok(Some(Files { train_images, train_labels, test_images, test_labels }))
}

/// Reads the four files. The number of classes is the largest training label plus one.
pub(crate) fn read(folder: &Path, files: &Files) -> Result<Dataset, ImportError> {
    let train = read_split(&files.train_images, &files.train_labels)?;
    let test = read_split(&files.test_images, &files.test_labels)?;
    join(folder, train, test)
}

fn read_split(images_path: &Path, labels_path: &Path) -> Result<Part, ImportError> {
    let ([images, height, width], pixels) =
        read_file(images_path, IMAGES_MAGIC, [("images", MAX_SPLIT_EXAMPLES), SIDES[0], SIDES[1]])?;
    let ([labels], bytes) = read_file(labels_path, LABELS_MAGIC, [("labels", MAX_SPLIT_EXAMPLES)])?;
    if images != labels {
        let (images_path, labels_path) = (images_path.to_owned(), labels_path.to_owned());
        return Err(ImportError::CountMismatch { images_path, images, labels_path, labels });
    }
    if let Some(index) = bytes.iter().position(|&label| label > MAX_IDX_LABEL) {
        let (path, label, max) = (labels_path.to_owned(), i64::from(bytes[index]), i64::from(MAX_IDX_LABEL));
        return Err(ImportError::Label { path, index, label, min: 0, max });
    }
    let split = Split { pixels, labels: bytes.into_iter().map(u16::from).collect() };
    let shape = Shape { height, width, channels: 1 };
    Ok(Part { split, shape, images_path: images_path.to_owned(), labels_path: labels_path.to_owned() })
}

const SIDES: [(&str, usize); 2] = [("height", MAX_SIDE_PIXELS), ("width", MAX_SIDE_PIXELS)];

/// The dimensions, each 1 to its limit, and exactly as many bytes as they multiply to.
fn read_file<const D: usize>(
    path: &Path,
    magic: u32,
    limits: [(&'static str, usize); D],
) -> Result<([usize; D], Vec<u8>), ImportError> {
    let mut reader = open_maybe_gzip(path, MAX_FILE_BYTES)?;
    let header_bytes = 4 * (1 + D) as u64;
    let header = read_at_most(path, &mut *reader, header_bytes, 0)?;
    // A file of another kind may well be shorter than our header: its magic says more than its length.
    let word = |index: usize| header.get(4 * index..4 * index + 4).map(be_u32);
    if let Some(found) = word(0).filter(|&found| found != magic) {
        return Err(ImportError::Magic { path: path.to_owned(), found, expected: magic });
    }
    let mut dims = [0; D];
    for (index, (field, max)) in limits.into_iter().enumerate() {
        let Some(value) = word(index + 1) else {
            let (path, found) = (path.to_owned(), header.len() as u64);
            return Err(ImportError::Truncated { path, found, expected: header_bytes });
        };
        dims[index] = check_dim(path, field, u64::from(value), max)?;
    }
    // Below 2^24 × 2^10 × 2^10.
    let expected: u64 = dims.iter().map(|&dim| dim as u64).product();
    check_size(path, expected, MAX_DATASET_BYTES as u64)?;
    // One byte more than promised: enough to see trailing data, and at its end gzip checks its sum.
    let data = read_at_most(path, &mut *reader, expected, 1)?;
    let found = data.len() as u64;
    if found < expected {
        let (found, expected) = (header_bytes + found, header_bytes + expected);
        return Err(ImportError::Truncated { path: path.to_owned(), found, expected });
    }
    if found > expected {
        return Err(ImportError::Trailing { path: path.to_owned(), expected: header_bytes + expected });
    }
    Ok((dims, data))
}

fn be_u32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
