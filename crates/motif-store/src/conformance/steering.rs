//! What people do to sweeps.

use std::sync::Arc;

use motif_sweep::{ids::SweepId, lifecycle::TrialState};

use super::world::{World, assert_stale, finish};
use crate::{
    Queue, StoreError,
    records::{Steer, Steered},
};

/// A paused sweep starts nothing new, and does not hold up the others.
pub async fn pausing_stops_claims(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let paused = world.submit(1, 2).await;
    let other = world.submit(1, 1).await;
    let running = world.claim_one().await;
    let steer = |steer| world.store.sweep_steer(paused.id, steer, "someone", world.now);
    assert_eq!(steer(Steer::Pause).await.expect("paused"), Steered::default());
    steer(Steer::Pause).await.expect("paused twice");
    assert!(world.store.sweep_get(paused.id).await.expect("stored").paused);
    let claimed: Vec<_> = world.claim(5).await.iter().map(|lease| lease.sweep_id).collect();
    assert_eq!(claimed, [other.id]);
    world
        .store
        .attempt_heartbeat(world.fence(&running), 1, None, world.now)
        .await
        .expect("what runs goes on");
    steer(Steer::Resume).await.expect("resumed");
    assert!(!world.store.sweep_get(paused.id).await.expect("stored").paused);
    assert_eq!(world.claim_one().await.trial_id, paused.trials[1].id);
    let unknown = world.store.sweep_steer(SweepId(world.id()), Steer::Pause, "someone", world.now).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}

/// Cancelling ends what waits and flags what runs; a result that comes all the same counts.
pub async fn cancelling_ends_or_flags(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = world.submit(1, 6).await;
    let leases = world.claim(4).await;
    let steer = || world.store.sweep_steer(sweep.id, Steer::Cancel, "someone", world.now);
    assert_eq!(steer().await.expect("cancelled"), Steered { changed: 2, pending: 4 });
    assert_eq!(steer().await.expect("cancelled twice"), Steered { changed: 0, pending: 4 });
    assert!(world.store.sweep_get(sweep.id).await.expect("stored").cancelled);
    assert!(world.claim(9).await.is_empty());
    assert!(world.trial(leases[0].trial_id).await.cancel_requested);

    let (store, now) = (&world.store, world.now);
    let fences: Vec<_> = leases.iter().map(|lease| world.fence(lease)).collect();
    let released = store.attempt_release(fences[0], "cancelled".into(), now).await.expect("released");
    assert_eq!((released.state, released.cancel_requested), (TrialState::Cancelled, false));
    assert_eq!(store.attempt_release(fences[0], "cancelled".into(), now).await.expect("known"), released);
    let failed = store.attempt_fail(fences[1], "oops".into(), true, 0.0, now).await.expect("reported");
    assert_eq!(failed.state, TrialState::Cancelled);
    let completed = store.attempt_complete(fences[2], finish(0.9), now).await.expect("completed");
    assert_eq!(completed.state, TrialState::Succeeded);
    assert_stale(store.attempt_complete(fences[0], finish(0.9), now).await);
    let counts = world.recount(sweep.id).await;
    assert_eq!(counts.0, [0, 1, 1, 0, 0, 0, 0, 4]);
}

/// A retry queues what failed, died or was cancelled, with fresh budgets and rising attempts.
pub async fn retrying_starts_over(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 4).await;
    let leases = world.claim(3).await;
    let fail = world.store.attempt_fail(world.fence(&leases[0]), "oops".into(), false, 0.0, world.now).await;
    assert_eq!(fail.expect("reported").state, TrialState::Failed);
    world.store.attempt_complete(world.fence(&leases[1]), finish(0.9), world.now).await.expect("completed");
    world.store.sweep_steer(sweep.id, Steer::Cancel, "someone", world.now).await.expect("cancelled");
    world.wait_s(30);
    world.store.attempts_reap(0.0, world.now).await.expect("a look");
    assert_eq!(world.recount(sweep.id).await.0, [0, 0, 1, 0, 0, 1, 0, 2]);

    let retry = world.store.sweep_steer(sweep.id, Steer::Retry, "someone", world.now).await;
    assert_eq!(retry.expect("retried"), Steered { changed: 3, pending: 0 });
    assert_eq!(world.recount(sweep.id).await.0, [3, 0, 1, 0, 0, 0, 0, 0]);
    let record = world.store.sweep_get(sweep.id).await.expect("stored");
    assert!(!record.cancelled, "a sweep that runs again is no longer cancelled");
    let again = world.claim(9).await;
    let attempts: Vec<_> = again.iter().map(|lease| (lease.trial_id, lease.attempt)).collect();
    let trials = &sweep.trials;
    assert_eq!(attempts, [(trials[0].id, 2), (trials[2].id, 2), (trials[3].id, 1)]);
    let trial = world.trial(trials[0].id).await;
    assert_eq!((trial.failures, trial.crashes, trial.finished_at, trial.reason), (0, 0, None, None));
    assert_stale(world.store.attempt_complete(world.fence(&leases[0]), finish(0.1), world.now).await);
}
