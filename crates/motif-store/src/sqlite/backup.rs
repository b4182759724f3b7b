//! Copies of the file: made while a server writes to it, verified, and put back in its place.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{open, rows::Columns};
use crate::{Result, StoreError};

/// Lines of an integrity check that are repeated in an error.
const FAULTS_SHOWN_MAX: i64 = 5;

/// What a copy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// The database's epoch.
    pub epoch: u64,
    /// Number of its newest migration.
    pub schema: u64,
    /// Sweeps.
    pub sweeps: u64,
    /// Trials.
    pub trials: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// Why a copy could not be made or put in place: what was tried, and what came of it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {tried} {}", path.display())]
struct CopyFault {
    tried: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

fn fault(tried: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Unavailable(Box::new(CopyFault { tried, path, source }))
}

/// The file's name with something behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Where a restore prepares the file that it puts in place.
fn restoring(database: &Path) -> PathBuf {
    beside(database, ".restoring")
}

/// Copies the database at `database` to the new file `to`: one consistent state, whoever writes to it meanwhile. The
/// copy appears under its name only when it is whole, on the disk, and was opened and checked.
///
/// # Errors
/// [`StoreError::Conflict`] when there is no database or `to` is there, [`StoreError::Corrupt`] when the copy does not
/// pass, [`StoreError::Unavailable`] when a file cannot be read or written.
pub async fn backup(database: &Path, to: &Path) -> Result<BackupSummary> {
    if !database.is_file() {
        return Err(StoreError::Conflict(format!("there is no database at {}", database.display())));
    }
    if to.exists() {
        return Err(StoreError::Conflict(format!("{} is already there", to.display())));
    }
    let unfinished = beside(to, ".unfinished");
    remove(&unfinished)?;
    let mut conn = open::connect_copier(database).await?;
    let copied = sqlx::query("vacuum into ?").bind(unfinished.to_string_lossy()).execute(&mut conn).await;
    conn.close().await?;
    if let Err(error) = copied {
        remove(&unfinished)?;
        return Err(error.into());
    }
    sync(&unfinished)?;
    let summary = inspect(&unfinished).await?;
    fs::rename(&unfinished, to).map_err(fault("write", to))?;
    sync_folder(to)?;
    Ok(summary)
}

/// Opens a copy and checks it: SQLite's own integrity, foreign keys, that it is a store of this motif or an older one.
///
/// # Errors
/// [`StoreError::Corrupt`] when it does not pass, [`StoreError::Conflict`] when a newer motif wrote it,
/// [`StoreError::Unavailable`] when it cannot be read.
pub async fn inspect(copy: &Path) -> Result<BackupSummary> {
    let bytes = fs::metadata(copy).map_err(fault("read", copy))?.len();
    let mut conn = SqliteConnectOptions::new()
        .filename(copy)
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await?;
    let summary = summarize(&mut conn, bytes).await;
    conn.close().await?;
    summary
}

async fn summarize(conn: &mut SqliteConnection, bytes: u64) -> Result<BackupSummary> {
    let integrity = sqlx::query("select integrity_check as line from pragma_integrity_check limit ?")
        .bind(FAULTS_SHOWN_MAX)
        .fetch_all(&mut *conn)
        .await?;
    let lines = integrity.iter().map(|row| row.text("line")).collect::<Result<Vec<_>>>()?;
    if lines != ["ok"] {
        return Err(StoreError::Corrupt(format!("the file is damaged: {}", lines.join("; "))));
    }
    let dangling: i64 = sqlx::query("select count(*) from pragma_foreign_key_check")
        .fetch_one(&mut *conn)
        .await?
        .try_get(0)?;
    if dangling > 0 {
        return Err(StoreError::Corrupt(format!("{dangling} rows refer to rows that are not there")));
    }
    let row = sqlx::query(
        "select (select value from meta where key = 'epoch') as epoch,
            (select max(version) from _sqlx_migrations where success) as schema,
            (select count(*) from sweeps) as sweeps, (select count(*) from trials) as trials",
    )
    .fetch_one(conn)
    .await
    .map_err(|error| StoreError::Corrupt(format!("the file is no store of motif: {error}")))?;
    let schema = row.uint("schema")?;
    open::check_schema(schema)?;
    Ok(BackupSummary {
        epoch: row.uint("epoch")?,
        schema,
        sweeps: row.uint("sweeps")?,
        trials: row.uint("trials")?,
        bytes,
    })
}

/// The hashes of the checkpoints that a copy's trials would go on from.
///
/// # Errors
/// [`StoreError::Unavailable`] when it cannot be read, [`StoreError::Corrupt`] when it is no store of motif.
pub async fn checkpoints_of(copy: &Path) -> Result<BTreeSet<String>> {
    let mut conn = SqliteConnectOptions::new()
        .filename(copy)
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await?;
    let hashes = hashes(&mut conn).await;
    conn.close().await?;
    hashes
}

async fn hashes(conn: &mut SqliteConnection) -> Result<BTreeSet<String>> {
    // A copy is as old as the database that it is of, which no server of this version may have opened yet.
    let table = "select 1 from sqlite_schema where type = 'table' and name = 'checkpoints'";
    if sqlx::query(table).fetch_optional(&mut *conn).await?.is_none() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query("select hash from checkpoints").fetch_all(conn).await?;
    rows.iter().map(|row| row.text("hash")).collect()
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What is now in place.
    pub summary: BackupSummary,
    /// Where the database that was there before is kept.
    pub replaced: Option<PathBuf>,
}

/// Puts a copy in the place of the database at `database`, in a new epoch, so that leases given before are refused.
/// What is there is kept under another name, and only moved away with `replace`. A restore that is interrupted leaves
/// either the old database or a state that [`super::SqliteStore::open`] refuses to mistake for an empty one.
///
/// # Errors
/// [`StoreError::Conflict`] when a server uses the database or there is one and `replace` was not asked for, otherwise
/// as [`inspect`].
pub async fn restore(copy: &Path, database: &Path, replace: bool) -> Result<Restored> {
    inspect(copy).await?;
    let database = open::real_path(database)?;
    let _lock = open::lock(&database)?;
    let there = database.exists();
    if there && !replace {
        return Err(StoreError::Conflict(format!(
            "there is a database at {}: --replace puts the backup in its place, and keeps it under another name",
            database.display()
        )));
    }
    // A database that is damaged has no say in the epoch: that is what backups are for.
    let earlier = if there { epoch_of(&database).await.unwrap_or(0) } else { 0 };
    let prepared = restoring(&database);
    for suffix in ["", "-wal", "-shm"] {
        remove(&beside(&prepared, suffix))?;
    }
    fs::copy(copy, &prepared).map_err(fault("copy the backup to", &prepared))?;
    let epoch = begin_epoch(&prepared, earlier).await?;
    sync(&prepared)?;
    let replaced = if there { Some(move_away(&database, epoch)?) } else { None };
    fs::rename(&prepared, &database).map_err(fault("write", &database))?;
    sync_folder(&database)?;
    Ok(Restored { summary: inspect(&database).await?, replaced })
}

async fn epoch_of(database: &Path) -> Result<u64> {
    let mut conn = open::connect_copier(database).await?;
    let row = sqlx::query("select value from meta where key = 'epoch'").fetch_one(&mut conn).await?;
    conn.close().await?;
    row.uint("value")
}

/// Starts an epoch later than the copy's and the given one.
async fn begin_epoch(prepared: &Path, earlier: u64) -> Result<u64> {
    let mut conn = open::connect_writer(prepared).await?;
    open::migrate(&mut conn).await?;
    let row = sqlx::query("update meta set value = max(value, ?) + 1 where key = 'epoch' returning value")
        .bind(super::rows::integer(earlier))
        .fetch_one(&mut conn)
        .await?;
    open::checkpoint(&mut conn).await?;
    conn.close().await?;
    row.uint("value")
}

/// Moves the database and its write-ahead log to another name; the log would otherwise be read into the next file.
fn move_away(database: &Path, epoch: u64) -> Result<PathBuf> {
    let aside = beside(database, &format!(".before-epoch-{epoch}"));
    let mut wanted = aside.clone();
    let mut number = 1;
    while wanted.exists() {
        number += 1;
        wanted = beside(&aside, &format!("-{number}"));
    }
    // The log first: without it the database is an older state of itself, and a log without its database is nothing.
    let wal = beside(database, "-wal");
    if wal.exists() {
        let to = beside(&wanted, "-wal");
        fs::rename(&wal, &to).map_err(fault("move the write-ahead log to", &to))?;
    }
    remove(&beside(database, "-shm"))?;
    fs::rename(database, &wanted).map_err(fault("move the database to", &wanted))?;
    Ok(wanted)
}

/// Refuses to begin a new database where a restore was interrupted.
pub(super) fn check_not_interrupted(database: &Path) -> Result<()> {
    let prepared = restoring(database);
    if prepared.exists() && !database.exists() {
        return Err(StoreError::Conflict(format!(
            "a restore was interrupted ({} is there, {} is not): run `motif restore` again",
            prepared.display(),
            database.display()
        )));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("remove", path)(error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(fault("write to the disk", path))
}

fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(folder)
}
