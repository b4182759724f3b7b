//! The store behind the server, and what a restart makes of it.

use std::sync::Arc;

use motif_store::{
    Queue,
    memory::{MemoryStore, Plant},
    sqlite::{Options, SqliteStore},
};
use tempfile::TempDir;

/// A file system in memory, on Linux.
const IN_MEMORY: &str = "/dev/shm";

pub(super) enum Backend {
    Memory(Arc<MemoryStore>),
    Sqlite { store: Arc<SqliteStore>, dir: TempDir },
}

impl Backend {
    pub(super) fn memory(plant: Option<Plant>) -> Self {
        Self::Memory(Arc::new(plant.map_or_else(MemoryStore::default, MemoryStore::planted)))
    }

    /// A file in a temporary folder; in memory where there is such a place, because what is simulated is no loss of power.
    ///
    /// # Panics
    /// When there is no place for one.
    pub(super) async fn sqlite() -> Self {
        let dir = TempDir::new_in(IN_MEMORY).or_else(|_| TempDir::new()).expect("a temporary folder");
        let store = open(&dir).await;
        Self::Sqlite { store, dir }
    }

    pub(super) fn queue(&self) -> Arc<dyn Queue> {
        match self {
            Self::Memory(store) => Arc::clone(store) as Arc<dyn Queue>,
            Self::Sqlite { store, .. } => Arc::clone(store) as Arc<dyn Queue>,
        }
    }

    /// Another process opens what the last one left.
    pub(super) async fn restart(&mut self) {
        match self {
            Self::Memory(store) => store.crash(),
            Self::Sqlite { store, dir } => {
                store.close().await;
                *store = open(dir).await;
            }
        }
    }
}

async fn open(dir: &TempDir) -> Arc<SqliteStore> {
    let options = Options { readers: 1, ..Options::default() };
    let store = SqliteStore::open(&dir.path().join("motif.db"), options).await;
    Arc::new(store.expect("the store opens"))
}
