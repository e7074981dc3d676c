//! The advert: `_punktfunk._udp.local.` with the TXT keys of punktfunk1.md §1.1.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use punktfunk_core::Fingerprint;
use punktfunk_net::mdns::{self, ServiceInfo, host_label, mac_addresses};

/// What the advert says beyond what the plane knows.
#[derive(Clone, Debug)]
pub struct MdnsConfig {
    /// The host's display name, free text; becomes the instance name.
    pub name: String,
    /// TCP port of the management API on the network; 0 = not served.
    pub mgmt_port: u16,
    /// The port of mDNS itself; 5353 except in tests.
    pub mdns_port: u16,
}

impl MdnsConfig {
    /// An advert under this name, without a management API.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), mgmt_port: 0, mdns_port: 5353 }
    }
}

/// Everything an advert holds.
#[derive(Clone, Debug)]
pub(crate) struct Advert {
    pub config: MdnsConfig,
    pub fingerprint: Fingerprint,
    pub uuid: String,
    pub pairing_required: bool,
    pub quic_port: u16,
    /// The bind address, if it is a particular one.
    pub bound_to: Option<IpAddr>,
}

/// Advertises until dropped. A network without multicast is logged, not fatal.
pub(crate) async fn advertise(advert: Advert) {
    let (port, name, bound_to) = (advert.config.mdns_port, advert.config.name.clone(), advert.bound_to);
    mdns::advertise(port, &name, bound_to, |address| advert.service(address)).await;
}

impl Advert {
    fn service(&self, address: Ipv4Addr) -> Result<ServiceInfo, mdns::Error> {
        let txt: Vec<(String, String)> = self.txt(address).into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let host = format!("{}.local.", host_label(&self.config.name));
        ServiceInfo::new(SERVICE_TYPE, &self.config.name, &host, IpAddr::V4(address), self.quic_port, &txt[..])
    }

    fn txt(&self, address: Ipv4Addr) -> BTreeMap<&'static str, String> {
        let mut txt = BTreeMap::from([
            ("proto", "punktfunk/1".to_owned()),
            ("fp", self.fingerprint.to_string()),
            ("pair", if self.pairing_required { "required" } else { "optional" }.to_owned()),
            ("id", self.uuid.clone()),
            ("os", os_tokens(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())),
            ("addr", address.to_string()),
        ]);
        if self.config.mgmt_port != 0 {
            txt.insert("mgmt", self.config.mgmt_port.to_string());
        }
        let macs = mac_addresses();
        if !macs.is_empty() {
            txt.insert("mac", macs.join(","));
        }
        txt
    }
}

/// `linux/<family>/<id>` from os-release, as far as it tells.
fn os_tokens(os_release: &str) -> String {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .and_then(|v| v.trim_matches(['"', '\'']).split_whitespace().next())
            .filter(|v| {
                v.len() <= 32 && v.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
            })
    };
    let mut out = "linux".to_owned();
    for token in [value("ID_LIKE"), value("ID")].into_iter().flatten() {
        out.push('/');
        out.push_str(token);
    }
    out
}

const SERVICE_TYPE: &str = "_punktfunk._udp.local.";
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_named_as_far_as_it_tells() {
        assert_eq!(os_tokens("ID=debian\nVERSION_ID=\"12\"\n"), "linux/debian");
        assert_eq!(os_tokens("NAME=x\nID=ubuntu\nID_LIKE=debian\n"), "linux/debian/ubuntu");
        assert_eq!(os_tokens("ID_LIKE=\"rhel centos fedora\"\nID=\"rocky\"\n"), "linux/rhel/rocky");
        assert_eq!(os_tokens("ID=BAD/ID\n"), "linux");
        assert_eq!(os_tokens(""), "linux");
    }

    #[test]
    fn the_advert_holds_what_clients_read_and_omits_what_is_not_served() {
        let mut advert = Advert {
            config: MdnsConfig::new("My host"),
            fingerprint: Fingerprint([0xab; 32]),
            uuid: "an-id".into(),
            pairing_required: true,
            quic_port: 9777,
            bound_to: None,
        };
        let service = advert.service(Ipv4Addr::new(10, 0, 0, 5)).unwrap();
        let value = |service: &ServiceInfo, key: &str| service.get_property_val_str(key).map(str::to_owned);
        assert_eq!(value(&service, "proto").as_deref(), Some("punktfunk/1"));
        assert_eq!(value(&service, "fp"), Some("ab".repeat(32)));
        assert_eq!(value(&service, "pair").as_deref(), Some("required"));
        assert_eq!(value(&service, "id").as_deref(), Some("an-id"));
        assert_eq!(value(&service, "addr").as_deref(), Some("10.0.0.5"));
        assert_eq!(value(&service, "mgmt"), None);
        assert_eq!(value(&service, "wire"), None, "a pkf1 host leaves it out");
        assert_eq!(service.get_port(), 9777);
        assert_eq!(service.get_hostname(), "My-host.local.");
        (advert.pairing_required, advert.config.mgmt_port) = (false, 47990);
        let service = advert.service(Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(value(&service, "pair").as_deref(), Some("optional"));
        assert_eq!(value(&service, "mgmt").as_deref(), Some("47990"));
    }
}
