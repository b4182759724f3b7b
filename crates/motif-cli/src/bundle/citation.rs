//! `CITATION.cff`: the sweep as a dataset, in the Citation File Format 1.2.0.

use super::{
    material::Material,
    words::{metric_name, one_line, plural},
};

/// The file. `hash` is the one over all results.
pub(crate) fn cff(material: &Material, hash: &str) -> String {
    let row = &material.sweep.row;
    let name = one_line(&row.name);
    let about = format!(
        "{} on {}, {}, of the sweep {name}, run with Motif.",
        plural(row.conditions.into(), "condition", "conditions"),
        metric_name(&row.metric),
        plural(row.counts.total(), "trial", "trials"),
    );
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "# Replace the author by the people who ran the sweep before you publish it.\n\
cff-version: 1.2.0\n\
message: If you use these results, please cite them and the references below.\n\
type: dataset\n\
title: {title}\n\
abstract: {about}\n\
authors:\n\
\x20 - name: {authors}\n\
date-released: {date}\n\
version: {short}\n\
identifiers:\n\
\x20 - type: other\n\
\x20   value: {id}\n\
\x20   description: Id of the sweep\n\
\x20 - type: other\n\
\x20   value: {hash}\n\
\x20   description: BLAKE3 over all results, as METHODS.md defines it\n\
references:\n\
\x20 - type: software\n\
\x20   title: Motif\n\
\x20   abstract: Experiment sweeps for biologically plausible learning\n\
\x20   version: {version}\n\
\x20   license: Apache-2.0\n\
\x20   authors:\n\
\x20     - name: The authors of Motif\n\
\x20 - type: article\n\
\x20   title: Self-Assembly of a Biologically Plausible Learning Circuit\n\
\x20   authors:\n\
\x20     - {{family-names: Liao, given-names: Qianli}}\n\
\x20     - {{family-names: Ziyin, given-names: Liu}}\n\
\x20     - {{family-names: Gan, given-names: Yulu}}\n\
\x20     - {{family-names: Cheung, given-names: Brian}}\n\
\x20     - {{family-names: Harnett, given-names: Mark}}\n\
\x20     - {{family-names: Poggio, given-names: Tomaso}}\n\
\x20   year: 2024\n\
\x20   journal: arXiv\n\
\x20   url: https://arxiv.org/abs/2412.20018\n\
\x20   identifiers:\n\
\x20     - type: other\n\
\x20       value: arXiv:2412.20018\n",
        title = quoted(&format!("{name}: results of a Motif sweep")),
        about = quoted(&about),
        authors = quoted(&format!("The authors of the sweep {name}")),
        date = material.made_at.strftime("%Y-%m-%d"),
        short = quoted(&hash[..hash.len().min(16)]),
        id = quoted(&row.id.to_string()),
        hash = quoted(&format!("blake3:{hash}")),
        version = quoted(version),
    )
}

/// Text as a double-quoted YAML scalar, which can hold any text: everything that is not plainly printable is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            c if c.is_alphanumeric() => out.push(c),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_text_leaves_its_quotes() {
        assert_eq!(quoted("a: \"b\" \\ #c"), r##""a: \"b\" \\ #c""##);
        assert_eq!(quoted("a\n- b\u{85}ä"), "\"a\\U0000000a- b\\U00000085ä\"");
    }
}
