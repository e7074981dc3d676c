//! The routes: resources under `/api/v1`.

mod actions;
mod audio;
mod bundle;
mod clients;
mod console;
mod displays;
mod encoders;
mod events;
mod examples;
mod host;
mod library;
mod logs;
mod pairing;
mod sessions;
mod settings;
mod stats;
mod tokens;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use axum::{Extension, Router};
use punktfunk_media::reason;
use tower::{Layer, Service};
use utoipa::OpenApi;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder, Schema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

pub use self::clients::Preset;
pub use self::console::ConsoleLink;
pub(crate) use self::console::console_link;
use crate::access::{Access, Class, authorise};
use crate::{MgmtState, Problem, assets};

/// The API, ready to be served at the control socket and at the API's HTTPS door.
pub fn router(state: MgmtState) -> Router {
    api(state.clone()).fallback(|| async { Problem::new(&reason::API_NOT_FOUND) }).layer(outermost(&state))
}

/// The API and the console's files, ready to be served at the console's HTTPS door.
pub fn console_router(state: MgmtState) -> Router {
    api(state.clone())
        .fallback(|method: Method, uri: Uri, headers: HeaderMap| async move { assets::serve(&method, &uri, &headers) })
        .layer(middleware::from_fn(with_security_headers))
        .layer(outermost(&state))
}

/// The API's description: what `punktfunk-host openapi` prints.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    parts().1
}

fn api(state: MgmtState) -> Router {
    let (router, document) = parts();
    // Serialised once: it is the same for everybody.
    let document = document.to_json().unwrap_or_default();
    router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || async move { ([("content-type", "application/json")], document) })
                .layer(guard(Class::Inspect)),
        )
        .method_not_allowed_fallback(|| async { Problem::new(&reason::API_METHOD_NOT_ALLOWED) })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(bounded))
        .with_state(state)
}

/// Puts the credentials into every request, for the check before its handler.
fn outermost(state: &MgmtState) -> Extension<Arc<Access>> {
    Extension(Arc::clone(&state.access))
}

/// Lets a request through to a route of this class, or refuses it.
fn guard(
    class: Class,
) -> impl Layer<
    Route,
    Service: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync,
> + Clone
+ Send
+ Sync {
    middleware::from_fn(move |request: Request, next: Next| authorise(class, request, next))
}

/// Routes, each with its class: there is no way to add one without.
struct Classified(OpenApiRouter<MgmtState>);

impl Classified {
    fn with(self, class: Class, (schemas, mut paths, router): UtoipaMethodRouter<MgmtState>) -> Self {
        for item in paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch, &mut item.head];
            for operation in operations.into_iter().flatten() {
                let extensions = operation.extensions.get_or_insert_default();
                extensions.insert("x-access".to_owned(), class.name().into());
                // Any request may be refused, at least before its handler.
                for class in ["4XX", "5XX"] {
                    operation.responses.responses.entry(class.to_owned()).or_insert_with(refused);
                }
            }
        }
        Self(self.0.routes((schemas, paths, router.layer(guard(class)))))
    }
}

fn refused() -> RefOr<utoipa::openapi::Response> {
    let problem = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(problem)).build();
    ResponseBuilder::new().description("Refused").content("application/json", content).build().into()
}

fn parts() -> (Router<MgmtState>, utoipa::openapi::OpenApi) {
    let (router, mut document) = Classified(OpenApiRouter::with_openapi(Document::openapi()))
        .with(Class::View, routes!(host::health))
        .with(Class::View, routes!(host::host))
        .with(Class::View, routes!(host::status))
        .with(Class::View, routes!(encoders::list))
        .with(Class::View, routes!(encoders::gpus))
        .with(Class::View, routes!(encoders::choice))
        .with(Class::Admin, routes!(encoders::choose))
        .with(Class::View, routes!(audio::get))
        .with(Class::Admin, routes!(audio::change))
        .with(Class::Inspect, routes!(host::diagnostics))
        .with(Class::Admin, routes!(bundle::bundle))
        .with(Class::Admin, routes!(actions::run))
        .with(Class::Inspect, routes!(pairing::status))
        .with(Class::Pair, routes!(pairing::arm))
        .with(Class::Pair, routes!(pairing::disarm))
        .with(Class::Pair, routes!(pairing::pin))
        .with(Class::Pair, routes!(pairing::approve))
        .with(Class::Pair, routes!(pairing::deny))
        .with(Class::Inspect, routes!(clients::list))
        .with(Class::Pair, routes!(clients::revoke_all))
        .with(Class::Pair, routes!(clients::change, clients::revoke))
        .with(Class::Inspect, routes!(sessions::list))
        .with(Class::Control, routes!(sessions::stop))
        .with(Class::Control, routes!(sessions::keyframe))
        .with(Class::Control, routes!(sessions::bitrate))
        .with(Class::Pair, routes!(sessions::grants))
        .with(Class::Control, routes!(sessions::thumbnail))
        .with(Class::Control, routes!(sessions::windows))
        .with(Class::Control, routes!(sessions::focus_window))
        .with(Class::Control, routes!(sessions::close_window))
        .with(Class::Inspect, routes!(displays::list))
        .with(Class::Admin, routes!(displays::change))
        .with(Class::Control, routes!(displays::release))
        .with(Class::View, routes!(library::list))
        .with(Class::Inspect, routes!(library::all))
        .with(Class::View, routes!(library::cover))
        .with(Class::Control, routes!(library::scan))
        .with(Class::Control, routes!(library::launch))
        .with(Class::Control, routes!(library::end))
        .with(Class::Admin, routes!(library::switch))
        .with(Class::Admin, routes!(library::hide))
        .with(Class::Admin, routes!(library::add))
        .with(Class::Inspect, routes!(library::custom))
        .with(Class::Admin, routes!(library::edit, library::remove))
        .with(Class::Admin, routes!(library::set_cover, library::remove_cover))
        .with(Class::Inspect, routes!(events::stream))
        .with(Class::Inspect, routes!(logs::page))
        .with(Class::Inspect, routes!(settings::get))
        .with(Class::Admin, routes!(settings::change))
        .with(Class::Admin, routes!(settings::confirm))
        .with(Class::Admin, routes!(settings::revert))
        .with(Class::Inspect, routes!(stats::live))
        .with(Class::Inspect, routes!(stats::frames))
        .with(Class::Inspect, routes!(stats::recordings))
        .with(Class::Inspect, routes!(stats::download))
        .with(Class::Control, routes!(stats::record_start))
        .with(Class::Control, routes!(stats::record_stop))
        .with(Class::Control, routes!(stats::record_save))
        .with(Class::Control, routes!(stats::delete))
        .with(Class::Metrics, routes!(stats::metrics))
        .with(Class::Inspect, routes!(tokens::list))
        .with(Class::Admin, routes!(tokens::create))
        .with(Class::Admin, routes!(tokens::revoke))
        .with(Class::ConsoleDoor, routes!(console::status))
        .with(Class::ConsoleDoor, routes!(console::setup))
        .with(Class::ConsoleDoor, routes!(console::login))
        .with(Class::View, routes!(console::logout))
        .with(Class::Admin, routes!(console::password))
        .with(Class::Local, routes!(console::link))
        .0
        .split_for_parts();
    name_codes(&mut document);
    examples::add(&mut document);
    (router, document)
}

/// Lists every reason code in the description: for programs, and so that the console's translations can be checked.
fn name_codes(document: &mut utoipa::openapi::OpenApi) {
    let problem = document.components.as_mut().and_then(|c| c.schemas.get_mut("Problem"));
    if let Some(RefOr::T(Schema::Object(problem))) = problem {
        let codes: Vec<_> = reason::ALL.iter().map(|r| r.code).collect();
        problem.extensions.get_or_insert_default().insert("x-codes".to_owned(), codes.into());
    }
}

async fn with_security_headers(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in assets::SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "punktfunk host",
        description = "Manages a punktfunk host. Every refusal is a Problem with a stable code.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    // Types of path parameters, and of refusals, are not collected from the routes.
    components(schemas(crate::views::Action, crate::Problem)),
    tags(
        (name = "host", description = "The host itself."),
        (name = "pairing", description = "PIN windows, devices that wait for approval, and devices that show a PIN."),
        (name = "clients", description = "Paired devices and what they may do."),
        (name = "sessions", description = "Who is streaming, and how to steer it."),
        (name = "displays", description = "Displays in use and kept for their clients, and for how long they are."),
        (name = "library", description = "What can be launched, and what runs."),
        (name = "stats", description = "Figures: live, recorded, for Prometheus."),
        (name = "events", description = "What happens, as it happens."),
        (name = "diagnostics", description = "The log and the support bundle."),
        (name = "settings", description = "What can be set while the host runs."),
        (name = "tokens", description = "Credentials for scripts."),
        (name = "console", description = "Signing in at the web console."),
    )
)]
struct Document;

/// No request keeps a handler for longer than this, and none gets an answer that is not a [`Problem`] or a view.
async fn bounded(request: Request, next: Next) -> Response {
    let handler = tokio::spawn(next.run(request));
    let abort = handler.abort_handle();
    match tokio::time::timeout(REQUEST_TIMEOUT, handler).await {
        Ok(Ok(response)) => response,
        Ok(Err(e)) => {
            tracing::error!(%e, "a request handler panicked");
            Problem::new(&reason::API_INTERNAL).into_response()
        }
        Err(_) => {
            abort.abort();
            Problem::new(&reason::API_TIMEOUT).into_response()
        }
    }
}

/// Runs what blocks (disk syncs, checks) where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Problem::new(&reason::API_INTERNAL).with_detail(e.to_string()))
}

/// A JSON body whose refusal is a [`Problem`]. An empty body is the default value.
struct Body<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let has_type = request.headers().contains_key("content-type");
        if !has_type {
            let bytes =
                axum::body::Bytes::from_request(request, state).await.map_err(|e| refuse(e.status(), e.body_text()))?;
            return if bytes.is_empty() {
                Ok(Self(T::default()))
            } else {
                Err(Problem::new(&reason::API_BAD_REQUEST).with_detail("the body needs content-type: application/json"))
            };
        }
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(e) => Err(refuse(JsonRejection::status(&e), e.body_text())),
        }
    }
}

/// A path parameter whose refusal is a [`Problem`].
struct Path<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Path::<T>::from_request_parts(parts, state)
            .await
            .map(|p| Self(p.0))
            .map_err(|e| refuse(PathRejection::status(&e), e.body_text()))
    }
}

/// Query parameters whose refusal is a [`Problem`].
struct Query<T>(T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|q| Self(q.0))
            .map_err(|e| refuse(e.status(), e.body_text()))
    }
}

fn refuse(status: StatusCode, text: String) -> Problem {
    let reason = match status {
        StatusCode::PAYLOAD_TOO_LARGE => &reason::API_TOO_LARGE,
        _ => &reason::API_BAD_REQUEST,
    };
    Problem::new(reason).with_detail(text)
}

/// The largest body is an entry of the library with its commands; covers are bounded by their own route.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Diagnostics try encoders and a compositor, which takes seconds on a slow machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
