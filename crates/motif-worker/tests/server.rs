//! Worker and client against the real server and store, in one process: the contract as both sides understand it.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use motif_client::{
    Client, ClientOptions, HttpTransport, Request, Response, StatisticsQuery, SweepSteer, Transport,
    TransportError, TrialQuery,
};
use motif_sweep::{
    clock::Clock,
    lifecycle::{AttemptOutcome, TrialState},
};
use motif_testkit::{SeededEntropy, TestApp, app::eventually, build};
use motif_wire::{
    metrics::MetricPoint,
    problem::ProblemCode,
    sweeps::{SweepDetail, SweepState},
    system::Scope,
    work::{Lease, MetricsBatch, MetricsReply},
};
use motif_worker::{WorkerError, WorkerOptions, WorkerSummary, core::Limits, run_with_limits};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A way to the server that can be cut, and led to where the server is now.
struct Link(Mutex<Option<HttpTransport>>);

impl Link {
    fn to(app: &TestApp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(transport(app)))))
    }

    fn cut(&self) {
        *self.0.lock().unwrap() = None;
    }

    fn heal(&self, app: &TestApp) {
        *self.0.lock().unwrap() = Some(transport(app));
    }
}

fn transport(app: &TestApp) -> HttpTransport {
    HttpTransport::new(&app.url, Duration::from_secs(5)).unwrap()
}

#[async_trait::async_trait]
impl Transport for Link {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let way = self.0.lock().unwrap().clone();
        match way {
            Some(way) => way.send(request).await,
            None => Err(TransportError::Refused),
        }
    }
}

fn client(app: &TestApp, scope: Scope) -> Client {
    Client::new(ClientOptions { token: Some(app.token(scope).to_owned()), ..ClientOptions::new(&app.url) })
        .unwrap()
}

struct Worker {
    shutdown: CancellationToken,
    task: JoinHandle<Result<WorkerSummary, WorkerError>>,
    _folder: tempfile::TempDir,
}

impl Worker {
    #[expect(clippy::disallowed_methods, reason = "trainings of this test take real time")]
    fn start(app: &TestApp, link: Arc<Link>, slots: usize) -> Self {
        let options = ClientOptions {
            token: Some(app.token(Scope::Worker).to_owned()),
            ..ClientOptions::new(&app.url)
        };
        let folder = tempfile::tempdir().unwrap();
        let options = WorkerOptions {
            abilities: Default::default(),
            client: Client::with_transport(options, link).unwrap(),
            name: "real".to_owned(),
            slots,
            data_dir: PathBuf::from(folder.path()),
            checkpoint_every: Duration::from_secs(60),
            clock: Arc::new(RealClock(Instant::now())),
            entropy: Arc::new(SeededEntropy::new(99)),
        };
        let limits = Limits {
            batch_age_max: Duration::from_millis(20),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_millis(200),
            ..Limits::default()
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run_with_limits(options, limits, shutdown.clone()));
        Self { shutdown, task, _folder: folder }
    }

    async fn end(self) -> WorkerSummary {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task)
            .await
            .expect("it drains in time")
            .unwrap()
            .unwrap()
    }
}

async fn finished(client: &Client, sweep: Uuid) -> SweepDetail {
    eventually("the sweep finishes", || async {
        let detail = client.sweep_get(sweep).await.unwrap();
        (detail.row.state == SweepState::Finished).then_some(detail)
    })
    .await
}

async fn leased(client: &Client, sweep: Uuid) {
    eventually("a trial is leased", || async {
        (client.sweep_get(sweep).await.unwrap().row.counts.leased > 0).then_some(())
    })
    .await;
}

/// Trials that run until they are stopped.
fn endless(name: &str) -> Value {
    let mut spec = build::sweep(name, 1);
    spec["trial"]["epochs"] = json!(100_000);
    spec
}

#[tokio::test]
async fn a_sweep_is_submitted_trained_and_read_back() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    let spec = build::sweep("whole", 3);
    let sweep = admin.sweep_submit(&spec, Some("once")).await.unwrap().row.id;
    assert_eq!(admin.sweep_submit(&spec, Some("once")).await.unwrap().row.id, sweep);
    let worker = Worker::start(&app, Link::to(&app), 2);
    let detail = finished(&admin, sweep).await;
    assert_eq!((detail.row.counts.succeeded, detail.row.counts.total()), (6, 6));
    assert_eq!(worker.end().await, WorkerSummary { succeeded: 6, ..WorkerSummary::default() });

    let query = StatisticsQuery { correction: Some("holm".to_owned()), ..StatisticsQuery::default() };
    let summary = admin.sweep_summary(sweep, &query).await.unwrap();
    assert!(summary.conditions.iter().all(|condition| condition.complete && condition.n == 3));
    assert_eq!(admin.sweep_comparisons(sweep, &query).await.unwrap().rows.len(), 1);
    let curves = admin.sweep_curves(sweep, &query).await.unwrap();
    assert!(curves.conditions.iter().all(|curve| !curve.points.is_empty()));
    assert_eq!(admin.sweep_ledger(sweep).await.unwrap().rows.len(), 2);
    let csv = String::from_utf8(admin.sweep_export(sweep, "csv").await.unwrap()).unwrap();
    assert!(csv.lines().count() > 6, "{csv}");
    assert_eq!(admin.sweep_list(None, Some(10)).await.unwrap().items[0].id, sweep);

    let by_pages = TrialQuery { limit: Some(2), ..TrialQuery::default() };
    let trials = admin.sweep_trials_all(sweep, &by_pages).await.unwrap();
    assert_eq!(trials.len(), 6);
    for trial in &trials {
        let detail = admin.trial_get(trial.id).await.unwrap();
        let report = detail.result.unwrap();
        assert_eq!(report.provenance.config_hash, detail.config_hash);
        assert_eq!(report.provenance.dataset_hash, detail.dataset_hash);
        assert_eq!(Some(&report.result_hash), trial.result_hash.as_ref());
        let metrics = admin.trial_metrics(trial.id).await.unwrap();
        assert_eq!(metrics.points.last().unwrap().step, report.steps, "every point is there");
        let attempts = admin.trial_attempts(trial.id).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Succeeded));
    }
    let failed = TrialQuery { state: Some("failed".to_owned()), ..TrialQuery::default() };
    assert!(admin.sweep_trials_all(sweep, &failed).await.unwrap().is_empty());
    assert_eq!(admin.worker_list().await.unwrap()[0].name, "real");
}

#[tokio::test]
async fn the_clients_other_operations_are_understood() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    assert_eq!(admin.health().await.unwrap().status, "ok");
    assert!(!admin.preset_list().await.unwrap().is_empty());
    let dataset = build::dataset(3);
    let row = admin.dataset_put("small", dataset.to_bytes(), false).await.unwrap();
    assert_eq!(row.hash, dataset.content_hash());
    let other = build::dataset(4).to_bytes();
    let taken = admin.dataset_put("small", other.clone(), false).await.unwrap_err();
    assert_eq!(taken.code(), Some(ProblemCode::Conflict));
    assert_ne!(admin.dataset_put("small", other, true).await.unwrap().hash, row.hash);
    assert!(admin.dataset_list().await.unwrap().iter().any(|row| row.name == "small"));
    assert_eq!(admin.dataset_get("small").await.unwrap().train_examples, 6);
    let mut bytes = Vec::new();
    admin.dataset_content(&row.hash, &mut bytes).await.unwrap();
    assert_eq!(bytes, dataset.to_bytes());

    let made = admin.token_create("reader", &[Scope::Read]).await.unwrap();
    assert_eq!(admin.token_list().await.unwrap()[0].id, made.row.id);
    let options = ClientOptions { token: Some(made.token), ..ClientOptions::new(&app.url) };
    let reader = Client::new(options).unwrap();
    assert_eq!(reader.token_list().await.unwrap_err().code(), Some(ProblemCode::Forbidden));
    let sweep = admin.sweep_submit(&build::sweep("steered", 1), None).await.unwrap().row.id;
    for steer in [SweepSteer::Pause, SweepSteer::Resume, SweepSteer::Cancel, SweepSteer::Retry] {
        admin.sweep_steer(sweep, steer).await.unwrap();
    }
    admin.token_revoke(made.row.id).await.unwrap();
    let refused = admin.sweep_submit(&json!({ "name": "x", "trail": {} }), None).await.unwrap_err();
    assert!(refused.to_string().contains("trail"), "{refused}");
}

#[tokio::test]
async fn a_worker_fetches_what_it_lacks() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    admin.dataset_put("small", build::dataset(9).to_bytes(), false).await.unwrap();
    let mut spec = build::sweep("fetched", 2);
    spec["trial"] = json!({ "dataset": "small", "hidden": [4], "epochs": 2 });
    let sweep = admin.sweep_submit(&spec, None).await.unwrap().row.id;
    let worker = Worker::start(&app, Link::to(&app), 2);
    assert_eq!(finished(&admin, sweep).await.row.counts.succeeded, 4);
    worker.end().await;
}

#[tokio::test]
async fn a_drained_worker_leaves_its_trials_to_others() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    let sweep = admin.sweep_submit(&endless("drained"), None).await.unwrap().row.id;
    let worker = Worker::start(&app, Link::to(&app), 1);
    leased(&admin, sweep).await;
    assert_eq!(worker.end().await, WorkerSummary { released: 1, ..WorkerSummary::default() });
    let trials = admin.sweep_trials_all(sweep, &TrialQuery::default()).await.unwrap();
    assert!(
        trials.iter().all(|trial| trial.state == TrialState::Queued && trial.failures + trial.crashes == 0)
    );
    let held = trials.iter().find(|trial| trial.attempts == 1).unwrap();
    let attempt = &admin.trial_attempts(held.id).await.unwrap()[0];
    assert_eq!((attempt.outcome, attempt.reason.as_deref()), (Some(AttemptOutcome::Released), Some("drain")));
}

#[tokio::test]
async fn a_trial_that_was_to_stop_when_its_worker_died_stops_at_the_same_point_again() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    let mut spec = build::sweep("halved", 1);
    // So many epochs that nobody ends before it hears.
    for (key, value) in [("epochs", json!(2000)), ("batch_size", json!(16)), ("diagnostics", json!("off"))] {
        spec["trial"][key] = value;
    }
    spec["stop"] = json!({ "method": "asha", "reduction": 2 });
    let sweep = admin.sweep_submit(&spec, None).await.unwrap().row.id;
    let dying = app.worker("dying");
    let leases = dying.claim(2).await;
    let say = async |lease: &Lease, accuracy: f64| {
        let values = [("test_accuracy".to_owned(), Some(accuracy))].into();
        let points = vec![MetricPoint { seq: 0, step: 4, epoch: 1.0, values }];
        let reply: MetricsReply = dying.say(lease, "metrics", &MetricsBatch { points }).await;
        reply.stop
    };
    assert!(!say(&leases[0], 0.9).await && say(&leases[1], 0.0).await);
    app.clock.advance(Duration::from_secs(31));
    eventually("both leases are taken back", || async {
        (admin.sweep_get(sweep).await.unwrap().row.counts.queued == 2).then_some(())
    })
    .await;

    let worker = Worker::start(&app, Link::to(&app), 2);
    let counts = finished(&admin, sweep).await.row.counts;
    assert_eq!((counts.succeeded, counts.stopped), (1, 1));
    let expected = WorkerSummary { succeeded: 1, stopped: 1, ..WorkerSummary::default() };
    assert_eq!(worker.end().await, expected);
    let ended = admin.trial_get(leases[1].trial_id).await.unwrap();
    assert_eq!((ended.row.state, ended.row.attempts), (TrialState::Stopped, 2));
    assert!(ended.row.stopped_step >= Some(4) && ended.row.stopped_step < Some(8000), "{:?}", ended.row);
    let reason = "at epoch 1: test_accuracy of 0.0000 is not among the best 1 of 2 so far";
    assert_eq!(ended.row.reason.as_deref(), Some(reason), "it was not judged anew");
    assert!(ended.result.unwrap().metrics["test_accuracy"].is_some());
    let outcomes: Vec<_> = ended.attempt_rows.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(outcomes, [Some(AttemptOutcome::Expired), Some(AttemptOutcome::Stopped)]);
}

#[tokio::test]
async fn an_idle_worker_holds_nothing_when_it_is_drained() {
    let app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    let worker = Worker::start(&app, Link::to(&app), 1);
    eventually("it asks for work", || async {
        (!admin.worker_list().await.unwrap().is_empty()).then_some(())
    })
    .await;
    assert_eq!(worker.end().await, WorkerSummary::default());
}

#[tokio::test]
async fn training_goes_on_while_the_server_is_away() {
    let mut app = TestApp::start().await;
    let admin = client(&app, Scope::Admin);
    let mut spec = build::sweep("outage", 2);
    spec["trial"]["epochs"] = json!(30);
    let sweep = admin.sweep_submit(&spec, None).await.unwrap().row.id;
    let link = Link::to(&app);
    let worker = Worker::start(&app, link.clone(), 2);
    leased(&admin, sweep).await;
    link.cut();
    app.restart().await;
    link.heal(&app);
    let admin = client(&app, Scope::Admin);
    let detail = finished(&admin, sweep).await;
    assert_eq!(detail.row.counts.succeeded, 4);
    for trial in admin.sweep_trials_all(sweep, &TrialQuery::default()).await.unwrap() {
        assert_eq!((trial.attempts, trial.failures, trial.crashes), (1, 0, 0), "nothing was trained twice");
        let points = admin.trial_metrics(trial.id).await.unwrap().points;
        assert!(points.iter().zip(0..).all(|(point, seq)| point.seq == seq));
    }
    worker.end().await;
}
