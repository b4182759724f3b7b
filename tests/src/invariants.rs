//! The invariants of the queue, looked at from outside: a ledger of what was acknowledged against the file itself.

use std::path::Path;

use anyhow::ensure;
use sqlx::{Connection as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

/// Largest write-ahead log that may be left: I10.
const WAL_MAX_BYTES: u64 = 256 << 20;

/// What the server has acknowledged with a 2xx.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Sweeps and how many trials they had.
    pub sweeps: Vec<(Uuid, u64)>,
    /// Completions: attempt and result hash.
    pub completions: Vec<(Uuid, String)>,
    /// Points: attempt, and all `seq` below this.
    pub points: Vec<(Uuid, u64)>,
}

impl Ledger {
    /// Acknowledged writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sweeps.len() + self.completions.len() + self.points.len()
    }

    /// Whether nothing was acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a look at the file came to.
#[derive(Debug, Default, Clone)]
pub struct Found {
    /// Acknowledged writes that are not there: I1.
    pub lost: Vec<String>,
    /// Trials in the file.
    pub trials: i64,
    /// Trials that have not ended.
    pub open: i64,
    /// Attempts in the file.
    pub attempts: i64,
    /// Attempts whose leases expired.
    pub expired: i64,
    /// Longest time from a dead holder's last word to the next lease of its trial, in milliseconds.
    pub release_max_ms: i64,
}

/// Each finds what must not be: the invariant, and a query that counts its violations.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "I2: a trial with two open attempts",
        "select count(*) from (select 1 from attempts where ended_at is null group by trial having count(*) > 1)",
    ),
    (
        "I2: an attempt number that was reused or left out",
        "select count(*) from trials t where t.attempt <> (select count(*) from attempts a where a.trial = t.n)
            or t.attempt <> coalesce((select max(number) from attempts a where a.trial = t.n), 0)",
    ),
    (
        "I2: a leased trial without an open attempt, or another one with",
        "select count(*) from trials t where (t.state = 'leased') <>
            exists (select 1 from attempts a where a.trial = t.n and a.ended_at is null)",
    ),
    (
        "I3: a trial that ended twice",
        "select count(*) from (select 1 from attempts where outcome in ('succeeded', 'diverged', 'stopped')
            group by trial having count(*) > 1)",
    ),
    (
        "I3: a result without its trial's end, or an end without its result",
        "select count(*) from trials t where (t.state in ('succeeded', 'diverged', 'stopped')) <>
            exists (select 1 from results r where r.trial = t.n)",
    ),
    (
        "I4: a result of an attempt that is not the newest",
        "select count(*) from results r join attempts a on a.n = r.attempt join trials t on t.n = r.trial
            where a.trial <> t.n or a.number <> t.attempt",
    ),
    (
        "I4: a gap in an attempt's points",
        "select count(*) from (select 1 from points group by attempt having max(seq) + 1 <> count(*))",
    ),
    (
        "I6: a budget that was overdrawn",
        "select count(*) from trials t join sweeps s on s.n = t.sweep
            where t.crashes > s.policy ->> '$.crashes_max' or t.failures > (s.policy ->> '$.failures_max') + 1",
    ),
    (
        "I8: counts that do not sum to the trials",
        "select count(*) from sweep_progress p where queued + leased + succeeded + diverged + stopped + failed + dead
            + cancelled_trials <> (select count(*) from trials t where t.sweep = p.sweep)
            or succeeded <> (select count(*) from trials t where t.sweep = p.sweep and t.state = 'succeeded')
            or queued <> (select count(*) from trials t where t.sweep = p.sweep and t.state = 'queued')
            or leased <> (select count(*) from trials t where t.sweep = p.sweep and t.state = 'leased')
            or dead <> (select count(*) from trials t where t.sweep = p.sweep and t.state = 'dead')",
    ),
    ("I7: a row that refers to nothing", "select count(*) from pragma_foreign_key_check"),
];

async fn count(conn: &mut SqliteConnection, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query(sql).fetch_one(conn).await?.try_get(0)?)
}

/// Opens a server's file to read it, beside the server or without it, and checks all that can be seen there. All is read
/// in one transaction, so that a server may go on writing.
///
/// # Errors
/// When an invariant does not hold, named with how often. What was lost is in [`Found::lost`].
pub async fn check(data: &Path, ledger: &Ledger) -> anyhow::Result<Found> {
    let options = SqliteConnectOptions::new()
        .filename(data.join("motif.db"))
        .pragma("query_only", "on")
        .pragma("busy_timeout", "10000");
    let mut conn = SqliteConnection::connect_with(&options).await?;
    sqlx::query("begin").execute(&mut conn).await?;
    let integrity: String = sqlx::query("pragma integrity_check").fetch_one(&mut conn).await?.try_get(0)?;
    ensure!(integrity == "ok", "I7: integrity_check says {integrity}");
    for (what, sql) in FORBIDDEN {
        let violations = count(&mut conn, sql).await?;
        ensure!(violations == 0, "{what}: {violations} times");
    }
    let found = Found {
        lost: lost(&mut conn, ledger).await?,
        trials: count(&mut conn, "select count(*) from trials").await?,
        open: count(&mut conn, "select count(*) from trials where state in ('queued', 'leased')").await?,
        attempts: count(&mut conn, "select count(*) from attempts").await?,
        expired: count(&mut conn, "select count(*) from attempts where outcome = 'expired'").await?,
        release_max_ms: count(
            &mut conn,
            "select coalesce(max(b.started_at - a.seen_at), 0) from attempts a
                join attempts b on b.trial = a.trial and b.number = a.number + 1 where a.outcome = 'expired'",
        )
        .await?,
    };
    conn.close().await?;
    let wal = std::fs::metadata(data.join("motif.db-wal")).map_or(0, |file| file.len());
    ensure!(wal <= WAL_MAX_BYTES, "I10: the write-ahead log has {wal} bytes");
    Ok(found)
}

async fn lost(conn: &mut SqliteConnection, ledger: &Ledger) -> anyhow::Result<Vec<String>> {
    let mut lost = Vec::new();
    for (sweep, trials) in &ledger.sweeps {
        let sql = "select count(*) from trials t join sweeps s on s.n = t.sweep where s.id = ?";
        let row = sqlx::query(sql).bind(sweep.as_bytes().as_slice()).fetch_one(&mut *conn).await?;
        let there: i64 = row.try_get(0)?;
        if u64::try_from(there)? != *trials {
            lost.push(format!("sweep {sweep}: {there} of {trials} trials"));
        }
    }
    for (attempt, hash) in &ledger.completions {
        let sql =
            "select count(*) from results r join attempts a on a.n = r.attempt join trials t on t.n = r.trial
            where a.id = ? and a.outcome = 'succeeded' and t.state = 'succeeded' and r.result_hash = ?";
        let row =
            sqlx::query(sql).bind(attempt.as_bytes().as_slice()).bind(hash).fetch_one(&mut *conn).await?;
        if row.try_get::<i64, _>(0)? != 1 {
            lost.push(format!("the completion of attempt {attempt}"));
        }
    }
    for (attempt, next_seq) in &ledger.points {
        let sql =
            "select count(*) from points p join attempts a on a.n = p.attempt where a.id = ? and p.seq < ?";
        let row = sqlx::query(sql)
            .bind(attempt.as_bytes().as_slice())
            .bind(i64::try_from(*next_seq)?)
            .fetch_one(&mut *conn)
            .await?;
        if u64::try_from(row.try_get::<i64, _>(0)?)? != *next_seq {
            lost.push(format!("points of attempt {attempt} below {next_seq}"));
        }
    }
    Ok(lost)
}
