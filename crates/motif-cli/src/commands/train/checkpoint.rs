//! The checkpoint of a run that was left: the engine's own, and behind it what the run knows beyond that.
//!
//! ```text
//! the engine's checkpoint, length of metrics.jsonl, nanoseconds of training, evaluation, diagnostics, spectra,
//! BLAKE3 of these five
//! ```
//!
//! Integers are little-endian u64.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use motif_worker::Costs;

use crate::input::WrongInput;

/// Its name in the run's folder.
pub(super) const NAME: &str = "checkpoint.bin";
/// Its name while it is written.
pub(super) const UNFINISHED: &str = "checkpoint.tmp";
/// What a version of the numbers behind the engine's checkpoint is known by.
const CONTEXT: &str = "motif train checkpoint 1";
const NUMBERS: usize = 5;
const NUMBERS_BYTES: usize = NUMBERS * size_of::<u64>();
const TRAILER_BYTES: usize = NUMBERS_BYTES + blake3::OUT_LEN;

/// What a run knows beyond the engine's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// Length of metrics.jsonl: lines beyond are of steps that are made again.
    pub(super) metrics_bytes: u64,
    /// Time spent so far.
    pub(super) training: Duration,
    pub(super) costs: Costs,
}

impl Standing {
    fn trailer(&self) -> Vec<u8> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let Costs { evaluation, diagnostics, spectra, .. } = self.costs;
        let times = [self.training, evaluation, diagnostics, spectra].map(nanos);
        let mut bytes: Vec<u8> =
            std::iter::once(self.metrics_bytes).chain(times).flat_map(u64::to_le_bytes).collect();
        bytes.extend(blake3::derive_key(CONTEXT, &bytes));
        bytes
    }

    /// Nothing when the bytes are not what [`Standing::trailer`] wrote.
    fn read(trailer: &[u8; TRAILER_BYTES]) -> Option<Self> {
        let (numbers, hash) = trailer.split_at(NUMBERS_BYTES);
        if blake3::derive_key(CONTEXT, numbers) != hash {
            return None;
        }
        let mut numbers = numbers.chunks_exact(size_of::<u64>()).filter_map(|bytes| bytes.try_into().ok());
        let mut next = || numbers.next().map(u64::from_le_bytes);
        let metrics_bytes = next()?;
        let mut time = || next().map(Duration::from_nanos);
        let training = time()?;
        Some(Self { metrics_bytes, training, costs: Costs::new(time()?, time()?, time()?) })
    }
}

/// A checkpoint as it was found.
pub(super) struct Found {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Found {
    /// Reads the checkpoint of a run's folder.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let finished = dir.join("result.json").exists();
                let why = if finished { "the run there has ended" } else { "no run was left there" };
                let path = path.display();
                Err(WrongInput(format!("--resume: there is no checkpoint at {path}: {why}")).into())
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's checkpoint; all of it when there is no room for more, so that the engine says what it is.
    pub(super) fn engine(&self) -> &[u8] {
        self.bytes.split_last_chunk::<TRAILER_BYTES>().map_or(&self.bytes, |(engine, _)| engine)
    }

    /// What the run knew beyond it.
    ///
    /// # Errors
    /// The bytes were changed, or are of another version.
    pub(super) fn standing(&self) -> anyhow::Result<Standing> {
        let trailer = self.bytes.last_chunk::<TRAILER_BYTES>();
        trailer.and_then(Standing::read).with_context(|| {
            format!("the end of {} is corrupt, or of another version of motif", self.path.display())
        })
    }
}

/// Puts a checkpoint into a run's folder, whole or not at all.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(dir: &Path, mut engine: Vec<u8>, standing: &Standing) -> anyhow::Result<()> {
    engine.extend(standing.trailer());
    replace(dir, UNFINISHED, NAME, &engine)
}

/// Removes the checkpoint of a run that has ended.
///
/// # Errors
/// It is there and cannot be removed.
pub(super) fn remove(dir: &Path) -> anyhow::Result<()> {
    for name in [NAME, UNFINISHED] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", dir.join(name).display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Replaces a file so that neither a killed process nor a power cut leaves half of one.
fn replace(dir: &Path, unfinished: &str, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let (from, to) = (dir.join(unfinished), dir.join(name));
    let written = File::create(&from)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&from, &to))
        .and_then(|()| File::open(dir)?.sync_all());
    written.with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_any_changed_byte_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = Duration::from_millis;
        let standing =
            Standing { metrics_bytes: 77, training: at(9), costs: Costs::new(at(1), at(2), at(3)) };
        write(dir.path(), b"engine".to_vec(), &standing).unwrap();
        assert!(!dir.path().join(UNFINISHED).exists());
        let found = Found::read(dir.path()).unwrap();
        assert_eq!((found.engine(), found.standing().unwrap()), (&b"engine"[..], standing));
        for at in b"engine".len()..found.bytes.len() {
            let mut bytes = found.bytes.clone();
            bytes[at] ^= 1;
            fs::write(dir.path().join(NAME), &bytes).unwrap();
            let error = Found::read(dir.path()).unwrap().standing().unwrap_err();
            assert!(error.to_string().contains("corrupt"), "{error}");
        }
        fs::write(dir.path().join(NAME), b"short").unwrap();
        let found = Found::read(dir.path()).unwrap();
        assert!(found.engine() == b"short" && found.standing().is_err());
        remove(dir.path()).unwrap();
        assert!(Found::read(dir.path()).is_err_and(|error| error.is::<WrongInput>()));
        remove(dir.path()).unwrap();
    }
}
