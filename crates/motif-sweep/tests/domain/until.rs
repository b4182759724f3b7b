//! Sequential replication and priority: keys, values, the next seed.

use motif_sweep::{
    spec::{Seeds, SweepSpec},
    until::{Until, UntilState},
};

use crate::spec::{only, plan};

fn sweep(until: &str) -> String {
    format!("name = \"a\"\nseeds = 3\nuntil = {until}\n[axes]\nrule = [\"bp\", \"sal\"]\n")
}

#[test]
fn a_sweep_may_say_how_narrow_its_intervals_are_to_be() {
    for until in [
        "{ half_width = 0.002, max_seeds = 20 }",
        "{ metric = \"test_loss\", half_width = 1, max_seeds = 3 }",
        "{ metric = \"cos_g_bp.1\", half_width = 0.1, max_seeds = 1000 }",
    ] {
        let text = sweep(until);
        assert_eq!(plan(&text).trials.len(), 6, "the trials that it begins with");
        let spec = SweepSpec::from_toml(&text).unwrap();
        assert_eq!(SweepSpec::from_json(spec.to_json()).unwrap(), spec);
    }
    let plain = SweepSpec::from_toml("name = \"a\"").unwrap().to_json();
    assert!(plain.get("until").is_none() && plain.get("priority").is_none(), "{plain}");
}

#[test]
fn replication_and_early_stopping_exclude_each_other() {
    let text = sweep("{ half_width = 0.1, max_seeds = 9 }");
    let text = text.replace("[axes]", "stop = { method = \"asha\", metric = \"test_accuracy\" }\n[axes]");
    let error = only(&text);
    assert_eq!(error.field, "until");
    assert!(error.message.contains("`stop`"), "{error}");
}

#[test]
fn what_is_wrong_with_it_is_named() {
    for (until, field, says) in [
        ("{ half_width = 0.1, max_seed = 9 }", "until.max_seed", "did you mean `max_seeds`"),
        ("{ max_seeds = 9 }", "until.half_width", "missing"),
        ("{ half_width = 0.1 }", "until.max_seeds", "missing"),
        ("{ half_width = 0, max_seeds = 9 }", "until.half_width", "above 0"),
        ("{ half_width = \"x\", max_seeds = 9 }", "until.half_width", "a number"),
        ("{ half_width = 0.1, max_seeds = 2 }", "until.max_seeds", "expected 3 (the seeds"),
        ("{ half_width = 0.1, max_seeds = 1001 }", "until.max_seeds", "to 1000"),
        ("{ metric = \"tset_loss\", half_width = 0.1, max_seeds = 9 }", "until.metric", "`test_loss`"),
        ("{ metric = \"validation_loss\", half_width = 0.1, max_seeds = 9 }", "until.metric", "test_loss"),
        ("5", "until", "expected a table"),
    ] {
        let error = only(&sweep(until));
        assert_eq!((error.field.as_str(), error.line), (field, Some(3)), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let many = "name = \"a\"\nuntil = { half_width = 1, max_seeds = 1000 }\n[sample]\ncount = 2000\nratio = { low = 1, high = 4 }\n";
    let error = only(many);
    assert_eq!(error.field, "until.max_seeds");
    assert!(error.message.contains("2000000 trials"), "{error}");
}

#[test]
fn the_next_seed_counts_on_from_the_largest_until_the_budget_is_spent() {
    let until = Until { metric: None, half_width: 0.1, max_seeds: 4 };
    assert_eq!(until.metric("own"), "own");
    assert_eq!(until.next_seeds(&Seeds::Count(3)), Some(Seeds::Count(4)));
    assert_eq!(until.next_seeds(&Seeds::Count(4)), None);
    assert_eq!(until.next_seeds(&Seeds::List(vec![9, 2])), Some(Seeds::List(vec![9, 2, 10])));
    let largest = Seeds::List(vec![motif_sweep::spec::SEED_VALUE_MAX]);
    assert_eq!(until.next_seeds(&largest), None);
    for state in UntilState::ALL {
        assert_eq!(UntilState::from_name(state.name()), Some(state));
    }
}

#[test]
fn a_priority_is_a_whole_number_within_bounds() {
    for good in [-1000, 0, 1000] {
        let text = format!("name = \"a\"\npriority = {good}\n");
        plan(&text);
        assert_eq!(SweepSpec::from_toml(&text).unwrap().priority, good);
    }
    for (bad, says) in [("1001", "-1000 to 1000"), ("1.5", "whole number"), ("\"high\"", "whole number")] {
        let error = only(&format!("name = \"a\"\npriority = {bad}\n"));
        assert_eq!((error.field.as_str(), error.line), ("priority", Some(2)));
        assert!(error.message.contains(says), "{error}");
    }
    let error = only("name = \"a\"\npriorty = 3\n");
    assert_eq!(error.suggestion.as_deref(), Some("priority"));
}
