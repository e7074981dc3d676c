//! The routes: resources under `/api/v1`.

mod clients;
mod host;
mod pairing;
mod sessions;

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use punktfunk_media::reason;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{MgmtState, Problem};

/// The API, ready to be served.
pub fn router(state: MgmtState) -> Router {
    let (router, document) = parts();
    // Serialised once: it is the same for everybody.
    let document = document.to_json().unwrap_or_default();
    router
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || async move { ([("content-type", "application/json")], document) }),
        )
        .fallback(|| async { Problem::new(&reason::API_NOT_FOUND) })
        .method_not_allowed_fallback(|| async { Problem::new(&reason::API_METHOD_NOT_ALLOWED) })
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(bounded))
        .with_state(state)
}

/// The API's description: what `punktfunk-host openapi` prints.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    parts().1
}

fn parts() -> (Router<MgmtState>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(host::health))
        .routes(routes!(host::host))
        .routes(routes!(host::diagnostics))
        .routes(routes!(pairing::status))
        .routes(routes!(pairing::arm))
        .routes(routes!(pairing::disarm))
        .routes(routes!(pairing::pin))
        .routes(routes!(pairing::approve))
        .routes(routes!(pairing::deny))
        .routes(routes!(clients::list))
        .routes(routes!(clients::change, clients::revoke))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::stop))
        .split_for_parts()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "punktfunk host",
        description = "Manages a punktfunk host. Every refusal is a Problem with a stable code.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "host", description = "The host itself."),
        (name = "pairing", description = "PIN windows, devices that wait for approval, and devices that show a PIN."),
        (name = "clients", description = "Paired devices and what they may do."),
        (name = "sessions", description = "Who is streaming."),
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

fn refuse(status: StatusCode, text: String) -> Problem {
    let reason = match status {
        StatusCode::PAYLOAD_TOO_LARGE => &reason::API_TOO_LARGE,
        _ => &reason::API_BAD_REQUEST,
    };
    Problem::new(reason).with_detail(text)
}

/// The largest body is a client change, some hundred bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Diagnostics try encoders and a compositor, which takes seconds on a slow machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
