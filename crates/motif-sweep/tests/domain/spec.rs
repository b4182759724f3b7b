//! A sweep is read strictly, crossed in the order of its text, and each of its problems is named.

use motif_net::config::Augment;
use motif_sweep::{
    lifecycle::Policy,
    plan::Plan,
    spec::{SpecError, SweepSpec},
};
use serde_json::json;

use crate::schema;

pub(crate) fn plan(text: &str) -> Plan {
    schema::fits(text);
    SweepSpec::from_toml(text).and_then(|spec| spec.plan()).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(crate) fn errors(text: &str) -> Vec<SpecError> {
    SweepSpec::from_toml(text).unwrap_err().0
}

pub(crate) fn only(text: &str) -> SpecError {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

pub(crate) fn labels(plan: &Plan) -> Vec<&str> {
    plan.conditions.iter().map(|condition| condition.label.as_str()).collect()
}

/// The example of the README and of the contract.
const ABLATION: &str = r#"
name = "ablation-mnist"
seeds = 5
baseline = { rule = "bp" }
metric = "test_accuracy"
[trial]
dataset = "mnist"
rates = { v = 0.3 }
[axes]
plastic = [["w"], ["w", "v_bar"], ["w", "w_bar", "v", "v_bar"]]
"rates.v_bar" = [0.01, 0.1]
[[arms]]
label = "backprop"
rule = "bp"
"#;

#[test]
fn axes_are_crossed_in_their_order_and_arms_added() {
    let text = ABLATION.replace("[\"w\"], ", "");
    let plan = plan(&text);
    assert_eq!(
        labels(&plan),
        [
            "plastic={w,v_bar} rates.v_bar=0.01",
            "plastic={w,v_bar} rates.v_bar=0.1",
            "plastic={w,w_bar,v,v_bar} rates.v_bar=0.01",
            "plastic={w,w_bar,v,v_bar} rates.v_bar=0.1",
            "backprop",
        ]
    );
    assert_eq!(plan.baseline, Some(4));
    assert_eq!(plan.trials.len(), 25);
    let third = &plan.conditions[2];
    assert_eq!((third.config.rates.v_bar, third.config.rates.v), (0.01, 0.3));
    assert_eq!(third.config.dataset, "mnist");
    assert_eq!(third.axes["rates.v_bar"], json!(0.01));
    assert!(plan.conditions[4].axes.is_empty());
}

#[test]
fn conditions_that_train_the_same_are_refused() {
    let error = errors(ABLATION).remove(0);
    assert!(error.message.contains("plastic={w} rates.v_bar=0.01"), "{error}");
    assert!(error.message.contains("plastic={w} rates.v_bar=0.1"), "{error}");
    for text in [
        "name = \"a\"\n[axes]\nrule = [\"bp\", \"sal\"]\nratio = [1, 2]",
        "name = \"a\"\n[axes]\nratio = [2, 2.0]",
        "name = \"a\"\n[axes]\nplastic = [[\"w\", \"v\"], [\"v\", \"w\"]]",
        "name = \"a\"\n[trial]\nrule = \"linear\"\n[axes]\nactivation = [\"relu\", \"tanh\"]",
        "name = \"a\"\n[[arms]]\nlabel = \"x\"\n[[arms]]\nlabel = \"y\"\nratio = 2",
        "name = \"a\"\nmetric = \"train_loss\"\n[trial]\nvalidation = 9\n[axes]\ntest_limit = [1, 2]",
    ] {
        assert!(SweepSpec::from_toml(text).is_err(), "{text}");
    }
}

#[test]
fn a_label_names_one_condition() {
    let error = only("name = \"a\"\n[[arms]]\nlabel = \"x\"\n[[arms]]\nlabel = \"x\"\nratio = 3");
    assert!(error.message.contains("0 and 1"), "{error}");
    assert_eq!(error.value.as_deref(), Some("\"x\""));
    assert_eq!(labels(&plan("name = \"a\"")), ["sal"]);
    let unlabelled = "name = \"a\"\n[[arms]]\nrule = \"bp\"\nrates.w = 0.2\n[[arms]]\nratio = 3.0";
    assert_eq!(labels(&plan(unlabelled)), ["rule=bp rates={w:0.2}", "ratio=3"]);
    assert_eq!(labels(&plan("name = \"a\"\n[[arms]]\nhidden = [10, 20]")), ["hidden={10,20}"]);
    let long = format!("name = \"a\"\n[axes]\nhidden = [[{0}1], [{0}2]]", "100, ".repeat(60));
    let plan = plan(&long);
    assert!(plan.conditions.iter().all(|condition| condition.label.chars().count() < 120));
}

#[test]
fn a_baseline_is_exactly_one_condition() {
    let with = |baseline: &str| ABLATION.replace("[\"w\"], ", "").replace("{ rule = \"bp\" }", baseline);
    assert_eq!(plan(&with("{ label = \"backprop\" }")).baseline, Some(4));
    let exact = with("{ plastic = [\"v_bar\", \"w\"], rates = { v_bar = 0.1 } }");
    assert_eq!(plan(&exact).baseline, Some(1));
    assert_eq!(plan(&with("{ plastic = [\"w\", \"v_bar\"], \"rates.v_bar\" = 0.1 }")).baseline, Some(1));

    let error = only(&with("{ rule = \"sal\" }"));
    assert!(error.message.contains("4 conditions match"), "{error}");
    assert!(error.message.contains("plastic={w,v_bar} rates.v_bar=0.1"), "{error}");
    assert_eq!(error.line, Some(4));
    let error = only(&with("{ label = \"backprpo\" }"));
    assert!(error.message.contains("no condition matches"), "{error}");
    assert_eq!(error.suggestion.as_deref(), Some("backprop"));
    assert_eq!(only(&with("{ rul = \"bp\" }")).suggestion.as_deref(), Some("rule"));
    assert_eq!(only(&with("{ }")).field, "baseline");
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    for (text, field, meant) in [
        ("nam = \"a\"", "nam", "name"),
        ("seed = 3", "seed", "seeds"),
        ("epochs = 3", "epochs", "trial.epochs"),
        ("[trial]\nepcohs = 3", "trial.epcohs", "epochs"),
        ("[trial.rates]\nvbar = 3", "trial.rates.vbar", "v_bar"),
        ("[axes]\nratoi = [1]", "axes.ratoi", "ratio"),
        ("[axes]\n\"rates.vbar\" = [1]", "axes.rates.vbar", "rates.v_bar"),
        ("[[arms]]\nrul = \"bp\"", "arms[0].rul", "rule"),
        ("[queue]\nfailure_max = 1", "queue.failure_max", "failures_max"),
        ("[axis]\nratio = [1]", "axis", "axes"),
    ] {
        let error = errors(text).into_iter().find(|error| error.field == field).unwrap();
        assert_eq!(error.suggestion.as_deref(), Some(meant), "{error}");
        assert!(error.line.is_some(), "{error}");
    }
}

#[test]
fn wrong_parts_are_named() {
    for (text, field) in [
        ("seeds = 0", "seeds"),
        ("seeds = 1001", "seeds"),
        ("seeds = -1", "seeds"),
        ("seeds = \"3\"", "seeds"),
        ("seeds = [1, 2, 1]", "seeds[2]"),
        ("seeds = [9007199254740992]", "seeds[0]"),
        ("metric = \"test_acuracy\"", "metric"),
        ("metric = \"Cos v\"", "metric"),
        ("description = 3", "description"),
        ("trial = 3", "trial"),
        ("arms = [3]", "arms[0]"),
        ("[axes]\nratio = 3", "axes.ratio"),
        ("[axes]\nratio = []", "axes.ratio"),
        ("[axes]\nratio = [1, \"2\"]", "axes.ratio[1]"),
        ("[axes]\nplastic = [[\"w\"], [\"w\", \"x\"]]", "axes.plastic[1][1]"),
        ("[axes]\n\"rates.v\" = [1, true]", "axes.rates.v[1]"),
        ("[axes]\nrates = [{ v = 1 }, { u = 1 }]", "axes.rates[1].u"),
        ("[axes]\nseed = [1, 2]", "axes.seed"),
        ("[axes]\nrates = [{ v = 1 }]\n\"rates.v\" = [1, 2]", "axes.rates.v"),
        ("[[arms]]\nlabel = 3", "arms[0].label"),
        ("[[arms]]\nlabel = \"\"", "arms[0].label"),
        ("[[arms]]\nlabel = \"x\"\nrates = { v = \"1\" }", "arms[0].rates.v"),
        ("[queue]\nheartbeat_s = 40", "queue.heartbeat_s"),
        ("[queue]\ncrashes_max = 0", "queue.crashes_max"),
        ("[queue]\nlease_ttl_s = \"x\"", "queue.lease_ttl_s"),
    ] {
        let error = only(&format!("name = \"a\"\n{text}"));
        assert_eq!(error.field, field, "{error}");
        assert!(error.line.is_some(), "{error}");
    }
    assert_eq!(only("").field, "name");
    assert_eq!(only("name = \" \"").field, "name");
    assert_eq!(only(&format!("name = \"{}\"", "n".repeat(101))).field, "name");
    assert_eq!(only("name = \"a\"\nmetric = \"test_acuracy\"").suggestion.as_deref(), Some("test_accuracy"));
    assert!(SweepSpec::from_json(json!("demo")).is_err());
}

#[test]
fn impossible_values_are_blamed_on_the_line_that_has_them() {
    let error = only("name = \"a\"\n[trial]\nepochs = 0");
    assert_eq!((&*error.field, error.line), ("trial.epochs", Some(3)));
    let error = only("name = \"a\"\n[axes]\nrule = [\"sal\"]\nratio = [1, 2, -3]");
    assert_eq!((&*error.field, error.line, error.value.as_deref()), ("axes.ratio", Some(4), Some("-3")));
    let error = only("name = \"a\"\n[[arms]]\n[[arms]]\nlabel = \"b\"\nrates.v = -2");
    assert_eq!((&*error.field, error.line), ("arms[1].rates.v", Some(5)));
}

#[test]
fn diagnostics_are_metrics_too() {
    for metric in ["cos_theorem1.2", "norm.v_bar.2", "train_loss", "dead.1"] {
        assert!(SweepSpec::from_toml(&format!("name = \"a\"\nmetric = \"{metric}\"")).is_ok());
    }
}

#[test]
fn a_metric_that_no_condition_logs_is_refused_with_the_reason() {
    let cases = [
        ("cos_g_bp.7", "hidden = [8]", "layer 1 alone, with 1 hidden layer"),
        ("cos_v.0", "", "layers 1 to 3"),
        ("cos_v.01", "", "layers 1 to 3"),
        ("cos_v.1", "diagnostics = \"off\"", "`diagnostics` is \"off\""),
        ("cos_v.1", "rule = \"dfa\"", "rule \"dfa\""),
        ("cos_g_bp.1", "rule = \"bp\"", "rule \"bp\""),
        ("cos_w.1", "", "rule \"sal\""),
        ("norm.w_bar.1", "rule = \"last_layer\"", "rule \"last_layer\""),
        ("norm.w.5", "", "layers 1 to 4"),
        ("norm.b.1", "", "`biases` is off"),
        ("norm.x.1", "", "no tensor \"x\""),
        ("norm.1", "", "norm.w.1"),
        ("h_max.1", "", "`spectra` is \"off\""),
        ("loss.1", "", "no such diagnostic"),
    ];
    for (metric, trial, reason) in cases {
        let error = only(&format!("name = \"a\"\nmetric = \"{metric}\"\n[trial]\n{trial}"));
        assert_eq!((&*error.field, error.line), ("metric", Some(2)), "{metric}: {error}");
        assert!(error.message.contains(reason), "{metric}: {error}");
    }
    assert_eq!(only("name = \"a\"\nmetric = \"cos_vv.1\"").suggestion.as_deref(), Some("cos_v.1"));
    let fits = [
        ("norm.w.4", ""),
        ("norm.b.4", "biases = true"),
        ("cos_w.3", "rule = \"fa\""),
        ("cos_v.1", "rule = \"custom\"\nupdates.v = [{ target = \"h_bar\", source = \"h\" }]"),
        ("rank.v_bar.3", "spectra = \"ends\""),
        ("h_q75.2", "spectra = \"ends\"\ndiagnostics = \"off\""),
    ];
    for (metric, trial) in fits {
        let text = format!("name = \"a\"\nmetric = \"{metric}\"\n[trial]\n{trial}");
        assert!(SweepSpec::from_toml(&text).is_ok(), "{metric}: {:?}", SweepSpec::from_toml(&text));
    }
    let one_of_two = "name = \"a\"\nmetric = \"cos_v.1\"\n[axes]\nrule = [\"bp\", \"sal\"]";
    assert!(SweepSpec::from_toml(one_of_two).is_ok(), "one condition that logs it is enough");
}

#[test]
fn a_sweep_compares_what_it_measures_on() {
    let text = |metric: &str, trial: &str| format!("name = \"a\"\n{metric}[trial]\n{trial}\nepochs = 1");
    for (metric, trial, meant, line) in [
        ("", "validation = 9", "validation_accuracy", None),
        ("metric = \"test_accuracy\"\n", "validation = 9", "validation_accuracy", Some(2)),
        ("metric = \"test_loss\"\n", "validation = 9", "validation_loss", Some(2)),
        ("metric = \"validation_accuracy\"\n", "", "test_accuracy", Some(2)),
        ("metric = \"validation_loss\"\n", "", "test_loss", Some(2)),
    ] {
        let error = only(&text(metric, trial));
        assert_eq!((&*error.field, error.line), ("metric", line), "{error}");
        assert_eq!(error.suggestion.as_deref(), Some(meant), "{error}");
        assert!(error.message.contains(meant) && error.message.contains("`validation`"), "{error}");
        let right = text(&format!("metric = \"{meant}\"\n"), trial);
        assert!(SweepSpec::from_toml(&right).is_ok(), "{right}");
    }
    for trial in ["", "validation = 9"] {
        assert!(SweepSpec::from_toml(&text("metric = \"train_loss\"\n", trial)).is_ok());
    }
    let one_of_two = "name = \"a\"\n[[arms]]\nlabel = \"x\"\n[[arms]]\nlabel = \"y\"\nvalidation = 9";
    assert!(SweepSpec::from_toml(one_of_two).is_ok(), "one condition that logs it is enough");
    let near = only("name = \"a\"\nmetric = \"validation_acuracy\"\n[trial]\nvalidation = 9");
    assert_eq!(near.suggestion.as_deref(), Some("validation_accuracy"));
}

#[test]
fn augmentation_can_be_swept_by_key_and_by_table() {
    let text = "name = \"a\"\n[trial]\naugment = { flip = true }\n[axes]\n\"augment.shift\" = [0, 1, 2]";
    let plan = plan(text);
    assert_eq!(labels(&plan), ["augment.shift=0", "augment.shift=1", "augment.shift=2"]);
    let augments = plan.conditions.iter().map(|condition| condition.config.augment);
    assert!(augments.eq([0, 1, 2].map(|shift| Augment { shift, flip: true })));
    let text = "name = \"a\"\nbaseline = { \"augment.shift\" = 0 }\n[axes]\naugment = [{}, { shift = 2 }]";
    assert_eq!(self::plan(text).baseline, Some(0));
    let error = only("name = \"a\"\n[axes]\n\"augment.shft\" = [1]");
    assert_eq!((&*error.field, error.suggestion.as_deref()), ("axes.augment.shft", Some("augment.shift")));
    let error = only("name = \"a\"\n[axes]\n\"augment.shift\" = [1, 2000]");
    assert_eq!((&*error.field, error.line), ("axes.augment.shift", Some(3)));
    assert!(
        errors("name = \"a\"\n[axes]\naugment = [{}, { shift = 0 }]")[0].message.contains("train the same")
    );
}

#[test]
fn a_value_listed_twice_is_blamed_on_its_axis() {
    for (values, at) in [("[1, 1.0]", 1), ("[2, 1, 2]", 2)] {
        let error = only(&format!("name = \"a\"\n[axes]\nratio = {values}"));
        assert_eq!((error.field, error.line), (format!("axes.ratio[{at}]"), Some(3)));
    }
    let error = only("name = \"a\"\n[axes]\nhidden = [[8, 4], [8, 4]]");
    assert_eq!(error.field, "axes.hidden[1]");
}

#[test]
fn the_name_of_the_newest_sweep_is_reserved() {
    let error = only("name = \"latest\"");
    assert_eq!((&*error.field, error.value.as_deref()), ("name", Some("\"latest\"")));
    assert!(SweepSpec::from_toml("name = \"latest2\"").is_ok());
}

#[test]
fn sizes_are_limited_before_anything_is_built() {
    let axis = |n: usize| format!("[{}]", (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    let text = format!(
        "name = \"a\"\n[axes]\nepochs = {0}\nbatch_size = {0}\ntrain_limit = {0}\n\"rates.v\" = {0}\n",
        axis(500)
    );
    assert!(only(&text).message.contains("at most 10000"));
    let text = format!("name = \"a\"\nseeds = 1000\n[axes]\nepochs = {}\n", axis(1001));
    assert!(only(&text).message.contains("1001000 trials"));
    let text = format!("name = \"a\"\n[axes]\nepochs = {}\nbatch_size = {}", axis(100), axis(100));
    assert!(SweepSpec::from_toml(&text).is_ok(), "the largest sweep allowed");
}

#[test]
fn the_queue_table_changes_the_servers_policy() {
    let spec = SweepSpec::from_toml("name = \"a\"\n[queue]\nfailures_max = 0\nruntime_max_s = 60").unwrap();
    let server = Policy { lease_ttl_s: 7, heartbeat_s: 2, ..Policy::default() };
    let policy = spec.policy(&server).unwrap();
    assert_eq!(policy, Policy { failures_max: 0, runtime_max_s: 60, ..server });
    let spec = SweepSpec::from_toml("name = \"a\"\n[queue]\nheartbeat_s = 20").unwrap();
    assert!(spec.policy(&server).is_err());
}

#[test]
fn the_order_of_axes_survives_json_text() {
    let spec = SweepSpec::from_toml("name = \"a\"\n[axes]\nratio = [1, 2]\nepochs = [1, 2]\n").unwrap();
    let text = spec.to_json().to_string();
    let again = SweepSpec::from_json(serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(again, spec);
    assert_eq!(labels(&again.plan().unwrap())[1], "ratio=1 epochs=2");
}

#[test]
fn trials_are_queued_in_shuffled_blocks_that_later_seeds_leave_alone() {
    let text = |seeds: &str| format!("name = \"a\"\nseeds = {seeds}\n[axes]\nepochs = [1,2,3,4,5,6,7,8]");
    let (three, four) = (plan(&text("3")), plan(&text("[0, 1, 2, 9]")));
    assert_eq!(three.trials, four.trials[..24]);
    let mut orders = Vec::new();
    for (block, seed) in four.trials.chunks(8).zip([0, 1, 2, 9]) {
        assert!(block.iter().all(|trial| trial.seed == seed));
        let order: Vec<u32> = block.iter().map(|trial| trial.condition).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6, 7]);
        orders.push(order);
    }
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 4, "blocks are shuffled each by itself");
}

#[test]
fn a_config_hash_is_over_sorted_keys() {
    let value =
        serde_json::from_str::<serde_json::Value>(r#"{"b": [1, {"d": "\"", "c": 2.5}], "a": null}"#).unwrap();
    assert_eq!(motif_sweep::plan::canonical_json(&value), r#"{"a":null,"b":[1,{"c":2.5,"d":"\""}]}"#);
    let plan = plan("name = \"a\"\n[axes]\nratio = [1, 2]");
    assert_ne!(plan.conditions[0].config_hash(), plan.conditions[1].config_hash());
}
