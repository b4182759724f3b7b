//! Table `needs`: what sweeps require of workers, each distinct set once. Most sweeps require nothing and have no row.

use motif_sweep::requires::{Abilities, Needs};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::rows::{Columns, json_text};
use crate::Result;

/// The needs that a worker meets, as a JSON list of rows.
pub(super) struct Met(pub(super) String);

/// Which of the needs there are a worker with these abilities meets.
pub(super) async fn met(conn: &mut SqliteConnection, worker: &Abilities) -> Result<Met> {
    let rows = sqlx::query("select n, need from needs").fetch_all(conn).await?;
    let mut met = Vec::new();
    for row in &rows {
        if worker.meet(&row.json::<Needs>("need")?) {
            met.push(row.int("n")?);
        }
    }
    Ok(Met(json_text(&met)?))
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
