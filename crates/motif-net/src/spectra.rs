//! Spectra: the singular values of every weight matrix, and the eigenvalues of the matrix learning rates
//! `H_l = V̄_l V̄_lᵀ`; and how alike the units of a layer have become, off the diagonals of `W Wᵀ` and `V̄ V̄ᵀ` (Fig. 3).
//!
//! All from the eigenvalues of the smaller Gram matrix in f64, whose square roots are the singular values: exact to
//! about 10⁻⁷ of the largest, which is what f32 weights carry. `H_l` shares them with `V̄_l`. One thread, one order of
//! reduction.

use faer::{Mat, Side};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayRef2, s};

use crate::config::Synapse;
use crate::network::Network;
use crate::observe::Point;
use crate::tensors::{BIAS, TensorSpec};

/// Spectra of matrices whose smaller side is beyond this are left out: they would take minutes.
pub const MAX_SPECTRUM_UNITS: usize = 2_048;
/// Columns turned into f64 at a time.
const BLOCK_COLUMNS: usize = 256;
/// Matrices of the smaller side's size held at once, those of the eigenvalue solver included.
const HELD_MATRICES: u64 = 4;

/// Logs the spectrum of every tensor but the biases, and of every `H_l`; and the likeness of the hidden units.
pub(crate) fn log(network: &Network, point: &mut Point) {
    for tensor in network.tensors.iter().filter(|tensor| tensor.spec.kind != BIAS) {
        let Some(squares) = squared_singular_values(&tensor.value) else { continue };
        let singular = Spectrum::new(squares.iter().map(|square| square.sqrt()).collect());
        point.log(format!("sigma_max.{}", tensor.name), singular.quantile(1.0));
        point.log(format!("sigma_min.{}", tensor.name), singular.quantile(0.0));
        point.log(format!("rank.{}", tensor.name), singular.effective_rank());
        let hidden = tensor.spec.layer < network.shape.depth();
        if hidden && [Synapse::W, Synapse::VBar].map(Synapse::name).contains(&tensor.spec.kind) {
            point.log(format!("corr.{}", tensor.name), likeness(&tensor.value));
        }
        if tensor.spec.kind == Synapse::VBar.name() {
            log_learning_rate(tensor.spec.layer, squares, tensor.value.nrows(), point);
        }
    }
}

/// The eigenvalues of `H_l`: those of `V̄_lᵀ V̄_l` where that is smaller, and zeros.
fn log_learning_rate(layer: usize, mut eigenvalues: Vec<f64>, units: usize, point: &mut Point) {
    eigenvalues.resize(units, 0.0);
    let spectrum = Spectrum::new(eigenvalues);
    for (name, at) in [("max", 1.0), ("q75", 0.75), ("median", 0.5), ("q25", 0.25), ("min", 0.0)] {
        point.log(format!("h_{name}.{layer}"), spectrum.quantile(at));
    }
    // Infinite, and so left out, where H_l is singular.
    point.log(format!("h_condition.{layer}"), spectrum.quantile(1.0) / spectrum.quantile(0.0));
    point.log(format!("h_rank.{layer}"), spectrum.effective_rank());
}

/// Bytes that [`log`] needs at most, at one time.
pub(crate) fn scratch_bytes(specs: &[TensorSpec]) -> u64 {
    let sides = specs.iter().filter(|spec| spec.kind != BIAS).map(|spec| spec.size.0.min(spec.size.1));
    let units = sides.filter(|&units| units <= MAX_SPECTRUM_UNITS);
    let units = units.max().unwrap_or(0) as u64;
    let compared = specs.iter().filter(|spec| spec.kind != BIAS).map(|spec| spec.size.0);
    let compared = compared.filter(|&units| units <= MAX_SPECTRUM_UNITS).max().unwrap_or(0) as u64;
    let spectra = units * (HELD_MATRICES * units + BLOCK_COLUMNS as u64);
    8 * spectra.max(compared * (compared + BLOCK_COLUMNS as u64))
}

/// The squares of the singular values, ascending, as many as the smaller side has units. Those that rounding cannot
/// tell from 0 are 0. Nothing when the matrix is too large or not finite.
pub(crate) fn squared_singular_values(matrix: &ArrayRef2<f32>) -> Option<Vec<f64>> {
    let matrix = if matrix.nrows() <= matrix.ncols() { matrix.view() } else { matrix.t() };
    let units = matrix.nrows();
    if units > MAX_SPECTRUM_UNITS {
        return None;
    }
    let gram = gram(&matrix);
    if gram.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let gram = Mat::from_fn(units, units, |row, column| gram[[row, column]]);
    let mut squares = gram.self_adjoint_eigenvalues(Side::Lower).ok()?;
    squares.sort_unstable_by(f64::total_cmp);
    let noise = units as f64 * f64::EPSILON * squares.last().copied()?;
    squares.iter_mut().filter(|square| **square <= noise).for_each(|square| *square = 0.0);
    Some(squares)
}

/// `X Xᵀ` in f64.
fn gram(matrix: &ArrayRef2<f32>) -> Array2<f64> {
    let mut gram = Array2::<f64>::zeros((matrix.nrows(), matrix.nrows()));
    for start in (0..matrix.ncols()).step_by(BLOCK_COLUMNS) {
        let end = matrix.ncols().min(start + BLOCK_COLUMNS);
        let block = matrix.slice(s![.., start..end]).mapv(f64::from);
        general_mat_mul(1.0, &block, &block.t(), 1.0, &mut gram);
    }
    gram
}

/// Mean of `|cos|` over all pairs of rows, the incoming weights of two units: the size of what stands off the diagonal
/// of `X Xᵀ` when each row of `X` has norm 1. 0 when all are orthogonal, 1 when all are parallel. NaN when fewer than two
/// rows are not 0; rows that are 0 are in no pair. NaN also when there are too many rows.
fn likeness(matrix: &ArrayRef2<f32>) -> f64 {
    let units = matrix.nrows();
    if units > MAX_SPECTRUM_UNITS {
        return f64::NAN;
    }
    let gram = gram(matrix);
    let norms: Vec<f64> = (0..units).map(|unit| gram[[unit, unit]].sqrt()).collect();
    let (mut sum, mut pairs) = (0.0, 0_u64);
    for (one, norm) in norms.iter().enumerate().filter(|(_, norm)| **norm > 0.0) {
        for other in (one + 1..units).filter(|&other| norms[other] > 0.0) {
            sum += (gram[[one, other]] / (norm * norms[other])).abs();
            pairs += 1;
        }
    }
    sum / pairs as f64
}

/// Numbers not below 0, ascending.
struct Spectrum(Vec<f64>);

impl Spectrum {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which this share of the others lies, linear in between.
    fn quantile(&self, share: f64) -> f64 {
        let place = share * (self.0.len() - 1) as f64;
        let (below, above) = (self.0[place.floor() as usize], self.0[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    /// `exp(−Σ p ln p)`, `p` each value's share of their sum (Roy, Vetterli 2007): how many values count.
    fn effective_rank(&self) -> f64 {
        let sum: f64 = self.0.iter().sum();
        let shares = self.0.iter().map(|value| value / sum).filter(|&share| share > 0.0);
        libm::exp(-shares.map(|share| share * libm::log(share)).sum::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn singular_values_of_a_known_matrix() {
        // Singular values 3 and 2, in both orientations and with a null direction.
        let wide = arr2(&[[3.0_f32, 0.0, 0.0], [0.0, 0.0, -2.0]]);
        let tall = wide.t().to_owned();
        for matrix in [wide, tall] {
            let squares = squared_singular_values(&matrix).unwrap();
            assert!((squares[0] - 4.0).abs() < 1e-12 && (squares[1] - 9.0).abs() < 1e-12, "{squares:?}");
        }
        let singular = squared_singular_values(&arr2(&[[1.0_f32, 2.0], [2.0, 4.0]])).unwrap();
        assert_eq!(singular[0], 0.0);
        assert!((singular[1] - 25.0).abs() < 1e-12);
        assert_eq!(squared_singular_values(&Array2::from_elem((3, 3), f32::NAN)), None);
    }

    #[test]
    fn likeness_of_known_rows() {
        assert_eq!(likeness(&arr2(&[[1.0_f32, 0.0], [0.0, -3.0]])), 0.0);
        let one = likeness(&arr2(&[[1.0_f32, 2.0], [-2.0, -4.0], [0.5, 1.0]]));
        assert!((one - 1.0).abs() < 1e-12, "{one}");
        // Cosines 0, 1/√2, 1/√2 of three pairs; a row of zeros is in none of them.
        let rows = arr2(&[[1.0_f32, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]);
        assert!((likeness(&rows) - 2.0_f64.sqrt() / 3.0).abs() < 1e-12);
        assert!(likeness(&arr2(&[[1.0_f32, 2.0]])).is_nan());
    }

    #[test]
    fn quantiles_and_ranks_of_known_spectra() {
        let spectrum = Spectrum::new(vec![4.0, 1.0, 2.0, 3.0, 5.0]);
        assert_eq!([0.0, 0.25, 0.5, 0.9, 1.0].map(|at| spectrum.quantile(at)), [1.0, 2.0, 3.0, 4.6, 5.0]);
        assert!((Spectrum::new(vec![2.0; 7]).effective_rank() - 7.0).abs() < 1e-12);
        assert!((Spectrum::new(vec![0.0, 0.0, 3.0]).effective_rank() - 1.0).abs() < 1e-12);
    }
}
