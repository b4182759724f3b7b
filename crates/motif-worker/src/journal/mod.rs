//! The spool on disk: what the server has not acknowledged of each attempt, so that it outlives the worker.
//!
//! ```text
//! DATA/spool/{attempt}.spool         its lease and its points, then how it ended: lines, each behind its own hash
//! DATA/spool/{attempt}.checkpoint    its newest checkpoint
//! ```
//!
//! Whoever trains writes here before the driver hears of it; the driver says what has been acknowledged. A worker holds a
//! lock on each of its files, so that a worker that starts takes over the files of those that are gone, and no others.
//! Lease tokens stand in the files: nobody else may read them. A disk that fails costs this safety, never the training.

mod entry;
mod lines;
mod recovery;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use motif_wire::work::Lease;
use uuid::Uuid;

pub(crate) use entry::Entry;
use lines::Head;

use crate::core::{CallError, Input, Recovered};

/// The folder, and what all attempts of this worker share.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    entries: Mutex<HashMap<Uuid, Arc<Entry>>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    /// What is found is delivered to the server that it was meant for alone.
    server: String,
    /// Bytes that the folder may hold, and holds, as far as this worker knows.
    bytes_max: u64,
    bytes: AtomicU64,
    /// Whether it was said that something is not kept on disk.
    warned: AtomicBool,
}

impl Journal {
    /// Opens the folder and takes over what workers that are gone have left for this server. A folder that cannot be used
    /// is warned about: the worker does without.
    pub(crate) fn open(data: &Path, server: &str, bytes_max: u64) -> (Self, Vec<Recovered>) {
        let shared = Arc::new(Shared {
            folder: data.join("spool"),
            server: server.to_owned(),
            bytes_max,
            bytes: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        });
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&shared.folder);
        let found = made.and_then(|()| recovery::take_over(&shared)).unwrap_or_else(|error| {
            shared.warn(&error);
            Vec::new()
        });
        let (entries, recovered) =
            found.into_iter().map(|(entry, recovered)| ((recovered.key.attempt, entry), recovered)).unzip();
        (Self { shared, entries: Mutex::new(entries) }, recovered)
    }

    /// An attempt whose training begins.
    pub(crate) fn begin(&self, lease: &Lease) -> Arc<Entry> {
        let head = Head {
            server: self.shared.server.clone(),
            attempt: lease.attempt_id,
            token: lease.token.clone(),
            trial: lease.trial_id,
            heartbeat_s: lease.policy.heartbeat_s,
        };
        let entry = Arc::new(Entry::begin(&self.shared, head));
        self.held(|entries| entries.insert(lease.attempt_id, Arc::clone(&entry)));
        entry
    }

    /// Forgets what the server has acknowledged.
    pub(crate) fn note(&self, input: &Input) {
        match input {
            Input::Stored { attempt, result: Ok(reply) } => {
                self.with(*attempt, |entry| entry.acknowledged(reply.next_seq));
            }
            // What the server does not take is not sent again.
            Input::Saved { attempt, step, result }
                if !matches!(result, Err(CallError::Transient(_) | CallError::Fatal(_))) =>
            {
                self.with(*attempt, |entry| entry.saved(*step));
            }
            _ => {}
        }
    }

    /// Forgets the attempts that are over.
    pub(crate) fn retain(&self, held: impl Fn(Uuid) -> bool) {
        let over: Vec<_> = self.held(|entries| entries.extract_if(|attempt, _| !held(*attempt)).collect());
        for (_, entry) in over {
            entry.remove();
        }
    }

    fn with(&self, attempt: Uuid, act: impl FnOnce(&Entry)) {
        let entry = self.held(|entries| entries.get(&attempt).cloned());
        if let Some(entry) = entry {
            act(&entry);
        }
    }

    fn held<T>(&self, act: impl FnOnce(&mut HashMap<Uuid, Arc<Entry>>) -> T) -> T {
        act(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn path(&self, attempt: Uuid, kind: Kind) -> PathBuf {
        self.folder.join(format!("{attempt}{}", kind.ending()))
    }

    /// Where a file is made before it gets its name.
    fn unfinished(&self, attempt: Uuid, kind: Kind) -> PathBuf {
        self.folder.join(format!(".{attempt}{}", kind.ending()))
    }

    /// A new file that only this user may read.
    fn create(&self, attempt: Uuid, kind: Kind) -> io::Result<File> {
        let path = self.unfinished(attempt, kind);
        File::options().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
    }

    /// Gives a new file its name.
    fn place(&self, attempt: Uuid, kind: Kind) -> io::Result<()> {
        fs::rename(self.unfinished(attempt, kind), self.path(attempt, kind))
    }

    /// Makes the names in the folder safe.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Counts bytes that are to be written.
    fn take(&self, bytes: u64) -> io::Result<()> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        match self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(held) => Err(io::Error::other(format!(
                "it holds {held} bytes, {bytes} more would be beyond its limit of {}",
                self.bytes_max
            ))),
        }
    }

    fn give(&self, bytes: u64) {
        let _ = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
    }

    /// Counts bytes that are there.
    fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The disk takes what is written again.
    fn recovered(&self) {
        self.warned.store(false, Ordering::Relaxed);
    }

    /// Says that something is in memory alone: once, until [`Self::recovered`].
    fn warn(&self, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                folder = %self.folder.display(),
                "the spool cannot be written: what the server has not got yet is in memory alone, and training goes on"
            );
        }
    }
}

/// What a file holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Log,
    Checkpoint,
}

impl Kind {
    const fn ending(self) -> &'static str {
        match self {
            Self::Log => ".spool",
            Self::Checkpoint => ".checkpoint",
        }
    }
}

/// Deletes a file that may be gone.
fn delete(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
