//! Who may do what. Deny by default: a route is registered with an [`Access`], which checks before the handler runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use motif_store::Store;
use motif_sweep::clock::Clock;
use motif_wire::system::Scope;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::{error::ApiError, limits, options::SessionToken, tokens};

/// What an operation asks of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: health and the schemas only.
    Open,
    /// The scope `read`.
    Read,
    /// The scope `read` or `worker`: workers fetch datasets.
    ReadOrWorker,
    /// The scope `submit`.
    Submit,
    /// The scope `worker`.
    Worker,
    /// The scope `admin`.
    Admin,
}

impl Access {
    /// Whether a token with these scopes will do: `admin` is everything, `submit` can read.
    pub(crate) fn allows(self, scopes: &[Scope]) -> bool {
        let has = |scope| scopes.contains(&scope);
        has(Scope::Admin)
            || match self {
                Self::Open => true,
                Self::Read => has(Scope::Read) || has(Scope::Submit),
                Self::ReadOrWorker => has(Scope::Read) || has(Scope::Submit) || has(Scope::Worker),
                Self::Submit => has(Scope::Submit),
                Self::Worker => has(Scope::Worker),
                Self::Admin => false,
            }
    }

    /// The scope to ask for; `None` where no token is needed.
    pub(crate) const fn scope(self) -> Option<&'static str> {
        match self {
            Self::Open => None,
            Self::Read | Self::ReadOrWorker => Some("read"),
            Self::Submit => Some("submit"),
            Self::Worker => Some("worker"),
            Self::Admin => Some("admin"),
        }
    }
}

/// Who makes the request: the token's name.
#[derive(Debug, Clone)]
pub(crate) struct Principal(pub(crate) Arc<str>);

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let missing = ApiError::Unauthorized("this request needs a token");
        parts.extensions.get::<Self>().cloned().ok_or(missing)
    }
}

#[derive(Debug, Clone)]
struct Known {
    name: Arc<str>,
    scopes: Arc<[Scope]>,
}

/// Knows tokens by their hashes.
pub(crate) struct Auth {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    session: Vec<([u8; 32], Known)>,
    cache: Mutex<Cache>,
    /// Changes when a token is revoked.
    revocations: watch::Sender<()>,
}

/// Stored tokens that were looked up lately.
#[derive(Default)]
struct Cache {
    known: HashMap<[u8; 32], (Known, Duration)>,
    /// Rises when a token is revoked: what was read before is not remembered after.
    generation: u64,
}

impl Auth {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, session: Vec<SessionToken>) -> Self {
        let known = |token: SessionToken| {
            (token.hash, Known { name: token.name.into(), scopes: token.scopes.into() })
        };
        Self {
            store,
            clock,
            session: session.into_iter().map(known).collect(),
            cache: Mutex::default(),
            revocations: watch::Sender::new(()),
        }
    }

    /// Forgets what it remembers of stored tokens: one was revoked.
    pub(crate) fn forget(&self) {
        let mut cache = self.cache();
        cache.known.clear();
        cache.generation += 1;
        drop(cache);
        self.revocations.send_replace(());
    }

    /// Ends when the request's token no longer allows what it did: for answers that go on after the check.
    ///
    /// It looks at once, after every revocation and every [`limits::STREAM_TOKEN_CHECK_EVERY_S`], past the cache.
    pub(crate) async fn revoked(self: Arc<Self>, headers: HeaderMap, access: Access) {
        let mut revocations = self.revocations.subscribe();
        let every = Duration::from_secs(limits::STREAM_TOKEN_CHECK_EVERY_S);
        while self.still_allows(&headers, access).await {
            // The sender lives as long as `self`; time passing is the other reason to look again.
            let _ = tokio::time::timeout(every, revocations.changed()).await;
        }
    }

    /// A store that cannot be read at the moment says nothing against a token.
    async fn still_allows(&self, headers: &HeaderMap, access: Access) -> bool {
        let Ok(token) = bearer(headers) else { return false };
        let hash = tokens::token_hash(token);
        let known = match self.session(&hash) {
            Some(known) => Ok(Some(known)),
            None => self.stored(&hash).await,
        };
        known.is_err() || known.is_ok_and(|known| known.is_some_and(|known| access.allows(&known.scopes)))
    }

    async fn principal(&self, headers: &HeaderMap, access: Access) -> Result<Principal, ApiError> {
        let token = bearer(headers)?;
        let Some(known) = self.known(&tokens::token_hash(token)).await? else {
            return Err(ApiError::Unauthorized("this token is unknown or revoked"));
        };
        if access.allows(&known.scopes) {
            return Ok(Principal(known.name));
        }
        let held: Vec<_> = known.scopes.iter().map(|&scope| tokens::scope_name(scope)).collect();
        let held = if held.is_empty() { "none".to_owned() } else { held.join(", ") };
        Err(ApiError::Forbidden { needed: access.scope().unwrap_or("none"), held })
    }

    fn session(&self, hash: &[u8; 32]) -> Option<Known> {
        // All entries are compared, so that the time taken says nothing about which one is near.
        let mut found = None;
        for (stored, known) in &self.session {
            if bool::from(stored.ct_eq(hash)) {
                found = Some(known.clone());
            }
        }
        found
    }

    async fn stored(&self, hash: &[u8; 32]) -> Result<Option<Known>, ApiError> {
        let Some(record) = self.store.token_by_hash(*hash).await? else { return Ok(None) };
        if record.revoked_at.is_some() || !bool::from(record.hash.ct_eq(hash)) {
            return Ok(None);
        }
        let scopes = record.scopes.iter().filter_map(|name| tokens::scope_from_name(name)).collect();
        Ok(Some(Known { name: record.name.into(), scopes }))
    }

    async fn known(&self, hash: &[u8; 32]) -> Result<Option<Known>, ApiError> {
        if let Some(known) = self.session(hash) {
            return Ok(Some(known));
        }
        let now = self.clock.monotonic();
        let generation = {
            let cache = self.cache();
            let fresh = |since: Duration| now.saturating_sub(since).as_secs() < limits::TOKEN_CACHE_S;
            if let Some((known, _)) = cache.known.get(hash).filter(|(_, since)| fresh(*since)) {
                return Ok(Some(known.clone()));
            }
            cache.generation
        };
        let Some(known) = self.stored(hash).await? else { return Ok(None) };
        let mut cache = self.cache();
        if cache.generation == generation {
            if cache.known.len() >= limits::TOKEN_CACHE_MAX {
                cache.known.clear();
            }
            cache.known.insert(*hash, (known.clone(), now));
        }
        Ok(Some(known))
    }

    /// A panic while the lock was held leaves a cache that is still one.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(ApiError::Unauthorized("this request needs `authorization: Bearer motif_…`"));
    };
    let wrong = ApiError::Unauthorized("the header `authorization` must read `Bearer motif_…`");
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Err(wrong);
    };
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && token.starts_with(tokens::TOKEN_PREFIX) {
        Ok(token)
    } else {
        Err(wrong)
    }
}

/// Checks a request against what its operation declares. The server puts the [`Auth`] into every request; one without
/// it is refused.
pub(crate) async fn check(access: Access, mut request: Request, next: Next) -> Response {
    if access == Access::Open {
        return next.run(request).await;
    }
    let Some(auth) = request.extensions().get::<Arc<Auth>>().cloned() else {
        return ApiError::Unauthorized("this request needs a token").into_response();
    };
    match auth.principal(request.headers(), access).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_include_each_other_as_documented() {
        use Scope::{Admin, Read, Submit, Worker};
        let all = [Access::Read, Access::ReadOrWorker, Access::Submit, Access::Worker, Access::Admin];
        let allowed = |scope| all.map(|access| access.allows(&[scope]));
        assert_eq!(allowed(Admin), [true; 5]);
        assert_eq!(allowed(Submit), [true, true, true, false, false]);
        assert_eq!(allowed(Worker), [false, true, false, true, false]);
        assert_eq!(allowed(Read), [true, true, false, false, false]);
        assert!(all.iter().all(|access| !access.allows(&[])));
    }
}
