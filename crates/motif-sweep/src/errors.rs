//! What is wrong with a spec or a trial: every problem at once, each with its field, its value and what would be right.
//!
//! It knows no format: positions are added by whoever read the text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Problems reported at once; the rest is counted.
pub const SPEC_ERRORS_MAX: usize = 50;

/// Longest piece of a found value that an error shows, in characters.
const VALUE_SHOWN_MAX_CHARS: usize = 80;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct SpecError {
    /// Dotted path of the field, `trial.rates.v` or `arms[1].rule`; empty when the whole text is meant.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The value that was found, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The nearest key or value that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Line in the text, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in the text, in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
}

impl SpecError {
    /// A problem with a field.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            value: None,
            suggestion: None,
            line: None,
            column: None,
        }
    }

    /// The same problem, with the value that was found.
    #[must_use]
    pub fn found(mut self, value: &serde_json::Value) -> Self {
        self.value = Some(shortened(&value.to_string()));
        self
    }

    /// The same problem, with what was probably meant.
    #[must_use]
    pub fn suggest(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

pub(crate) fn shortened(text: &str) -> String {
    if text.chars().count() <= VALUE_SHOWN_MAX_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(VALUE_SHOWN_MAX_CHARS).collect();
    format!("{head}…")
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, column {}: ", self.column.unwrap_or(1))?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if let Some(value) = &self.value {
            write!(f, " (found {value})")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the text; never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct SpecErrors(pub Vec<SpecError>);

impl SpecErrors {
    /// Notes a problem, unless the same one is known; beyond [`SPEC_ERRORS_MAX`] they are dropped.
    pub fn push(&mut self, error: SpecError) {
        if self.0.len() < SPEC_ERRORS_MAX && !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value when nothing is wrong.
    ///
    /// # Errors
    /// These errors, when there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<SpecError> for SpecErrors {
    fn from(error: SpecError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        if self.0.len() >= SPEC_ERRORS_MAX {
            f.write_str("\n… and perhaps more: only the first are listed")?;
        }
        Ok(())
    }
}

impl IntoIterator for SpecErrors {
    type Item = SpecError;
    type IntoIter = std::vec::IntoIter<SpecError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a SpecErrors {
    type Item = &'a SpecError;
    type IntoIter = std::slice::Iter<'a, SpecError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
