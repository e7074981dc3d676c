//! Every route × every credential × every origin, from the API's own description, against the table in its documentation.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use punktfunk_core::{Fingerprint, Grants};
use punktfunk_hub::trust::ClientRecord;
use punktfunk_hub::{Hub, HubConfig};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::{HostFacts, MgmtState, console_router, openapi, router};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const PAIRED: Fingerprint = Fingerprint([1; 32]);
const STRANGER: Fingerprint = Fingerprint([2; 32]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Socket,
    LanNothing,
    LanToken(Scope),
    LanWrongToken,
    LanPaired,
    LanStranger,
    ConsoleNothing,
    ConsoleSession,
    ConsoleSessionWithoutCsrf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A program, or a page's own GET.
    Nowhere,
    /// The console's page.
    OurPage,
    /// Another page, from another site.
    OtherPage,
    /// A page whose name was made to point at us.
    Rebound,
}

/// The table in [`Class`]'s documentation, written a second time.
fn opens(class: &str, shown: Shown) -> bool {
    use Scope::{Admin, Control, Metrics, Pair, Read};
    use Shown::*;
    match shown {
        Socket => true,
        LanNothing | LanWrongToken | LanStranger => false,
        LanPaired => class == "view",
        LanToken(scope) => match class {
            "view" | "inspect" => scope == Read,
            "metrics" => scope == Metrics,
            "control" => scope == Control,
            "pair" => scope == Pair,
            "admin" => scope == Admin,
            _ => false,
        },
        ConsoleNothing => class == "console-door",
        ConsoleSession | ConsoleSessionWithoutCsrf => !matches!(class, "metrics" | "local"),
    }
}

fn allowed(class: &str, method: &Method, shown: Shown, from: From) -> bool {
    let changes = *method != Method::GET;
    let origin_fits = match shown {
        Shown::Socket => true,
        Shown::ConsoleNothing | Shown::ConsoleSession | Shown::ConsoleSessionWithoutCsrf => {
            from == From::OurPage || (from == From::Nowhere && !changes)
        }
        _ => from == From::Nowhere,
    };
    let csrf_fits = shown != Shown::ConsoleSessionWithoutCsrf || !changes || class == "console-door";
    origin_fits && csrf_fits && opens(class, shown)
}

/// What the check before the handlers says when it refuses.
const REFUSALS: [&str; 6] = [
    "api.credential_needed",
    "api.token_unknown",
    "api.scope",
    "api.origin_refused",
    "api.wrong_host",
    "console.signed_out",
];

struct World {
    state: MgmtState,
    api: Router,
    console: Router,
    tokens: Vec<(Scope, String)>,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().expect("a folder");
    let hub = Hub::open(HubConfig::new(dir.path().join("state"))).expect("free");
    let facts = HostFacts { name: "sofa".into(), version: "0".into(), fingerprint: Fingerprint([7; 32]) };
    let state = MgmtState::new(hub, facts);
    let mut tokens = Vec::new();
    for scope in Scope::ALL {
        let mut stored = lock(&state.access.tokens);
        let (next, _, secret) = stored.get().with("t", &[scope], now_s(), None).expect("room");
        stored.set(next).expect("saved");
        tokens.push((scope, secret));
    }
    let (api, console) = (router(state.clone()), console_router(state.clone()));
    World { state, api, console, tokens, _dir: dir }
}

impl World {
    async fn ask(&self, method: &Method, path: &str, shown: Shown, from: From) -> Response<Body> {
        // A route before this one may have unpaired the device or signed the browser out.
        let trust = self.state.hub.trust();
        if trust.state(&PAIRED, SystemTime::now()) == TrustState::Unknown {
            trust.add(ClientRecord::new(PAIRED, "tv".into(), Grants::ALL)).expect("saved");
        }
        let mut request = Request::builder().method(method).uri(path);
        let host = if from == From::Rebound { "evil.example:47992" } else { "192.0.2.1:47992" };
        request = request.header("host", host);
        request = match from {
            From::Nowhere => request,
            From::OurPage => {
                request.header("origin", "https://192.0.2.1:47992").header("sec-fetch-site", "same-origin")
            }
            From::OtherPage => request.header("origin", "https://evil.example").header("sec-fetch-site", "cross-site"),
            From::Rebound => {
                request.header("origin", "https://evil.example:47992").header("sec-fetch-site", "same-origin")
            }
        };
        let lan = |certificate| Caller::Lan { peer: PEER, certificate };
        let caller = match shown {
            Shown::Socket => Caller::Socket,
            Shown::LanNothing => lan(None),
            Shown::LanPaired => lan(Some(PAIRED)),
            Shown::LanStranger => lan(Some(STRANGER)),
            Shown::LanToken(scope) => {
                let secret = &self.tokens.iter().find(|(s, _)| *s == scope).expect("made above").1;
                request = request.header("authorization", format!("Bearer {secret}"));
                lan(None)
            }
            Shown::LanWrongToken => {
                request = request.header("authorization", "Bearer pft_0");
                // A token that is wrong must not fall back on the certificate.
                lan(Some(PAIRED))
            }
            Shown::ConsoleNothing => Caller::Console { peer: PEER },
            Shown::ConsoleSession | Shown::ConsoleSessionWithoutCsrf => {
                let session = lock(&self.state.access.sessions).begin(Instant::now()).expect("random");
                request = request.header("cookie", format!("{SESSION_COOKIE}={}", session.secret));
                if shown == Shown::ConsoleSession {
                    request = request.header(CSRF_HEADER, session.csrf);
                }
                Caller::Console { peer: PEER }
            }
        };
        let mut request = request.body(Body::empty()).expect("a request");
        request.extensions_mut().insert(caller);
        let router = if matches!(caller, Caller::Console { .. }) { &self.console } else { &self.api };
        router.clone().oneshot(request).await.unwrap_or_else(|e| match e {})
    }
}

async fn code(response: Response<Body>) -> String {
    let is_json = response.headers().get("content-type").is_some_and(|t| t == "application/json");
    if !is_json {
        return String::new();
    }
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    json.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_route_opens_to_exactly_whom_it_should() {
    let world = world();
    let document = serde_json::to_value(openapi()).expect("JSON");
    let shown: Vec<_> = [
        Shown::Socket,
        Shown::LanNothing,
        Shown::LanWrongToken,
        Shown::LanPaired,
        Shown::LanStranger,
        Shown::ConsoleNothing,
        Shown::ConsoleSession,
        Shown::ConsoleSessionWithoutCsrf,
    ]
    .into_iter()
    .chain(Scope::ALL.map(Shown::LanToken))
    .collect();
    let (mut tried, mut let_in) = (0, 0);
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let class = operation["x-access"].as_str().unwrap_or_else(|| panic!("{method} {path} has no class"));
            assert!(Class::ALL.iter().any(|c| c.name() == class), "{class}");
            let method: Method = method.to_ascii_uppercase().parse().expect("a method");
            // No such thing exists, whatever it is: the check comes first.
            let path = path.replace("{action}", "restart").replace("{id}", "1");
            for shown in &shown {
                for from in [From::Nowhere, From::OurPage, From::OtherPage, From::Rebound] {
                    let response = world.ask(&method, &path, *shown, from).await;
                    let refused = REFUSALS.contains(&code(response).await.as_str());
                    let expected = allowed(class, &method, *shown, from);
                    assert_eq!(!refused, expected, "{method} {path} ({class}) {shown:?} {from:?}");
                    tried += 1;
                    let_in += u32::from(expected);
                }
            }
        }
    }
    assert!(tried > 2000 && let_in > 300, "{tried} {let_in}");
}

#[tokio::test]
async fn what_is_taken_away_opens_nothing_any_more() {
    let world = world();
    let status = |shown| world.ask(&Method::GET, "/api/v1/status", shown, From::Nowhere);
    assert_eq!(status(Shown::LanPaired).await.status(), 200);
    let read = Shown::LanToken(Scope::Read);
    assert_eq!(status(read).await.status(), 200);
    let id = lock(&world.state.access.tokens).get().by_secret(&world.tokens[0].1).expect("made above").id.clone();
    let revoked = world.ask(&Method::DELETE, &format!("/api/v1/tokens/{id}"), Shown::Socket, From::Nowhere).await;
    assert_eq!(revoked.status(), 204);
    assert_eq!(code(status(read).await).await, "api.token_unknown");
    let credential = Credential::Token { id };
    assert!(!world.state.access.still_opens(&credential, Class::View));
}
