//! Exact backpropagation.
//!
//! ```text
//! g_l = φ'(a_l) ⊙ (W_{l+1}ᵀ g_{l+1}),  g_L = e        ΔW_l = ⟨g_l h_{l-1}ᵀ⟩
//! ```

use super::Rule;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal::{self, G, H};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct Bp;

impl Rule for Bp {
    fn signals(&self) -> &'static [Signal] {
        &[G]
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let change = |l: usize| outer(G.at(l), H.at(l - 1));
        (1..=design.depth()).map(|l| design.synapse(Synapse::W, l).learns(change(l))).collect()
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        for l in (1..pass.depth()).rev() {
            pass.back_through(Synapse::W.name(), l + 1, G.at(l + 1), G.at(l));
            pass.gate_drive(l);
        }
    }
}
