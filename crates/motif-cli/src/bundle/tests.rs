use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{folder::Folder, manifest::Manifest, material::*, *};

/// What tries to leave every place that text is put into.
pub(super) const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'&|`=cmd\n- a: ]]> \u{202e}\u{1}<!--motif:data-->";

fn interval(low: f64, high: f64) -> Value {
    json!({ "low": low, "high": high, "level": 0.95, "method": "student_t", "n": 2 })
}

fn counts(succeeded: u64, diverged: u64, queued: u64) -> Value {
    json!({ "queued": queued, "leased": 0, "succeeded": succeeded, "diverged": diverged, "stopped": 0, "failed": 0, "dead": 0, "cancelled": 0 })
}

/// Two conditions of two seeds: the second has a diverged trial, and one that waits when `open`.
pub(super) fn material(name: &str, open: bool) -> Material {
    let id = "00000000-0000-7000-8000-00000000000";
    let config = |rule: &str| {
        json!({ "dataset": "glyphs", "hidden": [20, 10], "rule": rule, "ratio": 2.0, "epochs": 1, "batch_size": 64,
                "schedule": "cosine", "clip_norm": 0.5, "divergence_bound": 1e5, "rates": { "w": 0.1, "v": 0.2 } })
    };
    let condition = |index: u32, label: &str, rule: &str, counts: Value| {
        json!({ "index": index, "label": label, "axes": { "rule": rule }, "config": config(rule),
                "config_hash": format!("config{index}"), "dataset_hash": "data0", "counts": counts })
    };
    let (second, ended) = if open { (counts(1, 0, 1), 3) } else { (counts(1, 1, 0), 4) };
    let all = if open { counts(3, 0, 1) } else { counts(3, 1, 0) };
    let finished_at = if open { Value::Null } else { json!("2026-01-02T04:00:00Z") };
    let sweep = json!({
        "id": format!("{id}0"), "name": name, "state": if open { "running" } else { "finished" }, "counts": all,
        "conditions": 2, "seeds": 2, "metric": "test_accuracy", "created_at": "2026-01-02T03:00:00Z",
        "finished_at": finished_at, "progress": f64::from(ended) / 4.0, "remaining_s": null,
        "priority": 0, "amendments": [], "verifications": 0,
        "spec": { "name": name, "seeds": 2, "baseline": { "rule": "bp" }, "trial": { "dataset": "glyphs" },
                  "axes": { "rule": ["bp", "sal"] }, "description": null },
        "condition_rows": [condition(0, "bp", "bp", counts(2, 0, 0)), condition(1, name, "sal", second)],
        "seed_values": [0, 1], "baseline": 0,
    });
    let trial = |k: u32, condition: u32, label: &str, seed: u32, state: &str, result: Value| {
        let hash = result.get("result_hash").cloned();
        json!({ "id": format!("{id}{k}"), "sweep_id": format!("{id}0"), "condition": condition, "label": label, "seed": seed,
                "state": state, "cancel_requested": false, "stop_decided": false, "attempts": 1, "failures": 0, "crashes": 0, "step": 10,
                "total_steps": 10, "worker": "w1", "metric": null, "diverged_step": null, "result_hash": hash,
                "started_at": null, "finished_at": null, "reason": null, "axes": {}, "result": result })
    };
    let result = |hash: &str| {
        json!({ "diverged_step": null, "steps": 10, "metrics": {}, "result_hash": hash, "training_s": 1800.0,
                "provenance": { "version": "0.1.0", "commit": null, "instruction_set": "avx2+fma",
                                "platform": "linux x86_64", "host": "h", "dataset_hash": "data0", "config_hash": "c" } })
    };
    let last = if open {
        trial(4, 1, name, 1, "queued", Value::Null)
    } else {
        trial(4, 1, name, 1, "diverged", result("r4"))
    };
    let trials = json!([
        trial(1, 0, "bp", 0, "succeeded", result("r1")),
        trial(2, 0, "bp", 1, "succeeded", result("r2")),
        trial(3, 1, name, 0, "succeeded", result("r3")),
        last,
    ]);
    let value =
        |seed: u32, value: f64| json!({ "seed": seed, "trial_id": format!("{id}{seed}"), "value": value });
    let estimate = |index: u32, label: &str, values: Value, interval: Value, complete: bool, notes: Value| {
        let n = values.as_array().map_or(0, Vec::len);
        json!({ "condition": index, "label": label, "values": values, "n": n, "mean": 0.9, "sd": 0.01, "median": 0.9, "iqm": 0.9,
                "interval": interval, "counts": counts(2, 0, 0), "complete": complete, "notes": notes })
    };
    let summary = json!({
        "sweep_id": format!("{id}0"), "metric": "test_accuracy", "metrics": ["test_accuracy"], "diverged": "exclude",
        "conditions": [
            estimate(0, "bp", json!([value(0, 0.89), value(1, 0.91)]), interval(0.85, 0.95), true, json!([])),
            estimate(1, name, json!([value(0, 0.9)]), Value::Null, false, json!(["incomplete: 1 of 2 seeds"])),
        ],
    });
    let comparisons = json!({
        "sweep_id": format!("{id}0"), "metric": "test_accuracy", "baseline": 0, "correction": "holm", "family": "the family",
        "rows": [{ "condition": 1, "label": name, "n": 1, "mean_difference": 0.01, "interval": null, "t": null, "p_t": null,
                   "p_wilcoxon": null, "p_permutation": null, "p_adjusted": null, "d_z": null, "superiority": null, "notes": [] }],
    });
    let point = |step: u32, mean: f64, low: Value, high: Value| json!({ "step": step, "epoch": f64::from(step) / 10.0, "n": 2, "mean": mean, "low": low, "high": high });
    let curves = json!({
        "sweep_id": format!("{id}0"), "metric": "test_accuracy", "metrics": ["test_accuracy"], "diverged": "exclude",
        "conditions": [
            { "condition": 0, "label": "bp", "points": [point(0, 0.1, json!(0.05), json!(0.15)), point(5, 0.5, json!(0.4), json!(0.6)), point(10, 0.9, Value::Null, Value::Null)] },
            { "condition": 1, "label": name, "points": [point(10, 0.9, Value::Null, Value::Null)] },
        ],
    });
    let cell =
        |seed: u32, state: Value| json!({ "seed": seed, "trial_id": format!("{id}{seed}"), "state": state });
    let ledger = json!({
        "sweep_id": format!("{id}0"), "seeds": [0, 1],
        "rows": [
            { "condition": 0, "label": "bp", "cells": [cell(0, json!("succeeded")), cell(1, json!("succeeded"))] },
            { "condition": 1, "label": name, "cells": [cell(0, json!("succeeded")), { "seed": 1, "trial_id": null, "state": null }] },
        ],
    });
    let documents = vec![
        ("summary", summary.clone()),
        ("comparisons", comparisons.clone()),
        ("curves", curves.clone()),
        ("ledger", ledger.clone()),
    ];
    let row = json!({ "name": "glyphs", "hash": "data0", "height": 28, "width": 28, "channels": 1, "classes": 10,
                      "train_examples": 20000, "test_examples": 1, "size_bytes": 9, "built_in": true });
    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }
    let own = View {
        metric: "test_accuracy".into(),
        summary: Some(read(summary.clone())),
        comparisons: Some(read(comparisons.clone())),
        curves: Some(read(curves.clone())),
    };
    Material {
        sweep: read(sweep),
        trials: read(trials),
        summary: read(summary),
        comparisons: read(comparisons),
        curves: read(curves),
        ledger: read(ledger),
        views: vec![own],
        left_out: vec!["norm.w.1".into()],
        datasets: vec![Dataset { name: "glyphs".into(), hash: "data0".into(), row: Some(read(row)) }],
        documents,
        refused: vec![("anova", "the design is unbalanced.".into())],
        server_version: "0.1.0".into(),
        made_at: "2026-01-03T00:00:00Z".parse().unwrap(),
    }
}

fn bundle(name: &str, open: bool, template: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("bundle");
    write(Folder::begin(&place).unwrap(), &material(name, open), template).unwrap();
    (dir, place)
}

fn read(place: &Path, name: &str) -> String {
    fs::read_to_string(place.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn figures_are_well_formed_and_draw_every_seed_interval_band_and_cell() {
    for name in ["plain", HOSTILE] {
        let (_dir, place) = bundle(name, false, None);
        let svg = |file: &str| {
            let text = read(&place, file);
            let document =
                roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}\n{text}"));
            let class = |class: &str, tag: &str| {
                let within = |node: &roxmltree::Node<'_, '_>| {
                    node.ancestors().any(|one| one.attribute("class") == Some(class))
                        && node.has_tag_name(tag)
                };
                document.descendants().filter(within).count()
            };
            assert_eq!(document.descendants().filter(|node| node.has_tag_name("script")).count(), 0);
            [
                "seeds:circle",
                "estimate:line",
                "estimate:path",
                "band:path",
                "curve:path",
                "curve:circle",
                "cell:rect",
            ]
            .map(|one| one.split_once(':').unwrap())
            .map(|(of, tag)| class(of, tag))
        };
        assert_eq!(svg("figures/conditions.svg"), [3, 1, 2, 0, 0, 0, 0], "{name}");
        assert_eq!(svg("figures/curves.svg"), [0, 0, 0, 1, 1, 1, 0]);
        assert_eq!(svg("figures/ledger.svg"), [0, 0, 0, 0, 0, 0, 4]);
    }
}

#[test]
fn tables_are_inert_and_hold_every_value() {
    let (_dir, place) = bundle("=cmd|' /C calc'!A0", false, None);
    for (file, rows) in [
        ("figures/conditions.csv", 3),
        ("figures/curves.csv", 4),
        ("figures/ledger.csv", 4),
        ("hashes.csv", 4),
    ] {
        let text = read(&place, file);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let records: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), rows, "{file}");
        assert!(records.iter().flatten().all(|cell| !cell.starts_with('=')), "{file}: {text}");
    }
    let conditions = read(&place, "figures/conditions.csv");
    assert!(
        conditions.starts_with("condition,label,seed,test_accuracy,n,mean,low,high,level,method\n"),
        "{conditions}"
    );
    assert!(conditions.contains("0,bp,1,0.91,2,0.9,0.85,0.95,0.95,student_t"), "{conditions}");
}

#[test]
fn hostile_text_stays_text_in_every_file() {
    let template =
        "<title><!--motif:title--></title><noscript><!--motif:static--></noscript><!--motif:data-->";
    for template in [Some(template), None] {
        let (_dir, place) = bundle(HOSTILE, false, template);
        let page = read(&place, "index.html");
        assert!(!page.contains("<script>alert"), "{page}");
        if template.is_some() {
            assert_eq!(page.matches("</script>").count(), 1);
            let json = page.split_once("id=\"bundle\">").unwrap().1.split_once("</script>").unwrap().0;
            let data: Value = serde_json::from_str(json).unwrap();
            assert_eq!(data["sweep"]["name"], HOSTILE);
            assert_eq!(data["views"][0]["summary"]["conditions"][1]["label"], HOSTILE);
        }
        for file in ["METHODS.md", "README.md"] {
            let text = read(&place, file);
            assert!(!text.contains("<script>") && !text.contains("\n- a"), "{file}: {text}");
        }
        let toml: toml::Table = read(&place, "sweep.toml").parse().unwrap();
        assert_eq!(toml["name"].as_str(), Some(HOSTILE));
        assert!(!toml.contains_key("description"), "a null is not there");
        let cff = read(&place, "CITATION.cff");
        assert!(!cff.contains("\n- a: ]]>"), "{cff}");
    }
}

#[test]
fn the_spec_in_both_forms_is_the_one_that_was_submitted() {
    let (_dir, place) = bundle("plain", false, None);
    let json: Value = serde_json::from_str(&read(&place, "sweep.json")).unwrap();
    assert_eq!(json, material("plain", false).sweep.spec);
    let text = read(&place, "sweep.toml");
    assert!(text.contains("# Dataset glyphs had the content data0 (BLAKE3)."), "{text}");
    let spec = motif_sweep::spec::SweepSpec::from_toml(&text).unwrap();
    assert_eq!(
        spec,
        motif_sweep::document::Document::read(&json.to_string(), motif_sweep::document::Format::Json)
            .unwrap()
            .sweep()
            .unwrap()
    );
}

#[test]
fn the_manifest_names_every_file_and_the_readme_says_what_each_is() {
    let (_dir, place) = bundle("plain", false, None);
    let manifest = Manifest::read(&place).unwrap();
    assert!(manifest.changed(&place).unwrap().is_empty());
    assert_eq!(manifest.datasets.len(), 1);
    let readme = read(&place, "README.md");
    for path in manifest.files.keys() {
        assert!(readme.contains(&format!("| `{path}` |")), "{path} in {readme}");
        assert!(place.join(path).is_file());
    }
    assert!(readme.contains("No `data/anova.json`: the design is unbalanced."), "{readme}");
    assert!(readme.contains("norm.w.1"), "{readme}");
}

#[test]
fn an_unfinished_sweep_says_so_at_the_top_of_everything_that_is_read() {
    let (_dir, place) = bundle("plain", true, None);
    let told = "This sweep is unfinished: 3 of 4 trials had ended";
    for file in ["METHODS.md", "README.md", "index.html"] {
        let text = read(&place, file);
        let place = text.find(told).unwrap_or_else(|| panic!("{file}: {text}"));
        assert!(text.find("<figure").is_none_or(|figure| place < figure), "{file}");
        assert!(text.find("## ").is_none_or(|section| place < section), "{file}");
    }
    assert!(!Manifest::read(&place).unwrap().finished);
    let (_dir, place) = bundle("plain", false, None);
    assert!(!read(&place, "METHODS.md").contains("unfinished"));
}

#[test]
fn the_citation_has_what_the_format_asks_for() {
    let (_dir, place) = bundle("plain", false, None);
    let text = read(&place, "CITATION.cff");
    for line in [
        "cff-version: 1.2.0",
        "message: ",
        "type: dataset",
        "title: \"plain",
        "authors:",
        "date-released: 2026-01-03",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} in {text}");
    }
    assert!(text.contains("arXiv:2412.20018") && text.contains("title: Motif\n"));
}
