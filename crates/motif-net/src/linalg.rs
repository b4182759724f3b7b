//! The few products everything else is made of, each with one fixed order of reduction.
//!
//! The one place that calls a matrix-product kernel. Two are used, both on one thread and with a fixed order of
//! reduction: faer's on x86-64 with AVX2, which is quicker, allocates nothing after a thread's first product and blocks
//! the inner dimension whatever the machine's caches are; ndarray's everywhere else.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayRef2, ArrayViewMut2, linalg::general_mat_mul};

/// Partial sums kept side by side; their order is part of the result's bits.
const LANES: usize = 8;
/// The same where only f32 is summed.
const QUICK_LANES: usize = 16;
/// Side of the squares in which a matrix is transposed.
const TILE: usize = 16;
/// Numbers summed in f32 before f64 takes over.
const STRETCH: usize = 1_024;

/// `c ← alpha · a b + beta · c`; with `beta` 0, `c` is not read.
///
/// Public for benchmarks, which hold the engine's step against its products alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(alpha: f32, a: &ArrayRef2<f32>, b: &ArrayRef2<f32>, beta: f32, mut c: ArrayViewMut2<'_, f32>) {
    if has_quick_kernel()
        && let (Some(a), Some(b)) = (matrix(a), matrix(b))
        && let Some(values) = c.as_slice_mut()
    {
        if beta != 0.0 && beta != 1.0 {
            values.iter_mut().for_each(|value| *value *= beta);
        }
        let c = MatMut::from_row_major_slice_mut(values, a.nrows(), b.ncols());
        let accumulate = if beta == 0.0 { Accum::Replace } else { Accum::Add };
        matmul(c, accumulate, a, b, alpha, Par::Seq);
        return;
    }
    general_mat_mul(alpha, a, b, beta, &mut c);
}

/// Whether faer has kernels of its own for this machine; elsewhere it would choose its blocks by the caches' sizes.
fn has_quick_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The same matrix for faer, if its rows or its columns are contiguous and in one piece.
fn matrix(x: &ArrayRef2<f32>) -> Option<MatRef<'_, f32>> {
    let (rows, columns) = x.dim();
    if let Some(values) = x.as_slice() {
        return Some(MatRef::from_row_major_slice(values, rows, columns));
    }
    let transposed = x.t();
    transposed.to_slice().map(|values| MatRef::from_column_major_slice(values, rows, columns))
}

/// `x ← keep · x + alpha · yᵀ`, tile by tile so that neither is read across its rows.
///
/// # Panics
/// If the arrays are not contiguous, or do not fit.
pub(crate) fn blend_transposed(keep: f32, x: &mut ArrayRef2<f32>, alpha: f32, y: &ArrayRef2<f32>) {
    let (rows, columns) = x.dim();
    assert_eq!(y.dim(), (columns, rows), "the transpose fits");
    let x = x.as_slice_mut().expect("a contiguous array");
    let y = y.as_slice().expect("a contiguous array");
    for top in (0..rows).step_by(TILE) {
        let height = TILE.min(rows - top);
        for left in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - left);
            let mut tile = [[0.0_f32; TILE]; TILE];
            for column in 0..width {
                let from = &y[(left + column) * rows + top..][..height];
                for (row, &value) in from.iter().enumerate() {
                    tile[row][column] = value;
                }
            }
            for (row, tile) in tile.iter().enumerate().take(height) {
                let to = &mut x[(top + row) * columns + left..][..width];
                for (to, &value) in to.iter_mut().zip(tile) {
                    *to = keep * *to + alpha * value;
                }
            }
        }
    }
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

/// `Σ x²` in f32, as quick as reading `x`: short stretches are summed in f32, and these sums in f64. Within about
/// 10⁻⁶; where the squares would overflow, [`dot`]'s.
pub(crate) fn square_sum(x: &[f32]) -> f64 {
    let mut sum = 0.0;
    for stretch in x.chunks(STRETCH) {
        let mut sums = [0.0_f32; QUICK_LANES];
        let lanes = stretch.chunks_exact(QUICK_LANES);
        let tail: f32 = lanes.remainder().iter().map(|value| value * value).sum();
        for values in lanes {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value * value;
            }
        }
        sum += f64::from(sums.iter().sum::<f32>() + tail);
    }
    if sum.is_finite() { sum } else { dot(x, x) }
}

/// The Frobenius norm of a contiguous array, within about 10⁻⁶.
///
/// # Panics
/// If the array is not contiguous.
pub(crate) fn quick_norm(x: &ArrayRef2<f32>) -> f64 {
    square_sum(x.as_slice().expect("a contiguous array")).sqrt()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use ndarray::{Array2, s};

    #[test]
    fn the_quick_norm_is_close_and_knows_no_overflow() {
        let mut x = Array2::zeros((37, 111));
        Stream::new(0, "norm").fill_normal(x.as_slice_mut().unwrap(), 3.0);
        assert!((quick_norm(&x) / norm(&x) - 1.0).abs() < 1e-6);
        x.mapv_inplace(|value| value * 1e25);
        assert!((quick_norm(&x) / norm(&x) - 1.0).abs() < 1e-12);
        assert!(norm(&x).is_finite());
        x[[36, 110]] = f32::NAN;
        assert!(quick_norm(&x).is_nan());
    }

    #[test]
    fn blending_with_a_transpose_is_blending() {
        for (rows, columns) in [(1, 1), (16, 32), (37, 19), (5, 70)] {
            let mut x = Array2::zeros((rows, columns));
            let mut y = Array2::zeros((columns, rows));
            Stream::new(3, "x").fill_normal(x.as_slice_mut().unwrap(), 1.0);
            Stream::new(3, "y").fill_normal(y.as_slice_mut().unwrap(), 1.0);
            let expected = Array2::from_shape_fn((rows, columns), |(i, j)| 0.5 * x[[i, j]] + 3.0 * y[[j, i]]);
            blend_transposed(0.5, &mut x, 3.0, &y);
            assert_eq!(x, expected);
        }
    }

    #[test]
    fn both_kernels_compute_the_product_in_every_layout() {
        let random = |size: (usize, usize), name: &str| {
            let mut array = Array2::zeros(size);
            Stream::new(1, name).fill_normal(array.as_slice_mut().unwrap(), 1.0);
            array
        };
        let (m, k, n) = (33, 600, 21);
        let (a, b) = (random((m, k), "a"), random((k, n), "b"));
        let (a_t, b_t) = (random((k, m), "c"), random((n, k), "d"));
        let padded = random((m, k + 5), "e");
        for a in [a.view(), a_t.t(), padded.slice(s![.., ..k])] {
            for b in [b.view(), b_t.t()] {
                let exact = a.mapv(f64::from).dot(&b.mapv(f64::from));
                let old = random((m, n), "old");
                for keep in [0.0, 0.5] {
                    let mut c = old.clone();
                    product(2.0, &a, &b, keep, c.view_mut());
                    for ((c, old), exact) in c.iter().zip(&old).zip(&exact) {
                        let expected = 2.0 * exact + f64::from(keep * old);
                        assert!((f64::from(*c) - expected).abs() < 1e-3, "{c} {expected}");
                    }
                }
            }
        }
    }

    /// A row's product does not depend on the rows beside it, nor on which of two transposes is computed.
    #[test]
    fn an_element_is_its_row_times_its_column() {
        let mut a = Array2::zeros((64, 200));
        let mut b = Array2::zeros((64, 90));
        Stream::new(2, "a").fill_normal(a.as_slice_mut().unwrap(), 1.0);
        Stream::new(2, "b").fill_normal(b.as_slice_mut().unwrap(), 1.0);
        let (mut one, mut other) = (Array2::zeros((200, 90)), Array2::zeros((90, 200)));
        product(1.0, &a.t(), &b, 0.0, one.view_mut());
        product(1.0, &b.t(), &a, 0.0, other.view_mut());
        assert_eq!(one, other.t());
    }
}
