//! A worker's process: the real state machine, and around it what its driver does.

use std::{collections::BTreeMap, time::Duration};

use motif_store::records::WorkerSeen;
use motif_sweep::ids::WorkerId;
use motif_wire::work::{Checkpoint, Heartbeat};
use motif_worker::core::{CallError, Core, Effect, Fate, Input, Limits, Notice};
use uuid::Uuid;

use super::{
    audit::{Checked, Violation},
    network::{Answer, Caller, ClaimBody, Envelope, Reply, Request},
    training::{Told, Training},
    world::{Event, World},
};

/// A process's clock begins anywhere.
const CLOCK_START: Duration = Duration::from_secs(1000);

/// What a call under way is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Claim(u64),
    Beat(Uuid),
    Store(Uuid),
    Save(Uuid, u64),
    Resume(Uuid),
    Report(Uuid),
}

struct OpenClaim {
    number: u64,
    body: ClaimBody,
    call: u64,
}

pub(super) struct Worker {
    /// Counts the processes at this place.
    pub(super) process: u64,
    pub(super) alive: bool,
    core: Core,
    seen: WorkerSeen,
    /// How fast its clock runs.
    pub(super) rate: f64,
    began: Duration,
    claim: Option<OpenClaim>,
    calls: BTreeMap<u64, Call>,
    pub(super) trainings: BTreeMap<Uuid, Training>,
    /// It does nothing before then.
    pub(super) frozen_until: Duration,
    /// Nothing reaches it and nothing leaves it.
    pub(super) cut_off: bool,
    tick_at: Option<Duration>,
}

impl World {
    /// Where a worker may be, before its first process.
    pub(super) fn add_place(&mut self, slots: u32, rate: f64) -> usize {
        let place = self.workers.len();
        let number = u32::try_from(place).unwrap_or(u32::MAX);
        let seen = WorkerSeen { slots, ..self.shapes.worker(number) };
        self.workers.push(Worker {
            process: 0,
            alive: false,
            core: Core::new(slots, Limits::default(), 0),
            seen,
            rate,
            began: Duration::ZERO,
            claim: None,
            calls: BTreeMap::new(),
            trainings: BTreeMap::new(),
            frozen_until: Duration::ZERO,
            cut_off: false,
            tick_at: None,
        });
        place
    }

    pub(super) fn spawn(&mut self, place: usize) -> Checked {
        if self.workers[place].alive {
            return Ok(());
        }
        let (seed, id) = (self.dice.bits(), WorkerId(self.dice.uuid()));
        let limits = Limits { batch_points_max: 3, ..Limits::default() };
        let worker = &mut self.workers[place];
        let seen = WorkerSeen { id, ..worker.seen.clone() };
        let (slots, process) = (seen.slots, worker.process + 1);
        *worker = Worker {
            process,
            alive: true,
            core: Core::new(slots, limits, seed),
            seen,
            rate: worker.rate,
            began: self.now,
            claim: None,
            calls: BTreeMap::new(),
            trainings: BTreeMap::new(),
            frozen_until: Duration::ZERO,
            cut_off: worker.cut_off,
            tick_at: None,
        };
        self.note(format_args!("worker {place} starts as process {process}"));
        self.feed(place, Input::Tick)
    }

    /// The process ends without a word, and another one begins later.
    pub(super) fn kill(&mut self, place: usize) {
        self.bury(place);
        let delay = if self.healed { Duration::from_secs(1) } else { self.dice.time_s(0.5, 40.0) };
        self.at(delay, Event::Spawn { place });
    }

    /// The process ends, and no other begins by itself.
    pub(super) fn bury(&mut self, place: usize) {
        let worker = &mut self.workers[place];
        worker.alive = false;
        worker.trainings.clear();
        worker.calls.clear();
    }

    /// Until when an event for a process has to wait; `None` when there is no such process.
    pub(super) fn is_there(&self, place: usize, process: u64) -> Option<Duration> {
        let worker = &self.workers[place];
        (worker.alive && worker.process == process).then_some(worker.frozen_until)
    }

    pub(super) fn tick(&mut self, place: usize) -> Checked {
        // Another one has been set since; this one is late when the process was frozen.
        let due = self.workers[place].tick_at.is_some_and(|at| at <= self.now);
        if !due {
            return Ok(());
        }
        self.workers[place].tick_at = None;
        self.feed(place, Input::Tick)
    }

    /// Gives the machine an input and does what it says.
    pub(super) fn feed(&mut self, place: usize, input: Input) -> Checked {
        let now = self.now;
        let worker = &mut self.workers[place];
        let local = CLOCK_START + now.saturating_sub(worker.began).mul_f64(worker.rate);
        let effects = worker.core.step(input, local);
        worker.core.check().map_err(|what| Violation::new("worker", what))?;
        for effect in effects {
            self.carry_out(place, effect)?;
        }
        let worker = &mut self.workers[place];
        if let Some(wake) = worker.core.wake().filter(|_| worker.alive) {
            let at = worker.began + wake.saturating_sub(CLOCK_START).div_f64(worker.rate);
            let at = at.max(now) + Duration::from_micros(1);
            if worker.tick_at.is_none_or(|set| at < set || set < now) {
                worker.tick_at = Some(at);
                let process = worker.process;
                self.at(at - now, Event::Tick { place, process });
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, place: usize, effect: Effect) -> Checked {
        match effect {
            Effect::Claim { claim, max, wait_s } => self.claim_trials(place, claim, max, wait_s),
            Effect::Recall { claim } => {
                let worker = &mut self.workers[place];
                let Some(open) = worker.claim.take_if(|open| open.number == claim) else { return Ok(()) };
                worker.calls.remove(&open.call);
                self.send_claim(place, claim, ClaimBody { wait_s: 0, ..open.body });
            }
            Effect::Start(lease) => return self.start_training(place, &lease),
            Effect::Stop { attempt } => self.tell(place, attempt, |training| training.told = Told::Stop),
            Effect::Conclude { attempt } => {
                self.tell(place, attempt, |training| training.told = Told::Conclude);
            }
            Effect::Pause { attempt } => self.tell(place, attempt, |training| training.paused = true),
            Effect::Resume { attempt } => self.tell(place, attempt, |training| training.paused = false),
            Effect::Beat { key, step, total_steps } => {
                let call = Call::Beat(key.attempt);
                self.call(place, call, Request::Beat(key, Heartbeat { step, total_steps }));
            }
            Effect::Store { key, points } => {
                self.call(place, Call::Store(key.attempt), Request::Store(key, points));
            }
            Effect::Save { key, step, points, bytes } => {
                let hash = blake3::hash(&bytes).to_hex().to_string();
                let checkpoint = Checkpoint { step, points, hash, bytes: bytes.len() as u64 };
                self.call(place, Call::Save(key.attempt, step), Request::Save(key, checkpoint));
            }
            Effect::Report { key, report } => {
                self.call(place, Call::Report(key.attempt), Request::Report(key, report));
            }
            Effect::Notify(Notice::Ended { fate: Fate::Dropped, .. }) => self.tally.dropped += 1,
            Effect::Notify(_) => {}
            Effect::Exit { fault: None } => {
                self.note(format_args!("worker {place} has drained"));
                self.tally.drained += 1;
                self.kill(place);
            }
            Effect::Exit { fault: Some(reason) } => return Err(Violation::new("worker", reason)),
        }
        Ok(())
    }

    fn tell(&mut self, place: usize, attempt: Uuid, tell: impl FnOnce(&mut Training)) {
        if let Some(training) = self.workers[place].trainings.get_mut(&attempt) {
            tell(training);
        }
    }

    fn claim_trials(&mut self, place: usize, number: u64, max: u32, wait_s: u32) {
        let body = match self.workers[place].claim.take() {
            Some(open) if open.number == number => open.body,
            _ => {
                let (claim_id, secret) = (self.dice.uuid(), self.dice.secret());
                ClaimBody { claim_id, secret, worker: self.workers[place].seen.clone(), max, wait_s }
            }
        };
        self.send_claim(place, number, body);
    }

    fn send_claim(&mut self, place: usize, number: u64, body: ClaimBody) {
        let call = self.call(place, Call::Claim(number), Request::Claim(body.clone()));
        self.workers[place].claim = Some(OpenClaim { number, body, call });
    }

    /// Sends a request and returns the call's number.
    pub(super) fn call(&mut self, place: usize, what: Call, request: Request) -> u64 {
        self.calls += 1;
        let call = self.calls;
        let worker = &mut self.workers[place];
        worker.calls.insert(call, what);
        let (process, timeout) = (worker.process, request.timeout().div_f64(worker.rate));
        self.at(timeout, Event::Timeout { place, process, call });
        self.send(&Envelope { from: Caller::Worker(place, process), call, request });
        call
    }

    /// An answer, or that none came in time, reaches a worker; only the first one counts.
    pub(super) fn answered(&mut self, place: usize, call: u64, answer: Answer) -> Checked {
        let Some(what) = self.workers[place].calls.remove(&call) else { return Ok(()) };
        let wrong = || CallError::Refused("an answer to another question".to_owned());
        macro_rules! only {
            ($kind:ident) => {
                answer.and_then(|reply| match reply {
                    Reply::$kind(found) => Ok(found),
                    _ => Err(wrong()),
                })
            };
        }
        let input = match what {
            Call::Claim(claim) => Input::Claimed { claim, result: only!(Leases) },
            Call::Beat(attempt) => Input::Beaten { attempt, result: only!(Beaten) },
            Call::Store(attempt) => Input::Stored { attempt, result: only!(Stored) },
            Call::Save(attempt, step) => Input::Saved { attempt, step, result: only!(Saved) },
            Call::Report(attempt) => Input::Reported { attempt, result: only!(Reported) },
            Call::Resume(attempt) => return self.resumed(place, attempt, &only!(Stored)),
        };
        self.feed(place, input)
    }
}
