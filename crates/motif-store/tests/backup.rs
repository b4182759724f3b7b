//! Backups: one consistent state while the store is written, checked, and restored into a new epoch.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc};

use motif_store::{
    Queue, Store, StoreError,
    conformance::World,
    sqlite::{self, Options, SqliteStore},
};
use tempfile::TempDir;

async fn open(path: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(path, Options::default()).await.unwrap())
}

#[tokio::test]
async fn a_copy_made_while_sweeps_arrive_holds_whole_sweeps() {
    let dir = TempDir::new().unwrap();
    let (database, copy) = (dir.path().join("motif.db"), dir.path().join("copy.db"));
    let store = open(&database).await;
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    world.submit(2, 3).await;
    let (summary, ()) = tokio::join!(sqlite::backup(&database, &copy), async {
        for _ in 0..20 {
            world.submit(2, 3).await;
        }
    });
    let summary = summary.unwrap();
    assert!((1..=21).contains(&summary.sweeps), "{summary:?}");
    assert_eq!(summary.trials, 6 * summary.sweeps, "all trials of a sweep or none");
    assert_eq!(summary, sqlite::inspect(&copy).await.unwrap());
    assert_eq!(store.sweep_list(None, true, 100).await.unwrap().items.len(), 21, "the store goes on");
    let again = sqlite::backup(&database, &copy).await.unwrap_err();
    assert!(matches!(&again, StoreError::Conflict(said) if said.contains("already there")), "{again}");
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("unfinished")), "{names:?}");
}

#[tokio::test]
async fn a_damaged_copy_is_not_restored() {
    let dir = TempDir::new().unwrap();
    let (database, copy) = (dir.path().join("motif.db"), dir.path().join("copy.db"));
    let store = open(&database).await;
    World::new(Arc::clone(&store) as Arc<dyn Store>).submit(5, 40).await;
    store.close().await;
    sqlite::backup(&database, &copy).await.unwrap();
    let whole = std::fs::read(&copy).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..12_288].fill(0xa5);
    for bytes in [&damaged[..], &whole[..whole.len() / 2], b"no database", b""] {
        std::fs::write(&copy, bytes).unwrap();
        let target = dir.path().join("new.db");
        let refused = sqlite::restore(&copy, &target, false).await.unwrap_err();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{} bytes: {refused:?}", bytes.len());
        assert!(!target.exists());
    }
}

#[tokio::test]
async fn a_restore_keeps_what_was_there_and_begins_an_epoch_later_than_both() {
    let dir = TempDir::new().unwrap();
    let (database, copy) = (dir.path().join("motif.db"), dir.path().join("copy.db"));
    let store = open(&database).await;
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let first = world.submit(1, 2).await;
    let fence = world.fence(&world.claim_one().await);
    sqlite::backup(&database, &copy).await.unwrap();
    let second = world.submit(1, 1).await;
    let in_use = sqlite::restore(&copy, &database, true).await.unwrap_err();
    assert!(in_use.to_string().contains("another motif server"), "{in_use}");
    store.close().await;
    let there = sqlite::restore(&copy, &database, false).await.unwrap_err();
    assert!(there.to_string().contains("--replace"), "{there}");

    let mut kept = Vec::new();
    for epoch in [2, 3] {
        let restored = sqlite::restore(&copy, &database, true).await.unwrap();
        assert_eq!(restored.summary.epoch, epoch, "the same backup twice, and never the same epoch");
        kept.push(restored.replaced.unwrap());
    }
    let store = open(&database).await;
    assert_eq!(store.epoch(), 3);
    store.sweep_get(first.id).await.unwrap();
    assert!(matches!(store.sweep_get(second.id).await, Err(StoreError::NotFound(_))));
    let stale = store.attempt_heartbeat(fence, 1, None, world.now).await;
    assert!(matches!(stale, Err(StoreError::StaleLease)), "{stale:?}");
    store.close().await;
    let before = open(&kept[0]).await;
    before.sweep_get(second.id).await.unwrap();
}

#[tokio::test]
async fn an_interrupted_restore_is_not_taken_for_a_new_store() {
    let dir = TempDir::new().unwrap();
    let (database, copy) = (dir.path().join("motif.db"), dir.path().join("copy.db"));
    let store = open(&database).await;
    World::new(Arc::clone(&store) as Arc<dyn Store>).submit(1, 2).await;
    store.close().await;
    sqlite::backup(&database, &copy).await.unwrap();
    // As a restore leaves it that is killed between its two renames.
    std::fs::rename(&database, dir.path().join("motif.db.before-epoch-2")).unwrap();
    std::fs::copy(&copy, dir.path().join("motif.db.restoring")).unwrap();
    let refused = SqliteStore::open(&database, Options::default()).await.err().unwrap();
    assert!(refused.to_string().contains("restore was interrupted"), "{refused}");
    let restored = sqlite::restore(&copy, &database, false).await.unwrap();
    assert_eq!((restored.summary.trials, restored.replaced), (2, None));
    assert_eq!(open(&database).await.epoch(), 2);
}
