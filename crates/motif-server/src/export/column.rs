//! Typed columns with places that hold nothing.

use jiff::Timestamp;

/// Text that is cheap to repeat.
pub(crate) type Text = parquet::data_type::ByteArray;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Whole numbers.
    Int,
    /// Numbers; NaN is a value, unlike nothing.
    Real,
    /// UTF-8.
    Text,
    /// Times in UTC, to the microsecond.
    Time,
}

/// A column's name and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether its values come again and again, so that a dictionary pays.
    pub(crate) repeats: bool,
}

/// Some rows of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    Int(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<Text>>),
    Time(Vec<Option<Timestamp>>),
}

impl Values {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Time(values) => values.len(),
        }
    }
}

pub(crate) fn text(value: impl Into<String>) -> Text {
    Text::from(value.into().into_bytes())
}
