//! Corrections for testing several hypotheses at once. Knows nothing of the tests: which p-values form the family is
//! the caller's statement, to be shown beside the result.

use serde::{Deserialize, Serialize};

/// Which error rate is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Family-wise error rate, step-down (Holm 1979): `max_{j≤i} min(1, (m − j + 1) p_(j))`.
    #[default]
    Holm,
    /// False discovery rate, step-up (Benjamini & Hochberg 1995): `min_{j≥i} min(1, m p_(j) / j)`.
    BenjaminiHochberg,
}

/// Adjusted p-values of one family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Adjusted {
    /// The correction applied.
    pub correction: Correction,
    /// Tests in the family, m: the p-values that exist.
    pub tests: usize,
    /// Comparisons without a p-value, not counted in m.
    pub missing: usize,
    /// Adjusted p-values in the order of the input, `None` where there was none.
    pub p: Vec<Option<f64>>,
}

/// A p-value is not a probability.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("p-value {value} at index {index} is not a probability: it must lie between 0 and 1")]
pub struct PValueError {
    /// Position in the input.
    pub index: usize,
    /// The value found there.
    pub value: f64,
}

/// Adjusts `ps` as one family. A missing p-value is a test that could not be made: it stays missing and does not make
/// the others larger.
///
/// # Errors
/// [`PValueError`] if a value is NaN or outside 0 to 1.
///
/// ```
/// use motif_stats::{Correction, adjust};
/// let holm = adjust(Correction::Holm, &[Some(0.25), None, Some(0.125)])?;
/// assert_eq!(holm.p, [Some(0.25), None, Some(0.25)]);
/// assert_eq!((holm.tests, holm.missing), (2, 1));
/// # Ok::<(), motif_stats::multiplicity::PValueError>(())
/// ```
pub fn adjust(correction: Correction, ps: &[Option<f64>]) -> Result<Adjusted, PValueError> {
    let mut present = Vec::with_capacity(ps.len());
    for (index, p) in ps.iter().enumerate() {
        let Some(value) = *p else { continue };
        if !(0.0..=1.0).contains(&value) {
            return Err(PValueError { index, value });
        }
        present.push((value, index));
    }
    present.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut adjusted = vec![None; ps.len()];
    for ((_, index), p) in present.iter().zip(step(correction, &present)) {
        adjusted[*index] = Some(p);
    }
    Ok(Adjusted { correction, tests: present.len(), missing: ps.len() - present.len(), p: adjusted })
}

/// Adjusted values of ascending p-values, ascending.
fn step(correction: Correction, ascending: &[(f64, usize)]) -> Vec<f64> {
    let m = ascending.len();
    let mut adjusted: Vec<f64> = ascending.iter().map(|&(p, _)| p).collect();
    match correction {
        Correction::Holm => {
            let mut largest = 0.0_f64;
            for (rank, p) in adjusted.iter_mut().enumerate() {
                largest = largest.max((*p * (m - rank) as f64).min(1.0));
                *p = largest;
            }
        }
        Correction::BenjaminiHochberg => {
            let mut smallest = 1.0_f64;
            for (rank, p) in adjusted.iter_mut().enumerate().rev() {
                // The quotient is at least 1, so rounding cannot take the result below the raw value.
                smallest = smallest.min(*p * (m as f64 / (rank + 1) as f64));
                *p = smallest;
            }
        }
    }
    adjusted
}
