//! A clock that a test moves, and random bits from a seed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use motif_sweep::clock::{Clock, Entropy};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct FakeClock(Mutex<(Timestamp, Duration)>);

impl Default for FakeClock {
    fn default() -> Self {
        let start = Timestamp::from_second(1_800_000_000).expect("a time in 2027");
        Self(Mutex::new((start, Duration::from_secs(1000))))
    }
}

impl FakeClock {
    /// Lets time pass, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 += by;
        now.1 += by;
    }

    /// Sets the wall clock forward or back, as an administrator does; the monotonic clock does not notice.
    pub fn jump_wall(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.0 += by;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Random bits that are the same in every run.
pub struct SeededEntropy(Mutex<ChaCha20Rng>);

impl SeededEntropy {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}
