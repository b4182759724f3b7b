//! Direct feedback alignment: fixed random feedback from the error straight to each layer.
//!
//! ```text
//! g_l = φ'(a_l) ⊙ (W̄_l e),  g_L = e        ΔW_l = ⟨g_l h_{l-1}ᵀ⟩        W̄_l : n_l × n_L, fixed
//! ```
//!
//! Nøkland, *Direct feedback alignment provides learning in deep neural networks*, NeurIPS (2016).

use super::Rule;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal::{self, G, H};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct Dfa;

impl Rule for Dfa {
    fn signals(&self) -> &'static [Signal] {
        &[G]
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let depth = design.depth();
        let w = (1..=depth).map(|l| design.synapse(Synapse::W, l).learns(outer(G.at(l), H.at(l - 1))));
        let w_bar = (1..depth).map(|l| design.feedback(l, depth));
        w.chain(w_bar).collect()
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        let depth = pass.depth();
        for l in 1..depth {
            pass.through(Synapse::WBar.name(), l, G.at(depth), G.at(l));
            pass.gate_drive(l);
        }
    }
}
