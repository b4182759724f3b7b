//! Snapshots: by name, once, only from a lease's holder; an attempt that goes on from another has that one's.

use std::sync::Arc;

use super::world::{World, assert_conflict, assert_stale, finish};
use crate::{
    Store, StoreError,
    records::{CheckpointRecord, SnapshotRecord},
};

fn snapshot(name: &str, content: u8) -> SnapshotRecord {
    SnapshotRecord { name: name.to_owned(), hash: blake3::hash(&[content]).to_hex().to_string(), bytes: 1 }
}

/// The same again is fine, other bytes under the same name are not; a lost lease hands over nothing.
pub async fn snapshots_are_kept_by_name(store: Arc<dyn Store>) {
    let mut world = World::new(store.clone());
    world.submit(1, 1).await;
    let leased = world.claim_one().await;
    let fence = world.fence(&leased);
    let [first, last] = [snapshot("step-000000.npz", 1), snapshot("step-000200.npz", 2)];
    assert_eq!(store.trial_snapshots(leased.trial_id).await.expect("an answer"), []);
    for record in [&last, &first, &first] {
        store.attempt_snapshot(fence, record.clone(), world.now).await.expect("it is taken");
    }
    assert_conflict(store.attempt_snapshot(fence, snapshot("step-000000.npz", 3), world.now).await);
    let both = vec![first.clone(), last.clone()];
    assert_eq!(store.trial_snapshots(leased.trial_id).await.expect("an answer"), both);
    let hashes = [first.hash.clone(), last.hash.clone()].into();
    assert_eq!(store.snapshot_hashes().await.expect("hashes"), hashes);

    store.attempt_complete(fence, finish(1.0), world.now).await.expect("it ends");
    assert_stale(store.attempt_snapshot(fence, snapshot("late", 4), world.now).await);
    world.wait_s(1);
    assert_eq!(store.trial_snapshots(leased.trial_id).await.expect("an answer"), both);
    match store.trial_snapshots(motif_sweep::ids::TrialId(uuid::Uuid::nil())).await {
        Err(StoreError::NotFound(_)) => {}
        other => panic!("expected no such trial, got {other:?}"),
    }
}

/// A new attempt has none of an earlier one's, unless it goes on from there.
pub async fn resumed_attempts_have_earlier_snapshots(store: Arc<dyn Store>) {
    let world = World::new(store.clone());
    world.submit(1, 1).await;
    let first = world.claim_one().await;
    let fence = world.fence(&first);
    let before = snapshot("step-000000.npz", 1);
    store.attempt_snapshot(fence, before.clone(), world.now).await.expect("it is taken");
    let hash = blake3::hash(b"weights").to_hex().to_string();
    let saved = CheckpointRecord { step: 20, points: 0, hash: hash.clone(), bytes: 7 };
    store.attempt_checkpoint(fence, saved, world.now).await.expect("it is taken");
    store.attempt_release(fence, "drain".into(), world.now).await.expect("it is given back");

    let second = world.claim_one().await;
    let fence = world.fence(&second);
    assert_eq!(store.trial_snapshots(second.trial_id).await.expect("an answer"), []);
    store.attempt_resume(fence, hash, world.now).await.expect("it resumes");
    assert_eq!(store.trial_snapshots(second.trial_id).await.expect("an answer"), [before]);
}
