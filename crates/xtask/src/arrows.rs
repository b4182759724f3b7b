//! The architecture's arrows: which of this project's crates may depend on which. A new edge is an architectural change
//! and is made here first.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

use crate::workspace;

/// Crates and what they may depend on (normal and build dependencies; tests may use anything).
const ALLOWED: [(&str, &[&str]); 11] = [
    ("motif-net", &[]),
    ("motif-data", &[]),
    ("motif-stats", &[]),
    ("motif-sweep", &["motif-net"]),
    ("motif-wire", &["motif-sweep"]),
    ("motif-store", &["motif-sweep"]),
    ("motif-client", &["motif-wire"]),
    ("motif-server", &["motif-sweep", "motif-wire", "motif-store", "motif-stats", "motif-data"]),
    ("motif-worker", &["motif-sweep", "motif-wire", "motif-client", "motif-net", "motif-data"]),
    (
        "motif-cli",
        &[
            "motif-server",
            "motif-worker",
            "motif-client",
            "motif-wire",
            "motif-sweep",
            "motif-store",
            "motif-net",
            "motif-data",
            "motif-stats",
        ],
    ),
    ("xtask", &[]),
];

/// Crates of tests, which may depend on anything and which nothing but tests may depend on.
const TEST_CRATES: [&str; 2] = ["motif-testkit", "motif-tests"];

/// Crate → the crates of this project that it depends on.
type Graph = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn run() -> anyhow::Result<bool> {
    let graph = graph(&workspace::metadata()?)?;
    let wrong = violations(&graph);
    for line in &wrong {
        eprintln!("{line}");
    }
    if wrong.is_empty() {
        let edges: usize = graph.values().map(BTreeSet::len).sum();
        eprintln!("arrows: {} crates, {edges} dependencies between them, all allowed", graph.len());
    }
    Ok(wrong.is_empty())
}

fn graph(metadata: &Value) -> anyhow::Result<Graph> {
    let mut graph = Graph::new();
    for package in metadata["packages"].as_array().context("cargo metadata lists packages")? {
        let name = package["name"].as_str().context("a package has a name")?;
        let dependencies = package["dependencies"].as_array().context("a package lists dependencies")?;
        let ours = dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string())
            .filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned()));
        graph.insert(name.to_owned(), ours.collect());
    }
    Ok(graph)
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, dependencies) in graph {
        if TEST_CRATES.contains(&name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(listed, _)| listed == name) else {
            wrong.push(format!(
                "{name} has no arrows: say in crates/xtask/src/arrows.rs what it may depend on"
            ));
            continue;
        };
        for other in dependencies.iter().filter(|other| !allowed.contains(&other.as_str())) {
            let may = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            wrong.push(format!("{name} depends on {other}; of this project's crates it may depend on {may}"));
        }
    }
    let gone = ALLOWED.iter().map(|(name, _)| *name).filter(|name| !graph.contains_key(*name));
    wrong.extend(gone.map(|name| format!("{name} has arrows but does not exist")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_follows_its_arrows() {
        let graph = graph(&workspace::metadata().unwrap()).unwrap();
        assert_eq!(violations(&graph), Vec::<String>::new());
        assert!(graph["motif-cli"].contains("motif-server"), "edges are seen at all");
    }

    #[test]
    fn a_new_edge_a_new_crate_and_a_vanished_one_are_told() {
        let mut graph: Graph =
            ALLOWED.iter().map(|(name, _)| ((*name).to_owned(), BTreeSet::new())).collect();
        assert!(violations(&graph).is_empty());
        graph.entry("motif-net".to_owned()).or_default().insert("motif-sweep".to_owned());
        graph.insert("motif-new".to_owned(), BTreeSet::new());
        graph.remove("motif-wire");
        let wrong = violations(&graph);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("motif-net depends on motif-sweep"), "{wrong:?}");
    }

    #[test]
    fn tests_may_use_anything_and_nothing_else_may_use_test_crates() {
        let metadata = serde_json::json!({ "packages": [
            { "name": "motif-server", "dependencies": [
                { "name": "motif-testkit", "kind": "dev", "path": "p" },
                { "name": "motif-stats", "kind": null, "path": "p" },
                { "name": "serde", "kind": null },
            ] },
            { "name": "motif-worker", "dependencies": [{ "name": "motif-testkit", "kind": null, "path": "p" }] },
        ] });
        let graph = graph(&metadata).unwrap();
        assert_eq!(graph["motif-server"].len(), 1);
        let wrong = violations(&graph);
        assert!(wrong.iter().any(|line| line.starts_with("motif-worker depends on motif-testkit")));
        assert!(!wrong.iter().any(|line| line.starts_with("motif-server")));
    }
}
