//! What a server is started with.

use std::{sync::Arc, time::Duration};

use motif_data::Library;
use motif_store::Store;
use motif_sweep::{
    clock::{Clock, Entropy},
    lifecycle::Policy,
    memory::MAX_TRIAL_BYTES,
};
use motif_wire::system::Scope;

use crate::{folders::Folders, limits, tokens};

/// A token that lives as long as the server does and is never stored.
#[derive(Debug, Clone)]
pub struct SessionToken {
    /// BLAKE3 of the token's text.
    pub hash: [u8; 32],
    /// Its name: the principal of what is done with it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

impl SessionToken {
    /// The entry for a token's text.
    #[must_use]
    pub fn new(token: &str, name: &str, scopes: &[Scope]) -> Self {
        Self { hash: tokens::token_hash(token), name: name.to_owned(), scopes: scopes.to_vec() }
    }
}

/// What a server is started with.
#[derive(Clone)]
pub struct ServerOptions {
    /// Where sweeps live.
    pub store: Arc<dyn Store>,
    /// Where datasets live.
    pub library: Arc<Library>,
    /// Where checkpoints and snapshots live.
    pub folders: Folders,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Random bits fit for secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Tokens that are accepted besides the stored ones.
    pub session_tokens: Vec<SessionToken>,
    /// A trial that would need more memory than this, beside its examples, is refused at submission.
    pub trial_memory_max_bytes: u64,
    /// How often the reaper looks.
    pub reap_every: Duration,
    /// How often files of checkpoints and snapshots that no row names are looked for.
    pub sweep_folders_every: Duration,
    /// For so long after a start, and after a jump of the wall clock, the reaper takes nothing back.
    pub reap_grace: Duration,
    /// How long a client may take to send a request's head; an idle connection is closed after it.
    pub header_read_timeout: Duration,
}

impl ServerOptions {
    /// Options with the defaults: no session tokens, the engine's own bound on memory, times from [`limits`].
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        library: Arc<Library>,
        folders: Folders,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let reap_every = Duration::from_secs(limits::REAP_EVERY_S);
        let reap_grace = Duration::from_secs(u64::from(Policy::default().lease_ttl_s));
        let header_read_timeout = Duration::from_secs(limits::HEADER_READ_TIMEOUT_S);
        Self {
            store,
            library,
            folders,
            clock,
            entropy,
            session_tokens: Vec::new(),
            trial_memory_max_bytes: MAX_TRIAL_BYTES,
            reap_every,
            sweep_folders_every: Duration::from_secs(limits::FOLDERS_SWEPT_EVERY_S),
            reap_grace,
            header_read_timeout,
        }
    }
}
