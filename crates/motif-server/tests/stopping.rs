//! Early stopping over real HTTP: what workers hear, and what becomes of trials that end early.

use motif_sweep::lifecycle::{AttemptOutcome, TrialState};
use motif_testkit::{TestApp, build};
use motif_wire::{
    metrics::MetricPoint,
    problem::ProblemCode,
    statistics::{Comparisons, Leaderboard, Ledger, Summary},
    sweeps::{SweepAction, SweepDetail, SweepState},
    system::Scope,
    trials::{TrialDetail, TrialReport},
    work::{Completion, Heartbeat, HeartbeatReply, Lease, MetricsBatch, MetricsReply, ReportReply},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Four rates, one seed, nine epochs; half of those that reach an epoch of 1, 2, 4, 8 go on.
fn search() -> Value {
    let mut spec = build::sweep("search", 1);
    spec["axes"] = json!({ "rates.w": [0.1, 0.2, 0.3, 0.4] });
    spec["baseline"] = json!({ "rates.w": 0.1 });
    spec["trial"]["rule"] = json!("bp");
    spec["trial"]["epochs"] = json!(9);
    spec["stop"] = json!({ "method": "asha", "reduction": 2 });
    spec
}

fn rate(lease: &Lease) -> f64 {
    lease.config["rates"]["w"].as_f64().expect("a rate")
}

fn epoch(epoch: u64, accuracy: f64) -> MetricPoint {
    build::point(epoch, &[("test_accuracy", accuracy)])
}

fn batch(points: &[MetricPoint]) -> MetricsBatch {
    MetricsBatch { points: points.to_vec() }
}

fn stopped(step: u64, accuracy: f64) -> TrialReport {
    TrialReport {
        stopped_step: Some(step),
        stopped_epoch: Some(step as f64 / 10.0),
        steps: step,
        ..build::report([("test_accuracy".to_owned(), Some(accuracy))].into())
    }
}

#[tokio::test]
async fn a_search_stops_what_is_behind_and_counts_it_apart() {
    let app = TestApp::start().await;
    let submitter = app.with(Scope::Submit);
    let sweep = submitter.submit(&search()).await;
    let worker = app.worker("w1");
    let mut leases = worker.claim(10).await;
    assert!(leases.iter().all(|lease| lease.judged));
    leases.sort_by(|a, b| rate(b).total_cmp(&rate(a)));

    // The best comes first, so that all the others are behind.
    let mut answers = Vec::new();
    for lease in &leases {
        let first = batch(&[epoch(0, 0.1), epoch(1, rate(lease))]);
        let reply: MetricsReply = worker.say(lease, "metrics", &first).await;
        answers.push(reply.stop);
        let again: MetricsReply = worker.say(lease, "metrics", &first).await;
        assert_eq!(again, reply, "a repeated batch is answered the same");
        let beat = Heartbeat { step: 11, total_steps: Some(90) };
        let alive: HeartbeatReply = worker.say(lease, "heartbeat", &beat).await;
        assert_eq!((alive.stop, alive.cancel), (reply.stop, false));
    }
    assert_eq!(answers, [false, true, true, true]);
    let running: TrialDetail = app.admin().get(&format!("/api/v1/trials/{}", leases[1].trial_id)).await;
    assert!(running.row.stop_decided && running.row.state == TrialState::Leased);

    worker.complete(&leases[0], &[("test_accuracy", 0.4)]).await;
    let done: ReportReply =
        worker.say(&leases[1], "complete", &Completion { report: stopped(12, 0.3) }).await;
    assert_eq!(done.state, TrialState::Stopped);
    let done: ReportReply =
        worker.say(&leases[2], "complete", &Completion { report: stopped(25, 0.2) }).await;
    assert_eq!(done.state, TrialState::Stopped);
    // It had made its last step before it heard: whole.
    let whole = worker.complete(&leases[3], &[("test_accuracy", 0.45)]).await;
    assert_eq!(whole.state, TrialState::Succeeded);

    let reader = app.with(Scope::Read);
    let path = format!("/api/v1/sweeps/{}", sweep.row.id);
    let detail: SweepDetail = reader.get(&path).await;
    assert_eq!((detail.row.state, detail.row.progress), (SweepState::Finished, 1.0));
    assert_eq!((detail.row.counts.succeeded, detail.row.counts.stopped), (2, 2));
    assert_eq!(detail.spec["stop"], json!({ "method": "asha", "reduction": 2 }));

    for policy in ["exclude", "worst"] {
        let summary: Summary = reader.get(&format!("{path}/summary?diverged={policy}")).await;
        let means: Vec<_> = summary.conditions.iter().map(|row| row.mean).collect();
        assert_eq!(means, [Some(0.45), None, None, Some(0.4)], "{policy}");
        assert_eq!(summary.conditions[1].notes[0], "1 of 1 seeds stopped early: censored");
    }
    let comparisons: Comparisons = reader.get(&format!("{path}/comparisons")).await;
    assert_eq!(comparisons.rows.iter().map(|row| row.n).collect::<Vec<_>>(), [0, 0, 1]);
    let ledger: Ledger = reader.get(&format!("{path}/ledger")).await;
    assert_eq!(ledger.rows[2].cells[0].state, Some(TrialState::Stopped));

    let board: Leaderboard = reader.get(&format!("{path}/leaderboard?limit=3")).await;
    let rows: Vec<_> =
        board.rows.iter().map(|row| (row.condition, row.mean, row.stopped_epochs.clone())).collect();
    assert_eq!(rows, [(0, 0.45, vec![]), (3, 0.4, vec![]), (2, 0.3, vec![1.2])]);
    assert_eq!((board.ranked, board.conditions), (4, 4));
    assert!(board.notes.iter().any(|note| note.contains("optimistic")));

    let trial: TrialDetail = reader.get(&format!("/api/v1/trials/{}", leases[2].trial_id)).await;
    assert_eq!((trial.row.stopped_step, trial.row.stopped_epoch), (Some(25), Some(2.5)));
    assert_eq!(
        (trial.row.result_hash.as_deref(), trial.attempt_rows[0].outcome.map(AttemptOutcome::name)),
        (None, Some("stopped"))
    );
    assert!(trial.row.reason.unwrap().starts_with("at epoch 1: test_accuracy of 0.2000"));
    let csv = reader.text(&format!("{path}/export")).await;
    assert_eq!(csv.matches(",stopped,").count(), 2, "{csv}");
    let figures = reader.text("/metrics").await;
    assert!(figures.contains("motif_trials{state=\"stopped\"} 2"), "{figures}");

    let retried: SweepAction = submitter.post(&format!("{path}/retry"), &json!({}), StatusCode::OK).await;
    assert_eq!((retried.changed, retried.pending), (0, 0));
}

#[tokio::test]
async fn a_report_of_a_stop_must_make_sense_and_have_been_asked_for() {
    let app = TestApp::start().await;
    app.with(Scope::Submit).submit(&search()).await;
    let worker = app.worker("w1");
    let lease = worker.claim(1).await.remove(0);
    let cases = [
        (TrialReport { stopped_epoch: None, ..stopped(5, 0.1) }, "report.stopped_epoch"),
        (TrialReport { stopped_step: None, ..stopped(5, 0.1) }, "report.stopped_epoch"),
        (TrialReport { stopped_epoch: Some(-1.0), ..stopped(5, 0.1) }, "report.stopped_epoch"),
        (TrialReport { steps: 6, ..stopped(5, 0.1) }, "report.stopped_step"),
        (TrialReport { diverged_step: Some(5), ..stopped(5, 0.1) }, "report.stopped_step"),
    ];
    let caller = app.with(Scope::Worker);
    for (report, field) in cases {
        let request = worker.report(&lease, "complete", &Completion { report });
        let problem = caller.refused(request, StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.errors[0].field, field, "{problem:?}");
    }
    let request = worker.report(&lease, "complete", &Completion { report: stopped(5, 0.1) });
    let problem = caller.refused(request, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, ProblemCode::StaleLease, "nobody decided that it ends early");
    let alive: HeartbeatReply =
        worker.say(&lease, "heartbeat", &Heartbeat { step: 5, total_steps: None }).await;
    assert!(!alive.stop);
}

#[tokio::test]
async fn a_sweep_that_could_stop_nothing_is_refused() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let mut spec = search();
    spec["stop"] = json!({ "method": "asha", "metric": "validation_accuracy" });
    let request = caller.request(Method::POST, "/api/v1/sweeps").body(spec.to_string());
    let problem = caller.refused(request, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!((problem.code, problem.errors[0].field.as_str()), (ProblemCode::InvalidSpec, "stop.metric"));
    assert_eq!(problem.errors[0].suggestion.as_deref(), Some("test_accuracy"));
}

/// A server that does not know of stops says nothing of them.
#[test]
fn replies_without_a_stop_are_read() {
    let alive: HeartbeatReply = serde_json::from_value(json!({ "cancel": false, "lease_s": 30 })).unwrap();
    let stored: MetricsReply = serde_json::from_value(json!({ "next_seq": 3 })).unwrap();
    assert!(!alive.stop && !stored.stop);
}
