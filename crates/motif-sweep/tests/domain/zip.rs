//! Keys in one `[[zip]]` vary together; the group is crossed with everything else.

use motif_sweep::spec::SweepSpec;
use serde_json::json;

use crate::spec::{errors, labels, only, plan};

const ZIPPED: &str = r#"
name = "a"
[axes]
ratio = [1, 2]
[[zip]]
"rates.w" = [0.1, 0.2, 0.3]
"rates.v" = [0.4, 0.5, 0.5]
"#;

#[test]
fn a_zip_is_one_factor_of_the_product() {
    let plan = plan(ZIPPED);
    assert_eq!(
        labels(&plan),
        [
            "ratio=1 rates.w=0.1",
            "ratio=1 rates.w=0.2",
            "ratio=1 rates.w=0.3",
            "ratio=2 rates.w=0.1",
            "ratio=2 rates.w=0.2",
            "ratio=2 rates.w=0.3",
        ]
    );
    let last = &plan.conditions[5];
    assert_eq!((last.config.ratio, last.config.rates.w, last.config.rates.v), (2.0, 0.3, 0.5));
    assert_eq!(last.axes["rates.v"], json!(0.5));
}

#[test]
fn zips_are_crossed_with_each_other_and_arms_stay_apart() {
    let text = "name = \"a\"\n[[zip]]\nhidden = [[8], [9, 9]]\nepochs = [1, 2]\n[[zip]]\nratio = [1, 2]\n\
                init_scale_v = [0.1, 0.2]\n[[arms]]\nrule = \"bp\"";
    let plan = plan(text);
    assert_eq!(plan.conditions.len(), 5);
    assert_eq!(plan.conditions[1].label, "hidden={8} ratio=2");
    assert_eq!(plan.conditions[4].label, "rule=bp");
}

/// A label shows as many of a zip's keys as tell its rows apart.
#[test]
fn labels_leave_out_what_follows() {
    let text = |second: &str| {
        format!(
            "name = \"a\"\n[[zip]]\nrule = [\"sal\", \"sal\", \"bp\"]\n\"rates.w\" = {second}\nclip_norm = [0.3, 0.4, 0.5]"
        )
    };
    assert_eq!(
        labels(&plan(&text("[0.1, 0.2, 0.2]"))),
        ["rule=sal rates.w=0.1", "rule=sal rates.w=0.2", "rule=bp rates.w=0.2"]
    );
    let all = plan(&text("[0.1, 0.1, 0.2]"));
    assert_eq!(labels(&all)[0], "rule=sal rates.w=0.1 clip_norm=0.3");
}

#[test]
fn dotted_keys_need_no_quotes() {
    let bare = ZIPPED.replace('"', "").replace("= a", "= \"a\"");
    assert_eq!(SweepSpec::from_toml(&bare).unwrap(), SweepSpec::from_toml(ZIPPED).unwrap());
    let text = "name = \"a\"\n[axes]\nrates.v = [1, 2]\n[axes.decay]\nw = [0, 1]";
    assert_eq!(labels(&plan(text))[1], "rates.v=1 decay.w=1");
    let error = only("name = \"a\"\n[axes]\nrates.v = [1, 2]\n\"rates.v\" = [3]");
    assert!(error.message.contains("set twice"), "{error}");
}

#[test]
fn zipped_lists_are_equally_long_and_their_rows_differ() {
    let error = only(&ZIPPED.replace("[0.4, 0.5, 0.5]", "[0.4, 0.5]"));
    assert_eq!((&*error.field, error.line), ("zip[0]", Some(5)));
    assert!(error.message.contains("rates.w has 3, rates.v has 2"), "{error}");
    let error = only(&ZIPPED.replace("[0.1, 0.2, 0.3]", "[0.1, 0.3, 0.3]"));
    assert!(error.message.contains("entry 2 repeats"), "{error}");
    assert_eq!(only("name = \"a\"\n[[zip]]").field, "zip[0]");
    assert_eq!(only("name = \"a\"\n[[zip]]\nratio = 3").field, "zip[0].ratio");
    assert_eq!(only("name = \"a\"\n[[zip]]\nratio = [1, \"x\"]").field, "zip[0].ratio[1]");
    let error = only("name = \"a\"\n[[zip]]\nratoi = [1]");
    assert_eq!((error.suggestion.as_deref(), error.line, error.column), (Some("ratio"), Some(3), Some(1)));
}

#[test]
fn a_key_stands_in_one_place() {
    let error = only(&format!("{ZIPPED}ratio = [1, 2, 3]"));
    assert_eq!((&*error.field, error.line), ("zip[0].ratio", Some(8)));
    assert!(error.message.contains("axes.ratio"), "{error}");
    let error = only(&format!("{ZIPPED}\n[[zip]]\nrates = [{{ w = 1 }}]"));
    assert_eq!(error.field, "zip[1].rates");
    assert!(error.message.contains("zip[0].rates.w"), "{error}");
}

#[test]
fn a_wrong_value_is_blamed_on_its_list() {
    let error = only(&ZIPPED.replace("0.4", "-0.4"));
    assert_eq!((&*error.field, error.line), ("zip[0].rates.v", Some(7)));
}

#[test]
fn products_of_zips_are_limited() {
    let list = |n: usize| format!("[{}]", (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    let text = format!("name = \"a\"\n[axes]\nratio = {0}\n[[zip]]\nepochs = {0}\n", list(101));
    assert!(only(&text).message.contains("10201 conditions"));
    let text = format!("name = \"a\"\n[axes]\nratio = []\nepochs = {}", list(10_001));
    assert!(errors(&text).iter().any(|error| error.message.contains("10001 values")));
}

#[test]
fn a_zip_survives_json_and_presets() {
    let spec = SweepSpec::from_toml(ZIPPED).unwrap();
    let text = spec.to_json().to_string();
    let again = SweepSpec::from_json(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(again.plan().unwrap(), spec.plan().unwrap());
    let zip = json!([{ "rates": { "w": [0.1, 0.2] }, "epochs": [1, 2] }]);
    let value = json!({ "preset": "demo", "overrides": { "zip": zip } });
    assert_eq!(SweepSpec::from_json(value).unwrap().plan().unwrap().conditions.len(), 8);
}
