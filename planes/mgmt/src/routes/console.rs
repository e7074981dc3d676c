//! Signing in at the console.

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, blocking};
use crate::access::{
    Credential, DEVICE_COOKIE, PasswordFile, SESSION_COOKIE, Who, clear_cookie, cookie, lock, not_saved, session_life,
    set_cookie,
};
use crate::{MgmtState, Problem};

/// What a browser needs to know before it signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleView {
    /// The host's display name.
    pub name: String,
    /// Whether there is a password.
    pub password_set: bool,
    /// Whether this browser is signed in.
    pub signed_in: bool,
    /// What its changes must carry as `X-CSRF-Token`.
    pub csrf: Option<String>,
}

/// Sets the first password, or a new one.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupRequest {
    /// The secret of the one-time link.
    pub link: String,
    /// The password, 8 characters or more.
    pub password: String,
}

/// Signs in.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The password.
    pub password: String,
}

/// Changes the password.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The password until now.
    pub current: String,
    /// The new one, 8 characters or more.
    pub password: String,
}

/// Where the console is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConsoleLink {
    /// Addresses to open in a browser, the best one first. With a one-time secret where a password may be set.
    pub urls: Vec<String>,
    /// Whether there is a password.
    pub password_set: bool,
}

/// Asks for the console's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkRequest {
    /// Make a link that sets a new password, although there is one.
    #[serde(default)]
    pub reset: bool,
}

/// Whether this browser is signed in
#[utoipa::path(
    get, path = "/api/v1/console", operation_id = "console", tag = "console",
    responses((status = 200, description = "What a browser needs to know", body = ConsoleView))
)]
pub(super) async fn status(State(state): State<MgmtState>, headers: HeaderMap) -> Json<ConsoleView> {
    let csrf = cookie(&headers, SESSION_COOKIE)
        .and_then(|secret| lock(&state.access.sessions).used(secret, Instant::now()).map(|s| s.csrf.clone()));
    Json(ConsoleView {
        name: state.host.name.clone(),
        password_set: lock(&state.access.password).get().is_set(),
        signed_in: csrf.is_some(),
        csrf,
    })
}

/// Sets the password with the one-time link, and signs in
#[utoipa::path(
    post, path = "/api/v1/console/setup", operation_id = "console_setup", tag = "console",
    request_body = SetupRequest,
    responses(
        (status = 200, description = "Set; this browser is signed in, all others are signed out", body = ConsoleView),
    )
)]
pub(super) async fn setup(
    State(state): State<MgmtState>,
    Body(request): Body<SetupRequest>,
) -> Result<Response, Problem> {
    // Looked at first, so that a stranger cannot make the host hash.
    let spent = || Problem::new(&reason::CONSOLE_LINK_SPENT);
    if !lock(&state.access.setup).matches(&request.link) {
        return Err(spent());
    }
    let file = lock(&state.access.password).get().clone();
    let next = hash(&state, move || file.with_password(&request.password)).await?;
    let saving = state.clone();
    blocking(move || {
        let mut link = lock(&saving.access.setup);
        // Of two who use it at once, one is first.
        if !link.matches(&request.link) {
            return Err(spent());
        }
        lock(&saving.access.password).set(next).map_err(|e| not_saved(&e))?;
        link.spend();
        Ok(())
    })
    .await??;
    lock(&state.access.sessions).end_all_but(None);
    state.access.changed();
    tracing::info!("the console's password was set");
    signed_in(&state, true).await
}

/// Signs in
#[utoipa::path(
    post, path = "/api/v1/console/login", operation_id = "console_login", tag = "console",
    request_body = LoginRequest,
    responses((status = 200, description = "Signed in", body = ConsoleView))
)]
pub(super) async fn login(
    State(state): State<MgmtState>,
    headers: HeaderMap,
    Body(request): Body<LoginRequest>,
) -> Result<Response, Problem> {
    let file = lock(&state.access.password).get().clone();
    if !file.is_set() {
        return Err(Problem::new(&reason::CONSOLE_PASSWORD_UNSET));
    }
    let who = cookie(&headers, DEVICE_COOKIE).and_then(|secret| file.device(secret)).map_or(Who::Stranger, Who::Device);
    attempt(&state, &who)?;
    if !hash(&state, move || file.matches(&request.password)).await? {
        tracing::warn!(known_browser = who != Who::Stranger, "a wrong password at the console");
        return Err(Problem::new(&reason::CONSOLE_PASSWORD_WRONG));
    }
    lock(&state.access.lockout).passed(&who);
    signed_in(&state, who == Who::Stranger).await
}

/// Signs out
#[utoipa::path(
    post, path = "/api/v1/console/logout", operation_id = "console_logout", tag = "console",
    responses((status = 204, description = "Signed out"))
)]
pub(super) async fn logout(State(state): State<MgmtState>, Extension(credential): Extension<Credential>) -> Response {
    if let Credential::Session { id } = credential {
        lock(&state.access.sessions).end(&id);
        state.access.changed();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    clear_cookie(response.headers_mut(), SESSION_COOKIE);
    response
}

/// Changes the password; all other browsers are signed out
#[utoipa::path(
    post, path = "/api/v1/console/password", operation_id = "console_password", tag = "console",
    request_body = PasswordRequest,
    responses((status = 204, description = "Changed"))
)]
pub(super) async fn password(
    State(state): State<MgmtState>,
    Extension(credential): Extension<Credential>,
    Body(request): Body<PasswordRequest>,
) -> Result<StatusCode, Problem> {
    let file = lock(&state.access.password).get().clone();
    // Whoever found an open browser has as many guesses as a stranger.
    attempt(&state, &Who::Stranger)?;
    let next = hash(&state, move || match file.matches(&request.current)? {
        true => file.with_password(&request.password),
        false => Err(Problem::new(&reason::CONSOLE_PASSWORD_WRONG)),
    })
    .await?;
    lock(&state.access.lockout).passed(&Who::Stranger);
    let saving = state.clone();
    blocking(move || lock(&saving.access.password).set(next).map_err(|e| not_saved(&e))).await??;
    let keep = if let Credential::Session { id } = &credential { Some(id.as_str()) } else { None };
    lock(&state.access.sessions).end_all_but(keep);
    state.access.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// The console's address, with a one-time secret where a password may be set
#[utoipa::path(
    post, path = "/api/v1/console/link", operation_id = "console_link", tag = "console",
    request_body = LinkRequest,
    responses((status = 200, description = "Where the console is", body = ConsoleLink))
)]
pub(super) async fn link(
    State(state): State<MgmtState>,
    Body(request): Body<LinkRequest>,
) -> Result<Json<ConsoleLink>, Problem> {
    console_link(&state, request.reset).map(Json)
}

/// The console's address; `reset`: with a secret although there is a password.
///
/// # Errors
/// `host.no_randomness`.
pub(crate) fn console_link(state: &MgmtState, reset: bool) -> Result<ConsoleLink, Problem> {
    let password_set = lock(&state.access.password).get().is_set();
    let secret = if reset || !password_set { Some(lock(&state.access.setup).secret()?) } else { None };
    // In the fragment: a browser sends it to nobody, and no log sees it.
    let end = secret.map(|s| format!("#setup={s}")).unwrap_or_default();
    let urls = (state.console_addresses)().into_iter().map(|a| format!("https://{a}/{end}")).collect();
    Ok(ConsoleLink { urls, password_set })
}

fn attempt(state: &MgmtState, who: &Who) -> Result<(), Problem> {
    lock(&state.access.lockout).attempt(who, Instant::now()).map_err(|wait| {
        let seconds = wait.as_secs() + 1;
        Problem::new(&reason::CONSOLE_LOCKED_OUT).with_detail(format!("wait {seconds} s"))
    })
}

/// Hashes, one password at a time.
async fn hash<T: Send + 'static>(
    state: &MgmtState,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    // Closed never.
    let _turn = state.access.hashing.acquire().await.map_err(|_| Problem::new(&reason::HOST_SHUTTING_DOWN))?;
    blocking(work).await?
}

/// The answer to whoever proved to know the password.
async fn signed_in(state: &MgmtState, new_device: bool) -> Result<Response, Problem> {
    let session = lock(&state.access.sessions).begin(Instant::now())?;
    let view =
        ConsoleView { name: state.host.name.clone(), password_set: true, signed_in: true, csrf: Some(session.csrf) };
    let mut response = Json(view).into_response();
    set_cookie(response.headers_mut(), SESSION_COOKIE, &session.secret, session_life());
    if new_device {
        let saving = state.clone();
        let device = blocking(move || {
            let mut stored = lock(&saving.access.password);
            let (next, device): (PasswordFile, _) = stored.get().with_device()?;
            stored.set(next).map_err(|e| not_saved(&e))?;
            Ok::<_, Problem>(device)
        })
        .await?;
        match device {
            Ok(device) => set_cookie(response.headers_mut(), DEVICE_COOKIE, &device, DEVICE_LIFE),
            // It only lacks a budget of its own.
            Err(problem) => tracing::warn!(%problem, "a browser could not be remembered"),
        }
    }
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Browsers keep a cookie for 400 days at most (RFC 6265bis §5.5).
const DEVICE_LIFE: std::time::Duration = std::time::Duration::from_secs(400 * 24 * 3600);
