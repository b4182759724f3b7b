//! What a worker saves of a trial: the engine's checkpoint, and behind it what the worker knows beyond that.
//!
//! ```text
//! the engine's checkpoint, a standing as JSON, the length of that (little-endian u64)
//! ```
//!
//! It carries no hash of its own: what it is saved and fetched under is the hash of all of it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::costs::Costs;

const LENGTH_BYTES: usize = size_of::<u64>();

/// What a worker knows of a training beyond the engine's checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Time that all attempts have spent up to here.
    pub(crate) training_s: f64,
    evaluation_s: f64,
    diagnostics_s: f64,
    spectra_s: f64,
    /// What was measured last, whenever that was; not what is not finite.
    pub(crate) measured: BTreeMap<String, f64>,
}

impl Standing {
    pub(crate) fn new(training: Duration, costs: &Costs, measured: &BTreeMap<String, f64>) -> Self {
        let finite = measured.iter().filter(|(_, value)| value.is_finite());
        Self {
            training_s: training.as_secs_f64(),
            evaluation_s: costs.evaluation.as_secs_f64(),
            diagnostics_s: costs.diagnostics.as_secs_f64(),
            spectra_s: costs.spectra.as_secs_f64(),
            measured: finite.map(|(name, value)| (name.clone(), *value)).collect(),
        }
    }

    pub(crate) fn training(&self) -> Duration {
        seconds(self.training_s)
    }

    pub(crate) fn costs(&self) -> Costs {
        Costs::new(seconds(self.evaluation_s), seconds(self.diagnostics_s), seconds(self.spectra_s))
    }

    /// Puts it behind the engine's checkpoint; nothing when it cannot be written.
    pub(crate) fn behind(&self, mut engine: Vec<u8>) -> Option<Vec<u8>> {
        let text = serde_json::to_vec(self).ok()?;
        engine.extend_from_slice(&text);
        engine.extend_from_slice(&(text.len() as u64).to_le_bytes());
        Some(engine)
    }

    /// The engine's checkpoint and what stood behind it; nothing when the bytes are not what [`Self::behind`] made.
    pub(crate) fn split(bytes: &[u8]) -> Option<(&[u8], Self)> {
        let (rest, length) = bytes.split_last_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (engine, text) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
        Some((engine, serde_json::from_slice(text).ok()?))
    }
}

/// Nothing for a number of seconds that is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_behind_is_split_off_and_anything_else_is_nothing() {
        let at = Duration::from_millis;
        let measured = BTreeMap::from([("a".to_owned(), 0.1 + 0.2), ("b".to_owned(), f64::NAN)]);
        let standing = Standing::new(at(1500), &Costs::new(at(1), at(2), at(3)), &measured);
        let bytes = standing.behind(b"engine".to_vec()).unwrap();
        let (engine, read) = Standing::split(&bytes).unwrap();
        assert_eq!((engine, &read), (&b"engine"[..], &standing));
        assert_eq!(read.measured, BTreeMap::from([("a".to_owned(), 0.1 + 0.2)]));
        for length in 0..bytes.len() {
            assert_eq!(Standing::split(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Standing::split(&[0xff; 32]), None);
    }
}
