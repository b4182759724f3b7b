//! Table `tokens`: who may do what. Only hashes of the secrets are here.

use jiff::Timestamp;
use motif_sweep::ids::TokenId;
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::rows::{Columns, json_text, millis};
use crate::{Result, StoreError, records::TokenRecord};

/// Stores a token.
pub(super) async fn create(conn: &mut SqliteConnection, token: &TokenRecord) -> Result<()> {
    sqlx::query(
        "insert into tokens (id, name, scopes, hash, created_at, revoked_at) values (?, ?, ?, ?, ?, ?)",
    )
    .bind(token.id.0.as_bytes().as_slice())
    .bind(&token.name)
    .bind(json_text(&token.scopes)?)
    .bind(token.hash.as_slice())
    .bind(millis(token.created_at))
    .bind(token.revoked_at.map(millis))
    .execute(conn)
    .await?;
    Ok(())
}

/// All tokens, oldest first.
pub(super) async fn list(conn: &mut SqliteConnection) -> Result<Vec<TokenRecord>> {
    let rows = sqlx::query("select id, name, scopes, hash, created_at, revoked_at from tokens order by n")
        .fetch_all(conn)
        .await?;
    rows.iter().map(read).collect()
}

/// Revokes a token, once and for all.
pub(super) async fn revoke(conn: &mut SqliteConnection, id: TokenId, now: Timestamp) -> Result<()> {
    let done = sqlx::query("update tokens set revoked_at = coalesce(revoked_at, ?) where id = ?")
        .bind(millis(now))
        .bind(id.0.as_bytes().as_slice())
        .execute(conn)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::NotFound("token")) }
}

/// The unrevoked token with this hash.
pub(super) async fn by_hash(conn: &mut SqliteConnection, hash: [u8; 32]) -> Result<Option<TokenRecord>> {
    let row = sqlx::query(
        "select id, name, scopes, hash, created_at, revoked_at from tokens where hash = ? and revoked_at is null",
    )
    .bind(hash.as_slice())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<TokenRecord> {
    Ok(TokenRecord {
        id: row.id("id")?,
        name: row.text("name")?,
        scopes: row.json("scopes")?,
        hash: row.hash("hash")?,
        created_at: row.time("created_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}
