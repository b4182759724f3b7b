//! Claims: which trials are next, and leasing them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, hash_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;
use motif_sweep::{
    ids::{SweepId, TrialId, WorkerId},
    lifecycle::{self, Event, LeaseLife, Life, Policy, TrialState},
    requires::Abilities,
};
use sqlx::{QueryBuilder, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{
    attempts::{self, Claimed, Move},
    checkpoints,
    lists::{Answers, Asked, Listed},
    needs::{Known, Met},
    rows::{Columns, integer, millis},
    workers,
    writer::{Message, Work},
};
use crate::{
    Result, StoreError,
    records::{Claim, Claimable, LeaseOffer, Leased},
};

/// Trials leased by one statement: SQLite binds at most 32,766 values.
const LEASED_AT_ONCE: usize = 1024;

/// Trials that have backed off long enough become claimable.
pub(super) const PROMOTE: &str = "update trials set not_before = null where state = 'queued' and not_before is not null and not_before <= ?";

/// Sweeps with claimable trials and no needs or one of these, in the order in which a claim takes them: by priority, then
/// the fewest trials in training, then age.
pub(super) const SWEEPS: &str = "select p.sweep, p.priority, p.leased
    from sweep_progress p indexed by sweep_progress_claimable
    where p.queued > 0 and p.paused = 0
        and (p.needs is null or p.needs in (select value from json_each(?))) and exists (
        select 1 from trials t indexed by trials_ready
        where t.sweep = p.sweep and t.state = 'queued' and t.not_before is null)
    order by p.priority desc, p.leased, p.sweep limit ?";

/// A sweep's claimable trials by position. The joins are crossed to keep their order.
pub(super) const NEXT: &str =
    "select t.n, t.id, t.seed, t.attempt, t.failures, t.crashes, t.cancel_requested, t.stop_step, t.sweep,
        p.started_at, s.id as sweep_id, s.policy, s.stop is not null as judged, s.snapshots, c.n as condition,
        c.config, c.dataset_hash
    from trials t indexed by trials_ready
    cross join sweep_progress p on p.sweep = t.sweep
    cross join sweeps s on s.n = t.sweep
    cross join conditions c on c.sweep = t.sweep and c.position = t.condition
    where t.sweep = ? and t.state = 'queued' and t.not_before is null
    order by t.position limit ?";

/// The sweeps whose turns the next `wanted` trials are, in order, as if each had enough of them: always that of the fewest
/// trials in training, then the older, of those with the highest priority whose needs are met.
async fn turns(conn: &mut SqliteConnection, met: &Met, wanted: u64) -> Result<Vec<i64>> {
    let rows = sqlx::query(SWEEPS).bind(&met.0).bind(integer(wanted)).fetch_all(conn).await?;
    let mut waiting = BinaryHeap::new();
    let mut highest = None;
    for row in &rows {
        let priority = row.int("priority")?;
        if *highest.get_or_insert(priority) == priority {
            waiting.push(Reverse((row.uint::<u64>("leased")?, row.int("sweep")?)));
        }
    }
    let mut turns = Vec::new();
    while (turns.len() as u64) < wanted
        && let Some(Reverse((leased, sweep))) = waiting.pop()
    {
        turns.push(sweep);
        waiting.push(Reverse((leased + 1, sweep)));
    }
    Ok(turns)
}

/// The next trials in the order of the queue whose needs are met, up to `wanted`, or up to one whose sweep turned out to have no more: none are
/// left when nothing is returned.
async fn next(conn: &mut SqliteConnection, met: &Met, wanted: u64) -> Result<Vec<Candidate>> {
    let turns = turns(conn, met, wanted).await?;
    let mut shares: BTreeMap<i64, u64> = BTreeMap::new();
    for sweep in &turns {
        *shares.entry(*sweep).or_default() += 1;
    }
    let mut found = HashMap::new();
    let mut configs = HashMap::new();
    for (sweep, share) in shares {
        let rows = sqlx::query(NEXT).bind(sweep).bind(integer(share)).fetch_all(&mut *conn).await?;
        let candidates = rows.iter().map(|row| Candidate::read(row, &mut configs));
        found.insert(sweep, candidates.collect::<Result<Vec<_>>>()?.into_iter());
    }
    let next: Vec<_> = turns.iter().map_while(|sweep| found.get_mut(sweep)?.next()).collect();
    if next.is_empty() && !turns.is_empty() {
        return Err(StoreError::Corrupt("a sweep whose turn it is has nothing to claim".into()));
    }
    Ok(next)
}

/// A trial that has backed off long enough, of a paused sweep or not: the claim that then looks promotes it once and for
/// all, so that nobody walks over those of paused sweeps again and again.
pub(super) const WAITED: &str = "select 1 from trials indexed by trials_waiting
    where state = 'queued' and not_before is not null and not_before <= ? limit 1";

/// What a claim would find, or promote.
pub(super) async fn claimable(
    conn: &mut SqliteConnection,
    worker: &Abilities,
    now: Timestamp,
) -> Result<Claimable> {
    let known = Known::read(&mut *conn).await?;
    let met = known.met(worker)?;
    if !turns(&mut *conn, &met, 1).await?.is_empty() {
        return Ok(Claimable::Yes);
    }
    if sqlx::query(WAITED).bind(millis(now)).fetch_optional(&mut *conn).await?.is_some() {
        return Ok(Claimable::Yes);
    }
    let all = known.all()?;
    let others = all != met && !turns(conn, &all, 1).await?.is_empty();
    Ok(if others { Claimable::ByOthers } else { Claimable::No })
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
    /// Reads a row; each condition's config is parsed once.
    fn read(row: &SqliteRow, configs: &mut HashMap<i64, serde_json::Value>) -> Result<Self> {
        let config = match configs.entry(row.int("condition")?) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(place) => place.insert(row.json("config")?).clone(),
        };
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
            config,
            dataset_hash: row.text("dataset_hash")?,
            judged: row.flag("judged")?,
            snapshots: row.flag("snapshots")?,
        })
    }
}

/// A claim.
pub(super) struct Claiming {
    pub(super) epoch: u64,
    pub(super) claim: Claim,
    pub(super) now: Timestamp,
}

impl Listed for Claiming {
    type Key = Uuid;
    type Reply = Vec<Leased>;

    fn key(&self) -> Uuid {
        self.claim.claim_id
    }

    fn run_all<'c>(conn: &'c mut SqliteConnection, claims: &'c [&'c Self]) -> Work<'c, Answers<Vec<Leased>>> {
        Box::pin(claim_all(conn, claims))
    }

    fn message(asked: Asked<Self>) -> Message {
        Message::Claim(asked)
    }
}

/// Leases trials in queue order, claim after claim, or repeats what a claim was given before.
async fn claim_all(conn: &mut SqliteConnection, claims: &[&Claiming]) -> Answers<Vec<Leased>> {
    let ids = claims.iter().map(|claiming| claiming.claim.claim_id);
    let mut earlier = attempts::of_claims(conn, ids).await?;
    let earlier: Vec<_> = claims
        .iter()
        .map(|claiming| {
            let earlier = earlier.remove(&claiming.claim.claim_id).unwrap_or_default();
            check_same(&claiming.claim, &earlier).map(|()| earlier)
        })
        .collect();
    let accepted = || claims.iter().zip(&earlier).filter(|(_, earlier)| earlier.is_ok());
    let seen = accepted().map(|(claiming, _)| (&claiming.claim.worker, claiming.now));
    let workers = workers::hello(conn, seen).await?;
    let known = Known::read(&mut *conn).await?;
    let mut places = Vec::new();
    for (claiming, earlier) in claims.iter().zip(&earlier) {
        if matches!(earlier, Ok(none) if none.is_empty()) {
            let met = Arc::new(known.met(&claiming.claim.worker.abilities)?);
            places.extend(Place::of(claiming, &met, &workers));
        }
    }
    let mut leased = lease_all(conn, &places).await?;
    let mut answers = Vec::with_capacity(claims.len());
    for (claiming, earlier) in claims.iter().zip(earlier) {
        answers.push(match earlier {
            Ok(earlier) if earlier.is_empty() => {
                Ok(leased.remove(&claiming.claim.claim_id).unwrap_or_default())
            }
            Ok(earlier) => Ok(repeat(conn, claiming, earlier).await?),
            Err(refusal) => Err(refusal),
        });
    }
    Ok(answers)
}

/// Refuses a claim whose id is another's.
fn check_same(claim: &Claim, earlier: &[Claimed]) -> Result<()> {
    let same = |claimed: &Claimed| {
        let offer = claim.offers.get(claimed.offer as usize);
        claimed.worker_id == claim.worker.id
            && offer.is_some_and(|offer| claimed.held.secret_fits(&offer.secret_hash))
    };
    if earlier.iter().all(same) {
        Ok(())
    } else {
        Err(StoreError::Conflict("this claim_id was used for another claim".into()))
    }
}

/// Where a lease goes: an offer of a claim.
struct Place<'a> {
    claiming: &'a Claiming,
    offer: &'a LeaseOffer,
    index: u32,
    worker: i64,
    met: Arc<Met>,
}

impl<'a> Place<'a> {
    /// All places of a claim; none when its worker is unknown, which it is not.
    fn of(
        claiming: &'a Claiming,
        met: &Arc<Met>,
        workers: &HashMap<WorkerId, i64>,
    ) -> impl Iterator<Item = Self> {
        let worker = workers.get(&claiming.claim.worker.id).copied();
        let offers = claiming.claim.offers.iter().zip(0u32..);
        offers.filter_map(move |(offer, index)| {
            Some(Self { claiming, offer, index, worker: worker?, met: Arc::clone(met) })
        })
    }
}

/// Leases a trial to each place, as far as there are any.
async fn lease_all(conn: &mut SqliteConnection, places: &[Place<'_>]) -> Result<HashMap<Uuid, Vec<Leased>>> {
    let mut leased: HashMap<Uuid, Vec<Leased>> = HashMap::new();
    let Some(latest) = places.iter().map(|place| place.claiming.now).max() else { return Ok(leased) };
    sqlx::query(PROMOTE).bind(millis(latest)).execute(&mut *conn).await?;
    let mut places = places;
    while let Some(first) = places.first() {
        let alike = places.chunk_by(|one, other| one.met == other.met).next().unwrap_or_default();
        let portion = &alike[..alike.len().min(LEASED_AT_ONCE)];
        let next = next(conn, &first.met, portion.len() as u64).await?;
        if next.is_empty() {
            places = &places[alike.len()..];
            continue;
        }
        places = &places[next.len()..];
        for (claim_id, lease) in lease_each(conn, next, portion).await? {
            leased.entry(claim_id).or_default().push(lease);
        }
    }
    Ok(leased)
}

/// Leases trials to as many places.
async fn lease_each<'p>(
    conn: &mut SqliteConnection,
    candidates: Vec<Candidate>,
    places: &'p [Place<'p>],
) -> Result<Vec<(Uuid, Leased)>> {
    let claimed = |(candidate, place): (Candidate, &'p Place<'p>)| {
        let claiming = place.claiming;
        let transition = lifecycle::step(&candidate.life, Event::Claim, claiming.now, &candidate.policy);
        let life = transition.map(|transition| transition.life).map_err(|refusal| {
            StoreError::Corrupt(format!("a trial that is next cannot be leased: {refusal}"))
        })?;
        let lease = life.lease.clone();
        let lease = lease.ok_or_else(|| StoreError::Corrupt("a claim without a lease".into()))?;
        Ok(New { candidate, place, life, lease })
    };
    let new = candidates.into_iter().zip(places).map(claimed).collect::<Result<Vec<_>>>()?;
    let moves = new.iter().map(|new| Move {
        trial: new.candidate.n,
        from: &new.candidate.life,
        to: &new.life,
        now: new.place.claiming.now,
    });
    attempts::move_trials(conn, moves).await?;
    insert_attempts(conn, &new).await?;
    start_sweeps(conn, &new).await?;
    let mut leased = Vec::with_capacity(new.len());
    for New { candidate, place, life, .. } in new {
        // A first attempt finds none, and most attempts are first.
        let checkpoint = match candidate.life.attempt {
            0 => None,
            _ => checkpoints::of_trial(conn, candidate.n).await?,
        };
        let lease = Leased {
            offer: place.index,
            attempt_id: place.offer.attempt_id,
            trial_id: candidate.trial_id,
            sweep_id: candidate.sweep_id,
            attempt: life.attempt,
            config: candidate.config,
            seed: candidate.seed,
            dataset_hash: candidate.dataset_hash,
            policy: candidate.policy,
            judged: candidate.judged,
            snapshots: candidate.snapshots,
            checkpoint,
        };
        leased.push((place.claiming.claim.claim_id, lease));
    }
    Ok(leased)
}

/// A new lease.
struct New<'a> {
    candidate: Candidate,
    place: &'a Place<'a>,
    /// The trial's, leased.
    life: Life,
    lease: LeaseLife,
}

async fn insert_attempts(conn: &mut SqliteConnection, new: &[New<'_>]) -> Result<()> {
    let mut insert = QueryBuilder::new(
        "insert into attempts (id, trial, number, worker, claim_id, offer, secret_hash, epoch, started_at, seen_at,
            expires_at, progressed_at, due_at) ",
    );
    insert.push_values(new, |mut row, New { candidate, place, life, lease }| {
        let now = millis(place.claiming.now);
        row.push_bind(place.offer.attempt_id.0.as_bytes().to_vec())
            .push_bind(candidate.n)
            .push_bind(i64::from(life.attempt))
            .push_bind(place.worker)
            .push_bind(place.claiming.claim.claim_id.as_bytes().to_vec())
            .push_bind(i64::from(place.index))
            .push_bind(place.offer.secret_hash.to_vec())
            .push_bind(integer(place.claiming.epoch))
            .push_bind(now)
            .push_bind(now)
            .push_bind(millis(lease.expires_at))
            .push_bind(now)
            .push_bind(attempts::due_at(lease, &candidate.policy));
    });
    insert.build().persistent(new.len() == 1).execute(conn).await?;
    Ok(())
}

/// Notes when sweeps were begun.
async fn start_sweeps(conn: &mut SqliteConnection, new: &[New<'_>]) -> Result<()> {
    let mut started = BTreeMap::new();
    for New { candidate, place, .. } in new.iter().filter(|new| !new.candidate.sweep_started) {
        started.entry(candidate.sweep).or_insert(place.claiming.now);
    }
    for (sweep, at) in started {
        sqlx::query("update sweep_progress set started_at = ? where sweep = ? and started_at is null")
            .bind(millis(at))
            .bind(sweep)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Answers a repeated claim. Its worker is alive, so the leases that are still open begin anew.
async fn repeat(
    conn: &mut SqliteConnection,
    claiming: &Claiming,
    earlier: Vec<Claimed>,
) -> Result<Vec<Leased>> {
    let mut leased = Vec::with_capacity(earlier.len());
    for Claimed { offer, held, .. } in earlier {
        if held.ended || held.epoch != claiming.epoch {
            continue;
        }
        let Some(step) = held.life.lease.as_ref().map(|lease| lease.step) else { continue };
        let transition = lifecycle::step(&held.life, Event::Heartbeat { step }, claiming.now, &held.policy)
            .map_err(attempts::stale)?;
        if let Some(lease) = &transition.life.lease {
            attempts::extend(conn, &held, lease, claiming.now).await?;
        }
        let row = sqlx::query(
            "select t.seed, s.snapshots, c.config, c.dataset_hash
            from trials t
            join conditions c on c.sweep = t.sweep and c.position = t.condition
            join sweeps s on s.n = t.sweep
            where t.n = ?",
        )
        .bind(held.trial)
        .fetch_one(&mut *conn)
        .await?;
        leased.push(Leased {
            offer,
            attempt_id: held.id,
            trial_id: held.trial_id,
            sweep_id: held.sweep_id,
            attempt: held.number,
            config: row.json("config")?,
            seed: row.int("seed")?.cast_unsigned(),
            dataset_hash: row.text("dataset_hash")?,
            policy: held.policy,
            judged: held.judged,
            snapshots: row.flag("snapshots")?,
            checkpoint: checkpoints::of_trial(conn, held.trial).await?,
        });
    }
    Ok(leased)
}
