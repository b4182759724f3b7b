//! A proxy between clients and a server that loses, repeats, delays and holds back what passes it, by rules and from a
//! seed.
//!
//! Of HTTP it knows where a request ends: its head and `content-length`. Each request goes on upon a connection of its
//! own, which the server closes after its reply.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::chance::Chance;

/// Longest head of a request.
const HEAD_MAX_BYTES: usize = 64 << 10;
/// Longest body of a request.
const BODY_MAX_BYTES: usize = 64 << 20;
/// Connections at once; further ones wait.
const CONNECTIONS_MAX: usize = 512;

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server never hears of it; the client's connection is closed.
    DropRequest,
    /// The server answers it; the client's connection is closed without the answer.
    DropReply,
    /// Both connections are closed as soon as the server was sent the whole of it.
    Leave,
    /// The server gets it twice at once, and the client the first answer.
    Twice,
    /// It waits for a time up to this, so that later ones overtake it.
    Delay(Duration),
    /// The client's connection is closed, and the server gets it up to this much later, when the client has gone on.
    Late(Duration),
    /// Its body has the second text where it had the first, which is as long.
    Replace(&'static str, &'static str),
}

/// Which of the requests that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The first, and then each of so many.
    Every(u64),
    /// So many of a hundred, at random.
    Percent(u64),
}

/// What becomes of requests whose first line has `part` in it. The first rule that strikes is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// A part of `POST /api/v1/claims HTTP/1.1`.
    pub part: &'static str,
    /// Which of them.
    pub when: When,
    /// What.
    pub fault: Fault,
}

/// A proxy; it ends, with all its connections, when it is dropped.
pub struct Proxy {
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    cut: watch::Sender<bool>,
}

struct State {
    rules: Vec<Rule>,
    /// By rule: requests it was about.
    met: Vec<u64>,
    /// By part: requests that were struck.
    struck: BTreeMap<&'static str, u64>,
    chance: Chance,
}

impl Proxy {
    /// Starts a proxy before the server at `upstream`, `http://ADDRESS`, that lets everything pass.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(upstream: &str, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the proxy cannot listen")?;
        let url = format!("http://{}", listener.local_addr()?);
        let chance = Chance::new(seed);
        let state = State { rules: Vec::new(), met: Vec::new(), struck: BTreeMap::new(), chance };
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            state: Mutex::new(state),
            cut: watch::Sender::new(false),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { url, shared, accepting })
    }

    /// Goes by these rules from now on.
    pub fn set(&self, rules: &[Rule]) {
        let mut state = self.shared.state();
        state.rules = rules.to_vec();
        state.met = vec![0; rules.len()];
    }

    /// How many requests were struck, ever, by rules about this part.
    #[must_use]
    pub fn struck(&self, part: &str) -> u64 {
        self.shared.state().struck.get(part).copied().unwrap_or(0)
    }

    /// Nothing passes any more, in either direction, and nobody is told.
    pub fn partition(&self) {
        self.shared.cut.send_replace(true);
    }

    /// Everything passes again, with what was sent meanwhile.
    pub fn heal(&self) {
        self.shared.cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of a request, and for how long it waits.
    fn judge(&self, line: &str) -> Option<(Fault, Duration)> {
        let state = &mut *self.state();
        for (rule, met) in state.rules.iter().zip(&mut state.met) {
            if !line.contains(rule.part) {
                continue;
            }
            *met += 1;
            let strikes = match rule.when {
                When::Every(n) => (*met - 1).is_multiple_of(n.max(1)),
                When::Percent(percent) => state.chance.below(100) < percent,
            };
            if strikes {
                *state.struck.entry(rule.part).or_default() += 1;
                let most = match rule.fault {
                    Fault::Delay(most) | Fault::Late(most) => {
                        u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
                    }
                    _ => 0,
                };
                return Some((rule.fault, Duration::from_millis(state.chance.below(most.saturating_add(1)))));
            }
        }
        None
    }

    /// Waits until nothing is cut.
    async fn passable(&self) {
        // The sender lives as long as this.
        let _ = self.cut.subscribe().wait_for(|cut| !cut).await;
    }

    /// Sends a request to the server.
    async fn send(&self, request: &[u8]) -> io::Result<TcpStream> {
        self.passable().await;
        let mut server = TcpStream::connect(&self.upstream).await?;
        server.write_all(request).await?;
        Ok(server)
    }

    /// Sends a request to the server and reads its whole reply.
    async fn ask(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut server = self.send(request).await?;
        let mut reply = Vec::new();
        server.read_to_end(&mut reply).await?;
        self.passable().await;
        Ok(reply)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(serve(client, Arc::clone(&shared)));
                }
            }
        }
    }
}

/// Connections break all the time here: whoever was behind one finds out by itself.
async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let (mut from, mut to) = client.into_split();
    shared.passable().await;
    let Ok(request) = read_request(&mut from).await else { return };
    shared.passable().await;
    let _ = pass(request, from, &mut to, &shared).await;
}

async fn pass(
    mut request: Vec<u8>,
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<()> {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let (fault, wait) = shared.judge(&String::from_utf8_lossy(line)).unzip();
    let wait = wait.unwrap_or_default();
    match fault {
        Some(Fault::DropRequest) => return Ok(()),
        Some(Fault::DropReply) => return shared.ask(&request).await.map(drop),
        Some(Fault::Leave) => return shared.send(&request).await.map(drop),
        Some(Fault::Late(_)) => {
            to.shutdown().await?;
            drop(from);
            tokio::time::sleep(wait).await;
            return shared.ask(&request).await.map(drop);
        }
        Some(Fault::Delay(_)) => tokio::time::sleep(wait).await,
        Some(Fault::Replace(old, new)) => replace(&mut request, old.as_bytes(), new.as_bytes()),
        Some(Fault::Twice) | None => {}
    }
    let twice = fault == Some(Fault::Twice);
    let asking = async {
        if twice {
            let (first, second) = tokio::join!(shared.ask(&request), shared.ask(&request));
            first.or(second)
        } else {
            shared.ask(&request).await
        }
    };
    let left = async {
        // A client says nothing more before it has its reply: whatever comes is its end.
        let _ = from.read(&mut [0]).await;
        shared.passable().await;
    };
    tokio::select! {
        reply = asking => to.write_all(&reply?).await,
        () = left => Ok(()),
    }
}

fn replace(request: &mut [u8], old: &[u8], new: &[u8]) {
    let found = request.windows(old.len()).position(|window| window == old);
    if let Some(at) = found.filter(|_| old.len() == new.len()) {
        request[at..at + new.len()].copy_from_slice(new);
    }
}

/// One request, as it goes to the server: it asks for the connection to be closed.
async fn read_request(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(END.len()).position(|window| window == END) {
            break at;
        }
        if bytes.len() > HEAD_MAX_BYTES {
            return Err(io::Error::new(ErrorKind::InvalidData, "the head is too long"));
        }
        more(from, &mut bytes).await?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Ok(0), |text| text.trim().parse()).map_err(io::Error::other)?;
    if length > BODY_MAX_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, "the body is too long"));
    }
    while bytes.len() < head + END.len() + length {
        more(from, &mut bytes).await?;
    }
    bytes.splice(head..head, *b"\r\nconnection: close");
    Ok(bytes)
}

async fn more(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> io::Result<()> {
    if from.read_buf(bytes).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
