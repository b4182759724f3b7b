//! Built-in sweeps plan as they are, and with overrides.

use motif_sweep::{presets, spec::SweepSpec};
use serde_json::json;

#[test]
fn every_preset_plans() {
    assert!(!presets::all().is_empty());
    for preset in presets::all() {
        assert_eq!(preset.name, preset.spec.name);
        assert!(!preset.summary.is_empty());
        let plan = preset.spec.plan().unwrap_or_else(|errors| panic!("{}: {errors}", preset.name));
        assert!(plan.baseline.is_some() || !preset.spec.claims.is_empty(), "{}", preset.name);
        assert_eq!(presets::find(preset.name), Some(preset));
    }
    assert_eq!(presets::find("nothing"), None);
}

#[test]
fn the_demo_compares_subsets_of_plastic_synapses_two_ratios_bp_and_linear() {
    let plan = presets::find("demo").unwrap().spec.plan().unwrap();
    let labels: Vec<&str> = plan.conditions.iter().map(|condition| condition.label.as_str()).collect();
    assert_eq!(labels, ["sal {w}", "sal {w,v_bar}", "sal all", "sal all, ratio 1", "bp", "linear"]);
    assert_eq!(plan.conditions[plan.baseline.unwrap() as usize].label, "bp");
    assert_eq!(plan.trials.len(), 18);
    let ratios: Vec<f64> = plan.conditions.iter().take(4).map(|condition| condition.config.ratio).collect();
    assert_eq!(ratios, [2.0, 2.0, 2.0, 1.0]);
}

#[test]
fn overrides_are_merged_into_a_preset() {
    let value = json!({
        "preset": "demo",
        "overrides": { "name": "quick", "seeds": [7], "trial": { "epochs": 1, "rates": { "w_bar": 0.5 } } },
    });
    let spec = SweepSpec::from_json(value).unwrap();
    assert_eq!(spec.name, "quick");
    let plan = spec.plan().unwrap();
    assert_eq!(plan.seeds, [7]);
    assert_eq!(plan.conditions.len(), 6);
    let config = &plan.conditions[0].config;
    assert_eq!((config.epochs, config.rates.w_bar, config.rates.v), (1, 0.5, 0.3));

    let spec = SweepSpec::from_toml("preset = \"demo\"\n[overrides]\nseeds = 1\n").unwrap();
    assert_eq!(spec.plan().unwrap().trials.len(), 6);
    let spec = SweepSpec::from_json(json!({ "preset": "demo", "overrides": { "baseline": null } })).unwrap();
    assert_eq!(spec.plan().unwrap().baseline, None);
    assert_eq!(
        SweepSpec::from_json(json!({ "preset": "demo" })).unwrap(),
        presets::find("demo").unwrap().spec
    );
}

#[test]
fn wrong_presets_and_overrides_are_refused() {
    let errors = SweepSpec::from_json(json!({ "preset": "dmeo", "seeds": 3 })).unwrap_err();
    let fields: Vec<_> = errors.0.iter().map(|error| (&*error.field, error.suggestion.as_deref())).collect();
    assert_eq!(fields, [("seeds", Some("overrides.seeds")), ("preset", Some("demo"))]);
    assert!(SweepSpec::from_json(json!({ "preset": 3 })).is_err());
    assert!(SweepSpec::from_json(json!({ "preset": "demo", "overrides": 3 })).is_err());
    let text = "preset = \"demo\"\n[overrides.trial]\nepoch = 2\n";
    let errors = SweepSpec::from_toml(text).unwrap_err();
    assert_eq!((&*errors.0[0].field, errors.0[0].line), ("trial.epoch", Some(3)));
}

#[test]
fn the_sweeps_of_the_readme_plan() {
    let readme = include_str!("../../../../README.md");
    let texts: Vec<&str> = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .filter(|text| text.contains("name = "))
        .collect();
    assert_eq!(texts.len(), 2);
    let conditions: Vec<usize> = texts.iter().map(|text| crate::spec::plan(text).conditions.len()).collect();
    assert_eq!(conditions, [4, 896]);
}

/// The searches behind the presets' rates: sweeps that anybody can submit, none of which looks at the test split.
#[test]
fn every_search_plans_and_sees_no_test_split() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("presets/searches");
    let mut searches = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let spec = SweepSpec::from_toml(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            Some(&*spec.name),
            path.file_stem().unwrap().to_str().map(|it| format!("search-{it}")).as_deref()
        );
        assert_eq!(spec.metric, "validation_accuracy");
        let plan = spec.plan().unwrap_or_else(|errors| panic!("{}: {errors}", path.display()));
        assert!(
            plan.conditions.iter().all(|condition| condition.config.validation.is_some()),
            "{}",
            path.display()
        );
        searches += 1;
    }
    assert!(searches >= 6, "{searches}");
}
