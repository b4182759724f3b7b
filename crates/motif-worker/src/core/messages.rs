//! What goes into the machine and what comes out.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use motif_wire::{
    metrics::MetricPoint,
    trials::TrialReport,
    work::{Checkpoint, Failure, HeartbeatReply, Lease, MetricsReply, Release, ReportReply},
};
use uuid::Uuid;

/// Why a call brought no answer that helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The lease is no longer the trial's current one.
    Stale,
    /// Later, perhaps: the server is away or busy.
    Transient(String),
    /// The body is larger than the server takes.
    TooLarge(String),
    /// The server does not accept this call.
    Refused(String),
    /// The server does not accept this worker.
    Fatal(String),
}

/// A point as the training logs it.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedPoint {
    /// Minibatches done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Values by name.
    pub values: BTreeMap<String, Option<f64>>,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With a result: succeeded, diverged, or stopped early.
    Trained(Box<TrialReport>),
    /// Without one, because it was told to.
    Stopped,
    /// It could not begin, or broke.
    Failed(Failure),
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The time that [`super::Core::wake`] named has come.
    Tick,
    /// Give everything back and end.
    Drain,
    /// A claim was answered.
    Claimed {
        /// Its number.
        claim: u64,
        /// The leases.
        result: Result<Vec<Lease>, CallError>,
    },
    /// A heartbeat was answered.
    Beaten {
        /// The attempt.
        attempt: Uuid,
        /// The answer.
        result: Result<HeartbeatReply, CallError>,
    },
    /// A batch of points was answered.
    Stored {
        /// The attempt.
        attempt: Uuid,
        /// The answer.
        result: Result<MetricsReply, CallError>,
    },
    /// A report was answered.
    Reported {
        /// The attempt.
        attempt: Uuid,
        /// The answer.
        result: Result<ReportReply, CallError>,
    },
    /// A checkpoint was answered.
    Saved {
        /// The attempt.
        attempt: Uuid,
        /// The step of the checkpoint that was sent.
        step: u64,
        /// The trial's newest one.
        result: Result<Checkpoint, CallError>,
    },
    /// A training goes on from a checkpoint; nothing was logged before.
    Resumed {
        /// The attempt.
        attempt: Uuid,
        /// Minibatches done.
        step: u64,
        /// Points that the server already has.
        points: u64,
    },
    /// A training can be gone on with from here, after what it has logged.
    Kept {
        /// The attempt.
        attempt: Uuid,
        /// Minibatches done.
        step: u64,
        /// The checkpoint.
        bytes: Arc<[u8]>,
    },
    /// A training made steps.
    Stepped {
        /// The attempt.
        attempt: Uuid,
        /// Minibatches done.
        step: u64,
        /// Minibatches in all.
        total_steps: Option<u64>,
    },
    /// A training logged a point.
    Logged {
        /// The attempt.
        attempt: Uuid,
        /// The point.
        point: LoggedPoint,
    },
    /// A training ended; its thread is free.
    Ended {
        /// The attempt.
        attempt: Uuid,
        /// How.
        ending: Ending,
    },
}

impl Input {
    pub(super) fn error(&self) -> Option<&CallError> {
        match self {
            Self::Claimed { result, .. } => result.as_ref().err(),
            Self::Beaten { result, .. } => result.as_ref().err(),
            Self::Stored { result, .. } => result.as_ref().err(),
            Self::Reported { result, .. } => result.as_ref().err(),
            Self::Saved { result, .. } => result.as_ref().err(),
            _ => None,
        }
    }

    /// Whether it comes from the server.
    pub(super) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Claimed { .. }
                | Self::Beaten { .. }
                | Self::Stored { .. }
                | Self::Reported { .. }
                | Self::Saved { .. }
        )
    }
}

/// What proves that a call is from the attempt's worker.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseKey {
    /// The attempt.
    pub attempt: Uuid,
    /// The lease's token.
    pub token: Arc<str>,
}

/// The token stays out of logs.
impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attempt.fmt(f)
    }
}

/// What a worker that is gone has left of an attempt, and the server may not have.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The attempt.
    pub key: LeaseKey,
    /// The trial.
    pub trial: Uuid,
    /// How often its lease wants to be extended.
    pub beat_every: Duration,
    /// Points, numbered without gaps; the server may have the first ones.
    pub points: Vec<MetricPoint>,
    /// Step, points before it and bytes of a checkpoint.
    pub kept: Option<(u64, u64, Arc<[u8]>)>,
    /// How it ended; nothing when its training died with the worker.
    pub report: Option<Report>,
}

/// What ends an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// The result.
    Complete(Box<TrialReport>),
    /// An error.
    Fail(Failure),
    /// The trial, given back.
    Release(Release),
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Ask for trials. The same number again is the same claim again: same id, same secret, same body.
    Claim {
        /// Its number.
        claim: u64,
        /// Trials wanted.
        max: u32,
        /// How long the server may hold it open, in seconds.
        wait_s: u32,
    },
    /// Stop waiting for a claim's answer, and ask once more without letting the server wait: what was leased must be
    /// given back.
    Recall {
        /// Its number.
        claim: u64,
    },
    /// Train.
    Start(Box<Lease>),
    /// Stop a training at its next step.
    Stop {
        /// The attempt.
        attempt: Uuid,
    },
    /// Stop a training at its next step, and take what it has come to as its result.
    Conclude {
        /// The attempt.
        attempt: Uuid,
    },
    /// Hold a training at its next step: too many of its points wait.
    Pause {
        /// The attempt.
        attempt: Uuid,
    },
    /// Let it go on.
    Resume {
        /// The attempt.
        attempt: Uuid,
    },
    /// Say that an attempt is alive.
    Beat {
        /// The attempt.
        key: LeaseKey,
        /// Minibatches done.
        step: u64,
        /// Minibatches in all.
        total_steps: Option<u64>,
    },
    /// Send points.
    Store {
        /// The attempt.
        key: LeaseKey,
        /// The points.
        points: Vec<MetricPoint>,
    },
    /// Save a checkpoint, all of whose points are stored.
    Save {
        /// The attempt.
        key: LeaseKey,
        /// Minibatches done.
        step: u64,
        /// Points logged up to this step.
        points: u64,
        /// The checkpoint.
        bytes: Arc<[u8]>,
    },
    /// End an attempt.
    Report {
        /// The attempt.
        key: LeaseKey,
        /// How.
        report: Report,
    },
    /// Tell people.
    Notify(Notice),
    /// Everything is done, or nothing can be.
    Exit {
        /// Why the server does not accept this worker, where it does not.
        fault: Option<String>,
    },
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Trained to the end; the server has the result.
    Succeeded,
    /// Diverged; the server has the result.
    Diverged,
    /// Stopped early, as the server wanted; it has the result.
    Stopped,
    /// Failed; the server knows.
    Failed,
    /// Given back.
    Released,
    /// The server went on without it; the output was dropped.
    Dropped,
    /// Its training died with an earlier worker; what that had left is delivered, and the lease runs out.
    Left,
}

/// What people want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A trial begins.
    Started {
        /// The trial.
        trial: Uuid,
        /// The attempt.
        attempt: Uuid,
    },
    /// A trial's attempt is over.
    Ended {
        /// The trial.
        trial: Uuid,
        /// What became of it.
        fate: Fate,
    },
    /// The server does not answer; the training goes on.
    ServerLost {
        /// What happened instead.
        reason: String,
    },
    /// The server answers again.
    ServerBack,
    /// The server does not accept a call.
    Refused {
        /// Why.
        reason: String,
    },
    /// The worker gives everything back.
    Draining {
        /// Trials in training.
        running: u32,
    },
}
