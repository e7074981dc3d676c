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
        let status = |status, reasons: &[&Reason]| reasons.iter().any(|r| r.code == self.code).then_some(status);
        let table: [(StatusCode, &[&Reason]); 13] = [
            (
                StatusCode::NOT_FOUND,
                &[
                    &reason::API_NOT_FOUND,
                    &reason::APP_UNKNOWN,
                    &reason::CLIENT_NOT_FOUND,
                    &reason::DISPLAY_NOT_FOUND,
                    &reason::DISPLAY_WINDOW_NOT_FOUND,
                    &reason::LIBRARY_NOT_FOUND,
                    &reason::PAIRING_KNOCK_NOT_FOUND,
                    &reason::PAIRING_NOBODY_WAITS,
                    &reason::RECORDING_NOT_FOUND,
                    &reason::SESSION_NOT_FOUND,
                    &reason::TOKEN_NOT_FOUND,
                ],
            ),
            (
                StatusCode::BAD_REQUEST,
                &[
                    &reason::API_BAD_REQUEST,
                    &reason::CONSOLE_PASSWORD_UNFIT,
                    &reason::DESKTOP_LAYOUT_REFUSED,
                    &reason::DESKTOP_SCALE_REFUSED,
                    &reason::LIBRARY_COVER_INVALID,
                    &reason::LIBRARY_INVALID,
                    &reason::PAIRING_BAD_PIN,
                    &reason::PAIRING_BAD_WINDOW,
                    &reason::SETTINGS_INVALID,
                    &reason::SETTINGS_UNKNOWN_KEY,
                ],
            ),
            (
                StatusCode::CONFLICT,
                &[
                    &reason::CLIENT_AMBIGUOUS,
                    &reason::CONFIG_PINNED,
                    &reason::CONSOLE_PASSWORD_UNSET,
                    &reason::GAMESTREAM_PAIRING_FAILED,
                    &reason::GPU_CLOSED,
                    &reason::GPU_FAILED,
                    &reason::GPU_MISSING,
                    &reason::LIBRARY_CONFLICT,
                    &reason::LIBRARY_FULL,
                    &reason::LIBRARY_PINNED,
                    &reason::PAIRING_AMBIGUOUS,
                    &reason::PAIRING_PIN_NEEDED,
                    &reason::RECORDING_RUNNING,
                    &reason::SESSION_NOT_STREAMING,
                    &reason::SETTINGS_CONFIRM_ELSEWHERE,
                    &reason::SETTINGS_CONFLICT,
                    &reason::SETTINGS_NOTHING_TO_CONFIRM,
                    &reason::SETTINGS_TRIAL_RUNNING,
                    &reason::TOKEN_TOO_MANY,
                ],
            ),
            (
                StatusCode::UNAUTHORIZED,
                &[
                    &reason::API_CREDENTIAL_NEEDED,
                    &reason::API_TOKEN_UNKNOWN,
                    &reason::CONSOLE_PASSWORD_WRONG,
                    &reason::CONSOLE_SIGNED_OUT,
                ],
            ),
            (
                StatusCode::FORBIDDEN,
                &[&reason::API_FORBIDDEN, &reason::API_ORIGIN_REFUSED, &reason::API_SCOPE, &reason::CONSOLE_LINK_SPENT],
            ),
            (StatusCode::MISDIRECTED_REQUEST, &[&reason::API_WRONG_HOST]),
            (StatusCode::TOO_MANY_REQUESTS, &[&reason::CONSOLE_LOCKED_OUT]),
            (StatusCode::METHOD_NOT_ALLOWED, &[&reason::API_METHOD_NOT_ALLOWED]),
            (StatusCode::PAYLOAD_TOO_LARGE, &[&reason::API_TOO_LARGE]),
            (StatusCode::GATEWAY_TIMEOUT, &[&reason::API_TIMEOUT]),
            (StatusCode::INSUFFICIENT_STORAGE, &[&reason::STATE_FULL]),
            (StatusCode::SERVICE_UNAVAILABLE, &[&reason::HOST_SHUTTING_DOWN, &reason::API_TOO_MANY_STREAMS]),
            (
                StatusCode::BAD_GATEWAY,
                &[&reason::ACTION_FAILED, &reason::APP_FAILED, &reason::APP_PREPARE_FAILED, &reason::APP_UNSUPPORTED],
            ),
        ];
        table.into_iter().find_map(|(code, reasons)| status(code, reasons)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
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
