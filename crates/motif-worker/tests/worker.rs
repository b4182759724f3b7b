//! A whole worker, its threads and its network engine, against a server that is played in memory.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use motif_client::{Client, ClientOptions, Request, Response, Transport, TransportError};
use motif_data::{Dataset, Library, Shape, Split};
use motif_sweep::{
    clock::{Clock, Entropy},
    lifecycle::Policy,
};
use motif_wire::{
    LEASE_HEADER,
    work::{ClaimRequest, Completion, Failure, Heartbeat, Lease, MetricsBatch, Release},
};
use motif_worker::{WorkerError, WorkerOptions, WorkerSummary, core::Limits, run_with_limits};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

struct RealClock {
    origin: Instant,
    /// Makes trainings panic: they read the clock on their own threads.
    breaks_trainings: bool,
}

#[expect(clippy::disallowed_methods, reason = "trainings of this test take real time")]
fn real_clock(breaks_trainings: bool) -> RealClock {
    RealClock { origin: Instant::now(), breaks_trainings }
}

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        let training = std::thread::current().name().is_some_and(|name| name.starts_with("trial-"));
        assert!(!(self.breaks_trainings && training), "a gear has come off");
        self.origin.elapsed()
    }
}

struct Counter(AtomicU8);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

/// What the server has heard of one attempt.
#[derive(Debug, Clone, Default)]
struct Heard {
    points: Vec<(u64, u64)>,
    /// Sizes of the checkpoints.
    kept: Vec<usize>,
    beats: Vec<Heartbeat>,
    completion: Option<Completion>,
    failure: Option<Failure>,
    release: Option<Release>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Lease>,
    heard: BTreeMap<Uuid, Heard>,
    claims: Vec<ClaimRequest>,
    content: Vec<u8>,
    fetches: u32,
    /// Answers to the next calls whose path ends so, instead of the real ones.
    faults: Vec<(&'static str, u16, &'static str)>,
}

#[derive(Default)]
struct Server {
    state: Mutex<State>,
    changed: Notify,
}

fn answer(status: u16, body: &Value) -> Response {
    Response { status, body: body.to_string().into_bytes(), ..Response::default() }
}

fn problem(status: u16, code: &str) -> Response {
    let detail = format!("scripted {code}");
    answer(
        status,
        &json!({ "type": "about:blank", "title": "", "status": status, "code": code, "detail": detail }),
    )
}

impl Server {
    fn claim(state: &mut State, body: &[u8]) -> Option<Response> {
        let claim: ClaimRequest = serde_json::from_slice(body).unwrap();
        let count = state.queue.len().min(claim.max as usize);
        let (wait, leases) = (claim.wait_s, state.queue.drain(..count).collect::<Vec<_>>());
        state.claims.push(claim);
        if leases.is_empty() && wait > 0 { None } else { Some(answer(200, &json!({ "leases": leases }))) }
    }

    fn report(state: &mut State, attempt: Uuid, what: &str, body: &[u8]) -> Response {
        let heard = state.heard.entry(attempt).or_default();
        match what {
            "heartbeat" => {
                heard.beats.push(serde_json::from_slice(body).unwrap());
                return answer(200, &json!({ "cancel": false, "lease_s": 30 }));
            }
            "metrics" => {
                let batch: MetricsBatch = serde_json::from_slice(body).unwrap();
                heard.points.extend(batch.points.iter().map(|point| (point.seq, point.step)));
                return answer(200, &json!({ "next_seq": batch.points.last().unwrap().seq + 1 }));
            }
            "checkpoint" => {
                heard.kept.push(body.len());
                let hash = blake3::hash(body).to_hex();
                let saved = json!({ "step": 1, "points": 0, "hash": hash.as_str(), "bytes": body.len() });
                return answer(200, &saved);
            }
            "complete" => heard.completion = Some(serde_json::from_slice(body).unwrap()),
            "fail" => heard.failure = Some(serde_json::from_slice(body).unwrap()),
            "release" => heard.release = Some(serde_json::from_slice(body).unwrap()),
            other => panic!("unknown report {other}"),
        }
        answer(200, &json!({ "state": "queued" }))
    }

    fn handle(&self, request: &Request) -> Option<Response> {
        let mut state = self.state.lock().unwrap();
        if let Some(at) = state.faults.iter().position(|(path, ..)| request.path.ends_with(path)) {
            let (_, status, code) = state.faults.remove(at);
            return Some(problem(status, code));
        }
        let parts: Vec<&str> = request.path.trim_start_matches("/api/v1/").split('/').collect();
        match parts.as_slice() {
            ["claims"] => Self::claim(&mut state, &request.body),
            ["attempts", attempt, what] => {
                let attempt = attempt.parse().unwrap();
                assert_eq!(request.header(LEASE_HEADER).unwrap(), format!("token {attempt}"));
                Some(Self::report(&mut state, attempt, what, &request.body))
            }
            ["datasets", _, "content"] => {
                state.fetches += 1;
                Some(Response { status: 200, body: state.content.clone(), ..Response::default() })
            }
            other => panic!("unknown path {other:?}"),
        }
    }

    /// Waits until the server has heard what is looked for.
    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = look(&self.state.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("it happens in time")
    }

    async fn heard<T>(&self, attempt: Uuid, look: impl Fn(&Heard) -> Option<T>) -> T {
        self.until(|state| state.heard.get(&attempt).and_then(&look)).await
    }
}

#[async_trait::async_trait]
impl Transport for Server {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let answer = self.handle(&request);
        self.changed.notify_waiters();
        match answer {
            Some(answer) => Ok(answer),
            None => std::future::pending().await,
        }
    }
}

struct Bench {
    server: Arc<Server>,
    shutdown: CancellationToken,
    worker: JoinHandle<Result<WorkerSummary, WorkerError>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start(slots: usize, dataset: Option<&Dataset>, server: Server) -> Self {
        Self::start_with(slots, dataset, server, real_clock(false))
    }

    fn start_with(slots: usize, dataset: Option<&Dataset>, server: Server, clock: RealClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(dataset) = dataset {
            library(folder.path()).put("tiny", dataset, false).unwrap();
        }
        let server = Arc::new(server);
        let client = Client::with_transport(ClientOptions::new("http://played"), server.clone()).unwrap();
        let options = WorkerOptions {
            abilities: Default::default(),
            client,
            name: "test".to_owned(),
            slots,
            data_dir: folder.path().to_owned(),
            checkpoint_every: Duration::from_secs(60),
            clock: Arc::new(clock),
            entropy: Arc::new(Counter(AtomicU8::new(1))),
        };
        let limits = Limits {
            batch_age_max: Duration::from_millis(20),
            backoff_min: Duration::from_millis(20),
            ..Limits::default()
        };
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(run_with_limits(options, limits, shutdown.clone()));
        Self { server, shutdown, worker, _folder: folder }
    }

    async fn end(self) -> Result<WorkerSummary, WorkerError> {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.worker).await.expect("it ends in time").unwrap()
    }
}

fn library(folder: &Path) -> Library {
    Library::open(folder).unwrap()
}

fn tiny() -> Dataset {
    let split = |n: u16| Split {
        pixels: (0..u32::from(n) * 16).map(|i| (i * 37 % 251) as u8).collect(),
        labels: (0..n).map(|i| i % 3).collect(),
    };
    Dataset::new(Shape { height: 4, width: 4, channels: 1 }, 3, split(60), split(30)).unwrap()
}

fn lease(n: u128, hash: &str, overrides: Value) -> Lease {
    let mut config = json!({ "dataset": "tiny", "hidden": [8], "epochs": 3, "batch_size": 20 });
    if let Value::Object(overrides) = overrides {
        config.as_object_mut().unwrap().extend(overrides);
    }
    let attempt_id = Uuid::from_u128(n);
    Lease {
        attempt_id,
        token: format!("token {attempt_id}"),
        trial_id: Uuid::from_u128(n + 100),
        sweep_id: Uuid::nil(),
        attempt: 1,
        config,
        seed: 7,
        dataset_hash: hash.to_owned(),
        policy: Policy { heartbeat_s: 1, ..Policy::default() },
        judged: false,
        snapshots: false,
        checkpoint: None,
    }
}

fn serving(leases: impl IntoIterator<Item = Lease>) -> Server {
    let server = Server::default();
    server.state.lock().unwrap().queue.extend(leases);
    server
}

fn endless() -> Value {
    json!({ "epochs": 100_000 })
}

#[tokio::test]
async fn trials_are_trained_side_by_side_and_alike() {
    let (dataset, hash) = (tiny(), tiny().content_hash());
    let server = serving((1..=3).map(|n| lease(n, &hash, Value::Null)));
    let bench = Bench::start(2, Some(&dataset), server);
    let mut hashes = Vec::new();
    for n in 1..=3 {
        let attempt = Uuid::from_u128(n);
        let heard =
            bench.server.heard(attempt, |heard| heard.completion.as_ref().map(|_| heard.clone())).await;
        let report = heard.completion.unwrap().report;
        assert_eq!((report.diverged_step, report.steps), (None, 9));
        assert!(report.metrics.contains_key("test_accuracy"), "{:?}", report.metrics);
        assert_eq!(report.provenance.dataset_hash, hash);
        // Three epochs, with diagnostics at each and no spectra: all of them within the whole.
        let costs = [report.evaluation_s, report.diagnostics_s, report.spectra_s].map(Option::unwrap);
        assert!(costs[0] > 0.0 && costs[1] > 0.0 && costs[2] == 0.0, "{costs:?}");
        assert!(costs[0] + costs[1] <= report.training_s, "{costs:?} {}", report.training_s);
        assert_eq!(report.provenance.config_hash.len(), 64);
        let seqs: Vec<_> = heard.points.iter().map(|(seq, _)| *seq).collect();
        assert!(seqs.len() >= 3, "{seqs:?}");
        assert_eq!(seqs, (0..seqs.len() as u64).collect::<Vec<_>>());
        hashes.push(report.result_hash);
    }
    assert!(hashes.iter().all(|hash| hash == &hashes[0]), "the same trial has the same bits: {hashes:?}");
    let first = bench.server.until(|state| state.claims.first().cloned()).await;
    assert_eq!((first.max, first.wait_s, first.worker.slots), (2, 20, 2));
    assert_eq!(first.secret.len(), 64);
    assert_eq!(bench.end().await.unwrap(), WorkerSummary { succeeded: 3, ..WorkerSummary::default() });
}

#[tokio::test]
async fn held_out_examples_and_moved_images_reach_the_engine() {
    let (dataset, hash) = (tiny(), tiny().content_hash());
    let validation = json!({ "validation": 20, "augment": { "shift": 1, "flip": true } });
    let too_far = json!({ "augment": { "shift": 4 } });
    let server = serving([lease(1, &hash, validation), lease(2, &hash, too_far)]);
    let bench = Bench::start(1, Some(&dataset), server);
    let heard = |n| bench.server.heard(Uuid::from_u128(n), |heard| heard.completion.clone());
    let report = heard(1).await.report;
    assert_eq!(report.steps, 6, "40 of 60 examples are learnt from");
    let judged: Vec<&str> =
        report.metrics.keys().map(String::as_str).filter(|it| !it.contains('.')).collect();
    assert_eq!(judged, ["rate", "train_accuracy", "train_loss", "validation_accuracy", "validation_loss"]);
    let failed = bench.server.heard(Uuid::from_u128(2), |heard| heard.failure.clone()).await;
    assert!(failed.reason.contains("augment.shift is 4, expected at most 3"), "{failed:?}");
    assert!(!failed.retryable, "{failed:?}");
    bench.end().await.unwrap();
}

#[tokio::test]
async fn a_drain_gives_the_running_trial_back() {
    let dataset = tiny();
    let server = serving([lease(1, &dataset.content_hash(), endless())]);
    let bench = Bench::start(1, Some(&dataset), server);
    let attempt = Uuid::from_u128(1);
    bench.server.heard(attempt, |heard| heard.beats.iter().find(|beat| beat.step > 0).copied()).await;
    let server = bench.server.clone();
    assert_eq!(bench.end().await.unwrap(), WorkerSummary { released: 1, ..WorkerSummary::default() });
    let release = server.heard(attempt, |heard| heard.release.clone()).await;
    let kept = server.heard(attempt, |heard| (!heard.kept.is_empty()).then(|| heard.kept.clone())).await;
    assert_eq!(kept.len(), 1, "saved once, before it was given back");
    assert_eq!(release.reason, "drain");
}

#[tokio::test]
async fn a_stale_lease_frees_the_slot_without_a_report() {
    let dataset = tiny();
    let hash = dataset.content_hash();
    let server = serving([lease(1, &hash, endless()), lease(2, &hash, Value::Null)]);
    server.state.lock().unwrap().faults.push(("heartbeat", 409, "stale_lease"));
    let bench = Bench::start(1, Some(&dataset), server);
    bench.server.heard(Uuid::from_u128(2), |heard| heard.completion.clone()).await;
    let heard = bench.server.until(|state| Some(state.heard.get(&Uuid::from_u128(1)).cloned())).await;
    let heard = heard.unwrap_or_default();
    assert!(heard.completion.is_none() && heard.failure.is_none() && heard.release.is_none());
    let summary = WorkerSummary { succeeded: 1, dropped: 1, ..WorkerSummary::default() };
    assert_eq!(bench.end().await.unwrap(), summary);
}

#[tokio::test]
async fn lost_calls_are_made_again() {
    let dataset = tiny();
    let server = serving([lease(1, &dataset.content_hash(), Value::Null)]);
    let faults = [
        ("claims", 503, "unavailable"),
        ("metrics", 500, "internal"),
        ("complete", 429, "busy"),
        ("complete", 503, "unavailable"),
    ];
    server.state.lock().unwrap().faults.extend(faults);
    let bench = Bench::start(1, Some(&dataset), server);
    let heard =
        bench.server.heard(Uuid::from_u128(1), |heard| heard.completion.as_ref().map(|_| heard.clone()));
    assert_eq!(heard.await.points[0].0, 0);
    assert_eq!(bench.end().await.unwrap().succeeded, 1);
}

#[tokio::test]
async fn a_dataset_is_fetched_once_for_all_trials() {
    let dataset = tiny();
    let server = serving((1..=2).map(|n| lease(n, &dataset.content_hash(), Value::Null)));
    server.state.lock().unwrap().content = dataset.to_bytes();
    let bench = Bench::start(2, None, server);
    for n in 1..=2 {
        bench.server.heard(Uuid::from_u128(n), |heard| heard.completion.clone()).await;
    }
    assert_eq!(bench.server.until(|state| Some(state.fetches)).await, 1);
    bench.end().await.unwrap();
}

#[tokio::test]
async fn wrong_contents_fail_so_that_another_attempt_may_follow() {
    let server = serving([lease(1, &"0".repeat(64), Value::Null)]);
    server.state.lock().unwrap().content = tiny().to_bytes();
    let bench = Bench::start(1, None, server);
    let failure = bench.server.heard(Uuid::from_u128(1), |heard| heard.failure.clone()).await;
    assert!(failure.retryable, "{failure:?}");
    assert!(failure.reason.contains("tiny") && failure.reason.contains("instead of 000"), "{failure:?}");
    assert_eq!(bench.end().await.unwrap().failed, 1);
}

#[tokio::test]
async fn a_config_that_is_none_fails_for_good() {
    let dataset = tiny();
    let server = serving([lease(1, &dataset.content_hash(), json!({ "batch_size": 0 }))]);
    let bench = Bench::start(1, Some(&dataset), server);
    let failure = bench.server.heard(Uuid::from_u128(1), |heard| heard.failure.clone()).await;
    assert!(!failure.retryable && failure.reason.contains("batch_size"), "{failure:?}");
    bench.end().await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_training_fails_its_trial_and_nothing_else() {
    let dataset = tiny();
    let server = serving((1..=2).map(|n| lease(n, &dataset.content_hash(), Value::Null)));
    let bench = Bench::start_with(1, Some(&dataset), server, real_clock(true));
    for n in 1..=2 {
        let failure = bench.server.heard(Uuid::from_u128(n), |heard| heard.failure.clone()).await;
        assert!(!failure.retryable && failure.reason.contains("a gear has come off"), "{failure:?}");
    }
    assert_eq!(bench.end().await.unwrap().failed, 2);
}

#[tokio::test]
async fn divergence_is_a_result() {
    let dataset = tiny();
    let wild = json!({ "rule": "bp", "divergence_bound": 1e-3 });
    let server = serving([lease(1, &dataset.content_hash(), wild)]);
    let bench = Bench::start(1, Some(&dataset), server);
    let completion = bench.server.heard(Uuid::from_u128(1), |heard| heard.completion.clone()).await;
    assert!(completion.report.diverged_step.is_some(), "{completion:?}");
    assert_eq!(bench.end().await.unwrap().diverged, 1);
}

#[tokio::test]
async fn a_worker_that_is_not_accepted_ends_with_the_servers_words() {
    let server = Server::default();
    server.state.lock().unwrap().faults.push(("claims", 401, "unauthorized"));
    let bench = Bench::start(1, None, server);
    let error = tokio::time::timeout(PATIENCE, bench.worker).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&error, WorkerError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("scripted unauthorized"), "{error}");
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let bench = Bench::start(1, None, Server::default());
    bench.server.until(|state| state.claims.first().cloned()).await;
    let server = bench.server.clone();
    assert_eq!(bench.end().await.unwrap(), WorkerSummary::default());
    let claims = server.state.lock().unwrap().claims.clone();
    let recalled = ClaimRequest { wait_s: 0, ..claims[0].clone() };
    assert_eq!(claims[1..], [recalled], "the open claim is asked for once more, without waiting");
}
