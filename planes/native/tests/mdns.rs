//! The advert as a browser on the same network sees it.

mod common;

use std::time::Duration;

use common::{Options, PATIENCE, TestHost};
use mdns_sd::{ServiceDaemon, ServiceEvent};
use punktfunk_native::MdnsConfig;

/// Not 5353: the machine's own responder and other tests must not matter.
const PORT: u16 = 54_753;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_the_host_and_hears_when_it_goes() {
    let browser = ServiceDaemon::new_with_port(PORT).expect("a socket");
    let found = browser.browse("_punktfunk._udp.local.").expect("browses");
    let host = TestHost::start(Options {
        config: |c| c.mdns = Some(MdnsConfig { mdns_port: PORT, mgmt_port: 47_990, ..MdnsConfig::new("Test host") }),
        ..Options::default()
    });
    let (port, fingerprint, uuid) = (host.address.port(), host.identity.fingerprint(), host.identity.uuid().to_owned());
    let resolved = loop {
        let event = tokio::time::timeout(PATIENCE, found.recv_async()).await.expect("in time").expect("browsing");
        if let ServiceEvent::ServiceResolved(service) = event {
            break service;
        }
    };
    assert_eq!(resolved.get_fullname(), "Test host._punktfunk._udp.local.");
    assert_eq!(resolved.get_port(), port);
    let value = |key: &str| resolved.get_property_val_str(key).map(str::to_owned);
    assert_eq!(value("fp"), Some(fingerprint.to_string()));
    assert_eq!(value("id"), Some(uuid));
    assert_eq!(value("proto").as_deref(), Some("punktfunk/1"));
    assert_eq!(value("pair").as_deref(), Some("required"));
    assert_eq!(value("mgmt").as_deref(), Some("47990"));
    assert!(!resolved.get_addresses_v4().is_empty(), "clients dial IPv4 only");

    host.stop().await;
    loop {
        let event = tokio::time::timeout(PATIENCE, found.recv_async()).await.expect("in time").expect("browsing");
        if matches!(event, ServiceEvent::ServiceRemoved(..)) {
            break;
        }
    }
    let done = browser.shutdown().expect("shuts down");
    let _ = tokio::time::timeout(Duration::from_secs(5), done.recv_async()).await;
}
