//! Table `attempts`: loading what a report is about, proving its fence, and writing transitions behind guards.

use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::{AttemptOutcome, LeaseLife, Life, Policy, Refusal, Transition, TrialState},
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};
use subtle::ConstantTimeEq;

use super::rows::{Columns, integer, millis};
use crate::{
    Result, StoreError,
    records::{Fence, Moved},
};

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

/// The attempt that a report is from, open or not, once its fence is proved.
pub(super) async fn fenced(conn: &mut SqliteConnection, epoch: u64, fence: &Fence) -> Result<Held> {
    let row = sqlx::query(
        "select a.n, a.id, a.worker, a.number, a.outcome, a.ended_at, a.step, a.started_at, a.expires_at,
            a.progressed_at, a.secret_hash, a.epoch,
            t.n as trial, t.id as trial_id, t.state, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step,
            t.not_before, t.total_steps, t.sweep, s.id as sweep_id, s.policy
        from attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
        where a.id = ?",
    )
    .bind(fence.attempt_id.0.as_bytes().as_slice())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Err(StoreError::StaleLease) };
    let held = Held::read(&row)?;
    if !held.secret_fits(&fence.secret_hash) || fence.epoch != epoch || held.epoch != epoch {
        return Err(StoreError::StaleLease);
    }
    Ok(held)
}

/// The attempt that a report is from, if it is still open.
pub(super) async fn fenced_open(conn: &mut SqliteConnection, epoch: u64, fence: &Fence) -> Result<Held> {
    let held = fenced(conn, epoch, fence).await?;
    if held.ended { Err(StoreError::StaleLease) } else { Ok(held) }
}

/// The open attempts of a claim, with the offers that they took.
pub(super) async fn of_claim(conn: &mut SqliteConnection, claim_id: uuid::Uuid) -> Result<Vec<(u32, Held)>> {
    let rows = sqlx::query(
        "select a.n, a.id, a.worker, a.number, a.outcome, a.ended_at, a.step, a.started_at, a.expires_at,
            a.progressed_at, a.secret_hash, a.epoch, a.offer,
            t.n as trial, t.id as trial_id, t.state, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step,
            t.not_before, t.total_steps, t.sweep, s.id as sweep_id, s.policy
        from attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
        where a.claim_id = ? order by a.offer",
    )
    .bind(claim_id.as_bytes().as_slice())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.uint("offer")?, Held::read(row)?))).collect()
}

/// Open attempts that are due to be taken back, longest overdue first.
pub(super) const DUE: &str =
    "select a.n, a.id, a.worker, a.number, a.outcome, a.ended_at, a.step, a.started_at,
        a.expires_at, a.progressed_at, a.secret_hash, a.epoch,
        t.n as trial, t.id as trial_id, t.state, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step,
        t.not_before, t.total_steps, t.sweep, s.id as sweep_id, s.policy
    from attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
    where a.ended_at is null and a.due_at <= ? order by a.due_at limit ?";

/// Runs [`DUE`].
pub(super) async fn due(conn: &mut SqliteConnection, now: Timestamp, limit: usize) -> Result<Vec<Held>> {
    let rows = sqlx::query(DUE).bind(millis(now)).bind(integer(limit as u64)).fetch_all(conn).await?;
    rows.iter().map(Held::read).collect()
}

/// Leases that end later than any could that is given now: the clock has been set back since. A scan of the open ones.
pub(super) async fn from_the_future(conn: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Held>> {
    let rows = sqlx::query(
        "select a.n, a.id, a.worker, a.number, a.outcome, a.ended_at, a.step, a.started_at, a.expires_at,
            a.progressed_at, a.secret_hash, a.epoch,
            t.n as trial, t.id as trial_id, t.state, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step,
            t.not_before, t.total_steps, t.sweep, s.id as sweep_id, s.policy
        from attempts a join trials t on t.n = a.trial join sweeps s on s.n = t.sweep
        where a.ended_at is null and a.expires_at > ? + (s.policy ->> '$.lease_ttl_s') * 1000",
    )
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

/// Writes a lease that goes on.
pub(super) async fn extend(
    conn: &mut SqliteConnection,
    held: &Held,
    lease: &LeaseLife,
    now: Timestamp,
) -> Result<()> {
    let done = sqlx::query(
        "update attempts set step = ?, seen_at = max(seen_at, ?), started_at = ?, expires_at = ?, progressed_at = ?,
            due_at = ?
        where n = ? and secret_hash = ? and epoch = ? and ended_at is null",
    )
    .bind(integer(lease.step))
    .bind(millis(now))
    .bind(millis(lease.started_at))
    .bind(millis(lease.expires_at))
    .bind(millis(lease.progressed_at))
    .bind(due_at(lease, &held.policy))
    .bind(held.n)
    .bind(held.secret_hash.as_slice())
    .bind(integer(held.epoch))
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected())
}

/// How an attempt ended, as written.
pub(super) struct Ending<'a> {
    pub(super) reason: Option<&'a str>,
    /// Minibatches done, where the report says.
    pub(super) step: u64,
    /// When its worker was heard of, unless the server ended it.
    pub(super) heard_at: Option<Timestamp>,
}

/// Ends an attempt and moves its trial, as the lifecycle has decided.
pub(super) async fn end(
    conn: &mut SqliteConnection,
    held: &Held,
    transition: &Transition,
    ending: &Ending<'_>,
    now: Timestamp,
) -> Result<()> {
    let Some(outcome) = transition.ended else {
        return Err(StoreError::Corrupt("a transition that ends no attempt".into()));
    };
    // A completion rewrites the outcome of an attempt that was taken back but not superseded.
    let done = sqlx::query(
        "update attempts set outcome = ?, reason = ?, step = max(step, ?), seen_at = max(seen_at, ?), ended_at = ?
        where n = ? and secret_hash = ? and epoch = ? and outcome is ?",
    )
    .bind(outcome.name())
    .bind(ending.reason)
    .bind(integer(ending.step))
    .bind(ending.heard_at.map_or(0, millis))
    .bind(millis(now))
    .bind(held.n)
    .bind(held.secret_hash.as_slice())
    .bind(integer(held.epoch))
    .bind(held.outcome.map(AttemptOutcome::name))
    .execute(&mut *conn)
    .await?;
    exactly_one(done.rows_affected())?;
    move_trial(conn, held.trial, &held.life, &transition.life, now).await
}

/// Writes a trial's new state if it is still in the old one.
pub(super) async fn move_trial(
    conn: &mut SqliteConnection,
    trial: i64,
    from: &Life,
    to: &Life,
    now: Timestamp,
) -> Result<()> {
    let waits = to.state == TrialState::Queued && to.not_before > now;
    let done = sqlx::query(
        "update trials set state = ?, attempt = ?, failures = ?, crashes = ?, cancel_requested = ?, not_before = ?,
            finished_at = ?
        where n = ? and state = ? and attempt = ?",
    )
    .bind(to.state.name())
    .bind(i64::from(to.attempt))
    .bind(i64::from(to.failures))
    .bind(i64::from(to.crashes))
    .bind(i64::from(to.cancel_requested))
    .bind(waits.then(|| millis(to.not_before)))
    .bind(to.state.is_terminal().then(|| millis(now)))
    .bind(trial)
    .bind(from.state.name())
    .bind(i64::from(from.attempt))
    .execute(conn)
    .await?;
    exactly_one(done.rows_affected())
}

fn exactly_one(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(StoreError::StaleLease) }
}
