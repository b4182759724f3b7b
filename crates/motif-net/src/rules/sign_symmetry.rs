//! Sign symmetry: feedback of one magnitude per layer that always has the signs of `W`.
//!
//! ```text
//! W̄_l = s_l sign(W_{l+1})ᵀ        g_l = φ'(a_l) ⊙ (W̄_l g_{l+1}),  g_L = e        ΔW_l = ⟨g_l h_{l-1}ᵀ⟩
//! ```
//!
//! `s_l` is the standard deviation with which `W_{l+1}` was drawn; `sign(0) = 0`. `W̄` is recomputed after each step.
//!
//! Liao, Leibo, Poggio, *How important is weight symmetry in backpropagation?*, AAAI (2016), its uniform
//! sign-concordant feedback; Xiao, Chen, Liao, Poggio, *Biologically-plausible learning algorithms can scale to
//! large datasets* (2018).

use super::Rule;
use super::fa::Fa;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal;
use crate::tensors::{Design, TensorSpec, Tensors};

pub(crate) struct SignSymmetry;

impl Rule for SignSymmetry {
    fn signals(&self) -> &'static [Signal] {
        Fa.signals()
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        Fa.tensors(design)
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        Fa.drive(pass);
    }

    fn derive(&self, tensors: &mut Tensors) {
        let mut layer = 1;
        while let Some(magnitude) = tensors.initial_deviation(Synapse::WBar.name(), layer) {
            tensors.rewrite(Synapse::WBar.name(), layer, |w_bar, tensors| {
                let w = tensors.at(Synapse::W.name(), layer + 1);
                w_bar.zip_mut_with(&w.t(), |feedback, &weight| *feedback = signed(magnitude, weight));
            });
            layer += 1;
        }
    }
}

/// `magnitude · sign(weight)`, NaN for NaN.
fn signed(magnitude: f32, weight: f32) -> f32 {
    if weight == 0.0 || weight.is_nan() { weight } else { magnitude.copysign(weight) }
}
