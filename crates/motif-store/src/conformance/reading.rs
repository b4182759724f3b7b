//! Lists, pages, workers, tokens.

use std::{collections::BTreeMap, sync::Arc};

use motif_sweep::{ids::TokenId, lifecycle::TrialState};

use super::world::{World, assert_conflict, finish, point};
use crate::{
    Store, StoreError,
    records::{PointRecord, TokenRecord, TrialRecord},
};

/// Following the cursors shows every item once and in order.
pub async fn pages_cover_everything_once(store: Arc<dyn Store>) {
    let world = World::new(store);
    let mut submitted = Vec::new();
    for _ in 0..5 {
        submitted.push(world.submit(1, 1).await.id);
    }
    let big = world.submit(2, 5).await;
    submitted.push(big.id);
    submitted.reverse();
    for limit in [1, 2, 3, 6, 7] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = world.store.sweep_list(before, false, limit).await.expect("a page");
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items.iter().map(|sweep| sweep.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, submitted, "pages of {limit}");
    }

    let leased = world.claim(8).await;
    world.store.attempt_complete(world.fence(&leased[7]), finish(0.9), world.now).await.expect("completed");
    for (state, expected) in [
        (None, (0..10).collect::<Vec<u64>>()),
        (Some(TrialState::Leased), vec![0, 1]),
        (Some(TrialState::Succeeded), vec![2]),
        (Some(TrialState::Queued), (3..10).collect()),
        (Some(TrialState::Dead), vec![]),
    ] {
        for limit in [1, 3, 100] {
            let (mut seen, mut from) = (Vec::new(), Some(0));
            while let Some(position) = from {
                let page = world.store.trial_list(big.id, state, position, limit).await.expect("a page");
                assert!(page.items.len() <= limit as usize);
                assert!(page.items.iter().all(|trial| state.is_none_or(|state| trial.state == state)));
                seen.extend(page.items.iter().map(|trial| trial.position));
                from = page.next;
            }
            assert_eq!(seen, expected, "{state:?} in pages of {limit}");
        }
    }
    let done = world.store.trial_list(big.id, Some(TrialState::Succeeded), 0, 9).await.expect("a page");
    assert_eq!(done.items[0].metrics, finish(0.9).metrics);
    assert_eq!(done.items[0], world.trial(leased[7].trial_id).await);
}

/// Statistics read the trials that the list shows, with the one metric they need.
pub async fn outcomes_are_the_listed_trials(store: Arc<dyn Store>) {
    let world = World::new(store);
    let sweep = world.submit(2, 3).await;
    let leased = world.claim(4).await;
    let other = world.submit(1, 1).await;
    for (lease, accuracy) in leased[..2].iter().zip([0.9, 0.8]) {
        world
            .store
            .attempt_complete(world.fence(lease), finish(accuracy), world.now)
            .await
            .expect("completed");
    }
    let mut diverged = finish(0.1);
    diverged.diverged_step = Some(7);
    diverged.metrics = [("only_here".to_owned(), 3.0)].into();
    world.store.attempt_complete(world.fence(&leased[2]), diverged, world.now).await.expect("completed");
    let listed = world.store.trial_list(sweep.id, None, 0, 10).await.expect("a page").items;
    for metric in [Some("test_loss"), Some("nothing"), None] {
        let lean = |trial: &TrialRecord| {
            let wanted = trial.metrics.iter().filter(|(name, _)| Some(name.as_str()) == metric);
            let place = (trial.condition, trial.seed);
            TrialRecord {
                metrics: wanted.map(|(name, value)| (name.clone(), *value)).collect(),
                attempt: trial.attempt,
                ..TrialRecord::bare(trial.id, sweep.id, place, trial.position, trial.state)
            }
        };
        let expected: Vec<_> = listed.iter().map(lean).collect();
        let outcomes = world.store.trial_outcomes(sweep.id, metric).await.expect("stored");
        assert_eq!(outcomes, expected, "{metric:?}");
    }
    let names = world.store.sweep_final_names(sweep.id).await.expect("stored");
    assert_eq!(names, ["only_here", "test_accuracy", "test_loss"]);
    assert!(world.store.sweep_final_names(other.id).await.expect("stored").is_empty());
    let unknown = motif_sweep::ids::SweepId(world.id());
    assert!(matches!(world.store.trial_outcomes(unknown, None).await, Err(StoreError::NotFound(_))));
    assert!(matches!(world.store.sweep_final_names(unknown).await, Err(StoreError::NotFound(_))));
}

/// What was logged is found by its name, and with the attempt that replaces another its points are gone.
pub async fn curves_are_found_by_name(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let sweep = world.submit(2, 1).await;
    let leases = world.claim(2).await;
    let mut wide = point(3, f64::NAN);
    wide.values.insert("cos_motif.1".into(), -1.0e-300);
    let points = vec![point(0, 2.0), point(1, 1.0), point(2, 0.5), wide];
    world.store.attempt_points(world.fence(&leases[0]), points, world.now).await.expect("stored");
    let other = world.fence(&leases[1]);
    let only = PointRecord {
        values: BTreeMap::from([("a".into(), 3.0), ("cos_motif.1".into(), 4.0)]),
        ..point(0, 0.0)
    };
    world.store.attempt_points(other, vec![only], world.now).await.expect("stored");
    let names = world.store.sweep_metric_names(sweep.id).await.expect("stored");
    assert_eq!(names, ["a", "cos_motif.1", "train_loss"]);
    let curve = world.store.sweep_curve(sweep.id, "cos_motif.1").await.expect("stored");
    let seen: Vec<_> = curve.iter().map(|s| (s.condition, s.seed, s.step, s.epoch, s.value)).collect();
    assert_eq!(seen, [(0, 0, 30, 0.75, -1.0e-300), (1, 0, 0, 0.0, 4.0)]);
    assert!(world.store.sweep_curve(sweep.id, "nothing").await.expect("stored").is_empty());

    world.wait_s(31);
    world.store.attempts_reap(0.0, world.now).await.expect("a look");
    world.claim(2).await;
    assert!(world.store.sweep_curve(sweep.id, "train_loss").await.expect("stored").is_empty());
}

/// A curve that is read again shows what was logged since, and an attempt that replaces another replaces its points.
pub async fn curves_follow_what_is_logged(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let sweep = world.submit(1, 2).await;
    let leased = world.claim(2).await;
    let send = async |lease, points| {
        world.store.attempt_points(world.fence(lease), points, world.now).await.expect("stored");
    };
    let curve = async |world: &World| {
        let samples = world.store.sweep_curve(sweep.id, "train_loss").await.expect("stored");
        samples.iter().map(|s| (s.seed, s.step, s.value)).collect::<Vec<_>>()
    };
    send(&leased[0], vec![point(0, 2.0)]).await;
    assert_eq!(curve(&world).await, [(0, 0, 2.0)]);
    send(&leased[0], vec![point(1, 1.0)]).await;
    send(&leased[1], vec![point(0, 5.0)]).await;
    let all = [(0, 0, 2.0), (0, 10, 1.0), (1, 0, 5.0)];
    assert_eq!(curve(&world).await, all);
    world.store.attempt_complete(world.fence(&leased[0]), finish(0.9), world.now).await.expect("completed");
    assert_eq!(curve(&world).await, all);
    assert_eq!(curve(&world).await, all);
    assert!(world.store.sweep_curve(sweep.id, "other").await.expect("stored").is_empty());

    world.wait_s(31);
    world.store.attempts_reap(0.0, world.now).await.expect("a look");
    let again = world.claim_one().await;
    assert_eq!(curve(&world).await, all[..2]);
    world.store.attempt_points(world.fence(&again), vec![point(0, 7.0)], world.now).await.expect("stored");
    assert_eq!(curve(&world).await, [all[0], all[1], (1, 0, 7.0)]);
}

/// Conditions come in the order of the spec, each with its own counts.
pub async fn conditions_carry_their_counts(store: Arc<dyn Store>) {
    let world = World::new(store);
    let sweep = world.submit(3, 2).await;
    let leased = world.claim(2).await;
    world.store.attempt_complete(world.fence(&leased[1]), finish(0.9), world.now).await.expect("completed");
    let conditions = world.store.sweep_conditions(sweep.id).await.expect("stored");
    let records: Vec<_> = conditions.iter().map(|(condition, _)| condition.clone()).collect();
    assert_eq!(records, sweep.conditions);
    let counts: Vec<_> = conditions.iter().map(|(_, counts)| counts.0).collect();
    assert_eq!(counts, [[1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]]);
    let one = world.store.trial_condition(leased[1].trial_id).await.expect("stored");
    assert_eq!(one, sweep.conditions[1]);
    world.recount(sweep.id).await;
}

/// Workers are listed with what they hold and have done, most recently heard of first.
pub async fn workers_are_listed(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    world.submit(1, 4).await;
    let began = world.now;
    let first = world.store.trial_claim(world.claim_of(1, 2), world.now).await.expect("leases");
    world.wait_s(5);
    let mut renamed = world.claim_of(2, 1);
    renamed.worker.name = "other".into();
    world.store.trial_claim(renamed, world.now).await.expect("leases");
    let names = |list: Vec<crate::records::WorkerRecord>| {
        list.into_iter().map(|worker| (worker.seen.name, worker.leased, worker.completed)).collect::<Vec<_>>()
    };
    let listed = world.store.worker_list().await.expect("a list");
    assert_eq!(names(listed), [("other".into(), 1, 0), ("worker-1".into(), 2, 0)]);
    world.wait_s(5);
    world.store.attempt_complete(world.fence(&first[0]), finish(0.9), world.now).await.expect("completed");
    let listed = world.store.worker_list().await.expect("a list");
    assert_eq!((listed[0].first_seen_at, listed[0].seen_at), (began, world.now));
    assert_eq!(names(listed), [("worker-1".into(), 1, 1), ("other".into(), 1, 0)]);
}

/// A token is found by its hash until it is revoked.
pub async fn tokens_open_until_revoked(store: Arc<dyn Store>) {
    let mut world = World::new(store);
    let token = |number: u8| TokenRecord {
        id: TokenId(world.id()),
        name: format!("token {number}"),
        scopes: vec!["read".into(), "worker".into()],
        hash: [number; 32],
        created_at: world.now,
        revoked_at: None,
    };
    let (first, second) = (token(1), token(2));
    world.store.token_create(first.clone()).await.expect("stored");
    world.store.token_create(second.clone()).await.expect("stored");
    assert_conflict(world.store.token_create(token(1)).await);
    assert_eq!(world.store.token_list().await.expect("a list"), [first.clone(), second.clone()]);
    assert_eq!(world.store.token_by_hash([1; 32]).await.expect("a look"), Some(first.clone()));
    assert_eq!(world.store.token_by_hash([3; 32]).await.expect("a look"), None);

    let revoked_at = world.now;
    world.store.token_revoke(first.id, revoked_at).await.expect("revoked");
    world.wait_s(5);
    world.store.token_revoke(first.id, world.now).await.expect("revoked twice");
    assert_eq!(world.store.token_by_hash([1; 32]).await.expect("a look"), None);
    let revoked = TokenRecord { revoked_at: Some(revoked_at), ..first };
    assert_eq!(world.store.token_list().await.expect("a list"), [revoked, second]);
    let unknown = world.store.token_revoke(TokenId(world.id()), world.now).await;
    assert!(matches!(unknown, Err(StoreError::NotFound(_))));
}
