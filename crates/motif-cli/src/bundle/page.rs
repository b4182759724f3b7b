//! `index.html`: the dashboard's figures with their data inside, for a browser without server and network.

use motif_wire::{statistics::Ledger, sweeps::SweepDetail, trials::TrialRow};
use serde::Serialize;
use serde_json::Value;

use super::{
    figure::{Figure, escape},
    manifest::{FORMAT, FileEntry},
    material::{Material, View},
    methods::Block,
    readme,
    words::one_line,
};

/// Where the page that `web/` builds takes its data, its title, and what is shown without scripts.
const DATA_MARK: &str = "<!--motif:data-->";
const TITLE_MARK: &str = "<!--motif:title-->";
const STATIC_MARK: &str = "<!--motif:static-->";
/// Trials that the page lists; `data/trials.csv` has all.
const TRIALS_MAX: usize = 1000;

/// What stands around the figures where the page of `web/` has not been built into this binary.
const PLAIN_PAGE: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">
<title><!--motif:title--></title>
<style>
body { font: 15px/1.55 system-ui, sans-serif; max-width: 760px; margin: 32px auto; padding: 0 16px; color: #1a1f26; background: #fff; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid #e2e6ea; }
figure { margin: 24px 0; }
figcaption { color: #57606b; }
svg { max-width: 100%; height: auto; }
.note { background: #fff4d6; padding: 8px 12px; border-radius: 6px; }
</style>
</head>
<body><main><!--motif:static--></main></body>
</html>
";

/// What the page reads.
#[derive(Serialize)]
struct Embedded<'a> {
    format: u32,
    motif: &'static str,
    made_at: String,
    finished: bool,
    results_hash: &'a str,
    sweep: SweepDetail,
    views: &'a [View],
    left_out: &'a [String],
    ledger: &'a Ledger,
    documents: Vec<Document<'a>>,
    trials: Vec<&'a TrialRow>,
    trials_in_all: usize,
    methods: &'a [Block],
    methods_text: &'a str,
    files: Vec<File<'a>>,
}

/// What the server says of the sweep, beyond what the page has figures for.
#[derive(Serialize)]
struct Document<'a> {
    name: &'static str,
    content: &'a Value,
}

#[derive(Serialize)]
struct File<'a> {
    path: &'a str,
    bytes: u64,
    about: &'static str,
}

/// What has been made for the bundle before its page.
pub(crate) struct Made<'a> {
    pub(crate) figures: &'a [Figure],
    pub(crate) methods: &'a [Block],
    pub(crate) methods_text: &'a str,
    pub(crate) results_hash: &'a str,
    pub(crate) files: Vec<(&'a str, &'a FileEntry)>,
}

/// The page. `template` is the one that `web/` builds; without it the page is plain: figures, tables and text.
///
/// # Errors
/// When the data are no JSON, which they are.
pub(crate) fn html(template: Option<&str>, material: &Material, made: &Made<'_>) -> anyhow::Result<String> {
    let title = format!("{} · Motif", one_line(&material.sweep.row.name));
    let page = template.unwrap_or(PLAIN_PAGE);
    let data = serde_json::to_string(&embedded(material, made))?;
    // The template's own marks come first and once: what is put in may hold the same text.
    let mut out = String::new();
    let mut rest = page;
    for (mark, content) in marks(page, &title, &data, material, made) {
        let Some((before, after)) = rest.split_once(mark) else { continue };
        out.push_str(before);
        out.push_str(&content);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The marks in the order in which they stand in the page, with what takes their places.
fn marks(
    page: &str,
    title: &str,
    data: &str,
    material: &Material,
    made: &Made<'_>,
) -> Vec<(&'static str, String)> {
    let mut marks = vec![
        (TITLE_MARK, escape(title)),
        (DATA_MARK, script(data)),
        (STATIC_MARK, static_content(material, made)),
    ];
    marks.sort_by_key(|(mark, _)| page.find(mark));
    marks
}

/// JSON that ends no script and begins no comment.
fn script(json: &str) -> String {
    let json = json.replace('<', "\\u003c");
    format!("<script type=\"application/json\" id=\"bundle\">{json}</script>")
}

fn embedded<'a>(material: &'a Material, made: &'a Made<'_>) -> Embedded<'a> {
    const SHOWN: [&str; 4] = ["summary", "comparisons", "curves", "ledger"];
    let documents = material.documents.iter().filter(|(name, _)| !SHOWN.contains(name));
    // Configs are in the methods and in data/; with many conditions they would be most of the page.
    let mut sweep = material.sweep.clone();
    for row in &mut sweep.condition_rows {
        row.config = Value::Null;
    }
    let files =
        made.files.iter().map(|(path, entry)| File { path, bytes: entry.bytes, about: readme::about(path) });
    Embedded {
        format: FORMAT,
        motif: env!("CARGO_PKG_VERSION"),
        made_at: material.made_at.to_string(),
        finished: material.is_finished(),
        results_hash: made.results_hash,
        sweep,
        views: &material.views,
        left_out: &material.left_out,
        ledger: &material.ledger,
        documents: documents.map(|(name, content)| Document { name, content }).collect(),
        trials: material.trials.iter().take(TRIALS_MAX).map(|trial| &trial.row).collect(),
        trials_in_all: material.trials.len(),
        methods: made.methods,
        methods_text: made.methods_text,
        files: files.collect(),
    }
}

/// Figures, tables and text for a reader without scripts.
fn static_content(material: &Material, made: &Made<'_>) -> String {
    let mut out = format!("<h1>{}</h1>\n", escape(&one_line(&material.sweep.row.name)));
    let figures = |out: &mut String| {
        for (index, figure) in made.figures.iter().enumerate() {
            // Without the XML declaration, which HTML has no place for.
            let svg = figure.svg.split_once('\n').map_or("", |(_, svg)| svg);
            out.push_str(&format!(
                "<figure>{svg}<figcaption>Figure {}. {}. {} <a href=\"figures/{name}.svg\">SVG</a>, <a href=\"figures/{name}.csv\">data</a></figcaption></figure>\n",
                index + 1,
                escape(&figure.title),
                escape(&figure.caption),
                name = figure.name,
            ));
        }
    };
    let (mut drawn, mut notes) = (false, true);
    for block in made.methods {
        if !matches!(block, Block::Note { .. }) && notes {
            notes = false;
            figures(&mut out);
            drawn = true;
        }
        out.push_str(&block_html(block));
    }
    if !drawn {
        figures(&mut out);
    }
    out
}

fn block_html(block: &Block) -> String {
    match block {
        Block::Heading { text } => format!("<h2>{}</h2>\n", escape(text)),
        Block::Note { text } => format!("<p class=\"note\">{}</p>\n", escape(text)),
        Block::Paragraph { text } => format!("<p>{}</p>\n", escape(text)),
        Block::Table { header, rows } => {
            let line = |tag: &str, cells: &[String]| {
                let cells = cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell)));
                format!("<tr>{}</tr>\n", cells.collect::<String>())
            };
            let rows: String = rows.iter().map(|row| line("td", row)).collect();
            format!("<table><thead>{}</thead><tbody>{rows}</tbody></table>\n", line("th", header))
        }
    }
}
