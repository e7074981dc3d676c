//! The HTTPS doors as programs see them: over real TLS.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use punktfunk_core::Grants;
use punktfunk_hub::events::EventKind;
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig};
use punktfunk_mgmt::door::{Door, DoorKind};
use punktfunk_mgmt::{HostFacts, MgmtState, console_router, router};
use punktfunk_net::Identity;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

struct Running {
    hub: Arc<Hub>,
    state: MgmtState,
    api: SocketAddr,
    web: SocketAddr,
    api_leaving: punktfunk_mgmt::door::Leaving,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

fn start() -> Running {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    let identity = Identity::generate(&["sofa".to_owned()]).expect("random");
    let facts = HostFacts { name: "sofa".into(), version: "0".into(), fingerprint: identity.fingerprint() };
    let state = MgmtState::new(Arc::clone(&hub), facts).with_console_addresses(|| vec!["192.0.2.1:47992".to_owned()]);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let bind = |kind| Door::bind(any, kind, &identity).expect("loopback");
    let (api, web) = (bind(DoorKind::Lan), bind(DoorKind::Console));
    let (api_at, web_at, api_leaving) = (api.local_addr(), web.local_addr(), api.leaving());
    let (stop, stopped) = watch::channel(false);
    let until = || {
        let mut stopped = stopped.clone();
        async move { drop(stopped.wait_for(|s| *s).await) }
    };
    let serving = vec![
        tokio::spawn(api.serve(router(state.clone()), until())),
        tokio::spawn(web.serve(console_router(state.clone()), until())),
    ];
    Running { hub, state, api: api_at, web: web_at, api_leaving, stop, serving, _dir: dir }
}

impl Running {
    async fn end(self) {
        self.stop.send_replace(true);
        for door in self.serving {
            door.await.expect("no panic");
        }
    }
}

#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

async fn connect(to: SocketAddr, certificate: Option<&Identity>) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let config = match certificate {
        Some(identity) => {
            builder.with_client_auth_cert(vec![identity.cert_der().clone()], identity.key()).expect("a key")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("sofa").expect("a name");
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One exchange; the whole answer as text.
async fn ask(to: SocketAddr, certificate: Option<&Identity>, request: &str, headers: &str) -> String {
    let mut stream = connect(to, certificate).await.expect("a door");
    let text = format!("{request} HTTP/1.1\r\nhost: 127.0.0.1:1\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(text.as_bytes()).await.expect("open");
    let mut answer = Vec::new();
    // A peer that closes without saying good-bye is fine.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn token(host: &Running, scope: &str) -> String {
    use tower::ServiceExt as _;
    let body = format!("{{\"name\":\"t\",\"scopes\":[\"{scope}\"]}}");
    let mut request = axum::http::Request::post("/api/v1/tokens")
        .header("content-type", "application/json")
        .body(axum::body::Body::from(body))
        .expect("a request");
    request.extensions_mut().insert(punktfunk_mgmt::access::Caller::Socket);
    let response = router(host.state.clone()).oneshot(request).await.expect("infallible");
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await.expect("a body").to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    json["secret"].as_str().expect("a secret").to_owned()
}

#[tokio::test]
async fn tokens_and_paired_certificates_open_the_api_door() {
    let host = start();
    let me = Identity::generate(&[]).expect("random");
    let status = "GET /api/v1/status";
    assert!(ask(host.api, None, status, "").await.contains("api.credential_needed"));
    assert!(ask(host.api, Some(&me), status, "").await.contains("api.credential_needed"));
    let record = ClientRecord::new(me.fingerprint(), "tv".into(), Grants::VIEW);
    host.hub.trust().add(record).expect("saved");
    let answer = ask(host.api, Some(&me), status, "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"name\":\"sofa\""), "{answer}");
    assert!(ask(host.api, Some(&me), "GET /api/v1/clients", "").await.contains("api.scope"));
    let secret = token(&host, "metrics").await;
    let page = ask(host.api, None, "GET /metrics", &format!("authorization: Bearer {secret}\r\n")).await;
    assert!(page.contains("punktfunk_stage_seconds_bucket{stage=\"encode\",le=\"+Inf\"} 0"), "{page}");
    host.hub.trust().revoke(&me.fingerprint().to_string()).expect("paired");
    assert!(ask(host.api, Some(&me), status, "").await.contains("api.credential_needed"));
    host.end().await;
}

#[tokio::test]
async fn a_stream_of_events_ends_with_its_credential_and_goes_on_where_it_ended() {
    let host = start();
    let secret = token(&host, "read").await;
    let mut stream = connect(host.api, None).await.expect("a door");
    let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: sofa\r\nauthorization: Bearer {secret}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("open");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains("text/event-stream") {
        let n = stream.read(&mut buffer).await.expect("open");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    host.hub.events().send(EventKind::PairingArmed { seconds: 60 });
    while !seen.contains("event: pairing.armed") {
        let n = stream.read(&mut buffer).await.expect("open");
        assert!(n > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    let id = seen.lines().find_map(|l| l.strip_prefix("id: ")).expect("an id").to_owned();
    let tokens = ask(host.api, None, "GET /api/v1/tokens", &format!("authorization: Bearer {secret}\r\n")).await;
    let token_id = tokens.split("\"id\":\"").nth(1).expect("one").split('"').next().expect("one").to_owned();
    let admin = token(&host, "admin").await;
    let asked = std::time::Instant::now();
    let gone = ask(
        host.api,
        None,
        &format!("DELETE /api/v1/tokens/{token_id}"),
        &format!("authorization: Bearer {admin}\r\n"),
    )
    .await;
    assert!(gone.starts_with("HTTP/1.1 204"));
    // Ends: nothing but the end of the stream, an empty chunk, is left to read.
    let mut rest = String::new();
    while !rest.ends_with("0\r\n\r\n") {
        let n = stream.read(&mut buffer).await.expect("open");
        assert!(n > 0, "the stream's end was not told: {rest}");
        rest.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    println!("a revoked token's stream ended {:?} after the asking began, TLS included", asked.elapsed());
    let refused = ask(host.api, None, "GET /api/v1/status", &format!("authorization: Bearer {secret}\r\n")).await;
    assert!(refused.contains("api.token_unknown"), "{refused}");
    host.hub.events().send(EventKind::PairingDisarmed { why: "operator" });
    let read = token(&host, "read").await;
    let headers = format!("authorization: Bearer {read}\r\nlast-event-id: {id}\r\n");
    let mut stream = connect(host.api, None).await.expect("a door");
    let head = format!("GET /api/v1/events?kinds=pairing. HTTP/1.1\r\nhost: sofa\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.expect("open");
    let mut seen = String::new();
    while !seen.contains("event: pairing.disarmed") {
        let n = stream.read(&mut buffer).await.expect("open");
        assert!(n > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert!(!seen.contains("pairing.armed") && !seen.contains("event: gap"), "{seen}");
    host.end().await;
}

fn cookie(answer: &str, name: &str) -> String {
    let start = answer.find(&format!("set-cookie: {name}=")).unwrap_or_else(|| panic!("no {name}: {answer}"));
    answer[start + 12..].split(';').next().expect("a value").to_owned()
}

#[tokio::test]
async fn the_console_is_set_up_once_and_then_asks_for_its_password() {
    let host = start();
    let url = host.state.console_url().expect("served");
    let link = url.split("#setup=").nth(1).expect("a link").to_owned();
    let ours = "origin: https://127.0.0.1:1\r\nsec-fetch-site: same-origin\r\ncontent-type: application/json\r\n";
    let post = |path: &'static str, body: String, extra: String| {
        let request = format!("POST /api/v1/console/{path}");
        let headers = format!("{ours}{extra}content-length: {}\r\n\r\n{body}", body.len());
        let web = host.web;
        async move { ask(web, None, &request, headers.trim_end_matches("\r\n")).await }
    };
    let setup = |link: &str| format!("{{\"link\":\"{link}\",\"password\":\"correct horse\"}}");
    let login = |password: &str| format!("{{\"password\":\"{password}\"}}");
    assert!(post("login", login("x"), String::new()).await.contains("console.password_unset"));
    assert!(post("setup", setup("guess"), String::new()).await.contains("console.link_spent"));
    let answer = post("setup", setup(&link), String::new()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("; Secure; HttpOnly; SameSite=Strict"), "{answer}");
    assert!(post("setup", setup(&link), String::new()).await.contains("console.link_spent"));
    assert_eq!(host.state.console_url().expect("served"), "https://192.0.2.1:47992/");
    let session = cookie(&answer, "__Host-punktfunk");
    let device = cookie(&answer, "__Host-punktfunk-device");
    let with_cookie = format!("cookie: {session}\r\n");
    let clients = "GET /api/v1/clients";
    assert!(ask(host.web, None, clients, "").await.contains("console.signed_out"));
    assert!(ask(host.web, None, clients, &with_cookie).await.starts_with("HTTP/1.1 200"));
    assert!(ask(host.api, None, clients, &with_cookie).await.contains("api.credential_needed"), "another door");

    for _ in 0..5 {
        assert!(post("login", login("wrong"), String::new()).await.contains("console.password_wrong"));
    }
    let locked = post("login", login("correct horse"), String::new()).await;
    assert!(locked.starts_with("HTTP/1.1 429") && locked.contains("console.locked_out"), "{locked}");
    let known = post("login", login("correct horse"), format!("cookie: {device}\r\n")).await;
    assert!(known.starts_with("HTTP/1.1 200"), "the owner still gets in: {known}");
    host.end().await;
}

#[tokio::test]
async fn the_console_door_serves_its_pages_with_a_strict_policy_and_asks_for_no_certificate() {
    let host = start();
    let me = Identity::generate(&[]).expect("random");
    for path in ["/", "/devices", "/%2e%2e/%2e%2e/etc/passwd", "/assets/../../Cargo.toml", "/nothing.js"] {
        let answer = ask(host.web, Some(&me), &format!("GET {path}"), "").await;
        let page = answer.starts_with("HTTP/1.1 200") && answer.contains("<!doctype html>");
        // Every path without an extension is the console's own page, which says what it does not know.
        assert_eq!(page, !path.contains(['.', '%']), "{path}: {answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        assert!(!answer.contains("[workspace]") && !answer.contains("root:"));
    }
    assert!(ask(host.web, None, "GET /api/v1/nothing", "").await.contains("api.not_found"));
    assert!(ask(host.web, None, "POST /", "").await.contains("api.method_not_allowed"));
    host.hub.trust().add(ClientRecord::new(me.fingerprint(), "tv".into(), Grants::ALL)).expect("saved");
    let status = ask(host.web, Some(&me), "GET /api/v1/status", "").await;
    assert!(status.contains("console.signed_out"), "a certificate opens nothing here: {status}");
    host.end().await;
}

/// What the kernel says of this process: resident KiB, and CPU time in clock ticks.
fn usage() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let resident =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11).take(2);
    (resident.expect("a size"), ticks.map(|t| t.parse::<u64>().expect("a number")).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_streams_keep_nobody_from_streaming_or_asking() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(maximum.map_or(8192, |m| m.min(8192))), maximum })
        .expect("within");
    let host = start();
    let session = common::LiveSession::start(&host.hub, punktfunk_core::Fingerprint([5; 32]), "tv").await;
    let before = usage();
    let mut secrets = Vec::new();
    for _ in 0..16 {
        secrets.push(token(&host, "read").await);
    }
    let mut streams = Vec::new();
    for n in 0..1000 {
        let mut stream = connect(host.api, None).await.expect("a door");
        let secret = &secrets[n % 16];
        let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: sofa\r\nauthorization: Bearer {secret}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("open");
        let mut buffer = [0; 512];
        let n = stream.read(&mut buffer).await.expect("open");
        assert!(buffer[..n].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..n]));
        streams.push(stream);
    }
    let held = usage();
    let frames = || host.hub.live().get(session.id()).expect("it streams").recorder.rows(u64::MAX).1;
    let first = frames();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let idle = usage();
    assert!(frames() > first, "pictures go on");
    println!(
        "1000 idle streams: {} KiB for both ends together, {} clock ticks of CPU while being opened, {} in two idle seconds",
        held.0.saturating_sub(before.0),
        held.1 - before.1,
        idle.1 - held.1
    );
    let auth = format!("authorization: Bearer {}\r\n", secrets[0]);
    assert!(ask(host.api, None, "GET /api/v1/status", &auth).await.starts_with("HTTP/1.1 200"));
    // 1000 over 16 tokens are 63 of the first: one more, and then it has all that it may have.
    let mut last = connect(host.api, None).await.expect("a door");
    last.write_all(format!("GET /api/v1/events HTTP/1.1\r\nhost: sofa\r\n{auth}\r\n").as_bytes()).await.expect("open");
    let mut buffer = [0; 512];
    let n = last.read(&mut buffer).await.expect("open");
    assert!(buffer[..n].starts_with(b"HTTP/1.1 200"));
    let refused = ask(host.api, None, "GET /api/v1/events", &auth).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("api.too_many_streams"), "{refused}");
    host.hub.events().send(EventKind::PairingArmed { seconds: 60 });
    for stream in &mut streams {
        let mut seen = Vec::new();
        while !seen.windows(13).any(|w| w == b"pairing.armed") {
            let n = stream.read(&mut buffer).await.expect("open");
            assert!(n > 0);
            seen.extend_from_slice(&buffer[..n]);
        }
    }
    drop((streams, last));
    // Their places come back, at the latest when the next sign of life finds nobody.
    while ask_until(host.api, &auth).await.contains("api.too_many_streams") {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    drop(session);
    host.end().await;
}

/// The beginning of a stream's answer.
async fn ask_until(to: SocketAddr, auth: &str) -> String {
    let mut stream = connect(to, None).await.expect("a door");
    stream
        .write_all(format!("GET /api/v1/events HTTP/1.1\r\nhost: sofa\r\n{auth}\r\n").as_bytes())
        .await
        .expect("open");
    let mut buffer = [0; 2048];
    let n = stream.read(&mut buffer).await.expect("open");
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[tokio::test]
async fn a_door_that_closes_with_a_change_does_not_confirm_it() {
    let host = start();
    let admin = format!("authorization: Bearer {}\r\n", token(&host, "admin").await);
    let confirm = "POST /api/v1/settings/confirm";
    assert!(ask(host.api, None, confirm, &admin).await.contains("settings.nothing_to_confirm"));
    host.api_leaving.set(true);
    let refused = ask(host.api, None, confirm, &admin).await;
    assert!(refused.starts_with("HTTP/1.1 409") && refused.contains("settings.confirm_elsewhere"), "{refused}");
    host.api_leaving.set(false);
    assert!(ask(host.api, None, confirm, &admin).await.contains("settings.nothing_to_confirm"));
    host.end().await;
}

#[tokio::test]
async fn a_picture_of_a_session_is_shown_to_those_who_may_steer_it() {
    let host = start();
    let session = common::LiveSession::start(&host.hub, punktfunk_core::Fingerprint([5; 32]), "tv").await;
    let path = format!("GET /api/v1/sessions/{}/thumbnail", session.id());
    let with = async |scope: &str| format!("authorization: Bearer {}\r\n", token(&host, scope).await);
    assert!(
        ask(host.api, None, &path, &with("read").await).await.contains("api.scope"),
        "what it shows is not for everybody"
    );
    let control = with("control").await;
    let picture = ask(host.api, None, &path, &control).await;
    assert!(picture.starts_with("HTTP/1.1 200") && picture.contains("image/png"), "{picture}");
    assert!(picture.contains("PNG\r\n") && picture.contains("IEND"));
    let gone = "GET /api/v1/sessions/999/thumbnail";
    assert!(ask(host.api, None, gone, &control).await.contains("session.not_found"));
    drop(session);
    host.end().await;
}

#[tokio::test]
async fn slow_and_broken_peers_hold_nobody_up() {
    let host = start();
    let mut held = Vec::new();
    for n in 0..60 {
        let mut stream = TcpStream::connect(host.api).await.expect("room");
        if n % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x02\x00garbage").await.expect("room");
        }
        held.push(stream);
    }
    let mut half = connect(host.api, None).await.expect("a door");
    half.write_all(b"GET /api/v1/status HTTP/1.1\r\nhost:").await.expect("open");
    let secret = token(&host, "read").await;
    let auth = format!("authorization: Bearer {secret}\r\n");
    assert!(ask(host.api, None, "GET /api/v1/status", &auth).await.starts_with("HTTP/1.1 200"));
    let long = format!("x-long: {}\r\n", "a".repeat(100_000));
    assert!(!ask(host.api, None, "GET /api/v1/status", &long).await.contains("200 OK"));
    host.end().await;
}
