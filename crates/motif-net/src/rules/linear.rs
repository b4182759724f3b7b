//! Backpropagation in a network without hidden nonlinearity: `φ(a) = a`, whatever the config's activation.

use super::Rule;
use super::bp::Bp;
use crate::config::{Activation, TrialConfig};
use crate::network::Pass;
use crate::signals::Signal;
use crate::tensors::{Design, TensorSpec};

pub(crate) struct Linear;

impl Rule for Linear {
    fn activation(&self, _: &TrialConfig) -> Activation {
        Activation::Linear
    }

    fn signals(&self) -> &'static [Signal] {
        Bp.signals()
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        Bp.tensors(design)
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        Bp.drive(pass);
    }
}
