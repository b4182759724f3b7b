//! Table `workers`: who has introduced itself, and when it was last heard of.

use std::collections::HashMap;

use jiff::Timestamp;
use motif_sweep::{ids::WorkerId, requires::Abilities};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::rows::{Columns, integer, json_text, millis};
use crate::{
    Result,
    records::{WorkerRecord, WorkerSeen},
};

/// Introduces workers. A list may name one twice.
pub(super) const HELLO: &str =
    "insert into workers (id, name, host, version, instruction_set, slots, first_seen_at, seen_at, labels, memory_bytes)
    select unhex(value ->> 0), value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 6,
            value ->> 7, value ->> 8
        from json_each(?) where true order by key
    on conflict (id) do update set name = excluded.name, host = excluded.host, version = excluded.version,
        instruction_set = excluded.instruction_set, slots = excluded.slots, labels = excluded.labels,
        memory_bytes = excluded.memory_bytes, seen_at = max(seen_at, excluded.seen_at)
    returning n, id";

/// Stores what workers say of themselves, and when; returns their rows.
pub(super) async fn hello<'w>(
    conn: &mut SqliteConnection,
    workers: impl Iterator<Item = (&'w WorkerSeen, Timestamp)>,
) -> Result<HashMap<WorkerId, i64>> {
    let row = |(worker, now): (&'w WorkerSeen, Timestamp)| {
        let WorkerSeen { id, name, host, version, instruction_set, slots, abilities } = worker;
        let Abilities { labels, memory_bytes } = abilities;
        let id = id.0.simple().to_string();
        (id, name, host, version, instruction_set, slots, millis(now), labels, memory_bytes.map(integer))
    };
    let rows =
        sqlx::query(HELLO).bind(json_text(&workers.map(row).collect::<Vec<_>>())?).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.id("id")?, row.int("n")?))).collect()
}

/// Writes when workers were last heard of, and how many attempts they have completed.
pub(super) const HEARD_OF: &str =
    "update workers set seen_at = max(seen_at, value ->> 1), completed = completed + (value ->> 2)
    from json_each(?) where workers.n = value ->> 0";

/// Workers, by their rows, have reported something: when, and how many completed attempts.
pub(super) async fn heard_of(
    conn: &mut SqliteConnection,
    reports: impl Iterator<Item = (i64, Timestamp, u64)>,
) -> Result<()> {
    let mut heard: HashMap<i64, (i64, u64)> = HashMap::new();
    for (worker, at, completed) in reports {
        let (newest, sum) = heard.entry(worker).or_insert((millis(at), 0));
        *newest = millis(at).max(*newest);
        *sum += completed;
    }
    if heard.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = heard.into_iter().map(|(worker, (at, completed))| (worker, at, completed)).collect();
    sqlx::query(HEARD_OF).bind(json_text(&rows)?).execute(conn).await?;
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
