//! The machine's numbers, and the delays between repeats.

use std::time::Duration;

/// How patient, how frequent, how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a claim may be held open by the server, in seconds.
    pub claim_wait_s: u32,
    /// Trials in one claim.
    pub claim_trials_max: u32,
    /// Claims that come back empty are this far apart at least.
    pub claim_interval_min: Duration,
    /// Points in one batch.
    pub batch_points_max: usize,
    /// A point waits this long for others.
    pub batch_age_max: Duration,
    /// Points held per attempt while the server is away; the training waits when there are more.
    pub spool_points_max: usize,
    /// Bytes of the spool on disk; what is beyond is in memory alone.
    pub spool_bytes_max: u64,
    /// What earlier workers have left is delivered before trials are claimed, but for no longer than this after the
    /// server's first answer.
    pub deliver_first_max: Duration,
    /// First delay before a repeat; it doubles.
    pub backoff_min: Duration,
    /// Longest delay before a repeat.
    pub backoff_max: Duration,
    /// After this part of a drain, trials that have not stopped are given back all the same.
    pub drain_stop_max: Duration,
    /// A drain ends after this, whatever the server acknowledged.
    pub drain_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            claim_wait_s: 20,
            claim_trials_max: 64,
            claim_interval_min: Duration::from_secs(1),
            batch_points_max: 200,
            batch_age_max: Duration::from_secs(1),
            spool_points_max: 20_000,
            spool_bytes_max: 4 << 30,
            deliver_first_max: Duration::from_secs(60),
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(15),
            drain_stop_max: Duration::from_secs(4),
            drain_max: Duration::from_secs(8),
        }
    }
}

/// A seeded sequence that spreads repeats (splitmix64); not for secrets.
#[derive(Debug)]
pub(super) struct Jitter(pub(super) u64);

impl Jitter {
    /// A number in `[0, 1)`.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The delay before repeat number `failures`, from 1: half fixed, half random, doubling up to the limit.
    fn backoff(&mut self, limits: &Limits, failures: u32) -> Duration {
        let doubled = limits.backoff_min.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(limits.backoff_max).mul_f64(0.5 + 0.5 * self.next())
    }
}

/// One kind of call, at most one of it under way.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    pub(super) in_flight: bool,
    pub(super) due: Duration,
    pub(super) failures: u32,
}

impl Repeat {
    pub(super) fn due_at(due: Duration) -> Self {
        Self { due, ..Self::default() }
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        !self.in_flight && now >= self.due
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        (!self.in_flight).then_some(self.due)
    }

    pub(super) fn sent(&mut self) {
        self.in_flight = true;
    }

    pub(super) fn succeeded(&mut self) {
        self.in_flight = false;
        self.failures = 0;
    }

    pub(super) fn failed(&mut self, now: Duration, limits: &Limits, jitter: &mut Jitter) {
        self.in_flight = false;
        self.failures = self.failures.saturating_add(1);
        self.due = now + jitter.backoff(limits, self.failures);
    }
}
