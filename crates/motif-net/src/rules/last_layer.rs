//! Hidden layers frozen at their initial values; only the output learns, from its local error.
//!
//! ```text
//! g_L = e        ΔW_L = ⟨g_L h_{L-1}ᵀ⟩
//! ```

use super::Rule;
use crate::config::Synapse;
use crate::network::Pass;
use crate::signals::Signal::{self, G, H};
use crate::tensors::{Design, TensorSpec, outer};

pub(crate) struct LastLayer;

impl Rule for LastLayer {
    fn signals(&self) -> &'static [Signal] {
        &[]
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let depth = design.depth();
        let change = |l: usize| outer(G.at(l), H.at(l - 1));
        (1..=depth)
            .map(|l| design.synapse(Synapse::W, l).learns(change(l)).frozen_unless(l == depth))
            .collect()
    }

    fn drive(&self, _: &mut Pass<'_>) {}
}
