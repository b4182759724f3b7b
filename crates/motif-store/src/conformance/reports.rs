//! What workers report of their leases, and what happens when they no longer do.

use std::sync::Arc;

use motif_sweep::{
    ids::AttemptId,
    lifecycle::{AttemptOutcome, Policy, TrialState},
};

use super::world::{World, assert_conflict, assert_stale, finish, point};
use crate::{
    Queue, StoreError,
    records::{Fence, Finish, PointRecord, Steer},
};

/// A heartbeat moves the expiry and the step, and tells of a cancellation.
pub async fn heartbeats_extend_leases(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 1).await;
    let lease = world.claim_one().await;
    let fence = world.fence(&lease);
    for step in 1..=4 {
        world.wait_s(29);
        let moved =
            world.store.attempt_heartbeat(fence, step * 25, Some(100), world.now).await.expect("alive");
        assert_eq!((moved.state, moved.cancel_requested), (TrialState::Leased, false));
        assert_eq!((moved.trial_id, moved.sweep_id), (lease.trial_id, lease.sweep_id));
        assert_eq!(moved.lease_ttl_s, Policy::default().lease_ttl_s);
        assert!(world.store.attempts_reap(0.0, world.now).await.expect("a look").is_empty());
    }
    world.store.attempt_heartbeat(fence, 50, None, world.now).await.expect("alive");
    let trial = world.trial(lease.trial_id).await;
    assert_eq!((trial.step, trial.total_steps), (100, Some(100)), "a delayed heartbeat takes no step back");
    assert_eq!(world.store.sweep_get(sweep.id).await.expect("stored").running_fraction, 1.0);

    world.store.sweep_steer(sweep.id, Steer::Cancel, "someone", world.now).await.expect("cancelled");
    let moved = world.store.attempt_heartbeat(fence, 100, None, world.now).await.expect("alive");
    assert!(moved.cancel_requested);
    let attempts = world.store.trial_attempts(lease.trial_id).await.expect("stored");
    assert_eq!((attempts[0].seen_at, attempts[0].outcome), (world.now, None));
}

/// Every kind of report under every kind of wrong fence is refused and changes nothing.
pub async fn stale_reports_change_nothing(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    world.submit(1, 1).await;
    let old = world.claim_one().await;
    world.wait_s(31);
    assert_eq!(world.store.attempts_reap(0.0, world.now).await.expect("a look").len(), 1);
    let new = world.claim_one().await;
    let good = world.fence(&new);
    let stale = [
        world.fence(&old),
        Fence { secret_hash: [1; 32], ..good },
        Fence { epoch: good.epoch + 1, ..good },
        Fence { attempt_id: AttemptId(world.id()), ..good },
        Fence { attempt_id: old.attempt_id, ..good },
    ];
    let before =
        (world.trial(new.trial_id).await, world.store.trial_attempts(new.trial_id).await.expect("stored"));
    for fence in stale {
        let (store, now) = (&world.store, world.now);
        assert_stale(store.attempt_heartbeat(fence, 99, Some(100), now).await);
        assert_stale(store.attempt_points(fence, vec![point(0, 1.0)], now).await);
        assert_stale(store.attempt_complete(fence, finish(0.5), now).await);
        assert_stale(store.attempt_fail(fence, "oops".into(), false, 0.0, now).await);
        assert_stale(store.attempt_release(fence, "drain".into(), now).await);
    }
    let after =
        (world.trial(new.trial_id).await, world.store.trial_attempts(new.trial_id).await.expect("stored"));
    assert_eq!(before, after);
    assert_eq!(world.store.trial_points(new.trial_id).await.expect("stored"), (2, vec![]));
    world.store.attempt_heartbeat(good, 1, None, world.now).await.expect("the holder goes on");
}

/// A completion ends its trial once; its repetition is the same answer, another result a conflict.
pub async fn completions_end_trials(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(2, 1).await;
    let leases = world.claim(2).await;
    let fence = world.fence(&leases[0]);
    world.wait_s(10);
    let moved = world.store.attempt_complete(fence, finish(0.9), world.now).await.expect("completed");
    assert_eq!(moved.state, TrialState::Succeeded);
    let ended = world.now;
    world.wait_s(60);
    let again = world.store.attempt_complete(fence, finish(0.9), world.now).await.expect("known");
    assert_eq!(moved, again);
    assert_conflict(world.store.attempt_complete(fence, finish(0.8), world.now).await);
    assert_stale(world.store.attempt_heartbeat(fence, 1, None, world.now).await);
    assert_stale(world.store.attempt_fail(fence, "oops".into(), true, 0.0, world.now).await);
    assert_stale(world.store.attempt_release(fence, "drain".into(), world.now).await);
    assert_stale(world.store.attempt_points(fence, vec![point(0, 1.0)], world.now).await);

    let trial = world.trial(leases[0].trial_id).await;
    assert_eq!((trial.state, trial.finished_at, trial.step), (TrialState::Succeeded, Some(ended), 100));
    assert_eq!((trial.metrics, trial.report), (finish(0.9).metrics, Some(finish(0.9).report)));
    assert_eq!((trial.result_hash.as_deref(), trial.reason), (Some("result-0.9"), None));

    let diverged = Finish { diverged_step: Some(40), ..finish(0.1) };
    let fence = world.fence(&leases[1]);
    let moved = world.store.attempt_complete(fence, diverged, world.now).await.expect("completed");
    assert_eq!(moved.state, TrialState::Diverged);
    assert_eq!(world.trial(leases[1].trial_id).await.diverged_step, Some(40));
    let counts = world.recount(sweep.id).await;
    assert_eq!((counts.of(TrialState::Succeeded), counts.of(TrialState::Diverged)), (1, 1));
    assert_eq!(world.store.sweep_get(sweep.id).await.expect("stored").ended_at, Some(world.now));
}

/// Hours of training are not thrown away because a lease ran out, unless another worker has taken over.
pub async fn late_completions_count_until_superseded(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 2).await;
    let leases = world.claim(2).await;
    world.wait_s(31);
    assert_eq!(world.store.attempts_reap(0.5, world.now).await.expect("a look").len(), 2);
    world.expect_state(leases[0].trial_id, TrialState::Queued).await;
    assert_stale(world.store.attempt_heartbeat(world.fence(&leases[0]), 1, None, world.now).await);

    let late = world.store.attempt_complete(world.fence(&leases[0]), finish(0.9), world.now).await;
    assert_eq!(late.expect("not superseded").state, TrialState::Succeeded);
    let attempts = world.store.trial_attempts(leases[0].trial_id).await.expect("stored");
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].outcome, attempts[0].reason.as_deref()), (Some(AttemptOutcome::Succeeded), None));

    let second = world.claim_one().await;
    assert_eq!((second.trial_id, second.attempt), (leases[1].trial_id, 2));
    assert_stale(world.store.attempt_complete(world.fence(&leases[1]), finish(0.9), world.now).await);
    let done = world.store.attempt_complete(world.fence(&second), finish(0.7), world.now).await;
    assert_eq!(done.expect("the holder").state, TrialState::Succeeded);
    assert_stale(world.store.attempt_complete(world.fence(&leases[1]), finish(0.9), world.now).await);
    assert_eq!(world.trial(second.trial_id).await.metrics["test_accuracy"], 0.7);
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Succeeded), 2);
}

/// Errors are forgiven up to the budget; a repeated report counts once.
pub async fn errors_spend_a_budget(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 2).await;
    let trial = sweep.trials[0].id;
    for failures in 1..=4 {
        let lease = world.claim_one().await;
        assert_eq!((lease.trial_id, lease.attempt), (trial, failures));
        let fence = world.fence(&lease);
        let fail = || world.store.attempt_fail(fence, format!("error {failures}"), true, 0.0, world.now);
        let moved = fail().await.expect("reported");
        let state = if failures <= 3 { TrialState::Queued } else { TrialState::Failed };
        assert_eq!(moved.state, state);
        assert_eq!(fail().await.expect("known"), moved);
        assert_eq!(world.trial(trial).await.failures, failures);
        assert_stale(world.store.attempt_complete(fence, finish(0.9), world.now).await);
        world.wait_s(1);
    }
    let record = world.trial(trial).await;
    assert_eq!((record.state, record.reason.as_deref()), (TrialState::Failed, Some("error 4")));
    assert!(record.finished_at.is_some());
    let lease = world.claim_one().await;
    let moved =
        world.store.attempt_fail(world.fence(&lease), "no such rule".into(), false, 0.0, world.now).await;
    assert_eq!(moved.expect("reported").state, TrialState::Failed, "what cannot be helped is not retried");
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Failed), 2);
}

/// A trial that is given back is queued at once, with its counters as they were.
pub async fn releases_cost_nothing(store: Arc<dyn Queue>) {
    let world = World::new(store);
    let sweep = world.submit(1, 1).await;
    for attempt in 1..=6 {
        let lease = world.claim_one().await;
        assert_eq!(lease.attempt, attempt);
        let fence = world.fence(&lease);
        let release = || world.store.attempt_release(fence, "drain".into(), world.now);
        let moved = release().await.expect("released");
        assert_eq!(moved.state, TrialState::Queued);
        assert_eq!(release().await.expect("known"), moved);
    }
    let trial = world.trial(sweep.trials[0].id).await;
    assert_eq!((trial.failures, trial.crashes, trial.attempt), (0, 0, 6));
    let attempts = world.store.trial_attempts(trial.id).await.expect("stored");
    assert_eq!(attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(attempts.iter().all(|attempt| attempt.outcome == Some(AttemptOutcome::Released)));
}

/// A lease that ran out is taken back: queued again, dead at the limit, cancelled when flagged.
pub async fn expired_leases_are_taken_back(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 1).await;
    let trial = sweep.trials[0].id;
    for crashes in 1..=3 {
        let lease = world.claim_one().await;
        world.wait_s(29);
        assert!(world.store.attempts_reap(0.0, world.now).await.expect("a look").is_empty());
        world.wait_s(1);
        let reaped = world.store.attempts_reap(0.0, world.now).await.expect("a look");
        assert_eq!(reaped.len(), 1);
        let (attempt, moved) = reaped[0];
        assert_eq!((attempt, moved.trial_id, moved.sweep_id), (lease.attempt_id, trial, sweep.id));
        let state = if crashes < 3 { TrialState::Queued } else { TrialState::Dead };
        assert_eq!(moved.state, state);
        assert_eq!(world.trial(trial).await.crashes, crashes);
    }
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Dead), 1);
    assert!(world.claim(1).await.is_empty());

    let flagged = world.submit(1, 1).await;
    world.claim_one().await;
    world.store.sweep_steer(flagged.id, Steer::Cancel, "someone", world.now).await.expect("flagged");
    world.wait_s(30);
    let reaped = world.store.attempts_reap(0.0, world.now).await.expect("a look");
    assert_eq!(reaped[0].1.state, TrialState::Cancelled);
    assert_eq!(world.recount(flagged.id).await.of(TrialState::Cancelled), 1);
}

/// An attempt that is alive but makes no steps, or runs too long, counts as an error.
pub async fn stalled_and_overrunning_attempts_fail(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let stalls = Policy { stall_timeout_s: 50, failures_max: 0, ..Policy::default() };
    let overruns = Policy { runtime_max_s: 100, failures_max: 0, stall_timeout_s: 0, ..Policy::default() };
    let stalling = world.submit_with(1, 1, stalls).await;
    let overrunning = world.submit_with(1, 1, overruns).await;
    let leases = world.claim(2).await;
    let mut reaped = Vec::new();
    for step in 1..=5 {
        world.wait_s(20);
        for lease in &leases {
            let step = if lease.sweep_id == stalling.id { 1 } else { step };
            // The holder of a lease that was taken back hears so; both are tried to the end.
            let _ = world.store.attempt_heartbeat(world.fence(lease), step, None, world.now).await;
        }
        let found = world.store.attempts_reap(0.0, world.now).await.expect("a look");
        reaped.extend(found.into_iter().map(|(_, moved)| (step, moved.sweep_id, moved.state)));
    }
    let failed = TrialState::Failed;
    assert_eq!(reaped, [(4, stalling.id, failed), (5, overrunning.id, failed)]);
    let attempts = world.store.trial_attempts(stalling.trials[0].id).await.expect("stored");
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::TimedOut));
}

/// Points are stored once, without gaps, and come back as they were.
pub async fn metrics_arrive_once_and_in_order(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    world.submit(2, 1).await;
    let leases = world.claim(2).await;
    let fence = world.fence(&leases[0]);
    let send = |points| world.store.attempt_points(fence, points, world.now);
    assert_eq!(send(vec![point(0, 2.0), point(1, 1.0)]).await.expect("stored").0, 2);
    assert_eq!(send(vec![point(1, 9.0), point(2, 0.5)]).await.expect("stored").0, 3, "the first one counts");
    assert_eq!(send(vec![point(0, 2.0)]).await.expect("known").0, 3);
    assert_eq!(send(vec![]).await.expect("nothing").0, 3);
    let gap = send(vec![point(3, 0.1), point(5, 0.2)]).await;
    assert!(matches!(gap, Err(StoreError::Gap { expected: 4, found: 5 })), "{gap:?}");
    let mut wide = point(3, f64::NAN);
    wide.values.insert("cos_motif.1".into(), -1.0e-300);
    assert_eq!(send(vec![wide.clone()]).await.expect("nothing of the gap was stored").0, 4);
    assert_conflict(send(vec![PointRecord { epoch: f64::NAN, ..point(4, 1.0) }]).await);

    let (attempt, points) = world.store.trial_points(leases[0].trial_id).await.expect("stored");
    assert_eq!((attempt, &points[..3]), (1, &[point(0, 2.0), point(1, 1.0), point(2, 0.5)][..]));
    assert!(points[3].values["train_loss"].is_nan());
    assert_eq!(points[3].values["cos_motif.1"], -1.0e-300);

    world.wait_s(31);
    world.store.attempts_reap(0.0, world.now).await.expect("a look");
    world.claim(2).await;
    assert_eq!(world.store.trial_points(leases[0].trial_id).await.expect("stored"), (2, vec![]));
}

/// A clock that is set back holds nothing up: a dead worker's lease still ends after one TTL, a retry still comes.
pub async fn clocks_set_back_delay_nothing(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 3).await;
    let leases = world.claim(2).await;
    let failed =
        world.store.attempt_fail(world.fence(&leases[1]), "oops".into(), true, 0.99, world.now).await;
    assert_eq!(failed.expect("reported").state, TrialState::Queued);
    assert!(world.store.attempts_reap(0.0, world.now).await.expect("a look").is_empty());
    world.wait_s(-3600);
    assert!(world.store.attempts_reap(0.0, world.now).await.expect("a look").is_empty());
    let claimed: Vec<_> = world.claim(9).await.iter().map(|lease| lease.trial_id).collect();
    assert_eq!(claimed, [sweep.trials[1].id, sweep.trials[2].id]);
    world.wait_s(30);
    let reaped = world.store.attempts_reap(0.0, world.now).await.expect("a look");
    assert_eq!(reaped.len(), 3);
    assert_eq!(world.recount(sweep.id).await.of(TrialState::Queued), 3);
}

/// A clock that is set forward and back between two looks of the reaper holds nothing up either: neither the lease that
/// was given in between, nor the look whether a trial makes steps.
pub async fn clocks_that_jump_twice_delay_nothing(store: Arc<dyn Queue>) {
    let mut world = World::new(store);
    let stalls = Policy { stall_timeout_s: 50, ..Policy::default() };
    world.submit_with(1, 2, stalls).await;
    assert!(world.store.attempts_reap(0.0, world.now).await.expect("a look").is_empty());
    world.wait_s(3600);
    let leases = world.claim(2).await;
    let hangs = world.fence(&leases[1]);
    world.store.attempt_heartbeat(hangs, 1, None, world.now).await.expect("alive");
    world.wait_s(-3590);
    // One worker is dead; the other is heard of before the reaper may look, and makes no more steps.
    let mut reaped = Vec::new();
    for _ in 0..8 {
        if reaped.len() < 2 {
            world.store.attempt_heartbeat(hangs, 1, None, world.now).await.expect("alive");
        }
        let found = world.store.attempts_reap(0.0, world.now).await.expect("a look");
        reaped.extend(found.into_iter().map(|(attempt, _)| attempt));
        world.wait_s(10);
    }
    assert_eq!(reaped, [leases[0].attempt_id, leases[1].attempt_id]);
    let attempts = world.store.trial_attempts(leases[1].trial_id).await.expect("stored");
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::TimedOut));
}
