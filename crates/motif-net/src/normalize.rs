//! Input normalization: each feature's mean removed, one global standard deviation divided out.
//!
//! Both are taken from the trial's own training examples and applied while a minibatch is gathered, so the
//! examples are never copied whole.

use ndarray::ArrayViewMut2;

use crate::examples::{Examples, Values};
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

    /// Writes the normalized rows into `out` (`rows.len() × features`) and their labels into `labels`.
    ///
    /// # Panics
    /// If `out` or `labels` has another number of rows.
    pub(crate) fn gather(
        &self,
        examples: &Examples<'_>,
        rows: &[u32],
        mut out: ArrayViewMut2<'_, f32>,
        labels: &mut [u16],
    ) {
        assert_eq!((out.nrows(), labels.len()), (rows.len(), rows.len()), "one output row per example");
        for ((mut to, label), &row) in out.rows_mut().into_iter().zip(labels).zip(rows) {
            let row = row as usize;
            *label = examples.labels[row];
            let to = to.as_slice_mut().expect("a signal's rows are contiguous");
            let span = row * examples.features..(row + 1) * examples.features;
            match examples.values {
                Values::U8(values) => self.apply(&values[span], to),
                Values::F32(values) => self.apply(&values[span], to),
            }
        }
    }

    fn apply<T: Raw>(&self, from: &[T], to: &mut [f32]) {
        normalize(from, &self.centre, self.gain, to);
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
