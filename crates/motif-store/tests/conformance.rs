//! The SQLite store passes the suite of the trait.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use motif_store::{
    Store,
    sqlite::{Options, SqliteStore},
};
use tempfile::TempDir;

async fn fresh() -> (Arc<dyn Store>, TempDir) {
    let dir = TempDir::new().unwrap();
    let store = SqliteStore::open(&dir.path().join("motif.db"), Options::default()).await.unwrap();
    (Arc::new(store), dir)
}

motif_store::conformance_tests!(fresh);
