//! Random histories: the store does what a small pure model of trials, lifecycle and fences says, and keeps the queue's
//! invariants: one open attempt per trial and rising numbers (I2), terminal states that stay (I3), budgets (I6), counts
//! that sum to what was submitted (I8).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use motif_store::{
    Result, Store, StoreError,
    conformance::{TIGHT, World},
    records::{
        AmendOutcome, Claimable, Fence, Finish, Moved, NewControl, NewSweep, PointRecord, Steer, StoppedAt,
    },
    sqlite::{Options, SqliteStore},
};
use motif_sweep::{
    ids::TrialId,
    lifecycle::{self, AttemptOutcome, Conclusion, Event, Life, TrialState},
    requires::Needs,
    stopping::{Rule, Test},
};
use proptest::prelude::*;

/// Of each trial; nothing is stopped in the last.
const EPOCHS: u32 = 4;

#[derive(Debug, Clone)]
enum Act {
    /// Of so many trials, by a worker with the label `big` or without.
    Claim(u32, bool),
    Heartbeat(usize, u64),
    /// Ends an epoch with a value; trials that have logged fewer than others are held against them.
    Log(usize, u8),
    Complete(usize, Conclusion),
    Fail(usize, bool),
    Release(usize),
    Reap,
    Steer(usize, Steer),
    /// Adds a seed.
    Amend(usize),
    /// Queues failed, dead and cancelled trials.
    Holes(usize),
    Wait(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let lease = 0usize..8;
    let steer = prop_oneof![
        1 => Just(Steer::Pause),
        3 => Just(Steer::Resume),
        1 => Just(Steer::Cancel),
        2 => Just(Steer::Retry),
        2 => (-2i32..3).prop_map(Steer::Priority)
    ];
    let conclusion =
        prop_oneof![Just(Conclusion::Succeeded), Just(Conclusion::Diverged), Just(Conclusion::Stopped)];
    let act = prop_oneof![
        6 => (1u32..4, any::<bool>()).prop_map(|(max, big)| Act::Claim(max, big)),
        3 => (lease.clone(), 0u64..4).prop_map(|(lease, step)| Act::Heartbeat(lease, step)),
        6 => (lease.clone(), 0u8..4).prop_map(|(lease, value)| Act::Log(lease, value)),
        3 => (lease.clone(), conclusion).prop_map(|(lease, conclusion)| Act::Complete(lease, conclusion)),
        2 => (lease.clone(), any::<bool>()).prop_map(|(lease, retryable)| Act::Fail(lease, retryable)),
        1 => lease.prop_map(Act::Release),
        3 => Just(Act::Reap),
        1 => (0usize..2, steer).prop_map(|(sweep, steer)| Act::Steer(sweep, steer)),
        1 => (0usize..2).prop_map(Act::Amend),
        1 => (0usize..2).prop_map(Act::Holes),
        4 => (1i64..35).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..70)
}

/// What a caller is told.
#[derive(Debug, PartialEq)]
enum Told {
    Moved(TrialState, bool),
    Stale,
    Conflict,
}

fn told(result: Result<Moved>) -> Told {
    match result {
        Ok(moved) => Told::Moved(moved.state, moved.cancel_requested),
        Err(StoreError::StaleLease) => Told::Stale,
        Err(StoreError::Conflict(_)) => Told::Conflict,
        Err(other) => panic!("unexpected: {other}"),
    }
}

struct Attempt {
    trial: usize,
    number: u32,
    fence: Fence,
    outcome: Option<AttemptOutcome>,
    conclusion: Option<Conclusion>,
    /// Epochs that it has logged.
    logged: u32,
}

struct Trial {
    id: TrialId,
    sweep: usize,
    life: Life,
    /// Its values at the rungs, by epoch, none from the decision on.
    rungs: BTreeMap<u32, u8>,
    /// The epoch at which it was decided to end early.
    stop: Option<u32>,
}

/// What should be, in the order of the queue.
struct Model {
    trials: Vec<Trial>,
    attempts: Vec<Attempt>,
    paused: [bool; 2],
    cancelled: [bool; 2],
    priority: [i32; 2],
    seeds: [u64; 2],
}

impl Model {
    fn new(sweeps: &[NewSweep], now: Timestamp) -> Self {
        let trials = sweeps.iter().enumerate().flat_map(|(sweep, new)| {
            let trial =
                move |id| Trial { id, sweep, life: Life::submitted(now), rungs: BTreeMap::new(), stop: None };
            new.trials.iter().map(move |new| trial(new.id))
        });
        Self {
            trials: trials.collect(),
            attempts: Vec::new(),
            paused: [false; 2],
            cancelled: [false; 2],
            priority: [0; 2],
            seeds: [0, 1].map(|sweep| sweeps[sweep].seeds.len() as u64),
        }
    }

    /// Of the sweeps that are for this worker (the second is for `big` ones) and have the highest priority, the one with the fewest leases is next, then the older; within it, trials
    /// stand in the order in which they were added.
    fn claimable(&self, max: u32, big: bool, now: Timestamp) -> Vec<TrialId> {
        let ready = |trial: &&Trial| {
            let allowed = big || trial.sweep == 0;
            allowed
                && !self.paused[trial.sweep]
                && lifecycle::step(&trial.life, Event::Claim, now, &TIGHT).is_ok()
        };
        let mut ready: Vec<&Trial> = self.trials.iter().filter(ready).collect();
        let leased_in = |sweep| {
            let here = |trial: &&Trial| trial.sweep == sweep && trial.life.state == TrialState::Leased;
            self.trials.iter().filter(here).count()
        };
        let mut leased = [0, 1].map(leased_in);
        let mut taken = Vec::new();
        while taken.len() < max as usize
            && let Some(next) = (0..ready.len())
                .min_by_key(|&n| (-self.priority[ready[n].sweep], leased[ready[n].sweep], ready[n].sweep, n))
        {
            let trial = ready.remove(next);
            leased[trial.sweep] += 1;
            taken.push(trial.id);
        }
        taken
    }

    fn claim(&mut self, id: TrialId, number: u32, fence: Fence, now: Timestamp) {
        let trial = self.trials.iter().position(|trial| trial.id == id).unwrap();
        let life = &mut self.trials[trial].life;
        *life = lifecycle::step(life, Event::Claim, now, &TIGHT).unwrap().life;
        assert_eq!(number, life.attempt, "I2: numbers rise by one");
        self.attempts.push(Attempt { trial, number, fence, outcome: None, conclusion: None, logged: 0 });
    }

    /// Applies a report of an attempt and says what its worker is to be told.
    fn report(&mut self, attempt: usize, event: Event, now: Timestamp) -> Told {
        let attempt = &mut self.attempts[attempt];
        let life = &mut self.trials[attempt.trial].life;
        let here = Told::Moved(life.state, life.cancel_requested);
        use AttemptOutcome as O;
        match (event, attempt.outcome) {
            (_, None) | (Event::Complete { .. }, Some(O::Expired | O::TimedOut)) => {}
            (Event::Complete { conclusion, .. }, Some(O::Succeeded | O::Diverged | O::Stopped)) => {
                return if Some(conclusion) == attempt.conclusion { here } else { Told::Conflict };
            }
            (Event::Fail { .. }, Some(O::Failed | O::Cancelled)) => return here,
            (Event::Release, Some(O::Released | O::Cancelled)) => return here,
            _ => return Told::Stale,
        }
        let Ok(transition) = lifecycle::step(life, event, now, &TIGHT) else { return Told::Stale };
        *life = transition.life;
        if let Some(outcome) = transition.ended {
            attempt.outcome = Some(outcome);
            attempt.conclusion = match event {
                Event::Complete { conclusion, .. } => Some(conclusion),
                _ => None,
            };
        }
        Told::Moved(life.state, life.cancel_requested)
    }

    /// An attempt ends an epoch; whether it is told to stop. Halving, written out: at the epochs 1, 2, 4, with fewer
    /// than ⌊n/2⌋ better values of its sweep a trial goes on.
    fn log(&mut self, index: usize, value: u8, now: Timestamp) -> Option<bool> {
        let attempt = &mut self.attempts[index];
        if attempt.outcome.is_some() {
            return None;
        }
        attempt.logged += 1;
        let (epoch, own) = (attempt.logged, attempt.trial);
        let sweep = self.trials[own].sweep;
        let new = self.trials[own].stop.is_none() && !self.trials[own].rungs.contains_key(&epoch);
        if new && sweep == 0 && [1, 2, 4].contains(&epoch) {
            self.trials[own].rungs.insert(epoch, value);
            let at_rung = self.trials.iter().filter(|trial| trial.sweep == sweep);
            let values: Vec<u8> = at_rung.filter_map(|trial| trial.rungs.get(&epoch).copied()).collect();
            let better = values.iter().filter(|other| **other > value).count();
            let kept = values.len() / 2;
            if kept > 0 && better >= kept && epoch < EPOCHS {
                let trial = &mut self.trials[own];
                trial.stop = Some(epoch);
                trial.life = lifecycle::step(&trial.life, Event::Stop, now, &TIGHT).unwrap().life;
            }
        }
        Some(self.trials[own].stop.is_some_and(|stop| epoch >= stop))
    }

    /// The lease that is longest due goes first; each next one has its own jitter.
    fn reap(&mut self, now: Timestamp) -> BTreeMap<TrialId, TrialState> {
        let mut due: Vec<(Timestamp, usize)> = Vec::new();
        for (index, attempt) in self.attempts.iter().enumerate().filter(|(_, found)| found.outcome.is_none())
        {
            let lease = self.trials[attempt.trial].life.lease.as_ref().expect("an open attempt has a lease");
            let after = |since: Timestamp, limit_s: u32| since + SignedDuration::from_secs(limit_s.into());
            let first = lease
                .expires_at
                .min(after(lease.started_at, TIGHT.runtime_max_s))
                .min(after(lease.progressed_at, TIGHT.stall_timeout_s));
            due.push((first, index));
        }
        due.retain(|(first, _)| *first <= now);
        due.sort();
        let mut reaped = BTreeMap::new();
        for ((_, index), place) in due.into_iter().zip(0u32..) {
            let attempt = &mut self.attempts[index];
            let trial = &mut self.trials[attempt.trial];
            let jitter = (f64::from(place) * 0.618_033_988_749_895).fract();
            let transition = lifecycle::step(&trial.life, Event::Reap { jitter }, now, &TIGHT);
            let transition = transition.expect("what is due can be reaped");
            attempt.outcome = transition.ended;
            trial.life = transition.life;
            reaped.insert(trial.id, trial.life.state);
        }
        reaped
    }

    fn steer(&mut self, sweep: usize, steer: Steer, now: Timestamp) -> (u64, u64) {
        let event = match steer {
            Steer::Pause | Steer::Resume => {
                self.paused[sweep] = steer == Steer::Pause;
                return (0, 0);
            }
            Steer::Priority(priority) => {
                let waits = |trial: &&Trial| trial.sweep == sweep && trial.life.state == TrialState::Queued;
                let moved = std::mem::replace(&mut self.priority[sweep], priority) != priority;
                return (if moved { self.trials.iter().filter(waits).count() as u64 } else { 0 }, 0);
            }
            Steer::Cancel => Event::Cancel,
            Steer::Retry => Event::Retry,
        };
        let open = |trial: &Trial| trial.sweep == sweep && !trial.life.state.is_terminal();
        self.cancelled[sweep] |= steer == Steer::Cancel && self.trials.iter().any(open);
        let (mut changed, mut pending) = (0, 0);
        for trial in self.trials.iter_mut().filter(|trial| trial.sweep == sweep) {
            if let Ok(transition) = lifecycle::step(&trial.life, event, now, &TIGHT) {
                let moved = transition.life.state != trial.life.state;
                *(if moved { &mut changed } else { &mut pending }) += 1;
                trial.life = transition.life;
            }
        }
        self.cancelled[sweep] &= steer != Steer::Retry || changed == 0;
        (changed, pending)
    }
}

fn finish(conclusion: Conclusion) -> Finish {
    Finish {
        diverged_step: (conclusion == Conclusion::Diverged).then_some(3),
        stopped: (conclusion == Conclusion::Stopped).then_some(StoppedAt { step: 9, epoch: 0.9 }),
        steps: 9,
        metrics: BTreeMap::new(),
        result_hash: "hash".into(),
        report: serde_json::Value::Null,
    }
}

async fn act(world: &mut World, model: &mut Model, sweeps: &[NewSweep], act: Act) {
    let (store, now) = (Arc::clone(&world.store), world.now);
    // The newest leases are the likeliest to be open.
    let newest = |back: usize| model.attempts.len().checked_sub(back + 1);
    match act {
        Act::Claim(max, big) => {
            let expected = model.claimable(max, big, now);
            let claim = world.claim_with(max, if big { &["big"] } else { &[] }, None);
            let worker = claim.worker.abilities.clone();
            let before = store.trial_claimable(&worker, now).await.unwrap();
            assert!(before == Claimable::Yes || expected.is_empty());
            let leased = store.trial_claim(claim, now).await.unwrap();
            let rest = model.claimable(max + 1, big, now).len() > leased.len();
            assert_eq!(
                store.trial_claimable(&worker, now).await.unwrap() == Claimable::Yes,
                rest,
                "a claim leaves nothing to promote"
            );
            assert_eq!(leased.iter().map(|lease| lease.trial_id).collect::<Vec<_>>(), expected);
            for lease in leased {
                model.claim(lease.trial_id, lease.attempt, world.fence(&lease), now);
            }
        }
        Act::Heartbeat(back, step) => {
            let Some(attempt) = newest(back) else { return };
            let fence = model.attempts[attempt].fence;
            let result = store.attempt_heartbeat(fence, step, Some(9), now).await;
            assert_eq!(told(result), model.report(attempt, Event::Heartbeat { step }, now));
        }
        Act::Log(back, value) => {
            let Some(attempt) = newest(back) else { return };
            let Attempt { fence, logged, .. } = model.attempts[attempt];
            let point = PointRecord {
                seq: logged.into(),
                step: u64::from(logged + 1) * 10,
                epoch: f64::from(logged + 1),
                values: BTreeMap::from([("train_accuracy".into(), f64::from(value))]),
            };
            let told = store.attempt_points(fence, vec![point.clone()], now).await;
            match model.log(attempt, value, now) {
                Some(stop) => {
                    assert_eq!(told.unwrap().1.stop, stop);
                    let again = store.attempt_points(fence, vec![point], now).await;
                    assert_eq!(again.unwrap().1.stop, stop, "a repetition is answered the same");
                }
                None => assert!(matches!(told, Err(StoreError::StaleLease))),
            }
        }
        Act::Complete(back, conclusion) => {
            let Some(attempt) = newest(back) else { return };
            let Attempt { fence, number, .. } = model.attempts[attempt];
            let result = store.attempt_complete(fence, finish(conclusion), now).await;
            assert_eq!(
                told(result),
                model.report(attempt, Event::Complete { attempt: number, conclusion }, now)
            );
        }
        Act::Fail(back, retryable) => {
            let Some(attempt) = newest(back) else { return };
            let fence = model.attempts[attempt].fence;
            let result = store.attempt_fail(fence, "oops".into(), retryable, 0.5, now).await;
            assert_eq!(told(result), model.report(attempt, Event::Fail { retryable, jitter: 0.5 }, now));
        }
        Act::Release(back) => {
            let Some(attempt) = newest(back) else { return };
            let fence = model.attempts[attempt].fence;
            let result = store.attempt_release(fence, "drain".into(), now).await;
            assert_eq!(told(result), model.report(attempt, Event::Release, now));
        }
        Act::Reap => {
            let reaped = store.attempts_reap(0.0, now).await.unwrap();
            let states = reaped.into_iter().map(|(_, moved)| (moved.trial_id, moved.state)).collect();
            assert_eq!(model.reap(now), states);
        }
        Act::Steer(sweep, steer) => {
            let steered = store.sweep_steer(sweeps[sweep].id, steer, "someone", now).await.unwrap();
            assert_eq!((steered.changed, steered.pending), model.steer(sweep, steer, now));
        }
        Act::Amend(sweep) => amend(world, model, &sweeps[sweep], sweep).await,
        Act::Holes(sweep) => {
            let steered = store.sweep_run_holes(sweeps[sweep].id, vec![], "someone", now).await.unwrap();
            assert_eq!((steered.changed, steered.pending), model.steer(sweep, Steer::Retry, now));
        }
        Act::Wait(seconds) => world.wait_s(seconds),
    }
}

/// Adds the next seed to a sweep, as of what is stored now.
async fn amend(world: &World, model: &mut Model, sweep: &NewSweep, index: usize) {
    let stored = world.store.sweep_get(sweep.id).await.unwrap();
    assert_eq!(stored.seeds.len() as u64, model.seeds[index]);
    let known = NewSweep { seeds: stored.seeds, ..sweep.clone() };
    let revision = stored.control.revision;
    let amendment = world.amendment(&known, revision, 0, (0..=model.seeds[index]).collect());
    let trials = amendment.trials.clone();
    match world.store.sweep_amend(amendment, None, world.now).await {
        Ok(AmendOutcome::Added(_)) => assert!(!model.cancelled[index]),
        Err(StoreError::Conflict(_)) => return assert!(model.cancelled[index]),
        other => panic!("unexpected: {other:?}"),
    }
    model.seeds[index] += 1;
    let life = Life::submitted(world.now);
    model.trials.extend(trials.into_iter().map(|trial| Trial {
        rungs: BTreeMap::new(),
        stop: None,
        id: trial.id,
        sweep: index,
        life: life.clone(),
    }));
}

async fn agrees(world: &World, model: &Model, sweeps: &[NewSweep]) {
    for (index, sweep) in sweeps.iter().enumerate() {
        let counts = world.recount(sweep.id).await;
        let added = model.seeds[index] * sweep.conditions.len() as u64;
        assert_eq!(counts.0.iter().sum::<u64>(), added, "I8");
        assert_eq!(world.store.sweep_get(sweep.id).await.unwrap().cancelled, model.cancelled[index]);
    }
    for trial in &model.trials {
        let stored = world.trial(trial.id).await;
        let life = &trial.life;
        assert_eq!(
            (stored.state, stored.attempt, stored.failures, stored.crashes, stored.cancel_requested),
            (life.state, life.attempt, life.failures, life.crashes, life.cancel_requested)
        );
        let decided = stored.stop.as_ref().map(|stop| stop.epoch);
        assert_eq!((decided, decided.is_some()), (trial.stop, life.stop_decided));
        assert_eq!(stored.stopped.is_some(), life.state == TrialState::Stopped);
        assert_eq!(stored.finished_at.is_some(), life.state.is_terminal(), "I3");
        assert!(stored.failures <= TIGHT.failures_max + 1 && stored.crashes <= TIGHT.crashes_max, "I6");
        let attempts = world.store.trial_attempts(trial.id).await.unwrap();
        let open = attempts.iter().filter(|attempt| attempt.outcome.is_none()).count();
        assert_eq!(open, usize::from(life.state == TrialState::Leased), "I2");
        assert!(attempts.iter().map(|attempt| attempt.number).eq(1..=life.attempt), "I2");
    }
}

/// A sweep of two conditions and two seeds whose rule is the model's.
async fn submit_halving(world: &World) -> NewSweep {
    let rule = Rule { metric: "train_accuracy".into(), min_epochs: 1, test: Test::Asha { reduction: 2 } };
    let mut sweep = NewSweep { policy: TIGHT, stop: Some(rule), ..world.sweep(2, 2) };
    for condition in &mut sweep.conditions {
        condition.config = serde_json::json!({ "epochs": EPOCHS });
    }
    world.store.sweep_create(sweep.clone(), None, world.now).await.unwrap();
    sweep
}

/// A sweep of one trial for workers with the label `big`.
async fn submit_big(world: &World) -> NewSweep {
    let needs = Needs { labels: BTreeSet::from(["big".to_owned()]), memory_bytes: None };
    let control = NewControl { needs, ..NewControl::default() };
    let sweep = NewSweep { policy: TIGHT, control, ..world.sweep(1, 1) };
    world.store.sweep_create(sweep.clone(), None, world.now).await.unwrap();
    sweep
}

async fn live(acts: Vec<Act>) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("motif.db"), Options { readers: 1, ..Options::default() })
        .await
        .unwrap();
    let mut world = World::new(Arc::new(store) as Arc<dyn Store>);
    let sweeps = [submit_halving(&world).await, submit_big(&world).await];
    let mut model = Model::new(&sweeps, world.now);
    for (number, next) in acts.into_iter().enumerate() {
        act(&mut world, &mut model, &sweeps, next).await;
        if number % 8 == 0 {
            agrees(&world, &model, &sweeps).await;
        }
    }
    agrees(&world, &model, &sweeps).await;
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20),
        ..ProptestConfig::default()
    })]

    #[test]
    fn histories_agree_with_the_model(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(acts));
    }
}
