//! Who may ask what: credentials, classes of routes, and the check before every handler.
//!
//! ```text
//! connection ─► Caller (socket | lan + certificate | console) ─► Host and Origin ─► credential ─► Class of the route ─► handler
//!                                                                  token · certificate · session + CSRF
//! ```
//!
//! Every route is added with its [`Class`]; there is no other way to add one. What a credential may do is looked up per
//! request and, for streams of events, again at every change of [`Access::watch`].

mod class;
mod cookies;
mod lockout;
mod origin;
mod password;
mod secret;
mod sessions;
mod setup;
mod tokens;

#[cfg(test)]
mod matrix;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use punktfunk_core::Fingerprint;
use punktfunk_hub::state::{StateError, Stored};
use punktfunk_hub::trust::{Trust, TrustState};
use punktfunk_media::{Reason, reason};
use tokio::sync::watch;

pub use self::class::{Class, Scope};
pub(crate) use self::cookies::{DEVICE_COOKIE, SESSION_COOKIE, clear_cookie, cookie, set_cookie};
pub(crate) use self::lockout::{Lockout, Who};
pub use self::origin::HostNames;
pub(crate) use self::password::PasswordFile;
pub(crate) use self::sessions::Sessions;
pub(crate) use self::setup::SetupLink;
pub(crate) use self::tokens::{TokenRecord, Tokens};
use crate::Problem;

/// Where a request came in, and what its connection proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The control socket; the peer is the host's own user or root.
    Socket,
    /// The API's HTTPS door.
    Lan {
        /// Its address.
        peer: IpAddr,
        /// The certificate that it proved to own.
        certificate: Option<Fingerprint>,
    },
    /// The console's HTTPS door.
    Console {
        /// Its address.
        peer: IpAddr,
    },
}

/// What let a request in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The host's own user.
    Socket,
    /// A bearer token.
    Token {
        /// Its id.
        id: String,
    },
    /// A paired client's certificate.
    Certificate(Fingerprint),
    /// A signed-in browser.
    Session {
        /// SHA-256 of its cookie, hexadecimal.
        id: String,
    },
    /// None, for routes that need none.
    Nobody,
}

/// Every credential there is.
pub struct Access {
    pub(crate) password: Mutex<Stored<PasswordFile>>,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) tokens: Mutex<Stored<Tokens>>,
    pub(crate) lockout: Mutex<Lockout>,
    pub(crate) setup: Mutex<SetupLink>,
    /// One password is hashed at a time: each takes 19 MiB.
    pub(crate) hashing: tokio::sync::Semaphore,
    names: HostNames,
    trust: Arc<Trust>,
    changed: watch::Sender<u64>,
}

impl Access {
    /// Reads the credentials kept in `folder`. The second value is what must be told to the operator.
    #[must_use]
    pub fn open(folder: &Path, trust: Arc<Trust>, names: HostNames) -> (Arc<Self>, Vec<StateError>) {
        let (password, first) = Stored::load(folder);
        let (tokens, second) = Stored::load(folder);
        let access = Self {
            password: Mutex::new(password),
            sessions: Mutex::default(),
            tokens: Mutex::new(tokens),
            lockout: Mutex::default(),
            setup: Mutex::default(),
            hashing: tokio::sync::Semaphore::new(1),
            names,
            trust,
            changed: watch::Sender::new(0),
        };
        (Arc::new(access), first.into_iter().chain(second).collect())
    }

    /// A number that rises when a credential was taken away.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Tells those who stream that a credential was taken away.
    pub(crate) fn changed(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Whether a credential that was let in before still opens routes of this class.
    #[must_use]
    pub fn still_opens(&self, credential: &Credential, class: Class) -> bool {
        match credential {
            Credential::Socket => true,
            Credential::Nobody => matches!(class, Class::ConsoleDoor),
            Credential::Token { id } => lock(&self.tokens).get().by_id(id).is_some_and(|t| t.opens(class, now_s())),
            Credential::Certificate(fingerprint) => self.certificate_opens(fingerprint, class),
            Credential::Session { id } => class.open_to_session() && lock(&self.sessions).is_live(id, Instant::now()),
        }
    }

    fn certificate_opens(&self, fingerprint: &Fingerprint, class: Class) -> bool {
        class.open_to_certificate()
            && matches!(self.trust.state(fingerprint, SystemTime::now()), TrustState::Paired { .. })
    }

    /// Decides about a request for a route of this class.
    ///
    /// # Errors
    /// The refusal.
    pub fn check(
        &self,
        caller: Caller,
        method: &Method,
        headers: &HeaderMap,
        class: Class,
    ) -> Result<Credential, Problem> {
        match caller {
            Caller::Socket => Ok(Credential::Socket),
            Caller::Lan { certificate, .. } => {
                self.names.check(headers)?;
                origin::from_no_page(headers)?;
                self.check_lan(certificate, headers, class)
            }
            Caller::Console { .. } => {
                let host = self.names.check(headers)?;
                let changes = !matches!(*method, Method::GET | Method::HEAD);
                origin::same_origin(headers, host, changes)?;
                self.check_console(headers, class, changes)
            }
        }
    }

    fn check_lan(
        &self,
        certificate: Option<Fingerprint>,
        headers: &HeaderMap,
        class: Class,
    ) -> Result<Credential, Problem> {
        if let Some(token) = bearer(headers)? {
            let tokens = lock(&self.tokens);
            let Some(record) = tokens.get().by_secret(token).filter(|t| !t.expired(now_s())) else {
                return Err(Problem::new(&reason::API_TOKEN_UNKNOWN));
            };
            if !record.opens(class, now_s()) {
                let needed = class.scope().map_or("none opens it", Scope::name);
                return Err(Problem::new(&reason::API_SCOPE).with_detail(format!("scope needed: {needed}")));
            }
            return Ok(Credential::Token { id: record.id.clone() });
        }
        match certificate {
            Some(who) if matches!(self.trust.state(&who, SystemTime::now()), TrustState::Paired { .. }) => {
                if class.open_to_certificate() {
                    Ok(Credential::Certificate(who))
                } else {
                    Err(Problem::new(&reason::API_SCOPE).with_detail("a paired device may only look"))
                }
            }
            _ => Err(Problem::new(&reason::API_CREDENTIAL_NEEDED)),
        }
    }

    fn check_console(&self, headers: &HeaderMap, class: Class, changes: bool) -> Result<Credential, Problem> {
        if class == Class::ConsoleDoor {
            return Ok(Credential::Nobody);
        }
        if !class.open_to_session() {
            return Err(Problem::new(&reason::API_SCOPE).with_detail("not from a browser"));
        }
        let Some(secret) = cookie(headers, SESSION_COOKIE) else {
            return Err(Problem::new(&reason::CONSOLE_SIGNED_OUT));
        };
        let mut sessions = lock(&self.sessions);
        let Some(session) = sessions.used(secret, Instant::now()) else {
            return Err(Problem::new(&reason::CONSOLE_SIGNED_OUT));
        };
        if changes && headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok()) != Some(session.csrf.as_str()) {
            return Err(Problem::new(&reason::API_ORIGIN_REFUSED).with_detail("the CSRF token is missing or wrong"));
        }
        Ok(Credential::Session { id: session.id.clone() })
    }
}

/// The check before every handler. `access` and the [`Caller`] are put into the request by the door; without them nothing
/// is let in.
pub(crate) async fn authorise(class: Class, mut request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let (Some(access), Some(caller)) = (extensions.get::<Arc<Access>>().cloned(), extensions.get::<Caller>().copied())
    else {
        tracing::error!("a request reached a route without passing a door");
        return Problem::new(&reason::API_INTERNAL).into_response();
    };
    match access.check(caller, request.method(), request.headers(), class) {
        Ok(credential) => {
            request.extensions_mut().insert(credential);
            next.run(request).await
        }
        Err(problem) => {
            tracing::debug!(code = %problem.code, ?caller, path = request.uri().path(), "refused");
            problem.into_response()
        }
    }
}

/// The token of an `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let token =
        value.to_str().ok().and_then(|v| v.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
    match token {
        Some((_, token)) => Ok(Some(token.trim())),
        None => {
            Err(Problem::new(&reason::API_TOKEN_UNKNOWN).with_detail("`Authorization: Bearer TOKEN` is understood"))
        }
    }
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every holder leaves the data valid between any two statements.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A state file could not be written.
pub(crate) fn not_saved(error: &StateError) -> Problem {
    let known: &'static Reason = error.reason;
    Problem::new(known).with_detail(error.to_string())
}

/// How long a browser keeps its session's cookie.
pub(crate) const fn session_life() -> std::time::Duration {
    sessions::LONGEST
}

/// Where the console sends its CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";
