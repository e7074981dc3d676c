//! The advert: `_nvstream._tcp.local.` (gamestream.md §2.2). No client reads TXT keys, so there are none.

use std::net::{IpAddr, Ipv4Addr};

use punktfunk_net::mdns::{self, Error, ServiceInfo, host_label};

/// Advertises until dropped.
pub(super) async fn advertise(mdns_port: u16, name: String, http_port: u16, bound_to: Option<IpAddr>) {
    mdns::advertise(mdns_port, &name, bound_to, |address| service(&name, address, http_port)).await;
}

fn service(name: &str, address: Ipv4Addr, http_port: u16) -> Result<ServiceInfo, Error> {
    let host = format!("{}.local.", host_label(name));
    // Without properties the TXT record is one empty string, which is valid; an empty record would not be.
    ServiceInfo::new(SERVICE_TYPE, &instance(name), &host, IpAddr::V4(address), http_port, None)
}

/// Letters, digits and dashes, at most 63 bytes; spaces become dashes, and the first other character ends the name.
fn instance(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let name: String = name.trim().chars().map(|c| if c == ' ' { '-' } else { c }).take_while(plain).take(63).collect();
    if name.is_empty() { "punktfunk".to_owned() } else { name }
}

const SERVICE_TYPE: &str = "_nvstream._tcp.local.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_names_follow_the_rule() {
        for (name, expected) in [
            ("living room", "living-room"),
            ("Tom's PC", "Tom"),
            ("pc.home.lan", "pc"),
            ("Küche", "K"),
            ("日本", "punktfunk"),
            ("", "punktfunk"),
        ] {
            assert_eq!(instance(name), expected);
        }
        assert_eq!(instance(&"a".repeat(100)).len(), 63);
    }

    #[test]
    fn the_advert_has_the_http_port_and_no_keys() {
        let service = service("My host", Ipv4Addr::new(10, 0, 0, 5), 47_989).unwrap();
        assert_eq!(service.get_fullname(), "My-host._nvstream._tcp.local.");
        assert_eq!((service.get_port(), service.get_hostname()), (47_989, "My-host.local."));
        assert_eq!(service.get_properties().len(), 0);
    }
}
