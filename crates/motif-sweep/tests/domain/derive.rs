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
        ("rates.v = \"rates.ww * 2\"", "rates.v", "`rates.ww` is neither", Some("rates.w")),
        ("rates.v = \"hidden * 2\"", "rates.v", "`hidden` is neither", None),
        ("rates.v = \"seed * 2\"", "rates.v", "`seed` is neither", None),
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

const VARIABLES: &str = r#"
name = "a"
baseline = { x = 1.0, ratio = 2 }
exclude = [{ x = [0.5], ratio = 4 }]
[axes]
x = [0.1, 0.5, 1]
ratio = [2, 4]
[derive]
rates.v = "rates.w * x"
decay.v = "x / 100"
[[arms]]
rates.v = 9
decay.v = 1
"#;

#[test]
fn a_variable_tells_conditions_apart_and_is_in_no_config() {
    let plan = plan(VARIABLES);
    assert_eq!(
        labels(&plan),
        [
            "x=0.1 ratio=2",
            "x=0.1 ratio=4",
            "x=0.5 ratio=2",
            "x=1 ratio=2",
            "x=1 ratio=4",
            "rates={v:9} decay={v:1}"
        ]
    );
    let first = &plan.conditions[0];
    assert_eq!(first.axes.keys().collect::<Vec<_>>(), ["ratio", "x"]);
    assert!(serde_json::to_value(&first.config).unwrap().get("x").is_none());
    let w = first.config.rates.w;
    let found: Vec<_> = plan.conditions.iter().map(|condition| condition.config.rates.v).collect();
    let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(
        near(found[0], 0.1 * w) && near(found[2], 0.5 * w) && near(found[4], w) && found[5] == 9.0,
        "{found:?}"
    );
    assert_eq!((plan.conditions[2].config.decay.v, plan.baseline), (0.005, Some(3)));
    crate::schema::fits(VARIABLES);
}

#[test]
fn variables_may_be_zipped_and_sampled() {
    let text = "name = \"a\"\n[[zip]]\nx = [1, 2]\nepochs = [3, 4]\n[sample]\ncount = 2\ny = { low = 0.1, high = 1 }\n\
                z = { values = [3, 4.5] }\n[derive]\nrates.v = \"x * y * z\"";
    let zipped = plan(text);
    assert_eq!(zipped.conditions.len(), 4);
    for condition in &zipped.conditions {
        let of = |name: &str| condition.axes[name].as_f64().unwrap();
        let expected = of("x") * of("y") * of("z");
        assert!((condition.config.rates.v - expected).abs() < 1e-9 * expected, "{condition:?}");
    }
    crate::schema::fits(text);
}

#[test]
fn what_no_expression_reads_is_a_misspelt_key() {
    let error = only("name = \"a\"\n[axes]\nratioo = [1, 2]\n[derive]\nrates.v = \"rates.w\"");
    assert_eq!((error.field.as_str(), error.suggestion.as_deref()), ("axes.ratioo", Some("ratio")));
    assert_eq!((error.line, error.column), (Some(3), Some(1)));
    // A key of a trial is that key, whoever reads it.
    let epochs = plan("name = \"a\"\n[axes]\nepochs = [1, 2]\n[derive]\nrates.v = \"epochs * 0.1\"");
    assert_eq!(epochs.conditions[1].config.epochs, 2);
    // Nor is a table of keys a variable.
    let tables = errors("name = \"a\"\n[axes]\nrates = [1, 2]\n[derive]\nratio = \"rates + 1\"");
    assert!(!tables.is_empty());
}

#[test]
fn variables_are_numbers_and_must_be_set_where_they_are_read() {
    let text = "name = \"a\"\n[axes]\nx = [1, \"two\"]\n[derive]\nrates.v = \"x\"";
    let error = only(text);
    assert_eq!(error.field, "axes.x[1]");
    assert!(error.message.contains("`x` is a variable"), "{error}");
    let unset = only("name = \"a\"\n[axes]\nx = [1, 2]\n[derive]\nrates.v = \"x\"\n[[arms]]\nratio = 3");
    assert!(unset.message.contains("x is not set") && unset.message.contains("ratio=3"), "{unset}");
    let unknown = only("name = \"a\"\n[derive]\nrates.v = \"y * 2\"");
    assert!(unknown.message.contains("`y` is neither"), "{unknown}");
    let twice = errors("name = \"a\"\n[axes]\nx = [1, 2]\n[[zip]]\nx = [1, 2]\n[derive]\nrates.v = \"x\"");
    assert!(twice.iter().any(|error| error.message.contains("a key varies in one place")), "{twice:?}");
}
