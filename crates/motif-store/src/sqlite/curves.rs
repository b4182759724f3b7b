//! One metric over training, for a whole sweep. What completed attempts logged is kept in memory once it has been read:
//! no report on them is accepted any more, so it cannot change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use motif_sweep::{ids::SweepId, lifecycle::AttemptOutcome};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    points::VALUE_BYTES,
    rows::{Columns, json_text},
    sweeps,
};
use crate::{Result, StoreError, records::CurveSample};

/// Samples kept in memory, over all sweeps and metrics: 24 bytes each.
const KEPT_SAMPLES_MAX: usize = 1 << 21;

/// A logged value, without saying whose.
#[derive(Debug, Clone, Copy)]
struct Logged {
    step: u64,
    epoch: f64,
    value: f64,
}

/// What an attempt logged of one metric, by step.
type Series = Arc<[Logged]>;

/// Series of completed attempts, by the attempts' rows, for the sweeps and metrics that were asked for last.
#[derive(Default)]
pub(super) struct Cache(Mutex<Vec<Kept>>);

struct Kept {
    sweep: i64,
    metric: String,
    series: HashMap<i64, Series>,
}

impl Kept {
    fn samples(&self) -> usize {
        self.series.values().map(|series| series.len()).sum()
    }
}

impl Cache {
    /// Takes out what is kept of a metric: whoever reads it puts it back.
    fn take(&self, sweep: i64, metric: &str) -> HashMap<i64, Series> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|kept| kept.sweep == sweep && kept.metric == metric);
        at.map(|at| all.remove(at).series).unwrap_or_default()
    }

    /// Keeps series, in place of the least recently asked for where there is no room.
    fn put(&self, sweep: i64, metric: &str, series: HashMap<i64, Series>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another reader of the same may have been faster.
        all.retain(|kept| kept.sweep != sweep || kept.metric != metric);
        all.push(Kept { sweep, metric: metric.to_owned(), series });
        let mut samples = 0;
        let fitting = all.iter().rev().take_while(|kept| {
            samples += kept.samples();
            samples <= KEPT_SAMPLES_MAX
        });
        let dropped = all.len() - fitting.count();
        all.drain(..dropped);
    }
}

/// The newest attempt of each trial.
pub(super) const ATTEMPTS: &str = "select t.condition, t.seed, a.n, a.outcome
    from trials t join attempts a on a.trial = t.n and a.number = t.attempt where t.sweep = ?";

/// One metric of some attempts. The metric's place differs between schemas; `+ 1` because blobs count from 1.
pub(super) const POINTS: &str = "with places as materialized (
        select s.n, 8 * name.key + 1 as place
        from sweep_metrics m join metric_schemas s on s.n = m.metric_schema, json_each(s.names) name
        where m.sweep = ?1 and name.value = ?2
    )
    select p.attempt, p.step, p.epoch, substr(p.packed, places.place, 8) as value
    from json_each(?3) wanted
    cross join points p on p.attempt = wanted.value
    join places on places.n = p.metric_schema";

/// An attempt and whose it is.
struct Owner {
    condition: u32,
    seed: u64,
    attempt: i64,
    completed: bool,
}

/// One metric over training for all trials of a sweep, by condition, seed and step.
pub(super) async fn of_sweep(
    conn: &mut SqliteConnection,
    cache: &Cache,
    id: SweepId,
    metric: &str,
) -> Result<Vec<CurveSample>> {
    let sweep = sweeps::row_of(conn, id).await?;
    let rows = sqlx::query(ATTEMPTS).bind(sweep).fetch_all(&mut *conn).await?;
    let mut owners = rows.iter().map(owner).collect::<Result<Vec<_>>>()?;
    owners.sort_by_key(|owner| (owner.condition, owner.seed));
    let mut series = cache.take(sweep, metric);
    let wanted: Vec<i64> =
        owners.iter().map(|owner| owner.attempt).filter(|attempt| !series.contains_key(attempt)).collect();
    series.extend(read(conn, sweep, metric, &wanted).await?);
    let samples = owners
        .iter()
        .flat_map(|owner| {
            series.get(&owner.attempt).into_iter().flat_map(|series| series.iter()).map(|logged| {
                CurveSample {
                    condition: owner.condition,
                    seed: owner.seed,
                    step: logged.step,
                    epoch: logged.epoch,
                    value: logged.value,
                }
            })
        })
        .collect();
    let completed = owners.iter().filter(|owner| owner.completed);
    let kept =
        completed.filter_map(|owner| series.remove(&owner.attempt).map(|series| (owner.attempt, series)));
    cache.put(sweep, metric, kept.collect());
    Ok(samples)
}

fn owner(row: &SqliteRow) -> Result<Owner> {
    let completed =
        matches!(row.outcome("outcome")?, Some(AttemptOutcome::Succeeded | AttemptOutcome::Diverged));
    Ok(Owner {
        condition: row.uint("condition")?,
        seed: row.int("seed")?.cast_unsigned(),
        attempt: row.int("n")?,
        completed,
    })
}

/// What some attempts logged, by step; an empty series where that is nothing.
async fn read(
    conn: &mut SqliteConnection,
    sweep: i64,
    metric: &str,
    attempts: &[i64],
) -> Result<HashMap<i64, Series>> {
    let mut series: HashMap<i64, Vec<Logged>> =
        attempts.iter().map(|&attempt| (attempt, Vec::new())).collect();
    if attempts.is_empty() {
        return Ok(HashMap::new());
    }
    let rows =
        sqlx::query(POINTS).bind(sweep).bind(metric).bind(json_text(&attempts)?).fetch_all(conn).await?;
    for row in &rows {
        let bytes = row.bytes("value")?;
        let value = <[u8; VALUE_BYTES]>::try_from(bytes.as_slice())
            .map_err(|_| StoreError::Corrupt(format!("a value of {} bytes", bytes.len())))?;
        let logged =
            Logged { step: row.uint("step")?, epoch: row.real("epoch")?, value: f64::from_le_bytes(value) };
        series.entry(row.int("attempt")?).or_default().push(logged);
    }
    let by_step = |mut logged: Vec<Logged>| {
        logged.sort_by_key(|logged| logged.step);
        Series::from(logged)
    };
    Ok(series.into_iter().map(|(attempt, logged)| (attempt, by_step(logged))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(samples: usize) -> HashMap<i64, Series> {
        let logged = Logged { step: 1, epoch: 0.5, value: 2.0 };
        HashMap::from([(1, Series::from(vec![logged; samples]))])
    }

    #[test]
    fn what_was_asked_for_last_is_kept_within_the_limit() {
        let cache = Cache::default();
        cache.put(1, "a", series(KEPT_SAMPLES_MAX / 2));
        cache.put(1, "b", series(KEPT_SAMPLES_MAX / 2));
        cache.put(1, "a", cache.take(1, "a"));
        cache.put(2, "a", series(1));
        assert!(cache.take(1, "b").is_empty());
        assert_eq!((cache.take(1, "a").len(), cache.take(2, "a").len()), (1, 1));
        cache.put(3, "a", series(KEPT_SAMPLES_MAX + 1));
        assert!(cache.take(3, "a").is_empty());
    }
}
