//! What every estimate starts from: a checked, sorted sample and its moments. Knows nothing of tests or intervals.

/// Largest absolute value accepted in a sample; beyond it squares and cubes would overflow.
pub const MAGNITUDE_MAX: f64 = 1e100;

/// Why a sample has no summary.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// There are no values.
    #[error("the sample is empty: at least one value is needed")]
    Empty,
    /// A value is NaN, infinite or larger than [`MAGNITUDE_MAX`].
    #[error(
        "value {value} at index {index} is not usable: it must be finite and at most {MAGNITUDE_MAX:e} in size"
    )]
    OutOfRange {
        /// Position in the input.
        index: usize,
        /// The value found there.
        value: f64,
    },
}

/// Whether `x` may take part in an estimate. False for NaN.
pub(crate) fn usable(x: f64) -> bool {
    x.abs() <= MAGNITUDE_MAX
}

/// Checks every value and returns them in ascending order.
pub(crate) fn sorted(xs: &[f64]) -> Result<Vec<f64>, SampleError> {
    if let Some(index) = xs.iter().position(|&x| !usable(x)) {
        return Err(SampleError::OutOfRange { index, value: xs[index] });
    }
    if xs.is_empty() {
        return Err(SampleError::Empty);
    }
    let mut sorted = xs.to_vec();
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

/// Neumaier's compensated sum (Neumaier 1974, ZAMM 54).
pub(crate) fn sum(xs: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for x in xs {
        let next = total + x;
        lost += if total.abs() >= x.abs() { (total - next) + x } else { (x - next) + total };
        total = next;
    }
    total + lost
}

/// Mean of an ascending, non-empty sample. Equal values give exactly that value.
pub(crate) fn mean(sorted: &[f64]) -> f64 {
    let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
    // Rounding must not put the mean outside the data.
    (sum(sorted.iter().copied()) / sorted.len() as f64).clamp(low, high)
}

/// Sample standard deviation, `sqrt(Σ(x - mean)² / (n - 1))`; `None` below two values. Exactly zero for equal values.
pub(crate) fn sd(sorted: &[f64], mean: f64) -> Option<f64> {
    if sorted.len() < 2 {
        return None;
    }
    let n = sorted.len() as f64;
    let drift = sum(sorted.iter().map(|x| x - mean));
    let squares = sum(sorted.iter().map(|x| (x - mean) * (x - mean)));
    // The second term takes out the rounding of the mean itself (corrected two-pass algorithm).
    Some(((squares - drift * drift / n).max(0.0) / (n - 1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compensated_sum_keeps_small_terms() {
        assert_eq!(sum([1e100, 1.0, -1e100, 1.0]), 2.0);
    }

    #[test]
    fn equal_values_have_no_spread_whatever_their_rounding() {
        let xs = [0.1; 3];
        assert_eq!(mean(&xs), 0.1);
        assert_eq!(sd(&xs, mean(&xs)), Some(0.0));
    }

    #[test]
    fn unusable_values_are_named() {
        assert_eq!(sorted(&[]), Err(SampleError::Empty));
        assert_eq!(
            sorted(&[1.0, f64::INFINITY]),
            Err(SampleError::OutOfRange { index: 1, value: f64::INFINITY })
        );
        assert!(matches!(sorted(&[f64::NAN]), Err(SampleError::OutOfRange { index: 0, .. })));
        assert!(sorted(&[2e100]).is_err() && sorted(&[-1e100]).is_ok());
    }
}
