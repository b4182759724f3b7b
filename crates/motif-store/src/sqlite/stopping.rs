//! Table `standings`: what the trials of a sweep that ends some early are held against, and the decisions.
//!
//! Which trial ends, the rule says ([`motif_sweep::stopping`]); here is what it is asked, and that it is asked once.

use jiff::Timestamp;
use motif_sweep::{
    lifecycle::{self, Event},
    stopping::{Rule, Standing},
};
use sqlx::SqliteConnection;

use super::{
    attempts::{self, Held},
    rows::{Columns, integer},
};
use crate::{Result, StoreError, records::PointRecord};

/// What the other trials of a sweep show at an epoch, as one list: a row for each would cost more than the numbers.
pub(super) const OTHERS: &str =
    "select json_group_array(shown) as shown from standings indexed by standings_at
    where sweep = ? and epoch = ? and trial <> ?";

/// Asks the sweep's rule, if it has one, about points that have just been stored. Returns the step at which the trial
/// was decided to end early, now or before.
pub(super) async fn consider(
    conn: &mut SqliteConnection,
    held: &Held,
    points: &[&PointRecord],
    now: Timestamp,
) -> Result<Option<u64>> {
    if held.stop_step.is_some() || points.is_empty() || !held.judged {
        return Ok(held.stop_step);
    }
    let Some((rule, epochs)) = rule_of(conn, held).await? else { return Ok(None) };
    let mut standing = newest(conn, held.trial).await?;
    for point in points {
        let Some(&value) = point.values.get(&rule.metric) else { continue };
        for next in rule.advance(standing.as_ref(), point.epoch, value) {
            insert(conn, held, &next).await?;
            standing = Some(next);
            let others = others(conn, held, next.epoch).await?;
            if let Some(reason) = rule.decide(&next, epochs, &others) {
                decide(conn, held, point.step, next.epoch, &reason, now).await?;
                // What it logs until it hears of it counts for nobody.
                return Ok(Some(point.step));
            }
        }
    }
    Ok(None)
}

/// The rule of the trial's sweep, and the trial's epochs.
async fn rule_of(conn: &mut SqliteConnection, held: &Held) -> Result<Option<(Rule, u32)>> {
    let row = sqlx::query(
        "select s.stop, c.config ->> '$.epochs' as epochs
        from trials t
        join sweeps s on s.n = t.sweep
        join conditions c on c.sweep = t.sweep and c.position = t.condition
        where t.n = ? and s.stop is not null",
    )
    .bind(held.trial)
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok((row.json("stop")?, row.uint("epochs")?))).transpose()
}

async fn newest(conn: &mut SqliteConnection, trial: i64) -> Result<Option<Standing>> {
    let row = sqlx::query(
        "select epoch, shown, best, logged from standings where trial = ? order by epoch desc limit 1",
    )
    .bind(trial)
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Standing {
            epoch: row.uint("epoch")?,
            shown: row.real("shown")?,
            best: row.real("best")?,
            values: row.uint("logged")?,
        })
    })
    .transpose()
}

async fn insert(conn: &mut SqliteConnection, held: &Held, standing: &Standing) -> Result<()> {
    sqlx::query("insert into standings (trial, epoch, sweep, shown, best, logged) values (?, ?, ?, ?, ?, ?)")
        .bind(held.trial)
        .bind(i64::from(standing.epoch))
        .bind(held.sweep)
        .bind(standing.shown)
        .bind(standing.best)
        .bind(i64::from(standing.values))
        .execute(conn)
        .await?;
    Ok(())
}

async fn others(conn: &mut SqliteConnection, held: &Held, epoch: u32) -> Result<Vec<f64>> {
    let row =
        sqlx::query(OTHERS).bind(held.sweep).bind(i64::from(epoch)).bind(held.trial).fetch_one(conn).await?;
    row.json("shown")
}

/// Why the trial was decided to end early.
pub(super) async fn reason(conn: &mut SqliteConnection, held: &Held) -> Result<String> {
    let row =
        sqlx::query("select stop_reason from trials where n = ?").bind(held.trial).fetch_one(conn).await?;
    row.text("stop_reason")
}

async fn decide(
    conn: &mut SqliteConnection,
    held: &Held,
    step: u64,
    epoch: u32,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    lifecycle::step(&held.life, Event::Stop, now, &held.policy).map_err(attempts::stale)?;
    let done = sqlx::query(
        "update trials set stop_step = ?, stop_epoch = ?, stop_reason = ?
        where n = ? and state = ? and attempt = ? and stop_step is null",
    )
    .bind(integer(step))
    .bind(i64::from(epoch))
    .bind(reason)
    .bind(held.trial)
    .bind(held.life.state.name())
    .bind(i64::from(held.life.attempt))
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::StaleLease) }
}
