//! Checkpoints: which one is kept, who may save one, and what an attempt that goes on from it begins with.

use std::sync::Arc;

use motif_sweep::lifecycle::TrialState;

use super::world::{World, assert_conflict, assert_stale, finish, point};
use crate::{Queue, StoreError, records::CheckpointRecord};

fn checkpoint(step: u64, points: u64) -> CheckpointRecord {
    let hash = blake3::hash(&step.to_le_bytes()).to_hex().to_string();
    CheckpointRecord { step, points, hash, bytes: 100 }
}

/// The newest step is kept; points before it must be there; a stale lease saves nothing.
pub async fn checkpoints_follow_their_points(store: Arc<dyn Queue>) {
    let mut world = World::new(store.clone());
    world.submit(1, 1).await;
    let leased = world.claim_one().await;
    assert_eq!(leased.checkpoint, None);
    let fence = world.fence(&leased);
    let points = vec![point(0, 0.5), point(1, 0.4)];
    store.attempt_points(fence, points, world.now).await.expect("points are stored");

    match store.attempt_checkpoint(fence, checkpoint(30, 3), world.now).await {
        Err(StoreError::Gap { expected: 2, found: 3 }) => {}
        other => panic!("expected a gap, got {other:?}"),
    }
    assert_eq!(store.attempt_checkpoint_held(fence).await.expect("an answer"), None);
    for (sent, kept) in [(20, 20), (20, 20), (10, 20), (25, 25)] {
        let newest = store.attempt_checkpoint(fence, checkpoint(sent, 2), world.now).await;
        assert_eq!(newest.expect("it is taken"), checkpoint(kept, 2), "step {sent}");
    }
    assert_eq!(store.checkpoint_hashes().await.expect("hashes"), [checkpoint(25, 2).hash].into());

    world.wait_s(31);
    store.attempts_reap(0.0, world.now).await.expect("the reaper runs");
    assert_stale(store.attempt_checkpoint(fence, checkpoint(40, 2), world.now).await);
    assert_stale(store.attempt_checkpoint_held(fence).await);
}

/// An attempt that resumes begins with the points before the checkpoint, once, and at its step.
pub async fn resumed_attempts_begin_with_earlier_points(store: Arc<dyn Queue>) {
    let world = World::new(store.clone());
    world.submit(1, 1).await;
    let first = world.claim_one().await;
    let fence = world.fence(&first);
    let points = (0..4).map(|seq| point(seq, 1.0 / (seq + 1) as f64)).collect::<Vec<_>>();
    store.attempt_points(fence, points.clone(), world.now).await.expect("points are stored");
    let saved = checkpoint(25, 3);
    store.attempt_checkpoint(fence, saved.clone(), world.now).await.expect("it is taken");
    assert_conflict(store.attempt_resume(fence, saved.hash.clone(), world.now).await);
    store.attempt_release(fence, "drain".into(), world.now).await.expect("it is given back");

    let second = world.claim_one().await;
    assert_eq!(second.checkpoint, Some(saved.clone()));
    let fence = world.fence(&second);
    assert_conflict(store.attempt_resume(fence, checkpoint(7, 3).hash, world.now).await);
    for _ in 0..2 {
        let (next, _) = store.attempt_resume(fence, saved.hash.clone(), world.now).await.expect("it resumes");
        assert_eq!(next, 3);
    }
    let stored = store.trial_points(first.trial_id).await.expect("points");
    assert_eq!(stored, (2, points[..3].to_vec()));
    assert_eq!(world.trial(first.trial_id).await.step, 25);

    let (next, _) =
        store.attempt_points(fence, vec![points[3].clone()], world.now).await.expect("it goes on");
    assert_eq!(next, 4);
    let (next, _) = store.attempt_resume(fence, saved.hash.clone(), world.now).await.expect("a late repeat");
    assert_eq!(next, 4);
}

/// An attempt that cannot use the checkpoint begins at 0; what is lost is forgotten; a result ends it.
pub async fn checkpoints_end_with_their_trial(store: Arc<dyn Queue>) {
    let world = World::new(store.clone());
    world.submit(1, 2).await;
    let leases = world.claim(2).await;
    for (leased, step) in leases.iter().zip([20, 30]) {
        let fence = world.fence(leased);
        store.attempt_checkpoint(fence, checkpoint(step, 0), world.now).await.expect("it is taken");
    }
    store.checkpoint_forget(checkpoint(30, 0).hash).await.expect("it is forgotten");
    assert_eq!(store.checkpoint_hashes().await.expect("hashes"), [checkpoint(20, 0).hash].into());

    let fence = world.fence(&leases[0]);
    store.attempt_release(fence, "drain".into(), world.now).await.expect("it is given back");
    let again = world.claim_one().await;
    let fence = world.fence(&again);
    let (next, _) =
        store.attempt_points(fence, vec![point(0, 0.5)], world.now).await.expect("it begins at 0");
    assert_eq!(next, 1);
    assert_conflict(store.attempt_resume(fence, checkpoint(20, 0).hash, world.now).await);
    store.attempt_complete(fence, finish(0.9), world.now).await.expect("it ends");
    world.expect_state(again.trial_id, TrialState::Succeeded).await;
    assert!(store.checkpoint_hashes().await.expect("hashes").is_empty());
}
