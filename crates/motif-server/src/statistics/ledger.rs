//! Condition × seed, with each trial's state.

use std::collections::BTreeMap;

use motif_wire::statistics::{Ledger, LedgerCell, LedgerRow};

use super::Material;

/// A sweep's completeness.
pub(crate) fn ledger(material: &Material) -> Ledger {
    let trials: BTreeMap<_, _> =
        material.trials.iter().map(|trial| ((trial.condition, trial.seed), trial)).collect();
    let rows = material
        .conditions
        .iter()
        .map(|condition| LedgerRow {
            condition: condition.index,
            label: condition.label.clone(),
            cells: material
                .sweep
                .seeds
                .iter()
                .map(|&seed| {
                    let trial = trials.get(&(condition.index, seed));
                    LedgerCell {
                        seed,
                        trial_id: trial.map(|trial| trial.id.0),
                        state: trial.map(|trial| trial.state),
                    }
                })
                .collect(),
        })
        .collect();
    Ledger { sweep_id: material.sweep.id.0, seeds: material.sweep.seeds.clone(), rows }
}

#[cfg(test)]
mod tests {
    use motif_sweep::lifecycle::TrialState;

    use super::*;
    use crate::statistics::tests::material;

    #[test]
    fn a_trial_that_does_not_exist_is_missing() {
        let mut material = material();
        material.trials.remove(1);
        let ledger = ledger(&material);
        assert_eq!(ledger.rows[0].cells[1].state, None);
        assert_eq!(ledger.rows[0].cells[0].state, Some(TrialState::Succeeded));
        assert_eq!(ledger.rows[1].cells[2].state, Some(TrialState::Diverged));
    }
}
