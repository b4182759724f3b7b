//! `motif serve`: a server alone. Also what `motif up` starts inside itself.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use motif_data::Library;
use motif_server::{ServerOptions, SessionToken};
use motif_store::{
    Store,
    sqlite::{Options, SqliteStore},
};
use motif_sweep::{
    clock::{Clock, Entropy},
    memory::MAX_TRIAL_BYTES,
};
use motif_wire::system::Scope;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Global, Serve},
    commands::Outcome,
    signals,
    system::{SystemClock, SystemEntropy},
};

/// A server that is about to serve: its socket is bound, its store is open.
pub(crate) struct Prepared {
    pub(crate) address: SocketAddr,
    pub(crate) admin_token: Option<String>,
    listener: TcpListener,
    store: Arc<SqliteStore>,
    options: ServerOptions,
}

impl Prepared {
    /// Opens store and library, binds the socket, and at the first start makes the admin token.
    pub(crate) async fn new(data: &Path, listen: &str, trial_memory_max_bytes: u64) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!(
                "cannot listen on {listen}: choose another with --listen, such as 127.0.0.1:0 for a free port"
            )
        })?;
        let store = Arc::new(SqliteStore::open(&data.join("motif.db"), Options::default()).await?);
        let library = Arc::new(Library::open(data)?);
        let folders = motif_server::Folders::open(data).with_context(|| {
            format!("cannot use the folders checkpoints and snapshots in {}", data.display())
        })?;
        let admin_token = motif_server::ensure_admin_token(store.as_ref(), &clock, &entropy).await?;
        let address = listener.local_addr()?;
        let mut options =
            ServerOptions::new(Arc::clone(&store) as Arc<dyn Store>, library, folders, clock, entropy);
        options.trial_memory_max_bytes = trial_memory_max_bytes;
        Ok(Self { address, admin_token, listener, store, options })
    }

    /// The server's address as a URL. A server that listens everywhere is named by its loopback address.
    pub(crate) fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// Accepts a token, beside the stored ones, as long as this server lives.
    pub(crate) fn accept(&mut self, token: &str, name: &str, scopes: &[Scope]) {
        self.options.session_tokens.push(SessionToken::new(token, name, scopes));
    }

    /// Serves until told to stop.
    pub(crate) async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let served = motif_server::serve(self.listener, self.options, shutdown).await;
        self.store.close().await;
        Ok(served?)
    }
}

pub(crate) async fn run(global: &Global, args: &Serve) -> anyhow::Result<Outcome> {
    let shutdown = signals::shutdown()?;
    // Workers are elsewhere: this machine's memory says nothing of theirs.
    let most_bytes = args.max_trial_memory.map_or(MAX_TRIAL_BYTES, |size| size.as_u64());
    let mut server = Prepared::new(&global.data_dir()?, &args.listen, most_bytes).await?;
    if let Some(seconds) = args.reap_grace_s {
        server.options.reap_grace = Duration::from_secs(seconds.into());
    }
    if let Some(path) = &args.worker_token_file {
        ensure_worker_token(&server, path).await?;
    }
    announce(global, &server)?;
    server.serve(shutdown).await?;
    Ok(Outcome::Done)
}

fn announce(global: &Global, server: &Prepared) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if global.json {
        writeln!(out, "{}", json!({ "server": server.url(), "admin_token": server.admin_token }))?;
    } else {
        writeln!(out, "serving on {}", server.url())?;
        if let Some(token) = &server.admin_token {
            writeln!(out, "admin token (shown this once): {token}")?;
            writeln!(out, "dashboard: {}/#token={token}", server.url())?;
        }
    }
    Ok(out.flush()?)
}

/// Leaves a stored token for workers in a file that only its owner can read, unless a token that works is there.
async fn ensure_worker_token(server: &Prepared, path: &PathBuf) -> anyhow::Result<()> {
    let store = server.options.store.as_ref();
    if let Ok(token) = std::fs::read_to_string(path)
        && store.token_by_hash(motif_server::tokens::token_hash(token.trim())).await?.is_some()
    {
        return Ok(());
    }
    let (clock, entropy) = (&server.options.clock, &server.options.entropy);
    let (_, token) =
        motif_server::create_token(store, clock, entropy, "worker token file", &[Scope::Worker]).await?;
    let name = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(name)?;
    writeln!(file, "{token}").with_context(name)?;
    file.persist(path).with_context(name)?;
    Ok(())
}
