//! The console's files, embedded in the program.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use punktfunk_media::reason;

use crate::Problem;

/// Path and content of every file; text files also as `.br` and `.gz`. Empty where the console was not built.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
static MISSING: &[u8] = include_bytes!("missing.html");

/// Whether the console was built into this program.
#[must_use]
pub fn console_is_built() -> bool {
    find(INDEX).is_some()
}

/// Serves a file. A page of the console is any path without an extension: the page itself finds its way.
pub(crate) fn serve(method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Problem::new(&reason::API_METHOD_NOT_ALLOWED).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return Problem::new(&reason::API_NOT_FOUND).into_response();
    }
    // No page's address needs escapes.
    let is_page = !path.rsplit('/').next().unwrap_or_default().contains('.') && !path.contains('%');
    let name = if is_page { INDEX } else { path };
    let Some(whole) = find(name) else {
        if is_page {
            return respond("text/html; charset=utf-8", "no-store", None, MISSING);
        }
        return Problem::new(&reason::API_NOT_FOUND).into_response();
    };
    // Everything below `assets/` has its content's hash in its name.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let packed = [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(coding, _)| accepted.split(',').any(|a| a.split(';').next().unwrap_or_default().trim() == *coding))
        .find_map(|(coding, ending)| Some((coding, find(&format!("{name}.{ending}"))?)));
    match packed {
        Some((coding, content)) => respond(kind(name), cache, Some(coding), content),
        None => respond(kind(name), cache, None, whole),
    }
}

fn find(name: &str) -> Option<&'static [u8]> {
    FILES.binary_search_by_key(&name, |(n, _)| n).ok().map(|at| FILES[at].1)
}

fn respond(kind: &'static str, cache: &'static str, coding: Option<&'static str>, content: &'static [u8]) -> Response {
    let mut response = Response::new(Body::from(Bytes::from_static(content)));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_TYPE, kind);
    set(header::CACHE_CONTROL, cache);
    set(header::VARY, "accept-encoding");
    if let Some(coding) = coding {
        set(header::CONTENT_ENCODING, coding);
    }
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

const INDEX: &str = "index.html";

/// On every answer of the console's door: nothing from elsewhere, nothing inline, no frame around it.
pub(crate) const SECURITY_HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
];
