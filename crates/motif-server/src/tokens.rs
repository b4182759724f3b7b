//! Making tokens: `motif_` and 256 random bits in hex. Only hashes are ever stored.

use std::sync::Arc;

use motif_store::{Store, StoreError, records::TokenRecord};
use motif_sweep::{
    clock::{Clock, Entropy},
    ids::{Ids, TokenId},
};
use motif_wire::system::Scope;

/// What every token begins with.
pub const TOKEN_PREFIX: &str = "motif_";

/// A new token's text: to be shown once and never stored.
pub fn mint_token(entropy: &dyn Entropy) -> String {
    let mut bits = [0; 32];
    entropy.fill(&mut bits);
    format!("{TOKEN_PREFIX}{}", hex::encode(bits))
}

/// What is kept of a token: BLAKE3 of its whole text.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// The scope's name in JSON and in the store.
#[must_use]
pub const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Admin => "admin",
        Scope::Submit => "submit",
        Scope::Worker => "worker",
        Scope::Read => "read",
    }
}

/// The scope of that name.
#[must_use]
pub fn scope_from_name(name: &str) -> Option<Scope> {
    [Scope::Admin, Scope::Submit, Scope::Worker, Scope::Read]
        .into_iter()
        .find(|scope| scope_name(*scope) == name)
}

/// Stores a new token and returns its record and its text.
///
/// # Errors
/// The store's.
pub async fn create_token(
    store: &dyn Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    name: &str,
    scopes: &[Scope],
) -> Result<(TokenRecord, String), StoreError> {
    let token = mint_token(entropy.as_ref());
    let record = TokenRecord {
        id: TokenId(Ids::new(Arc::clone(clock), Arc::clone(entropy)).next()),
        name: name.to_owned(),
        scopes: scopes.iter().map(|&scope| scope_name(scope).to_owned()).collect(),
        hash: token_hash(&token),
        created_at: clock.now(),
        revoked_at: None,
    };
    store.token_create(record.clone()).await?;
    Ok((record, token))
}

/// At the first start, stores a token with the scope `admin` and returns its text, to be printed once; `None` when
/// there is an admin token already.
///
/// # Errors
/// The store's.
pub async fn ensure_admin_token(
    store: &dyn Store,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<String>, StoreError> {
    let admin = scope_name(Scope::Admin);
    let tokens = store.token_list().await?;
    if tokens.iter().any(|token| token.revoked_at.is_none() && token.scopes.iter().any(|s| s == admin)) {
        return Ok(None);
    }
    let (_, token) = create_token(store, clock, entropy, "first admin", &[Scope::Admin]).await?;
    Ok(Some(token))
}
