//! Sampled points are different, in their ranges, and the same each time.

use std::collections::BTreeSet;

use motif_sweep::{plan::Plan, spec::SweepSpec};
use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::{Value, json};

use crate::spec::{labels, only, plan};

const SAMPLED: &str = r#"
name = "a"
[sample]
count = 64
method = "sobol"
rates.w = { low = 0.01, high = 1.0, scale = "log" }
rates.v = { low = 0, high = 1 }
epochs = { low = 1, high = 8 }
ratio = { low = 0.5, high = 2, step = 0.25 }
activation = { values = ["relu", "tanh"] }
"#;

fn values(plan: &Plan, key: &str) -> Vec<f64> {
    plan.conditions.iter().map(|condition| condition.axes[key].as_f64().unwrap()).collect()
}

#[test]
fn sobol_points_cover_each_range_evenly() {
    let plan = plan(SAMPLED);
    assert_eq!(plan.conditions.len(), 64);
    // 64 points of a shifted net: each 64th of a range holds exactly one.
    let cell = |place: f64| (place * 64.0).floor();
    let evenly =
        |places: Vec<f64>| places.iter().map(|place| cell(*place) as u32).collect::<BTreeSet<_>>().len();
    assert_eq!(evenly(values(&plan, "rates.v")), 64);
    assert_eq!(
        evenly(values(&plan, "rates.w").iter().map(|w| (w * 100.0).ln() / 100_f64.ln()).collect()),
        64
    );
    for epochs in 1..=8 {
        assert_eq!(plan.conditions.iter().filter(|condition| condition.config.epochs == epochs).count(), 8);
    }
    let steps: BTreeSet<String> = values(&plan, "ratio").iter().map(f64::to_string).collect();
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), ["0.5", "0.75", "1", "1.25", "1.5", "1.75", "2"]);
    let relu = plan.conditions.iter().filter(|condition| condition.axes["activation"] == "relu").count();
    assert_eq!(relu, 32);
}

#[test]
fn the_points_are_these() {
    let text = "name = \"a\"\n[sample]\ncount = 4\nrates.w = { low = 0.01, high = 1, scale = \"log\" }\nepochs = { low = 1, high = 9 }";
    assert_eq!(labels(&plan(text)), PINNED_SOBOL);
    assert_eq!(
        labels(&plan(&text.replace("count = 4", "count = 4\nmethod = \"random\"\nseed = 3"))),
        PINNED_RANDOM
    );
}

/// Noted when they were first drawn: the same spec must give the same sweep in every version.
const PINNED_SOBOL: [&str; 4] = [
    "rates.w=0.133849 epochs=9",
    "rates.w=0.0133849 epochs=4",
    "rates.w=0.0423268 epochs=7",
    "rates.w=0.423268 epochs=2",
];
const PINNED_RANDOM: [&str; 4] = [
    "rates.w=0.632516 epochs=7",
    "rates.w=0.806501 epochs=5",
    "rates.w=0.776752 epochs=7",
    "rates.w=0.351209 epochs=1",
];

#[test]
fn a_larger_count_continues_and_a_further_key_changes_no_other() {
    for method in ["sobol", "random"] {
        let text = SAMPLED.replace("sobol", method);
        let (few, many) = (plan(&text), plan(&text.replace("64", "100")));
        assert_eq!(labels(&few), labels(&many)[..64]);
        let more = plan(&format!("{text}momentum = {{ low = 0, high = 0.9 }}"));
        assert_eq!(values(&few, "rates.w"), values(&more, "rates.w"));
        let other = plan(&text.replace("count", "seed = 1\ncount"));
        assert_ne!(values(&few, "rates.w"), values(&other, "rates.w"));
    }
}

#[test]
fn points_are_crossed_with_axes_and_zips() {
    let text = format!(
        "{}[axes]\nrule = [\"sal\", \"kp\"]",
        SAMPLED.replace("ratio", "momentum").replace("high = 2", "high = 0.75")
    );
    let plan = plan(&text);
    assert_eq!(plan.conditions.len(), 128);
    for (first, second) in plan.conditions.iter().zip(&plan.conditions[64..]) {
        assert_eq!((&first.axes["rule"], &second.axes["rule"]), (&json!("sal"), &json!("kp")));
        assert_eq!(first.axes["rates.w"], second.axes["rates.w"]);
    }
}

#[test]
fn repeated_points_are_passed_over_until_there_are_no_others() {
    let text = |count: usize| {
        format!(
            "name = \"a\"\n[sample]\nmethod = \"random\"\ncount = {count}\nepochs = {{ low = 1, high = 3 }}\nactivation = {{ values = [\"relu\", \"tanh\"] }}"
        )
    };
    let plan = plan(&text(6));
    assert_eq!(labels(&plan).into_iter().collect::<BTreeSet<_>>().len(), 6);
    let error = only(&text(7));
    assert_eq!((&*error.field, error.line), ("sample.count", Some(4)));
    assert!(error.message.contains("6 different points"), "{error}");
}

#[test]
fn what_is_wrong_is_named() {
    for (entries, field, told) in [
        ("rates.w = { low = 0, high = 1 }", "count", "1 to 10000"),
        ("count = 0\nrates.w = { low = 0, high = 1 }", "count", "1 to 10000"),
        ("count = 4", "", "keys with ranges"),
        ("count = 4\nmethod = \"sobl\"\nratio = { low = 1, high = 2 }", "method", "\"sobol\", \"random\""),
        ("count = 4\nseed = -1\nratio = { low = 1, high = 2 }", "seed", "whole number"),
        ("count = 4\nratio = { low = 2, high = 1 }", "ratio.high", "above `low`"),
        ("count = 4\nratio = { low = 2 }", "ratio.high", "missing"),
        ("count = 4\nratio = { low = 2, hihg = 3 }", "ratio.hihg", "unknown key"),
        ("count = 4\nratio = { low = 2, high = \"3\" }", "ratio.high", "a number"),
        ("count = 4\nratio = { low = 0, high = 3, scale = \"log\" }", "ratio.low", "above 0"),
        ("count = 4\nratio = { low = 1, high = 3, scale = \"lgo\" }", "ratio.scale", "\"log\""),
        ("count = 4\nratio = { low = 1, high = 3, step = 0 }", "ratio.step", "at most 2"),
        ("count = 4\nratio = { low = 1, high = 3, step = 1, scale = \"log\" }", "ratio.step", "exclude"),
        ("count = 4\nepochs = { low = 1, high = 3.5 }", "epochs.high", "whole number"),
        ("count = 4\nepochs = { low = 1, high = 3, step = 0.5 }", "epochs.step", "whole number"),
        (
            "count = 4\nepochs = { low = 1, high = 3, integer = false }",
            "epochs.integer",
            "whole numbers only",
        ),
        ("count = 4\nrule = { low = 1, high = 3 }", "rule.values", "no number"),
        ("count = 4\nrule = { values = [\"sal\", \"sall\"] }", "rule.values[1]", "\"sal\""),
        ("count = 4\nrule = { values = [] }", "rule.values", "1 to"),
        ("count = 4\nratio = { values = [1, 1.0] }", "ratio.values[1]", "twice"),
        ("count = 4\nratio = { values = [1, 2], low = 1 }", "ratio.values", "stands alone"),
        ("count = 4\nratio = 3", "ratio", "expected a range"),
        ("coutn = 4\ncount = 4\nratio = { low = 1, high = 2 }", "coutn", "unknown key"),
        ("count = 4\nratoi = { low = 1, high = 2 }", "ratoi", "unknown key"),
        ("count = 4\nratio = { low = 1, high = 200 }", "ratio", "0.01 to 100"),
    ] {
        let text = format!("name = \"a\"\n[sample]\n{entries}");
        let error = SweepSpec::from_toml(&text).unwrap_err().0.remove(0);
        let field = if field.is_empty() { "sample".to_owned() } else { format!("sample.{field}") };
        assert_eq!(error.field, field, "{entries}: {error}");
        assert!(error.message.contains(told), "{entries}: {error}");
        assert!(error.line.is_some(), "{entries}: {error}");
    }
    assert_eq!(
        only("name = \"a\"\n[sample]\ncoutn = 4\ncount = 4\nratio = { low = 1, high = 2 }")
            .suggestion
            .as_deref(),
        Some("count")
    );
}

#[test]
fn a_sampled_key_varies_nowhere_else_and_sobol_has_21_dimensions() {
    let error = only(&format!("{SAMPLED}[axes]\nrates.v = [1, 2]"));
    assert!(error.message.contains("axes.rates.v"), "{error}");
    let error = only(&format!("{SAMPLED}[derive]\nrates.v = \"1\""));
    assert_eq!(error.field, "derive.rates.v");
    assert!(error.message.contains("sample.rates.v"), "{error}");
}

#[test]
fn products_with_a_sample_are_limited() {
    let text = SAMPLED.replace("64", "10000");
    assert!(SweepSpec::from_toml(&format!("{text}[axes]\nbatch_size = [1, 2]")).is_err());
    let error = only(&SAMPLED.replace("64", "99999999999"));
    assert!(error.message.contains("99999999999 conditions"), "{error}");
}

#[test]
fn a_sample_survives_json_text_and_presets() {
    let spec = SweepSpec::from_toml(SAMPLED).unwrap();
    let again = SweepSpec::from_json(serde_json::from_str(&spec.to_json().to_string()).unwrap()).unwrap();
    assert_eq!(again.plan().unwrap(), spec.plan().unwrap());
    let sample = json!({ "count": 5, "rates": { "w": { "low": 0.1, "high": 1 } } });
    let value = json!({ "preset": "demo", "overrides": { "sample": sample } });
    let preset = SweepSpec::from_json(value).unwrap();
    assert_eq!(preset.plan().unwrap().conditions.len(), 11);
    assert_eq!(SweepSpec::from_json(preset.to_json()).unwrap().plan(), preset.plan());
}

/// Ranges of every kind.
fn range() -> impl Strategy<Value = (&'static str, Value)> {
    prop_oneof![
        (1e-6_f64..1.0, 1.0001_f64..1e4, any::<bool>()).prop_map(|(low, factor, log)| {
            let scale = if log { "log" } else { "linear" };
            ("rates.w", json!({ "low": low, "high": low * factor, "scale": scale }))
        }),
        (1_u32..50, 50_u32..5000, any::<bool>()).prop_map(|(low, high, log)| {
            let scale = if log { "log" } else { "linear" };
            ("batch_size", json!({ "low": low, "high": high, "scale": scale }))
        }),
        (0.1_f64..1.0, 1.0_f64..9.0, 0.01_f64..0.05).prop_map(|(low, width, step)| {
            ("ratio", json!({ "low": low, "high": low + width, "step": step }))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn samples_stay_in_their_ranges_and_differ((key, range) in range(), count in 1_usize..40, random in any::<bool>(), seed in 0_u64..9) {
        let method = if random { "random" } else { "sobol" };
        let mut sample = json!({ "count": count, "method": method, "seed": seed });
        sample[key] = range.clone();
        let spec = SweepSpec::from_json(json!({ "name": "p", "sample": sample }));
        let spec = spec.unwrap_or_else(|errors| panic!("{range}: {errors}"));
        let plan = match spec.plan() {
            Ok(plan) => plan,
            // Rates from 1000 on are no rates.
            Err(errors) => { prop_assert!(errors.to_string().contains("below 1000"), "{}", errors); return Ok(()); }
        };
        prop_assert_eq!(plan.conditions.len(), count);
        let (low, high) = (range["low"].as_f64().unwrap(), range["high"].as_f64().unwrap());
        let found = values(&plan, key);
        prop_assert!(found.iter().all(|value| (low..=high).contains(value)), "{:?}", found);
        let different: BTreeSet<u64> = found.iter().map(|value| value.to_bits()).collect();
        prop_assert_eq!(different.len(), count);
        if let Some(step) = range["step"].as_f64() {
            let off = |value: &f64| { let k = (value - low) / step; (k - k.round()).abs() };
            prop_assert!(found.iter().all(|value| off(value) < 1e-6));
        }
        prop_assert_eq!(spec.plan().unwrap(), plan);
    }
}
