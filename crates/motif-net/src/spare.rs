//! Threads without work of their own, which may take parts of a trial's large products.
//!
//! How many help, and when, changes no bit: every element of a product is summed in the same order, whoever sums it.

use rayon::ThreadPool;

/// Whoever knows which threads are idle.
pub trait SpareThreads: Send + Sync {
    /// The threads that may help now; nothing when each has work of its own.
    fn spare(&self) -> Option<Spare<'_>>;
}

/// Idle threads.
#[derive(Debug, Clone, Copy)]
pub struct Spare<'a> {
    /// Where the parts are computed while the trial's own thread waits.
    pub pool: &'a ThreadPool,
    /// How many of the pool's threads may be busy for this trial: those that are idle, and one in place of its own.
    pub threads: usize,
}

/// No threads but the trial's own.
impl SpareThreads for () {
    fn spare(&self) -> Option<Spare<'_>> {
        None
    }
}
