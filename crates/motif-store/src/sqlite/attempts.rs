//! Table `attempts`: loading what reports are about, proving their fences, and writing transitions behind guards.
//!
//! Whatever is written is written for a list, by one statement whatever its length.

use std::collections::HashMap;

use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId, WorkerId},
    lifecycle::{AttemptOutcome, LeaseLife, Life, Policy, Refusal, Transition, TrialState},
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::rows::{Columns, hex, integer, json_text, millis};
use crate::{
    Result, StoreError,
    records::{Fence, Moved},
};

/// Selects what [`Held::read`] reads.
macro_rules! select_held {
    ($columns:literal, $from:literal) => {
        concat!(
            "select ",
            $columns,
            "a.n, a.id, a.worker, a.number, a.outcome, a.ended_at, a.step, a.started_at, a.expires_at,
                a.progressed_at, a.secret_hash, a.epoch, t.n as trial, t.id as trial_id, t.state, t.attempt,
                t.failures, t.crashes, t.cancel_requested, t.stop_step, t.not_before, t.total_steps, t.sweep,
                s.id as sweep_id, s.policy, s.stop is not null as judged
            from ",
            $from
        )
    };
}

/// An attempt together with the trial that it is, or was, the lease of.
pub(super) struct Held {
    /// Row of the attempt.
    pub(super) n: i64,
    pub(super) id: AttemptId,
    /// Row of its worker.
    pub(super) worker: i64,
    pub(super) number: u32,
    pub(super) outcome: Option<AttemptOutcome>,
    pub(super) ended: bool,
    /// Row of the trial.
    pub(super) trial: i64,
    pub(super) trial_id: TrialId,
    pub(super) total_steps: Option<u64>,
    /// The step at which the trial was decided to end early.
    pub(super) stop_step: Option<u64>,
    /// Row of the sweep.
    pub(super) sweep: i64,
    pub(super) sweep_id: SweepId,
    pub(super) policy: Policy,
    /// Whether the sweep ends some trials early.
    pub(super) judged: bool,
    /// The trial's life; its lease is there when this attempt is the open one.
    pub(super) life: Life,
    /// The epoch that the lease was given in.
    pub(super) epoch: u64,
    secret_hash: [u8; 32],
}

impl Held {
    fn read(row: &SqliteRow) -> Result<Self> {
        let ended = row.opt_time("ended_at")?.is_some();
        let lease = LeaseLife {
            started_at: row.time("started_at")?,
            expires_at: row.time("expires_at")?,
            progressed_at: row.time("progressed_at")?,
            step: row.uint("step")?,
        };
        Ok(Self {
            n: row.int("n")?,
            id: row.id("id")?,
            worker: row.int("worker")?,
            number: row.uint("number")?,
            outcome: row.outcome("outcome")?,
            ended,
            trial: row.int("trial")?,
            trial_id: row.id("trial_id")?,
            total_steps: row.opt_uint("total_steps")?,
            stop_step: row.opt_uint("stop_step")?,
            sweep: row.int("sweep")?,
            sweep_id: row.id("sweep_id")?,
            policy: row.json("policy")?,
            judged: row.flag("judged")?,
            life: Life {
                state: row.state("state")?,
                attempt: row.uint("attempt")?,
                failures: row.uint("failures")?,
                crashes: row.uint("crashes")?,
                cancel_requested: row.flag("cancel_requested")?,
                stop_decided: row.opt_uint::<u64>("stop_step")?.is_some(),
                not_before: row.opt_time("not_before")?.unwrap_or(Timestamp::UNIX_EPOCH),
                lease: (!ended).then_some(lease),
            },
            secret_hash: row.hash("secret_hash")?,
            epoch: row.uint("epoch")?,
        })
    }

    /// Whether a presented secret is the lease's; both are hashed.
    pub(super) fn secret_fits(&self, presented: &[u8; 32]) -> bool {
        bool::from(self.secret_hash.as_slice().ct_eq(presented.as_slice()))
    }

    /// What a caller learns of a trial after its report.
    pub(super) fn moved(&self, life: &Life) -> Moved {
        let step = life.lease.as_ref().map(|lease| lease.step);
        Moved {
            sweep_id: self.sweep_id,
            trial_id: self.trial_id,
            state: life.state,
            cancel_requested: life.cancel_requested,
            stop: self.stop_step.is_some_and(|stop_step| step >= Some(stop_step)),
            lease_ttl_s: self.policy.lease_ttl_s,
        }
    }
}

/// Every refusal of a worker's report means the same to the worker: it no longer holds the trial.
pub(super) fn stale(_: Refusal) -> StoreError {
    StoreError::StaleLease
}

/// The attempts of a list of ids.
pub(super) const BY_ID: &str = select_held!(
    "",
    "json_each(?) j
        cross join attempts a on a.id = unhex(j.value)
        cross join trials t on t.n = a.trial
        cross join sweeps s on s.n = t.sweep"
);

/// The attempts that reports are from, open or not: of each the one whose fence it proves, or the refusal.
pub(super) async fn fenced_all<'f>(
    conn: &mut SqliteConnection,
    epoch: u64,
    fences: impl Iterator<Item = &'f Fence> + Clone,
) -> Result<Vec<Result<Held>>> {
    let ids: Vec<_> = fences.clone().map(|fence| fence.attempt_id.0.simple().to_string()).collect();
    let rows = sqlx::query(BY_ID).bind(json_text(&ids)?).fetch_all(conn).await?;
    let held = rows.iter().map(|row| Held::read(row).map(|held| (held.id, held)));
    let mut found = held.collect::<Result<HashMap<_, _>>>()?;
    let proved = |fence: &Fence| {
        let held = found.remove(&fence.attempt_id).ok_or(StoreError::StaleLease)?;
        if held.secret_fits(&fence.secret_hash) && fence.epoch == epoch && held.epoch == epoch {
            Ok(held)
        } else {
            Err(StoreError::StaleLease)
        }
    };
    Ok(fences.map(proved).collect())
}

/// The attempt that a report is from, open or not, once its fence is proved.
pub(super) async fn fenced(conn: &mut SqliteConnection, epoch: u64, fence: &Fence) -> Result<Held> {
    let held = fenced_all(conn, epoch, std::iter::once(fence)).await?;
    held.into_iter().next().unwrap_or(Err(StoreError::StaleLease))
}

/// The attempt that a report is from, if it is still open.
pub(super) async fn fenced_open(conn: &mut SqliteConnection, epoch: u64, fence: &Fence) -> Result<Held> {
    open(fenced(conn, epoch, fence).await?)
}

/// The attempt, if it is still open.
pub(super) fn open(held: Held) -> Result<Held> {
    if held.ended { Err(StoreError::StaleLease) } else { Ok(held) }
}

/// The attempts of a list of claims, by claim and offer.
pub(super) const OF_CLAIMS: &str = select_held!(
    "a.claim_id, a.offer, w.id as worker_id, ",
    "json_each(?) j
        cross join attempts a on a.claim_id = unhex(j.value)
        cross join trials t on t.n = a.trial
        cross join sweeps s on s.n = t.sweep
        cross join workers w on w.n = a.worker
    order by a.claim_id, a.offer"
);

/// An attempt that a claim began.
pub(super) struct Claimed {
    /// Which of the claim's offers it took.
    pub(super) offer: u32,
    /// Who claimed.
    pub(super) worker_id: WorkerId,
    pub(super) held: Held,
}

/// The attempts of claims, with the offers that they took.
pub(super) async fn of_claims(
    conn: &mut SqliteConnection,
    claims: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, Vec<Claimed>>> {
    let ids: Vec<_> = claims.map(|claim_id| claim_id.simple().to_string()).collect();
    let rows = sqlx::query(OF_CLAIMS).bind(json_text(&ids)?).fetch_all(conn).await?;
    let mut found: HashMap<Uuid, Vec<Claimed>> = HashMap::new();
    for row in &rows {
        let claimed =
            Claimed { offer: row.uint("offer")?, worker_id: row.id("worker_id")?, held: Held::read(row)? };
        found.entry(row.id("claim_id")?).or_default().push(claimed);
    }
    Ok(found)
}

/// Open attempts that are due to be taken back, longest overdue first.
pub(super) const DUE: &str = select_held!(
    "",
    "attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
    where a.ended_at is null and a.due_at <= ? order by a.due_at limit ?"
);

/// Runs [`DUE`].
pub(super) async fn due(conn: &mut SqliteConnection, now: Timestamp, limit: usize) -> Result<Vec<Held>> {
    let rows = sqlx::query(DUE).bind(millis(now)).bind(integer(limit as u64)).fetch_all(conn).await?;
    rows.iter().map(Held::read).collect()
}

/// Leases that end later than any could that is given now: the clock has been set back since. A scan of the open ones.
pub(super) async fn from_the_future(conn: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Held>> {
    let rows = sqlx::query(select_held!(
        "",
        "attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
        where a.ended_at is null and a.expires_at > ? + (s.policy ->> '$.lease_ttl_s') * 1000"
    ))
    .bind(millis(now))
    .fetch_all(conn)
    .await?;
    rows.iter().map(Held::read).collect()
}

/// The first moment at which `lifecycle` would take a lease back.
pub(super) fn due_at(lease: &LeaseLife, policy: &Policy) -> i64 {
    let after = |since: Timestamp, limit_s: u32| millis(since) + i64::from(limit_s) * 1000;
    let mut due = millis(lease.expires_at);
    if policy.runtime_max_s > 0 {
        due = due.min(after(lease.started_at, policy.runtime_max_s));
    }
    if policy.stall_timeout_s > 0 {
        due = due.min(after(lease.progressed_at, policy.stall_timeout_s));
    }
    due
}

/// Writes leases that go on. The `+` keeps SQLite from scanning the open attempts instead of looking each one up.
pub(super) const EXTEND: &str = "update attempts set step = value ->> 3, seen_at = max(seen_at, value ->> 4),
        started_at = value ->> 5, expires_at = value ->> 6, progressed_at = value ->> 7, due_at = value ->> 8
    from json_each(?)
    where attempts.n = value ->> 0 and secret_hash = unhex(value ->> 1) and epoch = value ->> 2
        and +attempts.ended_at is null";

/// Runs [`EXTEND`]: of each attempt the lease as it goes on, and when it was heard of.
pub(super) async fn extend_all(
    conn: &mut SqliteConnection,
    extended: &[(&Held, &LeaseLife, Timestamp)],
) -> Result<()> {
    let row = |(held, lease, now): &(&Held, &LeaseLife, Timestamp)| {
        (
            held.n,
            hex(&held.secret_hash),
            integer(held.epoch),
            integer(lease.step),
            millis(*now),
            millis(lease.started_at),
            millis(lease.expires_at),
            millis(lease.progressed_at),
            due_at(lease, &held.policy),
        )
    };
    write_all(conn, EXTEND, extended.iter().map(row)).await
}

/// Writes a lease that goes on.
pub(super) async fn extend(
    conn: &mut SqliteConnection,
    held: &Held,
    lease: &LeaseLife,
    now: Timestamp,
) -> Result<()> {
    extend_all(conn, &[(held, lease, now)]).await
}

/// How an attempt ends, as decided by the lifecycle.
pub(super) struct Ending<'a> {
    pub(super) held: &'a Held,
    pub(super) transition: &'a Transition,
    pub(super) reason: Option<String>,
    /// Minibatches done, where the report says.
    pub(super) step: u64,
    /// When its worker was heard of, unless the server ended it.
    pub(super) heard_at: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// Ends attempts. A completion rewrites the outcome of one that was taken back but not superseded.
pub(super) const END: &str = "update attempts set outcome = value ->> 4, reason = value ->> 5,
        step = max(step, value ->> 6), seen_at = max(seen_at, value ->> 7), ended_at = value ->> 8
    from json_each(?)
    where attempts.n = value ->> 0 and secret_hash = unhex(value ->> 1) and epoch = value ->> 2
        and outcome is value ->> 3";

/// Ends attempts and moves their trials.
pub(super) async fn end_all(conn: &mut SqliteConnection, endings: &[Ending<'_>]) -> Result<()> {
    let mut rows = Vec::with_capacity(endings.len());
    for Ending { held, transition, reason, step, heard_at, now } in endings {
        let Some(outcome) = transition.ended else {
            return Err(StoreError::Corrupt("a transition that ends no attempt".into()));
        };
        rows.push((
            held.n,
            hex(&held.secret_hash),
            integer(held.epoch),
            held.outcome.map(AttemptOutcome::name),
            outcome.name(),
            reason,
            integer(*step),
            heard_at.map_or(0, millis),
            millis(*now),
        ));
    }
    write_all(conn, END, rows.into_iter()).await?;
    let moves = endings.iter().map(|ending| Move {
        trial: ending.held.trial,
        from: &ending.held.life,
        to: &ending.transition.life,
        now: ending.now,
    });
    move_trials(conn, moves).await
}

/// A trial's way from one state into another.
pub(super) struct Move<'a> {
    /// Row of the trial.
    pub(super) trial: i64,
    pub(super) from: &'a Life,
    pub(super) to: &'a Life,
    pub(super) now: Timestamp,
}

/// Writes trials' new states where they are still in the old ones.
pub(super) const MOVE: &str = "update trials set state = value ->> 3, attempt = value ->> 4, failures = value ->> 5,
        crashes = value ->> 6, cancel_requested = value ->> 7, not_before = value ->> 8, finished_at = value ->> 9
    from json_each(?)
    where trials.n = value ->> 0 and state = value ->> 1 and attempt = value ->> 2";

/// Runs [`MOVE`].
pub(super) async fn move_trials(
    conn: &mut SqliteConnection,
    moves: impl ExactSizeIterator<Item = Move<'_>>,
) -> Result<()> {
    let row = |Move { trial, from, to, now }: Move<'_>| {
        let waits = to.state == TrialState::Queued && to.not_before > now;
        (
            trial,
            from.state.name(),
            from.attempt,
            to.state.name(),
            to.attempt,
            to.failures,
            to.crashes,
            u8::from(to.cancel_requested),
            waits.then(|| millis(to.not_before)),
            to.state.is_terminal().then(|| millis(now)),
        )
    };
    write_all(conn, MOVE, moves.map(row)).await
}

/// Runs a guarded update of a list, which must find every one of its rows as it was loaded.
async fn write_all<R: serde::Serialize>(
    conn: &mut SqliteConnection,
    update: &'static str,
    rows: impl ExactSizeIterator<Item = R>,
) -> Result<()> {
    let expected = rows.len() as u64;
    if expected == 0 {
        return Ok(());
    }
    let done = sqlx::query(update).bind(json_text(&rows.collect::<Vec<_>>())?).execute(conn).await?;
    if done.rows_affected() == expected { Ok(()) } else { Err(StoreError::StaleLease) }
}
