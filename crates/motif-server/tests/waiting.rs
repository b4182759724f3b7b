//! Claims that wait: work that comes goes to as many as there is work for, and each trial to one.

use std::{collections::BTreeSet, time::Duration};

use motif_testkit::{TestApp, app::eventually, build};
use motif_wire::work::{Lease, ReportReply};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const WORKERS: usize = 120;
/// The longest wait that a claim may ask for, in seconds: further off than any limit of this test.
const WAIT_S: u32 = 30;

/// So many workers, each of which has a claim that waits.
async fn waiting(app: &TestApp) -> JoinSet<Vec<Lease>> {
    waiting_beside(app, 0).await
}

/// The same beside others that the server knows.
async fn waiting_beside(app: &TestApp, others: usize) -> JoinSet<Vec<Lease>> {
    let mut claims = JoinSet::new();
    for number in 0..WORKERS {
        let worker = app.worker(&format!("w-{number}"));
        let request = worker.claim_request(1, WAIT_S);
        claims.spawn(async move { worker.send_claim(&request).await });
    }
    let admin = app.admin();
    eventually("all claims wait", || async {
        let workers: Vec<Value> = admin.get("/api/v1/workers").await;
        (workers.len() == WORKERS + others).then_some(())
    })
    .await;
    claims
}

/// The trials of the first `many` claims that are answered.
async fn answered(claims: &mut JoinSet<Vec<Lease>>, many: usize) -> BTreeSet<uuid::Uuid> {
    let mut trials = BTreeSet::new();
    for _ in 0..many {
        let leases = claims.join_next().await.expect("claims wait").expect("a claim does not panic");
        assert_eq!(leases.len(), 1, "a claim was answered without a trial long before its time");
        assert!(trials.insert(leases[0].trial_id), "a trial was leased twice");
    }
    trials
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_goes_to_one_of_many_waiting_claims_and_the_others_go_on_waiting() {
    let mut app = TestApp::start().await;
    let mut claims = waiting(&app).await;
    let one = json!({"name": "one", "seeds": 1, "trial": {"dataset": "glyphs", "hidden": [8], "epochs": 1}});
    app.admin().submit(&one).await;
    assert_eq!(answered(&mut claims, 1).await.len(), 1);
    assert!(claims.try_join_next().is_none(), "the others wait");

    // Two rules by fifty seeds: a hundred claims are answered, nineteen wait on.
    app.admin().submit(&build::sweep("many", 50)).await;
    assert_eq!(answered(&mut claims, 100).await.len(), 100);
    assert!(claims.try_join_next().is_none(), "nothing is left for the others");
    app.stop().await;
    let left: Vec<Vec<Lease>> = claims.join_all().await;
    assert_eq!(left, vec![Vec::new(); WORKERS - 101]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_backs_off_goes_to_one_of_those_that_wait_when_it_may() {
    let mut app = TestApp::start().await;
    let one = json!({"name": "one", "seeds": 1, "trial": {"dataset": "glyphs", "hidden": [8], "epochs": 1}});
    app.admin().submit(&one).await;
    let worker = app.worker("fails");
    let lease = worker.claim(1).await.remove(0);
    let failure = json!({"reason": "once", "retryable": true});
    let _: ReportReply = worker.say(&lease, "fail", &failure).await;
    let mut claims = waiting_beside(&app, 1).await;
    // Nothing but time passes: no request, no report.
    app.clock.advance(Duration::from_secs(600));
    assert_eq!(answered(&mut claims, 1).await, [lease.trial_id].into());
    assert!(claims.try_join_next().is_none(), "the others wait");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_one_of_many_can_take_goes_to_that_one() {
    let mut app = TestApp::start().await;
    let mut claims = waiting(&app).await;
    let able = app.worker("able").with(&["big"], None);
    let requests = [able.claim_request(1, WAIT_S), able.claim_request(1, WAIT_S)];
    let spec = json!({"name": "one", "seeds": 1, "requires": {"labels": ["big"]},
        "trial": {"dataset": "glyphs", "hidden": [8], "epochs": 1}});
    // It waits when the sweep comes; then when a retry has waited long enough.
    let submitting = async {
        let admin = app.admin();
        eventually("it waits", || async {
            let workers: Vec<Value> = admin.get("/api/v1/workers").await;
            (workers.len() == WORKERS + 1).then_some(())
        })
        .await;
        admin.submit(&spec).await
    };
    let (leases, _) = tokio::join!(able.send_claim(&requests[0]), submitting);
    let failure = json!({"reason": "once", "retryable": true});
    let _: ReportReply = able.say(&leases[0], "fail", &failure).await;
    let again = able.send_claim(&requests[1]);
    tokio::pin!(again);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut again).await.is_err(), "it backs off");
    app.clock.advance(Duration::from_secs(600));
    let again = again.await;
    assert_eq!((again.len(), again[0].trial_id), (1, leases[0].trial_id));
    assert!(claims.try_join_next().is_none(), "the others wait");
    app.stop().await;
    assert_eq!(claims.join_all().await, vec![Vec::new(); WORKERS]);
}
