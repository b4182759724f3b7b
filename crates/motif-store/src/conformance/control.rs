//! Steering after submission: amendments, priorities, holes, sequential replication, verification.

use std::sync::Arc;

use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::TrialState,
    until::UntilState,
};

use super::world::{World, assert_conflict, finish};
use crate::{
    Queue, Store, StoreError,
    records::{
        AmendOutcome, IdempotencyKey, NewAmendment, NewControl, NewSweep, NewTrial, Steer, Steered,
        UntilProgress,
    },
};

fn key(key: &str, body: &str) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { principal: "someone".into(), key: key.into(), body_hash: body.into() })
}

/// An amendment appends conditions and trials, all or none, once per key, and only to the revision that it knew.
pub async fn amendments_append_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let sweep = world.submit(2, 2).await;
    let other = world.submit(1, 1).await;
    let amendment = world.amendment(&sweep, 0, 1, vec![0, 1, 2]);
    let amend = |amendment: &NewAmendment, key| world.store.sweep_amend(amendment.clone(), key, world.now);

    for wrong in [
        NewAmendment { revision: 1, ..amendment.clone() },
        NewAmendment { decided_at: Some(None), ..amendment.clone() },
    ] {
        assert_eq!(amend(&wrong, None).await.expect("answered"), AmendOutcome::Stale);
    }
    let mut taken = amendment.clone();
    taken.trials[4].id = other.trials[0].id;
    let mut twice = amendment.clone();
    twice.trials[4] = NewTrial { id: twice.trials[4].id, condition: 0, seed: 1 };
    let mut beyond = amendment.clone();
    beyond.trials[4].condition = 3;
    for bad in [&taken, &twice, &beyond] {
        assert_conflict(amend(bad, key("k", "a")).await);
    }
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Queued), 4, "nothing of them is left");

    let AmendOutcome::Added(record) = amend(&amendment, key("k", "a")).await.expect("stored") else {
        panic!("it was new");
    };
    assert_eq!((record.added_conditions, record.added_seeds, record.added_trials), (1, 1, 5));
    assert_eq!((record.at, record.note.as_deref()), (world.now, Some("because")));
    assert_eq!(
        amend(&amendment, key("k", "a")).await.expect("known"),
        AmendOutcome::Replayed(record.clone())
    );
    assert!(matches!(amend(&amendment, key("k", "b")).await, Err(StoreError::IdempotencyMismatch)));
    assert_eq!(amend(&amendment, key("new", "a")).await.expect("answered"), AmendOutcome::Stale);
    let known = |body: &str| key("k", body).expect("a key");
    assert_eq!(world.store.amendment_by_key(&known("a")).await.expect("asked"), Some(record.clone()));
    assert!(matches!(world.store.amendment_by_key(&known("b")).await, Err(StoreError::IdempotencyMismatch)));
    assert_eq!(world.store.sweep_amendments(sweep.id).await.expect("listed"), [record]);
    assert!(world.store.sweep_amendments(other.id).await.expect("listed").is_empty());

    let stored = world.store.sweep_get(sweep.id).await.expect("stored");
    assert_eq!((stored.conditions, stored.seeds, stored.control.revision), (3, vec![0, 1, 2], 1));
    assert_eq!(stored.spec, amendment.spec);
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Queued), 9);
    let leased = world.claim(10).await;
    let own = leased.iter().filter(|lease| lease.sweep_id == sweep.id);
    let claimed: Vec<TrialId> = own.map(|lease| lease.trial_id).collect();
    let appended: Vec<TrialId> = sweep.trials.iter().chain(&amendment.trials).map(|trial| trial.id).collect();
    assert_eq!(claimed, appended);
}

/// A finished sweep runs again; a cancelled one and a verification are not amended.
pub async fn amendments_need_a_sweep_that_may_run(store: Arc<dyn Store>) {
    let world = World::new(store);
    let sweep = world.submit(1, 1).await;
    let lease = world.claim_one().await;
    world.store.attempt_complete(world.fence(&lease), finish(0.9), world.now).await.expect("completed");
    let amendment = world.amendment(&sweep, 0, 0, vec![0, 1]);
    world.store.sweep_amend(amendment, None, world.now).await.expect("amended");
    assert_eq!(world.claim_one().await.seed, 1);
    world.store.sweep_steer(sweep.id, Steer::Cancel, "someone", world.now).await.expect("cancelled");
    let late = world.amendment(&sweep, 1, 0, vec![0, 1, 2]);
    assert_conflict(world.store.sweep_amend(late, None, world.now).await);

    let again = rerun(&world, sweep.id);
    world.store.sweep_create(again.clone(), None, world.now).await.expect("stored");
    let late = world.amendment(&again, 0, 0, vec![0, 1, 2]);
    assert_conflict(world.store.sweep_amend(late, None, world.now).await);
    let nobody = world.amendment(&world.sweep(1, 1), 0, 0, vec![0, 1]);
    let refused = world.store.sweep_amend(nobody, None, world.now).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))));
}

/// Higher priority first, then older sweeps, then position.
pub async fn priorities_order_claims(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let oldest = world.submit(1, 3).await;
    let older = world.submit(1, 1).await;
    let urgent =
        NewSweep { control: NewControl { priority: 7, ..NewControl::default() }, ..world.sweep(1, 1) };
    world.store.sweep_create(urgent.clone(), None, world.now).await.expect("stored");
    assert_eq!(world.store.sweep_get(urgent.id).await.expect("stored").control.priority, 7);
    assert_eq!(world.claim_one().await.sweep_id, urgent.id);
    assert_eq!(world.claim_one().await.trial_id, oldest.trials[0].id, "the older of two alike");

    let set = |id, priority| world.store.sweep_steer(id, Steer::Priority(priority), "someone", world.now);
    assert_eq!(set(older.id, 1000).await.expect("set"), Steered { changed: 1, pending: 0 });
    assert_eq!(set(older.id, 1000).await.expect("set twice"), Steered::default());
    set(oldest.id, -1000).await.expect("set");
    let last = world.submit(1, 1).await;
    let order: Vec<TrialId> = world.claim(9).await.iter().map(|lease| lease.trial_id).collect();
    assert_eq!(order, [older.trials[0].id, last.trials[0].id, oldest.trials[1].id, oldest.trials[2].id]);
}

/// Exactly what has no value is queued, missing cells included, and nothing twice.
pub async fn holes_run_what_has_no_value(store: Arc<dyn Store>) {
    let world = World::new(store);
    let mut sweep = world.sweep(2, 3);
    sweep.trials.retain(|trial| (trial.condition, trial.seed) != (1, 2));
    world.store.sweep_create(sweep.clone(), None, world.now).await.expect("stored");
    let leases = world.claim(3).await;
    world.store.attempt_complete(world.fence(&leases[0]), finish(0.9), world.now).await.expect("completed");
    let fence = world.fence(&leases[1]);
    world.store.attempt_fail(fence, "oops".into(), false, 0.0, world.now).await.expect("failed");
    // One failed, one runs, two wait, one is missing.
    let missing = vec![NewTrial { id: TrialId(world.id()), condition: 1, seed: 2 }];
    let run =
        |missing: &[NewTrial]| world.store.sweep_run_holes(sweep.id, missing.to_vec(), "someone", world.now);
    for (condition, seed) in [(2, 0), (0, 3)] {
        assert_conflict(run(&[NewTrial { id: TrialId(world.id()), condition, seed }]).await);
    }
    assert_eq!(run(&missing).await.expect("queued"), Steered { changed: 2, pending: 0 });
    assert_eq!(world.recount(sweep.id).await.0, [4, 1, 1, 0, 0, 0, 0, 0]);
    let late = [NewTrial { id: TrialId(world.id()), ..missing[0] }];
    assert_eq!(run(&late).await.expect("nothing"), Steered::default());
    let again: Vec<(TrialId, u32)> = world.claim(9).await.iter().map(|l| (l.trial_id, l.attempt)).collect();
    let trials = &sweep.trials;
    let expected = [(trials[1].id, 2), (trials[3].id, 1), (trials[4].id, 1), (missing[0].id, 1)];
    assert_eq!(again, expected);
}

/// Whether a block is added is decided once, and only between blocks.
pub async fn replication_is_decided_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let control = NewControl { until: true, ..NewControl::default() };
    let sweep = NewSweep { control, ..world.sweep(1, 1) };
    world.store.sweep_create(sweep.clone(), None, world.now).await.expect("stored");
    world.submit(1, 0).await;
    let undecided = || async { world.store.sweeps_undecided().await.expect("listed") };
    let decide = |revision, state| world.store.sweep_decide(sweep.id, revision, state, Some(0.25));
    let until = || async { world.store.sweep_get(sweep.id).await.expect("stored").control.until };
    assert!(undecided().await.is_empty() && !decide(0, UntilState::Reached).await.expect("too early"));
    let lease = world.claim_one().await;
    assert!(undecided().await.is_empty() && !decide(0, UntilState::Reached).await.expect("too early"));
    world.store.attempt_complete(world.fence(&lease), finish(0.9), world.now).await.expect("completed");
    assert_eq!(undecided().await, [sweep.id]);

    let steer = |steer| world.store.sweep_steer(sweep.id, steer, "someone", world.now);
    let next = NewAmendment { decided_at: Some(Some(0.5)), ..world.amendment(&sweep, 0, 0, vec![0, 1]) };
    let add = |next: &NewAmendment| world.store.sweep_amend(next.clone(), None, world.now);
    steer(Steer::Pause).await.expect("paused");
    assert!(undecided().await.is_empty());
    assert_eq!(add(&next).await.expect("paused"), AmendOutcome::Stale);
    steer(Steer::Resume).await.expect("resumed");
    assert!(matches!(add(&next).await.expect("added"), AmendOutcome::Added(_)));
    assert_eq!(add(&next).await.expect("added before"), AmendOutcome::Stale);
    let running = UntilProgress { state: UntilState::Running, half_width: Some(0.5) };
    assert_eq!((until().await, undecided().await.len()), (Some(running), 0));

    let lease = world.claim_one().await;
    world
        .store
        .attempt_fail(world.fence(&lease), "oops".into(), false, 0.0, world.now)
        .await
        .expect("failed");
    assert!(!decide(0, UntilState::Exhausted).await.expect("an old revision"));
    assert!(decide(1, UntilState::Exhausted).await.expect("decided"));
    assert!(!decide(1, UntilState::Reached).await.expect("decided before") && undecided().await.is_empty());
    let ended = UntilProgress { state: UntilState::Exhausted, half_width: Some(0.25) };
    assert_eq!(until().await, Some(ended));
    let late = NewAmendment { decided_at: Some(None), ..world.amendment(&sweep, 1, 0, vec![0, 1, 2]) };
    assert_eq!(add(&late).await.expect("decided"), AmendOutcome::Stale);

    steer(Steer::Retry).await.expect("retried");
    assert_eq!(until().await.map(|until| until.state), Some(UntilState::Running), "it is open again");
    let lease = world.claim_one().await;
    world.store.attempt_complete(world.fence(&lease), finish(0.9), world.now).await.expect("completed");
    steer(Steer::Cancel).await.expect("cancelled between two blocks");
    assert!(undecided().await.is_empty() && world.store.sweep_get(sweep.id).await.expect("stored").cancelled);
}

/// A sweep of one trial that re-runs one of another's.
fn rerun(world: &World, original: SweepId) -> NewSweep {
    let control = NewControl { verifies: Some(original), ..NewControl::default() };
    NewSweep { control, ..world.sweep(1, 1) }
}

/// Verifications are listed with their original and hidden from the list; results carry what determines them.
pub async fn verifications_hang_on_their_original(store: Arc<dyn Store>) {
    let world = World::new(store);
    let sweep = world.submit(2, 1).await;
    let lease = world.claim_one().await;
    world.store.attempt_complete(world.fence(&lease), finish(0.5), world.now).await.expect("completed");
    let again = rerun(&world, sweep.id);
    world.store.sweep_create(again.clone(), None, world.now).await.expect("stored");
    let nobody = rerun(&world, SweepId(world.id()));
    let refused = world.store.sweep_create(nobody, None, world.now).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))));

    let plain = world.store.sweep_list(None, false, 9).await.expect("a page");
    assert_eq!(plain.items.iter().map(|item| item.id).collect::<Vec<_>>(), [sweep.id]);
    let original = world.store.sweep_get(sweep.id).await.expect("stored").control;
    assert_eq!((original.verifies, original.verifications), (None, 1));
    let runs = world.store.sweep_verifications(sweep.id).await.expect("listed");
    assert_eq!(
        runs.iter().map(|run| (run.id, run.control.verifies)).collect::<Vec<_>>(),
        [(again.id, Some(sweep.id))]
    );
    let all = world.store.sweep_list(None, true, 9).await.expect("a page");
    assert_eq!(all.items.iter().map(|item| item.id).collect::<Vec<_>>(), [again.id, sweep.id]);

    let results = world.store.sweep_results(sweep.id).await.expect("listed");
    assert_eq!(results.len(), 2);
    let (first, second) = (&results[0], &results[1]);
    assert_eq!((first.trial_id, first.condition, first.seed), (sweep.trials[0].id, 0, 0));
    assert_eq!((first.config_hash.as_str(), first.dataset_hash.as_str()), ("config-0", "dataset"));
    assert_eq!(
        (first.result_hash.as_deref(), first.worker.as_deref()),
        (Some("result-0.5"), Some("worker-0"))
    );
    assert_eq!(first.instruction_set.as_deref(), Some("scalar"), "of the worker, where the report says none");
    assert_eq!((second.result_hash.as_deref(), second.worker.as_deref()), (None, None));
}
