//! Refusals: a stable code, a sentence, and the fix; the same as in log, console and close reason.

use std::borrow::Cow;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use punktfunk_media::{Reason, reason};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code from the registry of reasons.
    #[schema(value_type = String, example = "pairing.bad_window")]
    pub code: Cow<'static, str>,
    /// What happened, for a person.
    #[schema(value_type = String, example = "A pairing window lasts between 15 and 600 seconds.")]
    pub message: Cow<'static, str>,
    /// What to do about it.
    #[schema(value_type = String, example = "Choose a length within these bounds.")]
    pub fix: Cow<'static, str>,
    /// What exactly happened here, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Problem {
    /// A refusal for this reason.
    #[must_use]
    pub fn new(reason: &'static Reason) -> Self {
        Self { code: reason.code.into(), message: reason.sentence.into(), fix: reason.fix.into(), detail: None }
    }

    /// Adds what exactly happened.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let is = |reasons: &[&Reason]| reasons.iter().any(|r| r.code == self.code);
        if is(&[
            &reason::API_NOT_FOUND,
            &reason::CLIENT_NOT_FOUND,
            &reason::PAIRING_KNOCK_NOT_FOUND,
            &reason::PAIRING_NOBODY_WAITS,
            &reason::SESSION_NOT_FOUND,
        ]) {
            StatusCode::NOT_FOUND
        } else if is(&[&reason::API_BAD_REQUEST, &reason::PAIRING_BAD_PIN, &reason::PAIRING_BAD_WINDOW]) {
            StatusCode::BAD_REQUEST
        } else if is(&[
            &reason::CLIENT_AMBIGUOUS,
            &reason::GAMESTREAM_PAIRING_FAILED,
            &reason::PAIRING_AMBIGUOUS,
            &reason::PAIRING_PIN_NEEDED,
        ]) {
            StatusCode::CONFLICT
        } else if is(&[&reason::API_FORBIDDEN]) {
            StatusCode::FORBIDDEN
        } else if is(&[&reason::API_METHOD_NOT_ALLOWED]) {
            StatusCode::METHOD_NOT_ALLOWED
        } else if is(&[&reason::API_TOO_LARGE]) {
            StatusCode::PAYLOAD_TOO_LARGE
        } else if is(&[&reason::API_TIMEOUT]) {
            StatusCode::GATEWAY_TIMEOUT
        } else if is(&[&reason::STATE_FULL]) {
            StatusCode::INSUFFICIENT_STORAGE
        } else if is(&[&reason::HOST_SHUTTING_DOWN]) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        self.detail.as_ref().map_or(Ok(()), |d| write!(f, " ({d})"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status(), Json(self)).into_response()
    }
}
