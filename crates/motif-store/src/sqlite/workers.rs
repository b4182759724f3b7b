//! Table `workers`: who has introduced itself, and when it was last heard of.

use jiff::Timestamp;
use motif_sweep::requires::Abilities;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::rows::{Columns, integer, json_text, millis};
use crate::{
    Result,
    records::{WorkerRecord, WorkerSeen},
};

/// Stores what a worker says of itself and returns its row.
pub(super) async fn hello(conn: &mut SqliteConnection, worker: &WorkerSeen, now: Timestamp) -> Result<i64> {
    let row = sqlx::query(
        "insert into workers (id, name, host, version, instruction_set, slots, first_seen_at, seen_at, labels, memory_bytes)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9)
        on conflict (id) do update set name = excluded.name, host = excluded.host, version = excluded.version,
            instruction_set = excluded.instruction_set, slots = excluded.slots,
            labels = excluded.labels, memory_bytes = excluded.memory_bytes,
            seen_at = max(seen_at, excluded.seen_at)
        returning n",
    )
    .bind(worker.id.0.as_bytes().as_slice())
    .bind(&worker.name)
    .bind(&worker.host)
    .bind(&worker.version)
    .bind(&worker.instruction_set)
    .bind(i64::from(worker.slots))
    .bind(millis(now))
    .bind(json_text(&worker.abilities.labels)?)
    .bind(worker.abilities.memory_bytes.map(integer))
    .fetch_one(conn)
    .await?;
    row.int("n")
}

/// A worker has reported something.
pub(super) async fn heard_of(conn: &mut SqliteConnection, worker: i64, now: Timestamp) -> Result<()> {
    sqlx::query("update workers set seen_at = max(seen_at, ?) where n = ?")
        .bind(millis(now))
        .bind(worker)
        .execute(conn)
        .await?;
    Ok(())
}

/// A worker has completed an attempt.
pub(super) async fn completed(conn: &mut SqliteConnection, worker: i64, now: Timestamp) -> Result<()> {
    sqlx::query("update workers set seen_at = max(seen_at, ?), completed = completed + 1 where n = ?")
        .bind(millis(now))
        .bind(worker)
        .execute(conn)
        .await?;
    Ok(())
}

/// All workers, most recently heard of first.
pub(super) async fn list(conn: &mut SqliteConnection) -> Result<Vec<WorkerRecord>> {
    let rows = sqlx::query(
        "select w.id, w.name, w.host, w.version, w.instruction_set, w.slots, w.labels, w.memory_bytes, w.completed, w.first_seen_at, w.seen_at,
            (select count(*) from attempts a where a.worker = w.n and a.ended_at is null) as leased
        from workers w order by w.seen_at desc, w.n desc",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<WorkerRecord> {
    Ok(WorkerRecord {
        seen: WorkerSeen {
            id: row.id("id")?,
            name: row.text("name")?,
            host: row.text("host")?,
            version: row.text("version")?,
            instruction_set: row.text("instruction_set")?,
            slots: row.uint("slots")?,
            abilities: Abilities { labels: row.json("labels")?, memory_bytes: row.opt_uint("memory_bytes")? },
        },
        leased: row.uint("leased")?,
        completed: row.uint("completed")?,
        first_seen_at: row.time("first_seen_at")?,
        seen_at: row.time("seen_at")?,
    })
}
