//! A dataset in memory, its canonical bytes and its content hash.
//!
//! Must not know: file formats of others, names, folders.
//!
//! Canonical bytes, all integers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `MOTIFDAT` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 × 3 | height, width, channels |
//! | 24 | 4 | classes |
//! | 28 | 4 × 2 | training examples n, test examples m |
//! | 36 | n × features | training pixels |
//! | | n × 2 | training labels |
//! | | m × features | test pixels |
//! | | m × 2 | test labels |
//!
//! One image is `features = channels × height × width` bytes in channel planes: all of the first channel, row by
//! row, then all of the second. CIFAR's own files have that order, and for one channel it is plain row-major.

use serde::{Deserialize, Serialize};

mod error;

pub use error::DatasetError;

/// First bytes of every canonical file.
pub const MAGIC: [u8; 8] = *b"MOTIFDAT";
/// Version of the canonical form; another layout gets another number.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes before the first pixel.
pub const HEADER_BYTES: usize = 36;
/// Largest height or width.
pub const MAX_SIDE_PIXELS: usize = 1024;
/// Largest number of channels.
pub const MAX_CHANNELS: usize = 16;
/// Largest number of classes.
pub const MAX_CLASSES: u16 = 10_000;
/// Largest number of examples in one split.
pub const MAX_SPLIT_EXAMPLES: usize = 10_000_000;
/// Largest canonical form.
pub const MAX_DATASET_BYTES: usize = 1 << 30;

// Products of numbers within these limits must not overflow.
const _: () = assert!(usize::BITS >= 64);

/// Height, width and channels of every image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Planes: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
}

impl Shape {
    /// Bytes of one image. Meaningful once the sides are within their limits, where it cannot overflow.
    #[must_use]
    pub const fn features(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Checks every side against its limit.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`] naming the side.
    pub fn check(self) -> Result<(), DatasetError> {
        in_range("height", self.height, 1, MAX_SIDE_PIXELS)?;
        in_range("width", self.width, 1, MAX_SIDE_PIXELS)?;
        in_range("channels", self.channels, 1, MAX_CHANNELS)
    }
}

fn in_range(field: &'static str, value: usize, min: usize, max: usize) -> Result<(), DatasetError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(DatasetError::OutOfRange { field, value, min, max })
    }
}

/// Labelled images: `pixels` is n × features, row-major; `labels` has n entries.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// n × features bytes, one image after the other, each in channel planes.
    pub pixels: Vec<u8>,
    /// n classes, each less than the dataset's number of classes.
    pub labels: Vec<u16>,
}

impl std::fmt::Debug for Split {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Split").field("examples", &self.labels.len()).finish_non_exhaustive()
    }
}

impl Split {
    /// Number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no examples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    fn check(&self, split: &'static str, features: usize, classes: u16) -> Result<(), DatasetError> {
        let field = if split == "train" { "train_examples" } else { "test_examples" };
        in_range(field, self.len(), 1, MAX_SPLIT_EXAMPLES)?;
        let (found, expected) = (self.pixels.len(), self.len() * features);
        if found != expected {
            let examples = self.len();
            return Err(DatasetError::PixelCount { split, found, expected, examples, features });
        }
        match self.labels.iter().position(|&label| label >= classes) {
            None => Ok(()),
            Some(index) => Err(DatasetError::Label { split, index, label: self.labels[index], classes }),
        }
    }

    /// Pixels, then labels, in canonical form.
    fn visit(&self, mut sink: impl FnMut(&[u8])) {
        sink(&self.pixels);
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        sink(&labels);
    }
}

/// What a dataset is, without its pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSummary {
    /// Content hash: hex BLAKE3 of the canonical bytes.
    pub hash: String,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Planes of an image.
    pub channels: usize,
    /// Number of classes.
    pub classes: u16,
    /// Examples to learn from.
    pub train_examples: usize,
    /// Examples held out.
    pub test_examples: usize,
    /// Length of the canonical form.
    pub bytes: u64,
}

/// A checked dataset: sides and counts within their limits, every label less than the number of classes.
///
/// It has no name: what it is called is the [library](crate::library)'s business, what it *is* is its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    shape: Shape,
    classes: u16,
    train: Split,
    test: Split,
    hash: String,
}

impl Dataset {
    /// Checks the parts and hashes them.
    ///
    /// # Errors
    /// [`DatasetError`] naming the part that is out of range or does not fit the others.
    pub fn new(shape: Shape, classes: u16, train: Split, test: Split) -> Result<Self, DatasetError> {
        Header { shape, classes: usize::from(classes), train: train.len(), test: test.len() }.check()?;
        train.check("train", shape.features(), classes)?;
        test.check("test", shape.features(), classes)?;
        let mut dataset = Self { shape, classes, train, test, hash: String::new() };
        let mut hasher = blake3::Hasher::new();
        dataset.visit(|part| {
            hasher.update(part);
        });
        dataset.hash = hasher.finalize().to_hex().to_string();
        Ok(dataset)
    }

    /// Examples to learn from.
    #[must_use]
    pub fn train(&self) -> &Split {
        &self.train
    }

    /// Examples held out.
    #[must_use]
    pub fn test(&self) -> &Split {
        &self.test
    }

    /// Bytes of one image: channels × height × width.
    #[must_use]
    pub fn features(&self) -> usize {
        self.shape.features()
    }

    /// Height, width and channels.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of classes; labels are below it.
    #[must_use]
    pub fn classes(&self) -> u16 {
        self.classes
    }

    /// Hex BLAKE3 of the canonical bytes: 64 lower-case digits.
    #[must_use]
    pub fn content_hash(&self) -> String {
        self.hash.clone()
    }

    /// What this dataset is, without its pixels.
    #[must_use]
    pub fn summary(&self) -> DatasetSummary {
        DatasetSummary {
            hash: self.hash.clone(),
            height: self.shape.height,
            width: self.shape.width,
            channels: self.shape.channels,
            classes: self.classes,
            train_examples: self.train.len(),
            test_examples: self.test.len(),
            bytes: self.header().total_bytes() as u64,
        }
    }

    /// The canonical form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.header().total_bytes());
        self.visit(|part| bytes.extend_from_slice(part));
        bytes
    }

    /// Reads the canonical form. Nothing is allocated before the length has been found to fit the header.
    ///
    /// # Errors
    /// [`DatasetError`] for anything that [`to_bytes`](Self::to_bytes) would not have written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DatasetError> {
        let header = Header::parse(bytes)?;
        let (found, expected) = (bytes.len(), header.total_bytes());
        if found < expected {
            return Err(DatasetError::Truncated { found, expected });
        }
        if found > expected {
            return Err(DatasetError::Trailing { found, expected });
        }
        let features = header.shape.features();
        let (train, test) = bytes[HEADER_BYTES..].split_at(header.train * (features + 2));
        let classes = u16::try_from(header.classes).expect("the header was checked against MAX_CLASSES");
        Self::new(header.shape, classes, read_split(train, header.train), read_split(test, header.test))
    }

    fn header(&self) -> Header {
        Header {
            shape: self.shape,
            classes: usize::from(self.classes),
            train: self.train.len(),
            test: self.test.len(),
        }
    }

    fn visit(&self, mut sink: impl FnMut(&[u8])) {
        sink(&self.header().to_bytes());
        self.train.visit(&mut sink);
        self.test.visit(&mut sink);
    }
}

/// `bytes` holds exactly `examples` images and as many labels.
fn read_split(bytes: &[u8], examples: usize) -> Split {
    let (pixels, labels) = bytes.split_at(bytes.len() - 2 * examples);
    let labels = labels.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    Split { pixels: pixels.to_vec(), labels }
}

#[derive(Clone, Copy)]
struct Header {
    shape: Shape,
    classes: usize,
    train: usize,
    test: usize,
}

impl Header {
    fn check(self) -> Result<(), DatasetError> {
        self.shape.check()?;
        in_range("classes", self.classes, 2, usize::from(MAX_CLASSES))?;
        in_range("train_examples", self.train, 1, MAX_SPLIT_EXAMPLES)?;
        in_range("test_examples", self.test, 1, MAX_SPLIT_EXAMPLES)?;
        in_range("bytes", self.total_bytes(), HEADER_BYTES, MAX_DATASET_BYTES)
    }

    /// With every field in range this is below 2^49: no overflow on 64 bits.
    fn total_bytes(self) -> usize {
        HEADER_BYTES + (self.train + self.test) * (self.shape.features() + 2)
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let Shape { height, width, channels } = self.shape;
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        for value in [height, width, channels, self.classes, self.train, self.test] {
            let value = u32::try_from(value).expect("every checked field is far below 2^32");
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Self, DatasetError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(DatasetError::Magic { found: bytes.iter().copied().take(MAGIC.len()).collect() });
        }
        if bytes.len() < HEADER_BYTES {
            return Err(DatasetError::Truncated { found: bytes.len(), expected: HEADER_BYTES });
        }
        let field = |index: usize| {
            let at = MAGIC.len() + 4 * index;
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if field(0) != FORMAT_VERSION {
            return Err(DatasetError::Version { found: field(0) });
        }
        let size = |index: usize| field(index) as usize;
        let shape = Shape { height: size(1), width: size(2), channels: size(3) };
        let header = Self { shape, classes: size(4), train: size(5), test: size(6) };
        header.check()?;
        Ok(header)
    }
}
