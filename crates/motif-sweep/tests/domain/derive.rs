//! Derived keys are computed in every condition, in the order of what they read.

use motif_sweep::spec::SweepSpec;
use serde_json::json;

use crate::spec::{errors, labels, only, plan};

const DERIVED: &str = r#"
name = "a"
[axes]
rates.w = [0.1, 0.2]
[derive]
rates.v_bar = "rates.v / 2"
rates.v = "rates.w * 0.4"
epochs = "round(1 / rates.w)"
[[arms]]
rates.w = 0.5
[[arms]]
rates = { w = 0.5, v = 1 }
"#;

#[test]
fn keys_are_derived_in_the_order_of_what_they_read() {
    let plan = plan(DERIVED);
    assert_eq!(labels(&plan)[..2], ["rates.w=0.1", "rates.w=0.2"]);
    let found: Vec<_> = plan
        .conditions
        .iter()
        .map(|condition| (condition.config.rates.v, condition.config.rates.v_bar, condition.config.epochs))
        .collect();
    assert_eq!(found, [(0.04, 0.02, 10), (0.08, 0.04, 5), (0.2, 0.1, 2), (1.0, 0.5, 2)]);
    assert_eq!(plan.conditions[0].axes.keys().collect::<Vec<_>>(), ["rates.w"]);
}

#[test]
fn one_condition_without_axes_derives_too() {
    let plan = plan(
        "name = \"a\"\n[trial]\nrates.w = 0.5\n[derive]\nrates.v = \"rates.w ^ 2\"\nratio = \"momentum + 3\"",
    );
    assert_eq!((plan.conditions[0].config.rates.v, plan.conditions[0].config.ratio), (0.25, 3.0));
}

#[test]
fn circles_are_named() {
    let text = "name = \"a\"\n[derive]\nratio = \"epochs\"\nrates.w = \"rates.v\"\nrates.v = \"max(rates.v_bar, 1)\"\nrates.v_bar \
                = \"rates.w\"";
    let error = only(text);
    assert!(error.message.contains("rates.w → rates.v → rates.v_bar → rates.w"), "{error}");
    assert_eq!(error.line, Some(4));
    assert!(only("name = \"a\"\n[derive]\nratio = \"ratio * 2\"").message.contains("ratio → ratio"));
}

#[test]
fn expressions_and_names_are_checked() {
    for (derive, field, told, meant) in [
        ("rates.v = \"rates.w *\"", "rates.v", "character 10", None),
        ("rates.v = \"sqr(rates.w)\"", "rates.v", "no function sqr", Some("sqrt")),
        ("rates.v = \"rates.ww * 2\"", "rates.v", "`rates.ww` is no number of a trial", Some("rates.w")),
        ("rates.v = \"hidden * 2\"", "rates.v", "`hidden` is no number", None),
        ("rates.v = \"seed * 2\"", "rates.v", "`seed` is no number", None),
        ("rates.v = 0.4", "rates.v", "expected an expression as text", None),
        ("rates.vv = \"1\"", "rates.vv", "unknown key", Some("rates.v")),
        ("hidden = \"1\"", "hidden", "only numbers can be derived", None),
        ("rule = \"1\"", "rule", "only numbers can be derived", None),
    ] {
        let error = only(&format!("name = \"a\"\n[derive]\n{derive}"));
        assert_eq!((&*error.field, error.line), (&*format!("derive.{field}"), Some(3)), "{error}");
        assert!(error.message.contains(told), "{error}");
        if meant.is_some() {
            assert_eq!(error.suggestion.as_deref(), meant, "{error}");
        }
    }
}

#[test]
fn results_are_checked_like_written_values() {
    for (derive, told) in [
        ("epochs = \"rates.w * 25\"", "found 2.5 with rates.w = 0.1: write round("),
        ("epochs = \"rates.w * 10 - 2\"", "whole number"),
        ("rates.v = \"1 / (rates.w - 0.1)\"", "no finite number with rates.w = 0.1"),
        ("rates.v = \"sqrt(-rates.w)\"", "no finite number"),
        ("rates.v = \"-rates.w\"", "expected a number from 0"),
        ("test_limit = \"train_limit / 10\"", "train_limit is not set"),
    ] {
        let text = format!("name = \"a\"\n[axes]\nrates.w = [0.1]\n[derive]\n{derive}");
        let error = only(&text);
        assert!(error.message.contains(told), "{derive}: {error}");
        assert!(error.field.starts_with("derive."), "{derive}: {error}");
        assert_eq!(error.line, Some(5), "{error}");
    }
}

#[test]
fn a_derived_key_varies_nowhere_else() {
    let error = only("name = \"a\"\n[axes]\nrates.w = [1, 2]\n[derive]\nrates.w = \"2\"");
    assert_eq!((&*error.field, error.line), ("derive.rates.w", Some(5)));
    assert!(error.message.contains("axes.rates.w"), "{error}");
    let many: String = (0..33).map(|i| format!("k{i} = \"1\"\n")).collect();
    assert!(errors(&format!("name = \"a\"\n[derive]\n{many}"))[0].message.contains("at most 32"));
}

#[test]
fn excludes_see_derived_values_and_spare_their_failures() {
    let text = "name = \"a\"\nexclude = [{ epochs = 5 }, { rates.w = 0 }]\n[axes]\nrates.w = [0, 0.1, 0.2]\n[derive]\n\
                epochs = \"round(1 / rates.w)\"";
    assert_eq!(labels(&plan(text)), ["rates.w=0.1"]);
}

#[test]
fn derivations_survive_json_text() {
    let spec = SweepSpec::from_toml(DERIVED).unwrap();
    let again = SweepSpec::from_json(serde_json::from_str(&spec.to_json().to_string()).unwrap()).unwrap();
    assert_eq!(again.plan().unwrap(), spec.plan().unwrap());
    let value =
        json!({ "preset": "demo", "overrides": { "derive": { "rates": { "v_bar": "rates.v * 0.5" } } } });
    assert_eq!(SweepSpec::from_json(value).unwrap().plan().unwrap().conditions[0].config.rates.v_bar, 0.15);
}
