//! Bearer tokens for scripts.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use punktfunk_core::Fingerprint;
use punktfunk_media::reason;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Body, Path, blocking, clients};
use crate::access::{Scope, TokenRecord, lock, not_saved, now_s};
use crate::{MgmtState, Problem};

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// For revocation.
    pub id: String,
    /// What its maker called it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Unix time at which it was made.
    pub created_at_s: u64,
    /// Unix time at which it ends.
    pub expires_at_s: Option<u64>,
}

/// Makes a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What to call it.
    #[schema(example = "grafana")]
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// It ends after this time from now; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A token that was made just now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// For `Authorization: Bearer`. It is shown this once.
    #[schema(example = "pft_0123…")]
    pub secret: String,
    /// The token.
    pub token: TokenView,
}

/// Every token
#[utoipa::path(
    get, path = "/api/v1/tokens", operation_id = "tokens", tag = "tokens",
    responses((status = 200, description = "The tokens, without their secrets", body = Vec<TokenView>))
)]
pub(super) async fn list(State(state): State<MgmtState>) -> Json<Vec<TokenView>> {
    let now = now_s();
    Json(lock(&state.access.tokens).get().tokens.iter().filter(|t| !t.expired(now)).map(view).collect())
}

/// Makes a token
#[utoipa::path(
    post, path = "/api/v1/tokens", operation_id = "token_create", tag = "tokens",
    request_body = TokenRequest,
    responses((status = 200, description = "The token, with its secret", body = NewToken))
)]
pub(super) async fn create(
    State(state): State<MgmtState>,
    Body(request): Body<TokenRequest>,
) -> Result<Json<NewToken>, Problem> {
    if request.name.trim().is_empty() || request.scopes.is_empty() {
        return Err(Problem::new(&reason::API_BAD_REQUEST).with_detail("a name and at least one scope are needed"));
    }
    let expires_at = clients::expires_at(request.expires_in_s);
    blocking(move || {
        // Names are shown beside devices' names: the same cleaning.
        let name = punktfunk_hub::sanitise_name(&request.name, &Fingerprint([0; 32]));
        let mut stored = lock(&state.access.tokens);
        let (next, record, secret) = stored.get().with(&name, &request.scopes, now_s(), expires_at)?;
        stored.set(next).map_err(|e| not_saved(&e))?;
        Ok(Json(NewToken { secret, token: view(&record) }))
    })
    .await?
}

/// Takes a token back; what it streams ends
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", operation_id = "token_revoke", tag = "tokens",
    params(("id" = String, Path, description = "Id of the token")),
    responses(
        (status = 204, description = "It opens nothing any more"),
        (status = "5XX", description = "Revoked, but not saved", body = Problem),
    )
)]
pub(super) async fn revoke(State(state): State<MgmtState>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    blocking(move || {
        let mut stored = lock(&state.access.tokens);
        let next = stored.get().without(&id).ok_or_else(|| Problem::new(&reason::TOKEN_NOT_FOUND))?;
        let saved = stored.set_anyway(next);
        drop(stored);
        state.access.changed();
        saved.map_err(|e| not_saved(&e))?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}

fn view(record: &TokenRecord) -> TokenView {
    TokenView {
        id: record.id.clone(),
        name: record.name.clone(),
        scopes: record.scopes.clone(),
        created_at_s: record.created_at,
        expires_at_s: record.expires_at,
    }
}
