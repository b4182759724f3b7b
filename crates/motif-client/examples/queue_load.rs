//! Plays workers that train nothing against a server, over plain HTTP/1.1 with as little work of its own as possible, and
//! prints what it measured as JSON. `cargo xtask bench queue` runs it.
//!
//! `queue_load SERVER TOKEN throughput WORKERS SLOTS TRIALS | wakeup WORKERS ROUNDS | fill TRIALS | claim COUNT | get PATH
//! RUNS | hold FILE COUNT | held FILE | slow PATH`

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
};
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;
type Done<T> = Result<T, Failure>;

/// Trials of one sweep of a filled store.
const FILLED_SWEEP_TRIALS: u64 = 50_000;
/// Seeds of a sweep at the most.
const SEEDS_MAX: u64 = 1000;
/// Longest wait of a claim, in seconds.
const WAIT_S: u64 = 30;

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Where to, and as whom.
#[derive(Clone)]
struct Target {
    address: Arc<str>,
    token: Arc<str>,
}

/// One connection, which one call at a time goes over.
struct Connection {
    stream: BufReader<TcpStream>,
    target: Target,
}

impl Connection {
    async fn open(target: &Target) -> Done<Self> {
        let stream = TcpStream::connect(&*target.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), target: target.clone() })
    }

    async fn send(&mut self, method: &str, path: &str, lease: Option<&str>, body: &str) -> Done<()> {
        let Target { address, token } = &self.target;
        let lease = lease.map(|lease| format!("motif-lease: {lease}\r\n")).unwrap_or_default();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n{lease}content-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.stream.get_mut().write_all(text.as_bytes()).await?)
    }

    /// A call whose answer must be 2xx.
    async fn call(&mut self, method: &str, path: &str, lease: Option<&str>, body: &str) -> Done<Vec<u8>> {
        self.send(method, path, lease, body).await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut bytes = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(format!("{method} {path}: the connection broke off").into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.strip_prefix("content-length:") {
                bytes = length.trim().parse()?;
            }
        }
        let mut answer = vec![0; bytes];
        self.stream.read_exact(&mut answer).await?;
        if status.starts_with('2') {
            return Ok(answer);
        }
        Err(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer)).into())
    }

    /// Submits a sweep of about so many trials.
    async fn submit(&mut self, name: &str, trials: u64) -> Done<Value> {
        let conditions = trials.div_ceil(SEEDS_MAX).max(1);
        let values: Vec<u64> = (1..=conditions).collect();
        let spec = json!({
            "name": name, "seeds": trials.div_ceil(conditions), "metric": "test_accuracy",
            "queue": { "lease_ttl_s": 600 },
            "trial": { "dataset": "glyphs", "hidden": [8], "train_limit": 64, "test_limit": 64 },
            "axes": { "epochs": values },
        });
        Ok(serde_json::from_slice(&self.call("POST", "/api/v1/sweeps", None, &spec.to_string()).await?)?)
    }

    async fn claim(&mut self, worker: Uuid, slots: u64, wait_s: u64) -> Done<Vec<Lease>> {
        let request = json!({
            "claim_id": id(), "secret": format!("{}{}", id().simple(), id().simple()), "max": slots, "wait_s": wait_s,
            "worker": {
                "id": worker, "name": "load", "slots": slots, "version": "0.0.0-load", "protocol": 1, "host": "here",
                "instruction_set": "none",
            },
        });
        let answer = self.call("POST", "/api/v1/claims", None, &request.to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let leases = answer["leases"].as_array().ok_or("an answer has leases")?;
        let text =
            |lease: &Value, key: &str| lease[key].as_str().map(str::to_owned).ok_or("a lease is whole");
        let leases = leases.iter().map(|lease| Ok((text(lease, "attempt_id")?, text(lease, "token")?)));
        leases.collect()
    }

    async fn complete(&mut self, (attempt, token): &Lease, body: &str) -> Done<()> {
        let path = format!("/api/v1/attempts/{attempt}/complete");
        self.call("POST", &path, Some(token), body).await.map(drop)
    }
}

/// An attempt and its token.
type Lease = (String, String);

/// An id that no other call has.
fn id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut bits = [0; 16];
    for half in bits.chunks_mut(8) {
        // SplitMix64 over a counter: ids are spread as random ones are.
        let n = NEXT.fetch_add(1, Ordering::Relaxed) + (u64::from(std::process::id()) << 32);
        let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    uuid::Builder::from_random_bytes(bits).into_uuid()
}

/// What a trial of no length reports.
fn report() -> String {
    json!({ "report": {
        "diverged_step": null, "steps": 10, "metrics": { "test_accuracy": 0.9375, "test_loss": 0.25 },
        "result_hash": "ab".repeat(32), "training_s": 0.5, "evaluation_s": 0.125, "diagnostics_s": 0.0625,
        "spectra_s": 0.25,
        "provenance": {
            "version": "0.0.0-load", "commit": null, "instruction_set": "none", "platform": "load", "host": "here",
            "dataset_hash": "d".repeat(64), "config_hash": "c".repeat(64),
        },
    }})
    .to_string()
}

/// Times of calls.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn summary(mut self) -> Value {
        self.0.sort_unstable();
        let at = |share: f64| {
            let index = ((self.0.len() as f64 * share).ceil() as usize).saturating_sub(1);
            self.0.get(index).map(|time| time.as_secs_f64() * 1e3)
        };
        json!({ "calls": self.0.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) })
    }
}

/// What workers measure.
#[derive(Default)]
struct Played {
    claims: Times,
    completions: Times,
}

/// A worker that claims for all its slots, completes each trial over the slot's own connection, and claims again until
/// nothing is left, or all who play have had as many as they are to have.
async fn work(target: Target, slots: u64, report: Arc<str>, left: Arc<AtomicI64>) -> Done<Played> {
    let worker = id();
    let mut claiming = Connection::open(&target).await?;
    let mut idle = Vec::new();
    for _ in 0..slots {
        idle.push(Connection::open(&target).await?);
    }
    let mut played = Played::default();
    loop {
        let began = now();
        let leases = claiming.claim(worker, slots, 0).await?;
        played.claims.0.push(began.elapsed());
        left.fetch_sub(i64::try_from(leases.len())?, Ordering::Relaxed);
        if leases.is_empty() {
            return Ok(played);
        }
        let mut busy = JoinSet::new();
        for lease in leases {
            let mut connection = idle.pop().ok_or("a slot for each lease")?;
            let report = Arc::clone(&report);
            busy.spawn(async move {
                let began = now();
                connection.complete(&lease, &report).await?;
                Done::Ok((connection, began.elapsed()))
            });
        }
        while let Some(done) = busy.join_next().await {
            let (connection, time) = done??;
            idle.push(connection);
            played.completions.0.push(time);
        }
        // Behind them a large store may have more.
        if left.load(Ordering::Relaxed) <= 0 {
            return Ok(played);
        }
    }
}

async fn throughput(target: &Target, workers: u64, slots: u64, trials: u64) -> Done<Value> {
    let report: Arc<str> = report().into();
    let began = now();
    Connection::open(target).await?.submit("load", trials).await?;
    let submitted = began.elapsed();
    let mut playing = JoinSet::new();
    let left = Arc::new(AtomicI64::new(i64::try_from(trials)?));
    for _ in 0..workers {
        playing.spawn(work(target.clone(), slots, Arc::clone(&report), Arc::clone(&left)));
    }
    let mut all = Played::default();
    while let Some(played) = playing.join_next().await {
        let played = played??;
        all.claims.0.extend(played.claims.0);
        all.completions.0.extend(played.completions.0);
    }
    let seconds = began.elapsed().as_secs_f64();
    let completed = all.completions.0.len();
    Ok(json!({
        "workers": workers, "slots": slots, "trials": completed, "seconds": seconds,
        "submit_s": submitted.as_secs_f64(), "trials_per_s": completed as f64 / seconds,
        "claim": all.claims.summary(), "complete": all.completions.summary(),
    }))
}

/// One of many workers that wait: it completes what it gets, and says when it got it.
async fn wait(target: Target, woken: mpsc::Sender<Instant>) -> Done<()> {
    let (worker, report) = (id(), report());
    let mut connection = Connection::open(&target).await?;
    loop {
        for lease in connection.claim(worker, 1, WAIT_S).await? {
            let at = now();
            connection.complete(&lease, &report).await?;
            woken.send(at).await?;
        }
    }
}

/// How long after a submission is sent one of many waiting claims has its trial.
async fn wakeup(target: &Target, workers: u64, rounds: u64) -> Done<Value> {
    let (woken, mut answers) = mpsc::channel(1);
    let mut waiting = JoinSet::new();
    for _ in 0..workers {
        waiting.spawn(wait(target.clone(), woken.clone()));
    }
    let mut submitting = Connection::open(target).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut times = Times::default();
    for round in 0..rounds {
        let began = now();
        submitting.submit(&format!("wake {round}"), 1).await?;
        let at = answers.recv().await.ok_or("a claim is answered")?;
        times.0.push(at - began);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    waiting.abort_all();
    Ok(json!({ "workers": workers, "rounds": rounds, "wakeup": times.summary() }))
}

async fn fill(target: &Target, trials: u64) -> Done<Value> {
    let mut connection = Connection::open(target).await?;
    let began = now();
    let mut left = trials;
    let mut sweeps = Vec::new();
    while left > 0 {
        let portion = left.min(FILLED_SWEEP_TRIALS);
        sweeps.push(connection.submit("fill", portion).await?["id"].clone());
        left -= portion;
    }
    Ok(json!({ "seconds": began.elapsed().as_secs_f64(), "sweeps": sweeps }))
}

async fn claim(target: &Target, count: u64) -> Done<Value> {
    let mut connection = Connection::open(target).await?;
    let mut times = Times::default();
    for _ in 0..count {
        let began = now();
        connection.claim(id(), 1, 0).await?;
        times.0.push(began.elapsed());
    }
    Ok(times.summary())
}

async fn get(target: &Target, path: &str, runs: u64) -> Done<Value> {
    let mut connection = Connection::open(target).await?;
    let mut times = Times::default();
    for _ in 0..runs {
        let began = now();
        connection.call("GET", path, None, "").await?;
        times.0.push(began.elapsed());
    }
    Ok(times.summary())
}

/// Takes leases and writes them down.
async fn hold(target: &Target, file: &str, count: u64) -> Done<Value> {
    let leases = Connection::open(target).await?.claim(id(), count, 0).await?;
    let leases: BTreeMap<_, _> = leases.into_iter().collect();
    std::fs::write(file, serde_json::to_string(&leases)?)?;
    Ok(json!({ "leases": leases.len() }))
}

/// How many of the leases written down still hold.
async fn held(target: &Target, file: &str) -> Done<Value> {
    let leases: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(file)?)?;
    let mut connection = Connection::open(target).await?;
    let mut kept = 0;
    for (attempt, token) in &leases {
        let path = format!("/api/v1/attempts/{attempt}/heartbeat");
        kept += u64::from(connection.call("POST", &path, Some(token), r#"{"step":1}"#).await.is_ok());
    }
    Ok(json!({ "leases": leases.len(), "kept": kept }))
}

/// Reads an answer byte by byte, one each second, for ever.
async fn slow(target: &Target, path: &str) -> Done<Value> {
    let mut connection = Connection::open(target).await?;
    connection.send("GET", path, None, "").await?;
    let mut byte = [0];
    while connection.stream.get_mut().read(&mut byte).await? > 0 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [server, token, what, rest @ ..] = arguments.as_slice() else {
        return Err("too few arguments".into());
    };
    let target = Target { address: server.trim_start_matches("http://").into(), token: (*token).into() };
    let measured = match (*what, rest) {
        ("throughput", [workers, slots, trials]) => {
            throughput(&target, workers.parse()?, slots.parse()?, trials.parse()?).await?
        }
        ("wakeup", [workers, rounds]) => wakeup(&target, workers.parse()?, rounds.parse()?).await?,
        ("fill", [trials]) => fill(&target, trials.parse()?).await?,
        ("claim", [count]) => claim(&target, count.parse()?).await?,
        ("get", [path, runs]) => get(&target, path, runs.parse()?).await?,
        ("hold", [file, count]) => hold(&target, file, count.parse()?).await?,
        ("held", [file]) => held(&target, file).await?,
        ("slow", [path]) => slow(&target, path).await?,
        _ => return Err(format!("{what} with {} arguments is not known", rest.len()).into()),
    };
    println!("{measured}");
    Ok(())
}
