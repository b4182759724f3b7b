//! A trial's config is read strictly, and everything that is wrong is told at once.

use motif_net::config::{Augment, Diagnostics, NamedCadence, StepCadence, Synapse, TrialConfig};
use motif_sweep::plan::config_hash;
use motif_sweep::trial::{SpecError, final_metrics, from_json, from_toml};
use serde_json::json;

fn errors(text: &str) -> Vec<SpecError> {
    from_toml(text).unwrap_err().0
}

fn only(text: &str) -> SpecError {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(from_toml("").unwrap(), TrialConfig::default());
    let config = from_toml("rates = { w = 0.2 }\nratio = 4\nplastic = [\"v_bar\", \"w\"]").unwrap();
    let defaults = TrialConfig::default();
    assert_eq!(config.rates.w, 0.2);
    assert_eq!(config.rates.v_bar, defaults.rates.v_bar);
    assert_eq!(config.ratio, 4.0);
    assert_eq!(config.plastic, [Synapse::VBar, Synapse::W]);
    assert_eq!(config.decay, defaults.decay);
}

#[test]
fn every_field_can_be_written() {
    let text = r#"
        dataset = "mnist"
        train_limit = 1_000
        test_limit = 0x10
        validation = 500
        augment = { flip = true }
        hidden = [20, 10]
        rule = "last_layer"
        activation = "tanh"
        downstream_activation = "leaky_relu"
        hebbian_partner = "pre"
        schedule = "constant"
        clip_norm = 0
        init_scale_v = 1e-1
        divergence_bound = 1e4
        diagnostics = { every_steps = 10 }
        [rates]
        v = 1
        [decay]
        w = 0.5
    "#;
    crate::schema::trial_fits(text);
    let config = from_toml(text).unwrap();
    assert_eq!((config.train_limit, config.test_limit), (Some(1000), Some(16)));
    assert_eq!((config.validation, config.augment), (Some(500), Augment { shift: 0, flip: true }));
    assert_eq!(config.diagnostics, Diagnostics::Steps(StepCadence { every_steps: 10 }));
    assert_eq!(
        from_toml("diagnostics = \"off\"").unwrap().diagnostics,
        Diagnostics::Named(NamedCadence::Off)
    );
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(from_json(&json).unwrap(), config);
    assert_eq!(from_json(&json!({ "train_limit": null })).unwrap(), TrialConfig::default());
    assert_eq!(from_json(&json!({ "rates.v": 1.0 })).unwrap().rates.v, 1.0);
}

#[test]
fn an_unknown_key_names_the_nearest_and_its_place() {
    let error = only("dataset = \"glyphs\"\n  epoch = 3\n");
    assert_eq!((error.field.as_str(), error.suggestion.as_deref()), ("epoch", Some("epochs")));
    assert_eq!((error.line, error.column), (Some(2), Some(3)));
    for (typo, meant) in [
        ("hiden", "hidden"),
        ("ruel", "rule"),
        ("batch", "batch_size"),
        ("lr_schedule", "schedule"),
        ("Ratio", "ratio"),
        ("downstream_actvation", "downstream_activation"),
        ("clipnorm", "clip_norm"),
        ("trainlimit", "train_limit"),
        ("validate", "validation"),
        ("augmentation", "augment"),
    ] {
        assert_eq!(only(&format!("{typo} = 1")).suggestion.as_deref(), Some(meant), "{typo}");
    }
    let error = only("rates = { w = 0.1, wbar = 0.2 }");
    assert_eq!((error.field.as_str(), error.suggestion.as_deref()), ("rates.wbar", Some("w_bar")));
    assert_eq!((error.line, error.column), (Some(1), Some(20)));
    let errors = errors("[augment]\nshfit = 2\nflips = true");
    let keys = errors.iter().map(|error| (error.field.as_str(), error.suggestion.as_deref(), error.line));
    assert!(
        keys.eq([("augment.shfit", Some("shift"), Some(2)), ("augment.flips", Some("flip"), Some(3))]),
        "{errors:?}"
    );
    let error = only("[diagnostics]\nevery_step = 5");
    assert_eq!(
        (error.field.as_str(), error.suggestion.as_deref()),
        ("diagnostics.every_step", Some("every_steps"))
    );
}

#[test]
fn an_unknown_value_lists_what_exists() {
    let error = only("rule = \"sall\"");
    assert_eq!(error.suggestion.as_deref(), Some("sal"));
    assert!(error.message.contains("\"last_layer\""), "{error}");
    assert_eq!(error.value.as_deref(), Some("\"sall\""));
    let error = only("plastic = [\"w\", \"v-bar\"]");
    assert_eq!((error.field.as_str(), error.suggestion.as_deref()), ("plastic[1]", Some("v_bar")));
    assert_eq!(error.column, Some(17));
    assert_eq!(only("diagnostics = \"epcoh\"").suggestion.as_deref(), Some("epoch"));
    assert!(only("diagnostics = 3").message.contains("every_steps"));
    assert_eq!(only("activation = 3").field, "activation");
    assert_eq!(only("rule = \"zzzz\"").suggestion, None);
}

#[test]
fn wrong_types_name_field_value_and_what_is_right() {
    let cases = [
        ("epochs = \"8\"", "epochs", "a whole number, 0 or more", "\"8\""),
        ("epochs = -1", "epochs", "a whole number, 0 or more", "-1"),
        ("epochs = 1.5", "epochs", "a whole number, 0 or more", "1.5"),
        ("ratio = \"2\"", "ratio", "a number", "\"2\""),
        ("hidden = 200", "hidden", "a list", "200"),
        ("hidden = [200, true]", "hidden[1]", "a whole number, 0 or more", "true"),
        ("rates = 0.1", "rates", "a table", "0.1"),
        ("rates = { v = [1] }", "rates.v", "a number", "[1]"),
        ("dataset = 5", "dataset", "text", "5"),
        ("validation = \"many\"", "validation", "a whole number, 0 or more", "\"many\""),
        ("augment = 3", "augment", "a table", "3"),
        ("augment = { shift = -1 }", "augment.shift", "a whole number, 0 or more", "-1"),
        ("augment.flip = 1", "augment.flip", "true or false", "1"),
        ("augment = { shift = 1024 }", "augment.shift", "a whole number from 0 to 1023", "1024"),
        ("validation = 0", "validation", "a whole number from 1", "0"),
    ];
    for (text, field, right, value) in cases {
        let error = only(text);
        assert_eq!(error.field, field);
        assert!(error.message.contains(right), "{error}");
        assert_eq!(error.value.as_deref(), Some(value), "{error}");
    }
}

#[test]
fn impossible_values_are_refused_with_their_limits() {
    let error = only("ratio = -1");
    assert_eq!((error.field.as_str(), error.line), ("ratio", Some(1)));
    assert!(error.message.contains("0.01"), "{error}");
    assert_eq!(only("epochs = 0").field, "epochs");
    assert_eq!(only("hidden = [10, 0]").field, "hidden[1]");
    assert_eq!(only("[rates]\nv = -1").line, Some(2));
}

#[test]
fn everything_is_told_at_once() {
    let text =
        "epoch = 1\nrule = \"pb\"\nhidden = [1, \"a\", -2]\nrates = { x = 1, w = \"fast\" }\nclip = 1\n";
    let fields: Vec<String> = errors(text).into_iter().map(|error| error.field).collect();
    let mut expected =
        ["epoch", "rule", "hidden[1]", "hidden[2]", "rates.x", "rates.w", "clip"].map(str::to_owned);
    assert_eq!(
        {
            let mut fields = fields;
            fields.sort();
            fields
        },
        {
            expected.sort();
            expected.to_vec()
        }
    );
}

#[test]
fn text_that_is_not_toml_is_told_with_its_place() {
    let error = errors("epochs = 8\nratio = = 2\n").remove(0);
    assert_eq!(error.line, Some(2));
    assert!(error.message.starts_with("not TOML"), "{error}");
    assert_eq!(errors("epochs = 1\nepochs = 2").remove(0).line, Some(2));
    assert!(only("ratio = nan").message.contains("finite"));
    assert!(only("ratio = 1e999").message.contains("finite"));
    assert!(only("epochs = 99999999999999999999").message.contains("64 bits"));
    assert!(only("dataset = 2020-01-01").message.contains("dates"));
    assert!(only(&format!("dataset = \"{}\"", "x".repeat(1 << 20))).message.contains("bytes"));
    assert!(from_json(&json!([1])).unwrap_err().0[0].message.contains("table"));
}

#[test]
fn a_key_is_not_set_twice_by_way_of_dots() {
    let error = only("\"rates.v\" = 1\nrates = { v = 2 }");
    assert!(error.message.contains("twice"), "{error}");
    assert_eq!(only(&format!("\"{}\" = 1", ".a".repeat(5000))).message, "unknown key");
}

#[test]
fn an_error_reads_well() {
    let error = only("\nrule = \"sall\"");
    assert_eq!(
        error.to_string(),
        "line 2, column 1: rule: expected one of \"sal\", \"bp\", \"linear\", \"last_layer\", \"fa\", \"dfa\", \"kp\", \
         \"sign_symmetry\", \"custom\" (found \"sall\"); did you mean `sal`?"
    );
}

#[test]
fn a_rule_as_data_is_read_and_its_mistakes_are_located() {
    let text = "rule = \"custom\"\n[updates]\nw = [{ target = \"g\", source = \"h\" }]\n";
    let config = from_toml(text).unwrap();
    assert_eq!(config.updates.w[0].coefficient, 1.0);
    let error = only(&text.replace("\"g\"", "\"gg\""));
    assert_eq!(error.field, "updates.w[0].target", "{error}");
    let error = only(&text.replace("target", "taget"));
    assert!(error.field.starts_with("updates.w[0]"), "{error}");
    assert_eq!(only(&text.replace("\"g\"", "\"u\"")).field, "updates.w[0].target");
    assert_eq!(only("rule = \"custom\"").field, "updates");
}

#[test]
fn a_rule_as_data_can_be_swept() {
    let text = r#"
        name = "partners"
        [trial]
        rule = "custom"
        updates = { w = [{ target = "g", source = "h" }] }
        [axes]
        "updates.v_bar" = [[], [{ target = "h", source = "h_bar" }], [{ target = "a", source = "a_bar" }]]
    "#;
    let plan = motif_sweep::spec::SweepSpec::from_toml(text).unwrap().plan().unwrap();
    let terms: Vec<usize> =
        plan.conditions.iter().map(|condition| condition.config.updates.v_bar.len()).collect();
    assert_eq!(terms, [0, 1, 1]);
    assert!(plan.conditions.iter().all(|condition| condition.config.updates.w.len() == 1));
}

#[test]
fn a_configs_hash_is_pinned() {
    // Results are found by it: a new key must be left out while it has no effect.
    assert_eq!(
        config_hash(&TrialConfig::default()),
        "646cf98b1d5a72588411dab3e13e76e88026e701358cf5d1d771c8f53ceea0ff"
    );
    let off = from_toml("augment = { shift = 0, flip = false }\n").unwrap();
    assert_eq!(config_hash(&off), config_hash(&TrialConfig::default()));
    let text = "rule = \"bp\"\ntrain_limit = 100\nbiases = true\nmomentum = 0.5\nspectra = \"ends\"\n";
    assert_eq!(
        config_hash(&from_toml(text).unwrap()),
        "fea09f2c4e186ba0cfb4db5cdd5a4a32b9379e57a5f0f103a3ece9579f8a62cb"
    );
    for text in ["validation = 100", "augment = { shift = 2 }", "augment.flip = true"] {
        let config = from_toml(text).unwrap();
        assert_ne!(config_hash(&config), config_hash(&TrialConfig::default()), "{text}");
        assert_eq!(final_metrics(&serde_json::to_value(&config).unwrap()), Some(config.final_metrics()));
    }
    assert_eq!(final_metrics(&json!({ "validation": 0.5 })), None);
}
