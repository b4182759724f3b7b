//! Tables as CSV. Text that a spreadsheet would take for a formula is preceded by a single quote.

use std::io::Write;

use super::{ExportError, Field, Table, Values};

/// Writes CSV.
pub(crate) struct CsvTable<W: Write> {
    writer: csv::Writer<W>,
    /// How a number that is not finite is written.
    not_finite: &'static str,
}

impl<W: Write> CsvTable<W> {
    /// A table that begins with its header. What is not finite is written as `not_finite`.
    pub(crate) fn new(sink: W, fields: &[Field], not_finite: &'static str) -> Result<Self, ExportError> {
        let mut writer = csv::Writer::from_writer(sink);
        let header = fields.iter().map(|field| inert(&field.name));
        writer.write_record(header).map_err(ExportError::Csv)?;
        Ok(Self { writer, not_finite })
    }

    fn cell(&self, values: &Values, row: usize) -> String {
        match values {
            Values::Int(values) => values[row].map(|value| value.to_string()),
            Values::Real(values) => values[row]
                .map(|value| if value.is_finite() { value.to_string() } else { self.not_finite.to_owned() }),
            Values::Text(values) => {
                values[row].as_ref().map(|text| inert(text.as_utf8().unwrap_or_default()))
            }
            Values::Time(values) => values[row].map(|time| time.to_string()),
        }
        .unwrap_or_default()
    }
}

impl<W: Write> Table for CsvTable<W> {
    fn write(&mut self, columns: &[Values]) -> Result<(), ExportError> {
        for row in 0..columns.first().map_or(0, Values::len) {
            let cells: Vec<String> = columns.iter().map(|values| self.cell(values, row)).collect();
            self.writer.write_record(cells).map_err(ExportError::Csv)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        self.writer.flush().map_err(ExportError::Sent)
    }
}

/// Text that no spreadsheet takes for a formula. Numbers do not come here: `-1` stays what it is.
fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
