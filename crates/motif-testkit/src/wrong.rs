//! A clock that goes with real time and is wrong.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use motif_sweep::clock::Clock;

/// A clock that runs too fast or too slow, and whose wall clock is ahead or behind.
#[derive(Debug)]
pub struct WrongClock {
    origin: Instant,
    started: Timestamp,
    rate: f64,
    ahead: Mutex<SignedDuration>,
}

impl WrongClock {
    /// A clock on which `rate` seconds pass in each, and whose wall clock is so many seconds ahead.
    #[expect(clippy::disallowed_methods, reason = "real processes are on the other side of what it times")]
    #[must_use]
    pub fn new(rate: f64, ahead_s: i64) -> Self {
        let ahead = Mutex::new(SignedDuration::from_secs(ahead_s));
        Self { origin: Instant::now(), started: Timestamp::now(), rate, ahead }
    }

    /// Sets the wall clock forward, or back, as an administrator does; the monotonic clock does not notice.
    pub fn jump_wall(&self, by_s: i64) {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) += SignedDuration::from_secs(by_s);
    }
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let ahead = *self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        self.started + self.monotonic() + ahead
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed().mul_f64(self.rate)
    }
}
