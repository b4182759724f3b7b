//! What a training thread shows the driver, and how the driver holds or stops it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use motif_net::{NamedTensor, Observer, Outcome, Phase, Point};
use motif_sweep::clock::Clock;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    core::{Input, LoggedPoint},
    costs::Costs,
    journal::Entry,
    snapshots::Snapshots,
};

/// A training's step is told this often.
const STEP_EVERY: Duration = Duration::from_millis(250);

/// Holds, releases and stops one training.
#[derive(Debug, Default)]
pub(crate) struct Control {
    stop: AtomicBool,
    conclude: AtomicBool,
    paused: Mutex<bool>,
    changed: Condvar,
    /// The same as `stop`, for what waits in a task rather than in a thread.
    pub(crate) stopped: CancellationToken,
}

impl Control {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.stopped.cancel();
        self.pause(false);
    }

    /// Stops it, and what it has come to is its result.
    pub(crate) fn conclude(&self) {
        self.conclude.store(true, Ordering::Relaxed);
        self.stop();
    }

    pub(crate) fn pause(&self, paused: bool) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = paused;
        self.changed.notify_all();
    }

    /// Whether it was told to [`Self::conclude`]; to be asked once it has stopped.
    pub(crate) fn concludes(&self) -> bool {
        self.conclude.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Waits while paused; false once stopped.
    fn proceed(&self) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.changed.wait_while(paused, |paused| *paused && !self.is_stopped());
        drop(held);
        !self.is_stopped()
    }
}

/// Sends a training's points and steps to the driver.
pub(crate) struct Reporter {
    pub(crate) attempt: Uuid,
    pub(crate) control: Arc<Control>,
    pub(crate) events: Sender<Input>,
    /// What is told is kept on disk first.
    pub(crate) entry: Arc<Entry>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) total_steps: u64,
    pub(crate) told_at: Duration,
    pub(crate) costs: Costs,
    /// What was measured last, whenever that was.
    pub(crate) measured: BTreeMap<String, f64>,
    /// When it was saved last, or began.
    pub(crate) kept_at: Duration,
    /// What it is to hand over and has not yet, when it is to hand over anything.
    pub(crate) snapshots: Option<Snapshots>,
}

impl Reporter {
    /// The driver takes everything until it ends; then the training is to end too.
    fn tell(&self, input: Input) {
        if self.events.blocking_send(input).is_err() {
            self.control.stop();
        }
    }

    /// Hands over a checkpoint.
    pub(crate) fn keep(&mut self, step: u64, bytes: Vec<u8>) {
        self.kept_at = self.clock.monotonic();
        self.entry.checkpoint(step, &bytes);
        self.tell(Input::Kept { attempt: self.attempt, step, bytes: bytes.into() });
    }

    /// The training goes on from a checkpoint, with so many points before it.
    pub(crate) fn resumed(&self, step: u64, points: u64) {
        self.entry.resumed(points);
        self.tell(Input::Resumed { attempt: self.attempt, step, points });
    }

    pub(crate) fn step(&self, step: u64) {
        self.tell(Input::Stepped { attempt: self.attempt, step, total_steps: Some(self.total_steps) });
    }
}

impl Observer for Reporter {
    fn point(&mut self, point: &Point) {
        self.measured.extend(point.values.iter().cloned());
        let values = point.values.iter();
        let point = LoggedPoint {
            step: point.step,
            epoch: point.epoch,
            values: values.map(|(name, value)| (name.clone(), Some(*value))).collect(),
        };
        self.entry.point(&point);
        self.tell(Input::Logged { attempt: self.attempt, point });
    }

    fn begin(&mut self, _: u64, _: Phase) {
        self.costs.begin(self.clock.monotonic());
    }

    fn end(&mut self, _: u64, phase: Phase) {
        self.costs.end(phase, self.clock.monotonic());
    }

    fn wants_snapshot(&mut self, step: u64) -> bool {
        self.snapshots.is_some() && (step == 0 || step == self.total_steps)
    }

    fn snapshot(&mut self, step: u64, tensors: &[NamedTensor<'_>]) {
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.take(step, tensors);
        }
    }

    fn finished(&mut self, step: u64, outcome: Outcome, tensors: &[NamedTensor<'_>]) {
        // A trial that ends early has snapshots of its end all the same; one that another attempt goes on with, none.
        let ends = matches!(outcome, Outcome::Diverged { .. }) || self.control.concludes();
        if ends && outcome != Outcome::Succeeded {
            self.snapshot(step, tensors);
        }
    }

    fn proceed(&mut self, step: u64) -> bool {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.told_at) >= STEP_EVERY {
            self.told_at = now;
            self.step(step);
        }
        self.control.proceed()
    }
}
