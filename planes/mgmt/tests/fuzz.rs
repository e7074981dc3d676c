//! The API against its own description: requests made from the schemas, right and wrong ones, and answers judged by them.
//!
//! `PUNKTFUNK_FUZZ_CASES=5000 PUNKTFUNK_FUZZ_SEED=7 cargo test -p punktfunk-mgmt --test fuzz` looks longer, and elsewhere.

mod common;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use common::{HOME, LiveSession, MemorySettings};
use http_body_util::BodyExt as _;
use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig};
use punktfunk_media::reason;
use punktfunk_mgmt::access::Caller;
use punktfunk_mgmt::{Action, EncoderView, GpuUse, GpuView, HostFacts, MgmtState, Problem, Router, openapi, router};
use schema::{Random, Schemas};
use serde_json::{Value, json};
use tower::ServiceExt as _;

const PAIRED: [Fingerprint; 2] = [Fingerprint([1; 32]), Fingerprint([2; 32])];

/// What a request may name: things that exist, did, or never could.
fn names(session: u64) -> Vec<String> {
    let real = ["010101010101".to_owned(), PAIRED[1].to_string(), "03030303".to_owned(), session.to_string()];
    let odd = [
        "0",
        "1",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "restart",
        "desktop",
        "%2e%2e%2f%2e%2e",
        "..%5c..%5cwindows",
        "%00",
        "%0d%0aset-cookie:x",
        "%e2%80%ae%3Cscript%3E",
        "%ff%fe",
        "%",
        "20261126-014500",
        "20261126-014500%2f..%2fclients",
        "steam%3A570",
        "%20",
        "a%20b",
        "null",
        "{id}",
        "*",
    ];
    real.into_iter().chain(odd.map(str::to_owned)).chain(["a".repeat(5000)]).collect()
}

struct World {
    api: Router,
    hub: Arc<Hub>,
    session: LiveSession,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    let facts = HostFacts { name: "sofa \u{202e}<b>".into(), version: "0".into(), fingerprint: Fingerprint([7; 32]) };
    let encoder = |name: &str, offered| EncoderView {
        name: name.into(),
        codec: "h264".into(),
        offered,
        detail: "d".into(),
        fix: String::new(),
    };
    let gpu = GpuView {
        node: "/dev/dri/renderD128".into(),
        bus: "0000:01:00.0".into(),
        vendor: "AMD".into(),
        device: "744c".into(),
        driver: "amdgpu".into(),
        usable: false,
        detail: "d".into(),
        chosen: true,
        used_for: vec![GpuUse::Desktop, GpuUse::Programs],
    };
    let state = MgmtState::new(Arc::clone(&hub), facts)
        .with_addresses(|| vec!["192.0.2.10:9777".into()])
        .with_console_addresses(|| vec!["192.0.2.10:47992".into()])
        .with_encoders(move || vec![encoder("a", true), encoder("b", false)])
        .with_gpus(move || vec![gpu.clone()])
        .with_settings(Arc::new(MemorySettings::default()))
        .with_actions(|action| match action {
            Action::Restart => Ok(()),
            Action::Sleep => Err(Problem::new(&reason::ACTION_FAILED).with_detail("told to")),
        });
    for who in PAIRED {
        hub.trust().add(ClientRecord::new(who, "tv".into(), Grants::ALL)).expect("saved");
    }
    let session = LiveSession::start(&hub, PAIRED[0], "tv").await;
    World { api: router(state), hub, session, _dir: dir }
}

impl World {
    /// What requests took away comes back, so that later ones find something.
    fn refill(&self, random: &mut Random) {
        for who in PAIRED {
            if self.hub.trust().list().iter().all(|c| c.fingerprint != who) {
                self.hub.trust().add(ClientRecord::new(who, "tv".into(), Grants::ALL)).expect("saved");
            }
        }
        if random.one_in(4) {
            // Its end is told to nobody: a device that left.
            let _ = self.hub.pairing().knock(&Fingerprint([3; 32]), "tablet \u{7}", HOME);
        }
    }
}

struct Sent {
    method: Method,
    uri: String,
    content_type: Option<&'static str>,
    body: Vec<u8>,
}

/// A request for an operation. Most are as described; each of the others is wrong in one way.
fn request<'a>(
    path: &str,
    method: &str,
    operation: &'a Value,
    schemas: &Schemas<'a>,
    names: &[String],
    random: &mut Random,
) -> Sent {
    let mut uri = path
        .split('/')
        .map(|part| if part.starts_with('{') { random.pick(names).clone() } else { part.to_owned() })
        .collect::<Vec<_>>()
        .join("/");
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|p| p["in"] == "query") {
        if random.one_in(2) {
            let value = schemas.make(&parameter["schema"], random, 0);
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            query.push(format!("{}={}", parameter["name"].as_str().expect("a name"), escaped(&value)));
        }
    }
    match random.below(20) {
        0 => query.push("unknown=1".into()),
        1 => query.extend(query.clone()),
        2 => query.push("%ff=%00&&&=".into()),
        _ => {}
    }
    if !query.is_empty() {
        uri = format!("{uri}?{}", query.join("&"));
    }
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let right = if schema.is_object() { schemas.make(schema, random, 0).to_string() } else { String::new() };
    let json = Some("application/json");
    let (content_type, body) = match random.below(12) {
        0 => (json, right.get(..right.len() / 2).unwrap_or("{").as_bytes().to_vec()),
        1 => (json, b"{\"x\":\xff\xfe}".to_vec()),
        2 => (json, "[".repeat(5000).into_bytes()),
        3 => (Some("text/plain"), right.into_bytes()),
        4 => (None, right.into_bytes()),
        5 => (json, schemas.spoil(schema, random).to_string().into_bytes()),
        6 => (json, format!("{{\"x\":\"{}\"}}", "y".repeat(70_000)).into_bytes()),
        _ if right.is_empty() => (None, Vec::new()),
        _ => (json, right.into_bytes()),
    };
    let method = if random.one_in(40) { *random.pick(&["PUT", "HEAD", "OPTIONS", "TRACE", "BREW"]) } else { method };
    Sent { method: method.to_ascii_uppercase().parse().expect("a method"), uri, content_type, body }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// What is wrong with the answer.
async fn judge<'a>(
    sent: &Sent,
    api: &Router,
    operation: &'a Value,
    schemas: &Schemas<'a>,
) -> Result<StatusCode, String> {
    let mut request = Request::builder().method(&sent.method).uri(&sent.uri).header("host", "localhost");
    if let Some(kind) = sent.content_type {
        request = request.header("content-type", kind);
    }
    // What no HTTP library would send is tried at the sockets themselves.
    let Ok(mut request) = request.body(Body::from(sent.body.clone())) else { return Ok(StatusCode::BAD_REQUEST) };
    request.extensions_mut().insert(Caller::Socket);
    let response = api.clone().oneshot(request).await.unwrap_or_else(|e| match e {});
    let status = response.status();
    let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let class = format!("{}XX", status.as_u16() / 100);
    let responses = &operation["responses"];
    let described = responses.get(status.as_str()).or_else(|| responses.get(&class));
    let foreign = matches!(sent.method.as_str(), "PUT" | "HEAD" | "OPTIONS" | "TRACE" | "BREW");
    let described = match described {
        Some(described) => described,
        None if foreign => &responses["4XX"],
        None => return Err(format!("{status} is not described")),
    };
    if kind.starts_with("text/event-stream") {
        // It has no end.
        return Ok(status);
    }
    let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    if status.is_success() {
        if foreign {
            return Ok(status);
        }
        let Some(content) = described["content"].as_object() else {
            return if body.is_empty() { Ok(status) } else { Err(format!("{status} with a body")) };
        };
        let (wanted, content) = content.iter().next().ok_or("no content is described")?;
        if !kind.starts_with(wanted.as_str()) {
            return Err(format!("{kind} instead of {wanted}"));
        }
        if wanted == "application/json" {
            let json: Value = serde_json::from_slice(&body).map_err(|e| format!("no JSON: {e}"))?;
            schemas.check(&content["schema"], &json).map_err(|e| format!("{e} in {json}"))?;
        }
        return Ok(status);
    }
    if sent.method == Method::HEAD {
        return Ok(status);
    }
    let problem: Problem = serde_json::from_slice(&body).map_err(|e| format!("{status} without a problem: {e}"))?;
    let known =
        reason::ALL.iter().any(|r| r.code == problem.code && r.sentence == problem.message && r.fix == problem.fix);
    if !known || problem.status() != status {
        return Err(format!("{status} with {problem}"));
    }
    // The host's own failures that the world brings about on purpose.
    let meant = ["action.failed", "api.too_many_streams"].contains(&&*problem.code);
    if status.is_server_error() && !meant { Err(format!("{status}: {problem}")) } else { Ok(status) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_keeps_to_its_description_whatever_it_is_sent() {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let (cases, seed) = (number("PUNKTFUNK_FUZZ_CASES", 120), number("PUNKTFUNK_FUZZ_SEED", 1));
    let document = serde_json::to_value(openapi()).expect("JSON");
    let schemas = Schemas::new(&document);
    let world = world().await;
    let names = names(world.session.id());
    let mut random = Random::new(seed);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let paths = document["paths"].as_object().expect("paths");
    let operations: Vec<_> = paths
        .iter()
        .flat_map(|(path, methods)| methods.as_object().expect("methods").iter().map(move |(m, o)| (path, m, o)))
        // Each hashes a password for a tenth of a second; they are tried by hand below.
        .filter(|(path, ..)| {
            !matches!(path.as_str(), "/api/v1/console/setup" | "/api/v1/console/login" | "/api/v1/console/password")
        })
        .collect();
    for case in 0..cases {
        for (path, method, operation) in &operations {
            world.refill(&mut random);
            let sent = request(path, method, operation, &schemas, &names, &mut random);
            match judge(&sent, &world.api, operation, &schemas).await {
                Ok(status) => *seen.entry(format!("{method} {path} {}", status.as_u16())).or_default() += 1,
                Err(why) => panic!(
                    "seed {seed}, case {case}: {} {} {:?} {:?}: {why}",
                    sent.method,
                    sent.uri,
                    sent.content_type,
                    String::from_utf8_lossy(&sent.body[..sent.body.len().min(300)])
                ),
            }
        }
    }
    // Requests that never get past the first check find nothing.
    for (path, method, _) in &operations {
        let well = seen.keys().any(|k| k.starts_with(&format!("{method} {path} 2")));
        let needs_luck = [
            "/api/v1/displays/{id}",
            // No displays in this world either; `tests/e2e` lists, focuses and closes real windows.
            "/api/v1/sessions/{id}/windows",
            "/api/v1/library",
            "/api/v1/tokens/{id}",
            "/api/v1/pairing",
            "/api/v1/stats/recordings/{id}",
            "/api/v1/settings",
        ];
        assert!(well || needs_luck.iter().any(|p| path.starts_with(p)), "{method} {path} never succeeded: {seen:#?}");
    }
}

#[tokio::test]
async fn signing_in_keeps_to_its_description_too() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let schemas = Schemas::new(&document);
    let world = world().await;
    let mut random = Random::new(2);
    for path in ["/api/v1/console/setup", "/api/v1/console/login", "/api/v1/console/password"] {
        let operation = &document["paths"][path]["post"];
        for _ in 0..8 {
            let sent = request(path, "post", operation, &schemas, &[], &mut random);
            judge(&sent, &world.api, operation, &schemas).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        }
    }
}

#[test]
fn every_body_answer_and_parameter_has_an_example_that_fits() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let schemas = Schemas::new(&document);
    let mut judged = 0;
    let operations = document["paths"].as_object().expect("paths").iter();
    let operations =
        operations.flat_map(|(path, all)| all.as_object().expect("a map").values().map(move |o| (path, o)));
    for (path, operation) in operations {
        let responses = operation["responses"].as_object().expect("responses").iter();
        let answers = responses.filter(|(status, _)| status.starts_with('2')).map(|(_, response)| response);
        for content in answers.chain([&operation["requestBody"]]).filter_map(|of| of["content"].as_object()) {
            for (kind, content) in content {
                let picture = kind.starts_with("image/") || kind == "application/octet-stream";
                let fits = || schemas.check(&content["schema"], &content["example"]);
                assert!(picture || !content["example"].is_null(), "{path} {kind}: no example");
                assert!(picture || fits().is_ok(), "{path}: {:?} {}", fits(), content["example"]);
                judged += 1;
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = &parameter["schema"];
            let example = if parameter["example"].is_null() { &schema["example"] } else { &parameter["example"] };
            let described = !example.is_null() || schema["$ref"].is_string();
            assert!(described && (example.is_null() || schemas.check(schema, example).is_ok()), "{path}: {parameter}");
            judged += 1;
        }
    }
    assert!(judged > 100, "{judged}");
}

#[test]
fn the_judge_judges() {
    let document = serde_json::to_value(openapi()).expect("JSON");
    let schemas = Schemas::new(&document);
    let health = json!({"$ref": "#/components/schemas/Health"});
    assert!(schemas.check(&health, &json!({"status": "ok", "problems": []})).is_ok());
    for wrong in [
        json!({"status": "fine", "problems": []}),
        json!({"status": "ok"}),
        json!({"status": "ok", "problems": [{"code": "x.y", "message": 1, "fix": ""}]}),
        json!([]),
    ] {
        assert!(schemas.check(&health, &wrong).is_err(), "{wrong}");
    }
}
