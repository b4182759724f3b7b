//! Tables `amendments` and the columns for sequential replication and verification.

use jiff::Timestamp;
use motif_sweep::{ids::SweepId, until::UntilState};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    rows::{Columns, integer, json_text, millis},
    sweeps,
};
use crate::{
    Result, StoreError,
    records::{
        AmendOutcome, AmendmentRecord, IdempotencyKey, NewAmendment, NewTrial, ResultRecord, SweepRecord,
    },
};

/// Sweeps whose next block is to be decided on.
pub(super) const UNDECIDED: &str =
    "select s.id from sweep_progress p indexed by sweep_progress_undecided cross join sweeps s on s.n = p.sweep
    where p.until = 'running' and p.queued = 0 and p.leased = 0 and p.paused = 0 and p.cancelled = 0 order by p.sweep";

/// Adds conditions, seeds and trials to a sweep.
pub(super) async fn amend(
    conn: &mut SqliteConnection,
    amendment: &NewAmendment,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<AmendOutcome> {
    if let Some(key) = key
        && let Some(record) = by_key(conn, key).await?
    {
        return Ok(AmendOutcome::Replayed(record));
    }
    let n = sweeps::row_of(conn, amendment.sweep).await?;
    let Some(known) = standing(conn, n, amendment).await? else { return Ok(AmendOutcome::Stale) };
    sweeps::check_additions(known, &amendment.conditions, &amendment.trials)?;
    sweeps::insert_conditions(conn, n, &amendment.conditions, &amendment.trials).await?;
    add_trials(conn, n, &amendment.trials, known, now).await?;
    sqlx::query("update sweeps set spec = ?, seeds = ?, conditions = conditions + ?, revision = revision + 1 where n = ?")
        .bind(json_text(&amendment.spec)?)
        .bind(json_text(&amendment.seeds)?)
        .bind(integer(amendment.conditions.len() as u64))
        .bind(n)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "update sweep_progress set until = ?1, until_half_width = iif(?1 is null, null, coalesce(?2, until_half_width))
        where sweep = ?3",
    )
    .bind(amendment.until.then(|| UntilState::Running.name()))
    .bind(amendment.decided_at.flatten())
    .bind(n)
    .execute(&mut *conn)
    .await?;
    log(conn, n, amendment, key, now).await.map(AmendOutcome::Added)
}

/// The number of conditions that stand, when the sweep is still as it was when the amendment was planned.
async fn standing(conn: &mut SqliteConnection, n: i64, amendment: &NewAmendment) -> Result<Option<usize>> {
    let row = sqlx::query(
        "select s.revision, s.conditions, s.verifies is not null as is_verification,
            p.cancelled, p.paused, p.queued + p.leased as unfinished, coalesce(p.until, '') as until
        from sweeps s join sweep_progress p on p.sweep = s.n where s.n = ?",
    )
    .bind(n)
    .fetch_one(conn)
    .await?;
    if row.flag("cancelled")? {
        return Err(StoreError::Conflict("the sweep was cancelled: it cannot be amended".into()));
    }
    if row.flag("is_verification")? {
        return Err(StoreError::Conflict(
            "a verification re-runs what it re-runs: it cannot be amended".into(),
        ));
    }
    let decided = amendment.decided_at.is_some();
    let moved_on = || -> Result<bool> {
        let running = row.text("until")? == UntilState::Running.name();
        Ok(row.int("unfinished")? > 0 || row.flag("paused")? || !running)
    };
    if row.uint::<u32>("revision")? != amendment.revision || (decided && moved_on()?) {
        return Ok(None);
    }
    row.uint("conditions").map(Some)
}

/// Appends trials to a sweep's queue; `known` conditions have counts already.
pub(super) async fn add_trials(
    conn: &mut SqliteConnection,
    n: i64,
    trials: &[NewTrial],
    known: usize,
    now: Timestamp,
) -> Result<()> {
    let row = sqlx::query("select coalesce(max(position) + 1, 0) as next from trials where sweep = ?")
        .bind(n)
        .fetch_one(&mut *conn)
        .await?;
    sweeps::insert_all_trials(conn, n, row.uint("next")?, trials, now).await?;
    let of_known: Vec<u32> = trials
        .iter()
        .map(|trial| trial.condition)
        .filter(|condition| (*condition as usize) < known)
        .collect();
    sqlx::query(
        "update condition_counts set queued = queued + added.trials
        from (select value as condition, count(*) as trials from json_each(?2) group by value) added
        where condition_counts.sweep = ?1 and condition_counts.condition = added.condition",
    )
    .bind(n)
    .bind(json_text(&of_known)?)
    .execute(&mut *conn)
    .await?;
    sqlx::query("update sweep_progress set queued = queued + ? where sweep = ?")
        .bind(integer(trials.len() as u64))
        .bind(n)
        .execute(conn)
        .await?;
    Ok(())
}

async fn log(
    conn: &mut SqliteConnection,
    n: i64,
    amendment: &NewAmendment,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<AmendmentRecord> {
    let row = sqlx::query(
        "insert into amendments (sweep, at, principal, note, change, added_conditions, added_seeds, added_trials, key,
            body_hash)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        returning at, principal, note, change, added_conditions, added_seeds, added_trials",
    )
    .bind(n)
    .bind(millis(now))
    .bind(&amendment.principal)
    .bind(&amendment.note)
    .bind(json_text(&amendment.change)?)
    .bind(integer(amendment.conditions.len() as u64))
    .bind(i64::from(amendment.added_seeds))
    .bind(integer(amendment.trials.len() as u64))
    .bind(key.map(|key| &key.key))
    .bind(key.map(|key| &key.body_hash))
    .fetch_one(conn)
    .await?;
    read(&row)
}

/// The amendment that was stored under a key.
pub(super) async fn by_key(
    conn: &mut SqliteConnection,
    key: &IdempotencyKey,
) -> Result<Option<AmendmentRecord>> {
    let row = sqlx::query(
        "select at, principal, note, change, added_conditions, added_seeds, added_trials, body_hash
        from amendments where principal = ? and key = ?",
    )
    .bind(&key.principal)
    .bind(&key.key)
    .fetch_optional(conn)
    .await?;
    match row {
        None => Ok(None),
        Some(row) if row.text("body_hash")? != key.body_hash => Err(StoreError::IdempotencyMismatch),
        Some(row) => read(&row).map(Some),
    }
}

/// A sweep's amendments, oldest first.
pub(super) async fn amendments(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<AmendmentRecord>> {
    let n = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(
        "select at, principal, note, change, added_conditions, added_seeds, added_trials
        from amendments where sweep = ? order by n",
    )
    .bind(n)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &SqliteRow) -> Result<AmendmentRecord> {
    Ok(AmendmentRecord {
        at: row.time("at")?,
        principal: row.text("principal")?,
        note: row.opt_text("note")?,
        change: row.json("change")?,
        added_conditions: row.uint("added_conditions")?,
        added_seeds: row.uint("added_seeds")?,
        added_trials: row.uint("added_trials")?,
    })
}

/// Runs [`UNDECIDED`].
pub(super) async fn undecided(conn: &mut SqliteConnection) -> Result<Vec<SweepId>> {
    let rows = sqlx::query(UNDECIDED).fetch_all(conn).await?;
    rows.iter().map(|row| row.id("id")).collect()
}

/// Writes why a sweep's replication ended, if the sweep is still as it was when this was decided.
pub(super) async fn decide(
    conn: &mut SqliteConnection,
    id: SweepId,
    revision: u32,
    state: UntilState,
    half_width: Option<f64>,
) -> Result<bool> {
    let n = sweeps::row_of(conn, id).await?;
    let done = sqlx::query(
        "update sweep_progress set until = ?, until_half_width = ?
        where sweep = ? and until = 'running' and queued = 0 and leased = 0 and paused = 0 and cancelled = 0
            and (select revision from sweeps where n = sweep_progress.sweep) = ?",
    )
    .bind(state.name())
    .bind(half_width)
    .bind(n)
    .bind(i64::from(revision))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The sweeps that re-run a sweep's trials, oldest first.
pub(super) async fn verifications(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<SweepRecord>> {
    let n = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query("select id from sweeps where verifies = ? order by n")
        .bind(n)
        .fetch_all(&mut *conn)
        .await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        records.push(sweeps::get(conn, row.id("id")?).await?);
    }
    Ok(records)
}

/// A sweep's trials by what determines them, with their results.
pub(super) const RESULTS: &str =
    "select t.id, t.condition, t.seed, c.label, c.config_hash, c.dataset_hash, w.name as worker,
        case when t.state in ('succeeded', 'diverged') then r.result_hash end as result_hash,
        coalesce(r.report ->> '$.provenance.instruction_set', w.instruction_set) as instruction_set
    from trials t
    join conditions c on c.sweep = t.sweep and c.position = t.condition
    left join results r on r.trial = t.n
    left join attempts a on a.n = r.attempt
    left join workers w on w.n = a.worker
    where t.sweep = ? order by t.position";

/// Runs [`RESULTS`]. A trial that was stopped early has none: where it stopped hung on the others.
pub(super) async fn results(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<ResultRecord>> {
    let n = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(RESULTS).bind(n).fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            Ok(ResultRecord {
                trial_id: row.id("id")?,
                condition: row.uint("condition")?,
                label: row.text("label")?,
                seed: row.int("seed")?.cast_unsigned(),
                config_hash: row.text("config_hash")?,
                dataset_hash: row.text("dataset_hash")?,
                result_hash: row.opt_text("result_hash")?,
                worker: row.opt_text("worker")?,
                instruction_set: row.opt_text("instruction_set")?,
            })
        })
        .collect()
}
