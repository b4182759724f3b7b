//! How far one tensor goes in one step, and the passes over its memory that take it there.

use crate::tensors::TensorSpec;
use crate::vectors::vectorized;

/// How far one tensor goes in one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// `η(t)`.
    pub(super) rate: f64,
    /// `γ`.
    decay: f64,
    /// `min(1, c / ‖ΔX‖)`.
    pub(super) scale: f64,
}

impl Pace {
    /// `norm` is `‖ΔX‖`, `clip_norm` is `c`, `factor` the schedule's.
    pub(super) fn new(spec: &TensorSpec, factor: f64, norm: f64, clip_norm: f64) -> Self {
        let clipped = clip_norm > 0.0 && norm > clip_norm;
        let scale = if clipped { clip_norm / norm } else { 1.0 };
        Self { rate: spec.rate * factor, decay: spec.decay, scale }
    }

    /// `1 − ηγ`.
    pub(super) fn keep(&self) -> f32 {
        (1.0 - self.rate * self.decay) as f32
    }

    /// The step by a `ΔX` written out, all in the same order of memory; without momentum the velocity is empty.
    pub(super) fn blend(&self, value: &mut [f32], velocity: &mut [f32], momentum: f64, delta: &[f32]) {
        if velocity.is_empty() {
            blend(value, delta, self.keep(), (self.rate * self.scale) as f32);
        } else {
            gather(velocity, delta, momentum as f32, self.scale as f32);
            self.push(value, velocity);
        }
    }

    /// `M ← M − γ X`, `X ← X + η M`.
    pub(super) fn push(&self, value: &mut [f32], velocity: &mut [f32]) {
        push(value, velocity, self.decay as f32, self.rate as f32);
    }
}

vectorized! {
    fn blend<'a>(value: &'a mut [f32], delta: &'a [f32], keep: f32, alpha: f32) {
        for (x, &change) in value.iter_mut().zip(delta) {
            *x = keep * *x + alpha * change;
        }
    }

    fn gather<'a>(velocity: &'a mut [f32], delta: &'a [f32], momentum: f32, scale: f32) {
        for (m, &change) in velocity.iter_mut().zip(delta) {
            *m = momentum * *m + scale * change;
        }
    }

    fn push<'a>(value: &'a mut [f32], velocity: &'a mut [f32], decay: f32, rate: f32) {
        for (x, m) in value.iter_mut().zip(velocity) {
            *m -= decay * *x;
            *x += rate * *m;
        }
    }
}
