//! Takes back leases that have expired, stalled or overrun. Time only permits: the store decides behind its guard.

use std::time::Duration;

use jiff::Timestamp;
use motif_sweep::clock::Clock;

use crate::{limits, state::ServerState};

/// Longest time that reading both clocks may take.
const READING_MAX: Duration = Duration::from_millis(100);

/// Decides when the reaper may act: not within one lease of the server's start (workers could not reach it before),
/// nor within one lease of a jump of the wall clock (expiry was written by another time).
#[derive(Debug, Clone)]
pub struct Gate {
    grace: Duration,
    hold_until: Duration,
    last: (Timestamp, Duration),
}

impl Gate {
    /// A gate at the server's start.
    #[must_use]
    pub fn new(grace: Duration, wall: Timestamp, monotonic: Duration) -> Self {
        Self { grace, hold_until: monotonic + grace, last: (wall, monotonic) }
    }

    /// Whether the reaper may act now.
    pub fn look(&mut self, wall: Timestamp, monotonic: Duration) -> bool {
        let (last_wall, last_monotonic) = self.last;
        self.last = (wall, monotonic);
        let passed = monotonic.saturating_sub(last_monotonic).as_secs_f64();
        let drift = wall.duration_since(last_wall).as_secs_f64() - passed;
        if drift.abs() > limits::CLOCK_JUMP_MIN_S as f64 {
            tracing::warn!(
                drift_s = drift,
                "the wall clock jumped: no lease is taken back for one lease's time"
            );
            self.hold_until = monotonic + self.grace;
        }
        monotonic >= self.hold_until
    }
}

/// Looks every `every` until the server ends, but not within `grace` of its start or of a jump.
pub(crate) async fn run(state: ServerState, every: Duration, grace: Duration) {
    let (wall, monotonic) = both(state.clock.as_ref());
    let mut gate = Gate::new(grace, wall, monotonic);
    loop {
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let (now, monotonic) = both(state.clock.as_ref());
        let permitted = gate.look(now, monotonic);
        let reaped = if permitted { reap(&state, now).await } else { 0 };
        state.counters.reaper_look(reaped);
    }
}

/// Both clocks at one moment: a pause between reading one and the other must not look like a jump.
fn both(clock: &dyn Clock) -> (Timestamp, Duration) {
    loop {
        let before = clock.monotonic();
        let wall = clock.now();
        let after = clock.monotonic();
        if after.saturating_sub(before) < READING_MAX {
            return (wall, after);
        }
    }
}

/// Number of leases taken back.
async fn reap(state: &ServerState, now: Timestamp) -> usize {
    let jitter = jitter(state);
    match state.store.attempts_reap(jitter, now).await {
        Ok(reaped) => {
            for (attempt, moved) in &reaped {
                tracing::info!(%attempt, trial = %moved.trial_id, state = moved.state.name(), "lease taken back");
                state.moved(moved);
            }
            reaped.len()
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "leases could not be taken back");
            0
        }
    }
}

/// A random number in `[0, 1)`.
pub(crate) fn jitter(state: &ServerState) -> f64 {
    let mut bits = [0; 8];
    state.entropy.fill(&mut bits);
    (u64::from_le_bytes(bits) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wall(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn waits_one_lease_after_the_start() {
        let mut gate = Gate::new(GRACE, wall(0), at(100));
        assert!(!gate.look(wall(5), at(105)));
        assert!(!gate.look(wall(29), at(129)));
        assert!(gate.look(wall(30), at(130)));
    }

    #[test]
    fn waits_one_lease_after_a_jump_of_the_wall_clock_either_way() {
        for jump in [3600, -3600, 6, -6] {
            let mut gate = Gate::new(GRACE, wall(0), at(0));
            assert!(gate.look(wall(40), at(40)));
            assert!(!gate.look(wall(45 + jump), at(45)), "jump of {jump} s");
            assert!(!gate.look(wall(74 + jump), at(74)));
            assert!(gate.look(wall(75 + jump), at(75)));
        }
    }

    #[test]
    fn slow_drift_is_no_jump() {
        let mut gate = Gate::new(GRACE, wall(0), at(0));
        assert!(gate.look(wall(44), at(40)));
        assert!(gate.look(wall(53), at(45)));
    }
}
