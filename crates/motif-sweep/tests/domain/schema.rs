//! The published schemas accept what is accepted, and refuse misspelt keys and values of another kind.

use std::sync::LazyLock;

use jsonschema::Validator;
use motif_net::config::TrialConfig;
use motif_sweep::{presets, schema};
use serde_json::{Value, json};

static SWEEP: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(schema::sweep()).unwrap());
static TRIAL: LazyLock<Validator> = LazyLock::new(|| jsonschema::draft202012::new(schema::trial()).unwrap());

/// What the schema says against a value.
fn told(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Panics when a sweep in TOML, which is accepted, does not fit the schema.
pub(crate) fn fits(text: &str) {
    let value: Value = toml::from_str(text).unwrap();
    let told = told(&SWEEP, &value);
    assert!(told.is_empty(), "{told:#?}\n{text}");
}

/// As [`fits`], for a trial.
pub(crate) fn trial_fits(text: &str) {
    let value: Value = toml::from_str(text).unwrap();
    let told = told(&TRIAL, &value);
    assert!(told.is_empty(), "{told:#?}\n{text}");
}

#[test]
fn schemas_are_of_draft_2020_12_and_valid() {
    for schema in [schema::sweep(), schema::trial()] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::meta::is_valid(schema));
    }
    let epochs = &schema::trial()["properties"]["epochs"];
    assert_eq!(
        (&epochs["default"], &epochs["description"]),
        (&json!(8), &json!("Passes over the training examples."))
    );
}

#[test]
fn presets_fit_as_written_and_as_stored() {
    for preset in presets::all() {
        fits(preset.toml);
        assert_eq!(told(&SWEEP, &preset.spec.to_json()), [""; 0]);
        for condition in preset.spec.plan().unwrap().conditions {
            assert_eq!(told(&TRIAL, &serde_json::to_value(condition.config).unwrap()), [""; 0]);
        }
    }
    assert_eq!(told(&TRIAL, &serde_json::to_value(TrialConfig::default()).unwrap()), [""; 0]);
    let overridden = json!({
        "$schema": "http://127.0.0.1:8080/api/v1/schema/sweep.json",
        "preset": "demo",
        "overrides": { "seeds": [7], "trial": { "epochs": 1 }, "baseline": null },
    });
    assert_eq!(told(&SWEEP, &overridden), [""; 0]);
}

#[test]
fn every_form_fits() {
    fits(
        r#"
        name = "a"
        description = "b"
        seeds = [1, 2]
        baseline = { label = "x", rates.v = 1 }
        metric = "cos_v.1"
        priority = -3
        requires = { labels = ["gpu", "big"], memory = "8 GiB" }
        until = { metric = "test_accuracy", half_width = 0.002, max_seeds = 20 }
        exclude = [{ rule = ["sal", "bp"], hidden = [8] }, { hidden = [[8], [9]], "rates.w" = 0.1 }]
        [trial]
        diagnostics = { every_steps = 5 }
        train_limit = 5
        rates = { v = 0.3 }
        [axes]
        rule = ["sal"]
        rates.v = [1, 2.5]
        "decay.w" = [0]
        diagnostics.every_steps = [5]
        updates.w = [[{ target = "g", source = "h" }]]
        [[zip]]
        hidden = [[8], [9, 9]]
        ratio = [1, 2]
        [sample]
        count = 3
        method = "random"
        rates.w = { low = 0.1, high = 1, scale = "log" }
        "epochs" = { low = 1, high = 3 }
        activation = { values = ["relu", "tanh"] }
        [derive]
        rates.v_bar = "rates.w * 2"
        momentum = "rates.w / 2"
        [[arms]]
        label = "y"
        rates = { w = 1 }
        [queue]
        failures_max = 3
        "#,
    );
}

#[test]
fn what_is_misspelt_or_of_another_kind_does_not_fit() {
    for wrong in [
        json!({}),
        json!({ "nam": "a" }),
        json!({ "name": "a", "axis": {} }),
        json!({ "name": "a", "epochs": 3 }),
        json!({ "name": "a", "seeds": "3" }),
        json!({ "name": "a", "seeds": [-1] }),
        json!({ "name": "a", "priority": 1001 }),
        json!({ "name": "a", "priority": "high" }),
        json!({ "name": "a", "requires": { "label": ["big"] } }),
        json!({ "name": "a", "requires": { "labels": "big" } }),
        json!({ "name": "a", "requires": { "memory": 8 } }),
        json!({ "name": "a", "until": { "half_width": 0.1 } }),
        json!({ "name": "a", "until": { "half_width": 0.1, "max_seed": 9 } }),
        json!({ "name": "a", "trial": { "epcohs": 3 } }),
        json!({ "name": "a", "trial": { "epochs": "3" } }),
        json!({ "name": "a", "trial": { "rule": "sall" } }),
        json!({ "name": "a", "trial": { "rates": { "vbar": 1 } } }),
        json!({ "name": "a", "trial": { "diagnostics": { "every_step": 1 } } }),
        json!({ "name": "a", "axes": { "ratio": 3 } }),
        json!({ "name": "a", "axes": { "ratio": [] } }),
        json!({ "name": "a", "axes": { "ratio": ["x"] } }),
        json!({ "name": "a", "axes": { "rates": { "w": 1 } } }),
        json!({ "name": "a", "axes": { "rates.vv": [1] } }),
        json!({ "name": "a", "zip": { "ratio": [1] } }),
        json!({ "name": "a", "zip": [{ "ratoi": [1] }] }),
        json!({ "name": "a", "axes": { "ratoi": [1] } }),
        json!({ "name": "a", "axes": { "x": ["a"] }, "derive": { "ratio": "x" } }),
        json!({ "name": "a", "axes": { "rates.ww": [1] }, "derive": { "ratio": "rates.w" } }),
        json!({ "name": "a", "exclude": [{ "rule": ["sall"] }] }),
        json!({ "name": "a", "sample": { "ratio": { "low": 1, "high": 2 } } }),
        json!({ "name": "a", "sample": { "count": 3, "method": "sobl" } }),
        json!({ "name": "a", "sample": { "count": 3, "ratio": { "low": 1, "hihg": 2 } } }),
        json!({ "name": "a", "sample": { "count": 3, "rule": { "values": ["sall"] } } }),
        json!({ "name": "a", "derive": { "hidden": "1" } }),
        json!({ "name": "a", "derive": { "ratio": 3 } }),
        json!({ "name": "a", "arms": [{ "rul": "bp" }] }),
        json!({ "name": "a", "baseline": { "lable": "x" } }),
        json!({ "name": "a", "queue": { "failure_max": 1 } }),
        json!({ "preset": "dmeo" }),
        json!({ "preset": "demo", "seeds": 3 }),
        json!({ "preset": "demo", "overrides": { "axis": {} } }),
        json!({ "name": "a", "overrides": {} }),
    ] {
        assert!(!SWEEP.is_valid(&wrong), "{wrong}");
    }
    for wrong in [
        json!({ "epoch": 3 }),
        json!({ "epochs": -1 }),
        json!({ "hidden": 200 }),
        json!({ "plastic": ["u"] }),
        json!({ "rates": { "w": "x" } }),
        json!({ "diagnostics": "epcoh" }),
        json!({ "updates": { "w": [{ "target": "g" }] } }),
        json!([]),
    ] {
        assert!(!TRIAL.is_valid(&wrong), "{wrong}");
    }
}
