//! The stores pass the suite of their trait.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod sqlite {
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
}

mod memory {
    use std::sync::Arc;

    use motif_store::{Queue, memory::MemoryStore};

    async fn fresh() -> (Arc<dyn Queue>, ()) {
        (Arc::new(MemoryStore::default()), ())
    }

    motif_store::queue_conformance_tests!(fresh);
}
