//! What workers report of their leases, and taking leases back: load, prove the fence, ask the lifecycle, write.

use jiff::{SignedDuration, Timestamp};
use motif_sweep::{
    ids::AttemptId,
    lifecycle::{self, AttemptOutcome, Event, LeaseLife},
};
use sqlx::SqliteConnection;

use super::{
    attempts::{self, Ending, Held},
    rows::{Columns, integer, json_text, millis},
    stopping, workers,
};
use crate::{
    Result, StoreError,
    records::{Fence, Finish, Moved},
};

/// Leases taken back in one transaction.
pub(super) const REAPED_AT_ONCE_MAX: usize = 256;
/// Turns one jitter into a well-spread series: the golden ratio's fraction.
const JITTER_STRIDE: f64 = 0.618_033_988_749_895;

/// Extends a lease.
pub(super) async fn heartbeat(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    step: u64,
    total_steps: Option<u64>,
    now: Timestamp,
) -> Result<Moved> {
    let held = attempts::fenced_open(conn, epoch, fence).await?;
    let transition =
        lifecycle::step(&held.life, Event::Heartbeat { step }, now, &held.policy).map_err(attempts::stale)?;
    let Some(lease) = &transition.life.lease else { return Err(StoreError::StaleLease) };
    attempts::extend(conn, &held, lease, now).await?;
    if total_steps.is_some() && total_steps != held.total_steps {
        sqlx::query("update trials set total_steps = ? where n = ?")
            .bind(total_steps.map(integer))
            .bind(held.trial)
            .execute(&mut *conn)
            .await?;
    }
    workers::heard_of(conn, held.worker, now).await?;
    Ok(held.moved(&transition.life))
}

/// Ends a trial with its result.
pub(super) async fn complete(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    finish: &Finish,
    now: Timestamp,
) -> Result<Moved> {
    let held = attempts::fenced(conn, epoch, fence).await?;
    let report = json_text(&finish.report)?;
    let digest = digest(finish, &report);
    match held.outcome {
        // The lifecycle decides whether an attempt that was taken back has been superseded.
        None | Some(AttemptOutcome::Expired | AttemptOutcome::TimedOut) => {}
        Some(AttemptOutcome::Succeeded | AttemptOutcome::Diverged | AttemptOutcome::Stopped) => {
            return repeated(conn, &held, &digest).await;
        }
        Some(AttemptOutcome::Failed | AttemptOutcome::Released | AttemptOutcome::Cancelled) => {
            return Err(StoreError::StaleLease);
        }
    }
    let event = Event::Complete { attempt: held.number, conclusion: finish.conclusion() };
    let transition = lifecycle::step(&held.life, event, now, &held.policy).map_err(attempts::stale)?;
    let reason = match transition.ended {
        Some(AttemptOutcome::Stopped) => Some(stopping::reason(conn, &held).await?),
        _ => None,
    };
    let ending = Ending { reason: reason.as_deref(), step: finish.steps, heard_at: Some(now) };
    attempts::end(conn, &held, &transition, &ending, now).await?;
    store_result(conn, &held, finish, &report, &digest).await?;
    workers::completed(conn, held.worker, now).await?;
    Ok(held.moved(&transition.life))
}

async fn repeated(conn: &mut SqliteConnection, held: &Held, digest: &[u8; 32]) -> Result<Moved> {
    let row = sqlx::query("select digest from results where trial = ? and attempt = ?")
        .bind(held.trial)
        .bind(held.n)
        .fetch_optional(conn)
        .await?;
    match row {
        Some(row) if row.hash("digest")? == *digest => Ok(held.moved(&held.life)),
        Some(_) => Err(StoreError::Conflict("this trial was completed with another result".into())),
        None => Err(StoreError::Corrupt("a completed attempt without a result".into())),
    }
}

/// Hash over everything a completion says, each part with its length.
fn digest(finish: &Finish, report: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match finish.diverged_step {
        Some(step) => part(&step.to_le_bytes()),
        None => part(&[]),
    }
    part(&finish.steps.to_le_bytes());
    part(finish.result_hash.as_bytes());
    part(report.as_bytes());
    for (name, value) in &finish.metrics {
        part(name.as_bytes());
        part(&value.to_bits().to_le_bytes());
    }
    // Last, and only where it is: results that were stored before there was such an end keep their digests.
    if let Some(stopped) = finish.stopped {
        part(b"stopped");
        part(&stopped.step.to_le_bytes());
        part(&stopped.epoch.to_bits().to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

async fn store_result(
    conn: &mut SqliteConnection,
    held: &Held,
    finish: &Finish,
    report: &str,
    digest: &[u8; 32],
) -> Result<()> {
    sqlx::query(
        "insert into results (trial, attempt, digest, diverged_step, stopped_step, stopped_epoch, result_hash, report)
        values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(held.trial)
    .bind(held.n)
    .bind(digest.as_slice())
    .bind(finish.diverged_step.map(integer))
    .bind(finish.stopped.map(|stopped| integer(stopped.step)))
    .bind(finish.stopped.map(|stopped| stopped.epoch))
    .bind(&finish.result_hash)
    .bind(report)
    .execute(&mut *conn)
    .await?;
    for (name, value) in finish.metrics.iter().filter(|(_, value)| value.is_finite()) {
        sqlx::query("insert into final_metrics (trial, name, value) values (?, ?, ?)")
            .bind(held.trial)
            .bind(name)
            .bind(value)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Ends an attempt without a result: an error, or a trial given back. `event` is one of these two.
pub(super) async fn give_up(
    conn: &mut SqliteConnection,
    epoch: u64,
    fence: &Fence,
    event: Event,
    reason: &str,
    now: Timestamp,
) -> Result<Moved> {
    let held = attempts::fenced(conn, epoch, fence).await?;
    if held.ended {
        let usual = match event {
            Event::Fail { .. } => AttemptOutcome::Failed,
            _ => AttemptOutcome::Released,
        };
        // A repeat of the report that ended the attempt; a flagged trial's attempt ends as cancelled instead.
        let same = held.outcome == Some(usual) || held.outcome == Some(AttemptOutcome::Cancelled);
        return if same { Ok(held.moved(&held.life)) } else { Err(StoreError::StaleLease) };
    }
    let transition = lifecycle::step(&held.life, event, now, &held.policy).map_err(attempts::stale)?;
    let ending = Ending { reason: Some(reason), step: 0, heard_at: Some(now) };
    attempts::end(conn, &held, &transition, &ending, now).await?;
    workers::heard_of(conn, held.worker, now).await?;
    Ok(held.moved(&transition.life))
}

/// Takes back some leases that have expired, stalled or overrun.
pub(super) async fn reap(
    conn: &mut SqliteConnection,
    jitter: f64,
    now: Timestamp,
) -> Result<Vec<(AttemptId, Moved)>> {
    let mut reaped = Vec::new();
    for (held, index) in attempts::due(conn, now, REAPED_AT_ONCE_MAX).await?.into_iter().zip(0u32..) {
        let jitter = (jitter + f64::from(index) * JITTER_STRIDE).fract();
        let Ok(transition) = lifecycle::step(&held.life, Event::Reap { jitter }, now, &held.policy) else {
            continue;
        };
        let reason = match transition.ended {
            Some(AttemptOutcome::TimedOut) => "it made no step in time, or ran longer than allowed",
            _ => "its lease expired: the worker died or lost the server",
        };
        let ending = Ending { reason: Some(reason), step: 0, heard_at: None };
        attempts::end(conn, &held, &transition, &ending, now).await?;
        reaped.push((held.id, held.moved(&transition.life)));
    }
    Ok(reaped)
}

/// Puts right what a clock that was set back would hold up: leases begin anew, and trials that back off for longer than
/// they could are queued at once.
pub(super) async fn clock_set_back(conn: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    for held in attempts::from_the_future(conn, now).await? {
        let Some(lease) = &held.life.lease else { continue };
        let lease = LeaseLife {
            started_at: lease.started_at.min(now),
            expires_at: now + SignedDuration::from_secs(held.policy.lease_ttl_s.into()),
            progressed_at: lease.progressed_at.min(now),
            step: lease.step,
        };
        attempts::extend(conn, &held, &lease, now).await?;
    }
    sqlx::query(
        "update trials set not_before = null where state = 'queued' and not_before is not null and not_before >
            ? + (select (policy ->> '$.backoff_max_s') * 1000 from sweeps where n = trials.sweep)",
    )
    .bind(millis(now))
    .execute(conn)
    .await?;
    Ok(())
}
