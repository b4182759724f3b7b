//! Feedback alignment: fixed random feedback in place of `Wᵀ`.
//!
//! ```text
//! g_l = φ'(a_l) ⊙ (W̄_l g_{l+1}),  g_L = e        ΔW_l = ⟨g_l h_{l-1}ᵀ⟩        W̄_l : n_l × n_{l+1}, fixed
//! ```
//!
//! Lillicrap, Cownden, Tweed, Akerman, *Random synaptic feedback weights support error backpropagation for deep
//! learning*, Nature Communications 7:13276 (2016).

use super::Rule;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal::{self, G, H};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct Fa;

impl Rule for Fa {
    fn signals(&self) -> &'static [Signal] {
        &[G]
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let depth = design.depth();
        let w = (1..=depth).map(|l| design.synapse(Synapse::W, l).learns(outer(G.at(l), H.at(l - 1))));
        let w_bar = (1..depth).map(|l| design.feedback(l, l + 1));
        w.chain(w_bar).collect()
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        for l in (1..pass.depth()).rev() {
            pass.through(Synapse::WBar.name(), l, G.at(l + 1), G.at(l));
            pass.gate_drive(l);
        }
    }
}
