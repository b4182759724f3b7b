//! Input normalization: each feature's mean removed, one global standard deviation divided out.
//!
//! Both are taken from the trial's own training examples and applied while a minibatch is gathered, so the
//! examples are never copied whole.

use std::iter;

use ndarray::ArrayViewMut2;

use crate::augment::{Placement, Placements};
use crate::examples::{Examples, ImageShape, Values};
use crate::vectors::vectorized;

/// The affine map from raw values to the network's input, `x = (raw - centre_j) · gain`.
pub(crate) struct Normalization {
    /// Each feature's mean in raw units (0…255 for bytes).
    centre: Vec<f32>,
    /// One over the global standard deviation, in raw units; 1 when the examples do not vary.
    gain: f32,
}

impl Normalization {
    /// Measures the rows `rows` of `examples`, in f64 and in the order given.
    pub(crate) fn measure(examples: &Examples<'_>, rows: &[u32]) -> Self {
        match examples.values {
            Values::U8(values) => measure(values, examples.features, rows),
            Values::F32(values) => measure(values, examples.features, rows),
        }
    }

    /// Writes the normalized rows into `out` (`rows.len() × features`) and their labels into `labels`; with
    /// `placements`, each as an image placed as the next of them says.
    ///
    /// # Panics
    /// If `out` or `labels` has another number of rows.
    pub(crate) fn gather(
        &self,
        examples: &Examples<'_>,
        rows: &[u32],
        mut placements: Option<&mut Placements>,
        mut out: ArrayViewMut2<'_, f32>,
        labels: &mut [u16],
    ) {
        assert_eq!((out.nrows(), labels.len()), (rows.len(), rows.len()), "one output row per example");
        for ((mut to, label), &row) in out.rows_mut().into_iter().zip(labels).zip(rows) {
            let row = row as usize;
            *label = examples.labels[row];
            let to = to.as_slice_mut().expect("a signal's rows are contiguous");
            let span = row * examples.features..(row + 1) * examples.features;
            let placed = placements.as_deref_mut().map(|placements| (placements.image, placements.draw()));
            match examples.values {
                Values::U8(values) => self.write(&values[span], placed, to),
                Values::F32(values) => self.write(&values[span], placed, to),
            }
        }
    }

    fn write<T: Raw>(&self, from: &[T], placed: Option<(ImageShape, Placement)>, to: &mut [f32]) {
        match placed {
            Some((image, placement)) => self.place(from, image, placement, to),
            None => normalize(from, &self.centre, self.gain, to),
        }
    }

    /// Writes an image row by row, through all planes, as the placement says.
    fn place<T: Raw>(&self, from: &[T], image: ImageShape, placement: Placement, to: &mut [f32]) {
        let Placement { down, right, mirrored } = placement;
        let (width, blank) = (image.width, || iter::repeat(0.0));
        let (rows, columns) = (Placement::covered(image.height, down), Placement::covered(width, right));
        // The columns of the original, not yet mirrored, that are seen.
        let seen = Placement::covered(width, if mirrored { right } else { -right });
        let lines = to.chunks_exact_mut(width).zip(self.centre.chunks_exact(width));
        for (line, (to, centre)) in lines.enumerate() {
            if !rows.contains(&(line % image.height)) {
                self.apply(blank(), centre, to);
                continue;
            }
            let start = line.wrapping_add_signed(-down) * width;
            let (before, after) = (..columns.start, columns.end..);
            self.apply(blank(), &centre[before], &mut to[before]);
            self.apply(blank(), &centre[after.clone()], &mut to[after]);
            let (centre, to) = (&centre[columns.clone()], &mut to[columns.clone()]);
            let pixels = from[start..start + width][seen.clone()].iter().map(|value| value.single());
            if mirrored {
                self.apply(pixels.rev(), centre, to);
            } else {
                self.apply(pixels, centre, to);
            }
        }
    }

    fn apply(&self, from: impl Iterator<Item = f32>, centre: &[f32], to: &mut [f32]) {
        for ((to, from), &centre) in to.iter_mut().zip(from).zip(centre) {
            *to = (from - centre) * self.gain;
        }
    }
}

vectorized! {
    /// `(from - centre) · gain`, value by value.
    fn normalize<'a, T: Raw>(from: &'a [T], centre: &'a [f32], gain: f32, to: &'a mut [f32]) {
        for ((to, &from), &centre) in to.iter_mut().zip(from).zip(centre) {
            *to = (from.single() - centre) * gain;
        }
    }
}

/// A value as it is stored.
trait Raw: Copy {
    fn single(self) -> f32;
    fn double(self) -> f64;
}

impl Raw for u8 {
    #[inline(always)]
    fn single(self) -> f32 {
        f32::from(self)
    }
    fn double(self) -> f64 {
        f64::from(self)
    }
}

impl Raw for f32 {
    #[inline(always)]
    fn single(self) -> f32 {
        self
    }
    fn double(self) -> f64 {
        f64::from(self)
    }
}

fn measure<T: Raw>(values: &[T], features: usize, rows: &[u32]) -> Normalization {
    let row = |row: u32| &values[row as usize * features..(row as usize + 1) * features];
    let mut mean = vec![0.0_f64; features];
    for &at in rows {
        for (sum, &value) in mean.iter_mut().zip(row(at)) {
            *sum += value.double();
        }
    }
    for sum in &mut mean {
        *sum /= rows.len() as f64;
    }
    let mut square = vec![0.0_f64; features];
    for &at in rows {
        for ((sum, &value), mean) in square.iter_mut().zip(row(at)).zip(&mean) {
            let deviation = value.double() - mean;
            *sum += deviation * deviation;
        }
    }
    let variance = square.iter().sum::<f64>() / (rows.len() as f64 * features as f64);
    let gain = (1.0 / variance.sqrt()) as f32;
    Normalization {
        centre: mean.iter().map(|&mean| mean as f32).collect(),
        gain: if gain.is_finite() && gain > 0.0 { gain } else { 1.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two planes of 2 × 3.
    const IMAGE: ImageShape = ImageShape { channels: 2, height: 2, width: 3 };
    const PIXELS: [u8; 12] = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16];

    /// Of images that are normalized to what they are.
    fn placed(down: isize, right: isize, mirrored: bool) -> [u8; 12] {
        let plain = Normalization { centre: vec![0.0; 12], gain: 1.0 };
        let mut to = [f32::NAN; 12];
        plain.place(&PIXELS, IMAGE, Placement { down, right, mirrored }, &mut to);
        to.map(|value| value as u8)
    }

    #[test]
    fn an_image_is_placed_as_the_placement_says() {
        assert_eq!(placed(0, 0, false), PIXELS);
        assert_eq!(placed(0, 0, true), [3, 2, 1, 6, 5, 4, 13, 12, 11, 16, 15, 14]);
        assert_eq!(placed(1, 0, false), [0, 0, 0, 1, 2, 3, 0, 0, 0, 11, 12, 13]);
        assert_eq!(placed(-1, 0, false), [4, 5, 6, 0, 0, 0, 14, 15, 16, 0, 0, 0]);
        assert_eq!(placed(0, 1, false), [0, 1, 2, 0, 4, 5, 0, 11, 12, 0, 14, 15]);
        assert_eq!(placed(0, -2, false), [3, 0, 0, 6, 0, 0, 13, 0, 0, 16, 0, 0]);
        assert_eq!(placed(0, -2, true), [1, 0, 0, 4, 0, 0, 11, 0, 0, 14, 0, 0], "mirrored, then moved");
        assert_eq!(placed(1, 1, true), [0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 13, 12]);
        assert_eq!(placed(-1, 2, true), [0, 0, 6, 0, 0, 0, 0, 0, 16, 0, 0, 0]);
    }

    #[test]
    fn placing_and_normalizing_are_the_naive_ones() {
        let centre: Vec<f32> = (0..12).map(|place| 0.5 * place as f32).collect();
        let normalization = Normalization { centre, gain: 0.25 };
        for (down, right) in (-1..=1).flat_map(|down| (-2..=2).map(move |right| (down, right))) {
            for mirrored in [false, true] {
                let raw = placed(down, right, mirrored);
                let mut to = [f32::NAN; 12];
                normalization.place(&PIXELS, IMAGE, Placement { down, right, mirrored }, &mut to);
                for place in 0..12 {
                    let (plane, row, column) = (place / 6, place / 3 % 2, place % 3);
                    let (y, x) = (row as isize - down, column as isize - right);
                    let x = if mirrored { 2 - x } else { x };
                    let inside = (0..2).contains(&y) && (0..3).contains(&x);
                    let expected = if inside { PIXELS[plane * 6 + y as usize * 3 + x as usize] } else { 0 };
                    assert_eq!(raw[place], expected, "{down} {right} {mirrored}");
                    assert_eq!(to[place], (f32::from(expected) - 0.5 * place as f32) * 0.25, "uncovered too");
                }
            }
        }
    }
}
