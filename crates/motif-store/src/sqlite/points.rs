//! Tables `points`, `metric_schemas` and `sweep_metrics`: metrics over training.
//!
//! A point's values are packed little-endian f64 in the order of its schema, the sorted list of their names; each
//! distinct list is stored once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use motif_sweep::ids::{AttemptId, SweepId, TrialId};
use sqlx::{QueryBuilder, SqliteConnection};

use super::{
    attempts::{self, Held},
    lists::{Answers, Asked, Listed},
    rows::{Columns, integer, json_text},
    stopping, sweeps,
    writer::{Message, Work},
};
use crate::{
    Result, StoreError,
    records::{Fence, Moved, PointRecord},
};

/// Size of one packed value.
pub(super) const VALUE_BYTES: usize = 8;
/// Points inserted by one statement: SQLite binds at most 32,766 values.
const INSERTED_AT_ONCE: usize = 4096;

/// Points of one attempt.
pub(super) struct Append {
    pub(super) epoch: u64,
    pub(super) fence: Fence,
    pub(super) points: Vec<PointRecord>,
    pub(super) now: Timestamp,
}

impl Listed for Append {
    type Key = AttemptId;
    type Reply = (u64, Moved);

    fn key(&self) -> AttemptId {
        self.fence.attempt_id
    }

    fn run_all<'c>(
        conn: &'c mut SqliteConnection,
        batches: &'c [&'c Self],
    ) -> Work<'c, Answers<(u64, Moved)>> {
        Box::pin(append(conn, batches))
    }

    fn message(asked: Asked<Self>) -> Message {
        Message::Points(asked)
    }
}

/// A batch that is accepted.
struct Accepted<'a> {
    held: Held,
    /// Its points that were not there.
    added: Vec<&'a PointRecord>,
    /// The next `seq` expected.
    next: u64,
    /// The latest step logged.
    step: u64,
}

/// What is new of a batch, after the newest point that is there, given by `seq` and step.
fn accept(held: Held, newest: Option<(u64, u64)>, points: &[PointRecord]) -> Result<Accepted<'_>> {
    let (first, mut step) = newest.map_or((0, 0), |(seq, step)| (seq + 1, step));
    let mut next = first;
    for point in points {
        if point.seq > next {
            return Err(StoreError::Gap { expected: next, found: point.seq });
        }
        if !point.epoch.is_finite() {
            return Err(StoreError::Conflict(format!(
                "epoch of point {} is {}, not a finite number",
                point.seq, point.epoch
            )));
        }
        next = next.max(point.seq + 1);
    }
    // A batch may have a point twice: the first counts.
    let mut expected = first;
    let mut added = Vec::with_capacity(points.len());
    for point in points.iter().filter(|point| point.seq >= first) {
        step = step.max(point.step);
        if point.seq == expected {
            expected += 1;
            added.push(point);
        }
    }
    Ok(Accepted { held, added, next, step })
}

/// Adds points that are not there yet, lets the sweeps' rules look at them, and returns the next `seq` expected.
async fn append(conn: &mut SqliteConnection, batches: &[&Append]) -> Answers<(u64, Moved)> {
    let Some(epoch) = batches.first().map(|batch| batch.epoch) else { return Ok(Vec::new()) };
    let found = attempts::fenced_all(conn, epoch, batches.iter().map(|batch| &batch.fence)).await?;
    let found: Vec<_> = found.into_iter().map(|held| held.and_then(attempts::open)).collect();
    let newest = newest(conn, found.iter().flatten().map(|held| held.n)).await?;
    let accepted = found.into_iter().zip(batches).map(|(held, batch)| {
        let held = held?;
        let newest = newest.get(&held.n).copied();
        accept(held, newest, &batch.points)
    });
    let accepted: Vec<_> = accepted.collect();
    insert(conn, accepted.iter().flatten()).await?;
    let mut answers = Vec::with_capacity(batches.len());
    for (accepted, batch) in accepted.into_iter().zip(batches) {
        answers.push(match accepted {
            Ok(Accepted { held, added, next, step }) => {
                let stop_step = stopping::consider(conn, &held, &added, batch.now).await?;
                let stop = stop_step.is_some_and(|stop_step| step >= stop_step);
                Ok((next, Moved { stop, ..held.moved(&held.life) }))
            }
            Err(refusal) => Err(refusal),
        });
    }
    Ok(answers)
}

/// Each attempt's newest point.
pub(super) const NEWEST: &str = "select p.attempt, p.seq, p.step from json_each(?) j
    cross join points p on p.attempt = j.value
        and p.seq = (select max(seq) from points where attempt = j.value)";

/// Of attempts that have logged any, `seq` and step of the newest point.
async fn newest(
    conn: &mut SqliteConnection,
    attempts: impl Iterator<Item = i64>,
) -> Result<HashMap<i64, (u64, u64)>> {
    let rows = sqlx::query(NEWEST).bind(json_text(&attempts.collect::<Vec<_>>())?).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((row.int("attempt")?, (row.uint("seq")?, row.uint("step")?)))).collect()
}

async fn insert<'a>(
    conn: &mut SqliteConnection,
    accepted: impl Iterator<Item = &'a Accepted<'a>>,
) -> Result<()> {
    let mut schemas = HashMap::new();
    let mut rows = Vec::new();
    for Accepted { held, added, .. } in accepted {
        for point in added {
            let names: Vec<&str> = point.values.keys().map(String::as_str).collect();
            let schema = match schemas.get(&(held.sweep, names.clone())) {
                Some(schema) => *schema,
                None => {
                    let schema = intern(conn, held.sweep, &names).await?;
                    schemas.insert((held.sweep, names), schema);
                    schema
                }
            };
            rows.push((held.n, *point, schema));
        }
    }
    for portion in rows.chunks(INSERTED_AT_ONCE) {
        // Values are bound: they are bits, and JSON's numbers might lose one.
        let mut insert =
            QueryBuilder::new("insert into points (attempt, seq, step, epoch, metric_schema, packed) ");
        insert.push_values(portion, |mut row, (attempt, point, schema)| {
            let packed: Vec<u8> = point.values.values().flat_map(|value| value.to_le_bytes()).collect();
            row.push_bind(*attempt)
                .push_bind(integer(point.seq))
                .push_bind(integer(point.step))
                .push_bind(point.epoch)
                .push_bind(*schema)
                .push_bind(packed);
        });
        insert.build().persistent(portion.len() == 1).execute(&mut *conn).await?;
    }
    Ok(())
}

/// The schema of these names, which the sweep now has.
async fn intern(conn: &mut SqliteConnection, sweep: i64, names: &[&str]) -> Result<i64> {
    let text = json_text(&names)?;
    let known = sqlx::query(
        "select s.n from metric_schemas s join sweep_metrics m on m.sweep = ? and m.metric_schema = s.n
        where s.names = ?",
    )
    .bind(sweep)
    .bind(&text)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = known {
        return row.int("n");
    }
    sqlx::query("insert into metric_schemas (names) values (?) on conflict (names) do nothing")
        .bind(&text)
        .execute(&mut *conn)
        .await?;
    let row =
        sqlx::query("select n from metric_schemas where names = ?").bind(&text).fetch_one(&mut *conn).await?;
    let schema = row.int("n")?;
    sqlx::query("insert or ignore into sweep_metrics (sweep, metric_schema) values (?, ?)")
        .bind(sweep)
        .bind(schema)
        .execute(conn)
        .await?;
    Ok(schema)
}

fn unpack(names: &[String], packed: &[u8]) -> Result<BTreeMap<String, f64>> {
    let (values, rest) = packed.as_chunks::<VALUE_BYTES>();
    if values.len() != names.len() || !rest.is_empty() {
        return Err(StoreError::Corrupt(format!(
            "a point has {} bytes for {} values",
            packed.len(),
            names.len()
        )));
    }
    Ok(names.iter().cloned().zip(values.iter().map(|bytes| f64::from_le_bytes(*bytes))).collect())
}

/// The points of a trial's newest attempt, and that attempt's number.
pub(super) async fn of_trial(conn: &mut SqliteConnection, id: TrialId) -> Result<(u32, Vec<PointRecord>)> {
    let trial = sqlx::query(
        "select t.attempt as number, a.n from trials t
        left join attempts a on a.trial = t.n and a.number = t.attempt where t.id = ?",
    )
    .bind(id.0.as_bytes().as_slice())
    .fetch_optional(&mut *conn)
    .await?;
    let trial = trial.ok_or(StoreError::NotFound("trial"))?;
    let number = trial.uint("number")?;
    let Some(attempt) = trial.opt_uint::<i64>("n")? else { return Ok((number, Vec::new())) };
    let rows = sqlx::query(
        "select seq, step, epoch, metric_schema, packed from points where attempt = ? order by seq",
    )
    .bind(attempt)
    .fetch_all(&mut *conn)
    .await?;
    let mut schemas: HashMap<i64, Vec<String>> = HashMap::new();
    let mut points = Vec::with_capacity(rows.len());
    for row in &rows {
        let schema = row.int("metric_schema")?;
        if let std::collections::hash_map::Entry::Vacant(place) = schemas.entry(schema) {
            let found = sqlx::query("select names from metric_schemas where n = ?")
                .bind(schema)
                .fetch_one(&mut *conn)
                .await?;
            place.insert(found.json("names")?);
        }
        points.push(PointRecord {
            seq: row.uint("seq")?,
            step: row.uint("step")?,
            epoch: row.real("epoch")?,
            values: unpack(&schemas[&schema], &row.bytes("packed")?)?,
        });
    }
    Ok((number, points))
}

/// Names of all metrics logged in a sweep, sorted.
pub(super) async fn names(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<String>> {
    let sweep = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(
        "select s.names from sweep_metrics m join metric_schemas s on s.n = m.metric_schema where m.sweep = ?",
    )
    .bind(sweep)
    .fetch_all(conn)
    .await?;
    let mut names = BTreeSet::new();
    for row in &rows {
        names.extend(row.json::<Vec<String>>("names")?);
    }
    Ok(names.into_iter().collect())
}
