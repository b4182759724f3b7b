//! Claims: keys, which conditions they are about, and what is refused.

use motif_sweep::{
    claims::{self, ClaimTest},
    presets::{self, Scale},
    spec::SweepSpec,
};
use serde_json::json;

const SWEEP: &str = r#"
name = "s"
seeds = 3
[axes]
ratio = [1.0, 2.0, 4.0]
rule = ["sal"]
plastic = [["w"], ["w", "v_bar"]]
[[arms]]
label = "bp"
rule = "bp"
"#;

fn with(claim: &str) -> Result<SweepSpec, motif_sweep::errors::SpecErrors> {
    SweepSpec::from_toml(&format!("{SWEEP}[[claims]]\ntext = \"it is so\"\n{claim}"))
}

fn groups(claim: &str) -> Vec<claims::ClaimGroup> {
    let spec = with(claim).unwrap_or_else(|errors| panic!("{errors}"));
    let plan = spec.plan().unwrap();
    claims::groups(&spec, &spec.claims[0], &plan.conditions)
}

/// Field, and what the message holds.
fn refused(claim: &str) -> (String, String) {
    let errors = with(claim).unwrap_err();
    let error = &errors.0[0];
    assert!(error.line.is_some(), "{errors}");
    (error.field.clone(), error.to_string())
}

#[test]
fn groups_are_chosen_by_keys_and_labels() {
    let all =
        groups("test = \"greater\"\nof = { plastic = [\"v_bar\", \"w\"] }\nagainst = { label = \"bp\" }");
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].of.as_slice(), all[0].against.as_slice()), (&[1, 3, 5][..], &[6][..]));
    // All others by default; dotted keys and tables alike; alternatives.
    let all = groups("test = \"best\"\nof = { ratio = [1.0, 2.0], rule = \"sal\" }");
    assert_eq!((all[0].of.as_slice(), all[0].against.as_slice()), (&[0, 1, 2, 3][..], &[4, 5, 6][..]));
    let all = groups("test = \"above\"\nlevel = 0.5\nof = { label = [\"bp\"] }");
    assert_eq!((all[0].of.as_slice(), all[0].against.len()), (&[6][..], 0));
}

#[test]
fn a_slope_knows_where_its_conditions_stand() {
    let all = groups("test = \"rises\"\nover = \"ratio\"\nof = { rule = \"sal\" }\neach = \"plastic\"");
    let labels: Vec<_> = all.iter().map(|group| group.label.as_deref().unwrap()).collect();
    assert_eq!(labels, ["plastic={w}", "plastic={w,v_bar}"]);
    assert_eq!((all[1].of.as_slice(), all[1].x.as_slice()), (&[1, 3, 5][..], &[1.0, 2.0, 4.0][..]));
}

#[test]
fn what_cannot_be_tested_is_refused_with_its_place() {
    let (field, text) = refused("test = \"greatr\"");
    assert_eq!(field, "claims[0].test");
    assert!(text.contains("greater"), "{text}");
    let (field, text) = refused("test = \"greater\"\nagaints = { rule = \"bp\" }");
    assert_eq!(field, "claims[0].againts");
    assert!(text.contains("did you mean `against`"), "{text}");
    let (field, text) = refused("test = \"greater\"\nof = { rulle = \"bp\" }");
    assert_eq!(field, "claims[0].of.rulle");
    assert!(text.contains("did you mean `rule`"), "{text}");
    for (claim, field) in [
        ("test = \"rises\"", "claims[0].over"),
        ("test = \"rises\"\nover = \"raito\"", "claims[0].over"),
        ("test = \"rises\"\nover = \"epochs\"", "claims[0].over"),
        ("test = \"above\"", "claims[0].level"),
        ("test = \"equivalent\"\nof = { rule = \"bp\" }", "claims[0].margin"),
        ("test = \"greater\"\nmargin = -1.0\nof = { rule = \"bp\" }", "claims[0].margin"),
        ("test = \"above\"\nlevel = 1.0\nover = \"ratio\"", "claims[0].over"),
        ("test = \"greater\"\nof = { rule = \"fa\" }", "claims[0].of"),
        ("test = \"greater\"\nof = { label = 3 }", "claims[0].of.label"),
        ("test = \"greater\"", "claims[0].against"),
        ("test = \"above\"\nlevel = 0.5\nmetric = \"cos_v.9\"", "claims[0].metric"),
        ("test = \"above\"\nlevel = 0.5\nmetric = \"cos_v.*\"", "claims[0].metric"),
    ] {
        assert_eq!(refused(claim).0, field, "{claim}");
    }
    // Which bp does not log.
    with("test = \"above\"\nlevel = 0.5\nmetric = \"cos_v.*\"\nof = { rule = \"sal\" }").unwrap();
}

#[test]
fn a_spec_with_claims_reads_back_to_the_same() {
    let spec =
        with("test = \"greater\"\nof.rates.w = 0.3\nof.rule = \"sal\"\nagainst = { rule = \"bp\" }").unwrap();
    assert_eq!(spec.claims[0].of["rates.w"], json!(0.3));
    assert_eq!(SweepSpec::from_json(spec.to_json()).unwrap(), spec);
}

#[test]
fn every_preset_of_the_paper_claims_something_at_both_scales() {
    for name in ["fig2", "fig3", "fig4", "fig5", "tables", "theorem1"] {
        let preset = presets::find(name).unwrap();
        let quick = preset.at(Some(Scale::Quick)).unwrap();
        let paper = preset.at(Some(Scale::Paper)).unwrap();
        assert_eq!(quick.name, name);
        assert_eq!(paper.name, format!("{name}-paper"));
        assert_eq!(quick.claims, paper.claims);
        assert!(!quick.claims.is_empty());
        for spec in [quick, paper] {
            assert!(spec.seeds.count() >= 5);
            spec.plan().unwrap_or_else(|errors| panic!("{}: {errors}", spec.name));
        }
        let plan = quick.plan().unwrap();
        assert!(plan.conditions.iter().all(|condition| condition.config.dataset == "glyphs"), "{name}");
        let plan = paper.plan().unwrap();
        assert!(plan.conditions.iter().all(|condition| condition.config.dataset != "glyphs"), "{name}");
    }
    assert!(presets::find("demo").unwrap().at(Some(Scale::Paper)).is_err());
    let given = json!({ "preset": "fig4", "scale": "paper", "overrides": { "seeds": 3 } });
    let spec = SweepSpec::from_json(given).unwrap();
    assert_eq!((spec.name.as_str(), spec.seeds.count()), ("fig4-paper", 3));
    let errors = SweepSpec::from_json(json!({ "preset": "fig4", "scale": "papre" })).unwrap_err();
    assert_eq!((&*errors.0[0].field, errors.0[0].suggestion.as_deref()), ("scale", Some("paper")));
    assert_eq!(
        SweepSpec::from_json(json!({ "preset": "demo", "scale": "paper" })).unwrap_err().0[0].field,
        "scale"
    );
}

#[test]
fn names_of_tests_are_as_written() {
    assert_eq!(serde_json::to_value(ClaimTest::NotGreater).unwrap(), json!("not_greater"));
}
