//! One sample against a number, and the straight line through points. Knows nothing of what was sampled.

use serde::Serialize;

use crate::dist;
use crate::interval::{self, Interval};
use crate::sample::{self, SampleError};

/// A mean and its t test against zero (Student 1908). What cannot be said is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OneSample {
    /// Number of values, at least 1.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation with divisor n − 1; `None` at n = 1.
    pub sd: Option<f64>,
    /// Student t interval of the mean; `None` at n = 1, of width zero if all values are equal.
    pub interval: Option<Interval>,
    /// `mean √n / sd`; `None` at n = 1 and where all values are equal.
    pub t: Option<f64>,
    /// Two-sided p-value of a mean of zero; `None` where `t` is.
    pub p: Option<f64>,
    /// One-sided p-value against a mean above zero, P(T ≥ t); `None` where `t` is.
    pub p_greater: Option<f64>,
}

/// Two one-sided tests that a mean lies within bounds (Schuirmann 1987).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Equivalence {
    /// Number of values, at least 2.
    pub n: usize,
    /// Lower bound of what counts as equivalent.
    pub low: f64,
    /// Upper bound of what counts as equivalent.
    pub high: f64,
    /// One-sided p-value against a mean above `low`.
    pub p_above_low: f64,
    /// One-sided p-value against a mean below `high`.
    pub p_below_high: f64,
    /// The larger of the two: equivalence is claimed where it is small.
    pub p: f64,
}

/// A least-squares line `y = intercept + slope · x` and the t test of its slope.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Line {
    /// Number of points, at least 2.
    pub n: usize,
    /// Change of y per unit of x.
    pub slope: f64,
    /// y at x = 0.
    pub intercept: f64,
    /// Standard error of the slope; `None` at n = 2 and where the points lie on the line.
    pub slope_se: Option<f64>,
    /// `slope / slope_se` with n − 2 degrees of freedom; `None` where `slope_se` is.
    pub t: Option<f64>,
    /// Two-sided p-value of a slope of zero; `None` where `slope_se` is.
    pub p: Option<f64>,
}

/// Why there is no such figure.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum OneSampleError {
    /// The level is not a proper fraction.
    #[error("level {level} is not usable: it must lie strictly between 0 and 1")]
    Level {
        /// The level given.
        level: f64,
    },
    /// The bounds enclose nothing.
    #[error("bounds {low} and {high} are not usable: the lower one must be finite and below the upper one")]
    Bounds {
        /// The lower bound given.
        low: f64,
        /// The upper bound given.
        high: f64,
    },
    /// The sample is empty or holds a value that is not usable.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// There is no spread to measure by.
    #[error("{n} value(s) without spread: at least 2 different ones are needed")]
    NoSpread {
        /// Number of values.
        n: usize,
    },
}

/// Summarises `values` and tests their mean against zero; bit for bit the same in any order.
///
/// # Errors
/// [`OneSampleError::Level`] if `level` is not strictly between 0 and 1, [`OneSampleError::Sample`] if `values` is empty
/// or holds one that is not usable.
///
/// ```
/// let test = motif_stats::one_sample(&[1.0, 2.0, 3.0], 0.95)?;
/// assert!((test.t.expect("the values vary") - 12.0_f64.sqrt()).abs() < 1e-9);
/// assert!(test.p_greater < test.p);
/// # Ok::<(), motif_stats::OneSampleError>(())
/// ```
pub fn one_sample(values: &[f64], level: f64) -> Result<OneSample, OneSampleError> {
    if !interval::is_level(level) {
        return Err(OneSampleError::Level { level });
    }
    let sorted = sample::sorted(values)?;
    let n = sorted.len();
    let mean = sample::mean(&sorted);
    let sd = sample::sd(&sorted, mean);
    let t = sd.filter(|&sd| sd > 0.0).map(|sd| statistic(mean, sd, n));
    let df = n as f64 - 1.0;
    Ok(OneSample {
        n,
        mean,
        sd,
        interval: interval::student_t_sorted(&sorted, level),
        t,
        p: t.map(|t| dist::t_two_sided(t, df)),
        p_greater: t.map(|t| dist::t_upper(t, df)),
    })
}

fn statistic(mean: f64, sd: f64, n: usize) -> f64 {
    mean / sd * (n as f64).sqrt()
}

/// Tests that the mean of `values` lies between `low` and `high`; bit for bit the same in any order.
///
/// # Errors
/// [`OneSampleError::Bounds`] unless `low < high`, both of a usable size; [`OneSampleError::Sample`] as for
/// [`one_sample`]; [`OneSampleError::NoSpread`] if there is one value or all are equal.
///
/// ```
/// let test = motif_stats::equivalence(&[0.1, -0.1, 0.05, -0.05], -0.5, 0.5)?;
/// assert!(test.p < 0.01);
/// # Ok::<(), motif_stats::OneSampleError>(())
/// ```
pub fn equivalence(values: &[f64], low: f64, high: f64) -> Result<Equivalence, OneSampleError> {
    if !(sample::usable(low) && sample::usable(high) && low < high) {
        return Err(OneSampleError::Bounds { low, high });
    }
    let sorted = sample::sorted(values)?;
    let n = sorted.len();
    let mean = sample::mean(&sorted);
    let sd = sample::sd(&sorted, mean).filter(|&sd| sd > 0.0).ok_or(OneSampleError::NoSpread { n })?;
    let df = n as f64 - 1.0;
    let p_above_low = dist::t_upper(statistic(mean - low, sd, n), df);
    let p_below_high = dist::t_upper(statistic(high - mean, sd, n), df);
    Ok(Equivalence { n, low, high, p_above_low, p_below_high, p: p_above_low.max(p_below_high) })
}

/// The least-squares line through `(x, y)` points; bit for bit the same in any order.
///
/// # Errors
/// [`OneSampleError::Sample`] if there is no point or one with a coordinate that is not usable;
/// [`OneSampleError::NoSpread`] if all x are equal.
///
/// ```
/// let line = motif_stats::line(&[(0.0, 1.0), (1.0, 2.0), (2.0, 4.0)])?;
/// assert!((line.slope - 1.5).abs() < 1e-12);
/// # Ok::<(), motif_stats::OneSampleError>(())
/// ```
pub fn line(points: &[(f64, f64)]) -> Result<Line, OneSampleError> {
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (xs, ys) = (sample::sorted(&xs)?, sample::sorted(&ys)?);
    let n = points.len();
    let (x_mean, y_mean) = (sample::mean(&xs), sample::mean(&ys));
    // Scaled by their ranges so that no square can overflow or vanish.
    let (x_range, y_range) = (xs[n - 1] - xs[0], ys[n - 1] - ys[0]);
    if x_range == 0.0 {
        return Err(OneSampleError::NoSpread { n });
    }
    let y_scale = if y_range == 0.0 { 1.0 } else { y_range };
    let mut centred: Vec<(f64, f64)> =
        points.iter().map(|(x, y)| ((x - x_mean) / x_range, (y - y_mean) / y_scale)).collect();
    centred.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let x_squares = sample::sum(centred.iter().map(|(x, _)| x * x));
    let scaled = sample::sum(centred.iter().map(|(x, y)| x * y)) / x_squares;
    let rest = sample::sum(centred.iter().map(|(x, y)| (y - scaled * x).powi(2)));
    let df = n as f64 - 2.0;
    // A sum of squares up to this is rounding, not scatter.
    let rounding = n as f64 * (8.0 * f64::EPSILON).powi(2);
    let scaled_se = (n > 2 && rest > rounding).then(|| (rest / df / x_squares).sqrt());
    let t = scaled_se.map(|se| scaled / se);
    let slope = scaled * y_scale / x_range;
    Ok(Line {
        n,
        slope,
        intercept: y_mean - slope * x_mean,
        slope_se: scaled_se.map(|se| se * y_scale / x_range),
        t,
        p: t.map(|t| dist::t_two_sided(t, df)),
    })
}
