//! Claims that wait for work. As many of them are woken as there is work for: if all looked, they would be in each
//! other's way, and the last would have its trial when the first is done with its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use motif_store::records::Claimable;
use motif_sweep::requires::Abilities;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified};

use crate::{limits, state::ServerState};

/// The claims that wait.
pub(crate) struct Work {
    room: Arc<Semaphore>,
    woken: Notify,
    /// How often there was new work.
    generation: AtomicU64,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self {
            room: Arc::new(Semaphore::new(limits::WAITING_CLAIMS_MAX)),
            woken: Notify::new(),
            generation: AtomicU64::new(1),
        }
    }

    /// A place among those that wait, as long as it is kept; none when too many do.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Ends when there may be work. To be enabled before the store is looked at, so that nothing queued in between is
    /// missed; one that was woken and is dropped without having noticed wakes another.
    pub(crate) fn woken(&self) -> Notified<'_> {
        self.woken.notified()
    }

    /// Which work is the newest; more than 0. To be read before the store is looked at.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// There is new work: wakes as many of those that wait longest as there may be trials.
    pub(crate) fn wake(&self, trials: u64) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        for _ in 0..trials.min(self.waiting()) {
            self.woken.notify_one();
        }
    }

    /// Wakes the one that waits longest for what another cannot take.
    pub(crate) fn pass_on(&self) {
        if self.waiting() > 0 {
            self.woken.notify_one();
        }
    }

    fn waiting(&self) -> u64 {
        limits::WAITING_CLAIMS_MAX.saturating_sub(self.room.available_permits()) as u64
    }
}

/// Looks for trials that nobody was woken for, until the server ends: those that have backed off long enough, and those
/// whose claim went away after it was woken. Whoever gets one wakes the next.
pub(crate) async fn run(state: ServerState) {
    loop {
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(limits::WORK_LOOK_EVERY_MS)) => {}
        }
        if state.work.waiting() == 0 {
            continue;
        }
        match state.store.trial_claimable(&Abilities::default(), state.clock.now()).await {
            Ok(Claimable::Yes | Claimable::ByOthers) => state.work.pass_on(),
            Ok(Claimable::No) => {}
            Err(error) => tracing::debug!(%error, "could not look for work"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn as_many_are_woken_as_there_are_trials() {
        let work = Work::new();
        let places: Vec<_> = (0..3).map(|_| work.place().unwrap()).collect();
        let (mut first, mut second, mut third) = (pin!(work.woken()), pin!(work.woken()), pin!(work.woken()));
        for waiting in [&mut first, &mut second, &mut third] {
            assert!(!waiting.as_mut().enable());
        }
        work.wake(2);
        assert!(first.as_mut().enable() && second.as_mut().enable());
        assert!(!third.as_mut().enable());
        drop(places);
    }

    #[test]
    fn who_goes_away_after_it_was_woken_wakes_the_next() {
        let work = Work::new();
        let _places = [work.place().unwrap(), work.place().unwrap()];
        let mut stays = pin!(work.woken());
        {
            let mut goes = pin!(work.woken());
            goes.as_mut().enable();
            stays.as_mut().enable();
            work.wake(1);
            assert!(!stays.as_mut().enable());
        }
        assert!(stays.as_mut().enable());
    }

    #[test]
    fn nobody_is_woken_later_for_what_came_while_nobody_waited() {
        let work = Work::new();
        work.wake(5);
        let _place = work.place().unwrap();
        assert!(!pin!(work.woken()).as_mut().enable());
    }
}
