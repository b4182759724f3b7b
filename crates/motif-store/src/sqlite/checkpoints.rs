//! Table `checkpoints`: of each trial the newest, and attempts that go on from it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use motif_sweep::lifecycle::{self, Event};
use sqlx::SqliteConnection;

use super::{
    attempts::{self, Held},
    rows::{Columns, integer, millis},
    snapshots,
};
use crate::{
    Result, StoreError,
    records::{CheckpointRecord, Fence, Moved},
};

/// The trial's newest checkpoint with the row of the attempt that holds the points before it.
async fn newest(conn: &mut SqliteConnection, trial: i64) -> Result<Option<(i64, CheckpointRecord)>> {
    let row = sqlx::query("select attempt, step, points, hash, bytes from checkpoints where trial = ?")
        .bind(trial)
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        let record = CheckpointRecord {
            step: row.uint("step")?,
            points: row.uint("points")?,
            hash: row.text("hash")?,
            bytes: row.uint("bytes")?,
        };
        Ok((row.int("attempt")?, record))
    })
    .transpose()
}

/// The trial's newest checkpoint.
pub(super) async fn of_trial(conn: &mut SqliteConnection, trial: i64) -> Result<Option<CheckpointRecord>> {
    Ok(newest(conn, trial).await?.map(|(_, record)| record))
}

/// The next `seq` that an attempt is expected to log.
async fn next_seq(conn: &mut SqliteConnection, attempt: i64) -> Result<u64> {
    let row = sqlx::query("select coalesce(max(seq) + 1, 0) as next from points where attempt = ?")
        .bind(attempt)
        .fetch_one(conn)
        .await?;
    row.uint("next")
}

/// Takes a checkpoint over unless a later one is there; returns the newest.
pub(super) async fn save(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    record: CheckpointRecord,
    now: Timestamp,
) -> Result<CheckpointRecord> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    let next = next_seq(conn, held.n).await?;
    if record.points > next {
        return Err(StoreError::Gap { expected: next, found: record.points });
    }
    if let Some(stored) = of_trial(conn, held.trial).await?
        && (stored.step > record.step || stored.hash == record.hash)
    {
        return Ok(stored);
    }
    sqlx::query(
        "insert into checkpoints (trial, attempt, step, points, hash, bytes, saved_at) values (?, ?, ?, ?, ?, ?, ?)
        on conflict (trial) do update set attempt = excluded.attempt, step = excluded.step, points = excluded.points,
            hash = excluded.hash, bytes = excluded.bytes, saved_at = excluded.saved_at",
    )
    .bind(held.trial)
    .bind(held.n)
    .bind(integer(record.step))
    .bind(integer(record.points))
    .bind(&record.hash)
    .bind(integer(record.bytes))
    .bind(millis(now))
    .execute(conn)
    .await?;
    Ok(record)
}

/// The newest checkpoint of the trial that an open attempt holds.
pub(super) async fn held(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
) -> Result<Option<CheckpointRecord>> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    of_trial(conn, held.trial).await
}

/// Lets an attempt without points of its own go on from its trial's checkpoint: it begins with the points before it.
pub(super) async fn resume(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    hash: &str,
    now: Timestamp,
) -> Result<(u64, Moved)> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    let next = next_seq(conn, held.n).await?;
    let row = sqlx::query("select coalesce(resumed_from, '') as resumed_from from attempts where n = ?")
        .bind(held.n)
        .fetch_one(&mut *conn)
        .await?;
    let resumed_from = row.text("resumed_from")?;
    if resumed_from == hash {
        return Ok((next, held.moved(&held.life)));
    }
    if next > 0 || !resumed_from.is_empty() {
        return Err(StoreError::Conflict("this attempt has already begun: it cannot resume now".into()));
    }
    let Some((holder, record)) = newest(conn, held.trial).await? else {
        return Err(StoreError::NotFound("checkpoint"));
    };
    if record.hash != hash {
        return Err(StoreError::Conflict(format!("the trial's newest checkpoint is {}", record.hash)));
    }
    copy(conn, &held, holder, &record).await?;
    snapshots::copy(conn, holder, held.n).await?;
    // The step is a sign of life like any other: the time without a step counts from here.
    let event = Event::Heartbeat { step: record.step };
    let transition = lifecycle::step(&held.life, event, now, &held.policy).map_err(attempts::stale)?;
    let Some(lease) = &transition.life.lease else { return Err(StoreError::StaleLease) };
    attempts::extend(conn, &held, lease, now).await?;
    Ok((record.points, held.moved(&transition.life)))
}

async fn copy(
    conn: &mut SqliteConnection,
    held: &Held,
    holder: i64,
    record: &CheckpointRecord,
) -> Result<()> {
    let copied = sqlx::query(
        "insert into points (attempt, seq, step, epoch, metric_schema, packed)
        select ?, seq, step, epoch, metric_schema, packed from points where attempt = ? and seq < ?",
    )
    .bind(held.n)
    .bind(holder)
    .bind(integer(record.points))
    .execute(&mut *conn)
    .await?;
    if copied.rows_affected() != record.points {
        return Err(StoreError::Corrupt(format!(
            "{} of the {} points before a checkpoint",
            copied.rows_affected(),
            record.points
        )));
    }
    sqlx::query("update attempts set resumed_from = ? where n = ?")
        .bind(&record.hash)
        .bind(held.n)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets checkpoints whose bytes are lost.
pub(super) async fn forget(conn: &mut SqliteConnection, hash: &str) -> Result<()> {
    sqlx::query("delete from checkpoints where hash = ?").bind(hash).execute(conn).await?;
    Ok(())
}

/// The hashes of all checkpoints.
pub(super) async fn hashes(conn: &mut SqliteConnection) -> Result<BTreeSet<String>> {
    let rows = sqlx::query("select distinct hash from checkpoints").fetch_all(conn).await?;
    rows.iter().map(|row| row.text("hash")).collect()
}
