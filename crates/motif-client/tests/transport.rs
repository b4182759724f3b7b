//! The transport against a real socket: what a server, or nobody, or nonsense at the other end leads to.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::time::Duration;

use motif_client::{
    Client, ClientError, ClientOptions, HttpTransport, Method, Request, Transport, TransportError,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// Answers one connection with fixed bytes; returns the server's address and what was asked.
async fn answer_once(bytes: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the client went away");
            asked.extend_from_slice(&buffer[..read]);
        }
        // The client may stop reading early.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        String::from_utf8(asked).unwrap()
    });
    (server, asked)
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nx-kind: test\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn transport(server: &str) -> HttpTransport {
    HttpTransport::new(server, Duration::from_secs(5)).unwrap()
}

#[tokio::test]
async fn path_prefix_query_and_headers_arrive() {
    let (server, asked) = answer_once(http("200 OK", b"hello")).await;
    let mut request = Request::new(Method::Get, "/api/v1/sweeps");
    request.query.push(("cursor".to_owned(), "a b&c".to_owned()));
    request.headers.push(("authorization".to_owned(), "Bearer motif_x".to_owned()));
    let response = transport(&format!("{server}/lab/")).send(request).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!(response.header("x-kind"), Some("test"));
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /lab/api/v1/sweeps?cursor=a+b%26c http/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: bearer motif_x\r\n"), "{asked}");
}

#[tokio::test]
async fn nobody_there_is_refused_and_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let options = ClientOptions { retry: motif_client::RetryPolicy::NONE, ..ClientOptions::new(&server) };
    let error = Client::new(options).unwrap().preset_list().await.unwrap_err();
    assert!(matches!(&error, ClientError::Unreachable { source: TransportError::Refused, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&server) && text.contains("motif up"), "{text}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn an_answer_above_the_limit_is_not_read() {
    let (server, _asked) = answer_once(http("200 OK", &[7; 4096])).await;
    let mut request = Request::new(Method::Get, "/api/v1/x");
    request.response_max_bytes = 4095;
    let error = transport(&server).send(request).await.unwrap_err();
    assert!(matches!(error, TransportError::TooLarge { max_bytes: 4095 }), "{error:?}");
}

#[tokio::test]
async fn a_broken_answer_is_broken() {
    let (server, _asked) = answer_once(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_vec()).await;
    let error = transport(&server).send(Request::new(Method::Get, "/x")).await.unwrap_err();
    assert!(matches!(error, TransportError::Broken(_)), "{error:?}");
}

#[tokio::test]
async fn silence_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let mut request = Request::new(Method::Get, "/x");
    request.timeout = Duration::from_millis(50);
    let error = transport(&server).send(request).await.unwrap_err();
    assert!(matches!(error, TransportError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn downloads_stream_into_the_sink_only_when_they_succeed() {
    let (server, _asked) = answer_once(http("200 OK", b"pixels")).await;
    let client = Client::new(ClientOptions::new(server)).unwrap();
    let mut sink = Vec::new();
    client.dataset_content("abc", &mut sink).await.unwrap();
    assert_eq!(sink, b"pixels");

    let (server, _asked) = answer_once(http("502 Bad Gateway", b"proxy says no")).await;
    let client = Client::new(ClientOptions::new(server)).unwrap();
    let mut sink = Vec::new();
    let error = client.dataset_content("abc", &mut sink).await.unwrap_err();
    assert!(sink.is_empty());
    assert!(error.to_string().contains("502") && error.to_string().contains("proxy says no"), "{error}");
}

#[tokio::test]
async fn redirections_are_not_followed() {
    let (server, _asked) = answer_once(
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
    )
    .await;
    let response = transport(&server).send(Request::new(Method::Get, "/x")).await.unwrap();
    assert_eq!(response.status, 302);
}

#[test]
fn addresses_that_are_none_say_why() {
    for (server, word) in
        [("localhost:8080", "http"), ("", "relative"), ("ftp://x", "http"), ("http://x/?a=1", "query")]
    {
        let error = Client::new(ClientOptions::new(server)).unwrap_err();
        assert!(matches!(error, ClientError::Address { .. }), "{server}: {error:?}");
        assert!(error.to_string().contains(word), "{server}: {error}");
    }
    assert!(Client::new(ClientOptions::new("https://motif.example")).is_ok());
}
