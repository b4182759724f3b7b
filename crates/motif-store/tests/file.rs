//! One file over its life: opened twice, closed, reopened, restored, damaged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::PathBuf, sync::Arc};

use motif_store::{
    Queue, Store, StoreError,
    conformance::World,
    records::{Fence, PointRecord, Steer},
    sqlite::{Options, SqliteStore},
};
use motif_sweep::lifecycle::TrialState;
use tempfile::TempDir;

fn place() -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("motif.db");
    (dir, path)
}

async fn open(path: &std::path::Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, Options::default()).await.unwrap())
}

#[tokio::test]
async fn a_second_server_on_one_file_is_refused() {
    let (dir, path) = place();
    let first = open(&path).await;
    let refused = SqliteStore::open(&path, Options::default()).await.err().expect("refused");
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused:?}");
    assert!(refused.to_string().contains("another motif server"), "{refused}");
    let roundabout = dir.path().join(".").join("motif.db");
    assert!(SqliteStore::open(&roundabout, Options::default()).await.is_err());
    first.ready().await.unwrap();
    first.close().await;
    open(&path).await.ready().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_refuses_calls() {
    let (_dir, path) = place();
    let store = open(&path).await;
    store.close().await;
    store.close().await;
    assert!(matches!(store.ready().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.sweep_list(None, true, 1).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn reopening_keeps_everything() {
    let (_dir, path) = place();
    let store = open(&path).await;
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let sweep = world.submit(2, 2).await;
    let paused = world.submit(1, 1).await;
    store.sweep_steer(paused.id, Steer::Pause, "someone", world.now).await.unwrap();
    let lease = world.claim_one().await;
    let fence = world.fence(&lease);
    let points = vec![PointRecord { seq: 0, step: 1, epoch: 0.5, values: [("a".to_owned(), 0.1)].into() }];
    store.attempt_points(fence, points, world.now).await.unwrap();
    store.attempt_heartbeat(fence, 7, Some(9), world.now).await.unwrap();
    let everything = async |store: &dyn Store| {
        (
            store.sweep_list(None, true, 10).await.unwrap(),
            store.sweep_conditions(sweep.id).await.unwrap(),
            store.trial_list(sweep.id, None, 0, 10).await.unwrap(),
            store.trial_attempts(lease.trial_id).await.unwrap(),
            store.trial_points(lease.trial_id).await.unwrap(),
            store.worker_list().await.unwrap(),
        )
    };
    let before = everything(&*store).await;
    store.close().await;

    let store = open(&path).await;
    assert_eq!(before, everything(&*store).await);
    assert_eq!(store.epoch(), 1);
    let moved = store.attempt_heartbeat(fence, 8, Some(9), world.now).await.unwrap();
    assert_eq!(moved.state, TrialState::Leased, "a lease outlives the server");
}

#[tokio::test]
async fn a_restored_file_refuses_older_leases() {
    let (_dir, path) = place();
    let store = open(&path).await;
    let mut world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    world.submit(1, 1).await;
    let lease = world.claim_one().await;
    let fence = world.fence(&lease);
    store.close().await;

    let options = Options { restored: true, ..Options::default() };
    let store = Arc::new(SqliteStore::open(&path, options).await.unwrap());
    assert_eq!(store.epoch(), 2);
    for fence in [fence, Fence { epoch: 2, ..fence }] {
        let refused = store.attempt_heartbeat(fence, 1, None, world.now).await;
        assert!(matches!(refused, Err(StoreError::StaleLease)), "{refused:?}");
    }
    world.store = store;
    world.wait_s(30);
    assert_eq!(world.store.attempts_reap(0.0, world.now).await.unwrap().len(), 1);
    assert_eq!(world.claim_one().await.attempt, 2);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let (_dir, path) = place();
    std::fs::write(&path, [7u8; 8192]).unwrap();
    let refused = SqliteStore::open(&path, Options::default()).await.err().expect("refused");
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    let missing = path.with_file_name("nowhere").join("motif.db");
    let refused = SqliteStore::open(&missing, Options::default()).await.err().expect("refused");
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
}
