//! What a sweep requires of the workers that take its trials, and what workers have.
//!
//! It says who may train, never what is trained: no config, no hash and no result depends on it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{
    errors::{SpecError, SpecErrors},
    memory::human,
};

/// Labels of one worker, and labels that one sweep requires.
pub const LABELS_MAX: usize = 32;
/// Longest label, in characters.
pub const LABEL_MAX_CHARS: usize = 63;
/// Most memory that a worker may have or a sweep may require: JavaScript reads it exactly.
pub const MEMORY_MAX_BYTES: u64 = (1 << 53) - 1;

/// What workers must have to take a sweep's trials, as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Labels, all of which a worker must have been given (`motif worker --label`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Memory that a worker must have (`motif worker --memory`), such as `"8 GiB"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub memory: Option<Size>,
}

impl Requires {
    /// The same as the queue compares it.
    #[must_use]
    pub fn needs(&self) -> Needs {
        Needs { labels: self.labels.iter().cloned().collect(), memory_bytes: self.memory.map(|size| size.0) }
    }

    /// What is wrong with it.
    pub(crate) fn check(&self, errors: &mut SpecErrors) {
        if self.labels.len() > LABELS_MAX {
            let message = format!("expected at most {LABELS_MAX} labels, found {}", self.labels.len());
            errors.push(SpecError::new("requires.labels", message));
        }
        let mut seen = BTreeSet::new();
        for (index, text) in self.labels.iter().enumerate() {
            let wrong = match label(text) {
                Err(wrong) => wrong.to_string(),
                Ok(()) if !seen.insert(text) => "this label is listed twice".to_owned(),
                Ok(()) => continue,
            };
            let field = format!("requires.labels[{index}]");
            errors.push(SpecError::new(field, wrong).found(&Value::from(text.as_str())));
        }
    }
}

/// A text that is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {LABEL_MAX_CHARS} letters, digits, `-`, `_` or `.` (such as gpu or big-memory)")]
pub struct NoLabel;

/// Checks a label.
///
/// # Errors
/// [`NoLabel`] when the text is none.
pub fn label(text: &str) -> Result<(), NoLabel> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = (1..=LABEL_MAX_CHARS).contains(&text.len()) && text.chars().all(allowed);
    if fits { Ok(()) } else { Err(NoLabel) }
}

/// A number of bytes, written as people do: `8 GiB`, `500 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

const SIZE_EXPECTED: &str = "a size of memory in quotes, up to 8 PiB, such as \"8 GiB\" or \"500 MB\"";

impl Size {
    /// In bytes, 1 to [`MEMORY_MAX_BYTES`].
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

/// A text that is no [`Size`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a size of memory up to 8 PiB, such as 8GiB or 500MB")]
pub struct NoSize;

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let size: ByteSize = text.trim().parse().map_err(|_| NoSize)?;
        if (1..=MEMORY_MAX_BYTES).contains(&size.as_u64()) { Ok(Self(size.as_u64())) } else { Err(NoSize) }
    }
}

/// In the largest unit that needs no fraction, so that it reads back to the same.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
        let whole = units.into_iter().find(|(_, bits)| self.0.trailing_zeros() >= *bits);
        let (unit, bits) = whole.unwrap_or(("B", 0));
        write!(f, "{} {unit}", self.0 >> bits)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(SIZE_EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// As it was probably written.
fn in_words(bytes: u64) -> String {
    let exact = Size(bytes).to_string();
    if exact.ends_with(" B") { human(bytes) } else { exact }
}

/// What a worker must have to take a sweep's trials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Needs {
    /// All of these labels.
    pub labels: BTreeSet<String>,
    /// At least this much memory.
    pub memory_bytes: Option<u64>,
}

/// What a worker has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Its labels.
    pub labels: BTreeSet<String>,
    /// Its memory, where it is known.
    pub memory_bytes: Option<u64>,
}

impl Abilities {
    /// Whether this is enough. A worker whose memory is not known has none that could be asked for.
    #[must_use]
    pub fn meet(&self, needs: &Needs) -> bool {
        needs.labels.is_subset(&self.labels) && self.have_memory(needs)
    }

    fn have_memory(&self, needs: &Needs) -> bool {
        needs.memory_bytes.is_none_or(|needed| self.memory_bytes.is_some_and(|bytes| bytes >= needed))
    }
}

impl Needs {
    /// Whether any worker will do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What none of these workers has, in words; nothing when one of them meets the needs.
    #[must_use]
    pub fn missing(&self, workers: &[Abilities]) -> Option<String> {
        if workers.iter().any(|worker| worker.meet(self)) {
            return None;
        }
        if self.is_nothing() {
            return Some("no worker is there".to_owned());
        }
        let nobodys = |label: &&str| !workers.iter().any(|worker| worker.labels.contains(*label));
        let unknown: Vec<&str> = self.labels.iter().map(String::as_str).filter(nobodys).collect();
        let memory = self.memory_bytes.map(in_words);
        let mut missing: Vec<String> =
            unknown.iter().map(|label| format!("no worker has label {label}")).collect();
        if let Some(memory) = &memory
            && !workers.iter().any(|worker| worker.have_memory(self))
        {
            missing.push(format!("no worker has {memory}"));
        }
        if missing.is_empty() {
            // Each of it is somewhere, but not with one worker.
            let labels = self.labels.iter().map(|label| format!("label {label}"));
            let all: Vec<String> = labels.chain(memory).collect();
            missing.push(format!("no worker has {} at once", all.join(" and ")));
        }
        Some(missing.join("; "))
    }
}
