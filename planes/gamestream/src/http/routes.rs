//! Which path does what, for whom (gamestream.md §3.2).

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use punktfunk_core::Fingerprint;
use punktfunk_hub::trust::TrustState;
use punktfunk_media::reason;

use super::serve::Peer;
use super::{Shared, apps, explain, pairing, serverinfo, sessions};
use crate::wire::query::{Query, QueryError};
use crate::wire::xml::Xml;

/// What is sent back.
pub(super) type Answer = Response<Full<Bytes>>;

/// Answers one request. The body, which no client sends, is not looked at.
pub(super) async fn answer<B>(shared: &std::sync::Arc<Shared>, peer: &Peer, request: &Request<B>) -> Answer {
    if request.method() != Method::GET {
        let mut answer = xml(Xml::refusal(405, "Only GET is served here.").finish());
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let path = request.uri().path();
    let client = if peer.secure {
        match authorised(shared, peer) {
            Some(client) => Some(client),
            None => return xml(Xml::unauthorised(path)),
        }
    } else {
        None
    };
    let query = match Query::parse(request.uri().query().unwrap_or_default()) {
        Ok(query) => query,
        Err(error) => return xml(bad_request(&error).finish()),
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    tracing::debug!(path, address = %peer.address, secure = peer.secure, "request");
    match (client, path) {
        (client, "/serverinfo") => xml(serverinfo::answer(shared, peer, client.as_ref()).await),
        (None, "/pair") => xml(pairing::phase(shared, peer, &query).await),
        (None, "/unpair") => xml(pairing::unpair(shared, peer, &query)),
        (Some(_), "/pair") => xml(pairing::last_phase(&query)),
        // Taking a device's access away is the operator's business.
        (Some(_), "/unpair") => xml(Xml::ok().finish()),
        (Some(_), "/applist") => xml(apps::list(shared)),
        (Some(_), "/appasset") => match apps::asset(shared, &query).await {
            Some(picture) => body("image/png", picture),
            None => not_found(path, StatusCode::NOT_FOUND),
        },
        (Some(client), "/launch") => xml(sessions::open(shared, peer, client, &query, sessions::Verb::Launch).await),
        (Some(client), "/resume") => xml(sessions::open(shared, peer, client, &query, sessions::Verb::Resume).await),
        (Some(client), "/cancel") => xml(sessions::cancel(shared, client).await),
        (_, path) => not_found(path, StatusCode::OK),
    }
}

/// Too many requests at once.
pub(super) fn busy() -> Answer {
    xml(Xml::refusal(503, &explain(&reason::GAMESTREAM_BUSY)).finish())
}

/// The client's identity, if exactly this certificate is paired now.
fn authorised(shared: &Shared, peer: &Peer) -> Option<Fingerprint> {
    let client = peer.certificate?;
    let state = shared.deps.hub.trust().state(&client, std::time::SystemTime::now());
    matches!(state, TrustState::Paired { .. }).then_some(client)
}

/// A request that makes no sense.
pub(super) fn bad_request(error: &QueryError) -> Xml {
    Xml::refusal(400, &format!("{} ({error})", explain(&reason::GAMESTREAM_BAD_REQUEST)))
}

fn not_found(path: &str, status: StatusCode) -> Answer {
    let message = format!("{} ({path})", explain(&reason::GAMESTREAM_UNKNOWN_PATH));
    let mut answer = xml(Xml::refusal(404, &message).finish());
    *answer.status_mut() = status;
    answer
}

fn xml(text: String) -> Answer {
    body("application/xml", Bytes::from(text))
}

fn body(kind: &'static str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(bytes));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
