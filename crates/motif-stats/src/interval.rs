//! Two-sided confidence intervals of a mean. Knows nothing of what the values measure.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde::Serialize;

use crate::{dist, sample};

/// Confidence level used unless another is asked for.
pub const LEVEL_DEFAULT: f64 = 0.95;
/// Bootstrap resamples drawn unless another number is asked for.
pub const RESAMPLES_DEFAULT: usize = 10_000;
/// Most bootstrap resamples that may be asked for.
pub const RESAMPLES_MAX: usize = 1_000_000;

/// How an interval was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Method {
    /// Student's t with n − 1 degrees of freedom.
    StudentT,
    /// Bias-corrected and accelerated bootstrap.
    Bca {
        /// Resamples drawn.
        resamples: usize,
        /// Seed of the ChaCha8 stream they were drawn from.
        seed: u64,
    },
}

/// A two-sided confidence interval, in the unit of the sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Nominal coverage, between 0 and 1.
    pub level: f64,
    /// Number of values it rests on.
    pub n: usize,
    /// How it was made.
    pub method: Method,
}

impl Interval {
    /// Half the width, in the unit of the sample.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// `mean ± t(level, n − 1) · sd / √n` (Student 1908).
///
/// Equal values give an interval of width zero. `None` if n < 2, if a value is not usable, or if `level` is not
/// strictly between 0 and 1.
///
/// ```
/// assert!(motif_stats::student_t(&[0.9], 0.95).is_none());
/// let interval = motif_stats::student_t(&[0.90, 0.92, 0.94], 0.95).expect("three values");
/// assert!((interval.half_width() - 0.049_682_755).abs() < 1e-8);
/// ```
pub fn student_t(xs: &[f64], level: f64) -> Option<Interval> {
    if xs.len() < 2 || !is_level(level) {
        return None;
    }
    student_t_sorted(&sample::sorted(xs).ok()?, level)
}

pub(crate) fn is_level(level: f64) -> bool {
    level > 0.0 && level < 1.0
}

/// [`student_t`] for an ascending sample of usable values (or differences of such) and a usable level.
pub(crate) fn student_t_sorted(sorted: &[f64], level: f64) -> Option<Interval> {
    (sorted.len() >= 2)
        .then(|| dist::t_critical(level, sorted.len() as f64 - 1.0))
        .and_then(|critical| student_t_with(sorted, level, critical))
}

/// [`student_t_sorted`] with the critical value already at hand.
pub(crate) fn student_t_with(sorted: &[f64], level: f64, critical: f64) -> Option<Interval> {
    let mean = sample::mean(sorted);
    let half = critical * sample::sd(sorted, mean)? / (sorted.len() as f64).sqrt();
    Some(Interval { low: mean - half, high: mean + half, level, n: sorted.len(), method: Method::StudentT })
}

/// Bias-corrected and accelerated bootstrap interval of the mean (Efron & Tibshirani 1993, eq. 14.9–14.15), with
/// linear interpolation between order statistics. The same sample and seed give the same interval, in any order.
///
/// Equal values give an interval of width zero. `None` if n < 2, if a value is not usable, if `level` is not strictly
/// between 0 and 1, if `resamples` is 0 or above [`RESAMPLES_MAX`], or if the resamples are too few or too lopsided
/// for the correction to exist.
pub fn bca(xs: &[f64], level: f64, resamples: usize, seed: u64) -> Option<Interval> {
    Bootstrap::new(resamples, seed)?.bca(xs, level)
}

/// Draws of a bootstrap, made once for each sample size: for many samples, each as if it were alone.
#[derive(Debug)]
pub struct Bootstrap {
    resamples: usize,
    seed: u64,
    /// By sample size, the places drawn, resample by resample.
    drawn: BTreeMap<usize, Vec<u32>>,
}

impl Bootstrap {
    /// `None` if `resamples` is 0 or above [`RESAMPLES_MAX`].
    #[must_use]
    pub fn new(resamples: usize, seed: u64) -> Option<Self> {
        (1..=RESAMPLES_MAX).contains(&resamples).then(|| Self { resamples, seed, drawn: BTreeMap::new() })
    }

    /// [`bca`] with these resamples.
    pub fn bca(&mut self, xs: &[f64], level: f64) -> Option<Interval> {
        if xs.len() < 2 || !is_level(level) {
            return None;
        }
        let sorted = sample::sorted(xs).ok()?;
        let n = sorted.len();
        let (low, high) = if sorted[0] == sorted[n - 1] {
            (sorted[0], sorted[0])
        } else {
            bca_ends(&sorted, &mut self.means(&sorted), level)?
        };
        let method = Method::Bca { resamples: self.resamples, seed: self.seed };
        Some(Interval { low, high, level, n, method })
    }

    fn means(&mut self, sorted: &[f64]) -> Vec<f64> {
        let n = sorted.len();
        let (resamples, seed) = (self.resamples, self.seed);
        let drawn = self.drawn.entry(n).or_insert_with(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..resamples * n).map(|_| u32::try_from(below(&mut rng, n)).unwrap_or(0)).collect()
        });
        // Rounding must not put a mean outside the data.
        let mean = |total: f64| (total / n as f64).clamp(sorted[0], sorted[n - 1]);
        drawn.chunks_exact(n).map(|places| mean(places.iter().map(|&at| sorted[at as usize]).sum())).collect()
    }
}

/// Uniform in `0..n` by a widening product (Lemire 2019, "Fast random integer generation in an interval"), without
/// the rejection step: the bias is below n / 2⁶⁴.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// The two ends from a sample that varies and its bootstrap distribution, which is reordered in place.
fn bca_ends(sorted: &[f64], means: &mut [f64], level: f64) -> Option<(f64, f64)> {
    let mean = sample::mean(sorted);
    // Resampled means are plain sums: one equal to the mean may differ from it by rounding.
    let slack = 4.0 * f64::EPSILON * sorted[0].abs().max(sorted[sorted.len() - 1].abs());
    let below = means.iter().filter(|&&m| m < mean - slack).count();
    let up_to = means.iter().filter(|&&m| m <= mean + slack).count();
    let bias = dist::normal_quantile((below + up_to) as f64 / (2.0 * means.len() as f64));
    if !bias.is_finite() {
        return None;
    }
    let acceleration = acceleration(sorted, mean);
    let z = dist::normal_quantile((1.0 - level) / 2.0);
    let mut end = |z: f64| {
        let shifted = bias + z;
        let denominator = 1.0 - acceleration * shifted;
        (denominator > 0.0).then(|| quantile(means, dist::normal_cdf(bias + shifted / denominator)))
    };
    Some((end(z)?, end(-z)?))
}

/// Jackknife acceleration, `Σu³ / (6 (Σu²)^{3/2})`; for a mean, u is the deviation from it.
fn acceleration(sorted: &[f64], mean: f64) -> f64 {
    // Scaled by the range so that neither power can overflow or vanish.
    let range = sorted[sorted.len() - 1] - sorted[0];
    let u = || sorted.iter().map(move |x| (x - mean) / range);
    let squares = sample::sum(u().map(|u| u * u));
    sample::sum(u().map(|u| u * u * u)) / (6.0 * squares.powf(1.5))
}

/// Linear interpolation at position `p (n − 1)` of the ascending values (Hyndman & Fan 1996, type 7), which are reordered.
fn quantile(values: &mut [f64], p: f64) -> f64 {
    let position = p * (values.len() - 1) as f64;
    let place = position.floor() as usize;
    let (_, &mut left, above) = values.select_nth_unstable_by(place, f64::total_cmp);
    let right = above.iter().copied().min_by(f64::total_cmp).unwrap_or(left);
    let between = left + (position - place as f64) * (right - left);
    between.clamp(left, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    }

    /// The random stream differs from scipy's, so the ends are compared on scipy's own bootstrap distribution.
    #[test]
    fn bca_ends_match_scipy() {
        let golden: Value = serde_json::from_str(include_str!("../tests/golden/golden.json")).unwrap();
        let cases = golden["bca"].as_array().unwrap();
        assert!(cases.len() >= 3);
        for case in cases {
            let sorted = sample::sorted(&numbers(&case["x"])).unwrap();
            let (low, high) =
                bca_ends(&sorted, &mut numbers(&case["distribution"]), case["level"].as_f64().unwrap())
                    .unwrap();
            for (ours, key) in [(low, "low"), (high, "high")] {
                let theirs = case[key].as_f64().unwrap();
                assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{key}: {ours} is not {theirs}");
            }
        }
    }

    #[test]
    fn indices_are_uniform() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // 6 degrees of freedom: 22.46 is exceeded with probability 0.001.
        let chi2: f64 = counts.iter().map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi2 < 22.46, "{counts:?}");
    }
}
