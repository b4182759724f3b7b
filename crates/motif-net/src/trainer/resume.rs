//! Leaving a trial at any step and taking it up again, to the same bits as if it had never been left.

use std::collections::BTreeMap;

use ndarray::Array2;
use thiserror::Error;

use super::{TrainError, Trainer};
use crate::checkpoint::{CheckpointError, Reader, Writer};
use crate::config::TrialConfig;
use crate::examples::{Examples, Task, Values};
use crate::math::Score;
use crate::platform::instruction_set;
use crate::result::ResultHash;

/// Bytes of a checkpoint besides weights and velocities, about.
const FIXED_BYTES: usize = 16 << 10;
/// Values hashed at a time.
const HASHED_VALUES: usize = 16 << 10;

/// Why a trial cannot be taken up again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResumeError {
    /// The trial could not be trained at all.
    #[error("the trial cannot be trained")]
    Trial(#[source] TrainError),
    /// The checkpoint is unsound or of another trial.
    #[error("the checkpoint cannot be resumed")]
    Checkpoint(#[source] CheckpointError),
}

impl<'a> Trainer<'a> {
    /// Everything of this trial that config, seed and task do not determine, at whatever step it stands.
    ///
    /// The first checkpoint of a trial also hashes the task's examples.
    #[must_use]
    pub fn checkpoint(&self) -> Vec<u8> {
        let numbers = self.network.tensors.parameters() as usize + self.updater.velocity_numbers();
        let mut writer = Writer::new(4 * numbers + FIXED_BYTES);
        writer.hash(&config_hash(&self.config));
        writer.integer(self.seed);
        writer.hash(self.task_hash.get_or_init(|| task_hash(&self.task, &self.config)));
        writer.text(instruction_set());
        writer.integer(self.steps);
        writer.integer(u64::from(self.started));
        writer.integer(self.diverged_at.unwrap_or(0));
        writer.number(self.running.loss);
        writer.integer(self.running.correct);
        writer.integer(self.running.count);
        writer.hash(self.hash.bytes());
        writer.integer(self.metrics.len() as u64);
        for (name, &value) in &self.metrics {
            writer.text(name);
            writer.number(value);
        }
        for tensor in self.network.tensors.iter() {
            write_tensor(&mut writer, &tensor.name, &tensor.value);
        }
        for (tensor, velocity) in self.network.tensors.iter().zip(self.updater.velocities()) {
            write_tensor(&mut writer, &tensor.name, velocity);
        }
        writer.finish()
    }

    /// The trial as it stood when `checkpoint` was made from the same config, seed and task.
    ///
    /// From here on it logs, learns and ends as if it had not been left: every later point, every weight and the
    /// result hash are the same bits. The observer is not shown again what it saw before.
    ///
    /// # Errors
    /// [`ResumeError`]: the config breaks a limit, or the checkpoint is cut short, corrupt, of another version, or
    /// made under another config, seed, task or instruction set.
    pub fn resume(
        config: &TrialConfig,
        seed: u64,
        task: &Task<'a>,
        checkpoint: &[u8],
    ) -> Result<Self, ResumeError> {
        let mut reader = Reader::new(checkpoint).map_err(ResumeError::Checkpoint)?;
        let mut trainer = Self::new(config, seed, task).map_err(ResumeError::Trial)?;
        trainer.read(&mut reader).and_then(|()| reader.finish()).map_err(ResumeError::Checkpoint)?;
        Ok(trainer)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), CheckpointError> {
        self.check_origin(reader)?;
        self.steps = reader.integer()?;
        let started = reader.integer()?;
        self.started = started == 1;
        let diverged = reader.integer()?;
        self.diverged_at = (diverged > 0).then_some(diverged);
        if self.steps > self.total_steps || started > 1 || diverged > self.total_steps {
            return Err(reader.corrupt());
        }
        self.running = Score { loss: reader.number()?, correct: reader.integer()?, count: reader.integer()? };
        self.hash = ResultHash::from_bytes(reader.hash()?);
        let mut metrics = BTreeMap::new();
        for _ in 0..reader.count()? {
            metrics.insert(reader.text()?.to_owned(), reader.number()?);
        }
        self.metrics = metrics;
        for tensor in self.network.tensors.iter_mut() {
            read_tensor(reader, &tensor.name, &mut tensor.value)?;
        }
        for (tensor, velocity) in self.network.tensors.iter().zip(self.updater.velocities_mut()) {
            read_tensor(reader, &tensor.name, velocity)?;
        }
        if !self.ends_epoch() {
            self.shuffle();
        }
        Ok(())
    }

    /// Checks that the checkpoint is of this trial.
    fn check_origin(&self, reader: &mut Reader<'_>) -> Result<(), CheckpointError> {
        let hex = |hash: &[u8; 32]| blake3::Hash::from(*hash).to_hex().to_string();
        let own = config_hash(&self.config);
        CheckpointError::unless_equal("config hash", hex(&reader.hash()?), hex(&own))?;
        CheckpointError::unless_equal("seed", reader.integer()?.to_string(), self.seed.to_string())?;
        let own = self.task_hash.get_or_init(|| task_hash(&self.task, &self.config));
        CheckpointError::unless_equal("task hash", hex(&reader.hash()?), hex(own))?;
        CheckpointError::unless_equal(
            "instruction set",
            reader.text()?.to_owned(),
            instruction_set().to_owned(),
        )
    }
}

fn write_tensor(writer: &mut Writer, name: &str, value: &Array2<f32>) {
    writer.text(name);
    writer.integer(value.nrows() as u64);
    writer.integer(value.ncols() as u64);
    writer.singles(value.iter());
}

fn read_tensor(reader: &mut Reader<'_>, name: &str, value: &mut Array2<f32>) -> Result<(), CheckpointError> {
    let describe = |name: &str, rows: u64, columns: u64| format!("{name} ({rows} × {columns})");
    let found = describe(reader.text()?, reader.integer()?, reader.integer()?);
    let own = describe(name, value.nrows() as u64, value.ncols() as u64);
    CheckpointError::unless_equal("tensor", found, own)?;
    reader.singles(value.iter_mut())
}

/// BLAKE3 of the config's JSON.
fn config_hash(config: &TrialConfig) -> [u8; 32] {
    let json = serde_json::to_vec(config).expect("a config without violations is plain data");
    *blake3::hash(&json).as_bytes()
}

/// BLAKE3 of everything a trial of this config can see of its task.
fn task_hash(task: &Task<'_>, config: &TrialConfig) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(task.classes as u64).to_le_bytes());
    hash_examples(&mut hasher, &task.train);
    if config.validation.is_none() {
        hash_examples(&mut hasher, &task.test);
    }
    if let Some(image) = task.image.filter(|_| !config.augment.is_off()) {
        for number in [image.channels, image.height, image.width] {
            hasher.update(&(number as u64).to_le_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

fn hash_examples(hasher: &mut blake3::Hasher, examples: &Examples<'_>) {
    for number in [examples.len(), examples.features, usize::from(matches!(examples.values, Values::U8(_)))] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(4 * HASHED_VALUES);
    for labels in examples.labels.chunks(HASHED_VALUES) {
        bytes.clear();
        bytes.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
        hasher.update(&bytes);
    }
    match examples.values {
        Values::U8(values) => {
            hasher.update(values);
        }
        Values::F32(values) => {
            for values in values.chunks(HASHED_VALUES) {
                bytes.clear();
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                hasher.update(&bytes);
            }
        }
    }
}
