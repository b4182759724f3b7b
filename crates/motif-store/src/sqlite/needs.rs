//! Table `needs`: what sweeps require of workers, each distinct set once. Most sweeps require nothing and have no row.

use motif_sweep::requires::{Abilities, Needs};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::rows::{Columns, json_text};
use crate::Result;

/// All distinct needs of sweeps, with their rows.
pub(super) struct Known(Vec<(i64, Needs)>);

/// The needs that a worker meets, as a JSON list of rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Met(pub(super) String);

impl Known {
    pub(super) async fn read(conn: &mut SqliteConnection) -> Result<Self> {
        let rows = sqlx::query("select n, need from needs").fetch_all(conn).await?;
        let known = rows.iter().map(|row| Ok((row.int("n")?, row.json("need")?)));
        known.collect::<Result<_>>().map(Self)
    }

    /// All of them.
    pub(super) fn all(&self) -> Result<Met> {
        let all: Vec<_> = self.0.iter().map(|(n, _)| n).collect();
        Ok(Met(json_text(&all)?))
    }

    /// Which of them a worker with these abilities meets.
    pub(super) fn met(&self, worker: &Abilities) -> Result<Met> {
        let met: Vec<_> = self.0.iter().filter(|(_, need)| worker.meet(need)).map(|(n, _)| n).collect();
        Ok(Met(json_text(&met)?))
    }
}

/// The row of these needs, made when it is not there; none for no needs.
pub(super) async fn row_of(conn: &mut SqliteConnection, needs: &Needs) -> Result<Option<i64>> {
    if needs.is_nothing() {
        return Ok(None);
    }
    let insert = "insert into needs (need) values (?) on conflict (need) do update set need = excluded.need returning n";
    sqlx::query(insert).bind(json_text(needs)?).fetch_one(conn).await?.int("n").map(Some)
}

/// A sweep's needs, column `need`.
pub(super) fn read(row: &SqliteRow) -> Result<Needs> {
    if row.opt_text("need")?.is_some() { row.json("need") } else { Ok(Needs::default()) }
}
