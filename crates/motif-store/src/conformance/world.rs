//! A small world for the checks: ids from a counter, secrets from ids, a clock that is moved by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId, WorkerId},
    lifecycle::{Policy, TrialState},
    requires::{Abilities, Needs},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Queue, Result, Store, StoreError,
    records::{
        Claim, ConditionRecord, Counts, Fence, Finish, LeaseOffer, Leased, NewAmendment, NewControl,
        NewSweep, NewTrial, PointRecord, TrialRecord, WorkerSeen,
    },
};

/// Limits that a short random history runs into.
pub const TIGHT: Policy = Policy {
    lease_ttl_s: 30,
    heartbeat_s: 10,
    failures_max: 1,
    crashes_max: 2,
    backoff_base_s: 4,
    backoff_max_s: 16,
    runtime_max_s: 200,
    stall_timeout_s: 80,
};

/// A store and what the checks need around it.
pub struct World<Q: ?Sized = dyn Store> {
    /// The store under test.
    pub store: Arc<Q>,
    /// The server's clock.
    pub now: Timestamp,
    next_id: AtomicU64,
}

impl<Q: Queue + ?Sized> World<Q> {
    /// A world around an empty store.
    #[must_use]
    pub fn new(store: Arc<Q>) -> Self {
        let now = Timestamp::from_second(1_800_000_000).expect("a time within jiff's range");
        Self { store, now, next_id: AtomicU64::new(1) }
    }

    /// Moves the clock.
    pub fn wait_s(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// A new id, the same in every run.
    pub fn id(&self) -> Uuid {
        Uuid::from_u128(
            0x7000_0000_0000_0000_u128 << 64 | u128::from(self.next_id.fetch_add(1, Ordering::Relaxed)),
        )
    }

    /// A sweep of `conditions` × `seeds`, in blocks by seed.
    pub fn sweep(&self, conditions: u32, seeds: u64) -> NewSweep {
        let seeds: Vec<u64> = (0..seeds).collect();
        let trials = seeds
            .iter()
            .flat_map(|&seed| (0..conditions).map(move |condition| (condition, seed)))
            .map(|(condition, seed)| NewTrial { id: TrialId(self.id()), condition, seed })
            .collect();
        NewSweep {
            id: SweepId(self.id()),
            name: "ratio".into(),
            spec: json!({"name": "ratio", "conditions": conditions}),
            metric: "test_accuracy".into(),
            baseline: Some(0),
            seeds,
            policy: Policy::default(),
            stop: None,
            conditions: (0..conditions)
                .map(|index| ConditionRecord {
                    index,
                    label: format!("ratio={index}"),
                    axes: BTreeMap::from([("ratio".into(), json!(index))]),
                    config: json!({"ratio": index}),
                    config_hash: format!("config-{index}"),
                    dataset_hash: "dataset".into(),
                })
                .collect(),
            trials,
            principal: "someone".into(),
            control: NewControl::default(),
        }
    }

    /// An amendment of a sweep at a revision: `added` further conditions, and these seeds, the sweep's own among them.
    pub fn amendment(&self, sweep: &NewSweep, revision: u32, added: u32, seeds: Vec<u64>) -> NewAmendment {
        let known = u32::try_from(sweep.conditions.len()).expect("a small sweep");
        let conditions = self.sweep(known + added, 0).conditions.split_off(known as usize);
        let is_new = |condition: u32, seed: &u64| condition >= known || !sweep.seeds.contains(seed);
        let trials = seeds
            .iter()
            .flat_map(|&seed| (0..known + added).map(move |condition| (condition, seed)))
            .filter(|(condition, seed)| is_new(*condition, seed))
            .map(|(condition, seed)| NewTrial { id: TrialId(self.id()), condition, seed })
            .collect();
        let added_seeds = seeds.iter().filter(|seed| !sweep.seeds.contains(seed)).count();
        NewAmendment {
            sweep: sweep.id,
            revision,
            spec: json!({"name": "ratio", "seeds": seeds}),
            until: sweep.control.until,
            conditions,
            trials,
            added_seeds: u32::try_from(added_seeds).expect("a few"),
            change: json!({"seeds": seeds}),
            seeds,
            note: Some("because".into()),
            principal: "someone".into(),
            decided_at: None,
        }
    }

    /// Stores a sweep of `conditions` × `seeds`.
    pub async fn submit(&self, conditions: u32, seeds: u64) -> NewSweep {
        self.submit_with(conditions, seeds, Policy::default()).await
    }

    /// The same under a policy.
    pub async fn submit_with(&self, conditions: u32, seeds: u64, policy: Policy) -> NewSweep {
        let sweep = NewSweep { policy, ..self.sweep(conditions, seeds) };
        self.store.sweep_create(sweep.clone(), None, self.now).await.expect("a sweep is stored");
        sweep
    }

    /// Stores a sweep of `conditions` × `seeds` that is for workers with these labels and this memory.
    pub async fn submit_needing(
        &self,
        conditions: u32,
        seeds: u64,
        labels: &[&str],
        memory_bytes: Option<u64>,
    ) -> NewSweep {
        let needs = Needs { labels: names(labels), memory_bytes };
        let control = NewControl { needs, ..NewControl::default() };
        let sweep = NewSweep { control, ..self.sweep(conditions, seeds) };
        self.store.sweep_create(sweep.clone(), None, self.now).await.expect("a sweep is stored");
        sweep
    }

    /// A worker, by number.
    #[must_use]
    pub fn worker(&self, number: u32) -> WorkerSeen {
        WorkerSeen {
            id: WorkerId(Uuid::from_u128(u128::from(number) + 1)),
            name: format!("worker-{number}"),
            host: "host".into(),
            version: "0.1.0".into(),
            instruction_set: "scalar".into(),
            slots: 4,
            abilities: Abilities::default(),
        }
    }

    /// A claim of up to `max` trials by a worker.
    pub fn claim_of(&self, worker: u32, max: u32) -> Claim {
        let offers = (0..max)
            .map(|_| {
                let attempt_id = AttemptId(self.id());
                LeaseOffer { attempt_id, secret_hash: secret_hash(attempt_id) }
            })
            .collect();
        Claim { claim_id: self.id(), worker: self.worker(worker), offers }
    }

    /// A claim of up to `max` trials by a worker that has these labels and this memory.
    pub fn claim_with(&self, max: u32, labels: &[&str], memory_bytes: Option<u64>) -> Claim {
        let mut claim = self.claim_of(0, max);
        claim.worker.abilities = Abilities { labels: names(labels), memory_bytes };
        claim
    }

    /// Claims up to `max` trials.
    pub async fn claim(&self, max: u32) -> Vec<Leased> {
        self.store.trial_claim(self.claim_of(0, max), self.now).await.expect("a claim is answered")
    }

    /// Claims the one trial that has to be there.
    pub async fn claim_one(&self) -> Leased {
        let leased = self.claim(1).await;
        assert_eq!(leased.len(), 1, "a trial was there to be claimed");
        leased.into_iter().next().expect("one lease")
    }

    /// The proof that a lease's holder presents.
    #[must_use]
    pub fn fence(&self, leased: &Leased) -> Fence {
        let secret_hash = secret_hash(leased.attempt_id);
        Fence { attempt_id: leased.attempt_id, epoch: self.store.epoch(), secret_hash }
    }

    /// A trial, as stored.
    pub async fn trial(&self, id: TrialId) -> TrialRecord {
        self.store.trial_get(id).await.expect("the trial is stored")
    }

    /// Asserts a trial's state.
    pub async fn expect_state(&self, id: TrialId, state: TrialState) {
        assert_eq!(self.trial(id).await.state, state);
    }

    /// All of a sweep's trials, counted one by one; asserts that the kept counts say the same.
    pub async fn recount(&self, id: SweepId) -> Counts {
        let mut counts = Counts::default();
        let mut by_condition: BTreeMap<u32, Counts> = BTreeMap::new();
        let mut from = Some(0);
        while let Some(position) = from {
            let page = self.store.trial_list(id, None, position, 3).await.expect("a page of trials");
            for trial in page.items {
                counts.0[trial.state as usize] += 1;
                by_condition.entry(trial.condition).or_default().0[trial.state as usize] += 1;
            }
            from = page.next;
        }
        assert_eq!(self.store.sweep_get(id).await.expect("the sweep is stored").counts, counts);
        for (condition, kept) in self.store.sweep_conditions(id).await.expect("its conditions are stored") {
            let counted = by_condition.get(&condition.index).copied().unwrap_or_default();
            assert_eq!(kept, counted, "condition {}", condition.index);
        }
        counts
    }
}

fn names(labels: &[&str]) -> BTreeSet<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

/// The hash of an attempt's secret; any function of the attempt does for a test.
pub(crate) fn secret_hash(attempt: AttemptId) -> [u8; 32] {
    *blake3::hash(attempt.0.as_bytes()).as_bytes()
}

/// A result, told apart by its accuracy.
pub(crate) fn finish(accuracy: f64) -> Finish {
    Finish {
        diverged_step: None,
        stopped: None,
        steps: 100,
        metrics: BTreeMap::from([("test_accuracy".into(), accuracy), ("test_loss".into(), 0.1 + 0.2)]),
        result_hash: format!("result-{accuracy}"),
        report: json!({"steps": 100, "training_s": 1.5}),
    }
}

/// A point with one metric.
pub(crate) fn point(seq: u64, value: f64) -> PointRecord {
    PointRecord {
        seq,
        step: seq * 10,
        epoch: seq as f64 / 4.0,
        values: BTreeMap::from([("train_loss".into(), value)]),
    }
}

/// Asserts that a call was refused for a stale lease.
#[track_caller]
pub(crate) fn assert_stale<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(StoreError::StaleLease) => {}
        other => panic!("expected a stale lease, got {other:?}"),
    }
}

/// Asserts that a call was refused as a contradiction.
#[track_caller]
pub(crate) fn assert_conflict<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(StoreError::Conflict(_)) => {}
        other => panic!("expected a conflict, got {other:?}"),
    }
}
