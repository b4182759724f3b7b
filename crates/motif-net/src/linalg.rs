//! The few products everything else is made of, each with one fixed order of reduction.
//!
//! The one place that calls a matrix-product kernel. Two are used, both with a fixed order of reduction: faer's on
//! x86-64 with AVX2, which is quicker, allocates nothing after a thread's first product and blocks the inner dimension
//! whatever the machine's caches are and whatever the other dimensions; ndarray's everywhere else.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayRef2, ArrayView2, ArrayViewMut2, linalg::general_mat_mul, s};
use rayon::prelude::*;

use crate::spare::{Spare, SpareThreads};
use crate::vectors::vectorized;

/// Partial sums kept side by side; their order is part of the result's bits.
const LANES: usize = 8;
/// The same where only f32 is summed.
const QUICK_LANES: usize = 16;
/// Numbers that stay near between one pass over them and the next.
const NEAR_NUMBERS: usize = 1 << 16;
/// Multiplications of a part that is worth another thread's while.
const PART_MULTIPLICATIONS: usize = 1 << 21;
/// Parts of a product are cut at multiples of so many columns, which suit the kernels.
const CUT_COLUMNS: usize = 16;
/// Numbers summed in f32 before f64 takes over.
const STRETCH: usize = 1_024;

vectorized! {
    /// `x ← factor · x`.
    fn scale<'a>(factor: f32, x: &'a mut [f32]) {
        x.iter_mut().for_each(|value| *value *= factor);
    }

    /// `Σ x y`, in f64.
    pub(crate) fn dot<'a>(x: &'a [f32], y: &'a [f32]) -> f64 {
        let mut sums = [0.0_f64; LANES];
        let (x_lanes, y_lanes) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
        let tails = x_lanes.remainder().iter().zip(y_lanes.remainder());
        let tail: f64 = tails.map(|(&x, &y)| f64::from(x) * f64::from(y)).sum();
        for (x, y) in x_lanes.zip(y_lanes) {
            for lane in 0..LANES {
                sums[lane] += f64::from(x[lane]) * f64::from(y[lane]);
            }
        }
        sums.iter().sum::<f64>() + tail
    }

    /// `Σ x²` in f32 and, over stretches of it, in f64.
    fn quick_square_sum<'a>(x: &'a [f32]) -> f64 {
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
        sum
    }
}

/// `Σ x²` in f32, as quick as reading `x`: short stretches are summed in f32, and these sums in f64. Within about
/// 10⁻⁶; where the squares would overflow, [`dot`]'s.
pub(crate) fn square_sum(x: &[f32]) -> f64 {
    let sum = quick_square_sum(x);
    if sum.is_finite() { sum } else { dot(x, x) }
}

/// `c ← alpha · a b + beta · c`; with `beta` 0, `c` is not read.
///
/// Public for benchmarks, which hold the engine's step against its products alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(alpha: f32, a: &ArrayRef2<f32>, b: &ArrayRef2<f32>, beta: f32, c: ArrayViewMut2<'_, f32>) {
    shared_product(&(), alpha, a, b, beta, c);
}

/// [`product`], of which idle threads take parts when it is large.
///
/// # Panics
/// If the shapes do not fit.
pub(crate) fn shared_product(
    helpers: &dyn SpareThreads,
    alpha: f32,
    a: &ArrayRef2<f32>,
    b: &ArrayRef2<f32>,
    beta: f32,
    mut c: ArrayViewMut2<'_, f32>,
) {
    if has_quick_kernel()
        && let (Some(a), Some(b)) = (matrix(a), matrix(b))
        && let Some(values) = c.as_slice_mut()
    {
        if beta != 0.0 && beta != 1.0 {
            scale(beta, values);
        }
        let c = MatMut::from_row_major_slice_mut(values, a.nrows(), b.ncols());
        let product = Product { alpha, add: beta != 0.0 };
        match helpers_for(helpers, a.nrows() * a.ncols() * b.ncols()) {
            Some((spare, parts)) => spare.pool.install(|| product.in_columns(a, b, c, parts)),
            None => product.whole(a, b, c),
        }
        return;
    }
    general_mat_mul(alpha, a, b, beta, &mut c);
}

/// Rows `rows` of `c ← alpha · xᵀ y + beta · c`, `x` batch × rows of all, `y` batch × columns, both contiguous; `c`
/// holds these rows alone, one after the other. As [`shared_product`], but a large `c` is gone through once, not twice.
///
/// # Panics
/// If a matrix is not contiguous or does not fit.
pub(crate) fn outer_rows(
    helpers: &dyn SpareThreads,
    alpha: f32,
    x: &ArrayView2<'_, f32>,
    rows: Range<usize>,
    y: &ArrayView2<'_, f32>,
    beta: f32,
    c: &mut [f32],
) {
    let columns = y.ncols();
    if !has_quick_kernel() {
        let c = ArrayViewMut2::from_shape((rows.len(), columns), c);
        let c = &mut c.expect("a number for each pair");
        general_mat_mul(alpha, &x.slice(s![.., rows]).t(), y, beta, c);
        return;
    }
    let multiplications = x.nrows() * rows.len() * columns;
    let x = matrix(x).expect("contiguous signals").transpose().subrows(rows.start, rows.len());
    let y = matrix(y).expect("contiguous signals");
    let product = Product { alpha, add: beta != 0.0 };
    let part = |x: MatRef<'_, f32>, c: &mut [f32]| {
        let height = near_rows(columns);
        for (place, c) in c.chunks_mut(height * columns).enumerate() {
            if beta != 0.0 && beta != 1.0 {
                scale(beta, c);
            }
            let x = x.subrows(place * height, c.len() / columns);
            product.whole(x, y, MatMut::from_row_major_slice_mut(c, x.nrows(), columns));
        }
    };
    let Some((spare, parts)) = helpers_for(helpers, multiplications) else { return part(x, c) };
    let height = x.nrows().div_ceil(parts);
    spare.pool.install(|| {
        c.par_chunks_mut(height * columns).enumerate().for_each(|(place, c)| {
            part(x.subrows(place * height, c.len() / columns), c);
        });
    });
}

/// Idle threads, and how many parts to make for them; nothing when there are none or the product is too small.
fn helpers_for(helpers: &dyn SpareThreads, multiplications: usize) -> Option<(Spare<'_>, usize)> {
    let most = multiplications / PART_MULTIPLICATIONS;
    if most < 2 {
        return None;
    }
    let spare = helpers.spare()?;
    let parts = spare.threads.min(most);
    (parts > 1).then_some((spare, parts))
}

/// `c ← alpha · a b`, or onto `c`.
#[derive(Clone, Copy)]
struct Product {
    alpha: f32,
    add: bool,
}

impl Product {
    fn whole(self, a: MatRef<'_, f32>, b: MatRef<'_, f32>, c: MatMut<'_, f32>) {
        let accumulate = if self.add { Accum::Add } else { Accum::Replace };
        matmul(c, accumulate, a, b, self.alpha, Par::Seq);
    }

    /// In `parts` parts at most, each some of the columns.
    fn in_columns(self, a: MatRef<'_, f32>, b: MatRef<'_, f32>, c: MatMut<'_, f32>, parts: usize) {
        let columns = b.ncols();
        let left_parts = parts / 2;
        let cut = (columns * left_parts / parts.max(1)).next_multiple_of(CUT_COLUMNS);
        if parts < 2 || cut >= columns {
            return self.whole(a, b, c);
        }
        let (left, right) = c.split_at_col_mut(cut);
        let (b_left, b_right) = b.split_at_col(cut);
        rayon::join(
            || self.in_columns(a, b_left, left, left_parts),
            || self.in_columns(a, b_right, right, parts - left_parts),
        );
    }
}

/// How many rows of so many columns stay near between one pass over them and the next.
pub(crate) fn near_rows(columns: usize) -> usize {
    (NEAR_NUMBERS / columns.max(1)).max(1)
}

/// Whether faer has kernels of its own for this machine; elsewhere it would choose its blocks by the caches' sizes.
fn has_quick_kernel() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// The same matrix for faer, if its rows or its columns are contiguous and in one piece.
fn matrix<'a>(x: &'a ArrayRef2<f32>) -> Option<MatRef<'a, f32>> {
    let (rows, columns) = x.dim();
    if let Some(values) = x.as_slice() {
        return Some(MatRef::from_row_major_slice(values, rows, columns));
    }
    let transposed = x.t();
    transposed.to_slice().map(|values| MatRef::from_column_major_slice(values, rows, columns))
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
    let rows = x.rows().into_iter().zip(y.columns());
    rows.map(|(row, column)| match (row.to_slice(), column.to_slice()) {
        (Some(row), Some(column)) => dot(row, column),
        _ => row.iter().zip(column).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum(),
    })
    .sum()
}

/// The Frobenius norm of an array whose rows or columns are contiguous.
pub(crate) fn norm(x: &ArrayRef2<f32>) -> f64 {
    match x.as_slice_memory_order() {
        Some(values) => dot(values, values).sqrt(),
        None => dot_rows(x, x).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use ndarray::{Array2, s};

    #[test]
    fn the_quick_norm_is_close_and_knows_no_overflow() {
        let quick_norm = |x: &Array2<f32>| square_sum(x.as_slice().unwrap()).sqrt();
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

    #[test]
    fn helpers_change_no_bit() {
        struct Helpers(rayon::ThreadPool, usize);
        impl SpareThreads for Helpers {
            fn spare(&self) -> Option<Spare<'_>> {
                Some(Spare { pool: &self.0, threads: self.1 })
            }
        }
        let random = |size: (usize, usize), name: &str| {
            let mut array = Array2::zeros(size);
            Stream::new(4, name).fill_normal(array.as_slice_mut().unwrap(), 1.0);
            array
        };
        for (batch, from, to) in [(64, 1_300, 257), (33, 700, 513), (128, 100, 1_000)] {
            let (h, w, g) = (random((batch, from), "h"), random((from, to), "w"), random((batch, to), "g"));
            let computed = |helpers: &dyn SpareThreads| {
                let (mut forward, mut change) = (random((batch, to), "c"), random((from, to), "d"));
                shared_product(helpers, 1.5, &h, &w, 1.0, forward.view_mut());
                let change_slice = change.as_slice_mut().unwrap();
                outer_rows(helpers, 0.5, &h.view(), 0..from, &g.view(), 0.75, change_slice);
                (forward, change)
            };
            let alone = computed(&());
            for threads in 1..=5 {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
                assert_eq!(computed(&Helpers(pool, threads)), alone, "{batch} {from} {to} {threads}");
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
