//! Claims: which trials are next, and leasing them.

use jiff::Timestamp;
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::{self, Event, Life, Policy, TrialState},
    requires::Abilities,
};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    attempts::{self, Held},
    checkpoints,
    needs::{self, Met},
    rows::{Columns, integer, millis},
    workers,
};
use crate::{
    Result, StoreError,
    records::{Claim, LeaseOffer, Leased},
};

/// Trials that have backed off long enough become claimable.
pub(super) const PROMOTE: &str = "update trials set not_before = null where state = 'queued' and not_before is not null and not_before <= ?";

/// The first two sweeps with claimable trials and no needs or one of these: by priority, then the fewest trials in
/// training, then age.
pub(super) const SWEEPS: &str = "select p.sweep, p.priority, p.leased
    from sweep_progress p indexed by sweep_progress_claimable
    where p.queued > 0 and p.paused = 0
        and (p.needs is null or p.needs in (select value from json_each(?))) and exists (
        select 1 from trials t indexed by trials_ready
        where t.sweep = p.sweep and t.state = 'queued' and t.not_before is null)
    order by p.priority desc, p.leased, p.sweep limit 2";

/// A sweep's claimable trials by position. The joins are crossed to keep their order.
pub(super) const NEXT: &str =
    "select t.n, t.id, t.seed, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step, t.sweep,
        p.started_at, s.id as sweep_id, s.policy, s.stop is not null as judged, s.snapshots, c.config, c.dataset_hash
    from trials t indexed by trials_ready
    cross join sweep_progress p on p.sweep = t.sweep
    cross join sweeps s on s.n = t.sweep
    cross join conditions c on c.sweep = t.sweep and c.position = t.condition
    where t.sweep = ? and t.state = 'queued' and t.not_before is null
    order by t.position limit ?";

/// Of the sweeps that have one of these needs or none: the one whose turn it is, and for how many of its trials, at least
/// 1, before it is another's.
async fn turn(conn: &mut SqliteConnection, met: &Met) -> Result<Option<(i64, u64)>> {
    let rows = sqlx::query(SWEEPS).bind(&met.0).fetch_all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let sweep = first.int("sweep")?;
    let Some(second) = rows.get(1) else { return Ok(Some((sweep, u64::MAX))) };
    if first.int("priority")? != second.int("priority")? {
        return Ok(Some((sweep, u64::MAX)));
    }
    let ahead = second.uint::<u64>("leased")?.saturating_sub(first.uint("leased")?);
    Ok(Some((sweep, ahead + u64::from(sweep < second.int("sweep")?))))
}

/// A trial that has backed off long enough, of a paused sweep or not: the claim that then looks promotes it once and for
/// all, so that nobody walks over those of paused sweeps again and again.
pub(super) const WAITED: &str = "select 1 from trials indexed by trials_waiting
    where state = 'queued' and not_before is not null and not_before <= ? limit 1";

/// Whether a claim would find, or promote, anything.
pub(super) async fn claimable(
    conn: &mut SqliteConnection,
    worker: &Abilities,
    now: Timestamp,
) -> Result<bool> {
    let met = needs::met(conn, worker).await?;
    if turn(&mut *conn, &met).await?.is_some() {
        return Ok(true);
    }
    Ok(sqlx::query(WAITED).bind(millis(now)).fetch_optional(conn).await?.is_some())
}

struct Candidate {
    n: i64,
    trial_id: TrialId,
    sweep: i64,
    sweep_id: SweepId,
    sweep_started: bool,
    policy: Policy,
    life: Life,
    seed: u64,
    config: serde_json::Value,
    dataset_hash: String,
    judged: bool,
    snapshots: bool,
}

impl Candidate {
    fn read(row: &SqliteRow) -> Result<Self> {
        Ok(Self {
            n: row.int("n")?,
            trial_id: row.id("id")?,
            sweep: row.int("sweep")?,
            sweep_id: row.id("sweep_id")?,
            sweep_started: row.opt_time("started_at")?.is_some(),
            policy: row.json("policy")?,
            life: Life {
                state: TrialState::Queued,
                attempt: row.uint("attempt")?,
                failures: row.uint("failures")?,
                crashes: row.uint("crashes")?,
                cancel_requested: row.flag("cancel_requested")?,
                stop_decided: row.opt_uint::<u64>("stop_step")?.is_some(),
                // It waits no longer, even when the clock has been set back since.
                not_before: Timestamp::UNIX_EPOCH,
                lease: None,
            },
            seed: row.int("seed")?.cast_unsigned(),
            config: row.json("config")?,
            dataset_hash: row.text("dataset_hash")?,
            judged: row.flag("judged")?,
            snapshots: row.flag("snapshots")?,
        })
    }
}

/// Leases trials in queue order, or repeats what this claim was given before.
pub(super) async fn claim(
    conn: &mut SqliteConnection,
    epoch: u64,
    claim: &Claim,
    now: Timestamp,
) -> Result<Vec<Leased>> {
    let worker = workers::hello(conn, &claim.worker, now).await?;
    let earlier = attempts::of_claim(conn, claim.claim_id).await?;
    if !earlier.is_empty() {
        return repeat(conn, epoch, claim, worker, earlier, now).await;
    }
    sqlx::query(PROMOTE).bind(millis(now)).execute(&mut *conn).await?;
    let met = needs::met(conn, &claim.worker.abilities).await?;
    let mut leased = Vec::new();
    while leased.len() < claim.offers.len() {
        let Some((sweep, trials)) = turn(conn, &met).await? else { break };
        let offers = claim.offers.iter().zip(0u32..).skip(leased.len());
        let wanted = trials.min((claim.offers.len() - leased.len()) as u64);
        let rows = sqlx::query(NEXT).bind(sweep).bind(integer(wanted)).fetch_all(&mut *conn).await?;
        if rows.is_empty() {
            return Err(StoreError::Corrupt("a sweep whose turn it is has nothing to claim".into()));
        }
        for (row, (offer, index)) in rows.iter().zip(offers) {
            let candidate = Candidate::read(row)?;
            let place = Place { epoch, claim_id: claim.claim_id, index, worker };
            leased.push(lease(conn, candidate, offer, &place, now).await?);
        }
    }
    Ok(leased)
}

/// Where a lease goes.
struct Place {
    epoch: u64,
    claim_id: uuid::Uuid,
    index: u32,
    worker: i64,
}

async fn lease(
    conn: &mut SqliteConnection,
    candidate: Candidate,
    offer: &LeaseOffer,
    place: &Place,
    now: Timestamp,
) -> Result<Leased> {
    let transition =
        lifecycle::step(&candidate.life, Event::Claim, now, &candidate.policy).map_err(|refusal| {
            StoreError::Corrupt(format!("a trial that is next cannot be leased: {refusal}"))
        })?;
    let Some(lease) = &transition.life.lease else {
        return Err(StoreError::Corrupt("a claim without a lease".into()));
    };
    attempts::move_trial(conn, candidate.n, &candidate.life, &transition.life, now).await?;
    sqlx::query(
        "insert into attempts (id, trial, number, worker, claim_id, offer, secret_hash, epoch, started_at, seen_at,
            expires_at, progressed_at, due_at)
        values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?9, ?11)",
    )
    .bind(offer.attempt_id.0.as_bytes().as_slice())
    .bind(candidate.n)
    .bind(i64::from(transition.life.attempt))
    .bind(place.worker)
    .bind(place.claim_id.as_bytes().as_slice())
    .bind(i64::from(place.index))
    .bind(offer.secret_hash.as_slice())
    .bind(integer(place.epoch))
    .bind(millis(now))
    .bind(millis(lease.expires_at))
    .bind(attempts::due_at(lease, &candidate.policy))
    .execute(&mut *conn)
    .await?;
    if !candidate.sweep_started {
        sqlx::query("update sweep_progress set started_at = ? where sweep = ? and started_at is null")
            .bind(millis(now))
            .bind(candidate.sweep)
            .execute(&mut *conn)
            .await?;
    }
    // A first attempt finds none, and most attempts are first.
    let checkpoint = match candidate.life.attempt {
        0 => None,
        _ => checkpoints::of_trial(conn, candidate.n).await?,
    };
    Ok(Leased {
        offer: place.index,
        attempt_id: offer.attempt_id,
        trial_id: candidate.trial_id,
        sweep_id: candidate.sweep_id,
        attempt: transition.life.attempt,
        config: candidate.config,
        seed: candidate.seed,
        dataset_hash: candidate.dataset_hash,
        policy: candidate.policy,
        judged: candidate.judged,
        snapshots: candidate.snapshots,
        checkpoint,
    })
}

/// Answers a repeated claim. Its worker is alive, so the leases that are still open begin anew.
async fn repeat(
    conn: &mut SqliteConnection,
    epoch: u64,
    claim: &Claim,
    worker: i64,
    earlier: Vec<(u32, Held)>,
    now: Timestamp,
) -> Result<Vec<Leased>> {
    let mut leased = Vec::with_capacity(earlier.len());
    for (index, held) in earlier {
        let offer = claim.offers.get(index as usize);
        let same = offer.is_some_and(|offer| held.secret_fits(&offer.secret_hash));
        if !same || held.worker != worker {
            return Err(StoreError::Conflict("this claim_id was used for another claim".into()));
        }
        if held.ended || held.epoch != epoch {
            continue;
        }
        let Some(step) = held.life.lease.as_ref().map(|lease| lease.step) else { continue };
        let transition = lifecycle::step(&held.life, Event::Heartbeat { step }, now, &held.policy)
            .map_err(attempts::stale)?;
        if let Some(lease) = &transition.life.lease {
            attempts::extend(conn, &held, lease, now).await?;
        }
        let row = sqlx::query(
            "select t.seed, c.config, c.dataset_hash, s.stop is not null as judged, s.snapshots
            from trials t
            join conditions c on c.sweep = t.sweep and c.position = t.condition
            join sweeps s on s.n = t.sweep
            where t.n = ?",
        )
        .bind(held.trial)
        .fetch_one(&mut *conn)
        .await?;
        leased.push(Leased {
            offer: index,
            attempt_id: held.id,
            trial_id: held.trial_id,
            sweep_id: held.sweep_id,
            attempt: held.number,
            config: row.json("config")?,
            seed: row.int("seed")?.cast_unsigned(),
            dataset_hash: row.text("dataset_hash")?,
            policy: held.policy,
            judged: row.flag("judged")?,
            snapshots: row.flag("snapshots")?,
            checkpoint: checkpoints::of_trial(conn, held.trial).await?,
        });
    }
    Ok(leased)
}
