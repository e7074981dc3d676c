//! Cookies of the console. `__Host-` binds them to this host, HTTPS and the whole path (RFC 6265bis §4.1.3.2).

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// Names a signed-in browser.
pub(crate) const SESSION_COOKIE: &str = "__Host-punktfunk";
/// Names a browser that once signed in: it has its own budget of wrong passwords.
pub(crate) const DEVICE_COOKIE: &str = "__Host-punktfunk-device";

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Sets a cookie that scripts cannot read and other sites cannot send.
pub(crate) fn set_cookie(headers: &mut HeaderMap, name: &str, value: &str, life: Duration) {
    let text = format!("{name}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", life.as_secs());
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.append(header::SET_COOKIE, value);
    }
}

/// Takes a cookie away.
pub(crate) fn clear_cookie(headers: &mut HeaderMap, name: &str) {
    set_cookie(headers, name, "", Duration::ZERO);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; __Host-punktfunk-device=d; __Host-punktfunk=s"));
        assert_eq!(cookie(&headers, SESSION_COOKIE), Some("s"));
        assert_eq!(cookie(&headers, DEVICE_COOKIE), Some("d"));
        assert_eq!(cookie(&headers, "b"), None);
    }
}
