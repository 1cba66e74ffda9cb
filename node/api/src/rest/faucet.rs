//! The faucet of a devnet, and its rate limit.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::Address;
use axum::{Json, extract::State, http::StatusCode};
use neura_types::rest::{FaucetGrant, FaucetRequest, Problem};

use super::extract::Input;
use crate::{
    error::BackendError,
    limits::{FAUCET_GRANTS_PER_ACCOUNT, FAUCET_GRANTS_PER_MINUTE},
    problem::ApiResult,
    shared::AppState,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Coins of a devnet
#[utoipa::path(post, operation_id = "askFaucet", path = "/v1/faucet", tag = "node", request_body = FaucetRequest, responses(
    (status = 202, description = "The transfer waits for its block", body = FaucetGrant),
    (status = "default", description = "Problem: `no_faucet` (403), `rate_limited` (429), `faucet_amount` (400)",
        body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn give(
    State(state): State<AppState>,
    Input(request): Input<FaucetRequest>,
) -> ApiResult<(StatusCode, Json<FaucetGrant>)> {
    if !state.backend.status().await?.faucet {
        return Err(BackendError::NoFaucet.into());
    }
    state.faucet.admit(request.address, Instant::now())?;
    let (hash, amount) = state.backend.faucet(request.address, request.amount).await?;
    Ok((StatusCode::ACCEPTED, Json(FaucetGrant { hash, amount })))
}

/// Remembers the grants of the last minute.
#[derive(Debug, Default)]
pub(crate) struct FaucetLimiter(Mutex<VecDeque<(Instant, Address)>>);

impl FaucetLimiter {
    /// Counts a grant, or says when the next is possible.
    fn admit(&self, account: Address, now: Instant) -> Result<(), BackendError> {
        let mut grants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while grants.front().is_some_and(|(at, _)| now.duration_since(*at) >= MINUTE) {
            grants.pop_front();
        }
        let own = grants.iter().filter(|(_, other)| *other == account).count();
        let oldest = if own >= FAUCET_GRANTS_PER_ACCOUNT {
            grants.iter().find(|(_, other)| *other == account)
        } else if grants.len() >= FAUCET_GRANTS_PER_MINUTE {
            grants.front()
        } else {
            None
        };
        if let Some((at, _)) = oldest {
            let left = MINUTE.saturating_sub(now.duration_since(*at));
            return Err(BackendError::RateLimited { seconds: left.as_secs().saturating_add(1) });
        }
        grants.push_back((now, account));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_cannot_drain_the_faucet() {
        let limiter = FaucetLimiter::default();
        let now = Instant::now();
        let (greedy, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        for _ in 0..FAUCET_GRANTS_PER_ACCOUNT {
            limiter.admit(greedy, now).unwrap();
        }
        assert_eq!(limiter.admit(greedy, now), Err(BackendError::RateLimited { seconds: 61 }));
        limiter.admit(other, now).unwrap();
        limiter.admit(greedy, now + MINUTE).unwrap();
    }

    #[test]
    fn many_accounts_together_are_limited_too() {
        let limiter = FaucetLimiter::default();
        let now = Instant::now();
        let account = |index: usize| Address::with_last_byte(u8::try_from(index).unwrap());
        for index in 0..FAUCET_GRANTS_PER_MINUTE {
            limiter.admit(account(index), now).unwrap();
        }
        assert!(limiter.admit(account(200), now).is_err());
        assert_eq!(limiter.0.lock().unwrap().len(), FAUCET_GRANTS_PER_MINUTE);
    }
}
