//! Elementwise functions, in plain f32 arithmetic that gives the same bits on every machine.
//!
//! Every one of them hands a NaN on: a hidden NaN would be a divergence nobody sees.

use ndarray::{ArrayRef2, ArrayViewMut2};

use crate::config::{Activation, DownstreamActivation};
use crate::vectors::vectorized;

/// Slope of `leaky_relu` below zero.
pub(crate) const LEAK: f32 = 0.01;

/// Sum of the losses and number of right answers over some examples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Score {
    /// `Σ -log softmax(a_L)[y]`.
    pub(crate) loss: f64,
    /// Examples whose largest logit is the label's.
    pub(crate) correct: u64,
    /// Examples.
    pub(crate) count: u64,
}

impl Score {
    pub(crate) fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.correct += other.correct;
        self.count += other.count;
    }

    pub(crate) fn mean_loss(&self) -> f64 {
        self.loss / self.count as f64
    }

    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count as f64
    }
}

/// `e = onehot(y) − softmax(a_L)`, and the score.
pub(crate) fn softmax_error(
    logits: &ArrayRef2<f32>,
    labels: &[u16],
    mut error: ArrayViewMut2<'_, f32>,
) -> Score {
    let mut score = Score { count: labels.len() as u64, ..Score::default() };
    for ((logits, mut error), &label) in logits.rows().into_iter().zip(error.rows_mut()).zip(labels) {
        let label = usize::from(label);
        let (best, highest) =
            logits.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (class, &logit)| {
                if logit > best.1 { (class, logit) } else { best }
            });
        let mut total = 0.0_f64;
        for (error, &logit) in error.iter_mut().zip(logits) {
            *error = libm::expf(logit - highest);
            total += f64::from(*error);
        }
        let share = (-1.0 / total) as f32;
        for error in &mut error {
            *error *= share;
        }
        error[label] += 1.0;
        score.loss += libm::log(total) - f64::from(logits[label] - highest);
        score.correct += u64::from(best == label);
    }
    score
}

/// `h = φ(a)`.
pub(crate) fn activate(activation: Activation, a: &[f32], h: &mut [f32]) {
    match activation {
        Activation::Linear => h.copy_from_slice(a),
        Activation::Relu => map(a, h, relu),
        Activation::Tanh => map(a, h, tanh),
    }
}

/// `g ← φ'(a) ⊙ g`, with `φ'` taken from `h = φ(a)`.
pub(crate) fn gate_by_slope(activation: Activation, h: &[f32], g: &mut [f32]) {
    match activation {
        Activation::Linear => {}
        Activation::Relu => update(g, h, |g, h| g * open(h)),
        Activation::Tanh => update(g, h, |g, h| g * (1.0 - h * h)),
    }
}

/// `h̄ = φ̄(ā)` for every nonlinearity of `ā` alone.
///
/// # Panics
/// For `gated`, which is [`gate_downstream`].
pub(crate) fn activate_downstream(activation: DownstreamActivation, a_bar: &[f32], h_bar: &mut [f32]) {
    match activation {
        DownstreamActivation::Linear => h_bar.copy_from_slice(a_bar),
        DownstreamActivation::Tanh => map(a_bar, h_bar, tanh),
        DownstreamActivation::Relu => map(a_bar, h_bar, relu),
        DownstreamActivation::LeakyRelu => map(a_bar, h_bar, |x| if x <= 0.0 { x * LEAK } else { x }),
        DownstreamActivation::Gated => panic!("`gated` depends on u"),
    }
}

vectorized! {
    /// `h̄ = [u > 0] ⊙ ā` and `u ← [u > 0] ⊙ u`.
    pub(crate) fn gate_downstream<'a>(a_bar: &'a [f32], u: &'a mut [f32], h_bar: &'a mut [f32]) {
        for ((h_bar, &a_bar), u) in h_bar.iter_mut().zip(a_bar).zip(u) {
            *h_bar = a_bar * open(*u);
            *u = relu(*u);
        }
    }

    fn map<'a, F: Fn(f32) -> f32>(from: &'a [f32], to: &'a mut [f32], f: F) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = f(from);
        }
    }

    fn update<'a, F: Fn(f32, f32) -> f32>(to: &'a mut [f32], by: &'a [f32], f: F) {
        for (to, &by) in to.iter_mut().zip(by) {
            *to = f(*to, by);
        }
    }
}

/// `max(x, 0)`; unlike `f32::max`, NaN stays NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `[x > 0]`, NaN for NaN.
#[inline(always)]
fn open(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x <= 0.0 {
        0.0
    } else {
        x
    }
}

/// Hyperbolic tangent as `m / (m + 2)` with `m = exp(2x) − 1`, within 4 units in the last place.
///
/// `2x = k ln 2 + r`, `m = 2ᵏ (eʳ − 1) + (2ᵏ − 1)`, and the series of `eʳ − 1` ends at `r⁷` since `|r| ≤ ln 2 / 2`.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    /// Beyond it the result rounds to ±1.
    const FLAT: f32 = 9.1;
    /// Adding 1.5 · 2²³ rounds to an integer, left in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with trailing zeros so that its product with `k` is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -0.000_212_194_44;
    let y = 2.0 * x.clamp(-FLAT, FLAT);
    let rounded = y * std::f32::consts::LOG2_E + ROUND;
    let k = rounded - ROUND;
    let r = (y - k * LN_2_HIGH) - k * LN_2_LOW;
    let tail = 1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0)));
    let series = r + r * r * (0.5 + r * (1.0 / 6.0 + r * tail));
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let m = power * series + (power - 1.0);
    m / (m + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_is_close_everywhere() {
        let mut worst = 0.0_f64;
        for step in -200_000..=200_000 {
            let x = step as f32 * 1e-4;
            let exact = libm::tanh(f64::from(x));
            let error = (f64::from(tanh(x)) - exact).abs();
            if exact != 0.0 {
                worst = worst.max(error / exact.abs());
            }
        }
        assert!(worst < 4.0 * f64::from(f32::EPSILON), "{worst:e}");
        for x in [1e-30_f32, -1e-20, 1e-8, 3e38, -3e38, f32::INFINITY, f32::NEG_INFINITY, 0.0] {
            let exact = libm::tanh(f64::from(x));
            assert!((f64::from(tanh(x)) - exact).abs() <= 4e-7 * exact.abs(), "{x}");
        }
    }

    #[test]
    fn every_function_hands_nan_on() {
        let nan = [f32::NAN];
        for activation in [Activation::Relu, Activation::Tanh, Activation::Linear] {
            let mut h = [0.0];
            activate(activation, &nan, &mut h);
            assert!(h[0].is_nan(), "{activation:?}");
            let mut g = [f32::NAN];
            gate_by_slope(activation, &[-1.0], &mut g);
            assert!(g[0].is_nan(), "{activation:?}");
        }
        use DownstreamActivation::{LeakyRelu, Linear, Relu, Tanh};
        for activation in [Linear, Tanh, Relu, LeakyRelu] {
            let mut h_bar = [0.0];
            activate_downstream(activation, &nan, &mut h_bar);
            assert!(h_bar[0].is_nan(), "{activation:?}");
        }
        for (a_bar, u) in [(f32::NAN, -1.0), (1.0, f32::NAN)] {
            let (mut u, mut h_bar) = ([u], [0.0]);
            gate_downstream(&[a_bar], &mut u, &mut h_bar);
            assert!(h_bar[0].is_nan(), "{a_bar} {u:?}");
        }
        let mut error = ndarray::arr2(&[[0.0, 0.0]]);
        let score = softmax_error(&ndarray::arr2(&[[f32::NAN, 1.0]]), &[1], error.view_mut());
        assert!(score.loss.is_nan());
    }
}
