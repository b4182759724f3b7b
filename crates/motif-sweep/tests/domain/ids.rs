//! Identifiers are UUIDv7 made of nothing but the injected clock and entropy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU8, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use motif_sweep::{
    clock::{Clock, Entropy},
    ids::{Ids, TrialId},
};

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap()
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Fills with 1, then with 2, …
struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
    }
}

fn ids(millis: i64) -> (Arc<HandClock>, Ids) {
    let clock = Arc::new(HandClock(AtomicI64::new(millis)));
    (Arc::clone(&clock), Ids::new(clock, Arc::new(Counting(AtomicU8::new(0)))))
}

#[test]
fn an_id_holds_the_clock_and_the_entropy() {
    let (_, ids) = ids(0x0123_4567_89ab);
    let id = ids.next();
    assert_eq!(id.to_string(), "01234567-89ab-7101-8101-010101010101");
    assert_eq!(id.get_version_num(), 7);
}

#[test]
fn ids_sort_by_time_and_differ_within_a_millisecond() {
    let (clock, ids) = ids(1_700_000_000_000);
    let (first, second) = (ids.next(), ids.next());
    assert_ne!(first, second);
    clock.0.fetch_add(1, Ordering::Relaxed);
    assert!(ids.next() > first.max(second));
}

#[test]
fn a_clock_before_1970_does_not_panic() {
    let (_, ids) = ids(-5);
    assert!(ids.next().to_string().starts_with("00000000-0000-7"));
}

#[test]
fn typed_ids_read_and_write_as_plain_uuids() {
    let (_, ids) = ids(1);
    let id = TrialId(ids.next());
    assert_eq!(id.to_string().parse::<TrialId>().unwrap(), id);
    assert_eq!(serde_json::to_value(id).unwrap(), serde_json::json!(id.to_string()));
    assert!("nonsense".parse::<TrialId>().is_err());
}
