//! Tables `points`, `metric_schemas` and `sweep_metrics`: metrics over training.
//!
//! A point's values are packed little-endian f64 in the order of its schema, the sorted list of their names; each
//! distinct list is stored once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use motif_sweep::ids::{SweepId, TrialId};
use sqlx::SqliteConnection;

use super::{
    attempts,
    rows::{Columns, integer, json_text},
    stopping, sweeps,
};
use crate::{
    Result, StoreError,
    records::{Fence, Moved, PointRecord},
};

/// Size of one packed value.
pub(super) const VALUE_BYTES: usize = 8;

/// Adds points that are not there yet, lets the sweep's rule look at them, and returns the next `seq` expected.
pub(super) async fn append(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    points: &[PointRecord],
    now: Timestamp,
) -> Result<(u64, Moved)> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    let newest = sqlx::query("select seq, step from points where attempt = ? order by seq desc limit 1")
        .bind(held.n)
        .fetch_optional(&mut *conn)
        .await?;
    let (first, mut step) = match newest {
        Some(row) => (row.uint::<u64>("seq")? + 1, row.uint("step")?),
        None => (0, 0),
    };
    let mut next = first;
    let mut schemas = HashMap::new();
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
        let names: Vec<&str> = point.values.keys().map(String::as_str).collect();
        let schema = match schemas.get(&names) {
            Some(schema) => *schema,
            None => {
                let schema = intern(conn, held.sweep, &names).await?;
                schemas.insert(names, schema);
                schema
            }
        };
        let packed: Vec<u8> = point.values.values().flat_map(|value| value.to_le_bytes()).collect();
        sqlx::query(
            "insert or ignore into points (attempt, seq, step, epoch, metric_schema, packed) values (?, ?, ?, ?, ?, ?)",
        )
        .bind(held.n)
        .bind(integer(point.seq))
        .bind(integer(point.step))
        .bind(point.epoch)
        .bind(schema)
        .bind(packed)
        .execute(&mut *conn)
        .await?;
        next = next.max(point.seq + 1);
    }
    let added: Vec<_> = points.iter().filter(|point| point.seq >= first).collect();
    step = added.iter().map(|point| point.step).fold(step, u64::max);
    let stop_step = stopping::consider(conn, &held, &added, now).await?;
    let stop = stop_step.is_some_and(|stop_step| step >= stop_step);
    Ok((next, Moved { stop, ..held.moved(&held.life) }))
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
