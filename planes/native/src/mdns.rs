//! The advert: `_punktfunk._udp.local.` with the TXT keys of punktfunk1.md §1.1.
//!
//! One IPv4 address, that of the default route's interface, because clients dial IPv4 only; looked at again every 10 s
//! and registered anew when it changed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceInfo};
use punktfunk_core::Fingerprint;

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
    let daemon = match ServiceDaemon::new_with_port(advert.config.mdns_port) {
        Ok(daemon) => Farewell(daemon),
        Err(error) => {
            tracing::warn!(%error, "no mDNS: clients must be given this host's address");
            return;
        }
    };
    let mut registered: Option<(Ipv4Addr, String)> = None;
    loop {
        let address = advert.address();
        if registered.as_ref().is_none_or(|(old, _)| *old != address) {
            if let Some((_, fullname)) = registered.take() {
                let _ = daemon.0.unregister(&fullname);
            }
            match advert.service(address) {
                Ok(service) => {
                    let fullname = service.get_fullname().to_owned();
                    match daemon.0.register(service) {
                        Ok(()) => {
                            tracing::info!(name = %advert.config.name, %address, "advertised by mDNS");
                            registered = Some((address, fullname));
                        }
                        Err(error) => tracing::warn!(%error, "mDNS did not take the advert"),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, name = %advert.config.name, "this name cannot be advertised");
                    return;
                }
            }
        }
        tokio::time::sleep(RECHECK).await;
    }
}

/// Says good-bye on the network when dropped: the daemon's thread sends it and ends.
struct Farewell(ServiceDaemon);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.shutdown();
    }
}

impl Advert {
    fn address(&self) -> Ipv4Addr {
        match self.bound_to {
            Some(IpAddr::V4(ip)) => ip,
            _ => default_route_ipv4().unwrap_or(Ipv4Addr::LOCALHOST),
        }
    }

    fn service(&self, address: Ipv4Addr) -> Result<ServiceInfo, mdns_sd::Error> {
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

/// The address that packets to the internet would carry. Connecting a UDP socket sends nothing.
fn default_route_ipv4() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 (RFC 5737): never assigned, so only a default route leads there.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(ip) if !ip.is_unspecified() => Some(ip),
        _ => None,
    }
}

/// The SRV target's label: what is not `[A-Za-z0-9.-]` becomes a dash, dashes and dots at the ends go, 63 bytes.
fn host_label(name: &str) -> String {
    let mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' }).collect();
    let edge = |c| matches!(c, '-' | '.');
    let label: String = mapped.trim_matches(edge).chars().take(63).collect();
    let label = label.trim_end_matches(edge);
    if label.is_empty() { "punktfunk-host".to_owned() } else { label.to_owned() }
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

/// Hardware addresses for Wake-on-LAN, the default route's interface first. Virtual interfaces are left out.
fn mac_addresses() -> Vec<String> {
    let routed = std::fs::read_to_string("/proc/net/route").ok().and_then(|table| routed_interface(&table));
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (Some(name) != routed.as_ref(), name.clone()));
    names
        .iter()
        .filter_map(|name| std::fs::read_to_string(format!("/sys/class/net/{name}/address")).ok())
        .map(|mac| mac.trim().to_owned())
        .filter(|mac| mac.len() == 17 && mac != "00:00:00:00:00:00")
        .take(4)
        .collect()
}

/// The interface of the default route in `/proc/net/route`.
fn routed_interface(table: &str) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_whitespace();
        let name = columns.next()?;
        (columns.next()? == "00000000").then(|| name.to_owned())
    })
}

const SERVICE_TYPE: &str = "_punktfunk._udp.local.";
/// §1.1.
const RECHECK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_rule() {
        for (name, label) in [
            ("Living Room PC", "Living-Room-PC"),
            ("--box.--", "box"),
            ("Küche", "K-che"),
            ("…", "punktfunk-host"),
            ("", "punktfunk-host"),
        ] {
            assert_eq!(host_label(name), label);
        }
        let long = host_label(&format!("{}-{}", "a".repeat(62), "b".repeat(62)));
        assert_eq!(long, "a".repeat(62), "63 bytes, and no dash at the end");
    }

    #[test]
    fn the_system_is_named_as_far_as_it_tells() {
        assert_eq!(os_tokens("ID=debian\nVERSION_ID=\"12\"\n"), "linux/debian");
        assert_eq!(os_tokens("NAME=x\nID=ubuntu\nID_LIKE=debian\n"), "linux/debian/ubuntu");
        assert_eq!(os_tokens("ID_LIKE=\"rhel centos fedora\"\nID=\"rocky\"\n"), "linux/rhel/rocky");
        assert_eq!(os_tokens("ID=BAD/ID\n"), "linux");
        assert_eq!(os_tokens(""), "linux");
    }

    #[test]
    fn the_default_route_is_found() {
        let table = "Iface\tDestination\tGateway\nlo\t0000007F\t0\neth1\t00000000\t0100000A\neth0\t0000000A\t0\n";
        assert_eq!(routed_interface(table).as_deref(), Some("eth1"));
        assert_eq!(routed_interface("Iface\n"), None);
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
