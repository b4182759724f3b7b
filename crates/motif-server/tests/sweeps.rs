//! A sweep's way from submission to statistics, over real HTTP.

use motif_testkit::{TestApp, build};
use motif_wire::{
    metrics::TrialMetrics,
    problem::ProblemCode,
    statistics::{Comparisons, Curves, Ledger, Summary},
    sweeps::{SweepAction, SweepDetail, SweepPage, SweepState},
    system::{Scope, WorkerRow},
    trials::{TrialDetail, TrialPage, TrialRow},
    verdicts::{VerdictKind, Verdicts},
    work::{Lease, MetricsBatch, MetricsReply},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn a_search_on_held_out_examples_knows_no_test_metric() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let mut spec = build::sweep("search", 1);
    spec["trial"]["validation"] = json!(50);
    let request = caller.request(Method::POST, "/api/v1/sweeps").body(spec.to_string());
    let problem = caller.refused(request, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.code, ProblemCode::InvalidSpec);
    let error = &problem.errors[0];
    assert_eq!((error.field.as_str(), problem.errors.len()), ("metric", 1));
    assert_eq!(error.suggestion.as_deref(), Some("validation_accuracy"), "{error:?}");

    spec["metric"] = json!("validation_accuracy");
    let sweep = caller.submit(&spec).await;
    let worker = app.worker("w1");
    for lease in worker.claim(10).await {
        worker.complete(&lease, &[("validation_accuracy", accuracy(&lease)), ("train_loss", 1.0)]).await;
    }
    let reader = app.with(Scope::Read);
    let path = format!("/api/v1/sweeps/{}", sweep.row.id);
    let summary: Summary = reader.get(&format!("{path}/summary")).await;
    assert_eq!((summary.metric.as_str(), summary.conditions[0].mean), ("validation_accuracy", Some(0.9)));
    let known = ["train_accuracy", "train_loss", "validation_accuracy", "validation_loss"];
    assert_eq!(summary.metrics, known);
    let request = reader.request(Method::GET, &format!("{path}/summary?metric=test_accuracy"));
    let problem = reader.refused(request, StatusCode::BAD_REQUEST).await;
    assert!(problem.errors[0].message.contains("validation_accuracy"), "{problem:?}");
}

/// The condition's rule decides the accuracy, the seed adds a little.
fn accuracy(lease: &Lease) -> f64 {
    let base = if lease.config["rule"] == "bp" { 0.9 } else { 0.8 };
    base + 0.01 * (lease.seed * lease.seed) as f64
}

#[tokio::test]
async fn a_sweep_goes_from_submission_to_statistics() {
    let app = TestApp::start().await;
    let mut spec = build::sweep("first", 3);
    spec["claims"] = json!([
        { "text": "bp leads", "test": "best", "of": { "rule": "bp" } },
        { "text": "the loss rises", "test": "grows", "metric": "train_loss" },
    ]);
    let sweep = app.with(Scope::Submit).submit(&spec).await;
    assert_eq!((sweep.row.conditions, sweep.row.seeds, sweep.row.counts.queued), (2, 3, 6));
    assert_eq!((sweep.row.state, sweep.baseline, sweep.row.progress), (SweepState::Queued, Some(0), 0.0));
    assert_eq!(sweep.condition_rows[0].dataset_hash, motif_data::GLYPHS_HASH);

    let worker = app.worker("w1");
    let leases = worker.claim(10).await;
    assert_eq!(leases.len(), 6);
    // Seeded blocks: both conditions of one seed before the next seed.
    assert_eq!(leases[0].seed, leases[1].seed);
    for lease in &leases {
        let points = vec![
            build::point(0, &[("test_accuracy", 0.5), ("train_loss", 2.0)]),
            build::point(1, &[("test_accuracy", accuracy(lease)), ("train_loss", 1.0)]),
        ];
        let reply: MetricsReply = worker.say(lease, "metrics", &MetricsBatch { points }).await;
        assert_eq!(reply.next_seq, 2);
        worker.complete(lease, &[("test_accuracy", accuracy(lease)), ("train_loss", 1.0)]).await;
    }

    let reader = app.with(Scope::Read);
    let path = format!("/api/v1/sweeps/{}", sweep.row.id);
    let detail: SweepDetail = reader.get(&path).await;
    assert_eq!((detail.row.state, detail.row.progress), (SweepState::Finished, 1.0));
    assert!(detail.row.finished_at.is_some());
    assert_eq!(detail.condition_rows[1].counts.succeeded, 3);

    let summary: Summary = reader.get(&format!("{path}/summary")).await;
    assert_eq!(summary.metric, "test_accuracy");
    assert!(summary.metrics.contains(&"train_loss".to_owned()));
    let bp = &summary.conditions[0];
    assert_eq!((bp.n, bp.complete, bp.notes.len()), (3, true, 0));
    let mean = (0.9 + 0.91 + 0.94) / 3.0;
    assert!((bp.mean.unwrap() - mean).abs() < 1e-12);
    assert_eq!(bp.values.iter().map(|v| v.seed).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(bp.interval.as_ref().unwrap().method, "student_t");

    let comparisons: Comparisons = reader.get(&format!("{path}/comparisons")).await;
    assert_eq!((comparisons.correction.as_str(), comparisons.rows.len()), ("holm", 1));
    let row = &comparisons.rows[0];
    assert!((row.mean_difference.unwrap() + 0.1).abs() < 1e-9, "{row:?}");
    assert_eq!((row.n, row.superiority), (3, Some(0.0)));

    let curves: Curves = reader.get(&format!("{path}/curves?metric=train_loss")).await;
    let points = &curves.conditions[0].points;
    assert_eq!(points.iter().map(|p| (p.step, p.n, p.mean)).collect::<Vec<_>>(), [(0, 3, 2.0), (10, 3, 1.0)]);

    let ledger: Ledger = reader.get(&format!("{path}/ledger")).await;
    assert_eq!((ledger.seeds.as_slice(), ledger.rows.len()), (&[0, 1, 2][..], 2));
    assert!(ledger.rows.iter().all(|row| row.cells.iter().all(|cell| cell.state.is_some())));

    let verdicts: Verdicts = reader.get(&format!("{path}/verdicts")).await;
    let answers: Vec<_> = verdicts.claims.iter().map(|claim| (claim.verdict, claim.n)).collect();
    assert_eq!(answers, [(VerdictKind::Supported, 3), (VerdictKind::NotSupported, 3)], "{verdicts:#?}");
    assert_eq!(
        (verdicts.verdict, verdicts.tests, verdicts.complete),
        (Some(VerdictKind::NotSupported), 2, true)
    );
    assert_eq!(verdicts.claims[1].effect, Some(-1.0));

    let csv = reader.text(&format!("{path}/export")).await;
    assert_eq!(csv.lines().count(), 7);
    let header = csv.lines().next().unwrap();
    for column in ["axes.rule", "test_accuracy", "seed", "state", "result_hash", "worker"] {
        assert!(header.split(',').any(|found| found == column), "{column} in {header}");
    }
    let json: Value = reader.get(&format!("{path}/export?format=json")).await;
    assert_eq!(json["trials"].as_array().unwrap().len(), 6);
    assert_eq!(json["trials"][0]["result"]["provenance"]["host"], "here");
    assert!(header.contains("training_s,evaluation_s,diagnostics_s,spectra_s,"), "{header}");
    assert!(csv.lines().skip(1).all(|row| row.contains(",0.5,0.125,0.0625,0.25,")), "{csv}");
    let long = reader.text(&format!("{path}/export?format=csv&shape=long")).await;
    let trial = leases[0].trial_id;
    let of_trial: Vec<&str> = long.lines().filter(|row| row.starts_with(&trial.to_string())).collect();
    assert_eq!(long.lines().next(), Some("trial_id,condition,label,seed,step,epoch,metric,value"));
    assert!(of_trial.iter().any(|row| row.ends_with(",10,1,train_loss,1")), "{of_trial:?}");
    for shape in ["wide", "long"] {
        let request = reader.request(Method::GET, &format!("{path}/export?format=parquet&shape={shape}"));
        let response = reader.send(request).await;
        assert_eq!(response.headers()["content-type"], "application/vnd.apache.parquet");
        let name = if shape == "long" { "points" } else { "sweep" };
        let disposition = response.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert!(disposition.contains(&format!("{name}-{}.parquet", sweep.row.id)), "{disposition}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{shape}");
    }

    let trial: TrialDetail = reader.get(&format!("/api/v1/trials/{}", leases[0].trial_id)).await;
    assert_eq!((trial.row.worker.as_deref(), trial.attempt_rows.len()), (Some("w1"), 1));
    assert_eq!(trial.row.metric, Some(accuracy(&leases[0])));
    let report = trial.result.unwrap();
    let costs = (report.evaluation_s, report.diagnostics_s, report.spectra_s);
    assert_eq!(costs, (Some(0.125), Some(0.0625), Some(0.25)));
    let metrics: TrialMetrics = reader.get(&format!("/api/v1/trials/{}/metrics", leases[0].trial_id)).await;
    assert_eq!((metrics.attempt, metrics.points.len()), (1, 2));
    let attempts: Vec<Value> = reader.get(&format!("/api/v1/trials/{}/attempts", leases[0].trial_id)).await;
    assert_eq!(attempts[0]["outcome"], "succeeded");
    let workers: Vec<WorkerRow> = reader.get("/api/v1/workers").await;
    assert_eq!((workers[0].name.as_str(), workers[0].completed, workers[0].alive), ("w1", 6, true));
    let metrics = reader.text("/metrics").await;
    assert!(metrics.contains("motif_trials{state=\"succeeded\"} 6"), "{metrics}");
    assert!(metrics.contains("motif_workers_alive 1"), "{metrics}");
}

#[tokio::test]
async fn a_repeated_submission_is_stored_once() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let body = build::sweep("once", 2).to_string();
    let request = |key: &str, body: &str| {
        let request = caller.request(Method::POST, "/api/v1/sweeps");
        request
            .header("idempotency-key", key)
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let first = caller.send(request("k1", &body)).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    let location = first.headers()["location"].to_str().unwrap().to_owned();
    let first: SweepDetail = first.json().await.unwrap();
    assert_eq!(location, format!("/api/v1/sweeps/{}", first.row.id));

    let again = caller.send(request("k1", &body)).await;
    assert_eq!(
        (again.status(), &again.headers()["idempotency-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    assert_eq!(again.json::<SweepDetail>().await.unwrap().row.id, first.row.id);
    let other = build::sweep("other", 2).to_string();
    let problem = caller.refused(request("k1", &other), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.code, ProblemCode::IdempotencyMismatch);
    let page: SweepPage = caller.get("/api/v1/sweeps").await;
    assert_eq!(page.items.len(), 1);

    // The same key of another principal is another key.
    let admin = app.admin();
    let request = admin.request(Method::POST, "/api/v1/sweeps").header("idempotency-key", "k1").body(other);
    assert_eq!(admin.send(request).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let app = TestApp::start().await;
    let caller = app.admin();
    let mut submitted = Vec::new();
    for number in 0..5 {
        app.clock.advance(std::time::Duration::from_millis(2));
        submitted.push(caller.submit(&build::sweep(&format!("s{number}"), 4)).await.row.id);
    }
    submitted.reverse();
    let mut found = Vec::new();
    let mut path = "/api/v1/sweeps?limit=2".to_owned();
    loop {
        let page: SweepPage = caller.get(&path).await;
        assert!(page.items.len() <= 2);
        found.extend(page.items.iter().map(|row| row.id));
        let Some(cursor) = page.next_cursor else { break };
        path = format!("/api/v1/sweeps?limit=2&cursor={cursor}");
    }
    assert_eq!(found, submitted);

    let base = format!("/api/v1/sweeps/{}/trials?limit=3", found[0]);
    let (mut trials, mut path) = (Vec::<TrialRow>::new(), base.clone());
    loop {
        let page: TrialPage = caller.get(&path).await;
        trials.extend(page.items);
        let Some(cursor) = page.next_cursor else { break };
        path = format!("{base}&cursor={cursor}");
    }
    let mut ids: Vec<_> = trials.iter().map(|trial| trial.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((trials.len(), ids.len()), (8, 8));
    let queued: TrialPage = caller.get(&format!("{base}&state=succeeded")).await;
    assert!(queued.items.is_empty() && queued.next_cursor.is_none());
}

#[tokio::test]
async fn a_sweep_can_be_paused_resumed_cancelled_and_retried() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let worker = app.worker("w");
    let sweep = caller.submit(&build::sweep("steered", 1)).await.row.id;
    let path = format!("/api/v1/sweeps/{sweep}");
    let _: SweepAction = caller.post(&format!("{path}/pause"), &json!({}), StatusCode::OK).await;
    assert!(worker.claim(1).await.is_empty());
    let detail: SweepDetail = caller.get(&path).await;
    assert_eq!(detail.row.state, SweepState::Paused);
    let _: SweepAction = caller.post(&format!("{path}/resume"), &json!({}), StatusCode::OK).await;
    let leases = worker.claim(1).await;
    assert_eq!(leases.len(), 1);
    let action: SweepAction = caller.post(&format!("{path}/cancel"), &json!({}), StatusCode::OK).await;
    assert_eq!((action.changed, action.pending), (1, 1));
    let beat: Value = worker.say(&leases[0], "heartbeat", &json!({"step": 3, "total_steps": 10})).await;
    assert_eq!((&beat["cancel"], &beat["lease_s"]), (&json!(true), &json!(30)));
    let _: Value = worker.say(&leases[0], "release", &json!({"reason": "cancelled"})).await;
    let detail: SweepDetail = caller.get(&path).await;
    assert_eq!((detail.row.state, detail.row.counts.cancelled), (SweepState::Cancelled, 2));
    let action: SweepAction = caller.post(&format!("{path}/retry"), &json!({}), StatusCode::OK).await;
    assert_eq!(action.changed, 2);
    assert_eq!(worker.claim(5).await.len(), 2);
}

#[tokio::test]
async fn a_preset_with_overrides_is_a_sweep() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let presets: Vec<Value> = caller.get("/api/v1/presets").await;
    assert!(presets.iter().any(|preset| preset["name"] == "demo" && preset["trials"].as_u64() > Some(1)));
    let sweep = caller.submit(&json!({"preset": "demo", "overrides": {"seeds": 2}})).await;
    assert_eq!(sweep.seed_values, [0, 1]);
}
