//! Training images moved and mirrored while a minibatch is gathered: what a config asks for, and its draws.
//!
//! Knows where an image's pixels go, not what they are.

use std::fmt;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::examples::ImageShape;
use crate::random::Stream;

/// Farthest that an image is moved.
pub const MAX_SHIFT_PIXELS: usize = 1_023;
/// Words of the stream that one image takes: three draws of 64 bits.
const WORDS_PER_IMAGE: u128 = 6;

/// How training images are varied, anew each time one is shown; off by default.
///
/// Examples to measure on and the diagnostics' probe are never varied, and the normalization is that of the examples
/// as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Each image is moved down and to the right by whole numbers of pixels, uniform in `-shift ..= shift`; pixels that
    /// this uncovers have the raw value 0.
    pub shift: usize,
    /// Each image is mirrored left to right with probability ½, before it is moved.
    pub flip: bool,
}

impl Augment {
    /// Whether images stay as they are.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Augment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ shift = {}, flip = {} }}", self.shift, self.flip)
    }
}

/// Where one image's pixels go: mirrored first, then moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) down: isize,
    pub(crate) right: isize,
    pub(crate) mirrored: bool,
}

impl Placement {
    /// Of `size` rows (columns), those that show a part of the image after it was moved by `by`.
    pub(crate) fn covered(size: usize, by: isize) -> Range<usize> {
        let end = size.saturating_sub((-by).max(0) as usize);
        by.clamp(0, end as isize) as usize..end
    }
}

/// The placements of a trial's training images.
pub(crate) struct Placements {
    augment: Augment,
    pub(crate) image: ImageShape,
    stream: Stream,
}

impl Placements {
    /// Those of the trial's seed; `None` when images stay as they are.
    pub(crate) fn new(augment: Augment, image: Option<ImageShape>, seed: u64) -> Option<Self> {
        let image = image.filter(|_| !augment.is_off())?;
        Some(Self { augment, image, stream: Stream::new(seed, "augment") })
    }

    /// Goes to the image that is shown as number `shown` of the trial, counted from 0 over all epochs.
    pub(crate) fn seek(&mut self, shown: u64) {
        self.stream.seek(u128::from(shown) * WORDS_PER_IMAGE);
    }

    /// The next image's. All three numbers are drawn whatever the config, so that conditions share them.
    pub(crate) fn draw(&mut self) -> Placement {
        let reach = self.augment.shift as isize;
        let mut offset = || self.stream.below(2 * reach as u64 + 1) as isize - reach;
        let (down, right) = (offset(), offset());
        Placement { down, right, mirrored: self.stream.below(2) == 1 && self.augment.flip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: ImageShape = ImageShape { channels: 1, height: 9, width: 9 };

    fn draws(augment: Augment, seed: u64, count: usize) -> Vec<Placement> {
        let mut placements = Placements::new(augment, Some(IMAGE), seed).unwrap();
        (0..count).map(|_| placements.draw()).collect()
    }

    #[test]
    fn offsets_and_mirrors_are_uniform() {
        let mut counts = [[0_u32; 5]; 2];
        let mut mirrored = 0;
        for placement in draws(Augment { shift: 2, flip: true }, 3, 20_000) {
            for (counts, by) in counts.iter_mut().zip([placement.down, placement.right]) {
                counts[(by + 2) as usize] += 1;
            }
            mirrored += u32::from(placement.mirrored);
        }
        assert!(counts.iter().flatten().all(|&count| (3_800..4_200).contains(&count)), "{counts:?}");
        assert!((9_700..10_300).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn any_image_is_reached_directly_and_conditions_share_their_draws() {
        let both = draws(Augment { shift: 3, flip: true }, 5, 100);
        let mut placements = Placements::new(Augment { shift: 3, flip: true }, Some(IMAGE), 5).unwrap();
        for at in [99, 0, 37, 38, 5] {
            placements.seek(at);
            assert_eq!(placements.draw(), both[at as usize], "image {at}");
        }
        for (alone, both) in draws(Augment { shift: 3, flip: false }, 5, 100).into_iter().zip(&both) {
            assert_eq!(alone, Placement { mirrored: false, ..*both });
        }
        for (alone, both) in draws(Augment { shift: 0, flip: true }, 5, 100).into_iter().zip(&both) {
            assert_eq!(alone, Placement { down: 0, right: 0, ..*both });
        }
        assert_ne!(draws(Augment { shift: 3, flip: true }, 6, 100), both);
        assert!(Placements::new(Augment::default(), Some(IMAGE), 5).is_none());
    }

    #[test]
    fn what_a_move_covers() {
        assert_eq!(Placement::covered(5, 0), 0..5);
        assert_eq!(Placement::covered(5, 2), 2..5);
        assert_eq!(Placement::covered(5, -2), 0..3);
        assert!(Placement::covered(5, 7).is_empty() && Placement::covered(5, -7).is_empty());
    }
}
