//! Self-assembling learning: a synapse changes by its presynaptic activity times the drive its target receives
//! from the *other* pathway.
//!
//! ```text
//! ā_l = W̄_l h̄_{l+1},  h̄_l = φ̄(ā_l),  h̄_L = e
//! g_l = φ'(a_l) ⊙ (V̄_l h̄_l),          g_L = e
//! u_l = V_l h_l
//! ΔW_l = ⟨g_l h_{l-1}ᵀ⟩   ΔW̄_l = ⟨u_l h̄_{l+1}ᵀ⟩   ΔV_l = ⟨h̄_l h_lᵀ⟩   ΔV̄_l = ⟨h_l h̄_lᵀ⟩
//! ```
//!
//! The target's own activity in `ΔV` and `ΔV̄` is `h̄`, `h` (partner `post`) or `ā`, `a` (partner `pre`).

use super::Rule;
use crate::config::{HebbianPartner, Synapse};
use crate::network::Pass;
use crate::signals::Signal::{self, A, ABar, G, H, HBar, U};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct Sal;

impl Rule for Sal {
    fn signals(&self) -> &'static [Signal] {
        &[ABar, HBar, U, G]
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let depth = design.depth();
        let (own, own_bar) = match design.config.hebbian_partner {
            HebbianPartner::Post => (H, HBar),
            HebbianPartner::Pre => (A, ABar),
        };
        let learns = |synapse, layer, change| {
            let always = synapse == Synapse::W && layer == depth;
            let plastic = always || design.config.plastic.contains(&synapse);
            design.synapse(synapse, layer).learns(change).frozen_unless(plastic)
        };
        let w = (1..=depth).map(|l| learns(Synapse::W, l, outer(G.at(l), H.at(l - 1))));
        let w_bar = (1..depth).map(|l| learns(Synapse::WBar, l, outer(U.at(l), HBar.at(l + 1))));
        let v = (1..depth).map(|l| learns(Synapse::V, l, outer(own_bar.at(l), H.at(l))));
        let v_bar = (1..depth).map(|l| learns(Synapse::VBar, l, outer(own.at(l), HBar.at(l))));
        w.chain(w_bar).chain(v).chain(v_bar).collect()
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        for l in (1..pass.depth()).rev() {
            pass.through(Synapse::V.name(), l, H.at(l), U.at(l));
            pass.through(Synapse::WBar.name(), l, HBar.at(l + 1), ABar.at(l));
            pass.activate_downstream(l);
            pass.through(Synapse::VBar.name(), l, HBar.at(l), G.at(l));
            pass.gate_drive(l);
        }
    }
}
