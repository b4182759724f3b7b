//! Random histories on both stores: whatever is called in whatever order, repeated, forged, late or with gaps, the SQLite
//! store answers as the queue in memory does and keeps the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use motif_store::{
    Queue, Result, StoreError,
    conformance::{TIGHT, World},
    memory::MemoryStore,
    records::{
        CheckpointRecord, Claim, Fence, Finish, IdempotencyKey, LeaseOffer, NewSweep, PointRecord, Steer,
        StoppedAt, WorkerSeen,
    },
    sqlite::{Options, SqliteStore},
};
use motif_sweep::{
    ids::{AttemptId, SweepId},
    lifecycle::Conclusion,
    stopping::{Rule, Test},
};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Everything is compared after so many calls.
const COMPARED_EVERY: u64 = 6;

/// What a report presents.
#[derive(Debug, Clone, Copy)]
enum Proof {
    Right,
    OtherSecret,
    OtherEpoch,
}

/// Which lease is meant, counted back from the newest, and how it is proved.
type Holder = (usize, Proof);

#[derive(Debug, Clone)]
enum Act {
    Submit {
        sweep: usize,
        body: u8,
    },
    Claim {
        worker: usize,
        max: u32,
    },
    /// The claim once more, counted back, by the same worker or another, under its secret or another.
    Reclaim {
        back: usize,
        worker: usize,
        forged: bool,
    },
    Beat(Holder, u64),
    /// Points from before the next one or beyond it; the last one may have an epoch that is none.
    Log {
        holder: Holder,
        from: i64,
        count: u64,
        value: u8,
        broken: bool,
    },
    Complete(Holder, Conclusion, u8),
    Fail(Holder, bool),
    Release(Holder),
    Save {
        holder: Holder,
        step: u64,
        points: i64,
    },
    Resume {
        holder: Holder,
        known: bool,
    },
    Forget(u64),
    Reap,
    Steer(usize, Steer),
    Pass(i64),
}

fn acts() -> impl Strategy<Value = Act> {
    let proof =
        prop_oneof![20 => Just(Proof::Right), 1 => Just(Proof::OtherSecret), 1 => Just(Proof::OtherEpoch)];
    let holder = || (0usize..6, proof.clone());
    let steer = prop_oneof![
        1 => Just(Steer::Pause),
        3 => Just(Steer::Resume),
        1 => Just(Steer::Cancel),
        2 => Just(Steer::Retry),
        2 => (-2i32..3).prop_map(Steer::Priority)
    ];
    let conclusion =
        prop_oneof![Just(Conclusion::Succeeded), Just(Conclusion::Diverged), Just(Conclusion::Stopped)];
    let sometimes = || proptest::bool::weighted(0.05);
    prop_oneof![
        1 => (0usize..3, 0u8..2).prop_map(|(sweep, body)| Act::Submit { sweep, body }),
        6 => (0usize..2, 1u32..4).prop_map(|(worker, max)| Act::Claim { worker, max }),
        2 => (0usize..3, 0usize..2, sometimes()).prop_map(|(back, worker, forged)| Act::Reclaim { back, worker, forged }),
        3 => (holder(), 0u64..40).prop_map(|(holder, step)| Act::Beat(holder, step)),
        7 => (holder(), -2i64..2, 0u64..3, 0u8..4, sometimes())
            .prop_map(|(holder, from, count, value, broken)| Act::Log { holder, from, count, value, broken }),
        3 => (holder(), conclusion, 0u8..2).prop_map(|(holder, conclusion, value)| Act::Complete(holder, conclusion, value)),
        2 => (holder(), any::<bool>()).prop_map(|(holder, retryable)| Act::Fail(holder, retryable)),
        1 => holder().prop_map(Act::Release),
        3 => (holder(), 0u64..30, -2i64..2).prop_map(|(holder, step, points)| Act::Save { holder, step, points }),
        2 => (holder(), proptest::bool::weighted(0.9)).prop_map(|(holder, known)| Act::Resume { holder, known }),
        1 => (0u64..30).prop_map(Act::Forget),
        3 => Just(Act::Reap),
        2 => (0usize..3, steer).prop_map(|(sweep, steer)| Act::Steer(sweep, steer)),
        5 => prop_oneof![8 => 1i64..35, 1 => -3600i64..0, 1 => 35i64..3600].prop_map(Act::Pass),
    ]
}

#[derive(Debug, Clone)]
struct Held {
    fence: Fence,
    /// The next `seq` that the store expects, as far as it has said.
    next: u64,
    /// The checkpoint that came with the lease.
    offered: Option<String>,
}

/// A store with those who call it.
#[derive(Debug, Clone)]
struct Side<S> {
    store: S,
    sweeps: Arc<Vec<NewSweep>>,
    workers: Arc<Vec<WorkerSeen>>,
    now: Timestamp,
    ids: u64,
    claims: Vec<Claim>,
    held: Vec<Held>,
    acts: u64,
    /// What the newest call was answered.
    answer: String,
}

/// An answer to compare; how a contradiction is put into words may differ.
fn told<T: Debug>(result: Result<T>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(StoreError::Conflict(_)) => "conflict".into(),
        Err(error) => format!("{error:?}"),
    }
}

fn halving(mut sweep: NewSweep) -> NewSweep {
    sweep.stop =
        Some(Rule { metric: "train_accuracy".into(), min_epochs: 1, test: Test::Asha { reduction: 2 } });
    for condition in &mut sweep.conditions {
        condition.config = serde_json::json!({ "epochs": 4 });
    }
    sweep
}

fn finish(conclusion: Conclusion, value: u8) -> Finish {
    let accuracy = if value == 0 { f64::NAN } else { f64::from(value) };
    Finish {
        diverged_step: (conclusion == Conclusion::Diverged).then_some(3),
        stopped: (conclusion == Conclusion::Stopped).then_some(StoppedAt { step: 9, epoch: 0.9 }),
        steps: 9,
        metrics: BTreeMap::from([("test_accuracy".into(), accuracy), ("test_loss".into(), 0.5)]),
        result_hash: format!("hash {value}"),
        report: serde_json::json!({ "steps": 9, "value": value }),
    }
}

impl<S: Queue> Side<S> {
    fn new(store: S) -> Self {
        // It lends its builders.
        let world = World::new(Arc::new(MemoryStore::default()));
        let shapes = [halving(world.sweep(2, 2)), world.sweep(1, 2), world.sweep(2, 1)];
        let sweeps = shapes.map(|sweep| NewSweep { policy: TIGHT, ..sweep }).into();
        Self {
            store,
            sweeps: Arc::new(sweeps),
            workers: Arc::new(vec![world.worker(0), world.worker(1)]),
            now: world.now,
            ids: 0,
            claims: Vec::new(),
            held: Vec::new(),
            acts: 0,
            answer: String::new(),
        }
    }

    fn id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(0xabc0_u128 << 112 | u128::from(self.ids))
    }

    /// The lease's place and the fence to present.
    fn holder(&self, (back, proof): Holder) -> Option<(usize, Fence)> {
        let index = self.held.len().checked_sub(back + 1)?;
        let right = self.held[index].fence;
        let fence = match proof {
            Proof::Right => right,
            Proof::OtherSecret => Fence { secret_hash: [9; 32], ..right },
            Proof::OtherEpoch => Fence { epoch: right.epoch + 1, ..right },
        };
        Some((index, fence))
    }

    async fn act(&mut self, act: &Act) {
        self.acts += 1;
        self.answer = self.answer_to(act).await;
    }

    async fn answer_to(&mut self, act: &Act) -> String {
        let now = self.now;
        match *act {
            Act::Submit { sweep, body } => {
                let key = IdempotencyKey {
                    principal: "someone".into(),
                    key: format!("key {sweep}"),
                    body_hash: format!("body {body}"),
                };
                told(self.store.sweep_create(self.sweeps[sweep].clone(), Some(key), now).await)
            }
            Act::Claim { worker, max } => {
                let claim_id = self.id();
                let offer = |id: Uuid| LeaseOffer { attempt_id: AttemptId(id), secret_hash: secret(id) };
                let offers = (0..max).map(|_| offer(self.id())).collect();
                let claim = Claim { claim_id, worker: self.workers[worker].clone(), offers };
                self.claims.push(claim.clone());
                self.claim(claim).await
            }
            Act::Reclaim { back, worker, forged } => {
                let Some(index) = self.claims.len().checked_sub(back + 1) else { return String::new() };
                let mut claim = self.claims[index].clone();
                if forged {
                    claim.offers[0].secret_hash = [7; 32];
                }
                claim.worker = self.workers[worker].clone();
                // The server makes other ids for a repeat.
                for offer in &mut claim.offers {
                    offer.attempt_id = AttemptId(self.id());
                }
                self.claim(claim).await
            }
            Act::Reap => told(self.store.attempts_reap(0.25, now).await),
            Act::Forget(step) => told(self.store.checkpoint_forget(hash(step)).await),
            Act::Steer(sweep, steer) => {
                told(self.store.sweep_steer(self.sweeps[sweep].id, steer, "someone", now).await)
            }
            Act::Pass(seconds) => {
                self.now += SignedDuration::from_secs(seconds);
                String::new()
            }
            _ => self.report(act).await,
        }
    }

    async fn claim(&mut self, claim: Claim) -> String {
        let secrets: Vec<_> = claim.offers.iter().map(|offer| offer.secret_hash).collect();
        let leased = self.store.trial_claim(claim, self.now).await;
        for lease in leased.as_ref().map(Vec::as_slice).unwrap_or_default() {
            let secret_hash = secrets[lease.offer as usize];
            let fence = Fence { attempt_id: lease.attempt_id, epoch: self.store.epoch(), secret_hash };
            let offered = lease.checkpoint.as_ref().map(|checkpoint| checkpoint.hash.clone());
            if self.held.iter().all(|held| held.fence.attempt_id != lease.attempt_id) {
                self.held.push(Held { fence, next: 0, offered });
            }
        }
        told(leased)
    }

    async fn report(&mut self, act: &Act) -> String {
        let holder = match act {
            Act::Beat(holder, _)
            | Act::Log { holder, .. }
            | Act::Complete(holder, ..)
            | Act::Fail(holder, _)
            | Act::Release(holder)
            | Act::Save { holder, .. }
            | Act::Resume { holder, .. } => *holder,
            _ => return String::new(),
        };
        let Some((index, fence)) = self.holder(holder) else { return String::new() };
        let (store, now, next) = (&self.store, self.now, self.held[index].next);
        let near = |offset: i64| next.saturating_add_signed(offset);
        match *act {
            Act::Beat(_, step) => told(store.attempt_heartbeat(fence, step, Some(40), now).await),
            Act::Log { from, count, value, broken, .. } => {
                let first = near(from);
                let mut points: Vec<_> = (first..first + count).map(|seq| point(seq, value)).collect();
                if let Some(last) = points.last_mut().filter(|_| broken) {
                    last.epoch = f64::NAN;
                }
                let stored = store.attempt_points(fence, points, now).await;
                if let Ok((next, _)) = stored {
                    self.held[index].next = next;
                }
                told(stored)
            }
            Act::Complete(_, conclusion, value) => {
                told(store.attempt_complete(fence, finish(conclusion, value), now).await)
            }
            Act::Fail(_, retryable) => {
                told(store.attempt_fail(fence, "oops".into(), retryable, 0.9, now).await)
            }
            Act::Release(_) => told(store.attempt_release(fence, "drain".into(), now).await),
            Act::Save { step, points, .. } => {
                let record = CheckpointRecord { step, points: near(points), hash: hash(step), bytes: 9 };
                let saved = store.attempt_checkpoint(fence, record, now).await;
                format!("{} {}", told(saved), told(store.attempt_checkpoint_held(fence).await))
            }
            Act::Resume { known, .. } => {
                let offered = self.held[index].offered.clone().filter(|_| known);
                let resumed = store.attempt_resume(fence, offered.unwrap_or_else(|| hash(99)), now).await;
                if let Ok((next, _)) = resumed {
                    self.held[index].next = next;
                }
                told(resumed)
            }
            _ => String::new(),
        }
    }

    /// Everything that the queue tells of what it keeps.
    async fn kept(&self) -> Vec<String> {
        let mut kept = vec![told(self.store.checkpoint_hashes().await)];
        for NewSweep { id, trials, .. } in self.sweeps.iter() {
            let SweepId(_) = id;
            kept.push(told(self.store.sweep_get(*id).await));
            kept.push(told(self.store.sweep_conditions(*id).await));
            kept.push(told(self.store.trial_list(*id, None, 0, 100).await));
            for trial in trials {
                kept.push(told(self.store.trial_get(trial.id).await));
                kept.push(told(self.store.trial_attempts(trial.id).await));
                kept.push(told(self.store.trial_points(trial.id).await));
            }
        }
        kept
    }
}

fn secret(id: Uuid) -> [u8; 32] {
    *blake3::hash(id.as_bytes()).as_bytes()
}

fn hash(step: u64) -> String {
    blake3::hash(&step.to_le_bytes()).to_hex().to_string()
}

/// Each ends an epoch.
fn point(seq: u64, value: u8) -> PointRecord {
    let values = BTreeMap::from([("train_accuracy".into(), f64::from(value))]);
    PointRecord { seq, step: (seq + 1) * 10, epoch: (seq + 1) as f64, values }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The queue in memory says what is right.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Side<MemoryStore>;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<Self::State> {
        Just(()).prop_map(|()| Side::new(MemoryStore::default())).boxed()
    }

    fn transitions(_: &Self::State) -> BoxedStrategy<Act> {
        acts().boxed()
    }

    fn apply(mut state: Self::State, act: &Act) -> Self::State {
        if state.acts == 0 {
            // Most histories have something to claim.
            runtime().block_on(state.act(&Act::Submit { sweep: 0, body: 0 }));
        }
        runtime().block_on(state.act(act));
        state
    }
}

/// The SQLite store under the same calls.
struct Sqlite {
    side: Side<SqliteStore>,
    runtime: Runtime,
    dir: TempDir,
}

struct Stores;

impl StateMachineTest for Stores {
    type SystemUnderTest = Sqlite;
    type Reference = Reference;

    fn init_test(_: &Side<MemoryStore>) -> Sqlite {
        let dir = TempDir::new().unwrap();
        let runtime = runtime();
        let options = Options { readers: 1, ..Options::default() };
        let store = runtime.block_on(SqliteStore::open(&dir.path().join("motif.db"), options)).unwrap();
        Sqlite { side: Side::new(store), runtime, dir }
    }

    fn apply(mut state: Sqlite, reference: &Side<MemoryStore>, act: Act) -> Sqlite {
        if state.side.acts == 0 {
            state.runtime.block_on(state.side.act(&Act::Submit { sweep: 0, body: 0 }));
        }
        state.runtime.block_on(state.side.act(&act));
        assert_eq!(state.side.answer, reference.answer, "{act:?}");
        state
    }

    fn check_invariants(state: &Sqlite, reference: &Side<MemoryStore>) {
        if state.side.acts.is_multiple_of(COMPARED_EVERY) {
            assert_eq!(state.runtime.block_on(state.side.kept()), runtime().block_on(reference.kept()));
        }
    }

    fn teardown(state: Sqlite, reference: Side<MemoryStore>) {
        assert_eq!(state.runtime.block_on(state.side.kept()), runtime().block_on(reference.kept()));
        state.runtime.block_on(state.side.store.close());
        drop(state.dir);
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_stores_answer_alike(sequential 1..80 => Stores);
}
