//! Where a host is: `HOST[:PORT]` as people type it.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host to dial. IPv4, IPv6 (with brackets where a port follows) or a name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Target {
    /// Address or name, without brackets.
    pub host: String,
    /// QUIC control port.
    pub port: u16,
}

impl Target {
    /// The native protocol's port (punktfunk1.md §1.2).
    pub const DEFAULT_PORT: u16 = 9777;

    /// The addresses to dial, IPv4 first: that is where every host answers.
    ///
    /// # Errors
    /// As the resolver says, also when the name has no address.
    pub async fn resolve(&self) -> std::io::Result<Vec<SocketAddr>> {
        let mut found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect();
        found.sort_by_key(SocketAddr::is_ipv6);
        found.dedup();
        if found.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// With brackets around IPv6, always with the port: the form that a pin is stored under.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colons = self.host.contains(':');
        if colons { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Why a text is no host.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no host: write NAME, NAME:PORT, 192.0.2.1:PORT or [2001:db8::1]:PORT")]
pub struct BadTarget(String);

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Self, BadTarget> {
        let bad = || BadTarget(text.to_owned());
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
            let without_scope = host.split('%').next().unwrap_or(host);
            without_scope.parse::<Ipv6Addr>().map_err(|_| bad())?;
            (
                host,
                rest.strip_prefix(':')
                    .map_or_else(|| rest.is_empty().then_some(None).ok_or_else(bad), |p| Ok(Some(p)))?,
            )
        } else if text.matches(':').count() > 1 {
            // A bare IPv6 address.
            text.split('%').next().unwrap_or(text).parse::<Ipv6Addr>().map_err(|_| bad())?;
            (text, None)
        } else {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|p| *p != 0).ok_or_else(bad)?,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_people_type() {
        for (text, host, port) in [
            ("example", "example", 9777),
            ("example:1234", "example", 1234),
            ("192.0.2.1", "192.0.2.1", 9777),
            ("192.0.2.1:1", "192.0.2.1", 1),
            ("2001:db8::1", "2001:db8::1", 9777),
            ("[2001:db8::1]", "2001:db8::1", 9777),
            ("[::1]:99", "::1", 99),
            ("[fe80::1%eth0]:99", "fe80::1%eth0", 99),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port));
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        for bad in
            ["", ":1", "host:", "host:0", "host:99999", "[::1", "[::1]x", "[name]:1", "a b", "http://host", "1:2:3"]
        {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }
}
