//! The dashboard's figures as SVG files for print, each with the data behind it: the same rows, colours and scales,
//! drawn here because a user's machine need not have a browser.

mod conditions;
mod curves;
mod ledger;
mod palette;
mod scale;
mod svg;

use motif_wire::statistics::{Curves, Ledger, Summary};

pub(crate) use conditions::method;
pub(crate) use svg::escape;

/// Width of every figure: at a page's width its text has the size of a caption.
const WIDTH_PX: f64 = 640.0;
/// Size of the text.
const TEXT_PX: f64 = 13.0;
/// Size of what stands beside.
const SMALL_PX: f64 = 11.5;
/// Width of a letter in units of the text's size, rather too wide than too narrow.
const LETTER: f64 = 0.56;

/// A figure with its data.
pub(crate) struct Figure {
    /// Its file's name without ending.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// What its marks are.
    pub(crate) caption: String,
    pub(crate) svg: String,
    pub(crate) csv: String,
}

/// Every figure, in the order of the page.
///
/// # Errors
/// When a table of data cannot be written.
pub(crate) fn all(
    summary: &Summary,
    curves: &Curves,
    ledger: &Ledger,
    baseline: Option<u32>,
) -> anyhow::Result<Vec<Figure>> {
    Ok(vec![conditions::figure(summary, baseline)?, curves::figure(curves)?, ledger::figure(ledger)?])
}

/// Width of a text in pixels.
fn text_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * LETTER * size
}

/// How many letters fit.
fn letters(width: f64, size: f64) -> usize {
    (width / (LETTER * size)).max(0.0) as usize
}
