//! Table `snapshots`: files that attempts hand over, by name.

use std::collections::BTreeSet;

use jiff::Timestamp;
use motif_sweep::ids::TrialId;
use sqlx::SqliteConnection;

use super::{
    attempts,
    rows::{Columns, integer, millis},
};
use crate::{
    Result, StoreError,
    records::{Fence, SnapshotRecord},
};

/// Snapshots of one attempt.
const SNAPSHOTS_MAX: u64 = 256;

/// Takes a snapshot over. The same bytes under the same name are there once; others are a conflict.
pub(super) async fn save(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    record: SnapshotRecord,
    now: Timestamp,
) -> Result<()> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    let row = sqlx::query(
        "select count(*) as there, max(case when name = ?2 then hash end) as hash from snapshots where attempt = ?1",
    )
    .bind(held.n)
    .bind(&record.name)
    .fetch_one(&mut *conn)
    .await?;
    match row.opt_text("hash")? {
        Some(hash) if hash == record.hash => return Ok(()),
        Some(hash) => {
            return Err(StoreError::Conflict(format!(
                "the snapshot {} is there with hash {hash}",
                record.name
            )));
        }
        None => {}
    }
    if row.uint::<u64>("there")? >= SNAPSHOTS_MAX {
        return Err(StoreError::Conflict(format!("an attempt has at most {SNAPSHOTS_MAX} snapshots")));
    }
    sqlx::query("insert into snapshots (attempt, name, hash, bytes, saved_at) values (?, ?, ?, ?, ?)")
        .bind(held.n)
        .bind(&record.name)
        .bind(&record.hash)
        .bind(integer(record.bytes))
        .bind(millis(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// An attempt that goes on from another has what that one handed over.
pub(super) async fn copy(conn: &mut SqliteConnection, from: i64, to: i64) -> Result<()> {
    sqlx::query(
        "insert or ignore into snapshots (attempt, name, hash, bytes, saved_at)
        select ?, name, hash, bytes, saved_at from snapshots where attempt = ?",
    )
    .bind(to)
    .bind(from)
    .execute(conn)
    .await?;
    Ok(())
}

/// The snapshots of a trial's newest attempt, by name.
pub(super) async fn of_trial(conn: &mut SqliteConnection, id: TrialId) -> Result<Vec<SnapshotRecord>> {
    let rows = sqlx::query(
        "select s.name, s.hash, s.bytes from trials t
        join attempts a on a.trial = t.n and a.number = t.attempt
        join snapshots s on s.attempt = a.n
        where t.id = ? order by s.name",
    )
    .bind(id.0.as_bytes().as_slice())
    .fetch_all(conn)
    .await?;
    let read = |row| {
        let row: &sqlx::sqlite::SqliteRow = row;
        Ok(SnapshotRecord { name: row.text("name")?, hash: row.text("hash")?, bytes: row.uint("bytes")? })
    };
    rows.iter().map(read).collect()
}

/// The hashes of all snapshots.
pub(super) async fn hashes(conn: &mut SqliteConnection) -> Result<BTreeSet<String>> {
    let rows = sqlx::query("select distinct hash from snapshots").fetch_all(conn).await?;
    rows.iter().map(|row| row.text("hash")).collect()
}
