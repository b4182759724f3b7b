//! A rule is seen to do what it says, by whoever asks and by the server.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const REQUEST: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
const LIMIT: Duration = Duration::from_secs(30);

/// A server that counts what it hears and answers with the body it was sent.
async fn echo() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (mut from, mut to) = stream.into_split();
            let request = read_request(&mut from).await.unwrap();
            assert!(String::from_utf8_lossy(&request).contains("connection: close"));
            counter.fetch_add(1, Ordering::SeqCst);
            // Whoever left is not there to be answered.
            let _ = to.write_all(&request[request.len() - 5..]).await;
        }
    });
    (url, heard)
}

async fn ask(proxy: &Proxy) -> Vec<u8> {
    let mut stream = TcpStream::connect(proxy.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    let mut reply = Vec::new();
    // A connection that is reset brings no reply either.
    let _ = stream.read_to_end(&mut reply).await;
    reply
}

async fn until(heard: &AtomicU64, wanted: u64) {
    let waiting = async {
        while heard.load(Ordering::SeqCst) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap();
}

#[tokio::test]
async fn each_fault_is_seen_on_both_sides() {
    let (url, heard) = echo().await;
    let proxy = Proxy::start(&url, 1).await.unwrap();
    let soon = Duration::from_millis(20);
    let cases: [(Option<Fault>, u64, &[u8]); 8] = [
        (None, 1, b"hello"),
        (Some(Fault::DropRequest), 0, b""),
        (Some(Fault::DropReply), 1, b""),
        (Some(Fault::Leave), 1, b""),
        (Some(Fault::Twice), 2, b"hello"),
        (Some(Fault::Delay(soon)), 1, b"hello"),
        (Some(Fault::Late(soon)), 1, b""),
        (Some(Fault::Replace("ell", "ipp")), 1, b"hippo"),
    ];
    let mut wanted = 0;
    for (fault, reaches, reply) in cases {
        let other = Rule { part: "/b", when: When::Every(1), fault: Fault::DropRequest };
        let rule = fault.map(|fault| Rule { part: "/a", when: When::Every(1), fault });
        proxy.set(&[&[other][..], rule.as_slice()].concat());
        assert_eq!(ask(&proxy).await, reply, "{fault:?}");
        wanted += reaches;
        until(&heard, wanted).await;
        assert_eq!(heard.load(Ordering::SeqCst), wanted, "{fault:?}");
    }
    assert_eq!((proxy.struck("/a"), proxy.struck("/b")), (7, 0));
}

#[tokio::test]
async fn a_rule_strikes_the_first_and_each_so_many_or_a_share() {
    let (url, _) = echo().await;
    let proxy = Proxy::start(&url, 1).await.unwrap();
    let drop = |when| [Rule { part: "POST", when, fault: Fault::DropRequest }];
    proxy.set(&drop(When::Every(3)));
    let mut lost = Vec::new();
    for number in 0..7 {
        if ask(&proxy).await.is_empty() {
            lost.push(number);
        }
    }
    assert_eq!(lost, [0, 3, 6]);
    proxy.set(&drop(When::Percent(30)));
    for _ in 0..200 {
        ask(&proxy).await;
    }
    let struck = proxy.struck("POST") - 3;
    assert!((20..100).contains(&struck), "{struck} of 200");
}

#[tokio::test]
async fn a_partition_holds_everything_back_until_it_heals() {
    let (url, heard) = echo().await;
    let proxy = Proxy::start(&url, 1).await.unwrap();
    proxy.partition();
    let asking = ask(&proxy);
    tokio::pin!(asking);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut asking).await;
    assert!(early.is_err() && heard.load(Ordering::SeqCst) == 0, "something passed: {early:?}");
    proxy.heal();
    assert_eq!(tokio::time::timeout(LIMIT, asking).await.unwrap(), b"hello");
}
