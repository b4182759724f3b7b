//! One world: everything that happens, in the order of its time.

use std::{collections::BTreeMap, time::Duration};

use motif_store::{Queue, conformance, records::Steer};
use motif_sweep::ids::{SweepId, TrialId};
use motif_worker::core::CallError;
use uuid::Uuid;

use super::{
    Tally,
    audit::{Audit, Checked, Violation},
    backend::Backend,
    chance::Dice,
    network::{Answer, Caller, Envelope, Reply, Request},
    plan::{Course, Plan, Weather},
    server::Server,
    trace::Trace,
    worker::Worker,
};

/// How long a healed world may take until every trial has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(3600);
/// A dead worker's trial is leased again within this time.
pub(super) const RELEASED_WITHIN: Duration = Duration::from_secs(40);
/// Slots of the worker that stays healthy: as many as there can be trials.
const HEALTHY_SLOTS: u32 = 24;

#[derive(Debug, Clone)]
pub(super) enum Event {
    Arrive(Envelope),
    Answer {
        to: Caller,
        call: u64,
        answer: Answer,
    },
    Timeout {
        place: usize,
        process: u64,
        call: u64,
    },
    Tick {
        place: usize,
        process: u64,
    },
    Train {
        place: usize,
        process: u64,
        attempt: Uuid,
    },
    Spawn {
        place: usize,
    },
    Reconnect {
        place: usize,
    },
    Commit {
        process: u64,
    },
    Look {
        process: u64,
        again: bool,
    },
    Reap {
        process: u64,
    },
    Restart,
    Mischief,
    /// The person's next request, or the same once more.
    Person(Request),
    Heal,
    /// By now these have been leased anew, or have ended.
    Inherited(Vec<(TrialId, u32)>),
}

pub(super) struct World {
    pub(super) now: Duration,
    pub(super) dice: Dice,
    pub(super) shapes: conformance::World<dyn Queue>,
    pub(super) backend: Backend,
    pub(super) server: Server,
    pub(super) workers: Vec<Worker>,
    pub(super) courses: BTreeMap<Uuid, Course>,
    pub(super) weather: Weather,
    pub(super) audit: Audit,
    pub(super) tally: Tally,
    pub(super) calls: u64,
    pub(super) healed: bool,
    pub(super) mischief_every_s: f64,
    pub(super) trace: Trace,
    pub(super) heirs: bool,
    events: BTreeMap<(Duration, u64), Event>,
    numbers: u64,
    /// The person's calls under way.
    person: BTreeMap<u64, Request>,
    unsubmitted: usize,
    ends_by: Duration,
    /// Trials whose worker died at the heal.
    pub(super) orphans: BTreeMap<TrialId, (u32, Duration)>,
}

impl World {
    pub(super) fn new(seed: u64, backend: Backend, keep_trace: bool) -> Self {
        let mut dice = Dice::new(seed);
        let shapes = conformance::World::new(backend.queue());
        let plan = Plan::draw(&mut dice, &shapes);
        let weather = Weather::draw(&mut dice);
        let mut world = Self {
            now: Duration::ZERO,
            dice,
            shapes,
            backend,
            server: Server::new(Duration::ZERO),
            workers: Vec::new(),
            courses: plan.courses.clone(),
            weather,
            audit: Audit::new(plan.courses),
            tally: Tally::default(),
            calls: 0,
            healed: false,
            mischief_every_s: plan.mischief_every_s,
            trace: Trace::new(keep_trace),
            heirs: plan.heirs,
            events: BTreeMap::new(),
            numbers: 0,
            person: BTreeMap::new(),
            unsubmitted: plan.sweeps.len(),
            ends_by: plan.heals_at + ENDS_WITHIN,
            orphans: BTreeMap::new(),
        };
        for (at, sweep) in plan.sweeps {
            world.at(at, Event::Person(Request::Submit(Box::new(sweep))));
        }
        for _ in 0..plan.workers {
            let slots = u32::try_from(world.dice.whole(1, 3)).unwrap_or(1);
            // Most clocks are nearly right.
            let rate = if world.dice.chance(0.25) { world.dice.between(0.3, 3.0) } else { 1.0 };
            let place = world.add_place(slots, rate);
            let delay = world.dice.time_s(0.0, 5.0);
            world.at(delay, Event::Spawn { place });
        }
        world.at(super::server::reap_every(), Event::Reap { process: 0 });
        world.at(plan.heals_at, Event::Heal);
        world.mischief_later();
        world
    }

    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    /// Something will happen after a while.
    pub(super) fn at(&mut self, delay: Duration, event: Event) {
        self.numbers += 1;
        self.events.insert((self.now + delay, self.numbers), event);
    }

    /// Lets everything happen.
    pub(super) async fn run(&mut self) -> Checked {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happen(event).await?;
            let all_ended = self.unsubmitted == 0 && self.audit.open() == 0;
            if all_ended && self.healed && self.orphans.is_empty() {
                break;
            }
            if all_ended && !self.healed {
                self.heal().await?;
            }
            if self.now > self.ends_by {
                let open = self.audit.open();
                let what = format!("{open} trials have not ended, {ENDS_WITHIN:?} after all faults");
                return Err(Violation::new("I5", what));
            }
        }
        // What was acknowledged outlives the last process, too.
        self.crash();
        self.restart().await
    }

    async fn happen(&mut self, event: Event) -> Checked {
        let alive = self.server.process;
        match event {
            Event::Arrive(envelope) => self.arrive(envelope),
            Event::Answer { to, call, answer } => return self.hear(to, call, answer),
            Event::Timeout { place, process, call } => {
                let late = Err(CallError::Transient("no answer in time".to_owned()));
                return self.hear(Caller::Worker(place, process), call, late);
            }
            Event::Tick { place, process } => match self.is_there(place, process) {
                Some(until) if until > self.now => self.later(until, event),
                Some(_) => return self.tick(place),
                None => {}
            },
            Event::Train { place, process, attempt } => match self.is_there(place, process) {
                Some(until) if until > self.now => self.later(until, event),
                Some(_) => return self.train(place, attempt),
                None => {}
            },
            Event::Spawn { place } => return self.spawn(place),
            Event::Reconnect { place } => self.workers[place].cut_off = false,
            Event::Commit { process } if process == alive => return self.commit().await,
            Event::Look { process, again } if process == alive => return self.look(again).await,
            Event::Reap { process } if process == alive => return self.reap().await,
            Event::Commit { .. } | Event::Look { .. } | Event::Reap { .. } => {}
            Event::Restart if !self.server.up => return self.restart().await,
            Event::Restart => {}
            Event::Mischief => return self.mischief(),
            Event::Person(request) => self.ask(request),
            Event::Heal if !self.healed => return self.heal().await,
            Event::Heal => {}
            Event::Inherited(trials) => return self.inherited(&trials),
        }
        Ok(())
    }

    /// The same when a process runs again.
    fn later(&mut self, until: Duration, event: Event) {
        self.at(until - self.now, event);
    }

    fn hear(&mut self, to: Caller, call: u64, answer: Answer) -> Checked {
        let Caller::Worker(place, process) = to else {
            self.person_hears(call, &answer);
            return Ok(());
        };
        match self.is_there(place, process) {
            Some(until) if until > self.now => self.later(until, Event::Answer { to, call, answer }),
            Some(_) => return self.answered(place, call, answer),
            None => {}
        }
        Ok(())
    }

    /// The person asks, and asks again until there is an answer.
    fn ask(&mut self, request: Request) {
        self.calls += 1;
        let call = self.calls;
        let late = Err(CallError::Transient("no answer in time".to_owned()));
        self.at(request.timeout(), Event::Answer { to: Caller::Person, call, answer: late });
        self.person.insert(call, request.clone());
        self.send(&Envelope { from: Caller::Person, call, request });
    }

    fn person_hears(&mut self, call: u64, answer: &Answer) {
        let Some(request) = self.person.remove(&call) else { return };
        match answer {
            Ok(Reply::Done) if matches!(request, Request::Submit(_)) => self.unsubmitted -= 1,
            Err(CallError::Transient(_)) => {
                let delay = self.dice.time_s(0.5, 3.0);
                self.at(delay, Event::Person(request));
            }
            _ => {}
        }
    }

    /// All faults end. What the person wanted before is forgotten, but for submissions.
    async fn heal(&mut self) -> Checked {
        self.note(format_args!("all faults end"));
        self.healed = true;
        self.ends_by = self.now + ENDS_WITHIN;
        self.weather = Weather::FAIR;
        let steers = |request: &Request| matches!(request, Request::Steer(..));
        self.person.retain(|_, request| !steers(request));
        self.events.retain(|_, event| match event {
            Event::Person(request) => !steers(request),
            Event::Arrive(envelope) => !steers(&envelope.request),
            _ => true,
        });
        self.server.strike = None;
        if !self.server.up {
            self.restart().await?;
        }
        let orphans = self.audit.leased();
        for place in 0..self.workers.len() {
            self.workers[place].cut_off = false;
            self.workers[place].frozen_until = self.now;
            if self.heirs {
                self.bury(place);
            }
        }
        if self.heirs {
            // What a dead worker sent before would count as a sign of life whenever it came.
            self.server.hang_up();
            self.events.retain(|_, event| match event {
                Event::Spawn { .. } => false,
                Event::Arrive(envelope) => {
                    matches!(envelope.request, Request::Submit(_) | Request::Report(..))
                }
                _ => true,
            });
            let from = self.now.max(self.server.holds_until);
            self.orphans = orphans.iter().map(|(trial, attempt)| (*trial, (*attempt, from))).collect();
            self.at(from - self.now + RELEASED_WITHIN, Event::Inherited(orphans));
        }
        for sweep in self.audit.sweeps() {
            self.ask(Request::Steer(sweep, Steer::Resume));
        }
        let place = self.add_place(HEALTHY_SLOTS, 1.0);
        self.spawn(place)
    }

    /// I5: a dead worker's trials have gone on.
    fn inherited(&mut self, trials: &[(TrialId, u32)]) -> Checked {
        self.orphans.clear();
        for (trial, attempt) in trials {
            if !self.audit.has_moved_on(*trial, *attempt) {
                let name = self.audit.name(*trial);
                let what = format!(
                    "{name} #{attempt} is not leased again {RELEASED_WITHIN:?} after its worker died"
                );
                return Err(Violation::new("I5", what));
            }
        }
        Ok(())
    }

    /// Takes note of how long it took until an orphan was leased again.
    pub(super) fn adopted(&mut self, trial: TrialId, attempt: u32) {
        if let Some((before, since)) = self.orphans.get(&trial).copied()
            && attempt > before
        {
            let took = self.now.saturating_sub(since);
            self.tally.adopted += 1;
            self.tally.adoption_max = self.tally.adoption_max.max(took);
            self.orphans.remove(&trial);
        }
    }

    /// The next fault comes after a while.
    pub(super) fn mischief_later(&mut self) {
        // Exponential, cut off so that it comes.
        let gap_s = -self.mischief_every_s * (1.0 - self.dice.unit()).ln();
        self.at(Duration::from_secs_f64(gap_s.clamp(0.1, 60.0)), Event::Mischief);
    }

    /// A sweep that is there.
    pub(super) fn some_sweep(&mut self) -> Option<SweepId> {
        let sweeps = self.audit.sweeps();
        if sweeps.is_empty() { None } else { Some(sweeps[self.dice.below(sweeps.len())]) }
    }
}
