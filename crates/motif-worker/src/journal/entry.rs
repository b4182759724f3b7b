//! One attempt's files, as its training writes them and the driver forgets them.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use motif_wire::metrics::MetricPoint;
use uuid::Uuid;

use super::{
    Kind, Shared, delete,
    lines::{self, Checkpoint, Ended, Head, Line},
};
use crate::core::{Ending, LoggedPoint};

/// A file with more bytes of acknowledged points than this is written anew without them.
const ACKNOWLEDGED_BYTES_MAX: u64 = 256 << 10;

/// Seconds of training from which on a result is worth the wait for the disk.
const SYNCED_TRAINING_MIN_S: f64 = 1.0;

/// One attempt.
#[derive(Debug)]
pub(crate) struct Entry {
    shared: Arc<Shared>,
    attempt: Uuid,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Number of the next point.
    next_seq: u64,
    /// Nothing when the disk has failed, or the attempt is over: then nothing more is written.
    log: Option<Log>,
    /// Step and size of the checkpoint that is on disk.
    checkpoint: Option<(u64, u64)>,
}

/// A file of lines, locked.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) file: Arc<File>,
    pub(super) head: Head,
    pub(super) bytes: u64,
    /// Numbers of the points that are not acknowledged, and where they begin.
    pub(super) points: VecDeque<(u64, u64)>,
    /// Where the points end, and how the attempt ended begins.
    pub(super) points_end: u64,
}

impl Log {
    /// A new file under its name, which nobody else has locked in between.
    fn create(shared: &Shared, head: Head, rest: &[u8]) -> io::Result<Self> {
        let attempt = head.attempt;
        let mut bytes = lines::write(&Line::Head(head.clone()))?;
        bytes.extend_from_slice(rest);
        shared.take(bytes.len() as u64)?;
        let made = || {
            let mut file = shared.create(attempt, Kind::Log)?;
            file.try_lock()?;
            file.write_all(&bytes)?;
            if !rest.is_empty() {
                // What it replaces may have been safe.
                file.sync_data()?;
            }
            shared.place(attempt, Kind::Log)?;
            Ok(file)
        };
        match made() {
            Ok(file) => {
                let (file, bytes) = (Arc::new(file), bytes.len() as u64);
                Ok(Self { file, head, bytes, points: VecDeque::new(), points_end: bytes })
            }
            Err(error) => {
                shared.give(bytes.len() as u64);
                // What is left of it is found, and deleted, by the next worker.
                let _ = delete(&shared.unfinished(attempt, Kind::Log));
                Err(error)
            }
        }
    }

    /// Adds a line; returns where it begins.
    fn append(&mut self, shared: &Shared, line: &Line) -> io::Result<u64> {
        let bytes = lines::write(line)?;
        shared.take(bytes.len() as u64)?;
        let begins = self.bytes;
        self.bytes += bytes.len() as u64;
        (&*self.file).write_all(&bytes)?;
        Ok(begins)
    }

    /// The same without the points that are acknowledged, in a new file.
    fn shortened(&self, shared: &Shared, from: u64) -> io::Result<Self> {
        let mut rest = Vec::new();
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(from))?;
        file.read_to_end(&mut rest)?;
        let log = Self::create(shared, self.head.clone(), &rest)?;
        let begins = log.bytes - rest.len() as u64;
        let moved = |at: u64| at - from + begins;
        let points = self.points.iter().map(|(seq, at)| (*seq, moved(*at))).collect();
        shared.give(self.bytes);
        Ok(Self { points, points_end: moved(self.points_end), ..log })
    }
}

impl Entry {
    /// Begins an attempt's file.
    pub(super) fn begin(shared: &Arc<Shared>, head: Head) -> Self {
        let attempt = head.attempt;
        let log = Log::create(shared, head, &[]).inspect_err(|error| shared.warn(error)).ok();
        let state = State { next_seq: 0, log, checkpoint: None };
        Self { shared: Arc::clone(shared), attempt, state: Mutex::new(state) }
    }

    /// What another worker has left.
    pub(super) fn taken_over(shared: &Arc<Shared>, log: Log, checkpoint: Option<(u64, u64)>) -> Self {
        let attempt = log.head.attempt;
        let next_seq = log.points.back().map_or(0, |(seq, _)| seq + 1);
        let state = State { next_seq, log: Some(log), checkpoint };
        Self { shared: Arc::clone(shared), attempt, state: Mutex::new(state) }
    }

    /// The training goes on from a checkpoint, with so many points before it.
    pub(crate) fn resumed(&self, points: u64) {
        self.state().next_seq = points;
    }

    /// Keeps a point.
    pub(crate) fn point(&self, point: &LoggedPoint) {
        let mut state = self.state();
        let seq = state.next_seq;
        state.next_seq += 1;
        let LoggedPoint { step, epoch, values } = point.clone();
        let line = Line::Point(MetricPoint { seq, step, epoch, values });
        let Some(log) = &mut state.log else { return };
        match log.append(&self.shared, &line) {
            Ok(begins) => {
                log.points.push_back((seq, begins));
                log.points_end = log.bytes;
            }
            Err(error) => self.fail(&mut state, &error),
        }
    }

    /// Keeps a checkpoint in the place of the one before, once the points before it are safe.
    pub(crate) fn checkpoint(&self, step: u64, bytes: &[u8]) {
        let (file, points) = {
            let state = self.state();
            let Some(log) = &state.log else { return };
            (Arc::clone(&log.file), state.next_seq)
        };
        if let Err(error) = file.sync_data().and_then(|()| self.write_checkpoint(step, points, bytes)) {
            self.shared.warn(&error);
        }
    }

    /// The driver does not wait for the disk meanwhile: only this attempt's training writes here.
    fn write_checkpoint(&self, step: u64, points: u64, bytes: &[u8]) -> io::Result<()> {
        let hash = blake3::hash(bytes).to_hex().to_string();
        let line = lines::write(&Line::Checkpoint(Checkpoint { step, points, hash }))?;
        let size = (line.len() + bytes.len()) as u64;
        self.shared.take(size)?;
        let written = || {
            let mut file = self.shared.create(self.attempt, Kind::Checkpoint)?;
            file.write_all(&line)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        let placed = written().and_then(|()| {
            let mut state = self.state();
            // The attempt may be over by now.
            if state.log.is_none() {
                return Err(io::Error::other("the attempt is over"));
            }
            self.shared.place(self.attempt, Kind::Checkpoint)?;
            if let Some((_, before)) = state.checkpoint.replace((step, size)) {
                self.shared.give(before);
            }
            Ok(())
        });
        if placed.is_err() {
            self.shared.give(size);
            delete(&self.shared.unfinished(self.attempt, Kind::Checkpoint))?;
            if self.state().log.is_none() {
                return Ok(());
            }
        }
        placed?;
        self.shared.sync()
    }

    /// Keeps how the training ended. A result that took a while is safe before anyone hears of it; what a loss of power
    /// takes of the others costs less than waiting for the disk.
    pub(crate) fn ended(&self, ending: &Ending) {
        let line = Line::Ended(Ended::of(ending));
        let file = {
            let mut state = self.state();
            let Some(log) = &mut state.log else { return };
            if let Err(error) = log.append(&self.shared, &line) {
                return self.fail(&mut state, &error);
            }
            Arc::clone(&log.file)
        };
        let cheap = matches!(ending, Ending::Trained(report) if report.training_s < SYNCED_TRAINING_MIN_S);
        if cheap || matches!(ending, Ending::Stopped) {
            return;
        }
        match file.sync_all().and_then(|()| self.shared.sync()) {
            Ok(()) => self.shared.recovered(),
            Err(error) => self.shared.warn(&error),
        }
    }

    /// The server has the points below this number.
    pub(super) fn acknowledged(&self, next_seq: u64) {
        let mut state = self.state();
        let Some(log) = &mut state.log else { return };
        while log.points.front().is_some_and(|(seq, _)| *seq < next_seq) {
            log.points.pop_front();
        }
        let from = log.points.front().map_or(log.points_end, |(_, begins)| *begins);
        if from >= ACKNOWLEDGED_BYTES_MAX {
            match log.shortened(&self.shared, from) {
                Ok(shorter) => *log = shorter,
                Err(error) => self.shared.warn(&error),
            }
        }
    }

    /// The server has the checkpoint of this step, or does not want it.
    pub(super) fn saved(&self, step: u64) {
        let mut state = self.state();
        if let Some((_, bytes)) = state.checkpoint.take_if(|(held, _)| *held == step) {
            self.shared.give(bytes);
            if let Err(error) = delete(&self.shared.path(self.attempt, Kind::Checkpoint)) {
                self.shared.warn(&error);
            }
        }
    }

    /// The attempt is over.
    pub(super) fn remove(&self) {
        self.forget(&mut self.state());
    }

    /// What cannot be written whole is not kept at all: what is found later must have no gaps.
    fn fail(&self, state: &mut State, error: &io::Error) {
        self.shared.warn(error);
        self.forget(state);
    }

    fn forget(&self, state: &mut State) {
        let Some(log) = state.log.take() else { return };
        self.shared.give(log.bytes + state.checkpoint.take().map_or(0, |(_, bytes)| bytes));
        let paths = [Kind::Checkpoint, Kind::Log].map(|kind| self.shared.path(self.attempt, kind));
        for path in paths {
            if let Err(error) = delete(&path) {
                self.shared.warn(&error);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
