//! The state machine against a peer that is played by hand: exactly which effects leave, and when.

use std::{collections::BTreeMap, time::Duration};

use motif_sweep::lifecycle::{Policy, TrialState};
use motif_wire::{
    trials::{Provenance, TrialReport},
    work::{Failure, HeartbeatReply, Lease, MetricsReply, ReportReply},
};
use motif_worker::core::{CallError, Core, Effect, Ending, Fate, Input, Limits, LoggedPoint, Notice, Report};
use serde_json::json;
use uuid::Uuid;

/// A machine, the time, and the effects that matter: notices are kept apart.
struct Bench {
    core: Core,
    now: Duration,
    notices: Vec<Notice>,
}

impl Bench {
    fn new(slots: u32, limits: Limits) -> Self {
        Self { core: Core::new(slots, limits, 7), now: Duration::from_secs(1000), notices: Vec::new() }
    }

    fn put(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.core.step(input, self.now);
        assert_eq!(self.core.check(), Ok(()));
        let (notices, effects): (Vec<_>, Vec<_>) =
            effects.into_iter().partition(|effect| matches!(effect, Effect::Notify(_)));
        for effect in notices {
            let Effect::Notify(notice) = effect else { continue };
            self.notices.push(notice);
        }
        effects
    }

    fn after(&mut self, wait: Duration) -> Vec<Effect> {
        self.now += wait;
        self.put(Input::Tick)
    }

    /// Waits for what comes next by itself; returns how long it took.
    fn next(&mut self) -> (Duration, Vec<Effect>) {
        let began = self.now;
        for _ in 0..100 {
            let wake = self.core.wake().expect("something is due");
            assert!(wake >= began, "the machine asks for a time that has passed");
            self.now = wake.max(self.now);
            let effects = self.put(Input::Tick);
            if !effects.is_empty() {
                return (self.now - began, effects);
            }
        }
        panic!("the machine wakes without doing anything");
    }

    /// Asks, gets these leases.
    fn lease(&mut self, leases: &[Lease]) -> Vec<Effect> {
        let asked = self.put(Input::Tick);
        let Some(Effect::Claim { claim, .. }) = asked.first() else { panic!("no claim: {asked:?}") };
        self.put(Input::Claimed { claim: *claim, result: Ok(leases.to_vec()) })
    }

    fn log(&mut self, attempt: Uuid, points: u64) -> Vec<Effect> {
        let point =
            |step| LoggedPoint { step, epoch: 0.5, values: BTreeMap::from([("x".to_owned(), Some(1.0))]) };
        (0..points).flat_map(|step| self.put(Input::Logged { attempt, point: point(step) })).collect()
    }

    fn end(&mut self, attempt: Uuid, ending: Ending) -> Vec<Effect> {
        self.put(Input::Ended { attempt, ending })
    }

    fn stored(&mut self, attempt: Uuid, next_seq: u64) -> Vec<Effect> {
        self.put(Input::Stored { attempt, result: Ok(MetricsReply { next_seq, stop: false }) })
    }

    fn reported(&mut self, attempt: Uuid) -> Vec<Effect> {
        self.put(Input::Reported { attempt, result: Ok(ReportReply { state: TrialState::Succeeded }) })
    }

    fn fates(&self) -> Vec<Fate> {
        let fate = |notice: &Notice| match notice {
            Notice::Ended { fate, .. } => Some(*fate),
            _ => None,
        };
        self.notices.iter().filter_map(fate).collect()
    }
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn lease(n: u128) -> Lease {
    Lease {
        attempt_id: id(n),
        token: format!("1.1.{n}"),
        trial_id: id(1000 + n),
        sweep_id: id(5),
        attempt: 1,
        config: json!({}),
        seed: 0,
        dataset_hash: "h".to_owned(),
        policy: Policy::default(),
        judged: false,
        snapshots: false,
        checkpoint: None,
    }
}

fn result(diverged_step: Option<u64>) -> Box<TrialReport> {
    let text = String::new;
    let (version, commit, instruction_set) = (text(), None, text());
    let (platform, host, dataset_hash, config_hash) = (text(), text(), text(), text());
    let provenance =
        Provenance { version, commit, instruction_set, platform, host, dataset_hash, config_hash };
    let (metrics, result_hash) = (BTreeMap::new(), text());
    let (training_s, evaluation_s, diagnostics_s, spectra_s) = (1.0, Some(0.25), Some(0.5), None);
    Box::new(TrialReport {
        diverged_step,
        stopped_step: None,
        stopped_epoch: None,
        steps: 9,
        metrics,
        result_hash,
        training_s,
        evaluation_s,
        diagnostics_s,
        spectra_s,
        provenance,
    })
}

fn trained() -> Ending {
    Ending::Trained(result(None))
}

fn lost() -> CallError {
    CallError::Transient("away".to_owned())
}

/// The claim's number, trials and wait.
fn claim(effects: &[Effect]) -> (u64, u32, u32) {
    match effects {
        [Effect::Claim { claim, max, wait_s }] => (*claim, *max, *wait_s),
        other => panic!("expected one claim alone, got {other:?}"),
    }
}

fn beats(effects: &[Effect]) -> Vec<(Uuid, u64)> {
    let beat = |effect: &Effect| match effect {
        Effect::Beat { key, step, .. } => Some((key.attempt, *step)),
        _ => None,
    };
    effects.iter().filter_map(beat).collect()
}

/// First and last number of the one batch that left.
fn batch(effects: &[Effect]) -> Option<(u64, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Store { points, .. } => Some((points.first()?.seq, points.last()?.seq)),
        _ => None,
    })
}

fn report(effects: &[Effect]) -> Option<&Report> {
    effects.iter().find_map(|effect| match effect {
        Effect::Report { report, .. } => Some(report),
        _ => None,
    })
}

fn released(effects: &[Effect]) -> Option<&str> {
    match report(effects)? {
        Report::Release(release) => Some(&release.reason),
        other => panic!("not a release: {other:?}"),
    }
}

#[test]
fn a_trial_goes_from_claim_to_acknowledged_result() {
    let mut bench = Bench::new(2, Limits::default());
    let (number, max, wait_s) = claim(&bench.put(Input::Tick));
    assert_eq!((max, wait_s), (2, 20));
    assert_eq!(bench.after(Duration::from_secs(1)), [], "one claim at a time");

    let effects = bench.put(Input::Claimed { claim: number, result: Ok(vec![lease(1)]) });
    assert_eq!(effects[0], Effect::Start(Box::new(lease(1))));
    assert_eq!(claim(&effects[1..]), (number + 1, 1, 20), "the other slot is still free");

    assert_eq!(bench.log(id(1), 3), [], "points wait for company");
    let (waited, effects) = bench.next();
    assert_eq!((waited, batch(&effects)), (Duration::from_secs(1), Some((0, 2))));
    assert_eq!(bench.log(id(1), 2), [], "one batch at a time");
    let effects = bench.end(id(1), trained());
    assert_eq!(report(&effects), None, "the points come first");
    let effects = bench.stored(id(1), 3);
    assert_eq!(batch(&effects), Some((3, 4)), "no more will come, so they do not wait");
    let effects = bench.stored(id(1), 5);
    assert_eq!(report(&effects), Some(&Report::Complete(result(None))));
    assert_eq!(bench.reported(id(1)), []);
    assert_eq!(bench.fates(), [Fate::Succeeded]);
    assert_eq!(bench.core.busy(), 0);
}

#[test]
fn heartbeats_keep_their_rhythm_and_carry_the_step() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.put(Input::Stepped { attempt: id(1), step: 41, total_steps: Some(100) });
    assert_eq!(bench.after(Duration::from_millis(9_999)), []);
    let effects = bench.after(Duration::from_millis(1));
    assert_eq!(beats(&effects), [(id(1), 41)]);
    assert_eq!(bench.after(Duration::from_secs(30)), [], "one heartbeat at a time");
    let alive = HeartbeatReply { cancel: false, stop: false, lease_s: 30 };
    assert_eq!(beats(&bench.put(Input::Beaten { attempt: id(1), result: Ok(alive) })).len(), 1, "overdue");
    bench.put(Input::Beaten { attempt: id(1), result: Ok(alive) });
    let (waited, effects) = bench.next();
    assert_eq!((waited, beats(&effects).len()), (Duration::from_secs(10), 1));
}

#[test]
fn a_lost_heartbeat_is_repeated_soon_and_then_more_slowly() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.after(Duration::from_secs(10));
    for bound in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
        bench.put(Input::Beaten { attempt: id(1), result: Err(lost()) });
        let (waited, effects) = bench.next();
        assert_eq!(beats(&effects).len(), 1);
        assert!(waited <= Duration::from_millis(bound), "{waited:?} > {bound} ms");
        assert!(waited >= Duration::from_millis(250), "{waited:?}");
    }
    assert_eq!(bench.core.busy(), 1, "the training goes on");
}

#[test]
fn a_lost_claim_is_repeated_as_it_was_until_its_fate_is_known() {
    let mut bench = Bench::new(3, Limits::default());
    let first = claim(&bench.put(Input::Tick));
    for _ in 0..12 {
        assert_eq!(bench.put(Input::Claimed { claim: first.0, result: Err(lost()) }), []);
        let (waited, effects) = bench.next();
        assert_eq!(claim(&effects), first);
        assert!(waited <= Duration::from_secs(15), "{waited:?}");
    }
    let effects = bench.put(Input::Claimed { claim: first.0, result: Ok(vec![lease(1), lease(2)]) });
    assert_eq!(
        beats(&effects),
        [(id(1), 0), (id(2), 0)],
        "old leases may have expired: that is asked at once"
    );
    assert!(effects.contains(&Effect::Claim { claim: first.0 + 1, max: 1, wait_s: 20 }));
    let lost_once = |notice: &&Notice| matches!(notice, Notice::ServerLost { .. });
    assert_eq!(bench.notices.iter().filter(lost_once).count(), 1);
    assert!(bench.notices.contains(&Notice::ServerBack));
}

#[test]
fn a_claim_reply_that_comes_twice_starts_nothing_twice() {
    let mut bench = Bench::new(1, Limits::default());
    let (number, ..) = claim(&bench.put(Input::Tick));
    bench.put(Input::Claimed { claim: number, result: Ok(vec![lease(1)]) });
    assert_eq!(bench.put(Input::Claimed { claim: number, result: Ok(vec![lease(1)]) }), []);
    assert_eq!(bench.core.busy(), 1);
}

#[test]
fn empty_claims_are_not_repeated_in_a_tight_loop() {
    let mut bench = Bench::new(1, Limits::default());
    let (number, ..) = claim(&bench.put(Input::Tick));
    bench.put(Input::Claimed { claim: number, result: Ok(Vec::new()) });
    assert_eq!(bench.next().0, Duration::from_secs(1), "the server did not hold it open");
    bench.now += Duration::from_secs(20);
    let effects = bench.put(Input::Claimed { claim: number + 1, result: Ok(Vec::new()) });
    assert_eq!(claim(&effects).0, number + 2, "the server did");
}

#[test]
fn more_leases_than_slots_are_given_back() {
    let mut bench = Bench::new(1, Limits::default());
    let effects = bench.lease(&[lease(1), lease(2)]);
    assert_eq!(released(&effects), Some("no free slot"));
}

#[test]
fn a_stale_lease_stops_the_training_and_drops_its_output() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 1);
    bench.after(Duration::from_secs(1));
    let effects = bench.put(Input::Stored { attempt: id(1), result: Err(CallError::Stale) });
    assert_eq!(effects, [Effect::Stop { attempt: id(1) }]);
    assert_eq!(bench.log(id(1), 300), [], "its points go nowhere");
    assert_eq!(bench.after(Duration::from_secs(60)), [], "and its heart is silent");
    let effects = bench.end(id(1), trained());
    assert_eq!(report(&effects), None, "even a whole result");
    claim(&effects);
    assert_eq!(bench.fates(), [Fate::Dropped]);
}

#[test]
fn a_result_in_hand_is_offered_even_after_a_stale_heartbeat() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.after(Duration::from_secs(10));
    bench.log(id(1), 2);
    bench.end(id(1), trained());
    let effects = bench.put(Input::Beaten { attempt: id(1), result: Err(CallError::Stale) });
    assert!(matches!(report(&effects), Some(Report::Complete(_))), "{effects:?}");
    bench.put(Input::Reported { attempt: id(1), result: Err(CallError::Stale) });
    assert_eq!(bench.fates(), [Fate::Dropped]);
}

#[test]
fn a_release_whose_reply_was_lost_is_repeated_after_a_stale_heartbeat() {
    for (answer, fate) in [(Ok(()), Fate::Released), (Err(CallError::Stale), Fate::Dropped)] {
        let mut bench = Bench::new(1, Limits::default());
        bench.lease(&[lease(1)]);
        bench.after(Duration::from_secs(10));
        bench.put(Input::Drain);
        assert_eq!(released(&bench.end(id(1), Ending::Stopped)), Some("drain"));
        bench.put(Input::Reported { attempt: id(1), result: Err(lost()) });
        let effects = bench.put(Input::Beaten { attempt: id(1), result: Err(CallError::Stale) });
        assert!(bench.fates().is_empty() && effects.is_empty(), "{effects:?}");
        assert_eq!(released(&bench.next().1), Some("drain"));
        let result = answer.map(|()| ReportReply { state: TrialState::Queued });
        bench.put(Input::Reported { attempt: id(1), result });
        assert_eq!(bench.fates(), [fate]);
    }
}

#[test]
fn a_cancelled_trial_stops_and_is_given_back() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.after(Duration::from_secs(10));
    let cancel = HeartbeatReply { cancel: true, stop: false, lease_s: 30 };
    assert_eq!(
        bench.put(Input::Beaten { attempt: id(1), result: Ok(cancel) }),
        [Effect::Stop { attempt: id(1) }]
    );
    assert_eq!(released(&bench.end(id(1), Ending::Stopped)), Some("cancelled"));
    bench.reported(id(1));
    assert_eq!(bench.fates(), [Fate::Released]);
}

#[test]
fn points_that_decide_whether_a_trial_goes_on_do_not_wait() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[Lease { judged: true, ..lease(1) }]);
    assert_eq!(batch(&bench.log(id(1), 1)), Some((0, 0)), "at once");
    assert_eq!(bench.log(id(1), 2), [], "one batch at a time");
    assert_eq!(batch(&bench.stored(id(1), 1)), Some((1, 2)), "what came meanwhile");
}

fn stop_reply(next_seq: u64) -> Input {
    Input::Stored { attempt: id(1), result: Ok(MetricsReply { next_seq, stop: true }) }
}

fn stopped_early() -> Ending {
    let report = TrialReport { stopped_step: Some(9), stopped_epoch: Some(0.9), ..*result(None) };
    Ending::Trained(Box::new(report))
}

#[test]
fn a_trial_that_is_to_end_early_ends_with_what_it_has_come_to() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 2);
    assert_eq!(batch(&bench.next().1), Some((0, 1)));
    assert_eq!(bench.put(stop_reply(2)), [Effect::Conclude { attempt: id(1) }]);
    // It is told once, whoever tells it again.
    let again = HeartbeatReply { cancel: false, stop: true, lease_s: 30 };
    assert_eq!(bench.put(Input::Beaten { attempt: id(1), result: Ok(again) }), []);
    bench.log(id(1), 1);
    let effects = bench.end(id(1), stopped_early());
    assert_eq!((batch(&effects), report(&effects)), (Some((2, 2)), None), "the points come first");
    let effects = bench.put(stop_reply(3));
    assert!(
        matches!(report(&effects), Some(Report::Complete(it)) if it.stopped_step == Some(9)),
        "{effects:?}"
    );
    bench.reported(id(1));
    assert_eq!(bench.fates(), [Fate::Stopped]);
}

#[test]
fn a_heartbeat_can_end_a_trial_early_and_one_that_is_through_is_whole() {
    let stop = || Input::Beaten {
        attempt: id(1),
        result: Ok(HeartbeatReply { cancel: false, stop: true, lease_s: 30 }),
    };
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    assert_eq!(bench.put(stop()), [Effect::Conclude { attempt: id(1) }]);
    // It had made its last step: told too late.
    assert_eq!(report(&bench.end(id(1), trained())), Some(&Report::Complete(result(None))));
    bench.reported(id(1));
    assert_eq!(bench.fates(), [Fate::Succeeded]);

    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.end(id(1), trained());
    assert_eq!(bench.put(stop()), [], "its result is on its way");
}

#[test]
fn a_trial_that_ends_early_gives_way_to_a_stale_lease_and_not_to_a_cancel_or_a_drain() {
    let begun = || {
        let mut bench = Bench::new(1, Limits::default());
        bench.lease(&[lease(1)]);
        let stop = HeartbeatReply { cancel: false, stop: true, lease_s: 30 };
        bench.put(Input::Beaten { attempt: id(1), result: Ok(stop) });
        bench
    };
    let mut bench = begun();
    bench.put(Input::Beaten { attempt: id(1), result: Err(CallError::Stale) });
    assert_eq!(report(&bench.end(id(1), stopped_early())), None);
    assert_eq!(bench.fates(), [Fate::Dropped]);

    let mut bench = begun();
    let cancel = HeartbeatReply { cancel: true, stop: true, lease_s: 30 };
    assert_eq!(bench.put(Input::Beaten { attempt: id(1), result: Ok(cancel) }), []);
    assert!(matches!(report(&bench.end(id(1), stopped_early())), Some(Report::Complete(_))));

    let mut bench = begun();
    bench.put(Input::Drain);
    assert!(matches!(report(&bench.end(id(1), stopped_early())), Some(Report::Complete(_))));

    // Told before its training began: there is no result, and another attempt will hear the same.
    let mut bench = begun();
    assert_eq!(released(&bench.end(id(1), Ending::Stopped)), Some("stopped early"));
}

#[test]
fn an_outage_keeps_every_point_and_the_result_in_order() {
    let limits = Limits { batch_points_max: 4, ..Limits::default() };
    let mut bench = Bench::new(1, limits);
    bench.lease(&[lease(1)]);
    assert_eq!(batch(&bench.log(id(1), 10)), Some((0, 3)), "a full batch does not wait");
    bench.put(Input::Stored { attempt: id(1), result: Err(lost()) });
    bench.end(id(1), trained());
    let outage_ends = bench.now + Duration::from_secs(600);
    while bench.now < outage_ends {
        let (waited, effects) = bench.next();
        assert!(waited <= Duration::from_secs(15), "{waited:?}");
        assert_eq!(report(&effects), None);
        for effect in effects {
            let failed = match effect {
                Effect::Store { points, .. } => {
                    assert_eq!(points[0].seq, 0);
                    Input::Stored { attempt: id(1), result: Err(lost()) }
                }
                Effect::Beat { .. } => Input::Beaten { attempt: id(1), result: Err(lost()) },
                Effect::Claim { claim, .. } => Input::Claimed { claim, result: Err(lost()) },
                other => panic!("{other:?}"),
            };
            bench.put(failed);
        }
    }
    let mut stored = 0;
    let mut replies_lost = 1;
    let told = loop {
        let mut effects = bench.next().1;
        while let Some((first, last)) = batch(&effects) {
            assert_eq!(first, stored, "in order, without gap or repeat");
            stored = last + 1;
            effects = bench.stored(id(1), stored);
        }
        let Some(told) = report(&effects).cloned() else { continue };
        assert_eq!(stored, 10, "every point before the result");
        if replies_lost == 0 {
            break told;
        }
        replies_lost -= 1;
        let effects = bench.put(Input::Reported { attempt: id(1), result: Err(lost()) });
        assert_eq!(report(&effects), None, "not at once");
    };
    assert_eq!(told, Report::Complete(result(None)));
    bench.reported(id(1));
    assert_eq!(bench.fates(), [Fate::Succeeded]);
}

#[test]
fn a_full_spool_holds_the_training_until_there_is_room() {
    let limits = Limits { spool_points_max: 6, ..Limits::default() };
    let mut bench = Bench::new(1, limits);
    bench.lease(&[lease(1)]);
    assert_eq!(bench.log(id(1), 7), [Effect::Pause { attempt: id(1) }], "once");
    assert_eq!(batch(&bench.after(Duration::from_secs(1))), Some((0, 6)));
    assert_eq!(bench.stored(id(1), 2), [], "five are left: too many");
    assert_eq!(batch(&bench.after(Duration::from_secs(1))), Some((2, 6)));
    assert_eq!(bench.stored(id(1), 7), [Effect::Resume { attempt: id(1) }]);
}

#[test]
fn a_batch_that_brings_nothing_forward_is_sent_again_after_a_delay() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 2);
    bench.end(id(1), trained());
    assert_eq!(bench.stored(id(1), 0), []);
    let (waited, effects) = bench.next();
    assert_eq!(batch(&effects), Some((0, 1)));
    assert!(waited >= Duration::from_millis(250), "{waited:?}");
}

#[test]
fn a_server_that_has_lost_acknowledged_points_has_lost_the_attempt() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 200);
    bench.stored(id(1), 200);
    bench.log(id(1), 200);
    assert_eq!(bench.stored(id(1), 100), [Effect::Stop { attempt: id(1) }]);
}

#[test]
fn batches_that_are_too_large_shrink_and_hopeless_ones_fail_the_attempt() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 8);
    let mut effects = bench.after(Duration::from_secs(1));
    for last in [7, 3, 1, 0] {
        assert_eq!(batch(&effects), Some((0, last)));
        let too_large = CallError::TooLarge("big".to_owned());
        effects = bench.put(Input::Stored { attempt: id(1), result: Err(too_large) });
    }
    for _ in 0..2 {
        assert_eq!(effects, []);
        effects = bench.next().1;
        assert_eq!(batch(&effects), Some((0, 0)));
        let refused = CallError::Refused("no".to_owned());
        effects = bench.put(Input::Stored { attempt: id(1), result: Err(refused) });
    }
    assert_eq!(effects, [Effect::Stop { attempt: id(1) }]);
    assert_eq!(bench.log(id(1), 300), [], "points after those that were dropped would leave a gap");
    let effects = bench.end(id(1), trained());
    let Some(Report::Fail(Failure { reason, retryable: false })) = report(&effects) else {
        panic!("{effects:?}")
    };
    assert!(reason.contains("no"), "{reason}");
}

#[test]
fn a_refused_result_becomes_a_failure_and_a_failure_is_told_once() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    assert!(report(&bench.end(id(1), Ending::Trained(result(Some(4))))).is_some());
    let refused = || Err(CallError::Refused("result_hash".to_owned()));
    let effects = bench.put(Input::Reported { attempt: id(1), result: refused() });
    assert!(matches!(report(&effects), Some(Report::Fail(_))), "{effects:?}");
    bench.put(Input::Reported { attempt: id(1), result: refused() });
    assert_eq!(bench.fates(), [Fate::Dropped]);
}

#[test]
fn divergence_is_a_result() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    let effects = bench.end(id(1), Ending::Trained(result(Some(4))));
    assert_eq!(report(&effects), Some(&Report::Complete(result(Some(4)))));
    bench.reported(id(1));
    assert_eq!(bench.fates(), [Fate::Diverged]);
}

#[test]
fn a_drain_stops_gives_back_and_ends() {
    let mut bench = Bench::new(2, Limits::default());
    bench.lease(&[lease(1), lease(2)]);
    bench.log(id(1), 1);
    let effects = bench.put(Input::Drain);
    assert_eq!(effects, [Effect::Stop { attempt: id(1) }, Effect::Stop { attempt: id(2) }]);
    let effects = bench.end(id(1), Ending::Stopped);
    assert_eq!((batch(&effects), report(&effects)), (Some((0, 0)), None));
    assert_eq!(released(&bench.stored(id(1), 1)), Some("drain"));
    assert!(matches!(report(&bench.end(id(2), trained())), Some(Report::Complete(_))), "it was done anyway");
    assert_eq!(bench.reported(id(1)), [], "and nothing new is claimed");
    assert_eq!(bench.reported(id(2)), [Effect::Exit { fault: None }]);
    assert_eq!(bench.put(Input::Drain), [], "after the end nothing comes");
}

#[test]
fn a_drain_finds_out_what_an_open_claim_has_leased() {
    let mut bench = Bench::new(1, Limits::default());
    let (number, ..) = claim(&bench.put(Input::Tick));
    assert_eq!(bench.put(Input::Drain), [Effect::Recall { claim: number }]);
    let effects = bench.put(Input::Claimed { claim: number, result: Ok(vec![lease(1)]) });
    assert_eq!(released(&effects), Some("drain"));
    assert_eq!(bench.reported(id(1)), [Effect::Exit { fault: None }]);
}

#[test]
fn a_drain_without_work_ends_at_once_when_the_claim_is_answered() {
    let mut bench = Bench::new(1, Limits::default());
    let (number, ..) = claim(&bench.put(Input::Tick));
    bench.put(Input::Drain);
    let effects = bench.put(Input::Claimed { claim: number, result: Err(lost()) });
    assert_eq!(effects, [Effect::Exit { fault: None }]);
}

#[test]
fn a_drain_ends_although_a_training_hangs_and_the_server_is_away() {
    let limits = Limits::default();
    let mut bench = Bench::new(1, limits);
    bench.lease(&[lease(1)]);
    bench.put(Input::Drain);
    let began = bench.now;
    let (waited, effects) = bench.next();
    assert_eq!(
        (waited, released(&effects)),
        (limits.drain_stop_max, Some("drain")),
        "it is given back unstopped"
    );
    loop {
        bench.put(Input::Reported { attempt: id(1), result: Err(lost()) });
        let (_, effects) = bench.next();
        if effects.contains(&Effect::Exit { fault: None }) {
            break;
        }
    }
    assert_eq!(bench.now - began, limits.drain_max);
}

#[test]
fn points_of_a_released_trial_do_not_hold_up_its_release() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    bench.log(id(1), 1);
    bench.put(Input::Drain);
    assert!(batch(&bench.end(id(1), Ending::Stopped)).is_some());
    let effects = bench.put(Input::Stored { attempt: id(1), result: Err(lost()) });
    assert_eq!(released(&effects), Some("drain"));
}

#[test]
fn a_worker_that_is_not_accepted_stops_everything() {
    let mut bench = Bench::new(2, Limits::default());
    bench.lease(&[lease(1)]);
    bench.after(Duration::from_secs(10));
    let fatal = CallError::Fatal("revoked".to_owned());
    let effects = bench.put(Input::Beaten { attempt: id(1), result: Err(fatal) });
    let exit = Effect::Exit { fault: Some("revoked".to_owned()) };
    assert_eq!(effects, [Effect::Stop { attempt: id(1) }, exit]);
}

#[test]
fn reports_that_wait_do_not_let_the_worker_claim_without_bound() {
    let mut bench = Bench::new(1, Limits::default());
    bench.lease(&[lease(1)]);
    let effects = bench.end(id(1), trained());
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Claim { .. })), "{effects:?}");
    claim(&bench.reported(id(1)));
}

#[test]
fn answers_for_attempts_that_are_gone_change_nothing() {
    let mut bench = Bench::new(1, Limits::default());
    bench.put(Input::Tick);
    for input in [
        Input::Beaten { attempt: id(9), result: Err(CallError::Stale) },
        Input::Stored { attempt: id(9), result: Ok(MetricsReply { next_seq: 4, stop: false }) },
        Input::Reported { attempt: id(9), result: Err(CallError::Stale) },
        Input::Stepped { attempt: id(9), step: 1, total_steps: None },
        Input::Ended { attempt: id(9), ending: Ending::Stopped },
    ] {
        assert_eq!(bench.put(input), []);
    }
}

#[test]
fn the_same_inputs_lead_to_the_same_effects() {
    let play = || {
        let mut bench = Bench::new(1, Limits::default());
        let (number, ..) = claim(&bench.put(Input::Tick));
        let mut waits = Vec::new();
        for _ in 0..5 {
            bench.put(Input::Claimed { claim: number, result: Err(lost()) });
            waits.push(bench.next());
        }
        waits
    };
    assert_eq!(play(), play());
}
