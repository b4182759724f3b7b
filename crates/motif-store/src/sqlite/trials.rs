//! Table `trials` with what hangs on it: results, final metrics, attempts as people read them.

use std::collections::{BTreeMap, HashMap};

use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::TrialState,
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    rows::{Columns, integer, json_text},
    sweeps::{self, PAGE_ROWS_MAX},
};
use crate::{
    Result, StoreError,
    records::{AttemptRecord, ConditionRecord, Page, StopDecision, StoppedAt, TrialRecord},
};

const ONE: &str =
    "select t.n, t.id, t.condition, t.seed, t.position, t.state, t.cancel_requested, t.attempt, t.failures,
        t.crashes, t.total_steps, t.finished_at, s.id as sweep_id, c.label,
        a.step, a.started_at, a.reason, w.name as worker, r.diverged_step, r.result_hash, r.report,
        t.stop_step, t.stop_epoch, t.stop_reason, r.stopped_step, r.stopped_epoch
    from trials t
    join sweeps s on s.n = t.sweep
    join conditions c on c.sweep = t.sweep and c.position = t.condition
    left join attempts a on a.trial = t.n and a.number = t.attempt
    left join workers w on w.n = a.worker
    left join results r on r.trial = t.n
    where t.id = ?";

/// A sweep's trials from a position on: the same columns.
pub(super) const LIST: &str =
    "select t.n, t.id, t.condition, t.seed, t.position, t.state, t.cancel_requested, t.attempt, t.failures,
        t.crashes, t.total_steps, t.finished_at, s.id as sweep_id, c.label,
        a.step, a.started_at, a.reason, w.name as worker, r.diverged_step, r.result_hash, r.report,
        t.stop_step, t.stop_epoch, t.stop_reason, r.stopped_step, r.stopped_epoch
    from trials t
    join sweeps s on s.n = t.sweep
    join conditions c on c.sweep = t.sweep and c.position = t.condition
    left join attempts a on a.trial = t.n and a.number = t.attempt
    left join workers w on w.n = a.worker
    left join results r on r.trial = t.n
    where t.sweep = ? and t.position >= ? order by t.position limit ?";

/// The same in one state.
pub(super) const LIST_STATE: &str =
    "select t.n, t.id, t.condition, t.seed, t.position, t.state, t.cancel_requested, t.attempt, t.failures,
        t.crashes, t.total_steps, t.finished_at, s.id as sweep_id, c.label,
        a.step, a.started_at, a.reason, w.name as worker, r.diverged_step, r.result_hash, r.report,
        t.stop_step, t.stop_epoch, t.stop_reason, r.stopped_step, r.stopped_epoch
    from trials t
    join sweeps s on s.n = t.sweep
    join conditions c on c.sweep = t.sweep and c.position = t.condition
    left join attempts a on a.trial = t.n and a.number = t.attempt
    left join workers w on w.n = a.worker
    left join results r on r.trial = t.n
    where t.sweep = ? and t.position >= ? and t.state = ? order by t.position limit ?";

/// All of a sweep's trials with one final metric: no more than statistics read, since it is read of every trial.
pub(super) const OUTCOMES: &str =
    "select t.id, t.condition, t.seed, t.position, t.state, t.attempt, m.value as metric
    from trials t left join final_metrics m on m.trial = t.n and m.name = ?2
    where t.sweep = ?1 order by t.position";

/// All of a sweep's trials, as statistics read them.
pub(super) async fn outcomes(
    conn: &mut SqliteConnection,
    id: SweepId,
    metric: Option<&str>,
) -> Result<Vec<TrialRecord>> {
    let sweep = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(OUTCOMES).bind(sweep).bind(metric).fetch_all(conn).await?;
    let outcome = |row: &SqliteRow| {
        let value = row.opt_real("metric")?;
        Ok(TrialRecord {
            metrics: metric.zip(value).map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            attempt: row.uint("attempt")?,
            ..TrialRecord::bare(
                row.id("id")?,
                id,
                (row.uint("condition")?, row.int("seed")?.cast_unsigned()),
                row.uint("position")?,
                row.state("state")?,
            )
        })
    };
    rows.iter().map(outcome).collect()
}

/// Each name that a final metric of a sweep has.
pub(super) const FINAL_NAMES: &str = "select distinct m.name
    from trials t join final_metrics m on m.trial = t.n where t.sweep = ?";

/// Names of all final metrics in a sweep, sorted.
pub(super) async fn final_names(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<String>> {
    let sweep = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(FINAL_NAMES).bind(sweep).fetch_all(conn).await?;
    let mut names = rows.iter().map(|row| row.text("name")).collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// One trial.
pub(super) async fn get(conn: &mut SqliteConnection, id: TrialId) -> Result<TrialRecord> {
    let row = sqlx::query(ONE).bind(id.0.as_bytes().as_slice()).fetch_optional(&mut *conn).await?;
    let row = row.ok_or(StoreError::NotFound("trial"))?;
    let mut metrics = final_metrics(conn, &[row.int("n")?]).await?;
    read(&row, &mut metrics)
}

/// A trial's condition.
pub(super) async fn condition(conn: &mut SqliteConnection, id: TrialId) -> Result<ConditionRecord> {
    let row = sqlx::query(
        "select c.position, c.label, c.axes, c.config, c.config_hash, c.dataset_hash
        from trials t join conditions c on c.sweep = t.sweep and c.position = t.condition where t.id = ?",
    )
    .bind(id.0.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    sweeps::read_condition(&row.ok_or(StoreError::NotFound("trial"))?)
}

/// A page of a sweep's trials, by position.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    sweep: SweepId,
    state: Option<TrialState>,
    from: u64,
    limit: u32,
) -> Result<Page<TrialRecord, u64>> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let sweep = sweeps::row_of(conn, sweep).await?;
    let query = match state {
        None => sqlx::query(LIST).bind(sweep).bind(integer(from)),
        Some(state) => sqlx::query(LIST_STATE).bind(sweep).bind(integer(from)).bind(state.name()),
    };
    let mut rows = query.bind(i64::from(limit) + 1).fetch_all(&mut *conn).await?;
    let next = match rows.get(limit as usize) {
        Some(row) => Some(row.uint("position")?),
        None => None,
    };
    rows.truncate(limit as usize);
    let numbers = rows.iter().map(|row| row.int("n")).collect::<Result<Vec<_>>>()?;
    let mut metrics = final_metrics(conn, &numbers).await?;
    let items = rows.iter().map(|row| read(row, &mut metrics)).collect::<Result<_>>()?;
    Ok(Page { items, next })
}

type Metrics = HashMap<i64, BTreeMap<String, f64>>;

/// Final metrics of some trials, by row.
async fn final_metrics(conn: &mut SqliteConnection, trials: &[i64]) -> Result<Metrics> {
    let rows = sqlx::query(
        "select m.trial, m.name, m.value from json_each(?) wanted cross join final_metrics m on m.trial = wanted.value",
    )
    .bind(json_text(&trials)?)
    .fetch_all(conn)
    .await?;
    let mut metrics = Metrics::new();
    for row in &rows {
        metrics.entry(row.int("trial")?).or_default().insert(row.text("name")?, row.real("value")?);
    }
    Ok(metrics)
}

fn read(row: &SqliteRow, metrics: &mut Metrics) -> Result<TrialRecord> {
    let state = row.state("state")?;
    let succeeded = matches!(state, TrialState::Succeeded | TrialState::Diverged);
    Ok(TrialRecord {
        id: row.id("id")?,
        sweep_id: row.id("sweep_id")?,
        condition: row.uint("condition")?,
        label: row.text("label")?,
        seed: row.int("seed")?.cast_unsigned(),
        position: row.uint("position")?,
        state,
        cancel_requested: row.flag("cancel_requested")?,
        attempt: row.uint("attempt")?,
        failures: row.uint("failures")?,
        crashes: row.uint("crashes")?,
        step: row.opt_uint("step")?.unwrap_or(0),
        total_steps: row.opt_uint("total_steps")?,
        worker: row.opt_text("worker")?,
        report: match row.opt_text("report")? {
            Some(_) => Some(row.json("report")?),
            None => None,
        },
        metrics: metrics.remove(&row.int("n")?).unwrap_or_default(),
        diverged_step: row.opt_uint("diverged_step")?,
        stop: read_stop(row)?,
        stopped: match row.opt_uint("stopped_step")? {
            Some(step) => Some(StoppedAt { step, epoch: row.real("stopped_epoch")? }),
            None => None,
        },
        result_hash: if state == TrialState::Stopped { None } else { row.opt_text("result_hash")? },
        started_at: row.opt_time("started_at")?,
        finished_at: row.opt_time("finished_at")?,
        reason: if succeeded { None } else { row.opt_text("reason")? },
    })
}

fn read_stop(row: &SqliteRow) -> Result<Option<StopDecision>> {
    let Some(step) = row.opt_uint("stop_step")? else { return Ok(None) };
    Ok(Some(StopDecision { step, epoch: row.uint("stop_epoch")?, reason: row.text("stop_reason")? }))
}

/// A trial's attempts, oldest first.
pub(super) async fn attempts(conn: &mut SqliteConnection, id: TrialId) -> Result<Vec<AttemptRecord>> {
    let trial = row_of(conn, id).await?;
    let rows = sqlx::query(
        "select a.id, a.number, w.name as worker, a.outcome, a.reason, a.step, a.started_at, a.seen_at, a.ended_at
        from attempts a join workers w on w.n = a.worker where a.trial = ? order by a.number",
    )
    .bind(trial)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_attempt).collect()
}

fn read_attempt(row: &SqliteRow) -> Result<AttemptRecord> {
    Ok(AttemptRecord {
        id: row.id("id")?,
        number: row.uint("number")?,
        worker: row.text("worker")?,
        outcome: row.outcome("outcome")?,
        reason: row.opt_text("reason")?,
        step: row.uint("step")?,
        started_at: row.time("started_at")?,
        seen_at: row.time("seen_at")?,
        ended_at: row.opt_time("ended_at")?,
    })
}

async fn row_of(conn: &mut SqliteConnection, id: TrialId) -> Result<i64> {
    let row = sqlx::query("select n from trials where id = ?")
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    row.ok_or(StoreError::NotFound("trial"))?.int("n")
}
