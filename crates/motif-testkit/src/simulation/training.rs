//! Trainings that train nothing: a trial logs, is saved and ends by its course, the same in every attempt.

use std::{collections::BTreeMap, sync::Arc};

use motif_server::glue;
use motif_store::records::PointRecord;
use motif_wire::{
    metrics::MetricPoint,
    trials::TrialReport,
    work::{Failure, Lease, MetricsReply},
};
use motif_worker::core::{CallError, Ending, Input, LeaseKey, LoggedPoint};
use uuid::Uuid;

use super::{
    audit::{Checked, Violation},
    network::Request,
    plan::{Course, Kind},
    worker::Call,
    world::{Event, World},
};
use crate::build;

/// What a training was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    GoOn,
    Stop,
    Conclude,
}

pub(super) struct Training {
    key: LeaseKey,
    trial: Uuid,
    number: u32,
    step: u64,
    pub(super) told: Told,
    pub(super) paused: bool,
    hangs: bool,
    /// The checkpoint that it asks to go on from.
    resumes: Option<motif_wire::work::Checkpoint>,
}

impl Training {
    fn new(lease: &Lease) -> Self {
        Self {
            key: LeaseKey { attempt: lease.attempt_id, token: lease.token.as_str().into() },
            trial: lease.trial_id,
            number: lease.attempt,
            step: 0,
            told: Told::GoOn,
            paused: false,
            hangs: false,
            resumes: lease.checkpoint.clone(),
        }
    }
}

/// A point of a trial, as its training logs it.
fn point(trial: Uuid, course: &Course, seq: u64) -> MetricPoint {
    let value = (trial.as_u128() as u64 ^ seq) as f64;
    let step = seq.checked_div(course.points).map_or(0, |before| before + 1);
    MetricPoint { seq, step, epoch: step as f64, values: BTreeMap::from([("loss".to_owned(), Some(value))]) }
}

/// The same as it has to be stored.
pub(super) fn point_record(trial: Uuid, course: &Course, seq: u64) -> PointRecord {
    glue::point_record(point(trial, course, seq))
}

/// The one result that a trial may have.
pub(super) fn result_hash(trial: Uuid) -> String {
    blake3::hash(trial.as_bytes()).to_hex().to_string()
}

/// Where a trial ends that is not cut short.
pub(super) fn last_step(course: &Course) -> u64 {
    if let Kind::Diverges { at } = course.kind { at } else { course.steps }
}

fn report(trial: Uuid, course: &Course) -> Box<TrialReport> {
    let steps = last_step(course);
    let diverged_step = matches!(course.kind, Kind::Diverges { .. }).then_some(steps);
    let metrics = BTreeMap::from([("test_accuracy".to_owned(), Some(0.5))]);
    Box::new(TrialReport { diverged_step, steps, result_hash: result_hash(trial), ..build::report(metrics) })
}

impl World {
    pub(super) fn start_training(&mut self, place: usize, lease: &Lease) -> Checked {
        let training = Training::new(lease);
        let attempt = lease.attempt_id;
        if self.workers[place].trainings.insert(attempt, training).is_some() {
            return Err(Violation::new("worker", "an attempt is trained twice"));
        }
        self.train_later(place, attempt);
        Ok(())
    }

    fn train_later(&mut self, place: usize, attempt: Uuid) {
        let worker = &self.workers[place];
        let Some(training) = worker.trainings.get(&attempt) else { return };
        let Some(course) = self.courses.get(&training.trial) else { return };
        let delay = course.step_time.div_f64(worker.rate);
        let process = worker.process;
        self.at(delay, Event::Train { place, process, attempt });
    }

    /// A training makes a step, or ends.
    pub(super) fn train(&mut self, place: usize, attempt: Uuid) -> Checked {
        let Some(training) = self.workers[place].trainings.get_mut(&attempt) else { return Ok(()) };
        let Some(course) = self.courses.get(&training.trial).copied() else { return Ok(()) };
        let (step, trial) = (training.step, training.trial);
        match training.told {
            Told::Stop => {
                if step > 0 {
                    self.feed(place, kept(attempt, trial, step))?;
                }
                return self.ends(place, attempt, Ending::Stopped);
            }
            Told::Conclude => {
                return Err(Violation::new("worker", "a trial ends early, and nobody wanted it"));
            }
            Told::GoOn => {}
        }
        if let Some(checkpoint) = training.resumes.clone() {
            let request = Request::Resume(training.key.clone(), checkpoint.hash);
            self.call(place, Call::Resume(attempt), request);
            return Ok(());
        }
        if training.paused || training.hangs {
            self.train_later(place, attempt);
            return Ok(());
        }
        training.step += 1;
        let (step, number) = (training.step, training.number);
        if let Kind::Hangs { at, attempts } = course.kind {
            training.hangs = at == step && number <= attempts;
        }
        if let Kind::Kills { at, attempts } = course.kind
            && (at, true) == (step, number <= attempts)
        {
            self.note(format_args!("worker {place} dies of its trial"));
            self.tally.poisoned += 1;
            self.kill(place);
            return Ok(());
        }
        self.feed(place, Input::Stepped { attempt, step, total_steps: Some(course.steps) })?;
        for seq in (step - 1) * course.points..step * course.points {
            let MetricPoint { step, epoch, values, .. } = point(trial, &course, seq);
            self.feed(place, Input::Logged { attempt, point: LoggedPoint { step, epoch, values } })?;
        }
        match course.kind {
            Kind::Breaks { at, attempts, retryable } if at == step && number <= attempts => {
                let failure = Failure { reason: "it broke".to_owned(), retryable };
                self.ends(place, attempt, Ending::Failed(failure))
            }
            _ if step == last_step(&course) => {
                self.ends(place, attempt, Ending::Trained(report(trial, &course)))
            }
            _ => {
                if step.is_multiple_of(course.kept_every) {
                    self.feed(place, kept(attempt, trial, step))?;
                }
                self.train_later(place, attempt);
                Ok(())
            }
        }
    }

    fn ends(&mut self, place: usize, attempt: Uuid, ending: Ending) -> Checked {
        self.workers[place].trainings.remove(&attempt);
        self.feed(place, Input::Ended { attempt, ending })
    }

    /// The server has said whether a training goes on from its checkpoint.
    pub(super) fn resumed(
        &mut self,
        place: usize,
        attempt: Uuid,
        result: &Result<MetricsReply, CallError>,
    ) -> Checked {
        let Some(training) = self.workers[place].trainings.get_mut(&attempt) else { return Ok(()) };
        let Some(checkpoint) = training.resumes.clone() else { return Ok(()) };
        match result {
            Ok(reply) => {
                training.resumes = None;
                training.step = checkpoint.step;
                let (step, points) = (checkpoint.step, reply.next_seq);
                if points != checkpoint.points {
                    let what = format!("it resumes with {points} points, not {}", checkpoint.points);
                    return Err(Violation::new("I4", what));
                }
                self.feed(place, Input::Resumed { attempt, step, points })?;
            }
            // It may have been granted: nothing is to be logged before that is known.
            Err(CallError::Transient(_)) => {}
            Err(_) => training.resumes = None,
        }
        self.train_later(place, attempt);
        Ok(())
    }
}

fn kept(attempt: Uuid, trial: Uuid, step: u64) -> Input {
    let bytes: Arc<[u8]> = [trial.as_bytes().as_slice(), &step.to_le_bytes()].concat().into();
    Input::Kept { attempt, step, bytes }
}
