//! Two conditions compared on the seeds they share. Knows nothing of seeds: the caller pairs, this compares.

use serde::Serialize;

use crate::interval::{self, Interval};
use crate::sample::{self, SampleError};
use crate::{dist, signed_rank};

/// Everything said of `a − b` over n pairs. What cannot be said is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedComparison {
    /// Number of pairs.
    pub n: usize,
    /// Mean of the first condition over the pairs; `None` at n = 0.
    pub mean_a: Option<f64>,
    /// Mean of the second condition over the pairs; `None` at n = 0.
    pub mean_b: Option<f64>,
    /// Mean of `a − b`; `None` at n = 0.
    pub mean_difference: Option<f64>,
    /// Student t interval of the mean difference; `None` below n = 2, of width zero if all differences are equal.
    pub interval: Option<Interval>,
    /// Paired t test; `None` below n = 2 and where all differences are equal.
    pub t: Option<TTest>,
    /// Wilcoxon signed-rank test; `None` if no difference is other than zero.
    pub wilcoxon: Option<Wilcoxon>,
    /// Exact sign-flip test of the mean; `None` at n = 0 and above n = 16.
    pub permutation: Option<PermutationTest>,
    /// Effect size `mean(d) / sd(d)` (Cohen 1988); `None` below n = 2 and where all differences are equal.
    pub d_z: Option<f64>,
    /// Share of pairs with a > b plus half the share of ties; `None` at n = 0.
    pub superiority: Option<f64>,
}

/// `t = mean(d) √n / sd(d)` against Student's t (Student 1908).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TTest {
    /// The statistic.
    pub t: f64,
    /// Degrees of freedom, n − 1.
    pub df: usize,
    /// Two-sided p-value.
    pub p: f64,
}

/// Wilcoxon signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Wilcoxon {
    /// The smaller of the rank sums of positive and negative differences.
    pub statistic: f64,
    /// Differences other than zero, which the test rests on.
    pub n_used: usize,
    /// Zero differences, dropped.
    pub zeros: usize,
    /// Whether differences of equal size shared a mean rank.
    pub ties: bool,
    /// Two-sided p-value.
    pub p: f64,
    /// Where p comes from.
    pub method: WilcoxonMethod,
}

/// Where a signed-rank p-value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WilcoxonMethod {
    /// The exact null distribution: up to 25 differences, no ties, no zeros.
    Exact,
    /// All sign patterns of the mean ranks at hand, zeros dropped: exact given the ties. Up to 25 differences.
    ExactConditional,
    /// Normal approximation, corrected for ties and continuity: more than 25 differences.
    NormalApproximation,
}

/// Exact sign-flip permutation test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PermutationTest {
    /// Two-sided p-value.
    pub p: f64,
    /// Sign patterns compared, 2ⁿ.
    pub flips: u32,
    /// Smallest p-value that n pairs can give, 2/2ⁿ: above 0.05 below n = 6.
    pub smallest_p: f64,
}

/// Why two samples cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PairedError {
    /// The samples differ in length.
    #[error("the samples hold {a} and {b} values: pairs need one value of each")]
    Length {
        /// Values in the first sample.
        a: usize,
        /// Values in the second sample.
        b: usize,
    },
    /// The level is not a proper fraction.
    #[error("level {level} is not usable: it must lie strictly between 0 and 1")]
    Level {
        /// The level given.
        level: f64,
    },
    /// A value of the named sample is not usable.
    #[error("sample {side} cannot be compared")]
    Sample {
        /// `"a"` or `"b"`.
        side: &'static str,
        /// What is wrong with it.
        source: SampleError,
    },
}

/// Compares `a[i]` with `b[i]` over all i; the order of the pairs does not matter, to the bit.
///
/// Metrics are often fractions k/N, whose differences are equal on paper and apart by rounding. Differences within
/// rounding of each other (four units in the last place of the largest value) therefore count as ties, and
/// those within it of zero as zero.
///
/// # Errors
/// [`PairedError`] if the lengths differ, a value is not usable or `level` is not strictly between 0 and 1.
///
/// ```
/// let comparison = motif_stats::compare(&[0.91, 0.93, 0.95], &[0.90, 0.91, 0.92], 0.95)?;
/// let t = comparison.t.expect("the differences vary");
/// assert!((t.t - 12.0_f64.sqrt()).abs() < 1e-9);
/// assert_eq!(comparison.permutation.expect("n ≤ 16").p, 0.25);
/// # Ok::<(), motif_stats::PairedError>(())
/// ```
pub fn compare(a: &[f64], b: &[f64], level: f64) -> Result<PairedComparison, PairedError> {
    if a.len() != b.len() {
        return Err(PairedError::Length { a: a.len(), b: b.len() });
    }
    if !interval::is_level(level) {
        return Err(PairedError::Level { level });
    }
    let sorted_a = checked(a, "a")?;
    let sorted_b = checked(b, "b")?;
    let d = differences(a, b);
    let n = d.len();
    let mean_of = |xs: &[f64]| (!xs.is_empty()).then(|| sample::mean(xs));
    let mean = mean_of(&d);
    let d_z = mean.and_then(|mean| sample::sd(&d, mean).filter(|&sd| sd > 0.0).map(|sd| mean / sd));
    Ok(PairedComparison {
        n,
        mean_a: mean_of(&sorted_a),
        mean_b: mean_of(&sorted_b),
        mean_difference: mean,
        interval: interval::student_t_sorted(&d, level),
        t: d_z.map(|d_z| t_test(d_z, n)),
        wilcoxon: signed_rank::wilcoxon(&d),
        permutation: signed_rank::sign_flip(&d),
        d_z,
        superiority: superiority(&d),
    })
}

/// Checked and sorted; an empty sample is fine here.
fn checked(xs: &[f64], side: &'static str) -> Result<Vec<f64>, PairedError> {
    match sample::sorted(xs) {
        Ok(sorted) => Ok(sorted),
        Err(SampleError::Empty) => Ok(Vec::new()),
        Err(source) => Err(PairedError::Sample { side, source }),
    }
}

/// `a − b` in ascending order, with differences that only rounding keeps apart (or from zero) made equal.
fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    let largest = a.iter().chain(b).fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let rounding = 4.0 * f64::EPSILON * largest;
    let mut d: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    d.sort_by(|x, y| x.abs().total_cmp(&y.abs()));
    // The size that stands for the group being formed; zero stands for the first.
    let mut size = 0.0;
    for x in &mut d {
        if x.abs() - size > rounding {
            size = x.abs();
        }
        *x = if size == 0.0 { 0.0 } else { size.copysign(*x) };
    }
    d.sort_by(f64::total_cmp);
    d
}

fn t_test(d_z: f64, n: usize) -> TTest {
    let t = d_z * (n as f64).sqrt();
    TTest { t, df: n - 1, p: dist::t_two_sided(t, (n - 1) as f64) }
}

fn superiority(d: &[f64]) -> Option<f64> {
    let wins = d.iter().filter(|&&d| d > 0.0).count();
    let ties = d.iter().filter(|&&d| d == 0.0).count();
    (!d.is_empty()).then(|| (wins as f64 + ties as f64 / 2.0) / d.len() as f64)
}
