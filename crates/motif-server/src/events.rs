//! Live events: one bounded broadcast, and counts that are sent at most twice a second per sweep.
//!
//! Nobody waits for a reader. Who is too slow learns how much was dropped and reads everything again.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use motif_store::Store;
use motif_sweep::ids::SweepId;
use motif_wire::system::LiveEvent;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::{convert, limits};

/// The hub that events pass through.
#[derive(Clone)]
pub(crate) struct Events {
    sender: broadcast::Sender<Arc<LiveEvent>>,
    changed: Arc<Changed>,
}

/// Sweeps whose counts have changed since they were last sent: each at most once, whatever happens.
#[derive(Default)]
struct Changed {
    sweeps: Mutex<BTreeSet<SweepId>>,
    notify: Notify,
}

impl Changed {
    fn insert(&self, sweep: SweepId) {
        self.sweeps.lock().unwrap_or_else(PoisonError::into_inner).insert(sweep);
        self.notify.notify_one();
    }

    fn take(&self) -> BTreeSet<SweepId> {
        std::mem::take(&mut *self.sweeps.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(limits::EVENT_BUFFER_MAX).0, changed: Arc::default() }
    }

    /// Sends to whoever listens.
    pub(crate) fn send(&self, event: LiveEvent) {
        if self.is_heard() {
            // It fails only when the last reader has just gone.
            let _ = self.sender.send(Arc::new(event));
        }
    }

    /// Notes that a sweep's counts have changed; they are read and sent soon.
    pub(crate) fn counts_changed(&self, sweep: SweepId) {
        if self.is_heard() {
            self.changed.insert(sweep);
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<LiveEvent>> {
        self.sender.subscribe()
    }

    fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Sends the counts of changed sweeps until the server ends.
    pub(crate) async fn announce_counts(self, store: Arc<dyn Store>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notify.notified() => {}
            }
            for sweep in self.changed.take() {
                match store.sweep_get(sweep).await {
                    Ok(record) => self.send(LiveEvent::Sweep {
                        sweep_id: sweep.0,
                        counts: convert::state_counts(&record.counts),
                    }),
                    Err(error) => tracing::debug!(%sweep, %error, "counts were not announced"),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(limits::COUNTS_EVENT_EVERY_MS)) => {}
            }
        }
    }
}
