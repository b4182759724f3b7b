//! A real server on a free port of this machine, with a store in a temporary folder.

use std::{path::Path, sync::Arc, time::Duration};

use motif_data::Library;
use motif_server::{Folders, ServerOptions, SessionToken, mint_token, serve};
use motif_store::{
    Store,
    sqlite::{Options, SqliteStore},
};
use motif_sweep::clock::{Clock, Entropy};
use motif_wire::system::Scope;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    clock::{FakeClock, SeededEntropy},
    worker::TestWorker,
};

/// How often the reaper of a test server looks: often, because the fake clock decides what it sees.
const REAP_EVERY: Duration = Duration::from_millis(10);
/// Longest wait for anything.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// A running server and everything around it; it ends when dropped, or orderly with [`TestApp::stop`].
pub struct TestApp {
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its clock.
    pub clock: Arc<FakeClock>,
    /// Its random bits.
    pub entropy: Arc<dyn Entropy>,
    /// Its store.
    pub store: Arc<SqliteStore>,
    /// Its datasets.
    pub library: Arc<Library>,
    tokens: [(Scope, String); 4],
    shutdown: CancellationToken,
    server: Option<JoinHandle<std::io::Result<()>>>,
    dir: tempfile::TempDir,
    http: reqwest::Client,
    adjust: Box<dyn Fn(&mut ServerOptions) + Send + Sync>,
}

impl TestApp {
    /// Starts a server with nothing in it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server with other options than the usual ones.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(adjust: impl Fn(&mut ServerOptions) + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("motif.db");
        let store = SqliteStore::open(&path, Options::default()).await.expect("a new store opens");
        let library = Library::open(dir.path()).expect("a new library opens");
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let tokens = [Scope::Admin, Scope::Submit, Scope::Worker, Scope::Read]
            .map(|scope| (scope, mint_token(entropy.as_ref())));
        let mut app = Self {
            url: String::new(),
            clock: Arc::default(),
            entropy,
            store: Arc::new(store),
            library: Arc::new(library),
            tokens,
            shutdown: CancellationToken::new(),
            server: None,
            dir,
            http: client(),
            adjust: Box::new(adjust),
        };
        app.listen().await;
        app
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        self.url = format!("http://{address}");
        self.shutdown = CancellationToken::new();
        let store: Arc<dyn Store> = self.store.clone();
        let clock: Arc<dyn Clock> = self.clock.clone();
        let folders = Folders::open(self.dir.path()).expect("folders for checkpoints and snapshots");
        let mut options =
            ServerOptions::new(store, self.library.clone(), folders, clock, self.entropy.clone());
        options.reap_every = REAP_EVERY;
        options.sweep_folders_every = REAP_EVERY;
        options.session_tokens = self
            .tokens
            .iter()
            .map(|(scope, token)| SessionToken::new(token, &format!("{scope:?}").to_lowercase(), &[*scope]))
            .collect();
        (self.adjust)(&mut options);
        self.server = Some(tokio::spawn(serve(listener, options, self.shutdown.clone())));
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The token with this scope alone.
    #[must_use]
    pub fn token(&self, scope: Scope) -> &str {
        let found = self.tokens.iter().find(|(own, _)| *own == scope);
        &found.expect("there is a token for each scope").1
    }

    /// A caller with this scope alone.
    #[must_use]
    pub fn with(&self, scope: Scope) -> Caller {
        self.with_token(Some(self.token(scope)))
    }

    /// A caller with this token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Caller {
        Caller::new(self.http.clone(), self.url.clone(), token.map(str::to_owned))
    }

    /// A caller who may do everything.
    #[must_use]
    pub fn admin(&self) -> Caller {
        self.with(Scope::Admin)
    }

    /// A worker that trains nothing, known by this name.
    #[must_use]
    pub fn worker(&self, name: &str) -> TestWorker {
        TestWorker::new(self.with(Scope::Worker), name, self.entropy.clone())
    }

    /// Tells the server to end and waits until it has.
    ///
    /// # Panics
    /// When it fails, or has not ended in time.
    pub async fn stop(&mut self) {
        self.shutdown.cancel();
        if let Some(server) = self.server.take() {
            let ended = tokio::time::timeout(WAIT_MAX, server).await;
            ended.expect("the server ends").expect("the server does not panic").expect("the server is well");
        }
    }

    /// Tells the server to end.
    pub fn tell_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Ends the server and starts another one on the same store, at another address.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.listen().await;
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in time.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT_MAX, asking)
        .await
        .unwrap_or_else(|_| panic!("this did not happen in time: {what}"))
}

fn client() -> reqwest::Client {
    // It fails when it is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(WAIT_MAX).build().expect("a client without options builds")
}
