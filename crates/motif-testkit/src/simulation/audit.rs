//! The queue's invariants (I1 to I6, I8), looked at after every call of the store, by what anyone may read of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use motif_store::{
    Queue, StoreError,
    records::{AttemptRecord, NewSweep, Steer, TrialRecord},
};
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::{AttemptOutcome, Policy, TrialState},
};
use motif_worker::core::Report;
use uuid::Uuid;

use super::plan::Course;

mod calls;
mod restart;
mod rules;

use rules::{budgets, drops_checkpoint, terminal};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: &'static str,
    /// By what.
    pub what: String,
}

impl Violation {
    pub(super) fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }

    /// A call that cannot fail in a simulation did.
    pub(super) fn store(error: &StoreError) -> Self {
        Self::new("the store answers", error.to_string())
    }
}

pub(super) type Checked<T = ()> = Result<T, Violation>;

/// What an answer acknowledges, once it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Submitted(SweepId),
    Steered(SweepId, Steering),
    Claimed(Vec<AttemptId>),
    Points(AttemptId, u64),
    Saved(AttemptId, u64),
    Ended(AttemptId),
}

/// How a sweep is steered after a number of calls that steer it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Steering {
    calls: u64,
    paused: bool,
    cancelled: bool,
}

/// What set a change off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Claim,
    Report(AttemptId),
    /// A report that was refused.
    Refusal,
    Reaper,
    Steer(Steer),
}

/// A trial as it was when it was looked at last.
struct Known {
    record: TrialRecord,
    attempts: Vec<AttemptRecord>,
    /// Attempts up to this number are from before the last retry by a person.
    fresh_after: u32,
    /// Step of the newest checkpoint that was acknowledged and that the trial can still go on from.
    saved: Option<u64>,
}

struct Lease {
    trial: TrialId,
    number: u32,
    /// The lease cannot expire before, as far as the server's clock goes.
    alive_until: Timestamp,
    /// How often the clock had been set back then.
    set_back: u64,
    acknowledged: bool,
    /// Points that were acknowledged.
    points: u64,
    /// What ended it, and whether that was acknowledged.
    ended: Option<(Report, bool)>,
}

struct Swept {
    /// In the order in which they came.
    number: usize,
    trials: Vec<TrialId>,
    policy: Policy,
    acknowledged: bool,
    steering: Steering,
    steered: Option<Steering>,
}

/// Remembers what was seen and what was acknowledged.
pub(super) struct Audit {
    courses: BTreeMap<Uuid, Course>,
    sweeps: BTreeMap<SweepId, Swept>,
    trials: BTreeMap<TrialId, Known>,
    leases: BTreeMap<AttemptId, Lease>,
    claims: BTreeMap<Uuid, BTreeSet<AttemptId>>,
    /// How often the server's clock was set back.
    pub(super) set_back: u64,
    /// The same when the reaper looked last, since the store was opened.
    set_back_seen: Option<u64>,
    /// Claims that were repeated.
    pub(super) repeats: u64,
    /// Completions after their lease was taken back.
    pub(super) late: u64,
}

impl Audit {
    pub(super) fn new(courses: BTreeMap<Uuid, Course>) -> Self {
        Self {
            courses,
            sweeps: BTreeMap::new(),
            trials: BTreeMap::new(),
            leases: BTreeMap::new(),
            claims: BTreeMap::new(),
            set_back: 0,
            set_back_seen: None,
            repeats: 0,
            late: 0,
        }
    }

    /// A trial's name in traces.
    pub(super) fn name(&self, trial: TrialId) -> String {
        for sweep in self.sweeps.values() {
            if let Some(index) = sweep.trials.iter().position(|known| *known == trial) {
                return format!("trial {}.{index}", sweep.number);
            }
        }
        "an unknown trial".to_owned()
    }

    /// An attempt's number, 0 for one that is not known.
    pub(super) fn number(&self, attempt: AttemptId) -> u32 {
        self.leases.get(&attempt).map_or(0, |lease| lease.number)
    }

    /// Trials in training, with the number of their attempt.
    pub(super) fn leased(&self) -> Vec<(TrialId, u32)> {
        let leased = self.trials.iter().filter(|(_, known)| known.record.state == TrialState::Leased);
        leased.map(|(trial, known)| (*trial, known.record.attempt)).collect()
    }

    /// Whether a trial's attempt is no longer the newest, or the trial has ended.
    pub(super) fn has_moved_on(&self, trial: TrialId, attempt: u32) -> bool {
        self.trials
            .get(&trial)
            .is_none_or(|known| known.record.attempt > attempt || known.record.state.is_terminal())
    }

    /// Trials that have not ended.
    pub(super) fn open(&self) -> usize {
        self.trials.values().filter(|known| !known.record.state.is_terminal()).count()
    }

    pub(super) fn sweeps(&self) -> Vec<SweepId> {
        self.sweeps.keys().copied().collect()
    }

    /// Takes note of what has been answered.
    pub(super) fn acknowledge(&mut self, effect: Effect) {
        match effect {
            Effect::None => {}
            Effect::Submitted(sweep) => {
                if let Some(sweep) = self.sweeps.get_mut(&sweep) {
                    sweep.acknowledged = true;
                }
            }
            Effect::Steered(sweep, steering) => {
                if let Some(sweep) = self.sweeps.get_mut(&sweep) {
                    sweep.steered = Some(steering);
                }
            }
            Effect::Claimed(attempts) => {
                for attempt in attempts {
                    self.with(attempt, |lease| lease.acknowledged = true);
                }
            }
            Effect::Points(attempt, next) => {
                self.with(attempt, |lease| lease.points = lease.points.max(next));
            }
            Effect::Saved(attempt, step) => {
                let trial = self.leases.get(&attempt).map(|lease| lease.trial);
                let known = trial.and_then(|trial| self.trials.get_mut(&trial));
                if let Some(known) = known.filter(|known| !drops_checkpoint(known.record.state)) {
                    known.saved = known.saved.max(Some(step));
                }
            }
            Effect::Ended(attempt) => self.with(attempt, |lease| {
                if let Some((_, acknowledged)) = &mut lease.ended {
                    *acknowledged = true;
                }
            }),
        }
    }

    fn with(&mut self, attempt: AttemptId, act: impl FnOnce(&mut Lease)) {
        if let Some(lease) = self.leases.get_mut(&attempt) {
            act(lease);
        }
    }

    /// Looks at a trial after something that may have changed it.
    async fn look(&mut self, queue: &dyn Queue, trial: TrialId, cause: Cause) -> Checked {
        let record = queue.trial_get(trial).await.map_err(|error| Violation::store(&error))?;
        let attempts = queue.trial_attempts(trial).await.map_err(|error| Violation::store(&error))?;
        let name = self.name(trial);
        let Some(known) = self.trials.get(&trial) else {
            return Err(Violation::new("I8", format!("{name} is there and nobody submitted it")));
        };
        let policy = self.sweeps.get(&record.sweep_id).map(|sweep| sweep.policy).unwrap_or_default();
        self.numbers(&name, trial, &record, &attempts)?;
        terminal(&name, known, &record, cause)?;
        self.sources(&name, known, &record, &attempts, cause)?;
        let mut fresh_after = known.fresh_after;
        if cause == Cause::Steer(Steer::Retry)
            && known.record.state.is_terminal()
            && !record.state.is_terminal()
        {
            fresh_after = record.attempt;
        }
        budgets(&name, &record, &attempts, fresh_after, &policy)?;
        if let Some(known) = self.trials.get_mut(&trial) {
            if drops_checkpoint(record.state) {
                known.saved = None;
            }
            (known.record, known.attempts, known.fresh_after) = (record, attempts, fresh_after);
        }
        Ok(())
    }

    /// I2: at most one open attempt, numbers that rise by one, an attempt that stays the same one.
    fn numbers(
        &self,
        name: &str,
        trial: TrialId,
        record: &TrialRecord,
        attempts: &[AttemptRecord],
    ) -> Checked {
        let broken = |what: String| Err(Violation::new("I2", format!("{name}: {what}")));
        let open = attempts.iter().filter(|attempt| attempt.outcome.is_none()).count();
        if open != usize::from(record.state == TrialState::Leased) {
            return broken(format!("{open} open attempts in state {}", record.state.name()));
        }
        let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
        if !numbers.iter().copied().eq(1..=record.attempt) {
            return broken(format!("attempts {numbers:?}, the newest being {}", record.attempt));
        }
        for attempt in attempts {
            if let Some(lease) = self.leases.get(&attempt.id)
                && (lease.trial, lease.number) != (trial, attempt.number)
            {
                return broken(format!("attempt {} was #{}", attempt.number, lease.number));
            }
        }
        Ok(())
    }

    /// I4: what changed was changed by the attempt that holds the trial, or by who may change it.
    fn sources(
        &self,
        name: &str,
        known: &Known,
        record: &TrialRecord,
        attempts: &[AttemptRecord],
        cause: Cause,
    ) -> Checked {
        let broken = |what: String| Err(Violation::new("I4", format!("{name}: {what}")));
        let same = known.record == *record && known.attempts == attempts;
        let before = known.attempts.len();
        let older = before.min(attempts.len());
        let Some(changed) = (0..older).find(|n| known.attempts[*n] != attempts[*n]) else {
            return match cause {
                Cause::Refusal if !same => broken("a refused report changed it".into()),
                Cause::Claim if attempts.len() > before + 1 => broken("leased twice by one claim".into()),
                Cause::Claim if attempts.len() > before && known.record.state != TrialState::Queued => {
                    broken(format!("leased when {}", known.record.state.name()))
                }
                Cause::Report(_) | Cause::Reaper | Cause::Steer(_) if attempts.len() != before => {
                    broken(format!("{} attempts became {}", before, attempts.len()))
                }
                _ => Ok(()),
            };
        };
        let (was, is) = (&known.attempts[changed], &attempts[changed]);
        match cause {
            Cause::Refusal => broken("a refused report changed it".into()),
            Cause::Steer(_) => broken(format!("steering changed attempt #{}", was.number)),
            Cause::Report(by) if by != was.id => {
                broken(format!("#{} changed #{}", self.number(by), was.number))
            }
            Cause::Report(_) if changed + 1 < before => {
                broken(format!("#{} reports although #{} holds it", was.number, known.record.attempt))
            }
            Cause::Report(_) if was.outcome.is_some() => {
                let late = matches!(was.outcome, Some(AttemptOutcome::Expired | AttemptOutcome::TimedOut));
                let completes = matches!(
                    is.outcome,
                    Some(AttemptOutcome::Succeeded | AttemptOutcome::Diverged | AttemptOutcome::Stopped)
                );
                if late && completes { Ok(()) } else { broken(format!("#{} had ended", was.number)) }
            }
            _ => Ok(()),
        }
    }

    /// I8: a sweep's counts are those of its trials, and sum to what was submitted.
    async fn counts(&self, queue: &dyn Queue, sweep: SweepId) -> Checked {
        let Some(known) = self.sweeps.get(&sweep) else { return Ok(()) };
        let counts = queue.sweep_get(sweep).await.map_err(|error| Violation::store(&error))?.counts;
        let mut counted = [0; TrialState::ALL.len()];
        for trial in known.trials.iter().filter_map(|trial| self.trials.get(trial)) {
            counted[trial.record.state as usize] += 1;
        }
        if counts.0 == counted {
            return Ok(());
        }
        Err(Violation::new("I8", format!("counts {:?}, and the trials are {counted:?}", counts.0)))
    }
}

/// The lease's end as the server's clock has it, to the millisecond as it is kept.
fn after(now: Timestamp, policy: &Policy) -> Timestamp {
    let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    now + SignedDuration::from_secs(policy.lease_ttl_s.into())
}

/// A sweep that has just been stored.
fn swept(sweep: &NewSweep, number: usize) -> Swept {
    Swept {
        number,
        trials: sweep.trials.iter().map(|trial| trial.id).collect(),
        policy: sweep.policy,
        acknowledged: false,
        steering: Steering::default(),
        steered: None,
    }
}
