//! Slots without a trial, whose threads help with the large products of trials that run.

use std::sync::atomic::{AtomicUsize, Ordering};

use motif_net::{Spare, SpareThreads};

/// The slots of a worker, and how many of them train.
pub struct IdleSlots {
    slots: usize,
    training: AtomicUsize,
    /// Threads of its own: a trial's thread that waited in the trials' pool could be made to start another trial.
    pool: rayon::ThreadPool,
}

impl IdleSlots {
    /// So many slots, at least 1, none of which trains.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(slots: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let slots = slots.max(1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(slots);
        let pool = pool.thread_name(|index| format!("helper-{index}")).build()?;
        Ok(Self { slots, training: AtomicUsize::new(0), pool })
    }

    /// Counts one slot as training for as long as the guard is held.
    pub(crate) fn occupy(&self) -> Occupied<'_> {
        self.training.fetch_add(1, Ordering::Relaxed);
        Occupied(self)
    }
}

/// A slot that trains.
pub(crate) struct Occupied<'a>(&'a IdleSlots);

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.0.training.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SpareThreads for IdleSlots {
    /// The idle slots are shared evenly among those that train.
    fn spare(&self) -> Option<Spare<'_>> {
        let training = self.training.load(Ordering::Relaxed).max(1);
        let idle = self.slots.saturating_sub(training) / training;
        (idle > 0).then(|| Spare { pool: &self.pool, threads: idle + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_slots_are_shared_among_those_that_train() {
        let slots = IdleSlots::new(5).unwrap();
        let threads = |slots: &IdleSlots| slots.spare().map(|spare| spare.threads);
        let first = slots.occupy();
        assert_eq!(threads(&slots), Some(5));
        let second = slots.occupy();
        assert_eq!(threads(&slots), Some(2));
        let third = slots.occupy();
        assert_eq!(threads(&slots), None);
        drop((first, third));
        assert_eq!(threads(&slots), Some(5));
        drop(second);
    }
}
