//! What people do to whole sweeps, and the `audit` table that remembers it.

use jiff::Timestamp;
use motif_sweep::{
    ids::SweepId,
    lifecycle::{self, Event, LeaseLife, Life, Policy, TrialState},
    until::UntilState,
};
use sqlx::SqliteConnection;

use super::{
    control,
    rows::{Columns, integer, millis},
    sweeps,
};
use crate::{
    Result, StoreError,
    records::{NewTrial, Steer, Steered},
};

/// Pauses, resumes, cancels, retries or prioritizes a sweep.
pub(super) async fn steer(
    conn: &mut SqliteConnection,
    id: SweepId,
    steer: Steer,
    principal: &str,
    now: Timestamp,
) -> Result<Steered> {
    let n = sweeps::row_of(conn, id).await?;
    let (action, steered) = match steer {
        Steer::Pause => ("pause".to_owned(), pause(conn, n, true).await?),
        Steer::Resume => ("resume".to_owned(), pause(conn, n, false).await?),
        Steer::Cancel => ("cancel".to_owned(), cancel(conn, n, now).await?),
        Steer::Retry => ("retry".to_owned(), retry(conn, n, now).await?),
        Steer::Priority(priority) => (format!("priority {priority}"), prioritize(conn, n, priority).await?),
    };
    audit(conn, n, &action, principal, steered, now).await?;
    Ok(steered)
}

/// Queues a sweep's holes: its failed, dead and cancelled trials, and those of the `missing` that nobody has added yet.
pub(super) async fn run_holes(
    conn: &mut SqliteConnection,
    id: SweepId,
    missing: &[NewTrial],
    principal: &str,
    now: Timestamp,
) -> Result<Steered> {
    let n = sweeps::row_of(conn, id).await?;
    let row =
        sqlx::query("select conditions, seeds from sweeps where n = ?").bind(n).fetch_one(&mut *conn).await?;
    let (conditions, seeds): (usize, Vec<u64>) = (row.uint("conditions")?, row.json("seeds")?);
    sweeps::check_additions(conditions, &[], missing)?;
    if let Some(trial) = missing.iter().find(|trial| !seeds.contains(&trial.seed)) {
        return Err(StoreError::Conflict(format!("{} is no seed of the sweep", trial.seed)));
    }
    let mut steered = retry(conn, n, now).await?;
    let missing = still_missing(conn, n, missing).await?;
    if !missing.is_empty() {
        control::add_trials(conn, n, &missing, conditions, now).await?;
        run_again(conn, n).await?;
        steered.changed += missing.len() as u64;
    }
    audit(conn, n, "holes", principal, steered, now).await?;
    Ok(steered)
}

/// The trials whose condition has no trial of their seed.
async fn still_missing(
    conn: &mut SqliteConnection,
    sweep: i64,
    missing: &[NewTrial],
) -> Result<Vec<NewTrial>> {
    let mut still = Vec::with_capacity(missing.len());
    for trial in missing {
        let found = sqlx::query("select 1 from trials where sweep = ? and condition = ? and seed = ?")
            .bind(sweep)
            .bind(i64::from(trial.condition))
            .bind(trial.seed.cast_signed())
            .fetch_optional(&mut *conn)
            .await?;
        if found.is_none() {
            still.push(*trial);
        }
    }
    Ok(still)
}

async fn audit(
    conn: &mut SqliteConnection,
    sweep: i64,
    action: &str,
    principal: &str,
    steered: Steered,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "insert into audit (at, principal, action, sweep, changed, pending) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(millis(now))
    .bind(principal)
    .bind(action)
    .bind(sweep)
    .bind(integer(steered.changed))
    .bind(integer(steered.pending))
    .execute(conn)
    .await?;
    Ok(())
}

async fn prioritize(conn: &mut SqliteConnection, sweep: i64, priority: i32) -> Result<Steered> {
    let done = sqlx::query("update sweep_progress set priority = ?1 where sweep = ?2 and priority <> ?1")
        .bind(i64::from(priority))
        .bind(sweep)
        .execute(&mut *conn)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(Steered::default());
    }
    let row =
        sqlx::query("select queued from sweep_progress where sweep = ?").bind(sweep).fetch_one(conn).await?;
    Ok(Steered { changed: row.uint("queued")?, pending: 0 })
}

async fn pause(conn: &mut SqliteConnection, sweep: i64, paused: bool) -> Result<Steered> {
    sqlx::query("update sweep_progress set paused = ? where sweep = ?")
        .bind(i64::from(paused))
        .bind(sweep)
        .execute(conn)
        .await?;
    Ok(Steered::default())
}

/// What the lifecycle makes of any trial in `state`. Cancel and Retry look at nothing but the state, so that one
/// answer holds for all of a sweep's trials in it.
fn verdict(state: TrialState, event: Event, now: Timestamp) -> Option<Life> {
    let lease = LeaseLife { started_at: now, expires_at: now, progressed_at: now, step: 0 };
    let lease = (state == TrialState::Leased).then_some(lease);
    let life = Life { state, lease, ..Life::submitted(now) };
    lifecycle::step(&life, event, now, &Policy::default()).ok().map(|transition| transition.life)
}

async fn cancel(conn: &mut SqliteConnection, sweep: i64, now: Timestamp) -> Result<Steered> {
    let row = sqlx::query(
        "select queued, leased, succeeded, diverged, stopped, failed, dead, cancelled_trials, until
        from sweep_progress where sweep = ?",
    )
    .bind(sweep)
    .fetch_one(&mut *conn)
    .await?;
    // Between two blocks of seeds every trial has ended and the sweep has not.
    let goes_on = row.opt_text("until")?.as_deref() == Some(UntilState::Running.name());
    if !sweeps::unfinished(&row.counts()?) && !goes_on {
        return Ok(Steered::default());
    }
    sqlx::query("update sweep_progress set cancelled = 1 where sweep = ?")
        .bind(sweep)
        .execute(&mut *conn)
        .await?;
    let mut steered = Steered::default();
    for state in TrialState::ALL {
        let Some(life) = verdict(state, Event::Cancel, now) else { continue };
        if life.state == state {
            steered.pending += flag(conn, sweep, state, &life).await?;
        } else {
            steered.changed += shift(conn, sweep, state, &life, false, now).await?;
        }
    }
    Ok(steered)
}

async fn retry(conn: &mut SqliteConnection, sweep: i64, now: Timestamp) -> Result<Steered> {
    let mut steered = Steered::default();
    for state in TrialState::ALL {
        if let Some(life) = verdict(state, Event::Retry, now) {
            steered.changed += shift(conn, sweep, state, &life, true, now).await?;
        }
    }
    if steered.changed > 0 {
        run_again(conn, sweep).await?;
    }
    Ok(steered)
}

/// A sweep that has trials again is no longer cancelled, and what its seeds have reached is open again.
async fn run_again(conn: &mut SqliteConnection, sweep: i64) -> Result<()> {
    sqlx::query(
        "update sweep_progress set cancelled = 0, until = iif(until is null, null, 'running') where sweep = ?",
    )
    .bind(sweep)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks all of a sweep's trials in a state.
async fn flag(conn: &mut SqliteConnection, sweep: i64, state: TrialState, life: &Life) -> Result<u64> {
    let done = sqlx::query("update trials set cancel_requested = ? where sweep = ? and state = ?")
        .bind(i64::from(life.cancel_requested))
        .bind(sweep)
        .bind(state.name())
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// Moves all of a sweep's trials in a state to another one.
async fn shift(
    conn: &mut SqliteConnection,
    sweep: i64,
    state: TrialState,
    life: &Life,
    fresh: bool,
    now: Timestamp,
) -> Result<u64> {
    if life.state == TrialState::Queued && life.not_before > now {
        return Err(StoreError::Corrupt("a person's retry does not wait".into()));
    }
    let done = sqlx::query(
        "update trials set state = ?1, cancel_requested = ?2, not_before = null, finished_at = ?3,
            failures = iif(?4, 0, failures), crashes = iif(?4, 0, crashes)
        where sweep = ?5 and state = ?6",
    )
    .bind(life.state.name())
    .bind(i64::from(life.cancel_requested))
    .bind(life.state.is_terminal().then(|| millis(now)))
    .bind(i64::from(fresh))
    .bind(sweep)
    .bind(state.name())
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
