//! The two tests of paired differences that assume symmetry but no normal distribution. Expects differences whose
//! ties are already equal bit for bit; knows nothing of the pairs behind them.

use statrs::function::erf;

use crate::paired::{PermutationTest, Wilcoxon, WilcoxonMethod};
use crate::sample;

/// Most non-zero differences whose signed-rank distribution is counted exactly.
pub(crate) const WILCOXON_EXACT_N_MAX: usize = 25;
/// Most differences of which all sign flips are tried.
pub(crate) const PERMUTATION_N_MAX: usize = 16;

/// Wilcoxon's signed-rank test (Wilcoxon 1945); zero differences are dropped, ties share their mean rank.
/// `None` if no difference is left.
pub(crate) fn wilcoxon(differences: &[f64]) -> Option<Wilcoxon> {
    let mut d: Vec<f64> = differences.iter().copied().filter(|&d| d != 0.0).collect();
    let (n, zeros) = (d.len(), differences.len() - d.len());
    if n == 0 {
        return None;
    }
    d.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (twice_ranks, tie_sizes) = twice_ranks(&d);
    let ties = tie_sizes.iter().any(|&t| t > 1);
    let plus: usize = d.iter().zip(&twice_ranks).filter(|(d, _)| **d > 0.0).map(|(_, r)| r).sum();
    let minus = n * (n + 1) - plus;
    let (p, method) = if n > WILCOXON_EXACT_N_MAX {
        (p_normal(plus, n, &tie_sizes), WilcoxonMethod::NormalApproximation)
    } else {
        let method = if ties || zeros > 0 { WilcoxonMethod::ExactConditional } else { WilcoxonMethod::Exact };
        (p_exact(plus.min(minus), &twice_ranks), method)
    };
    Some(Wilcoxon { statistic: plus.min(minus) as f64 / 2.0, n_used: n, zeros, ties, p, method })
}

/// Twice the midrank of each value (whole numbers), and the size of each group of ties. `d` ascends in size.
fn twice_ranks(d: &[f64]) -> (Vec<usize>, Vec<usize>) {
    let (mut ranks, mut sizes) = (Vec::with_capacity(d.len()), Vec::new());
    for group in d.chunk_by(|a, b| a.abs() == b.abs()) {
        // Ranks first+1 ..= first+t have the mean first + (t + 1) / 2.
        let first = ranks.len();
        ranks.extend(std::iter::repeat_n(2 * first + group.len() + 1, group.len()));
        sizes.push(group.len());
    }
    (ranks, sizes)
}

/// `min(1, 2 P(W ≤ w))` over all 2ⁿ equally likely sign patterns, with `w` the smaller doubled rank sum.
fn p_exact(w: usize, twice_ranks: &[usize]) -> f64 {
    let mut counts = vec![0_u64; twice_ranks.iter().sum::<usize>() + 1];
    counts[0] = 1;
    let mut reach = 0;
    for &rank in twice_ranks {
        reach += rank;
        for total in (rank..=reach).rev() {
            counts[total] += counts[total - rank];
        }
    }
    let tail: u64 = counts[..=w].iter().sum();
    let all = 1_u64 << twice_ranks.len();
    (2.0 * tail as f64 / all as f64).min(1.0)
}

/// Normal approximation with continuity correction and variance `(n(n+1)(2n+1) − Σ(t³ − t)/2) / 24`.
fn p_normal(twice_plus: usize, n: usize, tie_sizes: &[usize]) -> f64 {
    let n = n as f64;
    let ties: f64 = tie_sizes.iter().map(|&t| (t as f64).powi(3) - t as f64).sum();
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    let distance = (twice_plus as f64 / 2.0 - n * (n + 1.0) / 4.0).abs();
    let z = (distance - 0.5).max(0.0) / variance.sqrt();
    erf::erfc(z / std::f64::consts::SQRT_2)
}

/// Exact sign-flip permutation test of the mean (Fisher 1935): the share of the 2ⁿ sign patterns whose mean is at
/// least as far from zero as the one observed. `None` at n = 0 and above [`PERMUTATION_N_MAX`].
pub(crate) fn sign_flip(differences: &[f64]) -> Option<PermutationTest> {
    let n = differences.len();
    if n == 0 || n > PERMUTATION_N_MAX {
        return None;
    }
    let size: f64 = differences.iter().map(|d| d.abs()).sum();
    // Patterns of the same sum may differ by the rounding of their additions.
    let bound = sample::sum(differences.iter().copied()).abs() - 2.0 * n as f64 * f64::EPSILON * size;
    // A pattern and its mirror are equally far out: the first sign stays, and each pattern counts twice.
    let patterns = 1_u32 << (n - 1);
    let extreme = (0..patterns).filter(|&flips| flipped_sum(differences, flips).abs() >= bound).count();
    Some(PermutationTest {
        p: extreme as f64 / f64::from(patterns),
        flips: 2 * patterns,
        smallest_p: 1.0 / f64::from(patterns),
    })
}

/// Sum with the sign of difference i + 1 flipped where bit i is set.
fn flipped_sum(differences: &[f64], flips: u32) -> f64 {
    let signed = |(i, d): (usize, &f64)| if flips >> i & 1 == 1 { -d } else { *d };
    differences[0] + differences[1..].iter().enumerate().map(signed).sum::<f64>()
}
