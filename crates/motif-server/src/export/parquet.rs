//! Tables as Parquet, a row group at a time: int64, double, UTF-8 and timestamps (UTC, microseconds), every column with
//! room for nulls, compressed with Snappy.

use std::{io::Write, sync::Arc};

use jiff::Timestamp;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType},
    column::writer::ColumnWriter,
    errors::{ParquetError, Result},
    file::{
        metadata::KeyValue,
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::types::{ColumnPath, Type},
};

use super::{ExportError, Field, Kind, Table, Values};

/// Writes Parquet.
pub(crate) struct ParquetTable<W: Write + Send> {
    writer: SerializedFileWriter<W>,
}

impl<W: Write + Send> ParquetTable<W> {
    /// A file of these columns. `facts` are kept beside them, as the file's key-value metadata.
    pub(crate) fn new(sink: W, fields: &[Field], facts: &[(&str, String)]) -> Result<Self, ExportError> {
        let columns = fields.iter().map(column_type).collect::<Result<Vec<_>>>()?;
        let schema = Type::group_type_builder("table").with_fields(columns).build()?;
        let facts = facts.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("motif ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(facts.collect()));
        for field in fields.iter().filter(|field| !field.repeats) {
            let path = ColumnPath::new(vec![field.name.clone()]);
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let writer = SerializedFileWriter::new(sink, Arc::new(schema), Arc::new(properties.build()))?;
        Ok(Self { writer })
    }
}

fn column_type(field: &Field) -> Result<Arc<Type>> {
    let (physical, logical) = match field.kind {
        Kind::Int => (PhysicalType::INT64, None),
        Kind::Real => (PhysicalType::DOUBLE, None),
        Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Time => (PhysicalType::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
    };
    let column = Type::primitive_type_builder(&field.name, physical);
    let column = column.with_repetition(Repetition::OPTIONAL).with_logical_type(logical);
    column.build().map(Arc::new)
}

impl<W: Write + Send> Table for ParquetTable<W> {
    fn write(&mut self, columns: &[Values]) -> Result<(), ExportError> {
        if columns.first().is_none_or(|column| column.len() == 0) {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for values in columns {
            let missing = || ParquetError::General("more columns than the file has".to_owned());
            let mut column = group.next_column()?.ok_or_else(missing)?;
            write_column(&mut column, values)?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        self.writer.close()?;
        Ok(())
    }
}

fn write_column(column: &mut SerializedColumnWriter<'_>, values: &Values) -> Result<()> {
    match (column.untyped(), values) {
        (ColumnWriter::Int64ColumnWriter(writer), Values::Int(values)) => {
            let (there, levels) = dense(values, |value| *value);
            writer.write_batch(&there, Some(&levels), None)?;
        }
        (ColumnWriter::Int64ColumnWriter(writer), Values::Time(values)) => {
            let (there, levels) = dense(values, |time| Timestamp::as_microsecond(*time));
            writer.write_batch(&there, Some(&levels), None)?;
        }
        (ColumnWriter::DoubleColumnWriter(writer), Values::Real(values)) => {
            let (there, levels) = dense(values, |value| *value);
            writer.write_batch(&there, Some(&levels), None)?;
        }
        (ColumnWriter::ByteArrayColumnWriter(writer), Values::Text(values)) => {
            let (there, levels) = dense(values, Clone::clone);
            writer.write_batch(&there, Some(&levels), None)?;
        }
        _ => return Err(ParquetError::General("a column of another kind".to_owned())),
    }
    Ok(())
}

/// The values that are there, and for each row whether one is.
fn dense<T, U>(values: &[Option<T>], stored: impl Fn(&T) -> U) -> (Vec<U>, Vec<i16>) {
    let there = values.iter().flatten().map(stored).collect();
    (there, values.iter().map(|value| i16::from(value.is_some())).collect())
}
