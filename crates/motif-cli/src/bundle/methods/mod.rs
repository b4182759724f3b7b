//! The text of methods and results: what a paper has to say of a sweep, every number of it computed from the sweep.

mod claims;
mod results;
mod setup;
#[cfg(test)]
mod tests;

use serde::Serialize;

use super::{material::Material, words::one_line};

/// A part of the text. What is in it is plain: whoever writes it out escapes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Block {
    Heading {
        text: String,
    },
    /// A warning.
    Note {
        text: String,
    },
    Paragraph {
        text: String,
    },
    Table {
        header: Vec<String>,
        rows: Vec<Vec<String>>,
    },
}

fn heading(text: &str) -> Block {
    Block::Heading { text: text.to_owned() }
}

fn paragraph(sentences: &[String]) -> Block {
    Block::Paragraph { text: sentences.join(" ") }
}

/// The whole text.
pub(crate) fn blocks(material: &Material) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !material.is_finished() {
        blocks.push(Block::Note { text: unfinished(material) });
    }
    blocks.extend(setup::blocks(material));
    blocks.extend(results::blocks(material));
    blocks
}

/// That this is not the end.
pub(crate) fn unfinished(material: &Material) -> String {
    let counts = &material.sweep.row.counts;
    format!(
        "This sweep is unfinished: {} of {} had ended when the bundle was made. Every number below may still change.",
        super::words::count(counts.finished()),
        super::words::plural(counts.total(), "trial", "trials")
    )
}

/// The text as Markdown.
pub(crate) fn markdown(title: &str, blocks: &[Block]) -> String {
    let mut text = format!("# {}\n", escape(title));
    for block in blocks {
        text.push('\n');
        match block {
            Block::Heading { text: heading } => text.push_str(&format!("## {}\n", escape(heading))),
            Block::Note { text: note } => text.push_str(&format!("> **{}**\n", escape(note))),
            Block::Paragraph { text: paragraph } => text.push_str(&format!("{}\n", escape(paragraph))),
            Block::Table { header, rows } => {
                let line = |cells: &[String]| {
                    let cells = cells.iter().map(|cell| escape(cell));
                    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
                };
                text.push_str(&line(header));
                text.push_str(&format!("|{}\n", " --- |".repeat(header.len())));
                for row in rows {
                    text.push_str(&line(row));
                }
            }
        }
    }
    text
}

/// Text that Markdown shows as it is: nothing in it makes a link, a picture, a table's edge or HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '$' | '&') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
