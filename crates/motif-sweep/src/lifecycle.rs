//! The trial's lifecycle as a pure state machine: `step(life, event, now) → transition`.
//!
//! It knows no store, no clock and no network. A store loads a [`Life`], calls [`step`], and writes what comes back
//! behind the same guard. Fencing by secret happens before: an event here has already proved which attempt it is from.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a trial stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Waiting for a worker.
    Queued,
    /// A worker holds its lease.
    Leased,
    /// Trained to the end.
    Succeeded,
    /// Left the finite numbers or its bound: a scientific outcome, never retried.
    Diverged,
    /// Ended early by the sweep's rule, in favour of better ones: censored, never retried.
    Stopped,
    /// The worker reported an error more often than allowed.
    Failed,
    /// Its workers died more often than allowed.
    Dead,
    /// Cancelled by a person.
    Cancelled,
}

impl TrialState {
    /// All states, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Leased,
        Self::Succeeded,
        Self::Diverged,
        Self::Stopped,
        Self::Failed,
        Self::Dead,
        Self::Cancelled,
    ];

    /// The name in JSON, SQL and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Succeeded => "succeeded",
            Self::Diverged => "diverged",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing but a person's retry leads out of it.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Leased)
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The trial trained to the end.
    Succeeded,
    /// The trial diverged.
    Diverged,
    /// The trial ended early by the sweep's rule.
    Stopped,
    /// The worker reported an error.
    Failed,
    /// The worker gave the trial back (drain, preemption).
    Released,
    /// The lease expired: the worker died or lost the server.
    Expired,
    /// It ran longer than allowed, or stopped making steps.
    TimedOut,
    /// It was cancelled while it ran.
    Cancelled,
}

impl AttemptOutcome {
    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Diverged,
        Self::Stopped,
        Self::Failed,
        Self::Released,
        Self::Expired,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// The name in JSON, SQL and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Diverged => "diverged",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What the queue may spend on a trial, and for how long a lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// A lease lasts this long after a claim or a heartbeat, in seconds.
    pub lease_ttl_s: u32,
    /// Workers send a heartbeat this often, in seconds.
    pub heartbeat_s: u32,
    /// Reported errors that are forgiven; one more and the trial has failed.
    pub failures_max: u32,
    /// Expired leases after which a trial is dead.
    pub crashes_max: u32,
    /// First delay before a retry, in seconds; it doubles with each failure.
    pub backoff_base_s: u32,
    /// Longest delay before a retry, in seconds.
    pub backoff_max_s: u32,
    /// An attempt may run this long, in seconds; 0 is no limit.
    pub runtime_max_s: u32,
    /// An attempt must make a step within this time, in seconds; 0 is no limit.
    pub stall_timeout_s: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            lease_ttl_s: 30,
            heartbeat_s: 10,
            failures_max: 3,
            crashes_max: 3,
            backoff_base_s: 5,
            backoff_max_s: 600,
            runtime_max_s: 0,
            stall_timeout_s: 600,
        }
    }
}

/// What the lifecycle needs to know of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Where it stands.
    pub state: TrialState,
    /// Number of the newest attempt, 0 before the first; it only ever rises.
    pub attempt: u32,
    /// Reported errors since the last retry by a person.
    pub failures: u32,
    /// Expired leases since the last retry by a person.
    pub crashes: u32,
    /// A person wants it cancelled while it is leased.
    pub cancel_requested: bool,
    /// The sweep's rule has decided that it ends early. It holds for every later attempt.
    pub stop_decided: bool,
    /// Not to be claimed before this.
    pub not_before: Timestamp,
    /// The open lease, when leased.
    pub lease: Option<LeaseLife>,
}

/// What the lifecycle needs to know of an open lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseLife {
    /// When the attempt began.
    pub started_at: Timestamp,
    /// When the lease expires unless a heartbeat comes.
    pub expires_at: Timestamp,
    /// When the step last rose.
    pub progressed_at: Timestamp,
    /// Minibatches done.
    pub step: u64,
}

impl Life {
    /// A trial as it is submitted.
    #[must_use]
    pub const fn submitted(now: Timestamp) -> Self {
        Self {
            state: TrialState::Queued,
            attempt: 0,
            failures: 0,
            crashes: 0,
            cancel_requested: false,
            stop_decided: false,
            not_before: now,
            lease: None,
        }
    }
}

/// How a training came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Every step was made.
    Succeeded,
    /// It left the finite numbers or its bound.
    Diverged,
    /// It was ended early, as decided.
    Stopped,
}

/// What happens to a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// A worker asks for it.
    Claim,
    /// The lease's holder is alive and at this step.
    Heartbeat {
        /// Minibatches done.
        step: u64,
    },
    /// The sweep's rule decides that it ends early.
    Stop,
    /// The attempt's worker brought it to an end.
    Complete {
        /// The attempt that reports.
        attempt: u32,
        /// Which end.
        conclusion: Conclusion,
    },
    /// The lease's holder met an error.
    Fail {
        /// Whether another attempt could help.
        retryable: bool,
        /// A number in `[0, 1)` that spreads the retries.
        jitter: f64,
    },
    /// The lease's holder gives it back.
    Release,
    /// Look whether its lease has expired, or it has stalled or overrun.
    Reap {
        /// A number in `[0, 1)` that spreads the retries.
        jitter: f64,
    },
    /// A person cancels it.
    Cancel,
    /// A person wants it run again.
    Retry,
}

/// What a permitted event leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The trial afterwards.
    pub life: Life,
    /// How the attempt that was open (or is accepted late) ended.
    pub ended: Option<AttemptOutcome>,
}

/// Why an event changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The trial is not waiting.
    #[error("the trial is {0:?}, not queued")]
    NotQueued(TrialState),
    /// The trial is waiting, but not yet.
    #[error("the trial backs off until later")]
    NotYet,
    /// The report is from an attempt that no longer holds the trial.
    #[error("the lease is stale: the trial has gone on without this attempt")]
    Stale,
    /// There is nothing to reap.
    #[error("the lease is alive")]
    Alive,
    /// The trial has ended.
    #[error("the trial has already ended as {0:?}")]
    Ended(TrialState),
    /// Only what was decided to end early may.
    #[error("nobody decided that the trial ends early")]
    NotDecided,
    /// Only failed, dead and cancelled trials can be retried.
    #[error("a {0:?} trial cannot be retried")]
    NotRetryable(TrialState),
}

fn seconds(n: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(n))
}

/// The delay before retry number `failures`: full jitter over `min(base · 2^(failures-1), max)`.
fn backoff(policy: &Policy, failures: u32, jitter: f64) -> SignedDuration {
    let doubled = f64::from(policy.backoff_base_s) * 2f64.powi(failures.saturating_sub(1).min(30) as i32);
    let bound = doubled.min(f64::from(policy.backoff_max_s));
    let share = if jitter.is_nan() { 1.0 } else { jitter.clamp(0.0, 1.0) };
    SignedDuration::from_secs_f64(bound * share)
}

/// Applies an event.
///
/// # Errors
/// The [`Refusal`] when the event is not permitted; the trial is then unchanged.
pub fn step(life: &Life, event: Event, now: Timestamp, policy: &Policy) -> Result<Transition, Refusal> {
    match event {
        Event::Claim => claim(life, now, policy),
        Event::Heartbeat { step } => heartbeat(life, step, now, policy),
        Event::Stop => stop(life),
        Event::Complete { attempt, conclusion } => complete(life, attempt, conclusion),
        Event::Fail { retryable, jitter } => {
            if life.lease.is_none() {
                return Err(Refusal::Stale);
            }
            Ok(failed(life, AttemptOutcome::Failed, retryable, jitter, now, policy))
        }
        Event::Release => release(life, now),
        Event::Reap { jitter } => reap(life, jitter, now, policy),
        Event::Cancel => cancel(life),
        Event::Retry => retry(life, now),
    }
}

fn claim(life: &Life, now: Timestamp, policy: &Policy) -> Result<Transition, Refusal> {
    if life.state != TrialState::Queued {
        return Err(Refusal::NotQueued(life.state));
    }
    if life.not_before > now {
        return Err(Refusal::NotYet);
    }
    let lease = LeaseLife {
        started_at: now,
        expires_at: now + seconds(policy.lease_ttl_s),
        progressed_at: now,
        step: 0,
    };
    let life =
        Life { state: TrialState::Leased, attempt: life.attempt + 1, lease: Some(lease), ..life.clone() };
    Ok(Transition { life, ended: None })
}

fn heartbeat(life: &Life, step: u64, now: Timestamp, policy: &Policy) -> Result<Transition, Refusal> {
    let lease = life.lease.as_ref().ok_or(Refusal::Stale)?;
    let risen = step > lease.step;
    // Times that lie ahead are from before the clock was set back: kept, they would hold up stall and overrun.
    let lease = LeaseLife {
        expires_at: now + seconds(policy.lease_ttl_s),
        progressed_at: if risen { now } else { lease.progressed_at.min(now) },
        step: step.max(lease.step),
        started_at: lease.started_at.min(now),
    };
    Ok(Transition { life: Life { lease: Some(lease), ..life.clone() }, ended: None })
}

fn stop(life: &Life) -> Result<Transition, Refusal> {
    if life.lease.is_none() {
        return Err(Refusal::Stale);
    }
    Ok(Transition { life: Life { stop_decided: true, ..life.clone() }, ended: None })
}

/// A completion counts from the newest attempt, even when its lease has expired, as long as nobody else has taken over.
fn complete(life: &Life, attempt: u32, conclusion: Conclusion) -> Result<Transition, Refusal> {
    if attempt == 0 || attempt != life.attempt {
        return Err(Refusal::Stale);
    }
    if life.state.is_terminal() {
        return Err(Refusal::Ended(life.state));
    }
    let (state, ended) = match conclusion {
        Conclusion::Succeeded => (TrialState::Succeeded, AttemptOutcome::Succeeded),
        Conclusion::Diverged => (TrialState::Diverged, AttemptOutcome::Diverged),
        Conclusion::Stopped if life.stop_decided => (TrialState::Stopped, AttemptOutcome::Stopped),
        Conclusion::Stopped => return Err(Refusal::NotDecided),
    };
    Ok(Transition { life: closed(life, state), ended: Some(ended) })
}

fn release(life: &Life, now: Timestamp) -> Result<Transition, Refusal> {
    if life.lease.is_none() {
        return Err(Refusal::Stale);
    }
    let state = if life.cancel_requested { TrialState::Cancelled } else { TrialState::Queued };
    let ended = if life.cancel_requested { AttemptOutcome::Cancelled } else { AttemptOutcome::Released };
    Ok(Transition { life: Life { not_before: now, ..closed(life, state) }, ended: Some(ended) })
}

fn reap(life: &Life, jitter: f64, now: Timestamp, policy: &Policy) -> Result<Transition, Refusal> {
    let lease = life.lease.as_ref().ok_or(Refusal::Alive)?;
    let over = |since: Timestamp, limit_s: u32| limit_s > 0 && since + seconds(limit_s) <= now;
    if lease.expires_at <= now {
        if life.cancel_requested {
            let life = closed(life, TrialState::Cancelled);
            return Ok(Transition { life, ended: Some(AttemptOutcome::Cancelled) });
        }
        let crashes = life.crashes + 1;
        let state = if crashes >= policy.crashes_max { TrialState::Dead } else { TrialState::Queued };
        let life = Life { crashes, not_before: now, ..closed(life, state) };
        return Ok(Transition { life, ended: Some(AttemptOutcome::Expired) });
    }
    if over(lease.started_at, policy.runtime_max_s) || over(lease.progressed_at, policy.stall_timeout_s) {
        return Ok(failed(life, AttemptOutcome::TimedOut, true, jitter, now, policy));
    }
    Err(Refusal::Alive)
}

fn cancel(life: &Life) -> Result<Transition, Refusal> {
    match life.state {
        TrialState::Queued => Ok(Transition { life: closed(life, TrialState::Cancelled), ended: None }),
        TrialState::Leased => {
            Ok(Transition { life: Life { cancel_requested: true, ..life.clone() }, ended: None })
        }
        ended => Err(Refusal::Ended(ended)),
    }
}

fn retry(life: &Life, now: Timestamp) -> Result<Transition, Refusal> {
    if !matches!(life.state, TrialState::Failed | TrialState::Dead | TrialState::Cancelled) {
        return Err(Refusal::NotRetryable(life.state));
    }
    let life = Life { attempt: life.attempt, stop_decided: life.stop_decided, ..Life::submitted(now) };
    Ok(Transition { life, ended: None })
}

fn failed(
    life: &Life,
    outcome: AttemptOutcome,
    retryable: bool,
    jitter: f64,
    now: Timestamp,
    policy: &Policy,
) -> Transition {
    if life.cancel_requested {
        return Transition {
            life: closed(life, TrialState::Cancelled),
            ended: Some(AttemptOutcome::Cancelled),
        };
    }
    let failures = life.failures + 1;
    let again = retryable && failures <= policy.failures_max;
    let state = if again { TrialState::Queued } else { TrialState::Failed };
    let not_before = now + backoff(policy, failures, jitter);
    Transition { life: Life { failures, not_before, ..closed(life, state) }, ended: Some(outcome) }
}

fn closed(life: &Life, state: TrialState) -> Life {
    Life { state, lease: None, cancel_requested: false, ..life.clone() }
}
