//! Checkpoints over HTTP: saved, fetched, gone on from, deleted; cut off and damaged ones.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use motif_testkit::{TestApp, app::eventually, build, worker::TestWorker};
use motif_wire::{
    LEASE_HEADER,
    problem::ProblemCode,
    system::Scope,
    work::{Checkpoint, Lease, MetricsBatch, MetricsReply, ReportReply, Resume},
};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

const BYTES: &[u8] = b"weights and moments";

fn one_trial() -> Value {
    let mut sweep = build::sweep("saved", 1);
    sweep["axes"]["rule"] = json!(["bp"]);
    sweep
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn path(lease: &Lease) -> String {
    format!("/api/v1/attempts/{}/checkpoint", lease.attempt_id)
}

fn put(
    worker: &TestWorker,
    lease: &Lease,
    (step, points): (u64, u64),
    hash: &str,
    bytes: &[u8],
) -> RequestBuilder {
    let path = format!("{}?step={step}&points={points}&blake3={hash}", path(lease));
    worker.caller.request(Method::PUT, &path).header(LEASE_HEADER, &lease.token).body(bytes.to_vec())
}

async fn save(worker: &TestWorker, lease: &Lease, at: (u64, u64), bytes: &[u8]) -> Checkpoint {
    let response = worker.caller.send(put(worker, lease, at, &hash(bytes), bytes)).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.expect("a checkpoint")
}

fn fetch(worker: &TestWorker, lease: &Lease) -> RequestBuilder {
    worker.caller.request(Method::GET, &path(lease)).header(LEASE_HEADER, &lease.token)
}

fn files(app: &TestApp) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(app.data_dir().join("checkpoints")).expect("the folder is there");
    dir.map(|entry| entry.expect("an entry").path()).collect()
}

async fn no_file_is_left(app: &TestApp) {
    eventually("all files are gone", || async { files(app).is_empty().then_some(()) }).await;
}

async fn log_points(worker: &TestWorker, lease: &Lease, seqs: std::ops::Range<u64>) -> MetricsReply {
    let points = seqs.map(|seq| build::point(seq, &[("train_loss", 1.0)])).collect();
    worker.say(lease, "metrics", &MetricsBatch { points }).await
}

#[tokio::test]
async fn a_checkpoint_is_gone_on_from_by_another_worker_and_deleted_at_the_end() {
    let app = TestApp::start().await;
    app.admin().submit(&one_trial()).await;
    let first = app.worker("first");
    let lease = first.claim(1).await.remove(0);
    log_points(&first, &lease, 0..3).await;
    let saved = save(&first, &lease, (20, 2), BYTES).await;
    assert_eq!(saved, Checkpoint { step: 20, points: 2, hash: hash(BYTES), bytes: BYTES.len() as u64 });
    assert_eq!(save(&first, &lease, (10, 1), b"older").await, saved, "a later one is there");
    let gap = put(&first, &lease, (40, 4), &hash(b"new"), b"new");
    let problem = first.caller.refused(gap, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, ProblemCode::Conflict);
    let _: ReportReply = first.say(&lease, "release", &json!({"reason": "drain"})).await;
    let stale = put(&first, &lease, (40, 3), &hash(b"new"), b"new");
    let problem = first.caller.refused(stale, StatusCode::CONFLICT).await;
    assert_eq!(problem.code, ProblemCode::StaleLease);

    let second = app.worker("second");
    let again = second.claim(1).await.remove(0);
    assert_eq!(again.checkpoint.as_ref(), Some(&saved));
    let bytes = second.caller.send(fetch(&second, &again)).await.bytes().await.expect("its bytes");
    assert_eq!(bytes, BYTES);
    for _ in 0..2 {
        let reply: MetricsReply = second.say(&again, "resume", &Resume { hash: saved.hash.clone() }).await;
        assert_eq!(reply.next_seq, 2);
    }
    assert_eq!(log_points(&second, &again, 2..4).await.next_seq, 4);
    second.complete(&again, &[("test_accuracy", 0.5)]).await;
    no_file_is_left(&app).await;
}

#[tokio::test]
async fn truncated_and_broken_uploads_leave_nothing() {
    let app = TestApp::start().await;
    app.admin().submit(&one_trial()).await;
    let worker = app.worker("w");
    let lease = worker.claim(1).await.remove(0);
    let truncated = put(&worker, &lease, (20, 0), &hash(BYTES), &BYTES[..7]);
    let problem = worker.caller.refused(truncated, StatusCode::BAD_REQUEST).await;
    assert_eq!(problem.errors[0].value.as_deref(), Some(hash(BYTES).as_str()));
    assert!(problem.errors[0].message.contains(&hash(&BYTES[..7])), "{problem:?}");

    // A worker that dies in the middle of its upload: the server sees the connection end.
    let address = app.url.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!(
        "PUT {}?step=20&points=0&blake3={} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n{LEASE_HEADER}: {}\r\ncontent-length: 1000\r\n\r\nweights",
        path(&lease),
        hash(BYTES),
        app.token(Scope::Worker),
        lease.token,
    );
    stream.write_all(head.as_bytes()).expect("it is sent");
    eventually("the upload has begun", || async { (!files(&app).is_empty()).then_some(()) }).await;
    drop(stream);
    no_file_is_left(&app).await;
    let problem = worker.caller.refused(fetch(&worker, &lease), StatusCode::NOT_FOUND).await;
    assert_eq!(problem.code, ProblemCode::NotFound);
}

#[tokio::test]
async fn a_restart_sweeps_orphans_and_a_damaged_checkpoint_is_forgotten() {
    let mut app = TestApp::start().await;
    app.admin().submit(&one_trial()).await;
    let worker = app.worker("w");
    let lease = worker.claim(1).await.remove(0);
    let saved = save(&worker, &lease, (20, 0), BYTES).await;
    app.stop().await;
    let folder = app.data_dir().join("checkpoints");
    for orphan in [".half.tmp".to_owned(), hash(b"its row was never written")] {
        std::fs::write(folder.join(orphan), b"orphan").expect("an orphan");
    }
    app.restart().await;
    let kept = folder.join(&saved.hash);
    eventually("orphans are gone", || async { (files(&app) == [kept.clone()]).then_some(()) }).await;

    let mut whole = Vec::new();
    std::fs::File::open(&kept).and_then(|mut file| file.read_to_end(&mut whole)).expect("it is there");
    std::fs::write(&kept, &whole[..5]).expect("it is truncated");
    let worker = app.worker("w2");
    for _ in 0..2 {
        let problem = worker.caller.refused(fetch(&worker, &lease), StatusCode::NOT_FOUND).await;
        assert_eq!(problem.code, ProblemCode::NotFound);
    }
    let _: ReportReply = worker.say(&lease, "release", &json!({"reason": "drain"})).await;
    let again = worker.claim(1).await.remove(0);
    assert_eq!(again.checkpoint, None);
    assert_eq!(log_points(&worker, &again, 0..1).await.next_seq, 1);
    worker.complete(&again, &[("test_accuracy", 0.5)]).await;
}
