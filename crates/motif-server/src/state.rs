//! What every handler shares. It decides nothing.

use std::{future::Future, ops::Deref, sync::Arc};

use motif_data::{Library, LibraryError};
use motif_store::{Store, records::Moved};
use motif_sweep::{
    clock::{Clock, Entropy},
    ids::Ids,
};
use motif_wire::system::LiveEvent;
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::Auth, counters::Counters, error::ApiError, events::Events, folders::Folders, limits,
    options::ServerOptions, work::Work,
};

/// What may happen at once.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) event_streams: Arc<Semaphore>,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) attempt_uploads: Arc<Semaphore>,
    pub(crate) exports: Arc<Semaphore>,
}

/// What every handler shares; cheap to clone, since each layer of the router does so for each request.
#[derive(Clone)]
pub(crate) struct ServerState(Arc<Shared>);

impl Deref for ServerState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) library: Arc<Library>,
    pub(crate) folders: Folders,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) ids: Ids,
    pub(crate) events: Events,
    pub(crate) auth: Arc<Auth>,
    pub(crate) limits: Limits,
    /// Most memory of one trial.
    pub(crate) trial_memory_max_bytes: u64,
    pub(crate) counters: Arc<Counters>,
    /// The claims that wait.
    pub(crate) work: Work,
    /// Wakes sequential replication: a trial has ended.
    pub(crate) ended: Arc<Notify>,
    /// The server is to end.
    pub(crate) shutdown: CancellationToken,
    /// Writes that must end before the server does.
    pub(crate) writes: TaskTracker,
}

impl ServerState {
    pub(crate) fn new(options: &ServerOptions, shutdown: CancellationToken) -> Self {
        let (store, clock, entropy) = (&options.store, &options.clock, &options.entropy);
        Self(Arc::new(Shared {
            store: Arc::clone(store),
            library: Arc::clone(&options.library),
            folders: options.folders.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            ids: Ids::new(Arc::clone(clock), Arc::clone(entropy)),
            events: Events::new(),
            auth: Arc::new(Auth::new(Arc::clone(store), Arc::clone(clock), options.session_tokens.clone())),
            limits: Limits {
                requests: Arc::new(Semaphore::new(limits::REQUESTS_MAX)),
                event_streams: Arc::new(Semaphore::new(limits::EVENT_STREAMS_MAX)),
                uploads: Arc::new(Semaphore::new(limits::DATASET_UPLOADS_MAX)),
                attempt_uploads: Arc::new(Semaphore::new(limits::ATTEMPT_UPLOADS_MAX)),
                exports: Arc::new(Semaphore::new(limits::EXPORTS_MAX)),
            },
            trial_memory_max_bytes: options.trial_memory_max_bytes,
            counters: Arc::default(),
            work: Work::new(),
            ended: Arc::default(),
            shutdown,
            writes: TaskTracker::new(),
        }))
    }

    /// Runs a write in a task of its own: a client that goes away must not cut it in the middle.
    pub(crate) async fn write<T, E, F>(&self, write: F) -> Result<T, ApiError>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        match self.writes.spawn(write).await {
            Ok(done) => done.map_err(Into::into),
            Err(error) => Err(ApiError::Panicked(error.to_string())),
        }
    }

    /// Runs a call of the library, which blocks on the disk, off the async threads.
    pub(crate) async fn library<T, F>(&self, call: F) -> Result<T, ApiError>
    where
        F: FnOnce(&Library) -> Result<T, LibraryError> + Send + 'static,
        T: Send + 'static,
    {
        let library = Arc::clone(&self.library);
        match tokio::task::spawn_blocking(move || call(&library)).await {
            Ok(done) => done.map_err(ApiError::from),
            Err(error) => Err(ApiError::Panicked(error.to_string())),
        }
    }

    /// Tells everyone that a trial has changed its state.
    pub(crate) fn moved(&self, moved: &Moved) {
        self.events.send(LiveEvent::Trial {
            sweep_id: moved.sweep_id.0,
            trial_id: moved.trial_id.0,
            state: moved.state.name().to_owned(),
        });
        self.events.counts_changed(moved.sweep_id);
        if moved.state == motif_sweep::lifecycle::TrialState::Queued {
            self.work.wake(1);
        }
        if moved.state.is_terminal() {
            self.ended.notify_one();
        }
    }
}
