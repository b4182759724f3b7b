//! Leases over HTTP: fences, repeats, waiting, the reaper under a fake clock.

use std::time::Duration;

use jiff::SignedDuration;
use motif_sweep::lifecycle::TrialState;
use motif_testkit::{TestApp, app::eventually, build};
use motif_wire::{
    problem::ProblemCode,
    system::Scope,
    trials::TrialDetail,
    work::{Completion, MetricsBatch, MetricsReply, ReportReply},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

async fn state(app: &TestApp, trial: uuid::Uuid) -> TrialState {
    let trial: TrialDetail = app.admin().get(&format!("/api/v1/trials/{trial}")).await;
    trial.row.state
}

async fn becomes(app: &TestApp, trial: uuid::Uuid, wanted: TrialState) {
    let what = format!("trial is {}", wanted.name());
    eventually(&what, || async { (state(app, trial).await == wanted).then_some(()) }).await;
}

#[tokio::test]
async fn a_dead_workers_trial_is_leased_again_and_its_late_reports_are_stale() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("reaped", 1)).await;
    let dead = app.worker("dead");
    let lease = dead.claim(1).await.remove(0);
    app.clock.advance(Duration::from_secs(31));
    becomes(&app, lease.trial_id, TrialState::Queued).await;
    let other = app.worker("other");
    let again = other.claim(2).await.into_iter().find(|l| l.trial_id == lease.trial_id).unwrap();
    assert_eq!((again.attempt, again.seed), (2, lease.seed));

    let report = Completion { report: build::report([].into()) };
    let points = MetricsBatch { points: vec![build::point(0, &[("train_loss", 1.0)])] };
    for request in [
        dead.report(&lease, "heartbeat", &json!({"step": 1})),
        dead.report(&lease, "metrics", &points),
        dead.report(&lease, "complete", &report),
        dead.report(&lease, "fail", &json!({"reason": "x", "retryable": true})),
        dead.report(&lease, "release", &json!({"reason": "x"})),
    ] {
        let problem = dead.caller.refused(request, StatusCode::CONFLICT).await;
        assert_eq!(problem.code, ProblemCode::StaleLease);
    }
    let done: ReportReply = other.say(&again, "complete", &report).await;
    assert_eq!(done.state, TrialState::Succeeded);
}

#[tokio::test]
async fn the_reaper_waits_one_lease_after_a_start_and_after_a_jump_of_the_clock() {
    let mut app = TestApp::start().await;
    app.admin().submit(&build::sweep("graced", 1)).await;
    let worker = app.worker("w");
    let lease = worker.claim(1).await.remove(0);
    // The server is away for ten minutes; the worker comes back within one lease.
    app.stop().await;
    app.clock.advance(Duration::from_secs(600));
    app.restart().await;
    looked(&app).await;
    let worker = app.worker("w");
    app.clock.advance(Duration::from_secs(20));
    let beat: Value = worker.say(&lease, "heartbeat", &json!({"step": 5})).await;
    assert_eq!(beat["cancel"], json!(false));
    // Past that grace, an administrator sets the clock an hour ahead: the lease has expired by it, but is not taken back.
    app.clock.advance(Duration::from_secs(16));
    looked(&app).await;
    app.clock.jump_wall(SignedDuration::from_hours(1));
    looked(&app).await;
    assert_eq!(state(&app, lease.trial_id).await, TrialState::Leased);
    let _: Value = worker.say(&lease, "heartbeat", &json!({"step": 6})).await;
    app.clock.advance(Duration::from_secs(31));
    becomes(&app, lease.trial_id, TrialState::Queued).await;
}

/// Waits until the reaper has looked at the present time: two rounds have ended, of which one began just now.
async fn looked(app: &TestApp) {
    let before = looks(app).await;
    eventually("the reaper looks", || async { (looks(app).await >= before + 2).then_some(()) }).await;
}

async fn looks(app: &TestApp) -> u64 {
    let text = app.admin().text("/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix("motif_reaper_looks_total "));
    line.expect("the metric is there").parse().expect("a count")
}

#[tokio::test]
async fn a_repeated_claim_gets_the_same_leases() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("repeated", 2)).await;
    let worker = app.worker("w");
    let request = worker.claim_request(2, 0);
    let first = worker.send_claim(&request).await;
    let again = worker.send_claim(&request).await;
    assert_eq!(first.len(), 2);
    let tokens = |leases: &[motif_wire::work::Lease]| -> Vec<_> {
        let mut tokens: Vec<_> = leases.iter().map(|l| (l.attempt_id, l.token.clone())).collect();
        tokens.sort();
        tokens
    };
    assert_eq!(tokens(&first), tokens(&again));
    assert_ne!(first[0].token, first[1].token);
    for lease in &again {
        let _: Value = worker.say(lease, "heartbeat", &json!({"step": 1})).await;
    }
    assert_eq!(worker.claim(10).await.len(), 2);
}

#[tokio::test]
async fn a_waiting_claim_is_woken_by_a_submission_and_by_a_release() {
    let app = TestApp::start().await;
    let (first, second) = (app.worker("a"), app.worker("b"));
    let request = first.claim_request(8, 30);
    let waiting = first.send_claim(&request);
    let submitting = app.admin();
    let spec = build::sweep("woken", 1);
    let submitted = async {
        // The claim is under way when its worker is known.
        eventually("the worker is known", || async {
            let workers: Vec<Value> = submitting.get("/api/v1/workers").await;
            (!workers.is_empty()).then_some(())
        })
        .await;
        submitting.submit(&spec).await
    };
    let (leases, _) =
        tokio::time::timeout(Duration::from_secs(4), async { tokio::join!(waiting, submitted) })
            .await
            .expect("woken at once, not at the next regular look");
    assert_eq!(leases.len(), 2);

    let request = second.claim_request(1, 30);
    let waiting = second.send_claim(&request);
    let released = async {
        eventually("the worker is known", || async {
            let workers: Vec<Value> = submitting.get("/api/v1/workers").await;
            (workers.len() == 2).then_some(())
        })
        .await;
        let reply: ReportReply = first.say(&leases[0], "release", &json!({"reason": "drain"})).await;
        assert_eq!(reply.state, TrialState::Queued);
    };
    let (leases, ()) =
        tokio::time::timeout(Duration::from_secs(4), async { tokio::join!(waiting, released) })
            .await
            .expect("woken at once, not at the next regular look");
    assert_eq!((leases.len(), leases[0].attempt), (1, 2));
}

#[tokio::test]
async fn reports_can_be_repeated() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("twice", 1)).await;
    let worker = app.worker("w");
    let lease = worker.claim(1).await.remove(0);
    let batch = |from: u64, to: u64| MetricsBatch {
        points: (from..to).map(|seq| build::point(seq, &[("train_loss", 1.0)])).collect(),
    };
    for (points, next) in [(batch(0, 2), 2), (batch(0, 2), 2), (batch(1, 4), 4)] {
        let reply: MetricsReply = worker.say(&lease, "metrics", &points).await;
        assert_eq!(reply.next_seq, next);
    }
    let gap = worker.report(&lease, "metrics", &batch(6, 7));
    let problem = worker.caller.refused(gap, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, ProblemCode::Conflict);
    assert!(problem.detail.contains("from 4"), "{}", problem.detail);

    let report = Completion { report: build::report([("test_accuracy".into(), Some(0.5))].into()) };
    for _ in 0..2 {
        let reply: ReportReply = worker.say(&lease, "complete", &report).await;
        assert_eq!(reply.state, TrialState::Succeeded);
    }
    let other = Completion { report: build::report([("test_accuracy".into(), Some(0.6))].into()) };
    let problem =
        worker.caller.refused(worker.report(&lease, "complete", &other), StatusCode::CONFLICT).await;
    assert!(matches!(problem.code, ProblemCode::Conflict | ProblemCode::StaleLease), "{problem:?}");
}

#[tokio::test]
async fn a_failed_trial_is_queued_again_or_given_up() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("failing", 1)).await;
    let worker = app.worker("w");
    let leases = worker.claim(2).await;
    let reply: ReportReply =
        worker.say(&leases[0], "fail", &json!({"reason": "no memory", "retryable": true})).await;
    assert_eq!(reply.state, TrialState::Queued);
    let reply: ReportReply =
        worker.say(&leases[1], "fail", &json!({"reason": "bad config", "retryable": false})).await;
    assert_eq!(reply.state, TrialState::Failed);
    let trial: TrialDetail =
        app.with(Scope::Read).get(&format!("/api/v1/trials/{}", leases[1].trial_id)).await;
    assert_eq!(trial.row.reason.as_deref(), Some("bad config"));
}

#[tokio::test]
async fn a_lease_that_is_no_lease_is_refused() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("lease", 1)).await;
    let worker = app.worker("w");
    let mut lease = worker.claim(1).await.remove(0);
    let good = lease.token.clone();
    for bad in ["", "x", "1.1.short"] {
        lease.token = bad.to_owned();
        let request = worker.report(&lease, "heartbeat", &json!({"step": 1}));
        let problem = worker.caller.refused(request, StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.errors[0].field, "motif-lease");
    }
    let (epoch, rest) = good.split_once('.').unwrap();
    let other_epoch = format!("{}.{rest}", epoch.parse::<u64>().unwrap() + 1);
    let other_secret = format!("{epoch}.1.{}", "0".repeat(64));
    for stale in [other_epoch, other_secret] {
        lease.token = stale;
        let request = worker.report(&lease, "heartbeat", &json!({"step": 1}));
        let problem = worker.caller.refused(request, StatusCode::CONFLICT).await;
        assert_eq!(problem.code, ProblemCode::StaleLease);
    }
}

#[tokio::test]
async fn a_report_of_an_older_worker_is_taken_and_a_negative_cost_is_not() {
    let app = TestApp::start().await;
    app.admin().submit(&build::sweep("costs", 1)).await;
    let worker = app.worker("w");
    let lease = worker.claim(1).await.remove(0);
    let mut report =
        serde_json::to_value(build::report([("test_accuracy".into(), Some(0.5))].into())).unwrap();
    report["spectra_s"] = json!(-1.0);
    let request = worker.report(&lease, "complete", &json!({ "report": report }));
    let problem = worker.caller.refused(request, StatusCode::BAD_REQUEST).await;
    assert_eq!(
        (problem.errors[0].field.as_str(), problem.errors[0].value.as_deref()),
        ("report.spectra_s", Some("-1"))
    );
    for name in ["evaluation_s", "diagnostics_s", "spectra_s"] {
        report.as_object_mut().unwrap().remove(name);
    }
    let reply: ReportReply = worker.say(&lease, "complete", &json!({ "report": report })).await;
    assert_eq!(reply.state, TrialState::Succeeded);
    let trial: Value = app.with(Scope::Read).get(&format!("/api/v1/trials/{}", lease.trial_id)).await;
    assert_eq!((&trial["result"]["training_s"], trial["result"].get("spectra_s")), (&json!(0.5), None));
}
