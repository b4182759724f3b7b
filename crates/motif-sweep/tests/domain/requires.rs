//! What a sweep requires of workers: keys, values, who meets it, what is said when nobody does.

use std::collections::BTreeSet;

use motif_sweep::{
    requires::{Abilities, LABEL_MAX_CHARS, MEMORY_MAX_BYTES, Needs, Size, label},
    spec::SweepSpec,
};
use proptest::prelude::*;

use crate::spec::{only, plan};

const GIB: u64 = 1 << 30;

fn sweep(requires: &str) -> String {
    format!("name = \"a\"\nrequires = {requires}\n[axes]\nrule = [\"bp\", \"sal\"]\n")
}

fn names(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

fn worker(labels: &[&str], memory_bytes: Option<u64>) -> Abilities {
    Abilities { labels: names(labels), memory_bytes }
}

fn needs(labels: &[&str], memory_bytes: Option<u64>) -> Needs {
    Needs { labels: names(labels), memory_bytes }
}

#[test]
fn a_sweep_says_what_workers_must_have_and_its_trials_stay_the_same() {
    let plain = plan("name = \"a\"\n[axes]\nrule = [\"bp\", \"sal\"]\n");
    for (requires, wanted) in [
        ("{}", Needs::default()),
        ("{ labels = [] }", Needs::default()),
        ("{ labels = [\"gpu\", \"big\"] }", needs(&["big", "gpu"], None)),
        ("{ memory = \"8 GiB\" }", needs(&[], Some(8 * GIB))),
        ("{ memory = \"1.5GiB\", labels = [\"a.b-c_D\"] }", needs(&["a.b-c_D"], Some(3 * GIB / 2))),
        ("{ memory = \"500 MB\" }", needs(&[], Some(500_000_000))),
    ] {
        let text = sweep(requires);
        let spec = SweepSpec::from_toml(&text).unwrap();
        assert_eq!(spec.needs(), wanted, "{requires}");
        assert_eq!(SweepSpec::from_json(spec.to_json()).unwrap(), spec);
        let planned = plan(&text);
        let hashes = |plan: &motif_sweep::plan::Plan| {
            plan.conditions.iter().map(|one| (one.label.clone(), one.config_hash())).collect::<Vec<_>>()
        };
        assert_eq!((hashes(&planned), &planned.trials), (hashes(&plain), &plain.trials));
    }
    assert!(SweepSpec::from_toml("name = \"a\"").unwrap().to_json().get("requires").is_none());
}

#[test]
fn what_is_wrong_with_it_is_named() {
    let many: Vec<String> = (0..33).map(|n| format!("\"l{n}\"")).collect();
    let many = format!("{{ labels = [{}] }}", many.join(", "));
    let long = format!("{{ labels = [\"{}\"] }}", "x".repeat(LABEL_MAX_CHARS + 1));
    for (requires, field, says) in [
        ("{ label = [\"a\"] }", "requires.label", "did you mean `labels`"),
        ("{ memroy = \"8 GiB\" }", "requires.memroy", "did you mean `memory`"),
        ("{ labels = \"big\" }", "requires.labels", "a list"),
        ("{ labels = [\"big\", 3] }", "requires.labels[1]", "text (found 3)"),
        ("{ labels = [\"big\", \"big gpu\"] }", "requires.labels[1]", "letters, digits, `-`, `_` or `.`"),
        ("{ labels = [\"\"] }", "requires.labels[0]", "1 to 63"),
        ("{ labels = [\"größe\"] }", "requires.labels[0]", "(found \"größe\")"),
        ("{ labels = [\"a\", \"b\", \"a\"] }", "requires.labels[2]", "twice"),
        (&many, "requires.labels", "at most 32 labels, found 33"),
        (&long, "requires.labels[0]", "1 to 63"),
        ("{ memory = 8 }", "requires.memory", "such as \"8 GiB\" or \"500 MB\" (found 8)"),
        ("{ memory = \"lots\" }", "requires.memory", "such as \"8 GiB\" or \"500 MB\" (found \"lots\")"),
        ("{ memory = \"0 B\" }", "requires.memory", "(found \"0 B\")"),
        ("{ memory = \"9 PiB\" }", "requires.memory", "up to 8 PiB"),
        ("{ memory = \"-1 GiB\" }", "requires.memory", "such as"),
        ("\"big\"", "requires", "expected a table"),
    ] {
        let error = only(&sweep(requires));
        assert_eq!((error.field.as_str(), error.line), (field, Some(2)), "{error}");
        assert!(error.to_string().contains(says), "{requires}: {error}");
    }
    let error = only("name = \"a\"\nrequire = {}\n");
    assert_eq!(error.suggestion.as_deref(), Some("requires"));
}

#[test]
fn a_worker_meets_needs_with_all_labels_and_enough_memory_that_is_known() {
    for (worker, needs, met) in [
        (worker(&[], None), needs(&[], None), true),
        (worker(&["a", "b"], Some(1)), needs(&[], None), true),
        (worker(&["a", "b"], None), needs(&["b"], None), true),
        (worker(&["a", "b"], None), needs(&["a", "b"], None), true),
        (worker(&["a"], None), needs(&["a", "b"], None), false),
        (worker(&["A"], None), needs(&["a"], None), false),
        (worker(&[], Some(GIB)), needs(&[], Some(GIB)), true),
        (worker(&[], Some(GIB - 1)), needs(&[], Some(GIB)), false),
        (worker(&[], None), needs(&[], Some(1)), false),
        (worker(&["a"], Some(GIB)), needs(&["a"], Some(2 * GIB)), false),
    ] {
        assert_eq!(worker.meet(&needs), met, "{worker:?} {needs:?}");
    }
}

#[test]
fn what_nobody_has_is_said() {
    let workers =
        [worker(&["gpu"], Some(16 * GIB)), worker(&["big"], Some(32 * GIB)), worker(&["old"], None)];
    for (needs, says) in [
        (needs(&[], None), None),
        (needs(&["big"], Some(32 * GIB)), None),
        (needs(&["old"], None), None),
        (needs(&["huge"], None), Some("no worker has label huge")),
        (needs(&[], Some(64 * GIB)), Some("no worker has 64 GiB")),
        (
            needs(&["huge", "tpu"], Some(64 * GIB)),
            Some("no worker has label huge; no worker has label tpu; no worker has 64 GiB"),
        ),
        (needs(&["big", "gpu"], None), Some("no worker has label big and label gpu at once")),
        (needs(&["gpu"], Some(32 * GIB)), Some("no worker has label gpu and 32 GiB at once")),
        (needs(&["old"], Some(1)), Some("no worker has label old and 1 B at once")),
    ] {
        assert_eq!(needs.missing(&workers).as_deref(), says);
    }
    assert_eq!(needs(&[], None).missing(&[]).as_deref(), Some("no worker is there"));
    assert_eq!(needs(&["big"], None).missing(&[]).as_deref(), Some("no worker has label big"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_read_back_to_the_same(bytes in prop_oneof![1..=MEMORY_MAX_BYTES, (0u32..53).prop_map(|bits| 1 << bits), 1u64..5000]) {
        let size: Size = format!("{bytes} B").parse().unwrap();
        prop_assert_eq!(size.bytes(), bytes);
        prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size), "{}", size);
    }

    #[test]
    fn something_is_missing_exactly_when_nobody_meets_the_needs(
        workers in prop::collection::vec((prop::collection::btree_set("[a-c]", 0..3), prop::option::of(1u64..4)), 0..4),
        labels in prop::collection::btree_set("[a-c]", 0..3),
        memory_bytes in prop::option::of(1u64..5),
    ) {
        let workers: Vec<Abilities> =
            workers.into_iter().map(|(labels, memory_bytes)| Abilities { labels, memory_bytes }).collect();
        let needs = Needs { labels, memory_bytes };
        let met = workers.iter().any(|worker| worker.meet(&needs));
        prop_assert_eq!(needs.missing(&workers).is_none(), met);
    }

    #[test]
    fn labels_are_short_and_plain(text in "[a-zA-Z0-9._-]{1,63}", odd in "[^a-zA-Z0-9._-]") {
        prop_assert!(label(&text).is_ok());
        let spoilt = format!("{}{odd}", &text[..text.len() - 1]);
        prop_assert!(label(&spoilt).is_err());
    }
}
