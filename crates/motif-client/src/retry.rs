//! When to send a request again, and after how long.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

use crate::{
    error::is_transient_status,
    transport::{Request, Response, Transport, TransportError},
};

/// Longest wait that a server can ask for with `retry-after`.
const RETRY_AFTER_MAX_S: u64 = 30;

/// How often to try again, and after how long: doubling delays with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries beyond the first.
    pub retries_max: usize,
    /// First delay.
    pub delay_min: Duration,
    /// Longest delay.
    pub delay_max: Duration,
    /// Fixes the jitter, for simulations.
    pub seed: Option<u64>,
}

impl RetryPolicy {
    /// One try.
    pub const NONE: Self =
        Self { retries_max: 0, delay_min: Duration::ZERO, delay_max: Duration::ZERO, seed: None };

    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + use<> {
        let builder = ExponentialBuilder::new()
            .with_min_delay(self.delay_min)
            .with_max_delay(self.delay_max)
            .with_max_times(self.retries_max)
            .with_jitter();
        match self.seed {
            Some(seed) => builder.with_jitter_seed(seed),
            None => builder,
        }
        .build()
    }
}

impl Default for RetryPolicy {
    /// Five tries over about five seconds.
    fn default() -> Self {
        Self {
            retries_max: 4,
            delay_min: Duration::from_millis(200),
            delay_max: Duration::from_secs(4),
            seed: None,
        }
    }
}

/// Sends until there is an answer that is not "later", or the policy is exhausted.
pub(crate) async fn send(
    transport: &dyn Transport,
    request: Request,
    policy: &RetryPolicy,
) -> Result<Response, TransportError> {
    for delay in policy.delays() {
        let answer = transport.send(request.clone()).await;
        let wait = match &answer {
            Ok(response) if is_transient_status(response.status) => delay.max(retry_after(response)),
            Err(error) if is_transient(error) => delay,
            _ => return answer,
        };
        tracing::debug!(?request, ?wait, "trying again");
        tokio::time::sleep(wait).await;
    }
    transport.send(request).await
}

fn is_transient(error: &TransportError) -> bool {
    !matches!(error, TransportError::TooLarge { .. } | TransportError::Sink(_))
}

/// What the server asks for, within reason. Dates are not understood: Motif's server sends seconds.
fn retry_after(response: &Response) -> Duration {
    let seconds = response.header("retry-after").and_then(|value| value.trim().parse::<u64>().ok());
    Duration::from_secs(seconds.unwrap_or(0).min(RETRY_AFTER_MAX_S))
}
