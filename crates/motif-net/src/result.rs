//! How a trial ended, and the hash that pins every bit of it.

use std::collections::BTreeMap;

use crate::observe::Point;
use crate::tensors::Tensors;

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every step was made.
    Succeeded,
    /// The numbers ran away; a scientific outcome.
    Diverged {
        /// The minibatch, counted from 1, in which it showed.
        step: u64,
    },
    /// The observer ended it.
    Stopped {
        /// Minibatches learnt until then.
        step: u64,
    },
}

/// What a trial leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialResult {
    /// How it ended.
    pub outcome: Outcome,
    /// Minibatches learnt.
    pub steps: u64,
    /// Minibatches the config asks for.
    pub total_steps: u64,
    /// Number of weights, both pathways.
    pub parameters: u64,
    /// The values of the last point logged. A diverged trial's hold no test metrics.
    pub metrics: BTreeMap<String, f64>,
    /// 64 hex digits: [`ResultHash`].
    pub result_hash: String,
}

/// The chain of hashes over everything a trial logs, ending in its result hash.
///
/// BLAKE3 throughout; integers are little-endian u64, numbers their IEEE bits little-endian, texts their length
/// and UTF-8 bytes.
///
/// ```text
/// chain₀      = hash("motif-net result 1")
/// chain_{i+1} = hash(chain_i, "point", step, epoch, number of values, (name, value)…)
/// result      = hash(chain, "end", outcome (0 succeeded, 1 diverged, 2 stopped), its step or 0,
///                    number of tensors, (name, rows, columns, f32 values row-major)…)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultHash([u8; 32]);

impl ResultHash {
    pub(crate) fn new() -> Self {
        Self(*blake3::hash(b"motif-net result 1").as_bytes())
    }

    /// The chain as it stands.
    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A chain taken up where [`ResultHash::bytes`] left it.
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn add(&mut self, point: &Point) {
        let mut hasher = self.link("point");
        hasher.update(&point.step.to_le_bytes());
        hasher.update(&point.epoch.to_le_bytes());
        hasher.update(&(point.values.len() as u64).to_le_bytes());
        for (name, value) in &point.values {
            text(&mut hasher, name);
            hasher.update(&value.to_le_bytes());
        }
        self.0 = *hasher.finalize().as_bytes();
    }

    pub(crate) fn finish(&self, outcome: Outcome, tensors: &Tensors) -> String {
        let (tag, step) = match outcome {
            Outcome::Succeeded => (0_u64, 0),
            Outcome::Diverged { step } => (1, step),
            Outcome::Stopped { step } => (2, step),
        };
        let mut hasher = self.link("end");
        for number in [tag, step, tensors.iter().len() as u64] {
            hasher.update(&number.to_le_bytes());
        }
        let mut bytes = Vec::new();
        for tensor in tensors.iter() {
            text(&mut hasher, &tensor.name);
            hasher.update(&(tensor.value.nrows() as u64).to_le_bytes());
            hasher.update(&(tensor.value.ncols() as u64).to_le_bytes());
            for row in tensor.value.rows() {
                bytes.clear();
                bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
                hasher.update(&bytes);
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    fn link(&self, what: &str) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        text(&mut hasher, what);
        hasher
    }
}

fn text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}
