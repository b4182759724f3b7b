//! Lines of the spool's files: a hash, then JSON. A line that was cut off or changed does not fit its hash.

use std::io;

use motif_wire::{metrics::MetricPoint, trials::TrialReport, work::Failure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::core::{DRAIN_REASON, Ending, Report};

/// Hex digits of the hash before each line.
const HASH_DIGITS: usize = 16;

/// Whose points follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) server: String,
    pub(super) attempt: Uuid,
    pub(super) token: String,
    pub(super) trial: Uuid,
    pub(super) heartbeat_s: u32,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Head(Head),
    Point(MetricPoint),
    Ended(Ended),
    Checkpoint(Checkpoint),
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    Trained(Box<TrialReport>),
    Failed(Failure),
    Stopped,
}

/// The bytes that follow, to the file's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) step: u64,
    pub(super) points: u64,
    pub(super) hash: String,
}

impl Ended {
    pub(super) fn of(ending: &Ending) -> Self {
        match ending {
            Ending::Trained(report) => Self::Trained(report.clone()),
            Ending::Failed(failure) => Self::Failed(failure.clone()),
            Ending::Stopped => Self::Stopped,
        }
    }

    pub(super) fn report(self) -> Report {
        match self {
            Self::Trained(report) => Report::Complete(report),
            Self::Failed(failure) => Report::Fail(failure),
            Self::Stopped => Report::Release(motif_wire::work::Release { reason: DRAIN_REASON.to_owned() }),
        }
    }
}

/// A line's bytes.
pub(super) fn write(line: &Line) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(line)?;
    let mut bytes = hash(&json).into_bytes();
    bytes.push(b' ');
    bytes.extend(json);
    bytes.push(b'\n');
    Ok(bytes)
}

/// The first line and its length; nothing when the bytes begin with none that is whole.
pub(super) fn read(bytes: &[u8]) -> Option<(Line, usize)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (found, json) = bytes.get(..end)?.split_at_checked(HASH_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    if hash(json).as_bytes() != found {
        return None;
    }
    Some((serde_json::from_slice(json).ok()?, end + 1))
}

fn hash(json: &[u8]) -> String {
    blake3::hash(json).to_hex().chars().take(HASH_DIGITS).collect()
}
