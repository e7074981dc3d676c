//! What a stranger can send to GameStream's HTTP ports.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use punktfunk_gamestream::wire::launch::{self, LaunchContext};
use punktfunk_gamestream::wire::pairing::{self, ClientCertificate, HostCertificate};
use punktfunk_gamestream::wire::query::Query;
use punktfunk_gamestream::wire::xml::Xml;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Query strings, and `/launch` with whatever parameters they have. Nothing of it gets out of an XML element.
pub fn fuzz_gs_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(query) = Query::parse(text) else { return };
    let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if let Ok(request) = launch::parse(&query, LaunchContext { device_name: String::new(), local: home, peer: home }) {
        assert!(request.mode.is_none_or(|(width, height, _)| width > 0 && height > 0));
        assert!(request.surround_params.is_none_or(|digits| digits.len() <= 11));
    }
    let echoed = Xml::ok().element("a", query.get("a").unwrap_or_default()).finish();
    assert_eq!(echoed.matches('<').count(), 5, "{echoed}");
}

/// Client certificates, as PEM and as DER.
pub fn fuzz_gs_certificate(data: &[u8]) {
    pairing::fuzz_certificate(data);
}

/// The phases of a pairing, by a client that does not know the PIN.
pub fn fuzz_gs_pairing(data: &[u8]) {
    static PARTIES: OnceLock<(ClientCertificate, HostCertificate)> = OnceLock::new();
    let (client, host) = PARTIES.get_or_init(|| {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(HOST_KEY));
        let client = ClientCertificate::from_pem(CLIENT.as_bytes()).expect("a certificate of the vectors");
        (client, HostCertificate::new(HOST, &key).expect("a certificate of the vectors"))
    });
    pairing::fuzz_phases(data, client, host);
}

/// Certificates and a key that were made for the vectors of gamestream.md §13.
const HOST: &str = include_str!("../keys/gamestream-host.pem");
const HOST_KEY: &[u8] = include_bytes!("../keys/gamestream-host-key.der");
const CLIENT: &str = include_str!("../keys/gamestream-client.pem");
