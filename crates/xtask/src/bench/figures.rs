//! Medians, aims and the look of tables.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;

/// A line under the header, nothing else: as the binary's own tables.
const RULED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table whose columns after the first hold numbers.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| Cell::new(*title)));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The middle value; the mean of the two middle ones when their number is even.
///
/// # Panics
/// If there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

/// What was to be reached, and what was.
#[derive(Debug, Serialize)]
pub(crate) struct Aim {
    /// Of what.
    pub(crate) of: String,
    /// Which figure.
    pub(crate) figure: &'static str,
    pub(crate) at_least: f64,
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

impl Aim {
    pub(crate) fn new(of: &str, figure: &'static str, at_least: f64, measured: f64) -> Self {
        Self { of: of.to_owned(), figure, at_least, measured, met: measured >= at_least }
    }
}

pub(crate) fn aims_table(aims: &[Aim]) -> String {
    let mut table = table(&["aim", "at least", "measured", ""]);
    for aim in aims {
        let number = |value: f64| format!("{value:.2}");
        let met = if aim.met { "met" } else { "NOT met" };
        let name = format!("{}: {}", aim.of, aim.figure);
        table.add_row(vec![name, number(aim.at_least), number(aim.measured), met.to_owned()]);
    }
    let met = aims.iter().filter(|aim| aim.met).count();
    format!("{table}\n{met} of {} aims met", aims.len())
}

/// `2.4 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_do_not_depend_on_the_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn bytes_are_written_with_the_largest_unit_that_fits() {
        assert_eq!(["999 B", "1.0 kB", "12.3 MB"].map(str::to_owned), [999, 1000, 12_345_678].map(bytes));
    }

    #[test]
    fn an_aim_is_met_from_its_bound_on() {
        assert!(Aim::new("x", "y", 1.6, 1.6).met);
        assert!(!Aim::new("x", "y", 1.6, 1.599).met);
        assert!(!Aim::new("x", "y", 1.6, f64::NAN).met);
        let shown = aims_table(&[Aim::new("x", "y", 1.6, 1.7), Aim::new("x", "y", 1.6, 1.5)]);
        assert!(shown.contains("NOT met") && shown.ends_with("1 of 2 aims met"), "{shown}");
    }
}
