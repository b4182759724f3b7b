//! Sweeps whose rule ends some trials early.

use std::{collections::BTreeMap, sync::Arc};

use motif_sweep::{
    lifecycle::{AttemptOutcome, TrialState},
    stopping::{Rule, Test},
};
use serde_json::json;

use super::world::{World, assert_conflict, assert_stale, finish, point};
use crate::{
    Queue,
    records::{Fence, Finish, Moved, NewSweep, PointRecord, Steer, StopDecision, StoppedAt},
};

/// One of two goes on from the epochs 1, 2, 4, …
const HALVING: Test = Test::Asha { reduction: 2 };

/// Stores a sweep of one seed whose trials have eight epochs.
async fn submit(world: &World<dyn Queue>, conditions: u32, test: Test) -> NewSweep {
    let mut sweep = world.sweep(conditions, 1);
    sweep.stop = Some(Rule { metric: "train_accuracy".into(), min_epochs: 1, test });
    for condition in &mut sweep.conditions {
        condition.config = json!({"ratio": condition.index, "epochs": 8});
    }
    world.store.sweep_create(sweep.clone(), None, world.now).await.expect("a sweep is stored");
    sweep
}

/// The point at an epoch's end, of ten steps.
fn ends(epoch: u32, value: f64) -> PointRecord {
    PointRecord {
        seq: u64::from(epoch) - 1,
        step: u64::from(epoch) * 10,
        epoch: f64::from(epoch),
        values: BTreeMap::from([("train_accuracy".into(), value)]),
    }
}

async fn log(world: &World<dyn Queue>, fence: Fence, points: Vec<PointRecord>) -> Moved {
    world.store.attempt_points(fence, points, world.now).await.expect("stored").1
}

fn stopped(step: u64) -> Finish {
    Finish { stopped: Some(StoppedAt { step, epoch: 1.2 }), steps: step, ..finish(0.3) }
}

/// A trial that is not good enough at a rung hears so in the answer to its points and to its heartbeats, and ends as
/// stopped: counted, with where and why, and for good.
pub async fn rungs_stop_trials_that_end_as_stopped(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = submit(&world, 3, HALVING).await;
    let leases = world.claim(3).await;
    let fences: Vec<_> = leases.iter().map(|lease| world.fence(lease)).collect();
    assert!(!log(&world, fences[0], vec![ends(1, 0.5)]).await.stop, "nothing to compare with");
    assert!(!log(&world, fences[1], vec![ends(1, 0.6)]).await.stop, "the best so far");
    let silent = world.store.attempt_heartbeat(fences[2], 9, Some(80), world.now).await.expect("alive");
    assert!(!silent.stop);
    assert!(log(&world, fences[2], vec![ends(1, 0.4)]).await.stop);
    let reason = "at epoch 1: train_accuracy of 0.4000 is not among the best 1 of 3 so far";
    let decision = StopDecision { step: 10, epoch: 1, reason: reason.into() };
    assert_eq!(world.trial(leases[2].trial_id).await.stop, Some(decision.clone()));
    assert!(world.store.attempt_heartbeat(fences[2], 12, None, world.now).await.expect("alive").stop);
    assert!(!world.store.attempt_heartbeat(fences[1], 12, None, world.now).await.expect("alive").stop);
    assert!(log(&world, fences[2], vec![ends(2, 0.99)]).await.stop, "what it logs meanwhile is kept");

    let moved = world.store.attempt_complete(fences[2], stopped(12), world.now).await.expect("completed");
    assert_eq!(moved.state, TrialState::Stopped);
    assert_eq!(
        world.store.attempt_complete(fences[2], stopped(12), world.now).await.expect("known").state,
        moved.state
    );
    assert_conflict(world.store.attempt_complete(fences[2], stopped(13), world.now).await);
    let trial = world.trial(leases[2].trial_id).await;
    assert_eq!((trial.state, trial.step, trial.finished_at), (TrialState::Stopped, 12, Some(world.now)));
    assert_eq!((trial.stopped, trial.stop), (Some(StoppedAt { step: 12, epoch: 1.2 }), Some(decision)));
    assert_eq!((trial.reason.as_deref(), trial.result_hash), (Some(reason), None));
    assert_eq!(trial.metrics, finish(0.3).metrics);
    let attempts = world.store.trial_attempts(leases[2].trial_id).await.expect("stored");
    assert_eq!(
        (attempts[0].outcome, attempts[0].reason.as_deref()),
        (Some(AttemptOutcome::Stopped), Some(reason))
    );

    assert!(
        !log(&world, fences[0], vec![ends(2, 0.1)]).await.stop,
        "what a stopped trial logs counts for nobody"
    );
    let steer = world.store.sweep_steer(sweep.id, Steer::Retry, "someone", world.now).await.expect("a retry");
    assert_eq!(steer.changed, 0);
    assert_eq!(world.recount(sweep.id).await.0, [0, 2, 0, 0, 1, 0, 0, 0]);
    let listed = world.store.trial_list(sweep.id, Some(TrialState::Stopped), 0, 9).await.expect("a page");
    assert_eq!(listed.items.len(), 1);
}

/// The same points again get the same answer, whatever the others have reported meanwhile.
pub async fn repeated_points_get_the_same_answer(store: Arc<dyn Queue>) {
    let world = World::new(store);
    submit(&world, 4, HALVING).await;
    let fences: Vec<_> = world.claim(4).await.iter().map(|lease| world.fence(lease)).collect();
    let batches =
        [vec![ends(1, 0.5)], vec![ends(1, 0.3)], vec![ends(1, 0.9), ends(2, 0.9)], vec![ends(1, 0.8)]];
    let mut answers = Vec::new();
    for (fence, points) in fences.iter().zip(&batches) {
        answers.push(log(&world, *fence, points.clone()).await.stop);
    }
    assert_eq!(answers, [false, true, false, false]);
    for _ in 0..2 {
        for ((fence, points), answer) in fences.iter().zip(&batches).zip(&answers) {
            assert_eq!(log(&world, *fence, points.clone()).await.stop, *answer);
            assert_eq!(log(&world, *fence, vec![]).await.stop, *answer);
        }
    }
    // Nobody has been counted twice: the fifth value of the first rung would let two go on.
    assert!(!log(&world, fences[3], vec![ends(2, 0.95)]).await.stop, "the best of two at the second rung");
    assert!(log(&world, fences[0], vec![ends(2, 0.5)]).await.stop);
}

/// A trial that was to stop when its worker died stops at the same point of its next attempt, which is not judged anew.
pub async fn decisions_hold_for_later_attempts(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = submit(&world, 2, HALVING).await;
    let first = world.claim(2).await;
    let (loser, winner) = (world.fence(&first[0]), world.fence(&first[1]));
    assert!(!log(&world, winner, vec![ends(1, 0.9), ends(2, 0.9)]).await.stop);
    assert!(!log(&world, loser, vec![PointRecord { step: 3, epoch: 0.3, ..point(0, 1.0) }]).await.stop);
    let second = PointRecord { seq: 1, ..ends(1, 0.1) };
    assert!(log(&world, loser, vec![second]).await.stop);
    world.wait_s(30);
    assert_eq!(world.store.attempts_reap(0.0, world.now).await.expect("a look").len(), 2);
    let taken_over = world.claim(2).await;
    assert_stale(world.store.attempt_complete(loser, stopped(15), world.now).await);

    let (loser, winner) = (world.fence(&taken_over[0]), world.fence(&taken_over[1]));
    let decision = world.trial(first[0].trial_id).await.stop.expect("it is kept");
    assert_eq!((decision.step, decision.epoch), (10, 1));
    assert!(!world.store.attempt_heartbeat(loser, 9, None, world.now).await.expect("alive").stop, "not yet");
    assert!(!log(&world, loser, vec![point(0, 1.0)]).await.stop, "not yet");
    assert!(!log(&world, winner, vec![ends(1, 0.9), ends(2, 0.9)]).await.stop);
    assert!(log(&world, loser, vec![PointRecord { seq: 1, ..ends(1, 0.1) }]).await.stop);
    assert!(world.store.attempt_heartbeat(loser, 10, None, world.now).await.expect("alive").stop);
    world.store.attempt_complete(loser, stopped(11), world.now).await.expect("completed");
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Stopped), 1);

    // An error and a person's retry do not undo a decision, either; a trial that ends by itself is whole.
    let again = submit(&world, 2, HALVING).await;
    let leases = world.claim(2).await;
    log(&world, world.fence(&leases[0]), vec![ends(1, 0.9)]).await;
    assert!(log(&world, world.fence(&leases[1]), vec![ends(1, 0.1)]).await.stop);
    let failed =
        world.store.attempt_fail(world.fence(&leases[1]), "oops".into(), false, 0.0, world.now).await;
    assert_eq!(failed.expect("reported").state, TrialState::Failed);
    world.store.sweep_steer(again.id, Steer::Retry, "someone", world.now).await.expect("retried");
    let retried = world.claim_one().await;
    assert!(log(&world, world.fence(&retried), vec![ends(1, 0.1)]).await.stop);
    let done = world.store.attempt_complete(world.fence(&retried), finish(0.2), world.now).await;
    assert_eq!(done.expect("completed").state, TrialState::Succeeded);
    let trial = world.trial(retried.trial_id).await;
    assert_eq!((trial.stopped, trial.reason, trial.stop.is_some()), (None, None, true));
    assert_eq!(trial.result_hash.as_deref(), Some("result-0.2"));
}

/// No worker ends a trial early by itself.
pub async fn stopped_trials_need_a_decision(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = submit(&world, 2, HALVING).await;
    let without = world.submit(1, 1).await;
    for lease in world.claim(3).await {
        let fence = world.fence(&lease);
        assert!(!log(&world, fence, vec![ends(1, 0.5)]).await.stop);
        assert_stale(world.store.attempt_complete(fence, stopped(11), world.now).await);
        world.expect_state(lease.trial_id, TrialState::Leased).await;
        let done = world.store.attempt_complete(fence, finish(0.5), world.now).await;
        assert_eq!(done.expect("completed").state, TrialState::Succeeded);
    }
    for id in [sweep.id, without.id] {
        assert_eq!(world.recount(id).await.of(TrialState::Stopped), 0);
    }
}

/// The median rule holds the best value so far against the averages of those that have got as far.
pub async fn medians_stop_trials_too(store: Arc<dyn Queue>) {
    let world = World::new(store);
    submit(&world, 4, Test::Median { min_trials: 2 }).await;
    let fences: Vec<_> = world.claim(4).await.iter().map(|lease| world.fence(lease)).collect();
    // Averages at epoch 2: 0.5 and 0.7; their median is 0.6.
    assert!(!log(&world, fences[0], vec![ends(1, 0.4), ends(2, 0.6)]).await.stop);
    assert!(!log(&world, fences[1], vec![ends(1, 0.6), ends(2, 0.8)]).await.stop, "one other is not enough");
    assert!(!log(&world, fences[2], vec![ends(1, 0.6), ends(2, 0.1)]).await.stop, "its best is as good");
    let moved = log(&world, fences[3], vec![ends(1, 0.55), ends(2, 0.49), ends(3, 0.9)]).await;
    assert!(moved.stop);
    let listed = world.store.trial_list(moved.sweep_id, None, 0, 9).await.expect("a page").items;
    let decisions: Vec<_> = listed.iter().map(|trial| trial.stop.as_ref().map(|stop| stop.epoch)).collect();
    // At epoch 1: 0.55 against the median 0.6 of 0.4, 0.6, 0.6.
    assert_eq!(decisions, [None, None, None, Some(1)]);
}
