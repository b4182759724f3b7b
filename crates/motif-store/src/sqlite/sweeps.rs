//! Tables `sweeps`, `sweep_progress`, `conditions`, `condition_counts` and `idempotency`: submitting and listing sweeps.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use motif_sweep::{
    ids::SweepId,
    lifecycle::{Life, TrialState},
    until::UntilState,
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    needs,
    rows::{Columns, integer, json_text, millis},
};
use crate::{
    Result, StoreError,
    records::{
        ConditionRecord, Control, Counts, IdempotencyKey, NewSweep, NewTrial, Page, Submitted, SweepRecord,
        UntilProgress,
    },
};

/// Trials stored by one statement.
const INSERTED_AT_ONCE: usize = 4096;
/// Rows of a page, whatever the caller asks for.
pub(super) const PAGE_ROWS_MAX: u32 = 1000;

/// Stores a sweep and all its trials.
pub(super) async fn create(
    conn: &mut SqliteConnection,
    sweep: &NewSweep,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<Submitted> {
    if let Some(key) = key
        && let Some(id) = submitted_before(conn, key).await?
    {
        return Ok(Submitted::Replayed(id));
    }
    check(sweep)?;
    let n = insert_sweep(conn, sweep, now).await?;
    insert_conditions(conn, n, &sweep.conditions, &sweep.trials).await?;
    insert_all_trials(conn, n, 0, &sweep.trials, now).await?;
    if let Some(key) = key {
        sqlx::query(
            "insert into idempotency (principal, key, body_hash, sweep_id, created_at) values (?, ?, ?, ?, ?)",
        )
        .bind(&key.principal)
        .bind(&key.key)
        .bind(&key.body_hash)
        .bind(sweep.id.0.as_bytes().as_slice())
        .bind(millis(now))
        .execute(conn)
        .await?;
    }
    Ok(Submitted::New(sweep.id))
}

async fn submitted_before(conn: &mut SqliteConnection, key: &IdempotencyKey) -> Result<Option<SweepId>> {
    let row = sqlx::query("select body_hash, sweep_id from idempotency where principal = ? and key = ?")
        .bind(&key.principal)
        .bind(&key.key)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if row.text("body_hash")? != key.body_hash {
        return Err(StoreError::IdempotencyMismatch);
    }
    row.id("sweep_id").map(Some)
}

/// What the tables could not refuse in words that say what is wrong.
fn check(sweep: &NewSweep) -> Result<()> {
    let conditions = sweep.conditions.len();
    if let Some(baseline) = sweep.baseline
        && baseline as usize >= conditions
    {
        return Err(StoreError::Conflict(format!("baseline {baseline} is none of {conditions} conditions")));
    }
    check_additions(0, &sweep.conditions, &sweep.trials)
}

/// The same for what comes after `known` conditions.
pub(super) fn check_additions(
    known: usize,
    conditions: &[ConditionRecord],
    trials: &[NewTrial],
) -> Result<()> {
    for (condition, index) in conditions.iter().zip(known..) {
        if condition.index as usize != index {
            return Err(StoreError::Conflict(format!(
                "condition {index} of the sweep has index {}",
                condition.index
            )));
        }
    }
    let conditions = known + conditions.len();
    let mut ids = HashSet::with_capacity(trials.len());
    for trial in trials {
        if trial.condition as usize >= conditions {
            let found = trial.condition;
            return Err(StoreError::Conflict(format!(
                "a trial's condition {found} is none of {conditions} conditions"
            )));
        }
        if !ids.insert(trial.id) {
            return Err(StoreError::Conflict(format!("trial {} is there twice", trial.id)));
        }
    }
    Ok(())
}

async fn insert_sweep(conn: &mut SqliteConnection, sweep: &NewSweep, now: Timestamp) -> Result<i64> {
    let verifies = match sweep.control.verifies {
        Some(original) => Some(row_of(conn, original).await?),
        None => None,
    };
    let row = sqlx::query(
        "insert into sweeps (id, name, metric, baseline, conditions, policy, principal, created_at, seeds, spec, stop, verifies,
            snapshots)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning n",
    )
    .bind(sweep.id.0.as_bytes().as_slice())
    .bind(&sweep.name)
    .bind(&sweep.metric)
    .bind(sweep.baseline.map(i64::from))
    .bind(integer(sweep.conditions.len() as u64))
    .bind(json_text(&sweep.policy)?)
    .bind(&sweep.principal)
    .bind(millis(now))
    .bind(json_text(&sweep.seeds)?)
    .bind(json_text(&sweep.spec)?)
    .bind(sweep.stop.as_ref().map(json_text).transpose()?)
    .bind(verifies)
    .bind(sweep.control.snapshots)
    .fetch_one(&mut *conn)
    .await?;
    let n = row.int("n")?;
    let needs = needs::row_of(conn, &sweep.control.needs).await?;
    sqlx::query("insert into sweep_progress (sweep, queued, priority, until, needs) values (?, ?, ?, ?, ?)")
        .bind(n)
        .bind(integer(sweep.trials.len() as u64))
        .bind(i64::from(sweep.control.priority))
        .bind(sweep.control.until.then(|| UntilState::Running.name()))
        .bind(needs)
        .execute(conn)
        .await?;
    Ok(n)
}

/// Stores conditions with the counts of their trials, which are among these; trials of others are left alone.
pub(super) async fn insert_conditions(
    conn: &mut SqliteConnection,
    n: i64,
    conditions: &[ConditionRecord],
    trials: &[NewTrial],
) -> Result<()> {
    let mut counts: HashMap<u32, u64> = HashMap::with_capacity(conditions.len());
    for trial in trials {
        *counts.entry(trial.condition).or_default() += 1;
    }
    for condition in conditions {
        sqlx::query(
            "insert into conditions (sweep, position, label, config_hash, dataset_hash, axes, config)
            values (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(n)
        .bind(i64::from(condition.index))
        .bind(&condition.label)
        .bind(&condition.config_hash)
        .bind(&condition.dataset_hash)
        .bind(json_text(&condition.axes)?)
        .bind(json_text(&condition.config)?)
        .execute(&mut *conn)
        .await?;
        sqlx::query("insert into condition_counts (sweep, condition, queued) values (?, ?, ?)")
            .bind(n)
            .bind(i64::from(condition.index))
            .bind(integer(counts.get(&condition.index).copied().unwrap_or(0)))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Stores trials from a position on, in portions.
pub(super) async fn insert_all_trials(
    conn: &mut SqliteConnection,
    n: i64,
    first: u64,
    trials: &[NewTrial],
    now: Timestamp,
) -> Result<()> {
    for (trials, portion) in trials.chunks(INSERTED_AT_ONCE).zip(0u64..) {
        insert_trials(conn, n, first + portion * INSERTED_AT_ONCE as u64, trials, now).await?;
    }
    Ok(())
}

async fn insert_trials(
    conn: &mut SqliteConnection,
    n: i64,
    first: u64,
    trials: &[NewTrial],
    now: Timestamp,
) -> Result<()> {
    let life = Life::submitted(now);
    let rows: Vec<_> = trials
        .iter()
        .map(|trial| (trial.id.0.simple().to_string(), trial.condition, trial.seed.cast_signed()))
        .collect();
    sqlx::query(
        "insert into trials (id, sweep, position, condition, seed, state)
        select unhex(value ->> 0), ?1, ?2 + key, value ->> 1, value ->> 2, ?3 from json_each(?4) order by key",
    )
    .bind(n)
    .bind(integer(first))
    .bind(life.state.name())
    .bind(json_text(&rows)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// The row of a sweep.
pub(super) async fn row_of(conn: &mut SqliteConnection, id: SweepId) -> Result<i64> {
    let row = sqlx::query("select n from sweeps where id = ?")
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(conn)
        .await?;
    row.ok_or(StoreError::NotFound("sweep"))?.int("n")
}

/// One sweep, by row; the fraction is of the trials that run now.
const ONE: &str =
    "select s.id, s.name, s.spec, s.metric, s.baseline, s.seeds, s.policy, s.conditions, s.created_at,
        p.paused, p.cancelled, p.started_at, p.ended_at,
        p.queued, p.leased, p.succeeded, p.diverged, p.stopped, p.failed, p.dead, p.cancelled_trials,
        p.priority, p.until, p.until_half_width, s.revision,
        (select o.id from sweeps o where o.n = s.verifies) as verifies,
        (select count(*) from sweeps v where v.verifies = s.n) as verifications,
        (select d.need from needs d where d.n = p.needs) as need,
        (select coalesce(sum(min(1.0, cast(a.step as real) / t.total_steps)), 0.0)
            from trials t join attempts a on a.trial = t.n and a.number = t.attempt
            where t.sweep = s.n and t.state = 'leased' and t.total_steps > 0) as running_fraction
    from sweeps s join sweep_progress p on p.sweep = s.n where s.n = ?";

/// A page of sweeps: the same columns.
pub(super) const LIST: &str =
    "select s.id, s.name, s.spec, s.metric, s.baseline, s.seeds, s.policy, s.conditions, s.created_at,
        p.paused, p.cancelled, p.started_at, p.ended_at,
        p.queued, p.leased, p.succeeded, p.diverged, p.stopped, p.failed, p.dead, p.cancelled_trials,
        p.priority, p.until, p.until_half_width, s.revision,
        (select o.id from sweeps o where o.n = s.verifies) as verifies,
        (select count(*) from sweeps v where v.verifies = s.n) as verifications,
        (select d.need from needs d where d.n = p.needs) as need,
        (select coalesce(sum(min(1.0, cast(a.step as real) / t.total_steps)), 0.0)
            from trials t join attempts a on a.trial = t.n and a.number = t.attempt
            where t.sweep = s.n and t.state = 'leased' and t.total_steps > 0) as running_fraction
    from sweeps s join sweep_progress p on p.sweep = s.n where s.n < ?1 and (?2 or s.verifies is null)
    order by s.n desc limit ?3";

/// One sweep.
pub(super) async fn get(conn: &mut SqliteConnection, id: SweepId) -> Result<SweepRecord> {
    let n = row_of(conn, id).await?;
    read(&sqlx::query(ONE).bind(n).fetch_one(conn).await?)
}

/// Sweeps, newest first, without those that re-run trials of others unless asked for.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    before: Option<SweepId>,
    verifications: bool,
    limit: u32,
) -> Result<Page<SweepRecord, SweepId>> {
    let limit = limit.clamp(1, PAGE_ROWS_MAX);
    let before = match before {
        Some(id) => row_of(conn, id).await?,
        None => i64::MAX,
    };
    let query = sqlx::query(LIST).bind(before).bind(i64::from(verifications)).bind(i64::from(limit) + 1);
    let rows = query.fetch_all(conn).await?;
    let mut items = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = if more { items.last().map(|sweep| sweep.id) } else { None };
    Ok(Page { items, next })
}

fn read(row: &SqliteRow) -> Result<SweepRecord> {
    Ok(SweepRecord {
        id: row.id("id")?,
        name: row.text("name")?,
        spec: row.json("spec")?,
        metric: row.text("metric")?,
        baseline: row.opt_uint("baseline")?,
        seeds: row.json("seeds")?,
        policy: row.json("policy")?,
        conditions: row.uint("conditions")?,
        paused: row.flag("paused")?,
        cancelled: row.flag("cancelled")?,
        counts: row.counts()?,
        created_at: row.time("created_at")?,
        started_at: row.opt_time("started_at")?,
        ended_at: row.opt_time("ended_at")?,
        running_fraction: row.real("running_fraction")?,
        control: read_control(row)?,
    })
}

fn read_control(row: &SqliteRow) -> Result<Control> {
    let until = match row.opt_text("until")? {
        None => None,
        Some(name) => {
            let state = UntilState::from_name(&name)
                .ok_or_else(|| StoreError::Corrupt(format!("column until: {name} is no state")))?;
            Some(UntilProgress { state, half_width: row.opt_real("until_half_width")? })
        }
    };
    Ok(Control {
        priority: row.uint("priority")?,
        revision: row.uint("revision")?,
        until,
        verifies: row.opt_id("verifies")?,
        verifications: row.uint("verifications")?,
        needs: needs::read(row)?,
    })
}

/// A sweep's conditions with their counts.
pub(super) async fn conditions(
    conn: &mut SqliteConnection,
    id: SweepId,
) -> Result<Vec<(ConditionRecord, Counts)>> {
    let n = row_of(conn, id).await?;
    let rows = sqlx::query(
        "select c.position, c.label, c.axes, c.config, c.config_hash, c.dataset_hash,
            k.queued, k.leased, k.succeeded, k.diverged, k.stopped, k.failed, k.dead, k.cancelled_trials
        from conditions c join condition_counts k on k.sweep = c.sweep and k.condition = c.position
        where c.sweep = ? order by c.position",
    )
    .bind(n)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((read_condition(row)?, row.counts()?))).collect()
}

/// A condition's columns.
pub(super) fn read_condition(row: &SqliteRow) -> Result<ConditionRecord> {
    Ok(ConditionRecord {
        index: row.uint("position")?,
        label: row.text("label")?,
        axes: row.json("axes")?,
        config: row.json("config")?,
        config_hash: row.text("config_hash")?,
        dataset_hash: row.text("dataset_hash")?,
    })
}

/// Whether a sweep has trials that have not ended.
pub(super) fn unfinished(counts: &Counts) -> bool {
    TrialState::ALL.into_iter().any(|state| !state.is_terminal() && counts.of(state) > 0)
}
