//! What workers that are gone have left: read, checked, and held from now on.

use std::{
    collections::VecDeque,
    fs::{self, File, TryLockError},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

use super::{
    Entry, Kind, Shared, delete,
    entry::Log,
    lines::{self, Ended, Head, Line},
};
use crate::core::{LeaseKey, Recovered};

/// Reads the folder, deletes what nobody can use, and takes over what is for this server.
///
/// # Errors
/// When the folder cannot be read; a file that cannot be is warned about and left alone.
pub(super) fn take_over(shared: &Arc<Shared>) -> io::Result<Vec<(Arc<Entry>, Recovered)>> {
    let mut found = Vec::new();
    let mut checkpoints = Vec::new();
    for file in fs::read_dir(&shared.folder)? {
        let path = file?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let (hidden, name) = name.strip_prefix('.').map_or((false, name), |rest| (true, rest));
        let attempt = |kind: Kind| name.strip_suffix(kind.ending()).and_then(|id| id.parse::<Uuid>().ok());
        let outcome = if let Some(attempt) = attempt(Kind::Checkpoint) {
            checkpoints.push((attempt, path.clone()));
            Ok(())
        } else if attempt(Kind::Log).is_none() {
            Ok(())
        } else if hidden {
            abandoned(&path)
        } else {
            log(shared, &path).map(|left| found.extend(left))
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, file = %path.display(), "a file of the spool is left alone");
        }
    }
    // Without its log, a checkpoint is nobody's; while one is written, its log is there.
    for (attempt, path) in checkpoints {
        if !shared.path(attempt, Kind::Log).exists() {
            delete(&path)?;
        }
    }
    Ok(found)
}

/// Deletes a file whose maker has not come to give it its name.
fn abandoned(path: &Path) -> io::Result<()> {
    match File::open(path)?.try_lock() {
        Ok(()) => delete(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A file's attempt, when its worker is gone and it was meant for this server.
fn log(shared: &Arc<Shared>, path: &Path) -> io::Result<Option<(Arc<Entry>, Recovered)>> {
    let mut file = File::options().read(true).append(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if file.metadata()?.nlink() == 0 {
        // Its worker has deleted it since.
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    shared.count(bytes.len() as u64);
    let read = Content::read(&bytes);
    let shown = path.display();
    let Some(head) = read.head else {
        tracing::warn!(file = %shown, bytes = bytes.len(), "a file of the spool is damaged from its start: deleted");
        shared.give(bytes.len() as u64);
        return delete(path).map(|()| None);
    };
    if head.server != shared.server {
        tracing::info!(file = %shown, server = head.server, "left for a worker of that server");
        return Ok(None);
    }
    if read.bytes < bytes.len() {
        let lost = bytes.len() - read.bytes;
        tracing::warn!(file = %shown, bytes = lost, "the end of a file of the spool is damaged, and skipped");
    }
    let kept = checkpoint(shared, head.attempt).unwrap_or_else(|error| {
        tracing::warn!(%error, attempt = %head.attempt, "a checkpoint of the spool is skipped");
        None
    });
    let recovered = Recovered {
        key: LeaseKey { attempt: head.attempt, token: head.token.as_str().into() },
        trial: head.trial,
        beat_every: Duration::from_secs(u64::from(head.heartbeat_s.max(1))),
        points: read.points,
        kept: kept.as_ref().map(|kept| (kept.step, kept.points, Arc::clone(&kept.bytes))),
        report: read.ended.map(Ended::report),
    };
    tracing::info!(
        attempt = %head.attempt,
        points = recovered.points.len(),
        checkpoint = recovered.kept.is_some(),
        ended = recovered.report.is_some(),
        "what a worker has left is delivered"
    );
    let log = Log {
        file: Arc::new(file),
        head,
        bytes: bytes.len() as u64,
        points: read.places,
        points_end: read.points_end,
    };
    let checkpoint = kept.map(|kept| (kept.step, kept.size));
    Ok(Some((Arc::new(Entry::taken_over(shared, log, checkpoint)), recovered)))
}

/// What a file says, up to its first line that is not whole.
#[derive(Default)]
struct Content {
    head: Option<Head>,
    points: Vec<motif_wire::metrics::MetricPoint>,
    places: VecDeque<(u64, u64)>,
    points_end: u64,
    ended: Option<Ended>,
    bytes: usize,
}

impl Content {
    fn read(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        while let Some((line, length)) = bytes.get(content.bytes..).and_then(lines::read) {
            match line {
                Line::Head(head) if content.bytes == 0 => content.head = Some(head),
                Line::Point(point) if content.takes(point.seq) => {
                    content.places.push_back((point.seq, content.bytes as u64));
                    content.points.push(point);
                }
                Line::Ended(ended) if content.head.is_some() && content.ended.is_none() => {
                    content.ended = Some(ended);
                }
                _ => break,
            }
            content.bytes += length;
            if content.ended.is_none() {
                content.points_end = content.bytes as u64;
            }
        }
        content
    }

    fn takes(&self, seq: u64) -> bool {
        let next = self.points.last().is_none_or(|last| last.seq + 1 == seq);
        self.head.is_some() && self.ended.is_none() && next
    }
}

struct Kept {
    step: u64,
    points: u64,
    bytes: Arc<[u8]>,
    size: u64,
}

/// An attempt's checkpoint, where there is one; one that is damaged is deleted.
fn checkpoint(shared: &Shared, attempt: Uuid) -> io::Result<Option<Kept>> {
    let path = shared.path(attempt, Kind::Checkpoint);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = bytes.len() as u64;
    shared.count(size);
    if let Some((Line::Checkpoint(said), length)) = lines::read(&bytes)
        && let Some(bytes) = bytes.get(length..)
        && blake3::hash(bytes).to_hex().as_str() == said.hash
    {
        return Ok(Some(Kept { step: said.step, points: said.points, bytes: bytes.into(), size }));
    }
    shared.give(size);
    delete(&path)?;
    Err(io::Error::other("it is damaged"))
}
