//! Which page sent a request, and by which name it came: against rebinding and forged requests.
//!
//! A browser tells both truthfully, whatever page it shows. Rebinding gives a stranger's page an address of ours, but not
//! our name: `Host` must be an address, `localhost`, or a name of this host.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use punktfunk_media::reason;

use crate::Problem;

/// The names by which this host may be called.
#[derive(Clone, Debug, Default)]
pub struct HostNames(Vec<String>);

impl HostNames {
    /// `names`, each also with `.local`. Addresses and `localhost` need not be named.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut all = vec!["localhost".to_owned()];
        for name in names.into_iter().map(|n| n.to_ascii_lowercase()).filter(|n| !n.is_empty()) {
            all.push(format!("{name}.local"));
            all.push(name);
        }
        Self(all)
    }

    /// The request's `Host`, if it is one of ours.
    ///
    /// # Errors
    /// `api.wrong_host`.
    pub(super) fn check<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|h| h.to_str().ok()).unwrap_or_default();
        if hosts.next().is_none() && self.knows(host) { Ok(host) } else { Err(Problem::new(&reason::API_WRONG_HOST)) }
    }

    fn knows(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if let Some(v6) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
            return v6.parse::<std::net::Ipv6Addr>().is_ok();
        }
        name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name.strip_suffix('.').unwrap_or(name)))
    }
}

fn without_port(host: &str) -> Option<&str> {
    let name_end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(name_end);
    let port_is_one = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
    port_is_one.then_some(name)
}

/// The API's door is not for pages: their credentials would be used without their user's doing.
///
/// # Errors
/// `api.origin_refused`.
pub(super) fn from_no_page(headers: &HeaderMap) -> Result<(), Problem> {
    let typed = headers.get(SEC_FETCH_SITE).is_none_or(|site| site == "none");
    if headers.contains_key(header::ORIGIN) || !typed {
        return Err(Problem::new(&reason::API_ORIGIN_REFUSED));
    }
    Ok(())
}

/// At the console's door, only our own page asks; what changes something must say so.
///
/// # Errors
/// `api.origin_refused`.
pub(super) fn same_origin(headers: &HeaderMap, host: &str, changes: bool) -> Result<(), Problem> {
    let refused = || Problem::new(&reason::API_ORIGIN_REFUSED);
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next().map(|o| o.to_str()), origins.next()) {
        (None, None) if !changes => {}
        (Some(Ok(origin)), None) if origin.strip_prefix("https://").is_some_and(|o| o.eq_ignore_ascii_case(host)) => {}
        _ => return Err(refused()),
    }
    match headers.get(SEC_FETCH_SITE) {
        None => Ok(()),
        Some(site) if site == "same-origin" || (!changes && site == "none") => Ok(()),
        Some(_) => Err(refused()),
    }
}

/// Fetch Metadata Request Headers (W3C): set by browsers, not by pages.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().expect("a header"));
        }
        map
    }

    #[test]
    fn only_our_names_and_addresses_are_hosts() {
        let names = HostNames::new(["Sofa".to_owned()]);
        for good in [
            "192.0.2.1",
            "192.0.2.1:47992",
            "[2001:db8::1]:47992",
            "[::1]",
            "localhost:1",
            "sofa",
            "SOFA.local:47992",
            "sofa.",
        ] {
            assert!(names.check(&headers(&[("host", good)])).is_ok(), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "evil.example:47992",
            "sofa.evil.example",
            "192.0.2.1:x",
            "[::1",
            "[evil]",
            "::1",
            "sofa:1:2",
            "localhost:99999",
        ] {
            assert!(names.check(&headers(&[("host", bad)])).is_err(), "{bad}");
        }
        assert!(names.check(&headers(&[("host", "sofa"), ("host", "sofa")])).is_err());
        assert!(names.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_change_must_come_from_our_own_page() {
        let ok = |h: &[(&'static str, &str)], changes| same_origin(&headers(h), "sofa:1", changes).is_ok();
        assert!(ok(&[("origin", "https://sofa:1"), ("sec-fetch-site", "same-origin")], true));
        assert!(ok(&[], false) && !ok(&[], true));
        assert!(ok(&[("sec-fetch-site", "none")], false) && !ok(&[("sec-fetch-site", "cross-site")], false));
        for origin in ["http://sofa:1", "https://sofa:2", "https://evil.example", "null", "https://sofa:1.evil.example"]
        {
            assert!(!ok(&[("origin", origin)], true) && !ok(&[("origin", origin)], false), "{origin}");
        }
        assert!(!ok(&[("origin", "https://sofa:1"), ("sec-fetch-site", "same-site")], true));
        assert!(!ok(&[("origin", "https://sofa:1"), ("origin", "https://evil.example")], true));
    }

    #[test]
    fn pages_do_not_ask_at_the_api_door() {
        assert!(from_no_page(&headers(&[])).is_ok());
        assert!(from_no_page(&headers(&[("sec-fetch-site", "none")])).is_ok());
        assert!(from_no_page(&headers(&[("origin", "https://sofa:1")])).is_err());
        assert!(from_no_page(&headers(&[("sec-fetch-site", "cross-site")])).is_err());
    }
}
