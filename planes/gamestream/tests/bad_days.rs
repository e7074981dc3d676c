//! Strangers on the HTTP ports: garbage, slow ones, many, and an advert for the rest.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{ClientIdentity, PATIENCE, TestHost, get, get_tls};
use mdns_sd::{ServiceDaemon, ServiceEvent};
use punktfunk_gamestream::http::{HttpConfig, Limits};
use rustls::version::TLS13;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends bytes as they are and reads until the server closes.
async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_are_refused_and_disturb_nobody() {
    let host = TestHost::start_with(|config| config.limits.head = Duration::from_millis(300));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let requests: &[&[u8]] = &[
        b"",
        b"\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /serverinfo\r\n\r\n",
        b"GET /serverinfo HTTP/9.9\r\n\r\n",
        b"GET /serverinfo HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /serverinfo HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /serverinfo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        many_headers.as_bytes(),
        long_header.as_bytes(),
    ];
    for request in requests {
        for address in [host.http, host.https] {
            let answer = raw(address, request).await;
            assert!(
                !answer.contains("200 OK"),
                "{:?}: {answer}",
                String::from_utf8_lossy(&request[..request.len().min(60)])
            );
        }
        assert_eq!(get(host.http, "/serverinfo").await.status(), 200);
    }
    for method in ["POST", "PUT", "HEAD", "DELETE", "OPTIONS", "BREW"] {
        let answer = raw(host.http, format!("{method} /serverinfo HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET"), "{method}: {answer}");
    }
    for query in ["?a=%", "?%ff=1", &format!("?{}", "a=1&".repeat(100))] {
        assert_eq!(get(host.http, &format!("/serverinfo{query}")).await.status(), 400, "{query}");
    }
    // Two requests at once: the first is answered, the connection closes.
    let answer = raw(host.http, &b"GET /serverinfo HTTP/1.1\r\n\r\n".repeat(2)).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(get_tls(host.https, "/applist", None, &TLS13).await.unwrap().status(), 401, "still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_lines_of_16_kib_pass_and_endless_ones_do_not() {
    let host = TestHost::start();
    let long = "x".repeat(16 << 10);
    assert_eq!(get(host.http, &format!("/serverinfo?long={long}")).await.status(), 200);
    let answer = raw(host.http, format!("GET /serverinfo?{} HTTP/1.1\r\n\r\n", long.repeat(8)).as_bytes()).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_slow_is_closed() {
    let host = TestHost::start_with(|config| config.limits.head = Duration::from_millis(200));
    for address in [host.http, host.https] {
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(if address == host.http { b"GET /serverinfo HTT" } else { b"\x16\x03\x01" }).await.unwrap();
        for stream in [&mut silent, &mut slow] {
            let mut rest = Vec::new();
            let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed");
        }
        // A byte now and then does not help.
        let dripping = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            while stream.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, dripping).await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_half_open_connections_keep_nobody_out() {
    let host = TestHost::start_with(|config| config.limits = Limits { head: PATIENCE, ..Limits::default() });
    let client = ClientIdentity::stock();
    host.pair(&client).await;
    let mut held = Vec::new();
    for n in 0..2000 {
        let address = if n % 2 == 0 { host.http } else { host.https };
        // Descriptors on our side are the limit of this test, not of the host's.
        match TcpStream::connect(address).await {
            Ok(stream) => held.push(stream),
            Err(_) => drop(held.drain(..100)),
        }
    }
    assert_eq!(get(host.http, "/serverinfo").await.status(), 200);
    assert_eq!(get_tls(host.https, "/applist", Some(&client), &TLS13).await.unwrap().status(), 200);
    // The oldest had to go.
    let mut byte = [0];
    let gone = timeout(PATIENCE, held[0].read(&mut byte)).await.expect("closed");
    assert!(matches!(gone, Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_has_its_reason_and_a_shutdown_gives_it_back() {
    let host = TestHost::start();
    let port = host.http.port();
    let config = HttpConfig { bind: host.http.ip(), http_port: port, ..HttpConfig::new("x", host.dir.path(), "u") };
    let deps = punktfunk_gamestream::http::Deps {
        hub: std::sync::Arc::clone(&host.hub),
        sessions: host.sessions.clone(),
        apps: std::sync::Arc::new(common::FakeApps),
        codecs: std::sync::Arc::new(|| punktfunk_gamestream::http::CodecFacts::H264),
    };
    let refused = punktfunk_gamestream::http::Servers::start(config, deps).map(drop).unwrap_err();
    assert_eq!(refused.reason(), &punktfunk_media::reason::HOST_PORT_TAKEN);
    host.servers.shutdown().await;
    let again = TestHost::start_with(|config| config.http_port = port);
    assert_eq!(get(again.http, "/serverinfo").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_families_are_served() {
    let host = TestHost::start_with(|config| config.bind = "::".parse().unwrap());
    for address in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(address.parse().unwrap(), host.http.port());
        let info = get(address, "/serverinfo").await;
        assert_eq!((info.status(), info.element("LocalIP").as_deref()), (200, Some("127.0.0.1")));
    }
}

/// Not 5353: the machine's own responder and other tests must not matter.
const MDNS_PORT: u16 = 54_763;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_the_host() {
    let browser = ServiceDaemon::new_with_port(MDNS_PORT).expect("a socket");
    let found = browser.browse("_nvstream._tcp.local.").expect("browses");
    let host = TestHost::start_with(|config| config.mdns_port = Some(MDNS_PORT));
    let resolved = loop {
        let event = timeout(PATIENCE, found.recv_async()).await.expect("in time").expect("browsing");
        if let ServiceEvent::ServiceResolved(service) = event {
            break service;
        }
    };
    assert_eq!(resolved.get_fullname(), "Test-host._nvstream._tcp.local.");
    assert_eq!(resolved.get_port(), host.http.port());
    assert!(!resolved.get_addresses_v4().is_empty());
    host.servers.shutdown().await;
    let done = browser.shutdown().expect("shuts down");
    let _ = timeout(Duration::from_secs(5), done.recv_async()).await;
}
