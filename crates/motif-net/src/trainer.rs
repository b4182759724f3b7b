//! The training loop: one trial on one thread, every reduction in a fixed order, also where idle threads help.

mod resume;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::augment::Placements;
use crate::config::{Diagnostics, NamedCadence, Schedule, StepCadence, TrialConfig};
use crate::diagnose::{self, PROBE_EXAMPLES, Probe};
use crate::examples::{Task, TaskError};
use crate::math::Score;
use crate::network::Network;
use crate::normalize::Normalization;
use crate::observe::{Observer, Phase, Point};
use crate::random::Stream;
use crate::result::{Outcome, ResultHash, TrialResult};
use crate::signals::{Signal, Signals};
use crate::spare::SpareThreads;
use crate::spectra;
use crate::split::Split;
use crate::update::Updater;
use crate::validate::{MAX_TRIAL_BYTES, Violation};

pub use resume::ResumeError;

/// The weights' norms are held against the divergence bound this often, and at each epoch's end.
const NORM_CHECK_STEPS: u64 = 50;

/// Why a trial cannot be trained.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TrainError {
    /// The config breaks limits, of its own or of the task.
    #[error("the config cannot be trained: {}", list(.0))]
    Config(Vec<Violation>),
    /// The task was not made by [`Task::new`] and is unsound.
    #[error("the task cannot be trained on")]
    Task(#[source] TaskError),
    /// The estimated memory is beyond [`MAX_TRIAL_BYTES`].
    #[error("the trial would need about {bytes} bytes of memory, expected at most {MAX_TRIAL_BYTES}")]
    Memory {
        /// The estimate.
        bytes: u64,
    },
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Trains one trial from start to end.
///
/// The result is a pure function of config, seed, examples and [`crate::instruction_set`]: the same bits alone or
/// beside other trials.
///
/// # Errors
/// [`TrainError`] when the config breaks a limit; never for what happens while training.
///
/// # Examples
/// ```
/// use motif_net::{Examples, Outcome, Task, TrialConfig, Values, train};
/// let values: Vec<f32> = (0..400).map(|i| ((i / 4 % 2) * 2 + i % 3) as f32).collect();
/// let labels: Vec<u16> = (0..100).map(|i| i % 2).collect();
/// let split = Examples { values: Values::F32(&values), labels: &labels, features: 4 };
/// let task = Task::new(split, split, 2)?;
/// let config = TrialConfig { hidden: vec![8], epochs: 3, batch_size: 10, ..TrialConfig::default() };
/// let result = train(&config, 0, &task, &mut ())?;
/// assert_eq!(result.outcome, Outcome::Succeeded);
/// assert_eq!(result.steps, 30);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn train(
    config: &TrialConfig,
    seed: u64,
    task: &Task<'_>,
    observer: &mut dyn Observer,
) -> Result<TrialResult, TrainError> {
    Ok(Trainer::new(config, seed, task)?.run(observer))
}

/// Minibatches of a trial on a task with `train_examples` training examples: `epochs · ⌈n / batch⌉`.
#[must_use]
pub fn total_steps(config: &TrialConfig, train_examples: usize) -> u64 {
    let left = train_examples.saturating_sub(config.validation.unwrap_or(0));
    let examples = config.train_limit.unwrap_or(left).min(left);
    config.epochs as u64 * examples.div_ceil(config.batch_size.max(1)) as u64
}

/// `η(t) / η` at step `t` of `total`.
fn schedule_factor(schedule: Schedule, step: u64, total: u64) -> f64 {
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * (step as f64 / total as f64))),
    }
}

/// One trial under way. [`train`] is a loop over it.
pub struct Trainer<'a> {
    config: TrialConfig,
    seed: u64,
    task: Task<'a>,
    split: Split<'a>,
    normalization: Normalization,
    placements: Option<Placements>,
    network: Network,
    updater: Updater,
    /// Of the minibatch.
    signals: Signals,
    labels: Vec<u16>,
    /// Of the chunks that are measured on and the probe.
    wide: Signals,
    wide_labels: Vec<u16>,
    probe: Option<Probe>,
    /// The training examples' positions in the order of this epoch.
    order: Vec<u32>,
    steps: u64,
    steps_per_epoch: u64,
    total_steps: u64,
    /// Over this epoch.
    running: Score,
    hash: ResultHash,
    metrics: BTreeMap<String, f64>,
    /// Whether the state before training was shown.
    started: bool,
    /// The step in which the trial diverged.
    diverged_at: Option<u64>,
    /// Of the task, once it was needed.
    task_hash: OnceCell<[u8; 32]>,
}

impl<'a> Trainer<'a> {
    /// Checks the config, draws the initial values and allocates every buffer.
    ///
    /// # Errors
    /// [`TrainError`] when the config breaks a limit.
    pub fn new(config: &TrialConfig, seed: u64, task: &Task<'a>) -> Result<Self, TrainError> {
        check(config, task)?;
        let split = Split::new(config, seed, task);
        let train_rows = &split.train_rows;
        let network = Network::new(config, seed, task.train.features, task.classes);
        let batch = config.batch_size.min(train_rows.len());
        let hidden = network.rule.signals();
        let signals = network.signals(hidden, batch);
        let diagnosed = !config.diagnostics.is_off();
        let steps_per_epoch = train_rows.len().div_ceil(config.batch_size) as u64;
        Ok(Self {
            normalization: Normalization::measure(&task.train, train_rows),
            placements: Placements::new(config.augment, task.image, seed),
            updater: Updater::new(&network.tensors, &signals, batch, config),
            wide: network.signals(if diagnosed { hidden } else { &[] }, PROBE_EXAMPLES),
            wide_labels: vec![0; PROBE_EXAMPLES],
            probe: diagnosed.then(|| Probe::new(&network, train_rows, seed)),
            labels: vec![0; batch],
            order: train_rows.clone(),
            steps: 0,
            steps_per_epoch,
            total_steps: total_steps(config, task.train.len()),
            running: Score::default(),
            hash: ResultHash::new(),
            metrics: BTreeMap::new(),
            started: false,
            diverged_at: None,
            task_hash: OnceCell::new(),
            config: config.clone(),
            seed,
            task: *task,
            split,
            network,
            signals,
        })
    }

    /// Lets idle threads take parts of the large products, which changes no bit.
    #[must_use]
    pub fn helped_by(mut self, helpers: Arc<dyn SpareThreads>) -> Self {
        self.network.helpers = helpers;
        self
    }

    /// What is trained.
    #[must_use]
    pub fn config(&self) -> &TrialConfig {
        &self.config
    }

    /// Minibatches learnt so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Minibatches the config asks for.
    #[must_use]
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// Bytes of weights and large buffers held, beside the examples.
    #[must_use]
    pub fn buffer_bytes(&self) -> u64 {
        let rows = self.split.train_rows.len() + self.split.measured_rows.len() + self.order.len();
        let probe = if self.probe.is_some() { diagnose::scratch_bytes(&self.network.shape) } else { 0 };
        4 * (self.network.tensors.parameters() + rows as u64)
            + self.signals.bytes()
            + self.wide.bytes()
            + self.updater.bytes()
            + probe
    }

    /// Trains until the trial ends, from wherever it stands.
    pub fn run(mut self, observer: &mut dyn Observer) -> TrialResult {
        self.start(observer);
        loop {
            if let Some(outcome) = self.step(observer) {
                return self.finish(outcome, observer);
            }
        }
    }

    /// Shows the observer the state before training, the snapshot of step 0 and, unless nothing but the epochs' ends is
    /// to be logged, its point; unless that was done.
    pub fn start(&mut self, observer: &mut dyn Observer) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        if !self.config.diagnostics.is_off() || !self.config.spectra.is_off() {
            self.log_point(observer);
        }
        self.offer_snapshot(observer);
    }

    /// Learns one minibatch. Returns how the trial ended, if it did; a trial that diverged stays so, one that was
    /// stopped can go on.
    pub fn step(&mut self, observer: &mut dyn Observer) -> Option<Outcome> {
        if let Some(step) = self.diverged_at {
            return Some(Outcome::Diverged { step });
        }
        if self.steps == self.total_steps {
            return Some(Outcome::Succeeded);
        }
        if !observer.proceed(self.steps) {
            return Some(Outcome::Stopped { step: self.steps });
        }
        let step = self.steps;
        self.gather_batch(observer);
        let rows = self.signals.rows();
        let score = self.network.forward(&mut self.signals, &self.labels[..rows]);
        self.running.add(score);
        // Written so that a NaN counts as beyond the bound.
        let bounded = score.mean_loss() <= self.config.divergence_bound;
        if bounded {
            self.network.drive(&mut self.signals);
        }
        let factor = schedule_factor(self.config.schedule, step, self.total_steps);
        let Network { tensors, helpers, .. } = &mut self.network;
        if !bounded || !self.updater.step(tensors, &self.signals, factor, &**helpers) {
            return Some(self.diverged(step + 1, observer));
        }
        self.network.rule.derive(&mut self.network.tensors);
        self.steps += 1;
        self.offer_snapshot(observer);
        let ends_epoch = self.ends_epoch();
        if (ends_epoch || self.steps.is_multiple_of(NORM_CHECK_STEPS))
            && !self.network.tensors.within(self.config.divergence_bound)
        {
            return Some(self.diverged(self.steps, observer));
        }
        if ends_epoch || self.due(self.config.diagnostics) || self.due(self.config.spectra) {
            self.log_point(observer);
        }
        (self.steps == self.total_steps).then_some(Outcome::Succeeded)
    }

    /// The result after [`Trainer::step`] returned an outcome.
    pub fn finish(self, outcome: Outcome, observer: &mut dyn Observer) -> TrialResult {
        observer.finished(self.steps, outcome, &self.network.tensors.named());
        TrialResult {
            outcome,
            steps: self.steps,
            total_steps: self.total_steps,
            parameters: self.network.tensors.parameters(),
            result_hash: self.hash.finish(outcome, &self.network.tensors),
            metrics: self.metrics,
        }
    }

    /// Fills `h_0` and the labels with this step's minibatch.
    fn gather_batch(&mut self, observer: &mut dyn Observer) {
        let place = (self.steps % self.steps_per_epoch) as usize;
        if place == 0 {
            self.shuffle();
            self.running = Score::default();
        }
        let start = place * self.config.batch_size;
        let rows = &self.order[start..self.order.len().min(start + self.config.batch_size)];
        let labels = &mut self.labels[..rows.len()];
        self.signals.set_rows(rows.len());
        let input = Signal::H.at(0);
        if let Some(placements) = &mut self.placements {
            let epoch = self.steps / self.steps_per_epoch;
            placements.seek(epoch * self.order.len() as u64 + start as u64);
        }
        let (out, placements) = (self.signals.view_mut(input), self.placements.as_mut());
        self.normalization.gather(&self.task.train, rows, placements, out, labels);
        observer.batch(self.steps, self.signals.view(input), labels);
    }

    /// Brings the training examples into the order of this epoch.
    fn shuffle(&mut self) {
        let epoch = self.steps / self.steps_per_epoch;
        self.order.copy_from_slice(&self.split.train_rows);
        Stream::new(self.seed, &format!("order.{epoch}")).shuffle(&mut self.order);
    }

    fn ends_epoch(&self) -> bool {
        self.steps.is_multiple_of(self.steps_per_epoch)
    }

    fn due(&self, cadence: Diagnostics) -> bool {
        match cadence {
            Diagnostics::Named(NamedCadence::Off) => false,
            Diagnostics::Named(NamedCadence::Ends) => self.steps == 0 || self.steps == self.total_steps,
            Diagnostics::Named(NamedCadence::Epoch) => self.ends_epoch(),
            Diagnostics::Steps(StepCadence { every_steps }) => {
                self.steps.is_multiple_of(every_steps as u64) || self.steps == self.total_steps
            }
        }
    }

    /// A point at this step, with the rate factor of the next.
    fn new_point(&self) -> Point {
        let epoch = self.steps as f64 / self.steps_per_epoch as f64;
        let mut point = Point { step: self.steps, epoch, values: Vec::new() };
        point.log("rate", schedule_factor(self.config.schedule, self.steps, self.total_steps));
        point
    }

    fn log_point(&mut self, observer: &mut dyn Observer) {
        let mut point = self.new_point();
        if self.ends_epoch() {
            if self.running.count > 0 {
                point.log("train_loss", self.running.mean_loss());
                point.log("train_accuracy", self.running.accuracy());
            }
            observer.begin(self.steps, Phase::Evaluation);
            let score = self.measure();
            observer.end(self.steps, Phase::Evaluation);
            let [accuracy, loss, ..] = self.config.final_metrics();
            point.log(loss, score.mean_loss());
            point.log(accuracy, score.accuracy());
        }
        if self.due(self.config.diagnostics)
            && let Some(probe) = &mut self.probe
        {
            observer.begin(self.steps, Phase::Diagnostics);
            probe.log(&self.network, &mut self.wide, &self.normalization, &self.task.train, &mut point);
            self.updater.log_ratios(&self.network.tensors, &mut point);
            observer.end(self.steps, Phase::Diagnostics);
        }
        if self.due(self.config.spectra) {
            observer.begin(self.steps, Phase::Spectra);
            spectra::log(&self.network, &mut point);
            observer.end(self.steps, Phase::Spectra);
        }
        self.publish(&point, observer);
    }

    /// The last point of a trial that ran away: what the epoch showed so far, and the norms.
    fn diverged(&mut self, step: u64, observer: &mut dyn Observer) -> Outcome {
        let mut point = self.new_point();
        point.log("train_loss", self.running.mean_loss());
        point.log("train_accuracy", self.running.accuracy());
        diagnose::log_norms(&self.network, &mut point);
        self.publish(&point, observer);
        self.diverged_at = Some(step);
        Outcome::Diverged { step }
    }

    fn publish(&mut self, point: &Point, observer: &mut dyn Observer) {
        self.hash.add(point);
        self.metrics = point.values.iter().cloned().collect();
        observer.point(point);
    }

    /// The score on the examples that are measured on.
    fn measure(&mut self) -> Score {
        let mut total = Score::default();
        for rows in self.split.measured_rows.chunks(PROBE_EXAMPLES) {
            let labels = &mut self.wide_labels[..rows.len()];
            self.wide.set_rows(rows.len());
            let input = self.wide.view_mut(Signal::H.at(0));
            self.normalization.gather(&self.split.measured, rows, None, input, labels);
            total.add(self.network.forward(&mut self.wide, labels));
        }
        total
    }

    fn offer_snapshot(&self, observer: &mut dyn Observer) {
        if observer.wants_snapshot(self.steps) {
            observer.snapshot(self.steps, &self.network.tensors.named());
        }
    }
}

/// The limits of the config, and those the task sets.
fn check(config: &TrialConfig, task: &Task<'_>) -> Result<(), TrainError> {
    task.check().map_err(TrainError::Task)?;
    let mut violations = config.violations();
    violations.extend(config.violations_on(&task.size()));
    if !violations.is_empty() {
        return Err(TrainError::Config(violations));
    }
    let bytes = config.memory_bytes(&task.size());
    if bytes > MAX_TRIAL_BYTES { Err(TrainError::Memory { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{Examples, Values};

    #[test]
    fn an_epochs_order_needs_no_earlier_epoch() {
        let values: Vec<u8> = (0..40).collect();
        let split = Examples { values: Values::U8(&values), labels: &[0; 40], features: 1 };
        let task = Task::new(split, split, 2).unwrap();
        let config =
            TrialConfig { hidden: vec![2], batch_size: 8, train_limit: Some(30), ..TrialConfig::default() };
        let mut through = Trainer::new(&config, 0, &task).unwrap();
        let mut directly = Trainer::new(&config, 0, &task).unwrap();
        for _ in 0..4 {
            through.step(&mut ());
        }
        directly.steps = through.steps;
        through.gather_batch(&mut ());
        directly.gather_batch(&mut ());
        assert_eq!((through.order.len(), through.steps), (30, 4));
        assert_eq!(through.order, directly.order);
    }
}
