//! The API as the command line sees it: over a real socket, with a real hub behind it.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::MemorySettings;
use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::admission::{AdmitRequest, Eviction, Holder};
use punktfunk_hub::pairing::PinAnswer;
use punktfunk_hub::trust::{ClientKind as TrustKind, ClientRecord};
use punktfunk_hub::{Hub, HubConfig};
use punktfunk_media::reason;
use punktfunk_mgmt::client::{Client, ClientError};
use punktfunk_mgmt::socket::{self, ControlSocket};
use punktfunk_mgmt::{
    ApproveRequest, ArmRequest, ClientChangeRequest, ClientKind, ClientState, Diagnostic, DiagnosticStatus,
    HealthStatus, HostFacts, MgmtState, PinRequest, openapi, router,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

struct Running {
    dir: tempfile::TempDir,
    hub: Arc<Hub>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    fn path(&self) -> PathBuf {
        self.dir.path().join("run/control.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(&[self.path()]).await.expect("it runs")
    }

    async fn stop(self) {
        let path = self.path();
        self.stop.send(()).expect("it runs");
        self.serving.await.expect("no panic");
        assert!(!path.exists(), "the socket goes with its host");
    }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn start_as(allowed_uid: u32) -> Running {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    let facts = HostFacts { name: "test".into(), version: "0.0.1".into(), fingerprint: Fingerprint([7; 32]) };
    let finding =
        |id: &str, status| Diagnostic { id: id.into(), status, detail: "d".into(), fix: "f.".into(), code: None };
    let state = MgmtState::new(Arc::clone(&hub), facts)
        .with_addresses(|| vec!["192.0.2.10:9777".into()])
        .with_diagnostics(move || vec![finding("a", DiagnosticStatus::Ok), finding("b", DiagnosticStatus::Warn)]);
    let socket = ControlSocket::bind(&dir.path().join("run/control.sock")).expect("free");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(socket.serve(router(state), allowed_uid, shutdown));
    Running { dir, hub, stop, serving }
}

fn start() -> Running {
    start_as(me())
}

/// One HTTP/1.1 exchange by hand, as a stranger would.
async fn raw(path: &Path, request: Vec<u8>) -> String {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(path).expect("it runs");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a plain socket");
        // The server may answer and close before it read everything.
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .expect("no panic")
}

fn code_of(error: &ClientError) -> String {
    error.problem().code.into_owned()
}

#[tokio::test]
async fn the_command_line_pairs_lists_and_revokes() {
    let host = start();
    let client = host.client().await;
    assert_eq!(client.health().await.expect("answers").status, HealthStatus::Ok);
    let facts = client.host().await.expect("answers");
    assert_eq!((facts.version.as_str(), facts.addresses.len()), ("0.0.1", 1));
    assert_eq!(facts.fingerprint, "07".repeat(32));
    assert_eq!(client.diagnostics().await.expect("answers").len(), 2);

    let armed = client.arm(&ArmRequest { seconds: Some(60), fingerprint: None }).await.expect("within bounds");
    let who = Fingerprint([1; 32]);
    let attempt = host.hub.pairing().begin(&who, HOME, Instant::now()).expect("armed");
    assert_eq!(attempt.pin(), armed.pin);
    assert!(client.pairing().await.expect("answers").armed);
    client.disarm().await.expect("answers");
    assert!(!client.pairing().await.expect("answers").armed);
    assert_eq!(client.arm(&ArmRequest::default()).await.expect("the default").expires_in_s, 120);

    let mut knock = host.hub.pairing().knock(&who, "tablet", HOME).expect("room");
    let devices = client.devices().await.expect("answers");
    assert_eq!((devices[0].name.as_str(), devices[0].state), ("tablet", ClientState::Pending));
    let view = client
        .approve(&devices[0].id, &ApproveRequest { grants: Some(3), preset: None, expires_in_s: Some(3600) })
        .await
        .expect("it waits");
    assert_eq!((view.grants, view.state), (3, ClientState::Paired));
    assert!(view.expires_at_s.is_some());
    knock.decided().await;
    let change = ClientChangeRequest {
        name: Some("sofa".into()),
        grants: Some(1),
        preset: None,
        expires_in_s: Some(0),
        scale_percent: Some(150),
        keyboard_layout: Some("de:nodeadkeys".into()),
    };
    let view = client.change(&view.id, &change).await.expect("it is there");
    assert_eq!((view.name.as_str(), view.grants, view.expires_at_s), ("sofa", 1, None));
    assert_eq!((view.scale_percent, view.keyboard_layout.as_deref()), (Some(150), Some("de:nodeadkeys")));
    let scale = |percent| ClientChangeRequest { scale_percent: Some(percent), ..ClientChangeRequest::default() };
    let refused = client.change(&view.id, &scale(151)).await.expect_err("no step of 5");
    assert_eq!(code_of(&refused), "desktop.scale_refused");
    let view = client.change(&view.id, &scale(0)).await.expect("as the host is set");
    assert_eq!((view.scale_percent, view.grants), (None, 1));
    let layout =
        |text: &str| ClientChangeRequest { keyboard_layout: Some(text.into()), ..ClientChangeRequest::default() };
    for nonsense in ["-", "de;us", "de\u{202e}", &"de,".repeat(50)] {
        let refused = client.change(&view.id, &layout(nonsense)).await.expect_err(nonsense);
        assert_eq!(code_of(&refused), "desktop.layout_refused");
    }
    let view = client.change(&view.id, &scale(0)).await.expect("nothing");
    assert_eq!(view.keyboard_layout.as_deref(), Some("de:nodeadkeys"));
    let view = client.change(&view.id, &layout("")).await.expect("the desktop's");
    assert_eq!((view.keyboard_layout, view.grants), (None, 1));
    client.revoke(&view.id).await.expect("it is there");
    assert!(client.devices().await.expect("answers").is_empty());

    let _knock = host.hub.pairing().knock(&who, "tablet", HOME).expect("room");
    client.deny("0101").await.expect("it waits");
    host.stop().await;
}

#[tokio::test]
async fn the_pin_that_a_device_shows_is_typed_and_its_outcome_told() {
    let host = start();
    let client = host.client().await;
    let pin = |pin: &str, id: Option<&str>| PinRequest { pin: pin.into(), id: id.map(str::to_owned) };
    let refused = async |request: PinRequest| code_of(&client.pin(&request).await.expect_err("refused"));
    assert_eq!(refused(pin("1234", None)).await, "pairing.nobody_waits");
    let who = Fingerprint([2; 32]);
    let mut prompt = host.hub.pairing().want_pin(&who, "Moonlight", HOME).expect("room");
    assert_eq!(refused(pin("12345", None)).await, "pairing.bad_pin");
    let waiting = client.pairing().await.expect("answers").pins_wanted;
    assert_eq!((waiting[0].name.as_str(), waiting[0].source.as_str()), ("Moonlight", "192.0.2.1"));
    let devices = client.devices().await.expect("answers");
    assert_eq!((devices[0].kind, devices[0].state), (ClientKind::Gamestream, ClientState::Pending));
    let approved = client.approve(&waiting[0].id, &ApproveRequest::default()).await.expect_err("not that way");
    assert_eq!(code_of(&approved), "pairing.pin_needed");
    let other = host.hub.pairing().want_pin(&Fingerprint([3; 32]), "Moonlight", HOME).expect("room");
    assert_eq!(refused(pin("1234", None)).await, "pairing.ambiguous");
    drop(other);

    let hub = Arc::clone(&host.hub);
    let device = tokio::spawn(async move {
        let PinAnswer::Pin { pin, done } = prompt.answered().await else { panic!("a PIN") };
        assert_eq!(&pin, b"0042");
        let record = ClientRecord::new(who, "Moonlight".into(), Grants::ALL);
        hub.trust().add(ClientRecord { kind: TrustKind::Gamestream, ..record }).expect("saved");
        done.tell();
    });
    let view = client.pin(&pin("0042", Some("0202"))).await.expect("the device proves it");
    assert_eq!(
        (view.kind, view.state, view.id.as_str()),
        (ClientKind::Gamestream, ClientState::Paired, "020202020202")
    );
    device.await.expect("no panic");

    let mut prompt = host.hub.pairing().want_pin(&who, "Moonlight", HOME).expect("room");
    let device = tokio::spawn(async move { drop(prompt.answered().await) });
    assert_eq!(refused(pin("0043", None)).await, "gamestream.pairing_failed");
    device.await.expect("no panic");
    host.stop().await;
}

#[tokio::test]
async fn refusals_have_their_code_and_status() {
    let host = start();
    let client = host.client().await;
    let short = client.arm(&ArmRequest { seconds: Some(14), fingerprint: None }).await.expect_err("too short");
    assert_eq!(code_of(&short), "pairing.bad_window");
    let odd = client.arm(&ArmRequest { seconds: None, fingerprint: Some("xyz".into()) }).await.expect_err("no digits");
    assert_eq!(code_of(&odd), "api.bad_request");
    assert_eq!(code_of(&client.deny("0101").await.expect_err("nobody")), "pairing.knock_not_found");
    assert_eq!(code_of(&client.revoke("0101").await.expect_err("nobody")), "client.not_found");
    assert_eq!(code_of(&client.revoke("../host").await.expect_err("no path")), "client.not_found");
    assert_eq!(code_of(&client.stop_session(1).await.expect_err("nobody")), "session.not_found");
    let mut twin = [1; 32];
    twin[31] = 9;
    for fingerprint in [Fingerprint([1; 32]), Fingerprint(twin)] {
        host.hub.trust().add(ClientRecord::new(fingerprint, "x".into(), Grants::ALL)).expect("saved");
    }
    assert_eq!(code_of(&client.revoke("010101").await.expect_err("two")), "client.ambiguous");

    let path = host.path();
    for (request, status, code) in [
        ("GET /api/v1/nothing HTTP/1.1", 404, "api.not_found"),
        ("DELETE /api/v1/health HTTP/1.1", 405, "api.method_not_allowed"),
        ("DELETE /api/v1/sessions/x HTTP/1.1", 400, "api.bad_request"),
    ] {
        let answer = raw(&path, format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").into()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{request}: {answer}");
        assert!(answer.contains("\"message\":") && answer.contains("\"fix\":"), "{answer}");
    }
    for (body, status, code) in [
        ("{\"seconds\":\"x\"}".to_owned(), 400, "api.bad_request"),
        ("{\"secnods\":60}".to_owned(), 400, "api.bad_request"),
        ("{".to_owned(), 400, "api.bad_request"),
        (format!("{{\"fingerprint\":\"{}\"}}", "a".repeat(100_000)), 413, "api.too_large"),
    ] {
        let head =
            "POST /api/v1/pairing/arm HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json";
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let answer = raw(&path, request.into()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(code), "{status}: {answer}");
    }
    host.stop().await;
}

#[tokio::test]
async fn nobody_there_is_host_not_running_and_a_stale_socket_is_no_host() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control.sock");
    let tried = [path.clone(), dir.path().join("other/control.sock")];
    let error = Client::connect(&tried).await.expect_err("nobody");
    assert!(matches!(&error, ClientError::NotRunning { tried } if tried.len() == 2));
    assert_eq!(code_of(&error), "host.not_running");
    // A host that was killed leaves its socket's file.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("free"));
    assert!(path.exists());
    assert_eq!(code_of(&Client::connect(&tried).await.expect_err("nobody")), "host.not_running");
    let socket = ControlSocket::bind(&path).expect("a stale socket is replaced");
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
    let second = ControlSocket::bind(&path).expect_err("one host per socket");
    assert_eq!(second.reason, &reason::HOST_ALREADY_RUNNING);
    assert!(path.exists(), "the refused one took nothing away");
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn what_is_no_socket_stays_and_open_folders_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control.sock");
    std::fs::write(&path, "precious").expect("writable");
    assert_eq!(ControlSocket::bind(&path).expect_err("a file").reason, &reason::HOST_CONTROL_SOCKET);
    assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
    let open = dir.path().join("open");
    std::fs::create_dir(&open).expect("writable");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).expect("ours");
    let refused = ControlSocket::bind(&open.join("control.sock")).expect_err("anybody could replace it");
    assert_eq!(refused.reason, &reason::HOST_CONTROL_SOCKET);
    let made = dir.path().join("a/b/control.sock");
    let _socket = socket::ControlSocket::bind(&made).expect("it makes its folder");
    let mode = std::fs::metadata(made.parent().expect("a/b")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn another_user_is_refused() {
    // The server believes that it belongs to somebody else; root is always let in.
    let host = start_as(me() + 12_345);
    let result = host.client().await.host().await;
    if me() == 0 {
        assert!(result.is_ok());
    } else {
        assert_eq!(code_of(&result.expect_err("another user")), "api.forbidden");
    }
    host.stop().await;
}

#[tokio::test]
async fn slow_and_broken_peers_hold_nobody_up() {
    let host = start();
    let path = host.path();
    let idle: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(&path).expect("room")).collect();
    let mut half = UnixStream::connect(&path).expect("room");
    half.write_all(b"POST /api/v1/pairing/arm HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").expect("room");
    let garbage = raw(&path, vec![0xff; 4096]).await;
    assert!(garbage.is_empty() || garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    let mut long = b"GET /api/v1/health HTTP/1.1\r\nx: ".to_vec();
    long.resize(200_000, b'a');
    let long = raw(&path, long).await;
    assert!(long.is_empty() || long.starts_with("HTTP/1.1 4"), "{long}");
    assert_eq!(host.client().await.health().await.expect("answers").status, HealthStatus::Ok);
    drop((idle, half));
    host.stop().await;
}

struct TestHolder(tokio::sync::Notify);

impl Holder for TestHolder {
    fn silent_for(&self) -> Duration {
        Duration::ZERO
    }

    fn evict(&self, why: Eviction) {
        assert_eq!(why, Eviction::Operator);
        self.0.notify_one();
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let host = start();
    let client = host.client().await;
    let holder = Arc::new(TestHolder(tokio::sync::Notify::new()));
    let fingerprint = Fingerprint([1; 32]);
    let request = AdmitRequest {
        identity: fingerprint.to_string(),
        fingerprint: Some(fingerprint),
        name: "tv".into(),
        holder: Arc::clone(&holder) as Arc<dyn Holder>,
    };
    host.hub.trust().add(ClientRecord::new(fingerprint, "tv".into(), Grants::ALL)).expect("saved");
    let ticket = host.hub.admission().admit(request).await.expect("free");
    assert!(client.clients().await.expect("answers")[0].streaming);
    let sessions = client.sessions().await.expect("answers");
    assert_eq!((sessions[0].id, sessions[0].client.as_deref()), (ticket.session_id(), Some("010101010101")));
    client.stop_session(sessions[0].id).await.expect("it is there");
    holder.0.notified().await;
    drop(ticket);
    assert!(client.sessions().await.expect("answers").is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_callback_that_panics_is_an_answer_and_the_host_goes_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    let facts = HostFacts { name: "test".into(), version: "0".into(), fingerprint: Fingerprint([7; 32]) };
    let state = MgmtState::new(hub, facts).with_addresses(|| panic!("a bug")).with_diagnostics(|| panic!("a bug"));
    let path = dir.path().join("control.sock");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn({
        let (path, router) = (path.clone(), router(state));
        async move { socket::serve(&path, router, me(), async { drop(stopped.await) }).await }
    });
    let client = loop {
        match Client::connect(std::slice::from_ref(&path)).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(code_of(&client.host().await.expect_err("a bug")), "api.internal");
    assert_eq!(code_of(&client.diagnostics().await.expect_err("a bug")), "api.internal");
    assert_eq!(client.health().await.expect("answers").status, HealthStatus::Ok);
    stop.send(()).expect("it runs");
    serving.await.expect("no panic").expect("bound");
}

#[test]
fn every_route_is_described_with_schemas() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")), "{}", document["openapi"]);
    let paths = document["paths"].as_object().expect("paths");
    let mut ids = std::collections::BTreeSet::new();
    for (path, operations) in paths {
        assert!(path.starts_with("/api/v1/") || path == "/metrics", "{path}");
        for (method, operation) in operations.as_object().expect("operations") {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{name}: id used twice");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{name}: no summary");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.keys().any(|s| s.starts_with('2')) && responses.contains_key("5XX"), "{name}");
            for (status, response) in responses {
                let content = response["content"].as_object();
                let schema = content.and_then(|c| c.values().next()).map_or(&serde_json::Value::Null, |c| &c["schema"]);
                assert!(schema.is_object() || ["202", "204"].contains(&status.as_str()), "{name} {status}: no schema");
                let is_problem = schema["$ref"].as_str().is_some_and(|r| r.ends_with("/Problem"));
                assert_eq!(is_problem, !status.starts_with('2'), "{name} {status}");
            }
            let takes_body = matches!(method.as_str(), "post" | "patch" | "put");
            if takes_body && operation.get("requestBody").is_some() {
                let kinds = operation["requestBody"]["content"].as_object().expect("kinds of bodies");
                assert!(kinds.values().all(|k| k["schema"].is_object()) && !kinds.is_empty(), "{name}: no body schema");
            }
            for parameter in path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')) {
                let described = operation["parameters"].as_array().expect("parameters");
                assert!(described.iter().any(|p| p["name"] == parameter && p["schema"].is_object()), "{name}");
            }
        }
    }
    // Scripts rely on these.
    for word in [
        "health",
        "host",
        "status",
        "sessions",
        "pairing",
        "clients",
        "displays",
        "encoders",
        "audio",
        "settings",
        "stats",
        "logs",
        "diagnostics",
        "events",
        "tokens",
        "actions/{action}",
    ] {
        assert!(paths.contains_key(&format!("/api/v1/{word}")), "{word}");
    }
    let problem = &document["components"]["schemas"]["Problem"];
    assert_eq!(problem["required"], serde_json::json!(["code", "message", "fix"]));
    let codes = problem["x-codes"].as_array().expect("codes");
    assert_eq!(codes.len(), reason::ALL.len(), "every code that the host can say is named");
}

#[tokio::test]
async fn how_long_displays_stay_is_said_in_a_word_or_in_seconds() {
    let host = start();
    let client = host.client().await;
    let ask = async |method: &str, body: Option<serde_json::Value>| {
        let answer = client.request(method.parse().expect("a method"), "/api/v1/displays", body.as_ref()).await;
        answer.map_err(|e: ClientError| code_of(&e))
    };
    let view = ask("GET", None).await.expect("answers");
    assert_eq!((&view["linger"], &view["preset"]), (&json!("10"), &json!("short")));
    let presets = view["presets"].as_array().expect("a list");
    assert_eq!(presets.iter().map(|p| &p["linger"]).collect::<Vec<_>>(), ["off", "10", "3600", "forever"]);
    assert!(presets.iter().all(|p| p["means"].as_str().is_some_and(|means| means.len() > 20)));
    assert_eq!(ask("PATCH", Some(json!({ "preset": "for_a_while" }))).await, Err("api.bad_request".into()));
    // This host has no settings: whoever keeps them decides.
    assert_eq!(ask("PATCH", Some(json!({ "preset": "long" }))).await, Err("settings.unknown_key".into()));
    assert_eq!(ask("PATCH", Some(json!({}))).await, Ok(view));
    host.stop().await;
}

#[tokio::test]
async fn an_encoder_and_a_gpu_are_chosen_together_or_not_at_all() {
    let trouble = || vec![punktfunk_mgmt::Problem::new(&reason::GPU_FAILED).with_detail("no driver")];
    let (dir, hub) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let hub = Hub::open(HubConfig::new(hub.path().join("state"))).expect("free");
    let facts = HostFacts { name: "test".into(), version: "0".into(), fingerprint: Fingerprint([7; 32]) };
    let state = MgmtState::new(hub, facts).with_settings(Arc::new(MemorySettings::default())).with_problems(trouble);
    let path = dir.path().join("run/control.sock");
    let socket = ControlSocket::bind(&path).expect("free");
    let (_stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(socket.serve(router(state), me(), async move {
        let _ = stopped.await;
    }));
    let client = Client::connect(&[path]).await.expect("it runs");
    let choice = async |method: &str, body: Option<serde_json::Value>| {
        let answer = client.request(method.parse().expect("a method"), "/api/v1/encoders/choice", body.as_ref()).await;
        answer.map_err(|e: ClientError| code_of(&e))
    };
    let first = choice("GET", None).await.expect("answers");
    assert_eq!(
        (&first["encoder"], &first["gpu"], &first["restart_needed"]),
        (&json!("auto"), &json!("auto"), &json!(false))
    );
    assert_eq!(first["gpu_problem"]["code"], "gpu.failed");
    for (body, code) in [
        (json!({ "encoder": "x264", "gpu": "0000:09:00.0" }), "gpu.missing"),
        (json!({ "encoder": "nvenc", "gpu": "none" }), "settings.invalid"),
        (json!({ "codec": "h264" }), "api.bad_request"),
    ] {
        assert_eq!(choice("PATCH", Some(body)).await, Err(code.to_owned()));
        assert_eq!(choice("GET", None).await.as_ref(), Ok(&first), "{code}: all or nothing");
    }
    let changed = choice("PATCH", Some(json!({ "encoder": "x264", "gpu": "none" }))).await.expect("both are there");
    assert_eq!((&changed["encoder"], &changed["gpu"]), (&json!("x264"), &json!("none")));
    assert_eq!(changed["restart_needed"], true, "an encoder is in force for the next session, a GPU after a restart");
    assert_eq!(choice("PATCH", Some(json!({}))).await, Ok(changed));
}

#[test]
fn the_description_that_is_checked_in_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api/openapi.json");
    let current = openapi().to_pretty_json().expect("JSON") + "\n";
    if std::env::var_os("PUNKTFUNK_UPDATE").is_some() {
        std::fs::create_dir_all(file.parent().expect("api")).expect("writable");
        std::fs::write(&file, &current).expect("writable");
    }
    let checked_in = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(checked_in == current, "run this test with PUNKTFUNK_UPDATE=1 and look at the change");
}
