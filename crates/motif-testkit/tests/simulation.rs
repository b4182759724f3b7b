//! Worlds from seeds keep every promise of the queue, and those with a fault built in break one.

use std::{collections::BTreeSet, time::Duration};

use motif_testkit::simulation::{self, Kind, Outcome, Plant, Tally};

/// How long a dead worker's trial may wait for another.
const ADOPTED_WITHIN: Duration = Duration::from_secs(40);

/// The last steps of a world that broke a promise, and how to see all of them.
fn shown(outcome: Option<&Outcome>) -> String {
    let Some((outcome, violation)) = outcome.and_then(|outcome| Some((outcome, outcome.violation.as_ref()?)))
    else {
        return "no promise was broken".to_owned();
    };
    let (seed, steps) = (outcome.seed, outcome.trace.join("\n"));
    let replay = format!("cargo xtask simulate --seed {seed} --trace");
    format!("{steps}\n\nseed {seed} broke {}: {}\nreplay: {replay}", violation.invariant, violation.what)
}

#[test]
fn a_thousand_worlds_keep_every_promise() {
    let (tally, broken) = simulation::simulate_all(0..1000, Kind::Memory(None));
    assert!(broken.is_none(), "{}", shown(broken.as_ref()));

    let Tally { lost, twice, slow, crashes, killed, poisoned, frozen, drained, cut_off, jumps, .. } = tally;
    for often in [lost, twice, slow, crashes, killed, frozen, cut_off, jumps] {
        assert!(often >= 1000, "it was not bad enough: {tally:?}");
    }
    let Tally { steered, reaped, refused, forged, resumed, dropped, repeated, late, adopted, .. } = tally;
    for often in [poisoned, drained, steered, reaped, refused, forged, resumed, dropped, repeated, adopted] {
        assert!(often >= 100, "too little came of it: {tally:?}");
    }
    assert!(late >= 10, "completions that come late and count are rare, but not so rare: {tally:?}");
    assert!(tally.adoption_max <= ADOPTED_WITHIN, "{tally:?}");
}

#[test]
fn a_seed_is_one_world() {
    let mut hashes = BTreeSet::new();
    for seed in 0..20 {
        let (one, other) = (
            simulation::simulate(seed, Kind::Memory(None), false),
            simulation::simulate(seed, Kind::Memory(None), true),
        );
        assert_eq!((&one.trace_hash, one.steps), (&other.trace_hash, other.steps), "seed {seed}");
        assert_eq!(other.trace.len() as u64, other.steps);
        assert!(other.trace.ends_with(&one.trace));
        hashes.insert(one.trace_hash);
    }
    assert_eq!(hashes.len(), 20, "each seed is another world");
}

#[test]
fn both_stores_live_the_same_worlds() {
    for seed in 0..20 {
        let sqlite = simulation::simulate(seed, Kind::Sqlite, false);
        assert!(sqlite.violation.is_none(), "{} --sqlite", shown(Some(&sqlite)));
        let memory = simulation::simulate(seed, Kind::Memory(None), false);
        assert_eq!(sqlite.trace_hash, memory.trace_hash, "seed {seed}");
    }
}

#[test]
fn every_planted_fault_is_noticed() {
    for plant in Plant::ALL {
        let (_, broken) = simulation::simulate_all(0..1000, Kind::Memory(Some(plant)));
        let broken = broken.unwrap_or_else(|| panic!("{} was not noticed", plant.name()));
        let violation = broken.violation.expect("a broken promise");
        let expected: &[&str] = match plant {
            Plant::DropFence => &["I4"],
            Plant::ReuseNumber => &["I2"],
            Plant::ReapWithoutRecheck => &["I2", "I3", "I6"],
            Plant::AckBeforeCommit => &["I1"],
            Plant::ForgetClaim | Plant::ForgetCompletion => &["idempotency"],
        };
        println!("{}: {} in seed {}: {}", plant.name(), violation.invariant, broken.seed, violation.what);
        assert!(expected.contains(&violation.invariant), "{violation:?}");
    }
}
