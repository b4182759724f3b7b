//! `exclude` leaves crossed conditions out, and nothing else.

use motif_sweep::spec::SweepSpec;
use serde_json::json;

use crate::spec::{labels, only, plan};

const CROSSED: &str = r#"
name = "a"
[trial]
rates = { v = 0.3 }
[axes]
rule = ["sal", "fa", "dfa"]
hidden = [[8], [9, 9]]
epochs = [1, 2]
[[arms]]
label = "a sal that stays"
rule = "sal"
hidden = [8]
ratio = 1
"#;

fn excluding(exclude: &str) -> String {
    CROSSED.replace("[trial]", &format!("exclude = {exclude}\n[trial]"))
}

#[test]
fn a_condition_that_matches_all_entries_of_an_item_is_left_out() {
    let plan =
        plan(&excluding(r#"[{ rule = "sal", epochs = 2 }, { rule = ["fa", "dfa"], hidden = [9, 9] }]"#));
    assert_eq!(
        labels(&plan),
        [
            "rule=sal hidden={8} epochs=1",
            "rule=sal hidden={9,9} epochs=1",
            "rule=fa hidden={8} epochs=1",
            "rule=fa hidden={8} epochs=2",
            "rule=dfa hidden={8} epochs=1",
            "rule=dfa hidden={8} epochs=2",
            "a sal that stays",
        ]
    );
    assert_eq!(
        plan.conditions.iter().map(|condition| condition.index).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
}

#[test]
fn alternatives_of_list_valued_keys_are_lists_of_lists() {
    assert_eq!(plan(&excluding("[{ hidden = [[8], [9, 9]], rule = \"fa\" }]")).conditions.len(), 9);
    assert_eq!(plan(&excluding("[{ hidden = [8] }]")).conditions.len(), 7);
    let text =
        "name = \"a\"\nexclude = [{ plastic = [\"v\", \"w\"] }]\n[axes]\nplastic = [[\"w\"], [\"w\", \"v\"]]";
    assert_eq!(labels(&plan(text)), ["plastic={w}"]);
}

#[test]
fn what_all_trials_share_and_defaults_count_too() {
    let with = |item: &str| plan(&excluding(item)).conditions.len();
    assert_eq!(with("[{ rates = { v = 0.3 }, rule = \"sal\" }]"), 9);
    assert_eq!(with("[{ rates.v = [0.1, 0.3], rule = \"sal\" }]"), 9);
    assert_eq!(with("[{ momentum = 0, rule = \"sal\" }]"), 9);
    assert_eq!(with("[{ diagnostics = \"epoch\", rule = \"sal\" }]"), 9);
}

#[test]
fn an_item_that_leaves_nothing_out_is_refused() {
    for item in [
        "{ rule = \"kp\" }",
        "{ rates.v = 0.31 }",
        "{ rule = \"sal\", ratio = 1 }",
        "{ train_limit = 5 }",
        "{ diagnostics.every_steps = 5 }",
    ] {
        let error = only(&excluding(&format!("[{{ rule = \"sal\" }}, {item}]")));
        assert_eq!((&*error.field, error.line), ("exclude[1]", Some(3)), "{item}: {error}");
        assert!(error.message.contains("leaves nothing out"), "{item}: {error}");
    }
}

#[test]
fn keys_and_values_are_checked() {
    for (item, field) in [
        ("{ ruel = \"sal\" }", "exclude[0].ruel"),
        ("{ rule = \"sall\" }", "exclude[0].rule"),
        ("{ rule = [\"sal\", \"sall\"] }", "exclude[0].rule[1]"),
        ("{ epochs = [] }", "exclude[0].epochs"),
        ("{ epochs = \"2\" }", "exclude[0].epochs"),
        ("{ seed = 1 }", "exclude[0].seed"),
        ("{ label = \"x\" }", "exclude[0].label"),
        ("{ }", "exclude[0]"),
        ("3", "exclude[0]"),
    ] {
        let error = only(&excluding(&format!("[{item}]")));
        assert_eq!((&*error.field, error.line), (field, Some(3)), "{error}");
    }
    let many = vec![json!({ "ratio": 2 }); 1001];
    assert!(SweepSpec::from_json(json!({ "name": "a", "exclude": many })).is_err());
}

#[test]
fn something_must_be_left() {
    let text = "name = \"a\"\nexclude = [{ ratio = [1, 2] }]\n[axes]\nratio = [1, 2]";
    assert!(only(text).message.contains("every condition"));
    assert!(only("name = \"a\"\nexclude = [{ ratio = 2 }]").message.contains("every condition"));
    let arms = format!("{text}\n[[arms]]\nrule = \"bp\"");
    assert_eq!(labels(&plan(&arms)), ["rule=bp"]);
}

#[test]
fn impossible_values_may_be_left_out_and_conditions_that_train_the_same() {
    let text = "name = \"a\"\nexclude = [{ ratio = -1 }, { rule = \"bp\", ratio = [1] }]\n[axes]\nrule = [\"bp\", \
                \"sal\"]\nratio = [-1, 1, 2]";
    assert_eq!(labels(&plan(text)), ["rule=bp ratio=2", "rule=sal ratio=1", "rule=sal ratio=2"]);
    let error = only(&text.replace("{ rule = \"bp\", ratio = [1] }", "{ ratio = -1 }"));
    assert!(error.message.contains("`exclude`"), "{error}");
}

#[test]
fn an_exclude_survives_json_text() {
    let spec = SweepSpec::from_toml(&excluding("[{ rates = { v = 0.3 }, rule = \"sal\" }]")).unwrap();
    let again = SweepSpec::from_json(serde_json::from_str(&spec.to_json().to_string()).unwrap()).unwrap();
    assert_eq!(again.plan().unwrap(), spec.plan().unwrap());
}
