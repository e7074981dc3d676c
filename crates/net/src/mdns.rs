//! Adverts in the local network (RFC 6762, RFC 6763), the same way for every plane.
//!
//! One IPv4 address, that of the default route's interface, because clients dial IPv4 only; looked at again every 10 s
//! and registered anew when it changed.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use mdns_sd::ServiceDaemon;

pub use mdns_sd::{Error, ServiceInfo};

/// Advertises what `service` makes for an address, until dropped. `name` is for the log; `bound_to` is the address that the
/// host listens at, if it is a particular one. A network without multicast is logged, not fatal.
pub async fn advertise(
    mdns_port: u16,
    name: &str,
    bound_to: Option<IpAddr>,
    service: impl Fn(Ipv4Addr) -> Result<ServiceInfo, Error>,
) {
    let daemon = match ServiceDaemon::new_with_port(mdns_port) {
        Ok(daemon) => Farewell(daemon),
        Err(error) => {
            tracing::warn!(%error, "no mDNS: clients must be given this host's address");
            return;
        }
    };
    let mut registered: Option<(Ipv4Addr, String)> = None;
    loop {
        let address = address(bound_to);
        if registered.as_ref().is_none_or(|(old, _)| *old != address) {
            if let Some((_, fullname)) = registered.take() {
                let _ = daemon.0.unregister(&fullname);
            }
            match service(address) {
                Ok(service) => {
                    let fullname = service.get_fullname().to_owned();
                    match daemon.0.register(service) {
                        Ok(()) => {
                            tracing::info!(name, %address, "advertised by mDNS");
                            registered = Some((address, fullname));
                        }
                        Err(error) => tracing::warn!(%error, "mDNS did not take the advert"),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, name, "this name cannot be advertised");
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

fn address(bound_to: Option<IpAddr>) -> Ipv4Addr {
    match bound_to {
        Some(IpAddr::V4(ip)) => ip,
        _ => default_route_ipv4().unwrap_or(Ipv4Addr::LOCALHOST),
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
#[must_use]
pub fn host_label(name: &str) -> String {
    let mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' }).collect();
    let edge = |c| matches!(c, '-' | '.');
    let label: String = mapped.trim_matches(edge).chars().take(63).collect();
    let label = label.trim_end_matches(edge);
    if label.is_empty() { "punktfunk-host".to_owned() } else { label.to_owned() }
}

/// Hardware addresses for Wake-on-LAN, the default route's interface first. Virtual interfaces are left out.
#[must_use]
pub fn mac_addresses() -> Vec<String> {
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

/// punktfunk1.md §1.1.
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
    fn the_default_route_is_found() {
        let table = "Iface\tDestination\tGateway\nlo\t0000007F\t0\neth1\t00000000\t0100000A\neth0\t0000000A\t0\n";
        assert_eq!(routed_interface(table).as_deref(), Some("eth1"));
        assert_eq!(routed_interface("Iface\n"), None);
    }
}
