//! What people do to whole sweeps, and the `audit` table that remembers it.

use jiff::Timestamp;
use motif_sweep::{
    ids::SweepId,
    lifecycle::{self, Event, LeaseLife, Life, Policy, TrialState},
};
use sqlx::SqliteConnection;

use super::{
    rows::{Columns, integer, millis},
    sweeps,
};
use crate::{
    Result, StoreError,
    records::{Steer, Steered},
};

/// Pauses, resumes, cancels or retries a sweep.
pub(super) async fn steer(
    conn: &mut SqliteConnection,
    id: SweepId,
    steer: Steer,
    principal: &str,
    now: Timestamp,
) -> Result<Steered> {
    let n = sweeps::row_of(conn, id).await?;
    let (action, steered) = match steer {
        Steer::Pause => ("pause", pause(conn, n, true).await?),
        Steer::Resume => ("resume", pause(conn, n, false).await?),
        Steer::Cancel => ("cancel", cancel(conn, n, now).await?),
        Steer::Retry => ("retry", retry(conn, n, now).await?),
    };
    sqlx::query(
        "insert into audit (at, principal, action, sweep, changed, pending) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(millis(now))
    .bind(principal)
    .bind(action)
    .bind(n)
    .bind(integer(steered.changed))
    .bind(integer(steered.pending))
    .execute(conn)
    .await?;
    Ok(steered)
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
        "select queued, leased, succeeded, diverged, stopped, failed, dead, cancelled_trials
        from sweep_progress where sweep = ?",
    )
    .bind(sweep)
    .fetch_one(&mut *conn)
    .await?;
    if !sweeps::unfinished(&row.counts()?) {
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
        sqlx::query("update sweep_progress set cancelled = 0 where sweep = ?")
            .bind(sweep)
            .execute(conn)
            .await?;
    }
    Ok(steered)
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
