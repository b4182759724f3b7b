//! `README.md`: what is what.

use super::{
    material::Material,
    methods,
    words::{list, one_line, plural},
};

/// What each file is. Whoever adds a file to a bundle says here what it is.
const ABOUT: [(&str, &str); 20] = [
    (
        "index.html",
        "the figures and tables as a page: open it in any browser, no server and no network needed",
    ),
    (
        "METHODS.md",
        "text of methods and results to take into a paper; every number is computed from the sweep",
    ),
    ("figures/conditions.svg", "the metric by condition, with seeds and intervals"),
    ("figures/conditions.csv", "the data behind it"),
    ("figures/curves.svg", "the metric over training"),
    ("figures/curves.csv", "the data behind it"),
    ("figures/ledger.svg", "condition × seed: which trials there are"),
    ("figures/ledger.csv", "the data behind it"),
    ("data/trials.csv", "a row per trial: swept keys, state, final metrics, hashes, costs"),
    ("data/trials.parquet", "the same with types"),
    (
        "data/points.parquet",
        "a row per trial, step and metric: everything that was logged; NaN where it was not finite",
    ),
    ("data/summary.json", "estimates per condition"),
    ("data/comparisons.json", "tests against the baseline"),
    ("data/curves.json", "the metric over training"),
    ("data/ledger.json", "condition × seed"),
    ("sweep.toml", "the spec, to be read and to be submitted again"),
    ("sweep.json", "the same, exactly as the server keeps it; what motif rerun submits"),
    ("hashes.csv", "what each trial came to: compared by motif rerun"),
    ("CITATION.cff", "how to cite it; name the authors before you publish"),
    ("README.md", "this file"),
];

/// What a file is.
pub(crate) fn about(path: &str) -> &'static str {
    let known = ABOUT.iter().find(|(known, _)| *known == path).map(|(_, about)| *about);
    known.unwrap_or("what the server says of the sweep under this name")
}

/// The file, for these files.
pub(crate) fn text<'a>(material: &Material, files: impl Iterator<Item = &'a str>) -> String {
    let row = &material.sweep.row;
    let mut text = format!("# Results of the sweep {}\n\n", methods::escape(&row.name));
    if !material.is_finished() {
        text.push_str(&format!("> **{}**\n\n", methods::unfinished(material)));
    }
    text.push_str(&format!(
        "{} × {}, made with Motif {} on {}. Open `index.html`.\n\n| file | what it is |\n| --- | --- |\n",
        plural(row.conditions.into(), "condition", "conditions"),
        plural(row.seeds.into(), "seed", "seeds"),
        env!("CARGO_PKG_VERSION"),
        material.made_at.strftime("%Y-%m-%d"),
    ));
    let mut named: Vec<&str> = files.chain(["README.md"]).collect();
    let place = |path: &&str| ABOUT.iter().position(|(known, _)| known == path).unwrap_or(ABOUT.len());
    named.sort_by_key(place);
    for path in named {
        text.push_str(&format!("| `{path}` | {} |\n", about(path)));
    }
    text.push_str("| `manifest.json` | BLAKE3 and size of every file, the datasets by content, the format’s version |\n");
    for (name, why) in &material.refused {
        text.push_str(&format!("\nNo `data/{name}.json`: {}.\n", methods::escape(why.trim_end_matches('.'))));
    }
    if !material.left_out.is_empty() {
        let names: Vec<String> = material.left_out.iter().map(|name| methods::escape(name)).collect();
        text.push_str(&format!(
            "\nThe page would have become too large with {}: their values are in `data/points.parquet`.\n",
            list(&names)
        ));
    }
    let name = one_line(&row.name);
    let shown = if name.is_empty() { row.id.to_string() } else { name };
    text.push_str(&format!(
        "\n## To run it again\n\nWith Motif installed and a server running (`motif up`):\n\n```sh\nmotif rerun PATH-TO-THIS-FOLDER \
         --wait\n```\n\nIt checks this folder against its manifest, asks the server for the same datasets by content, \
         submits the spec of {}, waits, and compares every result with `hashes.csv`. Results are bit-identical between \
         machines of the same instruction set.\n",
        methods::escape(&shown)
    ));
    text
}
