//! One attempt: from its lease to the moment at which the server has its end, or has gone on without it.

use std::{sync::Arc, time::Duration};

use motif_wire::work::{Failure, HeartbeatReply, Lease, MetricsReply, Release};
use uuid::Uuid;

use super::{
    CallError, Context, DRAIN_REASON, Effect, Ending, Fate, LeaseKey, LoggedPoint, Recovered, Report,
    keeping::Keeping,
    limits::Repeat,
    spool::{Acknowledged, Spool},
};

/// Why a cancelled trial was given back.
const CANCEL_REASON: &str = "cancelled";
/// Why a trial that was to end early was given back: it had not begun.
const EARLY_REASON: &str = "stopped early";
/// Batches refused in a row after which the attempt has failed.
const REFUSALS_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Run {
    key: LeaseKey,
    trial: Uuid,
    beat_every: Duration,
    phase: Phase,
    step: u64,
    total_steps: Option<u64>,
    beat: Repeat,
    spool: Spool,
    keeping: Keeping,
    report: Repeat,
    /// Whether it comes from an earlier worker: then there is time to wait for a server that is away.
    recovered: bool,
}

#[derive(Debug)]
enum Phase {
    /// A thread trains it.
    Training,
    /// A thread was told to stop.
    Stopping(StopCause),
    /// The points, then the report, are on their way.
    Reporting(Report),
    /// The points and the checkpoint are on their way; the training died, and the server finds that out by itself.
    Leaving,
    /// Over.
    Gone(Fate),
}

impl Phase {
    fn wants_points(&self) -> bool {
        matches!(
            self,
            Self::Training | Self::Stopping(StopCause::Cancelled | StopCause::Drain | StopCause::Early)
        )
    }
}

/// Why a training is stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StopCause {
    /// The server has gone on without it.
    Stale,
    /// A person cancelled the trial.
    Cancelled,
    /// The sweep's rule ends the trial early.
    Early,
    /// The worker ends.
    Drain,
    /// The server does not take its points.
    Refused(String),
}

impl Run {
    /// A lease whose training begins. After a repeated claim it may have expired: the first heartbeat tells.
    pub(super) fn started(lease: &Lease, repeated: bool, now: Duration) -> Self {
        let beat_every = Duration::from_secs(u64::from(lease.policy.heartbeat_s.max(1)));
        Self {
            key: LeaseKey { attempt: lease.attempt_id, token: lease.token.as_str().into() },
            trial: lease.trial_id,
            beat_every,
            phase: Phase::Training,
            step: 0,
            total_steps: None,
            beat: Repeat::due_at(if repeated { now } else { now + beat_every }),
            spool: Spool::new(lease.judged),
            keeping: Keeping::default(),
            report: Repeat::due_at(now),
            recovered: false,
        }
    }

    /// What an earlier worker has left: delivered as if this one had trained it. Without an ending no heartbeat keeps the
    /// lease: that its worker died is to be counted against the trial.
    pub(super) fn recovered(left: Recovered, now: Duration) -> Self {
        let Recovered { key, trial, beat_every, points, kept, report } = left;
        let wants_kept = !matches!(report, Some(Report::Complete(_) | Report::Fail(_)));
        let after = points.last().map(|point| point.seq + 1);
        // One whose points are not all there could not be saved.
        let kept = kept.filter(|(_, before, _)| wants_kept && after.is_none_or(|after| *before <= after));
        let next_seq = after.or_else(|| kept.as_ref().map(|(_, before, _)| *before)).unwrap_or(0);
        let step = match &report {
            Some(Report::Complete(report)) => report.steps,
            _ => points.last().map_or(0, |point| point.step),
        };
        let mut keeping = Keeping::default();
        if let Some((step, points, bytes)) = kept {
            keeping.put(step, points, bytes);
        }
        Self {
            key,
            trial,
            beat_every,
            beat: Repeat::due_at(if report.is_some() { now } else { Duration::MAX }),
            phase: report.map_or(Phase::Leaving, Phase::Reporting),
            step,
            total_steps: None,
            spool: Spool::recovered(points, next_seq),
            keeping,
            report: Repeat::due_at(now),
            recovered: true,
        }
    }

    /// Whether it comes from an earlier worker.
    pub(super) fn is_recovered(&self) -> bool {
        self.recovered
    }

    /// A lease that ends before any training.
    pub(super) fn returned(lease: &Lease, report: Report, now: Duration) -> Self {
        Self { phase: Phase::Reporting(report), ..Self::started(lease, false, now) }
    }

    pub(super) fn attempt(&self) -> Uuid {
        self.key.attempt
    }

    pub(super) fn trial(&self) -> Uuid {
        self.trial
    }

    /// Whether a thread is at it.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Training | Phase::Stopping(_))
    }

    pub(super) fn fate(&self) -> Option<Fate> {
        match self.phase {
            Phase::Gone(fate) => Some(fate),
            _ => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.spool.check()
    }

    pub(super) fn stepped(&mut self, step: u64, total_steps: Option<u64>) {
        self.step = self.step.max(step);
        self.total_steps = total_steps.or(self.total_steps);
    }

    /// The training goes on from a checkpoint: before anything was logged.
    pub(super) fn resumed(&mut self, step: u64, points: u64) {
        if self.spool.next_seq() == 0 {
            self.spool.begin_at(points);
            self.step = self.step.max(step);
        }
    }

    /// Takes a checkpoint of a trial that another attempt may have to go on with.
    pub(super) fn kept(&mut self, step: u64, bytes: Arc<[u8]>) {
        if matches!(self.phase, Phase::Training | Phase::Stopping(StopCause::Drain)) {
            self.keeping.put(step, self.spool.next_seq(), bytes);
        }
    }

    pub(super) fn saved(&mut self, step: u64, result: &Result<(), CallError>, cx: &mut Context<'_>) {
        self.keeping.answered(step, result, cx);
        match result {
            Err(CallError::Stale) => self.stale(cx),
            // A trial that is given back is not held for it.
            Err(_) if matches!(self.phase, Phase::Reporting(_)) && !self.recovered => self.keeping.clear(),
            _ => {}
        }
    }

    pub(super) fn logged(&mut self, point: LoggedPoint, cx: &mut Context<'_>) {
        // Points that nobody wants would leave a gap behind those that were dropped.
        if !self.phase.wants_points() {
            return;
        }
        self.step = self.step.max(point.step);
        self.spool.push(point, cx);
        if self.spool.len() >= cx.limits.spool_points_max && !self.spool.paused {
            self.spool.paused = true;
            cx.effects.push(Effect::Pause { attempt: self.attempt() });
        }
    }

    pub(super) fn ended(&mut self, ending: Ending, cx: &mut Context<'_>) {
        let report = match (&mut self.phase, ending) {
            (Phase::Reporting(_) | Phase::Leaving | Phase::Gone(_), _) => return,
            (Phase::Stopping(StopCause::Stale), _) => {
                self.phase = Phase::Gone(Fate::Dropped);
                return;
            }
            (Phase::Stopping(StopCause::Refused(reason)), _) => refused_points(reason),
            (_, Ending::Trained(report)) => {
                self.step = self.step.max(report.steps);
                Report::Complete(report)
            }
            (_, Ending::Failed(failure)) => Report::Fail(failure),
            (Phase::Stopping(StopCause::Cancelled), Ending::Stopped) => release(CANCEL_REASON),
            (Phase::Stopping(StopCause::Early), Ending::Stopped) => release(EARLY_REASON),
            (_, Ending::Stopped) => release(DRAIN_REASON),
        };
        if !matches!(report, Report::Release(_)) {
            self.keeping.clear();
        }
        self.spool.hurry(cx.now);
        self.report = Repeat::due_at(cx.now);
        self.phase = Phase::Reporting(report);
    }

    /// Stops the training; what is already stopping or over goes on as it was.
    pub(super) fn stop(&mut self, cause: StopCause, cx: &mut Context<'_>) {
        match self.phase {
            Phase::Training => {
                let attempt = self.attempt();
                cx.effects.push(match cause {
                    StopCause::Early => Effect::Conclude { attempt },
                    _ => Effect::Stop { attempt },
                });
                self.phase = Phase::Stopping(cause);
            }
            Phase::Stopping(_) if cause == StopCause::Stale => self.phase = Phase::Stopping(cause),
            _ => {}
        }
    }

    /// Gives the trial back although its thread has not stopped.
    pub(super) fn release_unstopped(&mut self, now: Duration) {
        let reason = match self.phase {
            Phase::Stopping(StopCause::Drain) => DRAIN_REASON,
            Phase::Stopping(StopCause::Cancelled) => CANCEL_REASON,
            Phase::Stopping(StopCause::Early) => EARLY_REASON,
            Phase::Stopping(_) => {
                self.phase = Phase::Gone(Fate::Dropped);
                return;
            }
            _ => return,
        };
        self.spool.clear();
        self.keeping.clear();
        self.report = Repeat::due_at(now);
        self.phase = Phase::Reporting(release(reason));
    }

    pub(super) fn beaten(&mut self, result: &Result<HeartbeatReply, CallError>, cx: &mut Context<'_>) {
        match result {
            Ok(reply) => {
                self.beat.succeeded();
                if reply.cancel {
                    self.stop(StopCause::Cancelled, cx);
                } else if reply.stop {
                    self.stop(StopCause::Early, cx);
                }
            }
            Err(CallError::Stale) => {
                self.beat.in_flight = false;
                self.stale(cx);
            }
            Err(_) => {
                let regular = self.beat.due;
                self.beat.failed(cx.now, cx.limits, cx.jitter);
                self.beat.due = self.beat.due.min(regular.max(cx.now + cx.limits.backoff_min));
            }
        }
    }

    pub(super) fn stored(&mut self, result: Result<MetricsReply, CallError>, cx: &mut Context<'_>) {
        match result {
            Ok(reply) => match self.spool.stored(reply.next_seq, cx) {
                Acknowledged::Yes => {
                    self.resume(cx);
                    if reply.stop {
                        self.stop(StopCause::Early, cx);
                    }
                }
                Acknowledged::Lost => self.stale(cx),
            },
            Err(CallError::Stale) => self.stale(cx),
            Err(CallError::TooLarge(_)) if self.spool.shrink(cx) => {}
            Err(CallError::TooLarge(reason) | CallError::Refused(reason)) => {
                if self.spool.refused(cx) >= REFUSALS_MAX {
                    self.refused(reason, cx);
                }
            }
            Err(_) => {
                self.spool.failed(cx);
                // Points of a trial that is given back are not worth waiting for.
                if matches!(self.phase, Phase::Reporting(Report::Release(_))) && !self.recovered {
                    self.spool.clear();
                    self.keeping.clear();
                }
            }
        }
    }

    pub(super) fn reported(&mut self, result: Result<(), CallError>, cx: &mut Context<'_>) {
        self.report.in_flight = false;
        let Phase::Reporting(report) = &self.phase else { return };
        match result {
            Ok(()) => self.phase = Phase::Gone(fate_of(report)),
            Err(CallError::Transient(_)) => self.report.failed(cx.now, cx.limits, cx.jitter),
            Err(CallError::TooLarge(reason) | CallError::Refused(reason))
                if matches!(report, Report::Complete(_)) =>
            {
                let reason = format!("the server refuses the result: {reason}");
                self.phase = Phase::Reporting(Report::Fail(Failure { reason, retryable: false }));
                self.report = Repeat::due_at(cx.now);
            }
            Err(_) => self.phase = Phase::Gone(Fate::Dropped),
        }
    }

    /// A stale lease ends everything but a report. A late result is accepted while nobody else has taken over; and it may
    /// be the report itself, whose reply was lost, that ended the lease: only its repeat can tell.
    fn stale(&mut self, cx: &mut Context<'_>) {
        self.spool.clear();
        self.keeping.clear();
        match &self.phase {
            Phase::Reporting(_) => self.beat.due = Duration::MAX,
            Phase::Leaving => self.phase = Phase::Gone(Fate::Dropped),
            _ => self.stop(StopCause::Stale, cx),
        }
    }

    fn refused(&mut self, reason: String, cx: &mut Context<'_>) {
        self.spool.clear();
        self.keeping.clear();
        if let Phase::Reporting(report) = &mut self.phase {
            if matches!(report, Report::Complete(_)) {
                *report = refused_points(&reason);
            }
        } else {
            self.stop(StopCause::Refused(reason), cx);
        }
    }

    fn resume(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, Phase::Reporting(_)) {
            self.spool.hurry(cx.now);
        }
        if self.spool.paused && self.spool.len() <= cx.limits.spool_points_max / 2 {
            self.spool.paused = false;
            cx.effects.push(Effect::Resume { attempt: self.attempt() });
        }
    }

    fn is_stale(&self) -> bool {
        matches!(self.phase, Phase::Stopping(StopCause::Stale) | Phase::Gone(_))
    }

    /// Sends what is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if self.is_stale() {
            return;
        }
        if let Some(points) = self.spool.batch(cx) {
            cx.effects.push(Effect::Store { key: self.key.clone(), points });
        }
        if let Some((step, points, bytes)) = self.keeping.due(self.spool.stored_below(), cx.now) {
            cx.effects.push(Effect::Save { key: self.key.clone(), step, points, bytes });
        }
        if matches!(self.phase, Phase::Leaving) && self.spool.is_empty() && self.keeping.is_empty() {
            self.phase = Phase::Gone(Fate::Left);
            return;
        }
        if let Phase::Reporting(report) = &self.phase
            && self.spool.is_empty()
            && self.keeping.is_empty()
            && self.report.is_due(cx.now)
        {
            self.report.sent();
            cx.effects.push(Effect::Report { key: self.key.clone(), report: report.clone() });
        }
        if self.beat.is_due(cx.now) && !self.report.in_flight {
            self.beat.sent();
            self.beat.due = cx.now + self.beat_every;
            let (step, total_steps) = (self.step, self.total_steps);
            cx.effects.push(Effect::Beat { key: self.key.clone(), step, total_steps });
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        if self.is_stale() {
            return None;
        }
        let reporting = matches!(self.phase, Phase::Reporting(_));
        let reporting = reporting && self.spool.is_empty() && self.keeping.is_empty();
        let report = self.report.wake().filter(|_| reporting);
        let beat = self.beat.wake().filter(|_| !self.report.in_flight);
        let keeping = self.keeping.wake(self.spool.stored_below());
        report.into_iter().chain(beat).chain(self.spool.wake()).chain(keeping).min()
    }
}

fn release(reason: &str) -> Report {
    Report::Release(Release { reason: reason.to_owned() })
}

fn refused_points(reason: &str) -> Report {
    Report::Fail(Failure { reason: format!("the server refuses the metrics: {reason}"), retryable: false })
}

fn fate_of(report: &Report) -> Fate {
    match report {
        Report::Complete(report) if report.diverged_step.is_some() => Fate::Diverged,
        Report::Complete(report) if report.stopped_step.is_some() => Fate::Stopped,
        Report::Complete(_) => Fate::Succeeded,
        Report::Fail(_) => Fate::Failed,
        Report::Release(_) => Fate::Released,
    }
}
