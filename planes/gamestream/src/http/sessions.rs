//! `/launch`, `/resume` and `/cancel` (gamestream.md §3.7, §3.8): the parameters are checked here, the sessions live
//! behind [`crate::door::Sessions`].

use std::net::IpAddr;
use std::sync::Arc;

use punktfunk_core::Fingerprint;
use punktfunk_media::reason;

use super::serve::Peer;
use super::{Shared, apps, explain, routes};
use crate::door::SessionUrl;
use crate::wire::launch::{self, LaunchContext};
use crate::wire::query::{Query, QueryError};
use crate::wire::xml::Xml;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Launch,
    Resume,
}

impl Verb {
    /// The element that clients look at.
    fn element(self) -> &'static str {
        match self {
            Self::Launch => "gamesession",
            Self::Resume => "resume",
        }
    }
}

pub(super) async fn open(shared: &Shared, peer: &Peer, client: Fingerprint, query: &Query, verb: Verb) -> String {
    let refusal = |xml: Xml| xml.number(verb.element(), 0u8).finish();
    let device_name = shared.deps.hub.trust().get(&client).map(|record| record.name).unwrap_or_default();
    let context = LaunchContext { device_name, local: peer.local.ip(), peer: peer.address.ip() };
    let request = match launch::parse(query, context) {
        Ok(request) if verb == Verb::Launch && request.app.is_none() => {
            return refusal(routes::bad_request(&QueryError::Missing("appid")));
        }
        Ok(request) => request,
        Err(error) => return refusal(routes::bad_request(&error)),
    };
    if verb == Verb::Launch && !request.app.is_some_and(|id| apps::exists(shared, id)) {
        return refusal(Xml::refusal(404, &explain(&reason::GAMESTREAM_APP_NOT_FOUND)));
    }
    let sessions = Arc::clone(&shared.deps.sessions);
    // A client that goes away must not leave a session half open: it comes to its end, and nobody takes it up.
    let opening = tokio::spawn(async move {
        match verb {
            Verb::Launch => sessions.launch(&client, request).await,
            Verb::Resume => sessions.resume(&client, request).await,
        }
    });
    match opening.await {
        Ok(Ok(session)) => Xml::ok().element("sessionUrl0", &url(&session)).number(verb.element(), 1u8).finish(),
        Ok(Err(why)) => {
            tracing::info!(status = why.status, why.message, "a GameStream session was refused");
            refusal(Xml::refusal(why.status, &why.message))
        }
        Err(panic) => {
            tracing::error!(%panic, "opening a GameStream session");
            refusal(Xml::refusal(500, &explain(&reason::INTERNAL_PANIC)))
        }
    }
}

/// Answers only when serverinfo says that the client's session is gone.
pub(super) async fn cancel(shared: &Shared, client: Fingerprint) -> String {
    let sessions = Arc::clone(&shared.deps.sessions);
    let ended = tokio::spawn(async move { sessions.cancel(&client).await });
    Xml::ok().number("cancel", matches!(ended.await, Ok(true))).finish()
}

fn url(session: &SessionUrl) -> String {
    let scheme = if session.sealed { "rtspenc" } else { "rtsp" };
    let port = session.address.port();
    match session.address.ip().to_canonical() {
        IpAddr::V4(ip) => format!("{scheme}://{ip}:{port}"),
        IpAddr::V6(ip) => format!("{scheme}://[{ip}]:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_always_have_a_port_and_plain_addresses() {
        let url = |sealed, text: &str| url(&SessionUrl { sealed, address: text.parse().unwrap() });
        assert_eq!(url(true, "192.0.2.10:48010"), "rtspenc://192.0.2.10:48010");
        assert_eq!(url(false, "[::ffff:192.0.2.10]:80"), "rtsp://192.0.2.10:80");
        assert_eq!(url(true, "[2001:db8::1]:48010"), "rtspenc://[2001:db8::1]:48010");
    }
}
