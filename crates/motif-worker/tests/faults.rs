//! The state machine against a server that loses requests and replies, forgets leases and is slow, at random from a
//! seed: nothing is lost, nothing is done twice, everything ends.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use motif_sweep::lifecycle::{Policy, TrialState};
use motif_wire::{
    trials::{Provenance, TrialReport},
    work::{HeartbeatReply, Lease, MetricsReply, ReportReply},
};
use motif_worker::core::{CallError, Core, Effect, Ending, Input, LeaseKey, Limits, LoggedPoint, Report};
use serde_json::json;
use uuid::Uuid;

const SLOTS: u32 = 3;
const TRIALS: u128 = 12;
/// Far more than any seed needs.
const EVENTS_MAX: usize = 200_000;

/// A seeded sequence (a 64-bit linear congruence, high bits).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The server's side of one attempt.
#[derive(Default)]
struct Attempt {
    trial: u128,
    points: u64,
    /// Points the training has logged.
    logged: u64,
    ended: Option<Report>,
    reaped: bool,
}

/// What a training was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Stop,
    Conclude,
}

struct World {
    core: Core,
    dice: Dice,
    now: Duration,
    coming: BinaryHeap<Reverse<(Duration, u64)>>,
    inputs: BTreeMap<u64, Input>,
    queued: Vec<u128>,
    attempts: BTreeMap<Uuid, Attempt>,
    claims: BTreeMap<u64, Vec<Lease>>,
    training: BTreeMap<Uuid, Told>,
    /// Trials that the server wants to end early.
    decided: BTreeSet<u128>,
    /// Trials that did.
    stopped: BTreeSet<u128>,
    completed: BTreeMap<u128, u32>,
    loss_percent: u64,
    exited: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            core: Core::new(SLOTS, Limits { batch_points_max: 3, ..Limits::default() }, seed),
            dice: Dice(seed),
            now: Duration::from_secs(1),
            coming: BinaryHeap::new(),
            inputs: BTreeMap::new(),
            queued: (0..TRIALS).collect(),
            attempts: BTreeMap::new(),
            claims: BTreeMap::new(),
            training: BTreeMap::new(),
            decided: BTreeSet::new(),
            stopped: BTreeSet::new(),
            completed: BTreeMap::new(),
            loss_percent: 25,
            exited: false,
        }
    }

    fn later(&mut self, most_ms: u64, input: Input) {
        let at = self.now + Duration::from_millis(1 + self.dice.below(most_ms));
        let number = self.inputs.last_key_value().map_or(0, |(number, _)| number + 1);
        self.inputs.insert(number, input);
        self.coming.push(Reverse((at, number)));
    }

    /// Loses the request, or the reply, or nothing.
    fn deliver<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, CallError>) -> Result<T, CallError> {
        let lost = || Err(CallError::Transient("lost".to_owned()));
        if self.dice.chance(self.loss_percent) {
            return lost();
        }
        let answer = act(self);
        if self.dice.chance(self.loss_percent) { lost() } else { answer }
    }

    fn claim(&mut self, number: u64, max: u32) -> Vec<Lease> {
        if let Some(leases) = self.claims.get(&number) {
            return leases.clone();
        }
        let count = self.queued.len().min(max as usize);
        let trials: Vec<_> = self.queued.drain(..count).collect();
        let leases: Vec<_> = trials.into_iter().map(|trial| self.lease(trial)).collect();
        if !leases.is_empty() {
            self.claims.insert(number, leases.clone());
        }
        leases
    }

    fn lease(&mut self, trial: u128) -> Lease {
        let attempt_id = Uuid::from_u128(1 + self.attempts.len() as u128);
        self.attempts.insert(attempt_id, Attempt { trial, ..Attempt::default() });
        Lease {
            attempt_id,
            token: String::new(),
            trial_id: Uuid::from_u128(trial),
            sweep_id: Uuid::nil(),
            attempt: 1,
            config: json!({}),
            seed: 0,
            dataset_hash: String::new(),
            policy: Policy::default(),
            judged: trial.is_multiple_of(2),
            snapshots: false,
            checkpoint: None,
        }
    }

    /// The attempt, unless its lease is stale; now and then the server reaps it at this very moment.
    fn open(&mut self, key: &LeaseKey) -> Result<&mut Attempt, CallError> {
        let reap = self.dice.chance(2);
        let attempt = self.attempts.get_mut(&key.attempt).expect("only leased attempts are heard of");
        if reap && attempt.ended.is_none() && !attempt.reaped {
            attempt.reaped = true;
            self.queued.push(attempt.trial);
        }
        if attempt.reaped { Err(CallError::Stale) } else { Ok(attempt) }
    }

    /// Some trials are to end early from their third point on, in whichever attempt.
    fn store(&mut self, key: &LeaseKey, first: u64, count: u64) -> Result<MetricsReply, CallError> {
        let judged = self.dice.chance(20);
        let attempt = self.open(key)?;
        if attempt.ended.is_some() {
            return Err(CallError::Stale);
        }
        assert!(first <= attempt.points, "a gap: {first} after {}", attempt.points);
        attempt.points = attempt.points.max(first + count);
        let (trial, points) = (attempt.trial, attempt.points);
        if judged && points > 2 {
            self.decided.insert(trial);
        }
        Ok(MetricsReply { next_seq: points, stop: points > 2 && self.decided.contains(&trial) })
    }

    fn report(&mut self, key: &LeaseKey, report: &Report) -> Result<ReportReply, CallError> {
        let attempt = self.open(key)?;
        let reply = Ok(ReportReply { state: TrialState::Succeeded });
        if let Some(ended) = &attempt.ended {
            return if ended == report { reply } else { Err(CallError::Stale) };
        }
        attempt.ended = Some(report.clone());
        let trial = attempt.trial;
        if let Report::Complete(result) = report {
            assert_eq!(attempt.points, attempt.logged, "a result before its points");
            if result.stopped_step.is_some() {
                assert!(self.decided.contains(&trial), "stopped early, and nobody wanted it");
                self.stopped.insert(trial);
            }
            *self.completed.entry(trial).or_default() += 1;
        } else {
            self.queued.push(trial);
        }
        reply
    }

    fn train(&mut self, attempt: Uuid) {
        assert!(self.training.len() < SLOTS as usize, "more trainings than slots");
        assert_eq!(self.training.insert(attempt, Told::Nothing), None, "an attempt is trained twice");
        self.later(8000, Input::Stepped { attempt, step: 1, total_steps: None });
    }

    /// A training goes on: logs, or ends.
    fn advance(&mut self, attempt: Uuid, step: u64) {
        let Some(told) = self.training.get(&attempt).copied() else { return };
        if told != Told::Nothing || step > 5 {
            let ending = match told {
                Told::Nothing => Ending::Trained(report(None)),
                Told::Stop => Ending::Stopped,
                Told::Conclude => Ending::Trained(report(Some(step))),
            };
            self.training.remove(&attempt);
            self.put(Input::Ended { attempt, ending });
            return;
        }
        for _ in 0..self.dice.below(4) {
            self.attempts.get_mut(&attempt).expect("it was leased").logged += 1;
            let point = LoggedPoint { step, epoch: 0.0, values: BTreeMap::new() };
            self.put(Input::Logged { attempt, point });
        }
        self.later(8000, Input::Stepped { attempt, step: step + 1, total_steps: None });
    }

    fn put(&mut self, input: Input) {
        let effects = self.core.step(input, self.now);
        assert_eq!(self.core.check(), Ok(()));
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Claim { claim, max, .. } => {
                let result = self.deliver(|world| Ok(world.claim(claim, max)));
                self.later(2000, Input::Claimed { claim, result });
            }
            Effect::Recall { claim } => {
                // What the first call was answered no longer arrives.
                self.inputs.retain(|_, input| !matches!(input, Input::Claimed { .. }));
                let result = self.deliver(|world| Ok(world.claim(claim, 1)));
                self.later(500, Input::Claimed { claim, result });
            }
            Effect::Start(lease) => self.train(lease.attempt_id),
            Effect::Stop { attempt } => {
                self.training.insert(attempt, Told::Stop);
            }
            Effect::Conclude { attempt } => {
                self.training.insert(attempt, Told::Conclude);
            }
            Effect::Beat { key, .. } => {
                let beat = |world: &mut Self| {
                    let attempt = world.open(&key)?;
                    let (open, trial, points) = (attempt.ended.is_none(), attempt.trial, attempt.points);
                    if open {
                        let stop = points > 2 && world.decided.contains(&trial);
                        Ok(HeartbeatReply { cancel: false, stop, lease_s: 30 })
                    } else {
                        Err(CallError::Stale)
                    }
                };
                let result = self.deliver(beat);
                self.later(2000, Input::Beaten { attempt: key.attempt, result });
            }
            Effect::Store { key, points } => {
                let result = self.deliver(|world| world.store(&key, points[0].seq, points.len() as u64));
                self.later(2000, Input::Stored { attempt: key.attempt, result });
            }
            Effect::Save { .. } => unreachable!("these trainings keep nothing"),
            Effect::Report { key, report } => {
                let result = self.deliver(|world| world.report(&key, &report));
                self.later(2000, Input::Reported { attempt: key.attempt, result });
            }
            Effect::Pause { .. } | Effect::Resume { .. } | Effect::Notify(_) => {}
            Effect::Exit { fault } => {
                assert_eq!(fault, None);
                self.exited = true;
            }
        }
    }

    /// The next thing that happens: an input, or the machine's own time.
    fn happen(&mut self) {
        let wake = self.core.wake();
        let coming = self.coming.peek().map(|Reverse((at, _))| *at);
        match (coming, wake) {
            (Some(at), wake) if wake.is_none_or(|wake| at <= wake) => {
                let Some(Reverse((_, number))) = self.coming.pop() else { return };
                self.now = self.now.max(at);
                match self.inputs.remove(&number) {
                    Some(Input::Stepped { attempt, step, total_steps }) => {
                        self.put(Input::Stepped { attempt, step, total_steps });
                        self.advance(attempt, step);
                    }
                    Some(input) => self.put(input),
                    None => {}
                }
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                self.put(Input::Tick);
            }
            (_, None) => panic!("nothing will ever happen again"),
        }
    }
}

fn report(stopped_step: Option<u64>) -> Box<TrialReport> {
    let provenance = Provenance {
        version: String::new(),
        commit: None,
        instruction_set: String::new(),
        platform: String::new(),
        host: String::new(),
        dataset_hash: String::new(),
        config_hash: String::new(),
    };
    let (metrics, result_hash) = (BTreeMap::new(), String::new());
    let (training_s, evaluation_s, diagnostics_s, spectra_s) = (0.0, None, None, None);
    Box::new(TrialReport {
        diverged_step: None,
        stopped_step,
        stopped_epoch: stopped_step.map(|step| step as f64),
        steps: stopped_step.unwrap_or(6),
        metrics,
        result_hash,
        training_s,
        evaluation_s,
        diagnostics_s,
        spectra_s,
        provenance,
    })
}

#[test]
fn every_trial_is_completed_once_whatever_is_lost() {
    let (mut stopped, mut whole) = (0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.put(Input::Tick);
        for events in 0.. {
            assert!(events < EVENTS_MAX, "seed {seed}: it never ends: {:?}", world.completed);
            if world.completed.len() as u128 == TRIALS {
                break;
            }
            world.happen();
        }
        assert!(world.completed.values().all(|&times| times == 1), "seed {seed}: {:?}", world.completed);
        stopped += world.stopped.len();
        whole += world.decided.difference(&world.stopped).count();
    }
    // Some ended by themselves before they heard.
    assert!(stopped > 100 && whole > 100, "{stopped} stopped early, {whole} decided but whole");
}

#[test]
fn a_drain_ends_in_time_whatever_is_lost_and_holds_nothing_it_could_give_back() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        world.put(Input::Tick);
        for _ in 0..world.dice.below(300) {
            world.happen();
        }
        let began = world.now;
        // Trainings stop at once, and the server is well again.
        world.loss_percent = 0;
        world.put(Input::Drain);
        while !world.exited {
            let stopping: Vec<_> = world
                .training
                .iter()
                .filter(|(_, told)| **told != Told::Nothing)
                .map(|(id, _)| *id)
                .collect();
            for attempt in stopping {
                world.advance(attempt, 0);
            }
            if !world.exited {
                world.happen();
            }
        }
        let limit = Limits::default().drain_max;
        assert!(world.now - began <= limit, "seed {seed}: {:?}", world.now - began);
        if world.now - began < limit {
            let held = world.attempts.values().filter(|attempt| attempt.ended.is_none() && !attempt.reaped);
            assert_eq!(held.count(), 0, "seed {seed}: a lease was kept");
        }
    }
}
