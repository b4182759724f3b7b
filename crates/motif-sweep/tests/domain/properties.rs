//! No JSON makes reading or planning panic; what is valid plans the same each time.

use motif_sweep::{spec::SweepSpec, trial};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Map, Value, json};

/// Names that reach deep into the code, and some that exist nowhere.
fn name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "name",
        "seeds",
        "baseline",
        "metric",
        "trial",
        "axes",
        "arms",
        "queue",
        "label",
        "preset",
        "overrides",
        "rates",
        "rates.v",
        "decay",
        "plastic",
        "hidden",
        "ratio",
        "rule",
        "epochs",
        "diagnostics",
        "every_steps",
        "diagnostics.every_steps",
        "w",
        "v_bar",
        "lease_ttl_s",
        "train_limit",
        "validation",
        "augment",
        "augment.shift",
        "flip",
        "a.b.c",
        ".",
        "",
    ];
    prop_oneof![8 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
}

fn text() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] =
        &["demo", "sal", "bp", "w", "v_bar", "epoch", "test_accuracy", "cos_v.1", "relu", "é…"];
    prop_oneof![4 => proptest::sample::select(KNOWN).prop_map(str::to_owned), 1 => any::<String>()]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-3_i64..20).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..8)
                .prop_map(|entries| Value::Object(Map::from_iter(entries))),
        ]
    })
}

/// Valid specs of a few conditions.
fn spec() -> impl Strategy<Value = SweepSpec> {
    let ratios = proptest::sample::subsequence(vec![0.5, 1.0, 2.0, 4.0], 1..4);
    let rates = proptest::sample::subsequence(vec![0.01, 0.1, 0.2, 0.7], 1..4);
    let seeds = proptest::sample::subsequence((0..50_u64).collect::<Vec<_>>(), 1..6).prop_shuffle();
    (ratios, rates, seeds, any::<bool>()).prop_map(|(ratios, rates, seeds, turned)| {
        let mut axes = vec![("ratio".to_owned(), json!(ratios)), ("rates.v".to_owned(), json!(rates))];
        if turned {
            axes.reverse();
        }
        SweepSpec::from_json(json!({
            "name": "p",
            "seeds": seeds,
            "axes": Map::from_iter(axes),
            "arms": [{ "label": "bp", "rule": "bp" }],
            "baseline": { "rule": "bp" },
        }))
        .unwrap()
    })
}

/// The same cases each time.
fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn no_json_makes_a_spec_panic(value in json()) {
        if let Ok(spec) = SweepSpec::from_json(value) {
            let _ = spec.plan();
        }
    }

    #[test]
    fn no_part_makes_a_spec_panic(trial in json(), axes in json(), arms in json(), baseline in json()) {
        for part in [json!({ "trial": trial }), json!({ "axes": axes }), json!({ "arms": [arms] }),
                     json!({ "baseline": baseline })] {
            let Value::Object(mut whole) = part else { unreachable!() };
            whole.insert("name".to_owned(), json!("p"));
            if let Ok(spec) = SweepSpec::from_json(Value::Object(whole)) {
                let _ = spec.plan();
            }
        }
    }

    #[test]
    fn no_json_makes_a_trial_panic(value in json()) {
        let _ = trial::from_json(&value);
    }

    #[test]
    fn no_text_makes_toml_panic(text in "[a-z\\[\\]{}=.\"\n 0-9]{0,60}") {
        let _ = trial::from_toml(&text);
        let _ = SweepSpec::from_toml(&text);
    }

    #[test]
    fn a_valid_spec_plans_each_pair_once_and_the_same_each_time(spec in spec()) {
        let plan = spec.plan().unwrap();
        prop_assert_eq!(&plan, &spec.plan().unwrap());
        let text = spec.to_json().to_string();
        let again = SweepSpec::from_json(serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(&plan, &again.plan().unwrap());

        let mut pairs: Vec<_> = plan.trials.iter().map(|trial| (trial.condition, trial.seed)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        prop_assert_eq!(pairs.len(), plan.conditions.len() * plan.seeds.len());
        let mut blocks: Vec<u64> = plan.trials.iter().map(|trial| trial.seed).collect();
        blocks.dedup();
        prop_assert_eq!(blocks, plan.seeds);
    }

    #[test]
    fn floats_survive_json_text(rate in 1e-12_f64..100.0) {
        let text = json!({ "rates": { "v": rate } }).to_string();
        let config = trial::from_json(&serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(config.rates.v.to_bits(), rate.to_bits());
    }
}
