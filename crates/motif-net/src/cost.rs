//! What a step costs, estimated from the config alone.

use crate::config::{Synapse, TrialConfig};
use crate::network;
use crate::shape::Shape;
use crate::tensors::BIAS;
use crate::validate::MAX_HIDDEN_LAYERS;

impl TrialConfig {
    /// An estimate of the multiplications and additions of one step's matrix products, for comparing configs: each
    /// weight passes each example's activity on once and takes part once in each product that changes it. Meant for a
    /// config without violations; for others it is some number.
    #[must_use]
    pub fn step_multiply_adds(&self, features: usize, classes: usize) -> u64 {
        if self.hidden.len() > MAX_HIDDEN_LAYERS {
            return 0;
        }
        let shape = Shape::new(self, features, classes);
        let specs = network::declare(self, &shape);
        // Without tensors of its own, the way back leads through the transposed weights.
        let own_feedback = specs.iter().any(|spec| spec.kind != Synapse::W.name() && spec.kind != BIAS);
        let per_example = specs.iter().fold(0_u64, |sum, spec| {
            let weights = (spec.size.0 as u64).saturating_mul(spec.size.1 as u64);
            let back = u64::from(!own_feedback && spec.kind == Synapse::W.name() && spec.layer > 1);
            sum.saturating_add(weights.saturating_mul(1 + back + spec.change.len() as u64))
        });
        per_example.saturating_mul(self.batch_size as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RuleName;

    #[test]
    fn products_are_counted_by_hand() {
        let of = |rule, plastic: &[Synapse]| {
            let (hidden, plastic) = (vec![4, 3], plastic.to_vec());
            let config = TrialConfig { rule, hidden, plastic, batch_size: 10, ..TrialConfig::default() };
            config.step_multiply_adds(5, 2)
        };
        // W: 4×5, 3×4, 2×3; forward and changed, and back through the last two.
        assert_eq!(of(RuleName::Bp, &Synapse::ALL), 10 * (2 * (20 + 12 + 6) + 12 + 6));
        // At ratio 2 beside them: W̄ 8×6, 6×2, V 8×4, 6×3, V̄ likewise.
        let (w, w_bar, v) = (20 + 12 + 6, 48 + 12, 32 + 18);
        assert_eq!(of(RuleName::Sal, &Synapse::ALL), 10 * 2 * (w + w_bar + 2 * v));
        assert_eq!(of(RuleName::Sal, &[Synapse::W]), 10 * (2 * w + w_bar + 2 * v));
    }
}
