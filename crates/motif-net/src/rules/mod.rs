//! The learning rules: one file each, and the list below.
//!
//! A rule declares its tensors, with the product that changes each, and computes its drive. The engine does the
//! rest (initial values, clip, decay, schedule, divergence, metrics) and knows no rule by name.

mod bp;
pub(crate) mod custom;
mod dfa;
mod fa;
mod kp;
mod last_layer;
mod linear;
mod sal;
mod sign_symmetry;

use crate::config::{Activation, RuleName, TrialConfig};
use crate::network::Pass;
use crate::signals::Signal;
use crate::tensors::{Design, TensorSpec, Tensors};

/// A learning rule.
pub(crate) trait Rule: Sync {
    /// The upstream nonlinearity under this rule.
    fn activation(&self, config: &TrialConfig) -> Activation {
        config.activation
    }

    /// The signals at the hidden layers that the drive fills, besides `a` and `h`.
    fn signals(&self) -> &'static [Signal];

    /// Every tensor of the network, `W` first, in the order of snapshots.
    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec>;

    /// Fills the rule's signals, given `a`, `h` and `e`.
    fn drive(&self, pass: &mut Pass<'_>);

    /// Recomputes the tensors that are functions of others; called on the initial values and after each step.
    fn derive(&self, _tensors: &mut Tensors) {}
}

/// The list.
pub(crate) fn rule(config: &TrialConfig) -> &'static dyn Rule {
    match config.rule {
        RuleName::Sal => &sal::Sal,
        RuleName::Bp => &bp::Bp,
        RuleName::Linear => &linear::Linear,
        RuleName::LastLayer => &last_layer::LastLayer,
        RuleName::Fa => &fa::Fa,
        RuleName::Dfa => &dfa::Dfa,
        RuleName::Kp => &kp::Kp,
        RuleName::SignSymmetry => &sign_symmetry::SignSymmetry,
        RuleName::Custom => custom::with(config.feedback),
    }
}
