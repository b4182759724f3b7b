//! The worker's side of the protocol as a pure state machine: `step(input, now) → effects`.
//!
//! It knows no network, no clock, no threads: inputs say what came back and what the training did, effects say what
//! to send and what to start or stop. Whatever is lost, repeated or late, each trial's points and result leave in
//! order until the server has acknowledged them or said that the lease is stale.

mod claiming;
mod keeping;
mod limits;
mod messages;
mod run;
mod spool;

use std::{collections::BTreeMap, time::Duration};

use motif_wire::work::{Lease, Release};
use uuid::Uuid;

pub use limits::Limits;
pub use messages::{
    CallError, Effect, Ending, Fate, Input, LeaseKey, LoggedPoint, Notice, Recovered, Report,
};

use claiming::Claiming;
use limits::Jitter;
use run::{Run, StopCause};

/// Why a drained trial was given back.
pub const DRAIN_REASON: &str = "drain";

/// The state machine.
#[derive(Debug)]
pub struct Core {
    slots: u32,
    limits: Limits,
    jitter: Jitter,
    runs: BTreeMap<Uuid, Run>,
    claiming: Claiming,
    /// When the drain began.
    draining: Option<Duration>,
    server_lost: bool,
    /// Until when what earlier workers have left comes first; nothing before the server's first answer.
    delivers_until: Option<Duration>,
    exited: bool,
}

/// What a part of the machine needs for one step.
struct Context<'a> {
    now: Duration,
    limits: &'a Limits,
    jitter: &'a mut Jitter,
    effects: &'a mut Vec<Effect>,
}

impl Core {
    /// A worker with this many slots; `jitter_seed` spreads the retries of many workers.
    #[must_use]
    pub fn new(slots: u32, limits: Limits, jitter_seed: u64) -> Self {
        Self {
            slots,
            limits,
            jitter: Jitter(jitter_seed),
            runs: BTreeMap::new(),
            claiming: Claiming::default(),
            draining: None,
            server_lost: false,
            delivers_until: None,
            exited: false,
        }
    }

    /// Takes over what an earlier worker has left of an attempt, before the first step. Until it is delivered, no trial is
    /// claimed: it might be the same one.
    pub fn recover(&mut self, left: Recovered, now: Duration) {
        self.runs.insert(left.key.attempt, Run::recovered(left, now));
    }

    /// Whether the attempt is not over.
    #[must_use]
    pub fn holds(&self, attempt: Uuid) -> bool {
        self.runs.contains_key(&attempt)
    }

    /// Takes one input and says what to do. `now` is monotonic; after [`Effect::Exit`] nothing more comes.
    pub fn step(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.exited {
            return effects;
        }
        self.watch_server(&input, now, &mut effects);
        if let Some(CallError::Fatal(reason)) = input.error() {
            self.give_up(reason.clone(), &mut effects);
            return effects;
        }
        self.take(input, now, &mut effects);
        self.poll(now, &mut effects);
        effects
    }

    /// When [`Input::Tick`] is due, if nothing else comes.
    #[must_use]
    pub fn wake(&self) -> Option<Duration> {
        let drain = self.draining.map(|began| {
            let stopping = self.runs.values().any(Run::is_busy);
            let forced = if stopping { self.limits.drain_stop_max } else { self.limits.drain_max };
            began + forced
        });
        let runs = self.runs.values().filter_map(Run::wake);
        let claim = self.claiming.wake().filter(|_| self.draining.is_none() && self.room() > 0);
        let claim = claim.and_then(|at| match self.delivering() {
            true => self.delivers_until.map(|until| at.max(until)),
            false => Some(at),
        });
        runs.chain(claim).chain(drain).min()
    }

    /// Whether there is something left of what earlier workers had not delivered.
    fn delivering(&self) -> bool {
        self.runs.values().any(Run::is_recovered)
    }

    /// Trials in training, being stopped included.
    #[must_use]
    pub fn busy(&self) -> u32 {
        u32::try_from(self.runs.values().filter(|run| run.is_busy()).count()).unwrap_or(u32::MAX)
    }

    /// Trials to claim: a trained trial that is being reported leaves its slot, but not without bound.
    fn room(&self) -> u32 {
        let reporting = u32::try_from(self.runs.len()).unwrap_or(u32::MAX).saturating_sub(self.busy());
        let free = if reporting >= self.slots { 0 } else { self.slots.saturating_sub(self.busy()) };
        free.min(self.limits.claim_trials_max)
    }

    fn take(&mut self, input: Input, now: Duration, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Drain => self.drain(now, effects),
            Input::Claimed { claim, result } => self.claimed(claim, result, now, effects),
            Input::Beaten { attempt, result } => {
                self.with(attempt, now, effects, |run, cx| run.beaten(&result, cx));
            }
            Input::Stored { attempt, result } => {
                self.with(attempt, now, effects, |run, cx| run.stored(result, cx));
            }
            Input::Reported { attempt, result } => {
                self.with(attempt, now, effects, |run, cx| run.reported(result.map(drop), cx));
            }
            Input::Saved { attempt, step, result } => {
                self.with(attempt, now, effects, |run, cx| run.saved(step, &result.map(drop), cx));
            }
            Input::Resumed { attempt, step, points } => {
                self.with(attempt, now, effects, |run, _| run.resumed(step, points));
            }
            Input::Kept { attempt, step, bytes } => {
                self.with(attempt, now, effects, |run, _| run.kept(step, bytes));
            }
            Input::Stepped { attempt, step, total_steps } => {
                self.with(attempt, now, effects, |run, _| run.stepped(step, total_steps));
            }
            Input::Logged { attempt, point } => {
                self.with(attempt, now, effects, |run, cx| run.logged(point, cx));
            }
            Input::Ended { attempt, ending } => {
                self.with(attempt, now, effects, |run, cx| run.ended(ending, cx));
            }
        }
    }

    /// Calls for attempts that are gone are late, and change nothing.
    fn with(
        &mut self,
        attempt: Uuid,
        now: Duration,
        effects: &mut Vec<Effect>,
        act: impl FnOnce(&mut Run, &mut Context<'_>),
    ) {
        let mut cx = Context { now, limits: &self.limits, jitter: &mut self.jitter, effects };
        if let Some(run) = self.runs.get_mut(&attempt) {
            act(run, &mut cx);
        }
    }

    fn claimed(
        &mut self,
        claim: u64,
        result: Result<Vec<Lease>, CallError>,
        now: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let mut cx = Context { now, limits: &self.limits, jitter: &mut self.jitter, effects };
        let Some((leases, repeated)) = self.claiming.answered(claim, result, &mut cx) else { return };
        for lease in leases {
            let (attempt, busy) = (lease.attempt_id, self.busy());
            if self.runs.contains_key(&attempt) {
                continue;
            }
            let back = match self.draining {
                Some(_) => Some(DRAIN_REASON),
                None if busy >= self.slots => Some("no free slot"),
                None => None,
            };
            let run = match back {
                Some(reason) => {
                    let reason = reason.to_owned();
                    Run::returned(&lease, Report::Release(Release { reason }), now)
                }
                None => {
                    let run = Run::started(&lease, repeated, now);
                    effects.push(Effect::Notify(Notice::Started { trial: lease.trial_id, attempt }));
                    effects.push(Effect::Start(Box::new(lease)));
                    run
                }
            };
            self.runs.insert(attempt, run);
        }
    }

    fn drain(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.draining.is_some() {
            return;
        }
        self.draining = Some(now);
        effects.push(Effect::Notify(Notice::Draining { running: self.busy() }));
        let mut cx = Context { now, limits: &self.limits, jitter: &mut self.jitter, effects };
        for run in self.runs.values_mut() {
            run.stop(StopCause::Drain, &mut cx);
        }
        self.claiming.recall(&mut cx);
    }

    fn poll(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let overdue = self.draining.is_some_and(|began| now >= began + self.limits.drain_stop_max);
        let mut cx = Context { now, limits: &self.limits, jitter: &mut self.jitter, effects };
        for run in self.runs.values_mut() {
            if overdue {
                run.release_unstopped(now);
            }
            run.poll(&mut cx);
        }
        self.runs.retain(|_, run| {
            let fate = run.fate();
            if let Some(fate) = fate {
                cx.effects.push(Effect::Notify(Notice::Ended { trial: run.trial(), fate }));
            }
            fate.is_none()
        });
        let room = self.room();
        match self.draining {
            None if self.delivering() && self.delivers_until.is_none_or(|until| now < until) => {}
            None => {
                let mut cx = Context { now, limits: &self.limits, jitter: &mut self.jitter, effects };
                self.claiming.poll(room, &mut cx);
            }
            Some(began) => {
                let settled = self.runs.is_empty() && !self.claiming.in_flight();
                if settled || now >= began + self.limits.drain_max {
                    self.exited = true;
                    effects.push(Effect::Exit { fault: None });
                }
            }
        }
    }

    fn give_up(&mut self, reason: String, effects: &mut Vec<Effect>) {
        for run in self.runs.values().filter(|run| run.is_busy()) {
            effects.push(Effect::Stop { attempt: run.attempt() });
        }
        self.runs.clear();
        self.exited = true;
        effects.push(Effect::Exit { fault: Some(reason) });
    }

    fn watch_server(&mut self, input: &Input, now: Duration, effects: &mut Vec<Effect>) {
        match input.error() {
            Some(CallError::Transient(reason)) if !self.server_lost => {
                self.server_lost = true;
                effects.push(Effect::Notify(Notice::ServerLost { reason: reason.clone() }));
            }
            Some(CallError::Refused(reason)) => {
                effects.push(Effect::Notify(Notice::Refused { reason: reason.clone() }));
            }
            _ => {}
        }
        let answers = input.is_answer() && !matches!(input.error(), Some(CallError::Transient(_)));
        if answers && self.delivers_until.is_none() {
            self.delivers_until = Some(now + self.limits.deliver_first_max);
        }
        if self.server_lost && answers {
            self.server_lost = false;
            effects.push(Effect::Notify(Notice::ServerBack));
        }
    }

    /// Holds after every step; a broken one is a fault of this machine.
    ///
    /// # Errors
    /// Which invariant is broken.
    pub fn check(&self) -> Result<(), String> {
        if self.busy() > self.slots {
            return Err(format!("{} trials train on {} slots", self.busy(), self.slots));
        }
        if self.runs.values().any(|run| run.fate().is_some()) {
            return Err("an ended attempt is still held".to_owned());
        }
        self.runs.values().try_for_each(Run::check)
    }
}
