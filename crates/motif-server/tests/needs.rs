//! Workers say what they have, sweeps what they need, and the server what is waited for.

use std::time::Duration;

use motif_testkit::{TestApp, build};
use motif_wire::{
    sweeps::SweepDetail,
    system::{Scope, WorkerRow},
    work::Lease,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

const GIB: u64 = 1 << 30;

fn sweep(name: &str, requires: Value) -> Value {
    let mut spec = build::sweep(name, 2);
    spec["requires"] = requires;
    spec
}

fn of(leases: &[Lease], sweep: Uuid) -> usize {
    leases.iter().filter(|lease| lease.sweep_id == sweep).count()
}

async fn waiting_for(app: &TestApp, sweep: Uuid) -> Option<String> {
    app.with(Scope::Read).get::<SweepDetail>(&format!("/api/v1/sweeps/{sweep}")).await.waiting_for
}

#[tokio::test]
async fn trials_go_to_workers_that_have_what_their_sweep_requires() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let big = caller.submit(&sweep("big", json!({ "labels": ["big"], "memory": "8 GiB" }))).await;
    assert_eq!(big.spec["requires"], json!({ "labels": ["big"], "memory": "8 GiB" }));
    let any = caller.submit(&sweep("any", json!({}))).await.row.id;
    let big = big.row.id;
    let small = app.worker("small").with(&["big", "gpu"], Some(8 * GIB - 1));
    assert_eq!(of(&small.claim(1).await, any), 1, "the older sweep is not for it");
    let plain = app.worker("plain");
    assert_eq!(of(&plain.claim(2).await, any), 2, "a worker that says nothing takes what any may");
    let able = app.worker("able").with(&["big"], Some(8 * GIB));
    let request = able.claim_request(3, 0);
    let leases = able.send_claim(&request).await;
    assert_eq!((of(&leases, big), of(&leases, any)), (3, 0), "the one with the fewest in training is next");
    assert_eq!(able.send_claim(&request).await, leases, "the same claim, the same leases");

    let mut rows: Vec<WorkerRow> = app.admin().get("/api/v1/workers").await;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let has: Vec<_> = rows.iter().map(|row| (row.labels.join(","), row.memory_bytes)).collect();
    let wanted = [("big", Some(8 * GIB)), ("", None), ("big,gpu", Some(8 * GIB - 1))];
    assert_eq!(has, wanted.map(|(labels, memory)| (labels.to_owned(), memory)));
}

#[tokio::test]
async fn what_queued_trials_wait_for_is_said_until_a_worker_that_has_it_calls() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let plain = caller.submit(&sweep("plain", json!({}))).await;
    assert_eq!(plain.waiting_for.as_deref(), Some("no worker is there"));
    let plain = plain.row.id;
    let worker = app.worker("w").with(&["gpu"], Some(16 * GIB));
    let leases = worker.claim(4).await;
    assert_eq!(waiting_for(&app, plain).await, None, "nothing of it is queued");
    let huge = caller.submit(&sweep("huge", json!({ "labels": ["gpu"], "memory": "64 GiB" }))).await.row.id;
    let picky = caller.submit(&sweep("picky", json!({ "labels": ["big"] }))).await.row.id;
    let fits = caller.submit(&sweep("fits", json!({ "labels": ["gpu"], "memory": "16 GiB" }))).await.row.id;
    assert_eq!((leases.len(), of(&worker.claim(1).await, fits)), (4, 1));
    assert_eq!(waiting_for(&app, huge).await.as_deref(), Some("no worker has 64 GiB"));
    assert_eq!(waiting_for(&app, picky).await.as_deref(), Some("no worker has label big"));
    assert_eq!(waiting_for(&app, fits).await, None);

    let _: Value = caller.post(&format!("/api/v1/sweeps/{picky}/pause"), &json!({}), StatusCode::OK).await;
    assert_eq!(waiting_for(&app, picky).await, None, "it waits for somebody to resume it");
    let _: Value = caller.post(&format!("/api/v1/sweeps/{picky}/resume"), &json!({}), StatusCode::OK).await;
    let able = app.worker("b").with(&["big"], None);
    assert_eq!(of(&able.claim(1).await, picky), 1);
    assert_eq!(waiting_for(&app, picky).await, None);
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(
        waiting_for(&app, picky).await.as_deref(),
        Some("no worker has label big"),
        "the one that had it has not been heard of for a lease"
    );
}

#[tokio::test]
async fn re_runs_need_what_their_sweep_needs() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&sweep("big", json!({ "labels": ["big"] }))).await.row.id;
    let able = app.worker("able").with(&["big"], None);
    for lease in able.claim(4).await {
        able.complete(&lease, &[("test_accuracy", 0.5)]).await;
    }
    let path = format!("/api/v1/sweeps/{id}/verify");
    let verification: SweepDetail =
        caller.post(&path, &json!({ "share": 1.0, "seed": 0 }), StatusCode::CREATED).await;
    assert!(app.worker("plain").claim(9).await.is_empty());
    assert_eq!(of(&able.claim(9).await, verification.row.id), 4);
}

#[tokio::test]
async fn an_amendment_cannot_change_what_is_required() {
    let app = TestApp::start().await;
    let caller = app.with(Scope::Submit);
    let id = caller.submit(&sweep("big", json!({ "labels": ["big"] }))).await.row.id;
    let path = format!("/api/v1/sweeps/{id}/amend");
    let request = caller.request(Method::POST, &path).json(&json!({ "requires": {} }));
    let problem = caller.refused(request, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(problem.errors[0].field, "requires");
    let _: Value = caller.post(&path, &json!({ "seeds": 3 }), StatusCode::OK).await;
    assert!(app.worker("plain").claim(9).await.is_empty(), "what is added needs the same");
    assert_eq!(app.worker("able").with(&["big"], None).claim(9).await.len(), 6);
}
