//! Commands that are run in lists are answered as if each had been alone.

use std::{collections::BTreeMap, fmt::Debug, pin::Pin, sync::Arc, task::Poll};

use motif_sweep::ids::AttemptId;

use super::{Opened, opened};
use crate::{
    Queue, Store,
    conformance::World,
    records::{Claim, Fence, Finish, PointRecord},
    sqlite::SqliteStore,
};

/// A call that answers with what it came to, as text.
type Call = Pin<Box<dyn Future<Output = String> + Send>>;

fn call<T: Debug>(name: &str, call: impl Future<Output = crate::Result<T>> + Send + 'static) -> Call {
    let name = name.to_owned();
    Box::pin(async move { format!("{name}: {:?}", call.await) })
}

fn points(seqs: std::ops::Range<u64>) -> Vec<PointRecord> {
    let values = BTreeMap::from([("loss".to_owned(), 0.1)]);
    seqs.map(|seq| PointRecord { seq, step: seq * 10, epoch: seq as f64, values: values.clone() }).collect()
}

fn finish(accuracy: f64, diverged_step: Option<u64>) -> Finish {
    Finish {
        diverged_step,
        stopped: None,
        steps: 5,
        metrics: BTreeMap::from([("test_accuracy".to_owned(), accuracy), ("test_loss".to_owned(), 0.1)]),
        result_hash: format!("hash-{accuracy}"),
        report: serde_json::json!({"steps": 5}),
    }
}

fn forged(fence: Fence) -> Fence {
    Fence { secret_hash: [7; 32], ..fence }
}

/// Reports on six leases, in the order in which a transaction runs them; some are repeated, contradict, or are forged.
fn reports(store: &Arc<SqliteStore>, world: &World, fences: &[Fence]) -> Vec<Call> {
    let now = world.now;
    let beat = |name, fence, step| {
        let store = Arc::clone(store);
        call(name, async move { store.attempt_heartbeat(fence, step, Some(10), now).await })
    };
    let log = |name, fence, seqs| {
        let store = Arc::clone(store);
        call(name, async move { store.attempt_points(fence, points(seqs), now).await })
    };
    let complete = |name, fence, finish| {
        let store = Arc::clone(store);
        call(name, async move { store.attempt_complete(fence, finish, now).await })
    };
    let unknown = Fence { attempt_id: AttemptId(world.id()), ..fences[0] };
    vec![
        beat("beat", fences[0], 5),
        beat("beat again", fences[0], 7),
        beat("forged beat", forged(fences[1]), 5),
        beat("beat of another", fences[4], 1),
        log("points", fences[1], 0..3),
        log("points that overlap", fences[1], 2..6),
        log("points with a gap", fences[2], 1..3),
        log("points of another", fences[2], 0..2),
        log("forged points", forged(fences[3]), 0..2),
        complete("complete", fences[1], finish(0.5, None)),
        complete("complete the same", fences[1], finish(0.5, None)),
        complete("complete with another result", fences[1], finish(0.25, None)),
        complete("complete another", fences[2], finish(f64::NAN, Some(4))),
        complete("forged completion", forged(fences[3]), finish(0.5, None)),
        complete("completion of nothing", unknown, finish(0.5, None)),
        complete("complete a third", fences[5], finish(0.1, None)),
    ]
}

/// Claims of three workers, some repeated or another's, one with an id that is taken.
fn claims(store: &Arc<SqliteStore>, world: &World, taken: AttemptId) -> Vec<Call> {
    let now = world.now;
    let claim = |name, claim: &Claim| {
        let (store, claim) = (Arc::clone(store), claim.clone());
        call(name, async move { store.trial_claim(claim, now).await })
    };
    let (first, second, rest) = (world.claim_of(1, 4), world.claim_of(2, 4), world.claim_of(3, 20));
    let stolen = Claim { worker: world.worker(4), ..second.clone() };
    let mut broken = world.claim_of(5, 1);
    broken.offers[0].attempt_id = taken;
    vec![
        claim("first", &first),
        claim("second", &second),
        claim("first again", &first),
        claim("stolen", &stolen),
        claim("an id that is taken", &broken),
        claim("the rest", &rest),
        claim("nothing is left", &world.claim_of(1, 2)),
    ]
}

/// One after the other.
async fn apart(calls: Vec<Call>) -> Vec<String> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await);
    }
    answers
}

/// All while the writer is held up, so that they share a transaction.
async fn together(store: &SqliteStore, mut calls: Vec<Call>) -> Vec<String> {
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let first = store.writer.run(|_| {
        Box::pin(async move {
            begin.send(()).unwrap();
            Ok(held.await.is_ok())
        })
    });
    let rest = async {
        begun.await.unwrap();
        for call in &mut calls {
            // One look queues the command.
            let look = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
            assert!(look.is_pending());
        }
        release.send(()).unwrap();
        apart(calls).await
    };
    let (first, answers) = tokio::join!(first, rest);
    assert!(first.unwrap());
    answers
}

/// What the calls came to, and what the store holds afterwards.
async fn run(share: bool) -> (Vec<String>, Vec<String>) {
    let Opened { store, world, dir } = opened().await;
    let sweeps = [world.submit(2, 8).await, world.submit(1, 5).await];
    let leased = store.trial_claim(world.claim_of(0, 6), world.now).await.unwrap();
    let fences: Vec<_> = leased.iter().map(|leased| world.fence(leased)).collect();
    let mut calls = reports(&store, &world, &fences);
    calls.extend(claims(&store, &world, leased[0].attempt_id));
    let answers = if share { together(&store, calls).await } else { apart(calls).await };
    let mut holds = vec![format!("{:?}", store.worker_list().await.unwrap())];
    for sweep in sweeps {
        holds.push(format!("{:?}", world.recount(sweep.id).await));
        for trial in store.trial_list(sweep.id, None, 0, 100).await.unwrap().items {
            holds.push(format!("{trial:?}"));
            holds.push(format!("{:?}", store.trial_attempts(trial.id).await.unwrap()));
            holds.push(format!("{:?}", store.trial_points(trial.id).await.unwrap()));
        }
    }
    drop(dir);
    (answers, holds)
}

#[tokio::test]
async fn commands_that_share_a_transaction_are_answered_as_if_alone() {
    let (alone, alone_holds) = run(false).await;
    let (shared, shared_holds) = run(true).await;
    assert_eq!(alone, shared);
    assert_eq!(alone_holds, shared_holds);
    let begins = |name: &str, with: &str| {
        let answer = alone.iter().find(|answer| answer.starts_with(&format!("{name}: "))).unwrap();
        assert!(answer[name.len() + 2..].starts_with(with), "{answer}");
    };
    for name in ["forged beat", "forged points", "forged completion", "completion of nothing"] {
        begins(name, "Err(StaleLease)");
    }
    begins("points that overlap", "Ok((6, ");
    begins("points with a gap", "Err(Gap { expected: 0, found: 1 })");
    begins("complete the same", "Ok(");
    for name in ["complete with another result", "stolen", "an id that is taken"] {
        begins(name, "Err(Conflict(");
    }
    let leases = |answer: &&String| answer.matches("Leased {").count();
    // Twenty-one trials, of which six were leased before and eight go to the first two claims.
    let counts: Vec<_> = alone[16..].iter().map(|answer| leases(&answer)).collect();
    assert_eq!(counts, [4, 4, 4, 0, 0, 7, 0]);
}
