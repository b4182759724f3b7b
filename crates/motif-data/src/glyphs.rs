//! The built-in dataset: ten digit-like glyphs, drawn with strokes that no two examples share.
//!
//! Must not know: files, names, networks.
//!
//! Every example draws from its own ChaCha8 stream, and everything after that is integers, IEEE arithmetic in a
//! fixed order and `libm`, so the bytes, and their hash, are the same on every machine. A different picture is a
//! different dataset: whatever changes the bytes must be given another name and hash, or old results would
//! silently refer to other data.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::dataset::{Dataset, DatasetSummary, HEADER_BYTES, Shape, Split};

mod draw;
mod shapes;

/// Name that every library knows.
pub const GLYPHS_NAME: &str = "glyphs";
/// Content hash of the generated dataset.
pub const GLYPHS_HASH: &str = "569acb797c90532aae5e72a6cc8f7a9cd46feabb8a195e726f482b0b4c793646";
/// Number of classes, each with the same number of examples in either split.
pub const GLYPHS_CLASSES: u16 = 10;
/// Examples to learn from.
pub const GLYPHS_TRAIN_EXAMPLES: usize = 10_000;
/// Examples held out.
pub const GLYPHS_TEST_EXAMPLES: usize = 2_000;
/// Rows and columns of an image.
pub const GLYPHS_SIDE_PIXELS: usize = 28;

const SHAPE: Shape = Shape { height: GLYPHS_SIDE_PIXELS, width: GLYPHS_SIDE_PIXELS, channels: 1 };
const SEED: [u8; 32] = *b"motif glyphs, the first edition.";
/// Stream that orders the labels; examples use the streams from 1.
const ORDER_STREAM: u64 = 0;

/// Draws the whole dataset: about a second of work, 9.4 MB.
#[must_use]
pub fn generate() -> Dataset {
    let total = GLYPHS_TRAIN_EXAMPLES + GLYPHS_TEST_EXAMPLES;
    let mut order = Chance::new(ORDER_STREAM);
    let mut train = balanced_labels(GLYPHS_TRAIN_EXAMPLES, &mut order);
    let test = balanced_labels(GLYPHS_TEST_EXAMPLES, &mut order);
    train.extend(test);
    let mut pixels = Vec::with_capacity(total * SHAPE.features());
    for (label, stream) in train.iter().zip(ORDER_STREAM + 1..) {
        draw::glyph(usize::from(*label), &mut Chance::new(stream), &mut pixels);
    }
    let test = Split {
        pixels: pixels.split_off(GLYPHS_TRAIN_EXAMPLES * SHAPE.features()),
        labels: train.split_off(GLYPHS_TRAIN_EXAMPLES),
    };
    let train = Split { pixels, labels: train };
    Dataset::new(SHAPE, GLYPHS_CLASSES, train, test).expect("the generator keeps to its own sizes")
}

/// What [`generate`] gives, without drawing it.
#[must_use]
pub fn summary() -> DatasetSummary {
    let examples = GLYPHS_TRAIN_EXAMPLES + GLYPHS_TEST_EXAMPLES;
    DatasetSummary {
        hash: GLYPHS_HASH.to_owned(),
        height: SHAPE.height,
        width: SHAPE.width,
        channels: SHAPE.channels,
        classes: GLYPHS_CLASSES,
        train_examples: GLYPHS_TRAIN_EXAMPLES,
        test_examples: GLYPHS_TEST_EXAMPLES,
        bytes: (HEADER_BYTES + examples * (SHAPE.features() + 2)) as u64,
    }
}

/// As many of every class, in random order (Fisher–Yates).
fn balanced_labels(examples: usize, chance: &mut Chance) -> Vec<u16> {
    let mut labels: Vec<u16> = (0..GLYPHS_CLASSES).cycle().take(examples).collect();
    for last in (1..examples).rev() {
        labels.swap(last, chance.below(last + 1));
    }
    labels
}

/// Randomness of one stream.
struct Chance(ChaCha8Rng);

impl Chance {
    fn new(stream: u64) -> Self {
        let mut rng = ChaCha8Rng::from_seed(SEED);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Uniform on `[0, 1)`, a multiple of 2^-24.
    fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32() >> 8) / 16_777_216.0
    }

    /// Uniform on `[low, high)`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform on `[-size, size)`.
    fn around(&mut self, size: f64) -> f64 {
        self.between(-size, size)
    }

    /// Uniform on `0..bound`, up to a bias of `bound / 2^32`.
    fn below(&mut self, bound: usize) -> usize {
        let scaled = u64::from(self.0.next_u32()) * bound as u64;
        usize::try_from(scaled >> 32).expect("less than bound, which is a usize")
    }

    /// Four uniform bytes summed: near enough to normal with mean 0 and standard deviation 1.
    fn bell(&mut self) -> f64 {
        let sum: u32 = self.0.next_u32().to_le_bytes().into_iter().map(u32::from).sum();
        (f64::from(sum) - 510.0) / 147.8
    }
}
