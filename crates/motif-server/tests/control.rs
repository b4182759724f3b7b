//! Steering a sweep after its submission, over real HTTP.

use std::collections::BTreeMap;

use motif_testkit::{TestApp, TestWorker, app::eventually, build};
use motif_wire::{
    IDEMPOTENCY_HEADER,
    control::{AmendReply, Holes},
    problem::ProblemCode,
    reproduction::{Verdict, Verification},
    sweeps::{SweepAction, SweepDetail, SweepPage, SweepState},
    system::Scope,
    trials::TrialReport,
    work::{Completion, Failure, Lease, ReportReply},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const OK: StatusCode = StatusCode::OK;

fn path(id: Uuid, what: &str) -> String {
    format!("/api/v1/sweeps/{id}/{what}")
}

async fn detail(app: &TestApp, id: Uuid) -> SweepDetail {
    app.with(Scope::Read).get(&format!("/api/v1/sweeps/{id}")).await
}

#[tokio::test]
async fn an_amendment_adds_once_and_is_logged() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let worker = app.worker("w");
    let sweep = caller.submit(&build::sweep("a", 2)).await;
    let id = sweep.row.id;
    for lease in worker.claim(9).await {
        worker.complete(&lease, &[("test_accuracy", 0.5)]).await;
    }
    assert_eq!(detail(&app, id).await.row.state, SweepState::Finished);

    let change = json!({ "seeds": 3, "arms": [{ "label": "fa", "rule": "fa" }], "note": "feedback, too" });
    let send = |change: &Value, key: &str| {
        caller
            .request(Method::POST, &path(id, "amend"))
            .header(IDEMPOTENCY_HEADER, key)
            .body(change.to_string())
    };
    let first: AmendReply = caller.send(send(&change, "k")).await.json().await.unwrap();
    let amendment = first.amendment.clone().unwrap();
    assert_eq!((amendment.added_conditions, amendment.added_seeds, amendment.added_trials), (1, 1, 5));
    assert_eq!((amendment.principal.as_str(), amendment.note.as_deref()), ("submit", Some("feedback, too")));
    assert_eq!(amendment.change, json!({ "seeds": 3, "arms": [{ "label": "fa", "rule": "fa" }] }));
    assert_eq!(amendment.in_words(), "+1 seed, +1 condition (5 trials)");
    assert_eq!((first.sweep.row.state, first.sweep.row.counts.queued), (SweepState::Running, 5));

    let again = caller.send(send(&change, "k")).await;
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    let again: AmendReply = again.json().await.unwrap();
    assert_eq!((again.amendment, again.sweep.row.counts.queued), (Some(amendment.clone()), 5));
    let refused = caller.refused(send(&json!({ "seeds": 9 }), "k"), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused.code, ProblemCode::IdempotencyMismatch);
    let nothing: AmendReply = caller.post(&path(id, "amend"), &json!({ "seeds": 3 }), OK).await;
    assert_eq!(nothing.amendment, None);

    let stored = detail(&app, id).await;
    assert_eq!((stored.amendments, stored.seed_values), (vec![amendment], vec![0, 1, 2]));
    assert_eq!(stored.spec["seeds"], 3);
    assert_eq!(stored.spec["arms"][0]["label"], "fa");
    let labels: Vec<&str> = stored.condition_rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["rule=bp", "rule=sal", "fa"]);
    let leases = worker.claim(9).await;
    assert_eq!(leases.iter().map(|lease| lease.seed).collect::<Vec<_>>(), [0, 1, 2, 2, 2]);
}

#[tokio::test]
async fn an_amendment_that_takes_away_is_refused() {
    let app = TestApp::start().await;
    app.library.put("mine", &build::dataset(1), false).unwrap();
    let caller = app.with(Scope::Submit);
    let mut spec = build::sweep("a", 2);
    spec["trial"] = json!({ "dataset": "mine", "hidden": [4], "epochs": 1, "batch_size": 2 });
    let id = caller.submit(&spec).await.row.id;
    let refused = async |change: Value, status| {
        let request = caller.request(Method::POST, &path(id, "amend")).body(change.to_string());
        caller.refused(request, status).await
    };
    const RULE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
    for (change, field, says) in [
        (json!({ "axes": { "rule": ["sal"] } }), "axes", "\"rule=bp\" would vanish"),
        (json!({ "seeds": [1] }), "seeds", "the seed 0 would vanish"),
        (json!({ "sedes": 3 }), "sedes", "unknown key"),
        (json!({ "trial": { "epochs": 3 } }), "trial", "cannot change"),
        (
            json!({ "arms": [{ "label": "x", "rule": "fa", "dataset": "glyps" }] }),
            "arms[0].dataset",
            "no dataset",
        ),
        (
            json!({ "arms": [{ "label": "x", "rule": "fa", "hidden": [4, 900_000_000] }] }),
            "arms[0].hidden",
            "",
        ),
    ] {
        let problem = refused(change.clone(), RULE).await;
        let error = &problem.errors[0];
        assert!(error.field.starts_with(field) && error.message.contains(says), "{change}: {problem:?}");
    }
    let long = refused(json!({ "seeds": 3, "note": "x".repeat(1001) }), StatusCode::BAD_REQUEST).await;
    assert_eq!(long.errors[0].field, "note");

    // The name has come to mean other contents: more seeds are of the old ones, new conditions would not be.
    app.library.put("mine", &build::dataset(2), true).unwrap();
    let drifted = refused(json!({ "arms": [{ "label": "x", "rule": "fa" }] }), RULE).await;
    assert!(drifted.errors[0].message.contains("other contents"), "{drifted:?}");
    let more: AmendReply = caller.post(&path(id, "amend"), &json!({ "seeds": 3 }), OK).await;
    assert_eq!(more.amendment.unwrap().added_trials, 2);

    let _: SweepAction = caller.post(&path(id, "cancel"), &json!({}), OK).await;
    let cancelled = refused(json!({ "seeds": 4 }), StatusCode::CONFLICT).await;
    assert!(cancelled.detail.contains("cancelled"), "{cancelled:?}");
}

#[tokio::test]
async fn the_higher_priority_runs_first() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let old = caller.submit(&build::sweep("old", 1)).await.row.id;
    let mut spec = build::sweep("urgent", 1);
    spec["priority"] = json!(5);
    let urgent = caller.submit(&spec).await;
    assert_eq!(urgent.row.priority, 5);
    let worker = app.worker("w");
    assert_eq!(worker.claim(1).await[0].sweep_id, urgent.row.id);
    let done: SweepAction = caller.post(&path(old, "priority"), &json!({ "priority": 6 }), OK).await;
    assert_eq!(done.changed, 2);
    assert_eq!(worker.claim(1).await[0].sweep_id, old);
    let page: SweepPage = caller.get("/api/v1/sweeps").await;
    assert_eq!(page.items.iter().map(|row| row.priority).collect::<Vec<_>>(), [5, 6]);
    for (body, field) in [
        (json!({ "priority": 1001 }), "priority"),
        (json!({ "priority": 1.5 }), "priority"),
        (json!({ "prority": 1 }), "prority"),
    ] {
        let request = caller.request(Method::POST, &path(old, "priority")).body(body.to_string());
        assert_eq!(caller.refused(request, StatusCode::BAD_REQUEST).await.errors[0].field, field);
    }
}

#[tokio::test]
async fn holes_are_listed_and_run_and_nothing_else() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&build::sweep("a", 2)).await.row.id;
    let worker = app.worker("w");
    let leases = worker.claim(3).await;
    worker.complete(&leases[0], &[("test_accuracy", 0.5)]).await;
    let failure = Failure { reason: "out of memory".into(), retryable: false };
    let _: ReportReply = worker.say(&leases[1], "fail", &failure).await;
    let holes: Holes = caller.get(&path(id, "holes")).await;
    let [hole] = holes.holes.as_slice() else { panic!("{holes:?}") };
    assert_eq!((hole.trial_id, hole.reason.as_deref()), (Some(leases[1].trial_id), Some("out of memory")));
    let done: SweepAction = caller.post(&path(id, "holes"), &json!({}), OK).await;
    assert_eq!((done.changed, done.pending), (1, 0));
    let counts = detail(&app, id).await.row.counts;
    assert_eq!((counts.queued, counts.leased, counts.succeeded, counts.failed), (2, 1, 1, 0));
    let none: Holes = caller.get(&path(id, "holes")).await;
    assert_eq!(none.holes, []);
}

/// Ends all trials that wait; `value` by rule and seed.
async fn train(worker: &TestWorker, value: impl Fn(&Lease) -> f64) -> usize {
    let leases = worker.claim(50).await;
    for lease in &leases {
        worker.complete(lease, &[("test_accuracy", value(lease)), ("test_loss", 1.0)]).await;
    }
    leases.len()
}

async fn until_ends(app: &TestApp, id: Uuid, value: impl Fn(&Lease) -> f64) -> SweepDetail {
    let worker = app.worker("w");
    loop {
        train(&worker, &value).await;
        // The block has ended: either the next one is queued or the sweep is finished, and never finished in between.
        let sweep = eventually("a decision", || async {
            let sweep = detail(app, id).await;
            (sweep.row.counts.queued > 0 || sweep.row.state == SweepState::Finished).then_some(sweep)
        })
        .await;
        if sweep.row.counts.queued == 0 {
            return sweep;
        }
        assert_eq!((sweep.row.state, sweep.row.finished_at), (SweepState::Running, None));
        assert_eq!(sweep.until.as_ref().expect("it replicates").state.name(), "running");
    }
}

#[tokio::test]
async fn seeds_are_added_until_every_interval_is_narrow_enough() {
    let app = TestApp::start().await;
    let mut spec = build::sweep("a", 1);
    spec["until"] = json!({ "half_width": 0.05, "max_seeds": 20 });
    let id = app.with(Scope::Submit).submit(&spec).await.row.id;
    let value =
        |lease: &Lease| if lease.config["rule"] == "bp" { 0.5 } else { 0.5 + 0.05 * (lease.seed % 2) as f64 };
    let sweep = until_ends(&app, id, value).await;
    // Alternating 0.50 and 0.55: ± 0.0718 of three, 0.0459 of four.
    let until = sweep.until.unwrap();
    assert_eq!((until.state.name(), until.seeds, until.target), ("reached", 4, 0.05));
    assert!((until.half_width.unwrap() - 3.182_446_305 * 0.028_867_513 / 2.0).abs() < 1e-6, "{until:?}");
    assert_eq!(sweep.seed_values, [0, 1, 2, 3]);
    assert!(sweep.amendments.iter().all(|row| (row.principal.as_str(), row.added_trials) == ("until", 2)));
    assert_eq!(sweep.amendments.len(), 3);
    assert!(sweep.amendments[0].note.as_ref().unwrap().contains("too few values"), "{:?}", sweep.amendments);
    assert!(sweep.amendments[2].note.as_ref().unwrap().contains("± 0.0717"), "{:?}", sweep.amendments);
}

#[tokio::test]
async fn seeds_are_added_until_the_budget_is_spent() {
    let app = TestApp::start().await;
    let mut spec = build::sweep("a", 3);
    spec["seeds"] = json!([7, 3]);
    spec["until"] = json!({ "metric": "test_loss", "half_width": 0.001, "max_seeds": 5 });
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&spec).await.row.id;
    let worker = app.worker("w");
    // One condition never has a value.
    let sweep = loop {
        for lease in worker.claim(50).await {
            if lease.config["rule"] == "bp" {
                worker.complete(&lease, &[("test_loss", 1.0)]).await;
            } else {
                let failure = Failure { reason: "no".into(), retryable: false };
                let _: ReportReply = worker.say(&lease, "fail", &failure).await;
            }
        }
        let sweep = eventually("a decision", || async {
            let sweep = detail(&app, id).await;
            (sweep.row.counts.queued > 0 || sweep.row.state == SweepState::Finished).then_some(sweep)
        })
        .await;
        if sweep.row.state == SweepState::Finished {
            break sweep;
        }
    };
    assert_eq!(sweep.seed_values, [7, 3, 8, 9, 10]);
    let until = sweep.until.unwrap();
    assert_eq!(
        (until.state.name(), until.half_width, until.metric.as_str()),
        ("exhausted", None, "test_loss")
    );

    // A person may raise the budget: it goes on from there.
    let change = json!({ "until": { "max_seeds": 6 } });
    let _: AmendReply = caller.post(&path(id, "amend"), &change, OK).await;
    eventually("the sixth seed", || async { (detail(&app, id).await.seed_values.len() == 6).then_some(()) })
        .await;
    // What is cancelled gets no more seeds, and is over.
    let _: SweepAction = caller.post(&path(id, "cancel"), &json!({}), OK).await;
    assert_eq!(detail(&app, id).await.row.state, SweepState::Cancelled);
}

#[tokio::test]
async fn a_decision_that_was_missed_is_made_at_the_next_start_and_once() {
    let mut app =
        TestApp::start_with(|options| options.reap_every = std::time::Duration::from_secs(3600)).await;
    let mut spec = build::sweep("a", 3);
    spec["until"] = json!({ "half_width": 0.001, "max_seeds": 9 });
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&spec).await.row.id;
    let worker = app.worker("w");
    let leases = worker.claim(50).await;
    let _: SweepAction = caller.post(&path(id, "pause"), &json!({}), OK).await;
    for lease in &leases {
        worker.complete(lease, &[("test_accuracy", lease.seed as f64)]).await;
    }
    let paused = detail(&app, id).await;
    assert_eq!(
        (paused.row.state, paused.amendments.len()),
        (SweepState::Paused, 0),
        "a paused sweep is let alone"
    );
    // Behind the server's back, as if it had died before it looked.
    let sweep = motif_sweep::ids::SweepId(id);
    let now = motif_sweep::clock::Clock::now(app.clock.as_ref());
    motif_store::Queue::sweep_steer(app.store.as_ref(), sweep, motif_store::records::Steer::Resume, "x", now)
        .await
        .unwrap();
    assert_eq!(detail(&app, id).await.row.state, SweepState::Running);
    app.restart().await;
    eventually("the missed decision", || async {
        (detail(&app, id).await.row.counts.queued == 2).then_some(())
    })
    .await;
    app.restart().await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let after = detail(&app, id).await;
    assert_eq!((after.amendments.len(), after.row.counts.queued, after.seed_values.len()), (1, 2, 4));
}

/// Completes with a hash and an instruction set.
async fn complete(worker: &TestWorker, lease: &Lease, hash: &str, set: &str) {
    let mut report: TrialReport = build::report(BTreeMap::from([("test_accuracy".to_owned(), Some(0.5))]));
    report.result_hash = hash.repeat(32);
    report.provenance.instruction_set = set.to_owned();
    let _: ReportReply = worker.say(lease, "complete", &Completion { report }).await;
}

#[tokio::test]
async fn a_share_is_run_again_and_compared_by_hash() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&build::sweep("a", 5)).await.row.id;
    let verify = |body: Value| caller.request(Method::POST, &path(id, "verify")).body(body.to_string());
    let early = caller.refused(verify(json!({ "share": 1 })), StatusCode::CONFLICT).await;
    assert!(early.detail.contains("no trial of this sweep has a result yet"), "{early:?}");
    let first = app.worker("first");
    for lease in first.claim(20).await {
        complete(&first, &lease, "ab", "avx2").await;
    }
    for (body, field) in
        [(json!({ "share": 0 }), "share"), (json!({ "share": 1.5 }), "share"), (json!({ "shar": 1 }), "shar")]
    {
        assert_eq!(caller.refused(verify(body), StatusCode::BAD_REQUEST).await.errors[0].field, field);
    }
    let rerun: SweepDetail =
        caller.post(&path(id, "verify"), &json!({ "share": 0.3, "seed": 4 }), StatusCode::CREATED).await;
    assert_eq!(
        (rerun.row.counts.queued, rerun.row.verifies, rerun.row.name.as_str()),
        (3, Some(id), "verify a")
    );
    let page: SweepPage = caller.get("/api/v1/sweeps").await;
    assert_eq!(page.items.len(), 1);
    let page: SweepPage = caller.get("/api/v1/sweeps?verifications=true").await;
    assert_eq!(page.items.len(), 2);
    assert_eq!(detail(&app, id).await.verifications, 1);

    let second = app.worker("second");
    let leases = second.claim(20).await;
    complete(&second, &leases[0], "ab", "avx2").await;
    complete(&second, &leases[1], "cd", "avx512").await;
    let found: Verification = caller.get(&path(id, "verification")).await;
    assert_eq!((found.verified, found.mismatched, found.unverified), (1, 1, 8));
    assert!(found.note.as_ref().unwrap().contains("(avx2, avx512)"), "{found:?}");
    assert_eq!((found.runs.len(), found.runs[0].trials, found.runs[0].share), (1, 3, Some(0.3)));
    let of = |verdict| found.trials.iter().find(move |trial| trial.verdict == verdict).unwrap();
    let mismatched = of(Verdict::Mismatched);
    assert_eq!(mismatched.original.worker.as_deref(), Some("first"));
    assert_eq!(mismatched.reruns[0].worker.as_deref(), Some("second"));
    assert_eq!(mismatched.reruns[0].instruction_set.as_deref(), Some("avx512"));
    assert_eq!(mismatched.original.seed, leases[1].seed);
    assert_eq!(of(Verdict::Verified).original.instruction_set.as_deref(), Some("avx2"));

    // A later re-run that agrees does not outweigh one that did not.
    let all: SweepDetail =
        caller.post(&path(id, "verify"), &json!({ "share": 1 }), StatusCode::CREATED).await;
    assert_eq!((all.row.counts.queued, all.row.conditions, all.row.seeds), (10, 2, 5));
    for lease in second.claim(20).await {
        complete(&second, &lease, "ab", "avx2").await;
    }
    let found: Verification = caller.get(&path(id, "verification")).await;
    assert_eq!((found.verified, found.mismatched, found.unverified), (9, 1, 0));

    // What is a verification is neither amended nor verified, and the cells that it does not hold are no holes.
    for (what, body) in [("amend", json!({ "seeds": 9 })), ("verify", json!({ "share": 1 }))] {
        let request = caller.request(Method::POST, &path(rerun.row.id, what)).body(body.to_string());
        caller.refused(request, StatusCode::CONFLICT).await;
    }
    let holes: Holes = caller.get(&path(rerun.row.id, "holes")).await;
    assert_eq!(holes.holes, []);
}
