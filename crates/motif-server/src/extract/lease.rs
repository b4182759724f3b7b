//! The lease's token: `{epoch}.{attempt number}.{secret}` in the header `motif-lease`.

use axum::{extract::FromRequestParts, http::request::Parts};
use motif_store::records::Fence;
use motif_sweep::ids::AttemptId;
use motif_wire::LEASE_HEADER;

use super::Id;
use crate::error::{ApiError, ApiResult, field_error};

/// Hex digits of a secret.
const SECRET_DIGITS: usize = 64;

/// Extracts the attempt of the path and the proof of the header as a fence.
pub(crate) struct LeaseFence(pub(crate) Fence);

impl<S: Send + Sync> FromRequestParts<S> for LeaseFence {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let Id(attempt_id) = Id::<AttemptId>::from_request_parts(parts, state).await?;
        let token = parts.headers.get(LEASE_HEADER).and_then(|value| value.to_str().ok());
        let Some((epoch, secret)) = token.and_then(split) else {
            let message = "must carry the lease's token, as it came with the claim";
            // The value is a secret and is not repeated.
            return Err(ApiError::Parameter(vec![field_error(LEASE_HEADER, message, None, None)]));
        };
        Ok(Self(Fence { attempt_id, epoch, secret_hash: *blake3::hash(secret.as_bytes()).as_bytes() }))
    }
}

/// The epoch and the secret in a lease's token; the attempt's number is for people.
#[must_use]
pub fn split(token: &str) -> Option<(u64, &str)> {
    let mut parts = token.splitn(3, '.');
    let epoch = parts.next()?.parse().ok()?;
    let _attempt: u32 = parts.next()?.parse().ok()?;
    let secret = parts.next()?;
    let hex = secret.len() == SECRET_DIGITS && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then_some((epoch, secret))
}

/// A lease's token.
#[must_use]
pub(crate) fn token(epoch: u64, attempt: u32, secret: &str) -> String {
    format!("{epoch}.{attempt}.{secret}")
}

/// The secret of a claim's lease number `index`: derived, so that a repeated claim gets the same one.
#[must_use]
pub fn secret(claim_secret: &[u8; 32], claim_id: uuid::Uuid, index: u32) -> String {
    let mut material = Vec::with_capacity(52);
    material.extend_from_slice(claim_secret);
    material.extend_from_slice(claim_id.as_bytes());
    material.extend_from_slice(&index.to_le_bytes());
    hex::encode(blake3::derive_key("motif lease secret v1", &material))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let secret = secret(&[7; 32], uuid::Uuid::from_u128(9), 3);
        let text = token(5, 2, &secret);
        assert_eq!(split(&text), Some((5, secret.as_str())));
        for wrong in ["", "5", "5.2", "5.2.", "5.2.zz", "x.2.", "-1.2.", &text[..text.len() - 1]] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_differ_by_claim_and_index() {
        let id = uuid::Uuid::from_u128(9);
        let base = secret(&[7; 32], id, 0);
        assert_ne!(base, secret(&[7; 32], id, 1));
        assert_ne!(base, secret(&[8; 32], id, 0));
        assert_ne!(base, secret(&[7; 32], uuid::Uuid::from_u128(10), 0));
    }
}
