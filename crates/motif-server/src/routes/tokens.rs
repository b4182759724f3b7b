//! Tokens: who may do what. A token's text is shown once, when it is made.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use motif_sweep::ids::TokenId;
use motif_wire::system::{TokenCreated, TokenRequest, TokenRow};

use super::{BadParameter, NoSuch};
use crate::{
    auth::Principal,
    convert,
    error::{ApiError, ApiResult},
    extract::{Body, Id, Parameters, shown},
    limits,
    state::ServerState,
    tokens,
};

/// List tokens, oldest first
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens.", body = [TokenRow]))
)]
pub(crate) async fn token_list(
    State(state): State<ServerState>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Vec<TokenRow>>> {
    let tokens = state.store.token_list().await?;
    Ok(Json(tokens.into_iter().map(convert::token_row).collect()))
}

/// Create a token
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", request_body = TokenRequest,
    responses(
        (status = 201, description = "The token: its text is shown only now.", body = TokenCreated),
        BadParameter,
    )
)]
pub(crate) async fn token_create(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Parameters(()): Parameters<()>,
    Body(request): Body<TokenRequest>,
) -> ApiResult<Response> {
    let name = request.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > limits::NAME_MAX_CHARS {
        let message = format!("must be 1 to {} characters", limits::NAME_MAX_CHARS);
        return Err(ApiError::rule("name", message, Some(shown(&request.name))));
    }
    if request.scopes.is_empty() {
        let message = "must name at least one of admin, submit, worker, read";
        return Err(ApiError::rule("scopes", message, Some("[]".to_owned())));
    }
    let mut scopes = request.scopes;
    scopes.sort_unstable();
    scopes.dedup();
    let (store, clock, entropy) = (state.store.clone(), state.clock.clone(), state.entropy.clone());
    let write = async move { tokens::create_token(store.as_ref(), &clock, &entropy, &name, &scopes).await };
    let (record, token) = state.write(write).await?;
    tracing::info!(%principal, token = %record.id, "token created");
    let created = TokenCreated { row: convert::token_row(record), token };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(created)).into_response())
}

/// Revoke a token
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = uuid::Uuid, Path, description = "The token.")),
    responses((status = 204, description = "It is revoked."), BadParameter, NoSuch)
)]
pub(crate) async fn token_revoke(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Id(id): Id<TokenId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<StatusCode> {
    let (store, auth, now) = (state.store.clone(), state.auth.clone(), state.clock.now());
    state
        .write(async move {
            let revoked = store.token_revoke(id, now).await;
            auth.forget();
            revoked
        })
        .await?;
    tracing::info!(%principal, token = %id, "token revoked");
    Ok(StatusCode::NO_CONTENT)
}
