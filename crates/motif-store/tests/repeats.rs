//! Random histories in which every call comes twice, and once more forged: a repetition is answered the same, a forgery
//! is refused, neither changes anything, and what was acknowledged stays (I1, I4).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use motif_store::{
    Result, Store, StoreError,
    conformance::World,
    records::{Fence, Finish, Leased, PointRecord, TrialRecord},
    sqlite::{Options, SqliteStore},
};
use motif_sweep::{ids::AttemptId, ids::TrialId, lifecycle::TrialState};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Act {
    Claim(u32),
    Heartbeat(usize, u64),
    Log(usize, u64),
    Complete(usize, u8),
    Fail(usize),
    Release(usize),
    Reap,
    Wait(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let lease = 0usize..4;
    let act = prop_oneof![
        4 => (1u32..3).prop_map(Act::Claim),
        3 => (lease.clone(), 0u64..9).prop_map(|(lease, step)| Act::Heartbeat(lease, step)),
        6 => (lease.clone(), 1u64..4).prop_map(|(lease, points)| Act::Log(lease, points)),
        2 => (lease.clone(), 0u8..3).prop_map(|(lease, value)| Act::Complete(lease, value)),
        1 => lease.clone().prop_map(Act::Fail),
        1 => lease.prop_map(Act::Release),
        2 => Just(Act::Reap),
        3 => (1i64..25).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..50)
}

/// What was acknowledged.
#[derive(Default)]
struct Ledger {
    /// In the order of the claims.
    leases: Vec<(Leased, Fence)>,
    points: BTreeMap<AttemptId, Vec<PointRecord>>,
    completed: BTreeMap<TrialId, (TrialState, String)>,
}

fn points(from: u64, count: u64) -> Vec<PointRecord> {
    let values = |seq: u64| BTreeMap::from([("train_loss".to_owned(), 1.0 / (seq + 1) as f64)]);
    let point = |seq| PointRecord { seq, step: seq * 10, epoch: seq as f64, values: values(seq) };
    (from..from + count).map(point).collect()
}

fn finish(value: u8) -> Finish {
    Finish {
        diverged_step: (value == 0).then_some(3),
        stopped: None,
        steps: 9,
        metrics: BTreeMap::from([("test_accuracy".into(), f64::from(value))]),
        result_hash: format!("result-{value}"),
        report: serde_json::Value::Null,
    }
}

/// Fences that prove nothing.
fn forged(world: &World, fence: Fence) -> [Fence; 3] {
    let mut secret_hash = fence.secret_hash;
    secret_hash[31] ^= 1;
    [
        Fence { secret_hash, ..fence },
        Fence { epoch: fence.epoch + 1, ..fence },
        Fence { attempt_id: AttemptId(world.id()), ..fence },
    ]
}

fn assert_stale<T: Debug>(told: &Result<T>) {
    assert!(matches!(told, Err(StoreError::StaleLease)), "{told:?}");
}

async fn trials(
    world: &World,
    ids: &[TrialId],
) -> Vec<(TrialRecord, Vec<motif_store::records::AttemptRecord>)> {
    let mut found = Vec::new();
    for id in ids {
        found.push((world.trial(*id).await, world.store.trial_attempts(*id).await.unwrap()));
    }
    found
}

/// A repetition that only may not succeed with another answer than the first.
fn same<T: PartialEq + Debug>(first: &Result<T>, again: &Result<T>) {
    match (first, again) {
        (Ok(first), Ok(again)) => assert_eq!(first, again, "a repetition is answered the same"),
        (Err(first), Err(again)) => assert_eq!(first.to_string(), again.to_string()),
        _ => panic!("{first:?}, then {again:?}"),
    }
}

async fn act(world: &mut World, ledger: &mut Ledger, ids: &[TrialId], act: &Act) {
    let (store, now) = (Arc::clone(&world.store), world.now);
    let held = |back: &usize| {
        let index = ledger.leases.len().checked_sub(back + 1)?;
        Some((ledger.leases[index].0.trial_id, ledger.leases[index].1))
    };
    match act {
        Act::Claim(max) => {
            let claim = world.claim_of(0, *max);
            let leased = store.trial_claim(claim.clone(), now).await.unwrap();
            if !leased.is_empty() {
                let before = trials(world, ids).await;
                assert_eq!(store.trial_claim(claim.clone(), now).await.unwrap(), leased, "the same leases");
                let mut other = claim;
                other.offers[0].secret_hash[0] ^= 1;
                let told = store.trial_claim(other, now).await;
                assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
                assert_eq!(trials(world, ids).await, before);
            }
            for lease in leased {
                let fence = world.fence(&lease);
                ledger.leases.push((lease, fence));
            }
        }
        Act::Heartbeat(back, step) => {
            let Some((_, fence)) = held(back) else { return };
            let first = store.attempt_heartbeat(fence, *step, Some(9), now).await;
            let before = trials(world, ids).await;
            same(&first, &store.attempt_heartbeat(fence, *step, Some(9), now).await);
            for forged in forged(world, fence) {
                assert_stale(&store.attempt_heartbeat(forged, 9, Some(10), now).await);
            }
            assert_eq!(trials(world, ids).await, before);
        }
        Act::Log(back, count) => {
            let Some((_, fence)) = held(back) else { return };
            let kept = ledger.points.entry(fence.attempt_id).or_default();
            let (next, batch) = (kept.len() as u64, points(kept.len() as u64, *count));
            let first = store.attempt_points(fence, batch.clone(), now).await;
            same(&first, &store.attempt_points(fence, batch.clone(), now).await);
            for forged in forged(world, fence) {
                assert_stale(&store.attempt_points(forged, batch.clone(), now).await);
            }
            let Ok((acknowledged, _)) = first else { return };
            assert_eq!(acknowledged, next + count);
            kept.extend(batch);
            let gap = store.attempt_points(fence, points(acknowledged + 1, 2), now).await;
            assert!(matches!(gap, Err(StoreError::Gap { .. })), "{gap:?}");
            let mut other = points(0, acknowledged);
            other.iter_mut().for_each(|point| point.step += 1);
            let told = store.attempt_points(fence, other, now).await.unwrap();
            assert_eq!(told.0, acknowledged, "what was acknowledged stays; `agrees` reads it");
        }
        Act::Complete(back, value) => {
            let Some((trial, fence)) = held(back) else { return };
            let first = store.attempt_complete(fence, finish(*value), now).await;
            let before = trials(world, ids).await;
            same(&first, &store.attempt_complete(fence, finish(*value), now).await);
            for forged in forged(world, fence) {
                assert_stale(&store.attempt_complete(forged, finish(*value), now).await);
            }
            if let Ok(moved) = first {
                let told = store.attempt_complete(fence, finish(value + 3), now).await;
                assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
                let earlier = ledger.completed.insert(trial, (moved.state, finish(*value).result_hash));
                let now = &ledger.completed[&trial];
                assert!(earlier.is_none_or(|earlier| earlier == *now), "I3: one end");
            }
            assert_eq!(trials(world, ids).await, before);
        }
        Act::Fail(back) => {
            let Some((_, fence)) = held(back) else { return };
            let first = store.attempt_fail(fence, "oops".into(), true, 0.5, now).await;
            let before = trials(world, ids).await;
            same(&first, &store.attempt_fail(fence, "oops".into(), true, 0.5, now).await);
            for forged in forged(world, fence) {
                assert_stale(&store.attempt_fail(forged, "oops".into(), true, 0.5, now).await);
            }
            assert_eq!(trials(world, ids).await, before);
        }
        Act::Release(back) => {
            let Some((_, fence)) = held(back) else { return };
            let first = store.attempt_release(fence, "drain".into(), now).await;
            let before = trials(world, ids).await;
            same(&first, &store.attempt_release(fence, "drain".into(), now).await);
            for forged in forged(world, fence) {
                assert_stale(&store.attempt_release(forged, "drain".into(), now).await);
            }
            assert_eq!(trials(world, ids).await, before);
        }
        Act::Reap => {
            store.attempts_reap(0.5, now).await.unwrap();
            assert!(store.attempts_reap(0.5, now).await.unwrap().is_empty(), "nothing is due twice");
        }
        Act::Wait(seconds) => world.wait_s(*seconds),
    }
}

/// Everything that was acknowledged is stored.
async fn agrees(world: &World, ledger: &Ledger, ids: &[TrialId]) {
    for id in ids {
        let attempts = world.store.trial_attempts(*id).await.unwrap();
        let leased = ledger.leases.iter().filter(|(lease, _)| lease.trial_id == *id);
        let leased: Vec<_> = leased.map(|(lease, _)| (lease.attempt, lease.attempt_id)).collect();
        let stored: Vec<_> = attempts.iter().map(|attempt| (attempt.number, attempt.id)).collect();
        assert_eq!(stored, leased, "I2: each lease has a number of its own");
        let kept = leased.last().and_then(|(_, attempt)| ledger.points.get(attempt));
        let (_, points) = world.store.trial_points(*id).await.unwrap();
        assert_eq!(&points, kept.unwrap_or(&Vec::new()), "I1, I4: points without a gap");
        if let Some((state, hash)) = ledger.completed.get(id) {
            let trial = world.trial(*id).await;
            assert_eq!((trial.state, trial.result_hash.as_ref()), (*state, Some(hash)), "I1, I3");
        }
    }
}

async fn live(acts: Vec<Act>) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { readers: 1, ..Options::default() };
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&dir.path().join("motif.db"), options).await.unwrap());
    let mut world = World::new(store);
    let ids: Vec<TrialId> = world.submit(2, 2).await.trials.iter().map(|trial| trial.id).collect();
    let mut ledger = Ledger::default();
    for next in &acts {
        act(&mut world, &mut ledger, &ids, next).await;
    }
    agrees(&world, &ledger, &ids).await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(21),
        ..ProptestConfig::default()
    })]

    #[test]
    fn repetitions_and_forgeries_change_nothing(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(acts));
    }
}
