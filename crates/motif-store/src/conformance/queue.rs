//! Submitting and claiming.

use std::{collections::BTreeSet, sync::Arc};

use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::{Policy, TrialState},
};

use super::world::{World, assert_conflict};
use crate::{
    Queue, StoreError,
    records::{IdempotencyKey, Leased, NewSweep, Submitted},
};

/// A submission that fails leaves nothing behind.
pub async fn submissions_are_all_or_none(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let good = world.sweep(2, 2);
    let mut twice = world.sweep(2, 2);
    twice.trials[3].id = twice.trials[0].id;
    let mut beyond = world.sweep(2, 2);
    beyond.trials[3].condition = 2;
    for bad in [twice, beyond] {
        let id = bad.id;
        assert_conflict(world.store.sweep_create(bad, None, world.now).await);
        assert!(matches!(world.store.sweep_get(id).await, Err(StoreError::NotFound(_))));
    }
    assert!(world.claim(10).await.is_empty(), "trials of a refused sweep are not queued");

    world.store.sweep_create(good.clone(), None, world.now).await.expect("a sweep is stored");
    let mut taken = world.sweep(1, 2);
    taken.trials[1].id = good.trials[1].id;
    let id = taken.id;
    assert_conflict(world.store.sweep_create(taken, None, world.now).await);
    assert!(matches!(world.store.sweep_get(id).await, Err(StoreError::NotFound(_))));

    let record = world.store.sweep_get(good.id).await.expect("the sweep is stored");
    assert_eq!((record.spec, record.seeds, record.policy), (good.spec, good.seeds, good.policy));
    assert_eq!((record.created_at, record.started_at, record.ended_at), (world.now, None, None));
    assert_eq!(world.recount(good.id).await.of(TrialState::Queued), 4);
    for (position, trial) in (0u64..).zip(&good.trials) {
        let stored = world.trial(trial.id).await;
        assert_eq!((stored.position, stored.condition, stored.seed), (position, trial.condition, trial.seed));
    }
}

/// The same key stands for the same submission.
pub async fn submissions_are_idempotent(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let key = |body: &str| {
        Some(IdempotencyKey { principal: "someone".into(), key: "k".into(), body_hash: body.into() })
    };
    let first = world.sweep(1, 2);
    let again = world.sweep(1, 2);
    let submit = |sweep: NewSweep, key| world.store.sweep_create(sweep, key, world.now);
    assert_eq!(submit(first.clone(), key("a")).await.expect("stored"), Submitted::New(first.id));
    assert_eq!(submit(again.clone(), key("a")).await.expect("known"), Submitted::Replayed(first.id));
    assert!(matches!(submit(again.clone(), key("b")).await, Err(StoreError::IdempotencyMismatch)));
    let elsewhere = key("b").map(|key| IdempotencyKey { principal: "other".into(), ..key });
    assert_eq!(submit(again.clone(), elsewhere).await.expect("stored"), Submitted::New(again.id));

    let mut bad = world.sweep(1, 1);
    bad.trials[0].condition = 9;
    let fresh = |body: &str| key(body).map(|key| IdempotencyKey { key: "fresh".into(), ..key });
    assert_conflict(submit(bad, fresh("a")).await);
    let good = world.sweep(1, 1);
    let stored = submit(good.clone(), fresh("c")).await.expect("a refused body does not use up its key");
    assert_eq!(stored, Submitted::New(good.id));
}

/// Older sweeps first, then position; never one trial twice.
pub async fn claims_follow_queue_order(store: Arc<dyn Queue>) {
    let world = World::new(store);
    assert!(world.claim(4).await.is_empty());
    let older = world.submit(2, 2).await;
    let mut leased = world.claim(3).await;
    assert_eq!(leased.iter().map(|lease| lease.offer).collect::<Vec<_>>(), [0, 1, 2]);
    leased.extend(world.claim(10).await);
    let expected: Vec<TrialId> = older.trials.iter().map(|trial| trial.id).collect();
    assert_eq!(leased.iter().map(|lease| lease.trial_id).collect::<Vec<_>>(), expected);
    assert!(world.claim(1).await.is_empty());
    assert_eq!(leased[1].config, older.conditions[1].config);
    assert_eq!((leased[2].seed, leased[2].attempt, leased[2].policy), (1, 1, Policy::default()));
    assert_eq!(leased[0].sweep_id, older.id);
    assert_eq!(leased[0].dataset_hash, "dataset");

    let trial = world.trial(expected[0]).await;
    assert_eq!((trial.state, trial.attempt), (TrialState::Leased, 1));
    assert_eq!((trial.worker.as_deref(), trial.started_at), (Some("worker-0"), Some(world.now)));
    let sweep = world.store.sweep_get(older.id).await.expect("the sweep is stored");
    assert_eq!(sweep.started_at, Some(world.now));
    assert_eq!(world.recount(older.id).await.of(TrialState::Leased), 4);
}

/// Sweeps of equal priority share the workers: the one with the fewest trials in training is next, the older of two alike.
/// A large sweep does not hold up a small one that comes later, however the claims are sized.
pub async fn sweeps_of_equal_priority_share_fairly(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let large = world.submit(5, 8).await;
    let first = world.claim(4).await;
    assert!(first.iter().all(|lease| lease.sweep_id == large.id), "nobody else is there");
    let small = world.submit(1, 6).await;
    let owners =
        |leased: &[Leased]| leased.iter().map(|lease| lease.sweep_id == small.id).collect::<Vec<_>>();
    assert_eq!(owners(&world.claim(2).await), [true; 2]);
    // 4 and 2: the small one catches up, then they take turns, the older one first.
    let mixed = world.claim(6).await;
    assert_eq!(owners(&mixed), [true, true, false, true, false, true]);
    assert_eq!(mixed[0].trial_id, small.trials[2].id, "by position within a sweep");
    assert_eq!(owners(&world.claim(2).await), [false; 2], "the small one has no more to give");

    // A sweep whose waiting trials all back off has nothing to claim, and holds up nobody.
    let fence = world.fence(&mixed[5]);
    world.store.attempt_fail(fence, "oops".into(), true, 0.9, world.now).await.expect("failed");
    assert_eq!(owners(&world.claim(3).await), [false; 3]);
}

/// A claim whose reply was lost is answered again, with the leases that are still open.
pub async fn claims_repeat_by_id(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    world.submit(1, 5).await;
    let claim = world.claim_of(0, 3);
    let first = world.store.trial_claim(claim.clone(), world.now).await.expect("leases");
    world.wait_s(20);
    let mut again = claim.clone();
    for offer in &mut again.offers {
        offer.attempt_id = motif_sweep::ids::AttemptId(world.id());
    }
    let second = world.store.trial_claim(again, world.now).await.expect("the same leases");
    assert_eq!(first, second);

    let fence = world.fence(&first[1]);
    world.store.attempt_release(fence, "drain".into(), world.now).await.expect("released");
    let third = world.store.trial_claim(claim.clone(), world.now).await.expect("what is left");
    assert_eq!(third.iter().map(|lease| lease.offer).collect::<Vec<_>>(), [0, 2]);

    world.wait_s(29);
    let reaped = world.store.attempts_reap(0.0, world.now).await.expect("a look");
    assert!(reaped.is_empty(), "a repeated claim proves that its worker is alive");
    let mut foreign = claim;
    foreign.offers[0].secret_hash = [7; 32];
    assert_conflict(world.store.trial_claim(foreign, world.now).await);
}

/// Many claims at once lease every trial exactly once.
pub async fn claims_run_side_by_side(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = world.submit(4, 25).await;
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..16 {
        let store = Arc::clone(&world.store);
        let claims: Vec<_> = (0..4).map(|_| world.claim_of(worker, 2)).collect();
        let now = world.now;
        tasks.spawn(async move {
            let mut trials = Vec::new();
            for claim in claims {
                let leased = store.trial_claim(claim, now).await.expect("a claim is answered");
                trials.extend(leased.into_iter().map(|lease| lease.trial_id));
            }
            trials
        });
    }
    let claimed: Vec<TrialId> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 100);
    assert_eq!(claimed.into_iter().collect::<BTreeSet<_>>().len(), 100);
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Leased), 100);
}

/// A trial that backs off lets the ones behind it go first.
pub async fn backoff_delays_a_claim(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 2).await;
    let first = world.claim_one().await;
    let fence = world.fence(&first);
    let moved =
        world.store.attempt_fail(fence, "oops".into(), true, 0.99, world.now).await.expect("reported");
    assert_eq!(moved.state, TrialState::Queued);
    assert_eq!(world.claim(2).await.first().map(|lease| lease.trial_id), Some(sweep.trials[1].id));
    assert!(world.claim(1).await.is_empty());
    world.wait_s(5);
    let second = world.claim_one().await;
    assert_eq!((second.trial_id, second.attempt), (first.trial_id, 2));
    let unknown = world.store.trial_get(TrialId(world.id())).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
    let unknown = world.store.sweep_get(SweepId(world.id())).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}
