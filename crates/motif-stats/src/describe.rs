//! One sample in a few numbers. Knows nothing of what was sampled.

use serde::Serialize;

use crate::sample::{self, SampleError};

/// Summary of one sample, in the unit of its values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Describe {
    /// Number of values, at least 1.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation with divisor n − 1; `None` at n = 1.
    pub sd: Option<f64>,
    /// Middle value, or the mean of the middle two.
    pub median: f64,
    /// Interquartile mean: the mean after dropping ⌊n/4⌋ values at either end (`scipy.stats.trim_mean(x, 0.25)`).
    pub iqm: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

/// Summarises `xs`, bit for bit the same in any order.
///
/// # Errors
/// [`SampleError`] if `xs` is empty or holds a value that is not usable.
///
/// ```
/// let d = motif_stats::describe(&[3.0, 1.0, 2.0, 10.0])?;
/// assert_eq!((d.mean, d.median, d.iqm), (4.0, 2.5, 2.5));
/// # Ok::<(), motif_stats::SampleError>(())
/// ```
pub fn describe(xs: &[f64]) -> Result<Describe, SampleError> {
    let sorted = sample::sorted(xs)?;
    let n = sorted.len();
    let mean = sample::mean(&sorted);
    Ok(Describe {
        n,
        mean,
        sd: sample::sd(&sorted, mean),
        median: sample::mean(&sorted[(n - 1) / 2..=n / 2]),
        iqm: sample::mean(&sorted[n / 4..n - n / 4]),
        min: sorted[0],
        max: sorted[n - 1],
    })
}
