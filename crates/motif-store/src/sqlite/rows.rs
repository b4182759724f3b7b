//! How the domain's values are written into columns and read back. It knows no table.

use std::str::FromStr;

use jiff::Timestamp;
use motif_sweep::lifecycle::{AttemptOutcome, TrialState};
use serde::de::DeserializeOwned;
use sqlx::{Row, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{Result, StoreError, records::Counts};

/// Result codes with which SQLite says that the file itself is damaged or is not a database.
const DAMAGED_CODES: [&str; 2] = ["11", "26"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                Self::Corrupt(error.to_string())
            }
            sqlx::Error::Database(ref fault) if fault.is_unique_violation() => {
                Self::Conflict(format!("it is already stored: {}", fault.message()))
            }
            sqlx::Error::Database(ref fault)
                if fault.code().is_some_and(|code| DAMAGED_CODES.contains(&code.as_ref())) =>
            {
                Self::Corrupt(error.to_string())
            }
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

/// A time as stored: unix milliseconds.
pub(super) fn millis(time: Timestamp) -> i64 {
    time.as_millisecond()
}

/// A count as stored; nothing that counts comes near the bound.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A JSON column's text.
pub(super) fn json_text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Conflict(format!("not JSON: {error}")))
}

/// Bytes as `unhex` reads them: JSON has none.
pub(super) fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}

fn corrupt(column: &str, what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("column {column}: {what}"))
}

fn moment(column: &str, millis: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(|error| corrupt(column, error))
}

/// Reads the domain's values out of a row.
pub(super) trait Columns {
    /// A raw integer.
    fn int(&self, column: &'static str) -> Result<i64>;
    /// An integer of a narrower or unsigned type.
    fn uint<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T>;
    /// The same, where absent values are allowed.
    fn opt_uint<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>>;
    /// A number of 0 or 1.
    fn flag(&self, column: &'static str) -> Result<bool>;
    /// A float.
    fn real(&self, column: &'static str) -> Result<f64>;
    /// A float or nothing.
    fn opt_real(&self, column: &'static str) -> Result<Option<f64>>;
    /// A text.
    fn text(&self, column: &'static str) -> Result<String>;
    /// A text or nothing.
    fn opt_text(&self, column: &'static str) -> Result<Option<String>>;
    /// An id of any kind.
    fn id<T: From<Uuid>>(&self, column: &'static str) -> Result<T>;
    /// An id or nothing.
    fn opt_id<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>>;
    /// Raw bytes.
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>>;
    /// A hash of 32 bytes.
    fn hash(&self, column: &'static str) -> Result<[u8; 32]>;
    /// A time.
    fn time(&self, column: &'static str) -> Result<Timestamp>;
    /// A time or nothing.
    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>>;
    /// A value kept as JSON.
    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T>;
    /// A trial's state.
    fn state(&self, column: &'static str) -> Result<TrialState>;
    /// An attempt's outcome, once it has ended.
    fn outcome(&self, column: &'static str) -> Result<Option<AttemptOutcome>>;
    /// The counters of a sweep or a condition.
    fn counts(&self) -> Result<Counts>;
}

impl Columns for SqliteRow {
    fn int(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn uint<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let value = self.int(column)?;
        T::try_from(value).map_err(|_| corrupt(column, format_args!("{value} is out of range")))
    }

    fn opt_uint<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        let value: Option<i64> = self.try_get(column)?;
        value
            .map(|value| {
                T::try_from(value).map_err(|_| corrupt(column, format_args!("{value} is out of range")))
            })
            .transpose()
    }

    fn flag(&self, column: &'static str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    fn real(&self, column: &'static str) -> Result<f64> {
        Ok(self.try_get(column)?)
    }

    fn opt_real(&self, column: &'static str) -> Result<Option<f64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn opt_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn id<T: From<Uuid>>(&self, column: &'static str) -> Result<T> {
        let bytes = self.bytes(column)?;
        let id = Uuid::from_slice(&bytes).map_err(|error| corrupt(column, error))?;
        Ok(T::from(id))
    }

    fn opt_id<T: From<Uuid>>(&self, column: &'static str) -> Result<Option<T>> {
        let bytes: Option<Vec<u8>> = self.try_get(column)?;
        if bytes.is_some() { self.id(column).map(Some) } else { Ok(None) }
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>> {
        Ok(self.try_get(column)?)
    }

    fn hash(&self, column: &'static str) -> Result<[u8; 32]> {
        let bytes = self.bytes(column)?;
        <[u8; 32]>::try_from(bytes.as_slice()).map_err(|error| corrupt(column, error))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp> {
        moment(column, self.int(column)?)
    }

    fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>> {
        let millis: Option<i64> = self.try_get(column)?;
        millis.map(|millis| moment(column, millis)).transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text: String = self.try_get(column)?;
        serde_json::from_str(&text).map_err(|error| corrupt(column, error))
    }

    fn state(&self, column: &'static str) -> Result<TrialState> {
        let name = self.text(column)?;
        TrialState::from_name(&name).ok_or_else(|| corrupt(column, format_args!("{name} is no state")))
    }

    fn outcome(&self, column: &'static str) -> Result<Option<AttemptOutcome>> {
        self.opt_text(column)?
            .map(|name| {
                AttemptOutcome::from_name(&name)
                    .ok_or_else(|| corrupt(column, format_args!("{name} is no outcome")))
            })
            .transpose()
    }

    fn counts(&self) -> Result<Counts> {
        let names =
            ["queued", "leased", "succeeded", "diverged", "stopped", "failed", "dead", "cancelled_trials"];
        let mut counts = Counts::default();
        for (count, name) in counts.0.iter_mut().zip(names) {
            *count = self.uint(name)?;
        }
        Ok(counts)
    }
}

/// SQLite's version, `3.51.3`, as a tuple that can be compared.
pub(super) fn version_parts(text: &str) -> Result<(u32, u32, u32)> {
    let mut parts = text.split('.').map(u32::from_str);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Ok((major, minor, patch)),
        _ => Err(corrupt("sqlite_version()", format_args!("{text} is no version"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version_parts("3.51.3").unwrap() > version_parts("3.9.20").unwrap());
        assert!(version_parts("3.51").is_err());
    }
}
