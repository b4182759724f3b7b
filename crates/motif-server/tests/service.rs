//! The server as a service: events, tokens, datasets, headers, static files, the end.

use std::time::Duration;

use futures::StreamExt;
use motif_testkit::{TestApp, app::eventually, build};
use motif_wire::{
    problem::ProblemCode,
    sweeps::SweepPage,
    system::{DatasetRow, Scope, TokenCreated, TokenRow},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Reads a stream of events until `enough`, and returns what came.
async fn events(response: reqwest::Response, enough: impl Fn(&str) -> bool) -> String {
    let mut stream = response.bytes_stream();
    let mut text = String::new();
    let reading = async {
        while !enough(&text) {
            let chunk = stream.next().await.expect("the stream goes on").expect("a piece of it");
            text.push_str(std::str::from_utf8(&chunk).expect("events are text"));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the events come");
    text
}

#[tokio::test]
async fn events_of_a_sweep_are_delivered_and_no_others() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let other = admin.submit(&build::sweep("other", 1)).await.row.id;
    let sweep = admin.submit(&build::sweep("watched", 1)).await.row.id;
    let response = admin.send(admin.request(Method::GET, &format!("/api/v1/events?sweep={sweep}"))).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let acting = async {
        let worker = app.worker("w");
        for lease in worker.claim(4).await {
            let _: Value = worker.say(&lease, "heartbeat", &json!({"step": 7})).await;
            worker.complete(&lease, &[("test_accuracy", 0.5)]).await;
        }
    };
    let done = |text: &str| text.matches("\"succeeded\":2").count() >= 1;
    let (text, ()) = tokio::join!(events(response, done), acting);
    for event in ["event: trial", "event: progress", "event: sweep", "\"state\":\"leased\"", "\"step\":7"] {
        assert!(text.contains(event), "{event} in {text}");
    }
    assert!(text.contains(&sweep.to_string()) && !text.contains(&other.to_string()), "{text}");
}

#[tokio::test]
async fn the_server_ends_in_time_with_waiting_claims_and_open_streams() {
    let mut app = TestApp::start().await;
    let admin = app.admin();
    let stream = admin.send(admin.request(Method::GET, "/api/v1/events")).await;
    let worker = app.worker("w");
    let request = worker.claim_request(1, 30);
    let waiting = tokio::spawn(async move { worker.send_claim(&request).await });
    eventually("the claim waits", || async {
        let workers: Vec<Value> = admin.get("/api/v1/workers").await;
        (!workers.is_empty()).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(4), app.stop())
        .await
        .expect("it ends before anything is cut off");
    assert!(waiting.await.unwrap().is_empty(), "the waiting claim is answered");
    let left: Vec<_> = stream.bytes_stream().collect().await;
    assert!(left.iter().all(Result::is_ok), "the stream ends orderly");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked_and_no_other_does() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut streams = Vec::new();
    let mut made = Vec::new();
    for name in ["gone", "kept"] {
        let body = json!({"name": name, "scopes": ["read"]});
        let token: TokenCreated = admin.post("/api/v1/tokens", &body, StatusCode::CREATED).await;
        let reader = app.with_token(Some(&token.token));
        streams.push(reader.send(reader.request(Method::GET, "/api/v1/events")).await);
        made.push(token.row.id);
    }
    let kept = streams.pop().expect("two were opened");
    let gone = streams.pop().expect("two were opened");
    assert_eq!(gone.status(), StatusCode::OK);
    let path = format!("/api/v1/tokens/{}", made[0]);
    assert_eq!(admin.send(admin.request(Method::DELETE, &path)).await.status(), StatusCode::NO_CONTENT);
    let ended = tokio::time::timeout(Duration::from_secs(10), gone.bytes_stream().collect::<Vec<_>>()).await;
    assert!(ended.expect("the stream ends").iter().all(Result::is_ok), "it ends orderly");
    let sweep = admin.submit(&build::sweep("after", 1)).await.row.id.to_string();
    events(kept, |text| text.contains(&sweep)).await;
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = json!({"name": "reader", "scopes": ["read"]});
    let made: TokenCreated = admin.post("/api/v1/tokens", &body, StatusCode::CREATED).await;
    assert!(made.token.starts_with("motif_") && made.token.len() == 70, "{}", made.token);
    let caller = app.with_token(Some(&made.token));
    let _: SweepPage = caller.get("/api/v1/sweeps").await;
    let listed = admin.text("/api/v1/tokens").await;
    assert!(!listed.contains(&made.token));
    let rows: Vec<TokenRow> = serde_json::from_str(&listed).unwrap();
    assert_eq!((rows[0].name.as_str(), rows[0].scopes.as_slice()), ("reader", &[Scope::Read][..]));
    let path = format!("/api/v1/tokens/{}", made.row.id);
    for _ in 0..2 {
        let response = admin.send(admin.request(Method::DELETE, &path)).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    }
    caller.refused(caller.request(Method::GET, "/api/v1/sweeps"), StatusCode::UNAUTHORIZED).await;
    for (body, field) in
        [(json!({"name": " ", "scopes": ["read"]}), "name"), (json!({"name": "x", "scopes": []}), "scopes")]
    {
        let request = admin.request(Method::POST, "/api/v1/tokens").json(&body);
        let problem = admin.refused(request, StatusCode::BAD_REQUEST).await;
        assert_eq!(problem.errors[0].field, field);
    }
}

#[tokio::test]
async fn the_first_start_makes_one_admin_token() {
    let app = TestApp::start().await;
    let clock: std::sync::Arc<dyn motif_sweep::clock::Clock> = app.clock.clone();
    let token = motif_server::ensure_admin_token(app.store.as_ref(), &clock, &app.entropy).await.unwrap();
    let token = token.expect("there was none");
    let _: Vec<TokenRow> = app.with_token(Some(&token)).get("/api/v1/tokens").await;
    let again = motif_server::ensure_admin_token(app.store.as_ref(), &clock, &app.entropy).await.unwrap();
    assert_eq!(again, None);
}

#[tokio::test]
async fn a_dataset_is_stored_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let (caller, worker) = (app.with(Scope::Submit), app.with(Scope::Worker));
    let dataset = build::dataset(7);
    let bytes = dataset.to_bytes();
    let put = |path: &str, body: Vec<u8>| {
        caller.request(Method::PUT, &format!("/api/v1/datasets/{path}")).body(body)
    };

    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 0x80;
    let problem = caller.refused(put("tiny", flipped), StatusCode::BAD_REQUEST).await;
    assert!(problem.detail.contains("label"), "{}", problem.detail);
    let problem = caller.refused(put("tiny", bytes[..50].to_vec()), StatusCode::BAD_REQUEST).await;
    assert!(problem.detail.contains("truncated"), "{}", problem.detail);
    let mut pixel = bytes.clone();
    pixel[40] ^= 1;
    let path = format!("tiny?hash={}", dataset.content_hash());
    let problem = caller.refused(put(&path, pixel), StatusCode::BAD_REQUEST).await;
    assert_eq!(problem.errors[0].field, "hash");
    let rows: Vec<DatasetRow> = worker.get("/api/v1/datasets").await;
    assert_eq!(rows.len(), 1, "only the built-in one");

    let stored = caller.send(put(&path, bytes.clone())).await;
    assert_eq!(stored.status(), StatusCode::OK);
    let row: DatasetRow = stored.json().await.unwrap();
    assert_eq!(
        (row.hash.as_str(), row.train_examples, row.built_in),
        (dataset.content_hash().as_str(), 6, false)
    );
    let content = worker.request(Method::GET, &format!("/api/v1/datasets/{}/content", row.hash));
    assert_eq!(worker.send(content).await.bytes().await.unwrap(), bytes);
    for name in ["tiny", &row.hash] {
        let found: DatasetRow = worker.get(&format!("/api/v1/datasets/{name}")).await;
        assert_eq!(found, row);
    }

    let other = build::dataset(8).to_bytes();
    let problem = caller.refused(put("tiny", other.clone()), StatusCode::CONFLICT).await;
    assert_eq!(problem.code, ProblemCode::Conflict);
    assert!(problem.detail.contains("replace=true"), "{}", problem.detail);
    assert_eq!(caller.send(put("tiny?replace=true", other.clone())).await.status(), StatusCode::OK);
    let problem = caller.refused(put("glyphs?replace=true", other.clone()), StatusCode::CONFLICT).await;
    assert!(problem.detail.contains("built in"), "{}", problem.detail);
    caller.refused(put("UPPER", other), StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn security_headers_stand_on_every_answer() {
    let app = TestApp::start().await;
    for path in ["/", "/healthz", "/api/v1/sweeps", "/api/v1/nothing", "/docs"] {
        for caller in [app.with_token(None), app.admin()] {
            let response = caller.send(caller.request(Method::GET, path)).await;
            let headers = response.headers();
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
            assert!(headers.contains_key("x-request-id"), "{path}");
        }
    }
}

#[tokio::test]
async fn request_ids_are_taken_over_when_they_are_plain() {
    let app = TestApp::start().await;
    let caller = app.with_token(None);
    let request = |id: &str| caller.request(Method::GET, "/api/v1/sweeps").header("x-request-id", id);
    let problem = caller.refused(request("my-id.1"), StatusCode::UNAUTHORIZED).await;
    assert_eq!(problem.request_id.as_deref(), Some("my-id.1"));
    let problem = caller.refused(request("<script>"), StatusCode::UNAUTHORIZED).await;
    assert!(problem.request_id.is_some_and(|id| id.len() == 36));
}

#[tokio::test]
async fn the_dashboard_needs_no_token_and_is_never_stale() {
    let app = TestApp::start().await;
    let caller = app.with_token(None);
    let page = caller.send(caller.request(Method::GET, "/")).await;
    assert_eq!(
        (page.status(), &page.headers()["cache-control"]),
        (StatusCode::OK, &"no-cache".parse().unwrap())
    );
    let tag = page.headers()["etag"].clone();
    assert!(page.text().await.unwrap().contains("<!doctype html>"));
    let again = caller.send(caller.request(Method::GET, "/").header("if-none-match", tag)).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    for path in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "/..%2fpackage.json"] {
        assert_eq!(
            caller.send(caller.request(Method::GET, path)).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_cut_off() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = TestApp::start_with(|options| options.header_read_timeout = Duration::from_millis(100)).await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"POST /api/v1/claims HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        slow.push(stream);
    }
    let health: Value = app.with_token(None).get("/healthz").await;
    assert_eq!(health["status"], "ok");
    for mut stream in slow {
        let mut answer = Vec::new();
        let closing = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), closing).await.expect("the server closes it").unwrap();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn there_are_so_many_event_streams_and_no_more() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let request = || admin.request(Method::GET, "/api/v1/events");
    let mut open = Vec::new();
    for _ in 0..motif_server::limits::EVENT_STREAMS_MAX {
        open.push(admin.send(request()).await);
    }
    assert!(open.iter().all(|response| response.status() == StatusCode::OK));
    let refused = admin.send(request()).await;
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    let problem = admin.refused(request(), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem.code, ProblemCode::Busy);
    drop(open);
    eventually("a stream is free again", || async {
        (admin.send(request()).await.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn json_is_compressed_and_streams_are_not() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for (path, compressed) in [
        ("/api/v1/openapi.json".to_owned(), true),
        ("/api/v1/events".to_owned(), false),
        (format!("/api/v1/datasets/{}/content", motif_data::GLYPHS_HASH), false),
    ] {
        let request = admin.request(Method::GET, &path).header("accept-encoding", "gzip");
        let response = admin.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().contains_key("content-encoding"), compressed, "{path}");
    }
}

/// A clock that breaks when it is told to.
struct BrittleClock {
    inner: std::sync::Arc<dyn motif_sweep::clock::Clock>,
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl motif_sweep::clock::Clock for BrittleClock {
    fn now(&self) -> jiff::Timestamp {
        assert!(!self.broken.load(std::sync::atomic::Ordering::SeqCst), "secret internal text");
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_that_tells_nothing_and_the_server_goes_on() {
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = broken.clone();
    let app = TestApp::start_with(move |options| {
        let (inner, broken) = (options.clock.clone(), switch.clone());
        options.clock = std::sync::Arc::new(BrittleClock { inner, broken });
        options.reap_every = Duration::from_secs(3600);
    })
    .await;
    let caller = app.admin();
    let request = || caller.request(Method::GET, "/api/v1/workers").header("x-request-id", "r1");
    assert_eq!(caller.send(request()).await.status(), StatusCode::OK);
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    let problem = caller.refused(request(), StatusCode::INTERNAL_SERVER_ERROR).await;
    assert_eq!(problem.code, ProblemCode::Internal);
    assert!(!problem.detail.contains("secret"), "{}", problem.detail);
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(caller.send(request()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn beyond_the_limit_of_requests_clients_are_told_to_wait() {
    use tokio::io::AsyncWriteExt;
    let app = TestApp::start().await;
    let address = app.url.trim_start_matches("http://").to_owned();
    let token = app.token(Scope::Submit);
    let head = format!(
        "POST /api/v1/sweeps HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 9\r\n\r\n"
    );
    let mut stuck = Vec::new();
    for _ in 0..motif_server::limits::REQUESTS_MAX {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stuck.push(stream);
    }
    let caller = app.admin();
    let get = || caller.request(Method::GET, "/api/v1/sweeps");
    eventually("requests are refused", || async {
        (caller.send(get()).await.status() == StatusCode::TOO_MANY_REQUESTS).then_some(())
    })
    .await;
    let problem = caller.refused(get(), StatusCode::TOO_MANY_REQUESTS).await;
    assert_eq!(problem.code, ProblemCode::Busy);
    let health: Value = app.with_token(None).get("/healthz").await;
    assert_eq!(health["status"], "ok");
    drop(stuck);
    eventually("there is room again", || async {
        (caller.send(get()).await.status() == StatusCode::OK).then_some(())
    })
    .await;
}
