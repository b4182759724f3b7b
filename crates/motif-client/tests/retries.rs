//! What is sent again, how often, and what is not; against a transport that follows a script.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use motif_client::{
    Client, ClientError, ClientOptions, Request, Response, RetryPolicy, SweepSteer, Transport,
    TransportError, TrialQuery,
};
use motif_wire::{
    LEASE_HEADER,
    problem::ProblemCode,
    work::{ClaimRequest, Heartbeat, WorkerHello},
};
use serde_json::{Value, json};
use uuid::Uuid;

enum Line {
    Answer(Response),
    Lost,
}

#[derive(Default)]
struct Script {
    lines: Mutex<VecDeque<Line>>,
    seen: Mutex<Vec<Request>>,
}

#[async_trait::async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.seen.lock().unwrap().push(request);
        match self.lines.lock().unwrap().pop_front().expect("the script has another line") {
            Line::Answer(response) => Ok(response),
            Line::Lost => Err(TransportError::Broken("lost".into())),
        }
    }
}

fn json(status: u16, body: impl Into<Value>) -> Line {
    Line::Answer(Response { status, body: body.into().to_string().into_bytes(), ..Response::default() })
}

fn problem(status: u16, code: &str) -> Line {
    let body =
        json!({ "type": "about:blank", "title": "x", "status": status, "code": code, "detail": "why" });
    json(status, body)
}

fn client(lines: impl IntoIterator<Item = Line>) -> (Client, Arc<Script>) {
    let script = Arc::new(Script { lines: Mutex::new(lines.into_iter().collect()), ..Script::default() });
    let options = ClientOptions {
        token: Some("motif_0".to_owned()),
        retry: RetryPolicy { retries_max: 2, seed: Some(1), ..RetryPolicy::default() },
        ..ClientOptions::new("http://server/")
    };
    (Client::with_transport(options, script.clone()).unwrap(), script)
}

impl Script {
    fn seen(&self) -> Vec<Request> {
        assert!(self.lines.lock().unwrap().is_empty(), "the whole script was read");
        self.seen.lock().unwrap().clone()
    }
}

fn claim() -> ClaimRequest {
    let worker = WorkerHello {
        id: Uuid::nil(),
        name: "w".to_owned(),
        slots: 1,
        version: "0".to_owned(),
        protocol: 1,
        host: "h".to_owned(),
        instruction_set: "i".to_owned(),
        labels: Vec::new(),
        memory_bytes: None,
    };
    ClaimRequest { claim_id: Uuid::max(), secret: "s".repeat(64), worker, max: 1, wait_s: 20 }
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_until_they_succeed() {
    let (client, script) = client([Line::Lost, problem(503, "unavailable"), json(200, json!([]))]);
    assert!(client.worker_list().await.unwrap().is_empty());
    let seen = script.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|request| request == &seen[0]));
    assert_eq!(seen[0].path, "/api/v1/workers");
    assert_eq!(seen[0].header("authorization"), Some("Bearer motif_0"));
}

#[tokio::test(start_paused = true)]
async fn repeats_are_bounded_and_the_last_error_is_told() {
    let (client, script) = client([Line::Lost, Line::Lost, problem(429, "busy")]);
    let error = client.worker_list().await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::Busy));
    assert!(error.is_transient());
    assert_eq!(script.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_within_reason() {
    for (asked, least, most) in [("7", 7, 8), ("100000", 30, 31)] {
        let mut busy = Response { status: 429, ..Response::default() };
        busy.headers.push(("retry-after".to_owned(), asked.to_owned()));
        let (client, script) = client([Line::Answer(busy), json(200, json!([]))]);
        let origin = virtual_now();
        client.worker_list().await.unwrap();
        let waited = virtual_now() - origin;
        assert!(waited >= Duration::from_secs(least) && waited < Duration::from_secs(most), "{waited:?}");
        assert_eq!(script.seen().len(), 2);
    }
}

#[expect(clippy::disallowed_methods, reason = "tokio's paused clock moves only as the test sleeps")]
fn virtual_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_repeated_with_its_id_and_waits_for_the_long_poll() {
    let (client, script) = client([Line::Lost, json(200, json!({ "leases": [] }))]);
    client.claim(&claim()).await.unwrap();
    let seen = script.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].timeout >= Duration::from_secs(50));
}

#[tokio::test(start_paused = true)]
async fn what_might_be_done_twice_is_sent_once() {
    let id = Uuid::nil();
    let (pauser, script) = client([Line::Lost]);
    assert!(pauser.sweep_steer(id, SweepSteer::Retry).await.unwrap_err().is_unreachable());
    assert_eq!(script.seen()[0].path, format!("/api/v1/sweeps/{id}/retry"));

    let (creator, script) = client([problem(503, "unavailable")]);
    creator.token_create("x", &[]).await.unwrap_err();
    assert_eq!(script.seen().len(), 1);

    let (submitter, script) = client([Line::Lost]);
    submitter.sweep_submit(&json!({}), None).await.unwrap_err();
    assert_eq!(script.seen().len(), 1);

    let (submitter, script) = client([Line::Lost, problem(422, "idempotency_mismatch")]);
    let error = submitter.sweep_submit(&json!({}), Some("key")).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::IdempotencyMismatch));
    assert!(script.seen().iter().all(|request| request.header("idempotency-key") == Some("key")));
}

#[tokio::test(start_paused = true)]
async fn refusals_are_not_repeated() {
    let (client, script) = client([problem(409, "stale_lease")]);
    let beat = Heartbeat { step: 3, total_steps: None };
    let error = client.heartbeat(Uuid::nil(), "1.2.secret", beat).await.unwrap_err();
    assert_eq!(error.code(), Some(ProblemCode::StaleLease));
    assert!(!error.is_transient());
    let seen = script.seen();
    assert_eq!(seen[0].header(LEASE_HEADER), Some("1.2.secret"));
    assert!(!format!("{:?}", seen[0]).contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_client_without_retries_tries_once() {
    let (client, script) = client([Line::Lost]);
    assert!(client.with_retry(RetryPolicy::NONE).worker_list().await.is_err());
    assert_eq!(script.seen().len(), 1);
}

#[tokio::test]
async fn problems_name_every_field() {
    let body = json!({ "type": "about:blank", "title": "x", "status": 422, "code": "invalid_spec",
        "detail": "the spec breaks 1 rule",
        "errors": [{ "field": "trial.rulee", "message": "unknown key", "value": "\"sal\"", "suggestion": "rule" }] });
    let (client, _script) = client([json(422, body)]);
    let text = client.sweep_submit(&json!({}), None).await.unwrap_err().to_string();
    for part in ["breaks 1 rule", "trial.rulee", "unknown key", "\"sal\"", "did you mean \"rule\"?"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[tokio::test]
async fn answers_that_are_no_motif_are_protocol_errors() {
    let html = Response { status: 200, body: b"<html>login</html>".to_vec(), ..Response::default() };
    let (client, _script) = client([Line::Answer(html)]);
    let error = client.worker_list().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { status: 200, .. }), "{error:?}");
    assert!(error.to_string().contains("<html>login"), "{error}");
}

#[tokio::test]
async fn an_unavailable_server_still_tells_its_health() {
    let body = json!({ "status": "unavailable", "version": "1", "protocol": 1, "reason": "disk full" });
    let (client, script) = client([json(503, body)]);
    assert_eq!(client.health().await.unwrap().reason.as_deref(), Some("disk full"));
    assert_eq!(script.seen()[0].path, "/readyz");
}

#[tokio::test]
async fn all_pages_are_read_and_an_endless_cursor_ends() {
    let page = |next: Option<&str>| json(200, json!({ "items": [], "next_cursor": next }));
    let (client, script) = client([page(Some("a")), page(Some("b")), page(Some("b"))]);
    let query = TrialQuery { state: Some("failed".to_owned()), ..TrialQuery::default() };
    client.sweep_trials_all(Uuid::nil(), &query).await.unwrap();
    let cursors: Vec<_> = script
        .seen()
        .iter()
        .map(|request| request.query.iter().find(|(name, _)| name == "cursor").cloned())
        .collect();
    let cursor = |value: &str| Some(("cursor".to_owned(), value.to_owned()));
    assert_eq!(cursors, [None, cursor("a"), cursor("b")]);
}

#[test]
fn tokens_stay_out_of_errors_and_debug_output() {
    let options = ClientOptions { token: Some("motif_\nx".to_owned()), ..ClientOptions::new("http://a") };
    assert!(!format!("{options:?}").contains("motif_"));
    let error = Client::with_transport(options, Arc::<Script>::default()).unwrap_err();
    assert!(matches!(error, ClientError::Token));
}
