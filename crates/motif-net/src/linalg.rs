//! The few products everything else is made of, each with one fixed order of reduction.
//!
//! The one place that calls a matrix-product kernel, so that the kernel can be swapped.

use ndarray::{ArrayRef2, ArrayViewMut2, linalg::general_mat_mul};

/// Partial sums kept side by side; their order is part of the result's bits.
const LANES: usize = 8;

/// `c ← alpha · a b + beta · c`; with `beta` 0, `c` is not read.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn product(
    alpha: f32,
    a: &ArrayRef2<f32>,
    b: &ArrayRef2<f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
) {
    general_mat_mul(alpha, a, b, beta, &mut c);
}

/// `Σ x y`, in f64.
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (x_lanes, y_lanes) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let tail: f64 =
        x_lanes.remainder().iter().zip(y_lanes.remainder()).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
    for (x, y) in x_lanes.zip(y_lanes) {
        for lane in 0..LANES {
            sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
        }
    }
    sums.iter().sum::<f64>() + tail
}

/// `Σ x ∘ y` of two equally shaped arrays with contiguous rows, in f64, row by row.
///
/// # Panics
/// If the rows are not contiguous.
pub(crate) fn dot_rows(x: &ArrayRef2<f32>, y: &ArrayRef2<f32>) -> f64 {
    let rows = x.rows().into_iter().zip(y.rows());
    rows.map(|(x, y)| dot(x.to_slice().expect("contiguous rows"), y.to_slice().expect("contiguous rows")))
        .sum()
}

/// `Σ x ∘ yᵀ`, in f64, row of `x` by row.
pub(crate) fn dot_transposed(x: &ArrayRef2<f32>, y: &ArrayRef2<f32>) -> f64 {
    let mut dot = 0.0;
    for (row, column) in x.rows().into_iter().zip(y.columns()) {
        dot += row.iter().zip(column).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
    }
    dot
}

/// The Frobenius norm.
pub(crate) fn norm(x: &ArrayRef2<f32>) -> f64 {
    dot_rows(x, x).sqrt()
}
