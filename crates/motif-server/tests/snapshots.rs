//! Snapshots over HTTP: handed over, listed, fetched, refused.

use motif_testkit::{TestApp, app::eventually, build, worker::TestWorker};
use motif_wire::{LEASE_HEADER, problem::ProblemCode, system::Scope, trials::Snapshot, work::Lease};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

const BYTES: &[u8] = b"weights";

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn put(worker: &TestWorker, lease: &Lease, name: &str, bytes: &[u8]) -> RequestBuilder {
    let path = format!("/api/v1/attempts/{}/snapshots/{name}", lease.attempt_id);
    worker.caller.request(Method::PUT, &path).header(LEASE_HEADER, &lease.token).body(bytes.to_vec())
}

async fn leased(app: &TestApp, worker: &TestWorker, snapshots: bool) -> Lease {
    let mut sweep = build::sweep("shown", 1);
    sweep["axes"]["rule"] = json!(["bp"]);
    sweep["snapshots"] = json!(snapshots);
    app.admin().submit(&sweep).await;
    worker.claim(1).await.remove(0)
}

#[tokio::test]
async fn snapshots_are_handed_over_once_and_can_be_fetched() {
    let app = TestApp::start().await;
    let worker = app.worker("w");
    let lease = leased(&app, &worker, true).await;
    assert!(lease.snapshots);
    let expected = Snapshot { name: "step-000000.npz".into(), hash: hash(BYTES), bytes: BYTES.len() as u64 };
    for _ in 0..2 {
        let request = put(&worker, &lease, "step-000000.npz", BYTES).query(&[("blake3", hash(BYTES))]);
        let stored: Snapshot = worker.caller.send(request).await.json().await.expect("a snapshot");
        assert_eq!(stored, expected);
    }
    let other = put(&worker, &lease, "step-000000.npz", b"others");
    assert_eq!(worker.caller.refused(other, StatusCode::CONFLICT).await.code, ProblemCode::Conflict);
    worker.complete(&lease, &[("test_accuracy", 0.5)]).await;
    let late = put(&worker, &lease, "late.npz", BYTES);
    assert_eq!(worker.caller.refused(late, StatusCode::CONFLICT).await.code, ProblemCode::StaleLease);

    let reader = app.with(Scope::Read);
    let path = format!("/api/v1/trials/{}/snapshots", lease.trial_id);
    let listed: Vec<Snapshot> =
        reader.send(reader.request(Method::GET, &path)).await.json().await.expect("a list");
    assert_eq!(listed, [expected]);
    let content = reader.send(reader.request(Method::GET, &format!("{path}/step-000000.npz"))).await;
    assert_eq!(content.bytes().await.expect("its bytes"), BYTES);
    let missing = reader.request(Method::GET, &format!("{path}/step-000001.npz"));
    let problem = reader.refused(missing, StatusCode::NOT_FOUND).await;
    assert!(problem.detail.contains("there are: step-000000.npz"), "{problem:?}");
    let folder = app.data_dir().join("snapshots");
    let files = || std::fs::read_dir(&folder).expect("the folder is there").count();
    // What was refused had been received, and is swept.
    eventually("one file is left", || async { (files() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn bad_names_and_changed_bytes_are_refused() {
    let app = TestApp::start().await;
    let worker = app.worker("w");
    let lease = leased(&app, &worker, false).await;
    assert!(!lease.snapshots);
    for name in ["Step.npz", ".hidden", "a%2Fb", &"a".repeat(65)] {
        let problem = worker.caller.refused(put(&worker, &lease, name, BYTES), StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.errors[0].field, "file", "{name}");
    }
    let changed = put(&worker, &lease, "a.npz", b"changed").query(&[("blake3", hash(BYTES))]);
    let problem = worker.caller.refused(changed, StatusCode::BAD_REQUEST).await;
    assert_eq!(problem.errors[0].field, "blake3");
    let unknown = put(&worker, &lease, "a.npz", BYTES).query(&[("blake", hash(BYTES))]);
    let problem = worker.caller.refused(unknown, StatusCode::BAD_REQUEST).await;
    assert_eq!(problem.errors[0].suggestion.as_deref(), Some("blake3"));
    worker.caller.refused(put(&worker, &lease, "a.npz", b""), StatusCode::BAD_REQUEST).await;
}
