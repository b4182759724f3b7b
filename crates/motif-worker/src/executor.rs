//! Trains leased trials: the dataset, one thread per trial, and how it ended.
//!
//! It must not know: leases' tokens, heartbeats, what the server makes of an ending.

use std::{
    any::Any,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use motif_client::{Client, ClientError};
use motif_data::{Dataset, Library, LibraryError, Split};
use motif_net::{
    Examples, ImageShape, Outcome, SpareThreads, Task, TaskError, Trainer, TrialConfig, TrialResult, Values,
    total_steps,
};
use motif_sweep::{clock::Clock, plan::config_hash, trial};
use motif_wire::{
    trials::TrialReport,
    work::{Failure, Lease},
};
use tokio::sync::{Mutex, mpsc::Sender};

use crate::{
    core::{Ending, Input},
    costs::Costs,
    idle::IdleSlots,
    journal::{Entry, Journal},
    observer::{Control, Reporter},
    provenance::provenance,
    snapshots::{self, Snapshots},
    standing::Standing,
};

/// Tries to fetch a dataset while the server is away.
const FETCH_TRIES_MAX: u32 = 5;
/// Between two requests that a training's thread makes, to go on from a checkpoint or to hand over a snapshot, while the
/// server is away.
pub(crate) const RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay before the second try; it doubles.
const FETCH_DELAY: Duration = Duration::from_secs(1);

/// What trains.
pub(crate) struct Executor {
    pub(crate) pool: rayon::ThreadPool,
    pub(crate) slots: Arc<IdleSlots>,
    pub(crate) library: Arc<Library>,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Sender<Input>,
    pub(crate) journal: Arc<Journal>,
    /// A trial is saved after each such time of training.
    pub(crate) checkpoint_every: Duration,
    /// By which a training's thread makes its calls: to go on from a checkpoint, to hand over snapshots.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Held while a dataset is fetched, so that trials that want the same one fetch it once.
    pub(crate) fetching: Mutex<()>,
}

/// A trial that can be trained.
struct Prepared {
    config: TrialConfig,
    seed: u64,
    dataset: Arc<Dataset>,
    dataset_hash: String,
    saved: Option<Saved>,
    /// Whether it hands over snapshots.
    snapshots: bool,
    /// The lease's token.
    token: String,
}

/// A checkpoint of an earlier attempt, fetched and whole.
struct Saved {
    bytes: Vec<u8>,
    hash: String,
}

impl Executor {
    /// Begins a trial; its points, steps and ending arrive as inputs.
    pub(crate) fn start(self: &Arc<Self>, lease: Lease) -> Arc<Control> {
        let control = Arc::new(Control::default());
        let (executor, held) = (Arc::clone(self), Arc::clone(&control));
        // Here and not in the task: the driver may forget an attempt at any moment from now on.
        let entry = self.journal.begin(&lease);
        tokio::spawn(async move {
            let attempt = lease.attempt_id;
            let prepared = tokio::select! {
                () = held.stopped.cancelled() => Err(Ending::Stopped),
                prepared = executor.prepare(lease) => prepared.map_err(Ending::Failed),
            };
            match prepared {
                Ok(prepared) => executor.train(attempt, prepared, held, entry),
                Err(ending) => {
                    entry.ended(&ending);
                    // The driver is gone only when nobody waits for the ending.
                    drop(executor.events.send(Input::Ended { attempt, ending }).await);
                }
            }
        });
        control
    }

    async fn prepare(&self, lease: Lease) -> Result<Prepared, Failure> {
        let config = trial::from_json(&lease.config)
            .map_err(|errors| failure(false, format!("the config is not valid: {errors}")))?;
        let dataset = self.dataset(&lease.dataset_hash).await.map_err(|error| {
            failure(error.retryable, format!("dataset {:?}: {}", config.dataset, error.reason))
        })?;
        let saved = self.saved(&lease).await;
        Ok(Prepared {
            config,
            seed: lease.seed,
            dataset,
            dataset_hash: lease.dataset_hash,
            saved,
            snapshots: lease.snapshots,
            token: lease.token,
        })
    }

    /// The checkpoint that came with the lease. One that cannot be had costs time, and nothing else: begin at 0.
    async fn saved(&self, lease: &Lease) -> Option<Saved> {
        let checkpoint = lease.checkpoint.as_ref()?;
        let mut bytes = Vec::new();
        let fetched = self.client.checkpoint_content(lease.attempt_id, &lease.token, &mut bytes).await;
        let found = blake3::hash(&bytes).to_hex();
        if let Err(error) = fetched {
            tracing::warn!(%error, "a checkpoint cannot be fetched: the trial begins at 0");
        } else if found.as_str() != checkpoint.hash {
            tracing::warn!(%found, expected = checkpoint.hash, "a checkpoint was changed: the trial begins at 0");
        } else {
            return Some(Saved { bytes, hash: checkpoint.hash.clone() });
        }
        None
    }

    /// Asks the server until it says whether the attempt goes on from the checkpoint; with how many points before it.
    fn resume(&self, attempt: uuid::Uuid, token: &str, hash: &str, control: &Control) -> Option<u64> {
        while !control.is_stopped() {
            match self.runtime.block_on(self.client.resume(attempt, token, hash)) {
                Ok(reply) => return Some(reply.next_seq),
                // It may have been granted: nothing is to be logged before that is known.
                Err(error) if error.is_transient() => tracing::debug!(%error, "asking again to resume"),
                Err(error) => {
                    tracing::warn!(%error, "the trial begins at 0");
                    return None;
                }
            }
            std::thread::sleep(RETRY_DELAY);
        }
        None
    }

    /// The dataset from the library; fetched when it is not there, or not whole.
    async fn dataset(&self, hash: &str) -> Result<Arc<Dataset>, Failure> {
        if let Some(dataset) = self.load(hash).await? {
            return Ok(dataset);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(dataset) = self.load(hash).await? {
            return Ok(dataset);
        }
        tracing::info!(hash, "fetching a dataset");
        let bytes = self.fetch(hash).await.map_err(|error| {
            failure(true, format!("{hash} cannot be fetched from the server: {}", chain(&error)))
        })?;
        self.store(hash, bytes).await?;
        let gone = || failure(true, format!("{hash} was stored and is not there"));
        self.load(hash).await?.ok_or_else(gone)
    }

    /// `None` when the library lacks it or holds a damaged copy.
    async fn load(&self, hash: &str) -> Result<Option<Arc<Dataset>>, Failure> {
        let owned = hash.to_owned();
        match self.blocking(move |library| library.load(&owned)).await? {
            Ok(dataset) => Ok(Some(dataset)),
            Err(LibraryError::UnknownHash { .. }) => Ok(None),
            Err(error @ (LibraryError::Corrupt { .. } | LibraryError::Blob { .. })) => {
                tracing::warn!(error = chain(&error), "a damaged dataset is fetched again");
                Ok(None)
            }
            Err(error @ LibraryError::Hash { .. }) => Err(failure(false, chain(&error))),
            Err(error) => Err(failure(true, chain(&error))),
        }
    }

    async fn fetch(&self, hash: &str) -> Result<Vec<u8>, ClientError> {
        let mut delay = FETCH_DELAY;
        for _ in 1..FETCH_TRIES_MAX {
            let mut bytes = Vec::new();
            match self.client.dataset_content(hash, &mut bytes).await {
                Err(error) if error.is_transient() => tracing::debug!(hash, %error, "fetching again"),
                answer => return answer.map(|()| bytes),
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
        let mut bytes = Vec::new();
        self.client.dataset_content(hash, &mut bytes).await.map(|()| bytes)
    }

    async fn store(&self, hash: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        // Contents are stored under their own hash, so wrong ones can do no harm.
        let stored = self.blocking(move |library| library.put_bytes(None, &bytes, false)).await?;
        let summary = stored.map_err(|error| failure(true, format!("{hash}: {}", chain(&error))))?;
        if summary.hash != hash {
            let reason = format!("the server sent {} instead of {hash}", summary.hash);
            return Err(failure(true, reason));
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Library) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let library = Arc::clone(&self.library);
        let task = tokio::task::spawn_blocking(move || work(&library));
        task.await.map_err(|error| failure(true, format!("reading it failed: {error}")))
    }

    fn train(
        self: &Arc<Self>,
        attempt: uuid::Uuid,
        prepared: Prepared,
        control: Arc<Control>,
        entry: Arc<Entry>,
    ) {
        let executor = Arc::clone(self);
        self.pool.spawn(move || {
            let trained = catch_unwind(AssertUnwindSafe(|| {
                let reporter = Reporter {
                    attempt,
                    control,
                    events: executor.events.clone(),
                    entry: Arc::clone(&entry),
                    clock: Arc::clone(&executor.clock),
                    total_steps: total_steps(&prepared.config, prepared.dataset.train().len()),
                    told_at: executor.clock.monotonic(),
                    costs: Costs::default(),
                    measured: BTreeMap::new(),
                    kept_at: executor.clock.monotonic(),
                    snapshots: prepared.snapshots.then(|| Snapshots::new(!prepared.config.spectra.is_off())),
                };
                let _occupied = executor.slots.occupy();
                executor.run(&prepared, reporter)
            }));
            let ending = trained.unwrap_or_else(|panic| {
                Ending::Failed(failure(false, format!("the training panicked: {}", said(&*panic))))
            });
            entry.ended(&ending);
            // The driver is gone only when nobody waits for the ending.
            let _ = executor.events.blocking_send(Input::Ended { attempt, ending });
        });
    }
}

impl Executor {
    /// Trains a trial on this thread, from its checkpoint where there is one that fits.
    fn run(&self, prepared: &Prepared, mut reporter: Reporter) -> Ending {
        let Prepared { config, seed, dataset, saved, .. } = prepared;
        let task = match task(dataset) {
            Ok(task) => task,
            Err(error) => return Ending::Failed(failure(false, format!("the dataset is no task: {error}"))),
        };
        if reporter.control.is_stopped() {
            return Ending::Stopped;
        }
        let resumed = saved.as_ref().and_then(|saved| self.go_on(prepared, saved, &task, &mut reporter));
        let (trainer, before) = match resumed {
            Some(resumed) => resumed,
            None => match Trainer::new(config, *seed, &task) {
                Ok(trainer) => (trainer, Duration::ZERO),
                Err(error) => return Ending::Failed(failure(false, error.to_string())),
            },
        };
        reporter.step(trainer.steps());
        let trainer = trainer.helped_by(Arc::clone(&self.slots) as Arc<dyn SpareThreads>);
        let begun = self.clock.monotonic();
        let spent = || before + self.clock.monotonic().saturating_sub(begun);
        match self.steps(trainer, &mut reporter, &prepared.token, &spent) {
            Ok((result, training)) => ended(prepared, reporter, result, training),
            Err(ending) => ending,
        }
    }

    /// A trainer that stands where the checkpoint does, and the time that was spent before. The server is asked once
    /// it is known that the checkpoint fits, and before anything is logged.
    fn go_on<'a>(
        &self,
        prepared: &Prepared,
        saved: &Saved,
        task: &Task<'a>,
        reporter: &mut Reporter,
    ) -> Option<(Trainer<'a>, Duration)> {
        let (engine, standing) = Standing::split(&saved.bytes)?;
        let trainer = match Trainer::resume(&prepared.config, prepared.seed, task, engine) {
            Ok(trainer) => trainer,
            Err(error) => {
                tracing::warn!(%error, "a checkpoint does not fit: the trial begins at 0");
                return None;
            }
        };
        let points = self.resume(reporter.attempt, &prepared.token, &saved.hash, &reporter.control)?;
        reporter.resumed(trainer.steps(), points);
        reporter.costs = standing.costs();
        let before = standing.training();
        reporter.measured = standing.measured;
        Some((trainer, before))
    }

    /// Trains to the end, saving the trial from time to time, and where it is left.
    fn steps(
        &self,
        mut trainer: Trainer<'_>,
        reporter: &mut Reporter,
        token: &str,
        spent: &dyn Fn() -> Duration,
    ) -> Result<(TrialResult, Duration), Ending> {
        let keep = |trainer: &Trainer<'_>, reporter: &mut Reporter| {
            let standing = Standing::new(spent(), &reporter.costs, &reporter.measured);
            if let Some(bytes) = standing.behind(trainer.checkpoint()) {
                reporter.keep(trainer.steps(), bytes);
            }
        };
        trainer.start(reporter);
        // Once: while the server is away, training goes on.
        self.hand_over(reporter, token, 1)?;
        let outcome = loop {
            if let Some(outcome) = trainer.step(reporter) {
                break outcome;
            }
            if self.clock.monotonic().saturating_sub(reporter.kept_at) >= self.checkpoint_every {
                keep(&trainer, reporter);
            }
        };
        let left = matches!(outcome, Outcome::Stopped { .. }) && !reporter.control.concludes();
        if left && trainer.steps() > 0 {
            keep(&trainer, reporter);
        }
        let result = trainer.finish(outcome, reporter);
        let training = spent();
        self.hand_over(reporter, token, snapshots::TRIES_MAX)?;
        Ok((result, training))
    }
}

/// What a training has come to.
fn ended(prepared: &Prepared, reporter: Reporter, result: TrialResult, training: Duration) -> Ending {
    let Prepared { config, dataset_hash, .. } = prepared;
    let training_s = training.as_secs_f64();
    let TrialResult { outcome, steps, total_steps, mut metrics, result_hash, .. } = result;
    let (diverged_step, stopped_step) = match outcome {
        Outcome::Succeeded => (None, None),
        Outcome::Diverged { step } => (Some(step), None),
        Outcome::Stopped { step } if reporter.control.concludes() => (None, Some(step)),
        Outcome::Stopped { .. } => return Ending::Stopped,
    };
    if stopped_step.is_some() {
        // The last point may be one of diagnostics alone.
        metrics = reporter.measured;
    }
    let provenance = provenance(dataset_hash, &config_hash(config));
    let metrics = metrics.into_iter().map(|(name, value)| (name, Some(value).filter(|it| it.is_finite())));
    Ending::Trained(Box::new(TrialReport {
        diverged_step,
        stopped_step,
        stopped_epoch: stopped_step.map(|step| config.epochs as f64 * step as f64 / total_steps as f64),
        steps,
        metrics: metrics.collect(),
        result_hash,
        training_s,
        evaluation_s: Some(reporter.costs.evaluation.as_secs_f64()),
        diagnostics_s: Some(reporter.costs.diagnostics.as_secs_f64()),
        spectra_s: Some(reporter.costs.spectra.as_secs_f64()),
        provenance,
    }))
}

/// What a trial learns from and is measured on, as the engine takes it.
///
/// # Errors
/// When the dataset makes no task for the engine, such as one of a single class.
pub fn task(dataset: &Dataset) -> Result<Task<'_>, TaskError> {
    let features = dataset.features();
    let (train, test) = (examples(dataset.train(), features), examples(dataset.test(), features));
    let shape = dataset.shape();
    let image = ImageShape { channels: shape.channels, height: shape.height, width: shape.width };
    Task::new(train, test, usize::from(dataset.classes()))?.with_image(image)
}

fn examples(split: &Split, features: usize) -> Examples<'_> {
    Examples { values: Values::U8(&split.pixels), labels: &split.labels, features }
}

pub(crate) fn failure(retryable: bool, reason: String) -> Failure {
    Failure { reason, retryable }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
