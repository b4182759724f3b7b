//! What workers report of their leases, and taking leases back: load, prove the fence, ask the lifecycle, write.

use jiff::{SignedDuration, Timestamp};
use motif_sweep::{
    ids::AttemptId,
    lifecycle::{self, AttemptOutcome, Event, LeaseLife, Transition},
};
use sqlx::{QueryBuilder, SqliteConnection};

use super::{
    attempts::{self, Ending, Held},
    lists::{Answers, Asked, Listed},
    rows::{Columns, integer, json_text, millis},
    stopping, workers,
    writer::{Message, Work},
};
use crate::{
    Result, StoreError,
    records::{Fence, Finish, Moved},
};

/// Leases taken back in one transaction.
pub(super) const REAPED_AT_ONCE_MAX: usize = 256;
/// Results, and final metrics, inserted by one statement: SQLite binds at most 32,766 values.
const RESULTS_AT_ONCE: usize = 1024;
const METRICS_AT_ONCE: usize = 4096;
/// Turns one jitter into a well-spread series: the golden ratio's fraction.
const JITTER_STRIDE: f64 = 0.618_033_988_749_895;

/// A heartbeat.
pub(super) struct Heartbeat {
    pub(super) epoch: u64,
    pub(super) fence: Fence,
    pub(super) step: u64,
    pub(super) total_steps: Option<u64>,
    pub(super) now: Timestamp,
}

impl Listed for Heartbeat {
    type Key = AttemptId;
    type Reply = Moved;

    fn key(&self) -> AttemptId {
        self.fence.attempt_id
    }

    fn run_all<'c>(conn: &'c mut SqliteConnection, beats: &'c [&'c Self]) -> Work<'c, Answers<Moved>> {
        Box::pin(heartbeats(conn, beats))
    }

    fn message(asked: Asked<Self>) -> Message {
        Message::Heartbeat(asked)
    }
}

/// Extends leases.
async fn heartbeats(conn: &mut SqliteConnection, beats: &[&Heartbeat]) -> Answers<Moved> {
    let Some(epoch) = beats.first().map(|beat| beat.epoch) else { return Ok(Vec::new()) };
    let found = attempts::fenced_all(conn, epoch, beats.iter().map(|beat| &beat.fence)).await?;
    let extended = |(held, beat): (Result<Held>, &&Heartbeat)| {
        let held = attempts::open(held?)?;
        let event = Event::Heartbeat { step: beat.step };
        let transition =
            lifecycle::step(&held.life, event, beat.now, &held.policy).map_err(attempts::stale)?;
        let Some(lease) = transition.life.lease.clone() else { return Err(StoreError::StaleLease) };
        Ok((held, transition.life, lease))
    };
    let extended: Vec<_> = found.into_iter().zip(beats).map(extended).collect();
    let accepted = || extended.iter().zip(beats).filter_map(|(it, beat)| Some((it.as_ref().ok()?, beat)));
    let leases: Vec<_> = accepted().map(|((held, _, lease), beat)| (held, lease, beat.now)).collect();
    attempts::extend_all(conn, &leases).await?;
    let totals = accepted()
        .filter(|((held, ..), beat)| beat.total_steps.is_some() && beat.total_steps != held.total_steps)
        .map(|((held, ..), beat)| (held.trial, beat.total_steps.map(integer)));
    set_totals(conn, &totals.collect::<Vec<_>>()).await?;
    workers::heard_of(conn, accepted().map(|((held, ..), beat)| (held.worker, beat.now, 0))).await?;
    Ok(extended.into_iter().map(|it| it.map(|(held, life, _)| held.moved(&life))).collect())
}

/// Writes of trials how many minibatches they have.
pub(super) const SET_TOTALS: &str =
    "update trials set total_steps = value ->> 1 from json_each(?) where trials.n = value ->> 0";

async fn set_totals(conn: &mut SqliteConnection, totals: &[(i64, Option<i64>)]) -> Result<()> {
    if !totals.is_empty() {
        sqlx::query(SET_TOTALS).bind(json_text(&totals)?).execute(conn).await?;
    }
    Ok(())
}

/// A completion.
pub(super) struct Complete {
    pub(super) epoch: u64,
    pub(super) fence: Fence,
    pub(super) finish: Finish,
    pub(super) now: Timestamp,
}

impl Listed for Complete {
    type Key = AttemptId;
    type Reply = Moved;

    fn key(&self) -> AttemptId {
        self.fence.attempt_id
    }

    fn run_all<'c>(conn: &'c mut SqliteConnection, ends: &'c [&'c Self]) -> Work<'c, Answers<Moved>> {
        Box::pin(completions(conn, ends))
    }

    fn message(asked: Asked<Self>) -> Message {
        Message::Complete(asked)
    }
}

/// A completion that is accepted.
struct Accepted<'a> {
    held: Held,
    transition: Transition,
    finish: &'a Finish,
    report: String,
    digest: [u8; 32],
    now: Timestamp,
}

/// What becomes of a completion.
enum Verdict<'a> {
    Accepted(Box<Accepted<'a>>),
    /// The attempt has ended with a result: is it this one?
    Repeated(Box<Held>, [u8; 32]),
}

/// Whether an attempt may complete; the lifecycle decides whether one that was taken back has been superseded.
fn judge(held: Held, complete: &Complete) -> Result<Verdict<'_>> {
    let Complete { finish, now, .. } = complete;
    let report = json_text(&finish.report)?;
    let digest = digest(finish, &report);
    match held.outcome {
        None | Some(AttemptOutcome::Expired | AttemptOutcome::TimedOut) => {}
        Some(AttemptOutcome::Succeeded | AttemptOutcome::Diverged | AttemptOutcome::Stopped) => {
            return Ok(Verdict::Repeated(Box::new(held), digest));
        }
        Some(AttemptOutcome::Failed | AttemptOutcome::Released | AttemptOutcome::Cancelled) => {
            return Err(StoreError::StaleLease);
        }
    }
    let event = Event::Complete { attempt: held.number, conclusion: finish.conclusion() };
    let transition = lifecycle::step(&held.life, event, *now, &held.policy).map_err(attempts::stale)?;
    Ok(Verdict::Accepted(Box::new(Accepted { held, transition, finish, report, digest, now: *now })))
}

/// Ends trials with their results.
async fn completions(conn: &mut SqliteConnection, ends: &[&Complete]) -> Answers<Moved> {
    let Some(epoch) = ends.first().map(|end| end.epoch) else { return Ok(Vec::new()) };
    let found = attempts::fenced_all(conn, epoch, ends.iter().map(|end| &end.fence)).await?;
    let mut answers = Vec::with_capacity(ends.len());
    let mut accepted = Vec::with_capacity(ends.len());
    for (held, end) in found.into_iter().zip(ends) {
        let verdict = held.and_then(|held| judge(held, end));
        answers.push(match verdict {
            Ok(Verdict::Accepted(it)) => {
                let moved = it.held.moved(&it.transition.life);
                accepted.push(*it);
                Ok(moved)
            }
            Ok(Verdict::Repeated(held, digest)) => repeated(conn, &held, &digest).await,
            Err(refusal) => Err(refusal),
        });
    }
    let mut endings = Vec::with_capacity(accepted.len());
    for Accepted { held, transition, finish, now, .. } in &accepted {
        let reason = match transition.ended {
            Some(AttemptOutcome::Stopped) => Some(stopping::reason(conn, held).await?),
            _ => None,
        };
        endings.push(Ending {
            held,
            transition,
            reason,
            step: finish.steps,
            heard_at: Some(*now),
            now: *now,
        });
    }
    attempts::end_all(conn, &endings).await?;
    for portion in accepted.chunks(RESULTS_AT_ONCE) {
        store_results(conn, portion).await?;
    }
    workers::heard_of(conn, accepted.iter().map(|it| (it.held.worker, it.now, 1))).await?;
    Ok(answers)
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

/// Inserts results. SQL for one is kept prepared; a list's differs in length, and values are bound, because JSON's numbers
/// might lose a bit.
async fn store_results(conn: &mut SqliteConnection, accepted: &[Accepted<'_>]) -> Result<()> {
    let mut insert = QueryBuilder::new(
        "insert into results (trial, attempt, digest, diverged_step, stopped_step, stopped_epoch, result_hash, report) ",
    );
    insert.push_values(accepted, |mut row, it| {
        row.push_bind(it.held.trial)
            .push_bind(it.held.n)
            .push_bind(it.digest.to_vec())
            .push_bind(it.finish.diverged_step.map(integer))
            .push_bind(it.finish.stopped.map(|stopped| integer(stopped.step)))
            .push_bind(it.finish.stopped.map(|stopped| stopped.epoch))
            .push_bind(it.finish.result_hash.clone())
            .push_bind(it.report.clone());
    });
    insert.build().persistent(accepted.len() == 1).execute(&mut *conn).await?;
    let metrics = accepted.iter().flat_map(|it| {
        let finite = it.finish.metrics.iter().filter(|(_, value)| value.is_finite());
        finite.map(|(name, value)| (it.held.trial, name, *value))
    });
    for portion in metrics.collect::<Vec<_>>().chunks(METRICS_AT_ONCE) {
        let mut insert = QueryBuilder::new("insert into final_metrics (trial, name, value) ");
        insert.push_values(portion, |mut row, (trial, name, value)| {
            row.push_bind(*trial).push_bind((*name).clone()).push_bind(*value);
        });
        insert.build().persistent(false).execute(&mut *conn).await?;
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
    let ending = Ending {
        held: &held,
        transition: &transition,
        reason: Some(reason.to_owned()),
        step: 0,
        heard_at: Some(now),
        now,
    };
    attempts::end_all(conn, &[ending]).await?;
    workers::heard_of(conn, std::iter::once((held.worker, now, 0))).await?;
    Ok(held.moved(&transition.life))
}

/// Takes back some leases that have expired, stalled or overrun.
pub(super) async fn reap(
    conn: &mut SqliteConnection,
    jitter: f64,
    now: Timestamp,
) -> Result<Vec<(AttemptId, Moved)>> {
    let due = attempts::due(conn, now, REAPED_AT_ONCE_MAX).await?;
    let reap = |(held, index): (Held, u32)| {
        let jitter = (jitter + f64::from(index) * JITTER_STRIDE).fract();
        let transition = lifecycle::step(&held.life, Event::Reap { jitter }, now, &held.policy).ok()?;
        Some((held, transition))
    };
    let reaped: Vec<_> = due.into_iter().zip(0u32..).filter_map(reap).collect();
    let reason = |transition: &Transition| {
        let reason = match transition.ended {
            Some(AttemptOutcome::TimedOut) => "it made no step in time, or ran longer than allowed",
            _ => "its lease expired: the worker died or lost the server",
        };
        Some(reason.to_owned())
    };
    let endings = reaped.iter().map(|it| Ending {
        held: &it.0,
        transition: &it.1,
        reason: reason(&it.1),
        step: 0,
        heard_at: None,
        now,
    });
    attempts::end_all(conn, &endings.collect::<Vec<_>>()).await?;
    Ok(reaped.iter().map(|(held, transition)| (held.id, held.moved(&transition.life))).collect())
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
