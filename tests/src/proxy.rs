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
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const REQUEST: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
    const LIMIT: Duration = Duration::from_secs(30);

    /// A server that counts what it hears and answers with the body it was sent.
    async fn echo() -> (String, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut from, mut to) = stream.into_split();
                let request = read_request(&mut from).await.unwrap();
                assert!(String::from_utf8_lossy(&request).contains("connection: close"));
                counter.fetch_add(1, Ordering::SeqCst);
                // Whoever left is not there to be answered.
                let _ = to.write_all(&request[request.len() - 5..]).await;
            }
        });
        (url, heard)
    }

    async fn ask(proxy: &Proxy) -> Vec<u8> {
        let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        let mut reply = Vec::new();
        // A connection that is reset brings no reply either.
        let _ = stream.read_to_end(&mut reply).await;
        reply
    }

    async fn until(heard: &AtomicU64, wanted: u64) {
        let waiting = async {
            while heard.load(Ordering::SeqCst) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waiting).await.unwrap();
    }

    #[tokio::test]
    async fn each_fault_is_seen_on_both_sides() {
        let (url, heard) = echo().await;
        let proxy = Proxy::start(&url, 1).await.unwrap();
        let soon = Duration::from_millis(20);
        let cases: [(Option<Fault>, u64, &[u8]); 8] = [
            (None, 1, b"hello"),
            (Some(Fault::DropRequest), 0, b""),
            (Some(Fault::DropReply), 1, b""),
            (Some(Fault::Leave), 1, b""),
            (Some(Fault::Twice), 2, b"hello"),
            (Some(Fault::Delay(soon)), 1, b"hello"),
            (Some(Fault::Late(soon)), 1, b""),
            (Some(Fault::Replace("ell", "ipp")), 1, b"hippo"),
        ];
        let mut wanted = 0;
        for (fault, reaches, reply) in cases {
            let other = Rule { part: "/b", when: When::Every(1), fault: Fault::DropRequest };
            let rule = fault.map(|fault| Rule { part: "/a", when: When::Every(1), fault });
            proxy.set(&[&[other][..], rule.as_slice()].concat());
            assert_eq!(ask(&proxy).await, reply, "{fault:?}");
            wanted += reaches;
            until(&heard, wanted).await;
            assert_eq!(heard.load(Ordering::SeqCst), wanted, "{fault:?}");
        }
        assert_eq!((proxy.struck("/a"), proxy.struck("/b")), (7, 0));
    }

    #[tokio::test]
    async fn a_rule_strikes_the_first_and_each_so_many_or_a_share() {
        let (url, _) = echo().await;
        let proxy = Proxy::start(&url, 1).await.unwrap();
        let drop = |when| [Rule { part: "POST", when, fault: Fault::DropRequest }];
        proxy.set(&drop(When::Every(3)));
        let mut lost = Vec::new();
        for number in 0..7 {
            if ask(&proxy).await.is_empty() {
                lost.push(number);
            }
        }
        assert_eq!(lost, [0, 3, 6]);
        proxy.set(&drop(When::Percent(30)));
        for _ in 0..200 {
            ask(&proxy).await;
        }
        let struck = proxy.struck("POST") - 3;
        assert!((20..100).contains(&struck), "{struck} of 200");
    }

    #[tokio::test]
    async fn a_partition_holds_everything_back_until_it_heals() {
        let (url, heard) = echo().await;
        let proxy = Proxy::start(&url, 1).await.unwrap();
        proxy.partition();
        let asking = ask(&proxy);
        tokio::pin!(asking);
        let early = tokio::time::timeout(Duration::from_millis(200), &mut asking).await;
        assert!(early.is_err() && heard.load(Ordering::SeqCst) == 0, "something passed: {early:?}");
        proxy.heal();
        assert_eq!(tokio::time::timeout(LIMIT, asking).await.unwrap(), b"hello");
    }
}
