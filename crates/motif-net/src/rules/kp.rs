//! Kolen–Pollack: the feedback changes by the transposed correlation and decays like `W`, so the two align.
//!
//! ```text
//! g_l = φ'(a_l) ⊙ (W̄_l g_{l+1}),  g_L = e        ΔW_l = ⟨g_l h_{l-1}ᵀ⟩        ΔW̄_l = ⟨h_l g_{l+1}ᵀ⟩ = ΔW_{l+1}ᵀ
//! ```
//!
//! `W̄` has the rate and the decay of `W`, whatever `rates.w_bar` says: then `W_{l+1} − W̄_lᵀ` shrinks by
//! `1 − η_W γ_W` each step, which is the rule's point.
//!
//! Kolen, Pollack, *Backpropagation without weight transport*, ICNN (1994); Akrout, Wilson, Humphreys, Lillicrap,
//! Tweed, *Deep learning without weight transport*, NeurIPS (2019).

use super::Rule;
use super::fa::Fa;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal::{self, G, H};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct Kp;

impl Rule for Kp {
    fn signals(&self) -> &'static [Signal] {
        Fa.signals()
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let depth = design.depth();
        let w = (1..=depth).map(|l| design.synapse(Synapse::W, l).learns(outer(G.at(l), H.at(l - 1))));
        let w_bar = (1..depth).map(|l| design.feedback(l, l + 1).learns(outer(H.at(l), G.at(l + 1))));
        w.chain(w_bar).collect()
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        Fa.drive(pass);
    }
}
