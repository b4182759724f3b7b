//! Opening the file: the lock, SQLite's version, pragmas that are set and read back, migrations.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Row, SqlSafeStr, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::rows::version_parts;
use crate::{Result, StoreError};

/// Older versions can corrupt the file when the write-ahead log starts over.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long a connection waits for a lock, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 5000;
/// Sets it again.
const RESET_BUSY_TIMEOUT: &str = "pragma busy_timeout = 5000";
/// Size to which the write-ahead log is cut when it starts over.
const WAL_KEPT_BYTES_MAX: u32 = 64 << 20;
/// Pages in the write-ahead log after which a commit moves them into the file.
const WAL_CHECKPOINT_PAGES: u32 = 1000;
/// Pages kept in memory by the writer, in KiB.
const WRITER_CACHE_KIB: u32 = 64 << 10;
/// How long a reader waits for a free connection, in seconds.
const READER_WAIT_S: u64 = 10;

/// The schema's history: number, name, text. Entries are only ever added.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "store", include_str!("../../../../migrations/0001_store.sql")),
    (2, "control", include_str!("../../../../migrations/0002_control.sql")),
    (3, "stopped", include_str!("../../../../migrations/0003_stopped.sql")),
    (4, "checkpoints", include_str!("../../../../migrations/0004_checkpoints.sql")),
    (5, "fair", include_str!("../../../../migrations/0005_fair.sql")),
    (6, "labels", include_str!("../../../../migrations/0006_labels.sql")),
    (7, "snapshots", include_str!("../../../../migrations/0007_snapshots.sql")),
];

/// Why the file could not be opened: what was tried, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} {}", path.display())]
struct OpenFault {
    tried: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The exclusive lock that keeps a second server off the file; it is let go when this is dropped.
pub(super) struct FileLock(#[expect(dead_code, reason = "held, never read")] File);

/// The file's real path, so that two names of it share one lock.
pub(super) fn real_path(path: &Path) -> Result<PathBuf> {
    let fault = |source| {
        StoreError::Unavailable(Box::new(OpenFault {
            tried: "find the directory of",
            path: path.to_owned(),
            source,
        }))
    };
    if let Ok(real) = path.canonicalize() {
        return Ok(real);
    }
    let Some(name) = path.file_name() else {
        return Err(StoreError::Conflict(format!("{} names no file", path.display())));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(parent.canonicalize().map_err(fault)?.join(name))
}

/// Takes the lock, the file `lock` beside the database.
pub(super) fn lock(path: &Path) -> Result<FileLock> {
    let beside = path.with_file_name("lock");
    let fault =
        |tried, source| StoreError::Unavailable(Box::new(OpenFault { tried, path: beside.clone(), source }));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(|source| fault("open the lock file", source))?;
    match file.try_lock() {
        Ok(()) => Ok(FileLock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Conflict(format!(
            "another motif server is using {}: stop it, or give this one another data directory",
            path.display()
        ))),
        Err(TryLockError::Error(source)) => Err(fault("lock", source)),
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_millis(u64::from(BUSY_TIMEOUT_MS)))
        .pragma("journal_size_limit", WAL_KEPT_BYTES_MAX.to_string())
        .pragma("wal_autocheckpoint", WAL_CHECKPOINT_PAGES.to_string())
        .pragma("temp_store", "memory")
        .disable_statement_logging()
}

/// The connection that writes.
pub(super) async fn connect_writer(path: &Path) -> Result<SqliteConnection> {
    let mut conn = options(path)
        .create_if_missing(true)
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .connect()
        .await?;
    verify(&mut conn, false).await?;
    #[cfg(debug_assertions)]
    super::failpoint::watch(&mut conn).await?;
    Ok(conn)
}

/// A connection to a database that is there, of a process that copies it while another may write.
pub(super) async fn connect_copier(path: &Path) -> Result<SqliteConnection> {
    Ok(options(path).create_if_missing(false).connect().await?)
}

/// The connections that read, and cannot write.
pub(super) async fn connect_readers(path: &Path, readers: u32) -> Result<SqlitePool> {
    let pool = SqlitePoolOptions::new()
        .max_connections(readers.max(1))
        .acquire_timeout(Duration::from_secs(READER_WAIT_S))
        .after_connect(|conn, _| {
            Box::pin(async move {
                verify(conn, true).await.map_err(|error| sqlx::Error::Configuration(Box::new(error)))
            })
        })
        .connect_with(options(path).pragma("query_only", "on"))
        .await?;
    Ok(pool)
}

/// Reads back what was set: SQLite ignores a pragma that it does not understand.
async fn verify(conn: &mut SqliteConnection, reader: bool) -> Result<()> {
    let row = sqlx::query(
        "select sqlite_version() as version,
            (select journal_mode from pragma_journal_mode) as journal_mode,
            (select synchronous from pragma_synchronous) as synchronous,
            (select foreign_keys from pragma_foreign_keys) as foreign_keys,
            (select timeout from pragma_busy_timeout) as busy_timeout,
            (select query_only from pragma_query_only) as query_only",
    )
    .fetch_one(conn)
    .await?;
    let version: String = row.try_get("version")?;
    if version_parts(&version)? < SQLITE_VERSION_MIN {
        let (major, minor, patch) = SQLITE_VERSION_MIN;
        return Err(StoreError::Conflict(format!(
            "SQLite {version} can corrupt the file: {major}.{minor}.{patch} or newer is needed"
        )));
    }
    let mode: String = row.try_get("journal_mode")?;
    if mode != "wal" {
        return Err(StoreError::Conflict(format!("journal_mode is {mode}, not wal, on this file system")));
    }
    let expected = [
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", i64::from(BUSY_TIMEOUT_MS)),
        ("query_only", i64::from(reader)),
    ];
    for (pragma, wanted) in expected {
        let found: i64 = row.try_get(pragma)?;
        if found != wanted {
            return Err(StoreError::Conflict(format!("SQLite's {pragma} is {found}, not {wanted}")));
        }
    }
    Ok(())
}

/// Brings the schema up to date.
pub(super) async fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    apply(conn, MIGRATIONS).await
}

/// Brings the schema to where these migrations lead.
pub(super) async fn apply(conn: &mut SqliteConnection, known: &[(i64, &str, &'static str)]) -> Result<()> {
    let newest = newest(known);
    let migrations = known
        .iter()
        .map(|&(version, name, sql)| {
            Migration::new(version, name.to_owned().into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations).run_direct(None, conn, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => newer(version, newest),
        MigrateError::VersionMismatch(version) => {
            StoreError::Corrupt(format!("migration {version} was applied with another text"))
        }
        other => StoreError::Unavailable(Box::new(other)),
    })
}

fn newest(known: &[(i64, &str, &str)]) -> i64 {
    known.iter().map(|(version, ..)| *version).max().unwrap_or(0)
}

fn newer(found: i64, newest: i64) -> StoreError {
    StoreError::Conflict(format!(
        "the database was written by a newer motif (its schema has migration {found}, this one knows up to {newest}): \
         install that version, or restore a backup"
    ))
}

/// Refuses a schema that a newer motif wrote.
pub(super) fn check_schema(found: u64) -> Result<()> {
    let (found, newest) = (i64::try_from(found).unwrap_or(i64::MAX), newest(MIGRATIONS));
    if found > newest { Err(newer(found, newest)) } else { Ok(()) }
}

/// Moves the whole write-ahead log into the file and empties it, unless readers are in the way for longer than a short
/// while: what waits for the writer should not wait for them.
pub(super) async fn checkpoint(conn: &mut SqliteConnection) -> Result<()> {
    sqlx::query("pragma busy_timeout = 200").execute(&mut *conn).await?;
    let done = sqlx::query("pragma wal_checkpoint(truncate)").fetch_one(&mut *conn).await;
    sqlx::query(RESET_BUSY_TIMEOUT).execute(&mut *conn).await?;
    let busy: i64 = done?.try_get(0)?;
    if busy != 0 {
        return Err(StoreError::Unavailable("readers hold the write-ahead log".into()));
    }
    Ok(())
}
