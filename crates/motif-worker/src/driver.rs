//! The one loop of a worker process: feeds the state machine and carries out its effects. It decides nothing.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use motif_client::{Client, ClientError, RetryPolicy};
use motif_data::{Library, LibraryError};
use motif_sweep::{
    clock::{Clock, Entropy},
    ids::Ids,
    requires::Abilities,
};
use motif_wire::{
    PROTOCOL_VERSION,
    problem::ProblemCode,
    work::{Checkpoint, ClaimRequest, Heartbeat, WorkerHello},
};
use serde::Serialize;
use tokio::{
    sync::mpsc::{self, Receiver},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    core::{CallError, Core, Effect, Fate, Input, LeaseKey, Limits, Notice, Report},
    executor::Executor,
    idle::IdleSlots,
    journal::Journal,
    observer::Control,
    provenance::{host_name, version},
};

/// Inputs from trainings that wait for the driver; then the trainings wait.
const EVENTS_MAX: usize = 1024;
/// One try of a call that is no claim; well within a lease.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Slots of one worker.
const SLOTS_MAX: usize = 1024;

/// What a worker needs.
pub struct WorkerOptions {
    /// The server, with a token of the scope `worker`.
    pub client: Client,
    /// Its name, for people.
    pub name: String,
    /// Trials to train at once, one thread each; at least 1.
    pub slots: usize,
    /// What it has, by which sweeps choose their workers.
    pub abilities: Abilities,
    /// Where it keeps datasets, and what the server has not acknowledged.
    pub data_dir: PathBuf,
    /// A trial is saved after each such time of training, so that another worker can go on with it.
    pub checkpoint_every: Duration,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random bits fit for secrets.
    pub entropy: Arc<dyn Entropy>,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WorkerSummary {
    /// Trials trained to the end.
    pub succeeded: u64,
    /// Trials that diverged.
    pub diverged: u64,
    /// Trials that were stopped early by their sweep's rule.
    pub stopped: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Trials given back.
    pub released: u64,
    /// Attempts that the server went on without.
    pub dropped: u64,
    /// Attempts whose training had died with an earlier worker, and whose points and checkpoint were delivered.
    pub left: u64,
}

/// Why a worker cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The number of slots makes no sense.
    #[error("slots = {slots}, expected 1 to {SLOTS_MAX}")]
    Slots {
        /// What was asked for.
        slots: usize,
    },
    /// The data directory cannot be used.
    #[error("the dataset library cannot be opened")]
    Library {
        /// Why not.
        source: LibraryError,
    },
    /// The threads cannot be made.
    #[error("the training threads cannot be started")]
    Threads {
        /// Why not.
        source: rayon::ThreadPoolBuildError,
    },
    /// The server does not accept this worker.
    #[error("the server does not accept this worker: {reason}")]
    Refused {
        /// Why not, in the server's words.
        reason: String,
    },
}

/// Works until `shutdown`, then drains: running trials stop at their next step and are given back.
///
/// # Errors
/// [`WorkerError`] when it cannot start, or the server does not accept it.
pub async fn run(options: WorkerOptions, shutdown: CancellationToken) -> Result<WorkerSummary, WorkerError> {
    run_with_limits(options, Limits::default(), shutdown).await
}

/// [`run`] with other limits.
///
/// # Errors
/// As [`run`].
pub async fn run_with_limits(
    options: WorkerOptions,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<WorkerSummary, WorkerError> {
    let slots = options.slots;
    let narrow = u32::try_from(slots).ok().filter(|_| (1..=SLOTS_MAX).contains(&slots));
    let narrow = narrow.ok_or(WorkerError::Slots { slots })?;
    let library = Library::open(&options.data_dir).map_err(|source| WorkerError::Library { source })?;
    let pool =
        rayon::ThreadPoolBuilder::new().num_threads(slots).thread_name(|index| format!("trial-{index}"));
    let pool = pool.build().map_err(|source| WorkerError::Threads { source })?;
    let (journal, left) = Journal::open(&options.data_dir, options.client.server(), limits.spool_bytes_max);
    let journal = Arc::new(journal);
    let (events, inbox) = mpsc::channel(EVENTS_MAX);
    let WorkerOptions { client, name, abilities, clock, entropy, checkpoint_every, .. } = options;
    let ids = Ids::new(Arc::clone(&clock), Arc::clone(&entropy));
    let hello = WorkerHello {
        id: ids.next(),
        name,
        slots: narrow,
        version: version().to_owned(),
        protocol: PROTOCOL_VERSION,
        host: host_name(),
        instruction_set: motif_net::instruction_set().to_owned(),
        labels: abilities.labels.into_iter().collect(),
        memory_bytes: abilities.memory_bytes,
    };
    tracing::info!(worker = %hello.id, name = hello.name, slots, server = client.server(), "worker started");
    let slots = IdleSlots::new(slots).map_err(|source| WorkerError::Threads { source })?;
    let executor = Executor {
        pool,
        slots: Arc::new(slots),
        library: Arc::new(library),
        client: client.clone(),
        clock: Arc::clone(&clock),
        events,
        journal: Arc::clone(&journal),
        fetching: tokio::sync::Mutex::default(),
        checkpoint_every,
        runtime: tokio::runtime::Handle::current(),
    };
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    let mut core = Core::new(narrow, limits, u64::from_le_bytes(seed));
    for left in left {
        core.recover(left, clock.monotonic());
    }
    let driver = Driver {
        core,
        journal,
        // The machine repeats by itself, knowing what has become pointless meanwhile.
        client: client.with_retry(RetryPolicy::NONE).with_request_timeout(CALL_TIMEOUT),
        hello,
        ids,
        clock,
        entropy,
        executor: Arc::new(executor),
        controls: HashMap::new(),
        calls: JoinSet::new(),
        claim: None,
        summary: WorkerSummary::default(),
    };
    driver.run(inbox, shutdown).await
}

struct Driver {
    core: Core,
    journal: Arc<Journal>,
    client: Client,
    hello: WorkerHello,
    ids: Ids,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    executor: Arc<Executor>,
    controls: HashMap<Uuid, Arc<Control>>,
    calls: JoinSet<Input>,
    claim: Option<OpenClaim>,
    summary: WorkerSummary,
}

/// The newest claim: a repeat is the same request.
struct OpenClaim {
    number: u64,
    request: ClaimRequest,
    call: AbortHandle,
    /// Whether the machine has taken the call's answer.
    answered: bool,
}

impl Driver {
    async fn run(
        mut self,
        mut inbox: Receiver<Input>,
        shutdown: CancellationToken,
    ) -> Result<WorkerSummary, WorkerError> {
        let mut draining = false;
        let mut input = Input::Tick;
        loop {
            self.note(&input);
            let now = self.clock.monotonic();
            for effect in self.core.step(input, now) {
                if let Effect::Exit { fault } = effect {
                    return self.exit(fault);
                }
                self.carry_out(effect);
            }
            let wait = self.core.wake().map(|at| at.saturating_sub(self.clock.monotonic()));
            input = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !draining => {
                    draining = true;
                    Input::Drain
                }
                Some(call) = self.calls.join_next() => match call {
                    Ok(input) => input,
                    Err(error) if error.is_cancelled() => Input::Tick,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                Some(input) = inbox.recv() => input,
                () = sleep(wait) => Input::Tick,
            };
        }
    }

    fn note(&mut self, input: &Input) {
        self.journal.note(input);
        match input {
            Input::Ended { attempt, .. } => drop(self.controls.remove(attempt)),
            Input::Claimed { claim, .. } => {
                if let Some(open) = self.claim.as_mut().filter(|open| open.number == *claim) {
                    open.answered = true;
                }
            }
            _ => {}
        }
    }

    fn exit(mut self, fault: Option<String>) -> Result<WorkerSummary, WorkerError> {
        self.calls.abort_all();
        for control in self.controls.values() {
            control.stop();
        }
        match fault {
            None => Ok(self.summary),
            Some(reason) => Err(WorkerError::Refused { reason }),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Claim { claim, max, wait_s } => self.claim(claim, max, wait_s),
            Effect::Recall { claim } => self.recall(claim),
            Effect::Start(lease) => {
                let attempt = lease.attempt_id;
                let control = self.executor.start(*lease);
                self.controls.insert(attempt, control);
            }
            Effect::Stop { attempt } => self.control(attempt, Control::stop),
            Effect::Conclude { attempt } => self.control(attempt, Control::conclude),
            Effect::Pause { attempt } => self.control(attempt, |control| control.pause(true)),
            Effect::Resume { attempt } => self.control(attempt, |control| control.pause(false)),
            Effect::Beat { key, step, total_steps } => {
                let beat = Heartbeat { step, total_steps };
                self.call(async move |client| {
                    let result = client.heartbeat(key.attempt, &key.token, beat).await;
                    Input::Beaten { attempt: key.attempt, result: result.map_err(|error| sort(&error)) }
                });
            }
            Effect::Store { key, points } => {
                self.call(async move |client| {
                    let result = client.metrics(key.attempt, &key.token, points).await;
                    Input::Stored { attempt: key.attempt, result: result.map_err(|error| sort(&error)) }
                });
            }
            Effect::Save { key, step, points, bytes } => {
                self.call(async move |client| {
                    let result = save(&client, &key, step, points, &bytes).await;
                    Input::Saved { attempt: key.attempt, step, result: result.map_err(|error| sort(&error)) }
                });
            }
            Effect::Report { key, report } => {
                self.call(async move |client| send_report(&client, key, report).await);
            }
            Effect::Notify(notice) => self.notify(notice),
            Effect::Exit { .. } => {}
        }
    }

    fn control(&self, attempt: Uuid, act: impl FnOnce(&Control)) {
        if let Some(control) = self.controls.get(&attempt) {
            act(control);
        }
    }

    fn call<F: Future<Output = Input> + Send + 'static>(
        &mut self,
        call: impl FnOnce(Client) -> F,
    ) -> AbortHandle {
        let future = call(self.client.clone());
        self.calls.spawn(future)
    }

    fn claim(&mut self, number: u64, max: u32, wait_s: u32) {
        let request = match self.claim.take() {
            Some(open) if open.number == number => open.request,
            _ => self.new_claim(max, wait_s),
        };
        self.send_claim(number, request);
    }

    fn recall(&mut self, number: u64) {
        // An answer that is already here is taken next.
        let unread = |open: &OpenClaim| open.call.is_finished() && !open.answered;
        let open = self.claim.take_if(|open| open.number == number && !unread(open));
        let Some(open) = open else { return };
        open.call.abort();
        self.send_claim(number, ClaimRequest { wait_s: 0, ..open.request });
    }

    fn new_claim(&self, max: u32, wait_s: u32) -> ClaimRequest {
        let mut secret = [0; 32];
        self.entropy.fill(&mut secret);
        let secret = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        ClaimRequest { claim_id: self.ids.next(), secret, worker: self.hello.clone(), max, wait_s }
    }

    fn send_claim(&mut self, number: u64, request: ClaimRequest) {
        let body = request.clone();
        let call = self.call(async move |client| {
            let result = client.claim(&body).await;
            let result = result.map(|reply| reply.leases).map_err(|error| sort(&error));
            Input::Claimed { claim: number, result }
        });
        self.claim = Some(OpenClaim { number, request, call, answered: false });
    }

    fn notify(&mut self, notice: Notice) {
        match notice {
            Notice::Started { trial, attempt } => tracing::info!(%trial, %attempt, "trial started"),
            Notice::Ended { trial, fate } => {
                *self.summary.of_mut(fate) += 1;
                self.journal.retain(|attempt| self.core.holds(attempt));
                tracing::info!(%trial, ?fate, "trial ended");
            }
            Notice::ServerLost { reason } => {
                tracing::warn!(reason, "the server does not answer; training goes on");
            }
            Notice::ServerBack => tracing::info!("the server answers again"),
            Notice::Refused { reason } => tracing::warn!(reason, "the server refused a call"),
            Notice::Draining { running } => tracing::info!(running, "draining: trials are given back"),
        }
    }
}

impl WorkerSummary {
    fn of_mut(&mut self, fate: Fate) -> &mut u64 {
        match fate {
            Fate::Succeeded => &mut self.succeeded,
            Fate::Diverged => &mut self.diverged,
            Fate::Stopped => &mut self.stopped,
            Fate::Failed => &mut self.failed,
            Fate::Released => &mut self.released,
            Fate::Dropped => &mut self.dropped,
            Fate::Left => &mut self.left,
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn save(
    client: &Client,
    key: &LeaseKey,
    step: u64,
    points: u64,
    bytes: &[u8],
) -> Result<Checkpoint, ClientError> {
    let hash = blake3::hash(bytes).to_hex().to_string();
    let checkpoint = Checkpoint { step, points, hash, bytes: bytes.len() as u64 };
    client.checkpoint_save(key.attempt, &key.token, &checkpoint, bytes.to_vec()).await
}

async fn send_report(client: &Client, key: LeaseKey, report: Report) -> Input {
    let LeaseKey { attempt, token } = key;
    let result = match report {
        Report::Complete(report) => client.complete(attempt, &token, *report).await,
        Report::Fail(failure) => client.fail(attempt, &token, &failure).await,
        Report::Release(release) => client.release(attempt, &token, &release).await,
    };
    Input::Reported { attempt, result: result.map_err(|error| sort(&error)) }
}

/// What an error means to the protocol.
fn sort(error: &ClientError) -> CallError {
    let reason = error.to_string();
    match error.code() {
        Some(ProblemCode::StaleLease | ProblemCode::Conflict | ProblemCode::NotFound) => CallError::Stale,
        Some(ProblemCode::Unauthorized | ProblemCode::Forbidden | ProblemCode::ProtocolMismatch) => {
            CallError::Fatal(reason)
        }
        Some(ProblemCode::TooLarge) => CallError::TooLarge(reason),
        _ if error.is_transient() => CallError::Transient(reason),
        _ => CallError::Refused(reason),
    }
}
