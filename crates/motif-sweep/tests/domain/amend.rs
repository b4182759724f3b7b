//! Amendments add, keep what stands where it stands, and name what would vanish.

use std::collections::HashSet;

use motif_sweep::{
    amend::{Amended, Standing, amend},
    errors::{SpecError, SpecErrors},
    plan::Plan,
    spec::SweepSpec,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SWEEP: &str = r#"
name = "a"
seeds = 2
[axes]
ratio = [1, 2]
rates.v = [0.1, 0.2]
[[arms]]
label = "bp"
rule = "bp"
"#;

struct Stored {
    spec: SweepSpec,
    standing: Vec<Standing>,
    seeds: Vec<u64>,
}

fn stored(text: &str) -> Stored {
    let spec = SweepSpec::from_toml(text).unwrap();
    let Plan { conditions, seeds, .. } = spec.plan().unwrap();
    let standing = conditions.iter().map(|condition| Standing {
        label: condition.label.clone(),
        config: serde_json::to_value(&condition.config).unwrap(),
        config_hash: condition.config_hash(),
    });
    Stored { spec, standing: standing.collect(), seeds }
}

impl Stored {
    fn amend(&self, change: &Value) -> Result<Amended, SpecErrors> {
        amend(&self.spec.to_json(), change, &self.standing, &self.seeds)
    }

    /// What is stored after the amendment.
    fn then(mut self, amended: &Amended) -> Self {
        for (condition, index) in &amended.added {
            assert_eq!(*index as usize, self.standing.len());
            self.standing.push(Standing {
                label: condition.label.clone(),
                config: serde_json::to_value(&condition.config).unwrap(),
                config_hash: condition.config_hash(),
            });
        }
        Self { spec: amended.spec.clone(), standing: self.standing, seeds: amended.plan.seeds.clone() }
    }

    fn refused(&self, change: &Value) -> SpecError {
        let errors = self.amend(change).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{errors}");
        errors.0.into_iter().next().unwrap()
    }
}

#[test]
fn seeds_values_and_arms_are_appended_and_indices_stay() {
    let stored = stored(SWEEP);
    let change =
        json!({ "seeds": 3, "axes": { "ratio": [4, 2, 1] }, "arms": [{ "label": "fa", "rule": "fa" }] });
    let amended = stored.amend(&change).unwrap();
    let added: Vec<(&str, u32)> =
        amended.added.iter().map(|(condition, index)| (condition.label.as_str(), *index)).collect();
    assert_eq!(added, [("ratio=4 rates.v=0.1", 5), ("ratio=4 rates.v=0.2", 6), ("fa", 7)]);
    assert_eq!(amended.added_seeds, 1);
    // Seeded blocks: the new conditions of the old seeds, then all of the new one.
    let blocks: Vec<u64> = amended.trials.iter().map(|trial| trial.seed).collect();
    assert_eq!(blocks, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
    let of = |seed| {
        amended.trials.iter().filter(move |t| t.seed == seed).map(|t| t.condition).collect::<HashSet<_>>()
    };
    assert_eq!((of(0), of(1), of(2)), (HashSet::from([5, 6, 7]), HashSet::from([5, 6, 7]), (0..8).collect()));

    // And again, upon what is stored then: the plan's order is no longer the stored one.
    let stored = stored.then(&amended);
    let again = stored.amend(&json!({ "seeds": [0, 1, 2, 77] })).unwrap();
    assert!(again.added.is_empty());
    assert_eq!(again.trials.iter().map(|t| t.condition).collect::<HashSet<_>>(), (0..8).collect());
    assert!(again.trials.iter().all(|trial| trial.seed == 77));
    let nothing = stored.amend(&json!({ "seeds": 3 })).unwrap();
    assert!(nothing.added.is_empty() && nothing.trials.is_empty() && nothing.spec == stored.spec);
}

#[test]
fn a_sample_may_be_longer_and_an_until_may_come() {
    let stored = stored("name = \"s\"\n[sample]\ncount = 4\nratio = { low = 1, high = 8 }\n");
    let amended = stored.amend(&json!({ "sample": { "count": 6 } })).unwrap();
    assert_eq!(amended.added.iter().map(|(_, index)| *index).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(stored.refused(&json!({ "sample": { "count": 2 } })).field, "sample");
    let amended = stored.amend(&json!({ "until": { "half_width": 0.1, "max_seeds": 9 } })).unwrap();
    assert!(amended.trials.is_empty() && amended.spec.until.is_some());
    let stored = stored.then(&amended);
    assert_eq!(stored.amend(&json!({ "until": null })).unwrap().spec.until, None);
}

#[test]
fn what_would_vanish_or_may_not_change_is_named() {
    let stored = stored(SWEEP);
    let gone = stored.refused(&json!({ "axes": { "ratio": [1, 4] } }));
    assert_eq!(gone.field, "axes");
    assert!(gone.message.contains("\"ratio=2 rates.v=0.1\", \"ratio=2 rates.v=0.2\" would vanish"), "{gone}");
    let gone = stored.refused(&json!({ "axes": { "rates": { "v": null } } }));
    assert!(gone.message.contains("the conditions \"ratio=1 rates.v=0.1\""), "{gone}");
    let gone = stored.refused(&json!({ "exclude": [{ "ratio": 2, "rates.v": 0.2 }] }));
    assert!(
        gone.field == "exclude" && gone.message.contains("the condition \"ratio=2 rates.v=0.2\" would"),
        "{gone}"
    );
    let gone = stored.refused(&json!({ "seeds": [1, 2] }));
    assert!(gone.field == "seeds" && gone.message.contains("the seed 0 would vanish"), "{gone}");
    assert_eq!(gone.value.as_deref(), Some("[1,2]"));
    for (change, field) in [
        (json!({ "metric": "test_loss" }), "metric"),
        (json!({ "trial": { "epochs": 2 } }), "trial"),
        (json!({ "priority": 4 }), "priority"),
        (json!({ "seeds": 0 }), "seeds"),
        (json!({ "arms": { "rule": "fa" } }), "arms"),
        // The new arms are counted from 0, as they were given.
        (json!({ "arms": [{ "rule": "faa" }] }), "arms[0].rule"),
        (json!([1]), ""),
    ] {
        assert_eq!(stored.refused(&change).field, field, "{change}");
    }
    let misspelt = stored.refused(&json!({ "seds": 4 }));
    assert_eq!((misspelt.field.as_str(), misspelt.suggestion.as_deref()), ("seds", Some("seeds")));
    let twice = stored.refused(&json!({ "arms": [{ "label": "bp", "rule": "fa" }] }));
    assert!(twice.message.contains("the same label"), "{twice}");
}

/// A version that hashes other keys: the config decides, and a config that is really another one is refused.
#[test]
fn a_condition_is_known_by_its_config_when_its_hash_was_made_otherwise() {
    let mut stored = stored(SWEEP);
    stored.standing[0].config_hash = "of another version".into();
    if let Value::Object(config) = &mut stored.standing[0].config {
        config.shift_remove("augment");
    }
    assert!(stored.amend(&json!({ "seeds": 3 })).is_ok());
    stored.standing[0].config["epochs"] = json!(99);
    let gone = stored.refused(&json!({ "seeds": 3 }));
    assert!(gone.message.contains("\"ratio=1 rates.v=0.1\" (it would have another config)"), "{gone}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a sweep is built up, it ends with every cell once.
    #[test]
    fn amendments_fill_the_product_once(steps in prop::collection::vec((0u64..2, 0u64..3), 1..5)) {
        let mut stored = stored("name = \"p\"\nseeds = 1\n[axes]\nratio = [1]\n");
        let mut cells: HashSet<(u32, u64)> = HashSet::from([(0, 0)]);
        let (mut ratios, mut seeds) = (vec![1u64], 1);
        for (more_seeds, more_ratios) in steps {
            seeds += more_seeds;
            for _ in 0..more_ratios {
                let next = ratios.len() as u64 + 1;
                ratios.insert(0, next);
            }
            let amended = stored.amend(&json!({ "seeds": seeds, "axes": { "ratio": ratios } })).unwrap();
            for trial in &amended.trials {
                prop_assert!(cells.insert((trial.condition, trial.seed)), "{trial:?} twice");
            }
            stored = stored.then(&amended);
        }
        prop_assert_eq!(cells.len() as u64, ratios.len() as u64 * seeds);
    }
}
