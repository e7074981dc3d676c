//! `/serverinfo` (gamestream.md §3.3): honest, and for an authorised client about its own session.

use std::net::IpAddr;

use punktfunk_core::Fingerprint;
use punktfunk_media::reason;

use super::serve::Peer;
use super::{Shared, explain};
use crate::wire::xml::Xml;

pub(super) async fn answer(shared: &Shared, peer: &Peer, client: Option<&Fingerprint>) -> String {
    let Some(identity) = shared.identity.ready().await else {
        return Xml::refusal(503, &explain(&reason::GAMESTREAM_NO_IDENTITY)).finish();
    };
    let game = client.and_then(|client| shared.deps.sessions.current_app(client)).unwrap_or(0);
    let codecs = (shared.deps.codecs)();
    let mac = client.and_then(|_| punktfunk_net::mdns::mac_addresses().into_iter().next());
    let local = match peer.local.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(_) => "127.0.0.1".to_owned(),
    };
    Xml::ok()
        .element("hostname", &shared.name)
        .element("appversion", APP_VERSION)
        .element("GfeVersion", GFE_VERSION)
        .element("uniqueid", &identity.uuid)
        .number("HttpsPort", shared.addresses.https.port())
        .number("ExternalPort", shared.addresses.http.port())
        .element("mac", mac.as_deref().unwrap_or("00:00:00:00:00:00"))
        .element("LocalIP", &local)
        .number("MaxLumaPixelsHEVC", codecs.max_luma_hevc)
        .number("ServerCodecModeSupport", codecs.mode_support)
        .number("PairStatus", client.is_some())
        .number("currentgame", game)
        .element("state", if game == 0 { "PUNKTFUNK_SERVER_FREE" } else { "PUNKTFUNK_SERVER_BUSY" })
        .finish()
}

/// Generation 7 without the longer frame headers of later ones; the negative fourth part unlocks the extensions (§3.3).
const APP_VERSION: &str = "7.1.431.-1";
/// Clients refuse larger ones than they know.
const GFE_VERSION: &str = "3.23.0.74";
