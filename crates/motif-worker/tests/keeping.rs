//! Checkpoints in the state machine: sent after the points before them, replaced by newer ones, and never what a trial's
//! end waits for when the server is away.

use std::{collections::BTreeMap, time::Duration};

use motif_sweep::lifecycle::Policy;
use motif_wire::work::{Checkpoint, Lease, MetricsReply};
use motif_worker::core::{CallError, Core, Effect, Ending, Input, Limits, LoggedPoint, Report};
use serde_json::json;
use uuid::Uuid;

const ATTEMPT: Uuid = Uuid::from_u128(1);

/// A machine with one trial in training, and what it does.
struct Bench(Core);

impl Bench {
    fn new() -> Self {
        let mut bench = Self(Core::new(1, Limits::default(), 7));
        let Some(Effect::Claim { claim, .. }) = bench.put(Input::Tick).pop() else { panic!("no claim") };
        let lease = Lease {
            attempt_id: ATTEMPT,
            token: "1.1.x".to_owned(),
            trial_id: Uuid::from_u128(2),
            sweep_id: Uuid::from_u128(3),
            attempt: 1,
            config: json!({}),
            seed: 0,
            dataset_hash: "h".to_owned(),
            policy: Policy::default(),
            judged: true,
            snapshots: false,
            checkpoint: None,
        };
        bench.put(Input::Claimed { claim, result: Ok(vec![lease]) });
        bench
    }

    fn put(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = self.0.step(input, Duration::from_secs(9));
        assert_eq!(self.0.check(), Ok(()));
        effects.retain(|effect| !matches!(effect, Effect::Notify(_)));
        effects
    }

    fn keep(&mut self, step: u64) -> Vec<Effect> {
        self.put(Input::Kept { attempt: ATTEMPT, step, bytes: vec![7; 3].into() })
    }

    fn log(&mut self, step: u64) -> Vec<Effect> {
        let point = LoggedPoint { step, epoch: 1.0, values: BTreeMap::new() };
        self.put(Input::Logged { attempt: ATTEMPT, point })
    }

    fn stored(&mut self, next_seq: u64) -> Vec<Effect> {
        let result = Ok(MetricsReply { next_seq, stop: false });
        self.put(Input::Stored { attempt: ATTEMPT, result })
    }

    fn saved(&mut self, step: u64, result: Result<(), CallError>) -> Vec<Effect> {
        let newest = Checkpoint { step, points: 0, hash: String::new(), bytes: 3 };
        self.put(Input::Saved { attempt: ATTEMPT, step, result: result.map(|()| newest) })
    }
}

/// Step and points of the checkpoint that is sent.
fn sent(effects: &[Effect]) -> Option<(u64, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Save { step, points, .. } => Some((*step, *points)),
        _ => None,
    })
}

fn reports(effects: &[Effect]) -> Vec<&Report> {
    let report = |effect: &'_ Effect| matches!(effect, Effect::Report { .. });
    let reports = effects.iter().filter(|effect| report(effect));
    reports
        .map(|effect| if let Effect::Report { report, .. } = effect { report } else { unreachable!() })
        .collect()
}

#[test]
fn a_checkpoint_follows_its_points_and_a_newer_one_replaces_it() {
    let mut bench = Bench::new();
    bench.log(10);
    assert_eq!(sent(&bench.keep(10)), None, "its point is not stored yet");
    assert_eq!(sent(&bench.keep(12)), None);
    assert_eq!(sent(&bench.stored(1)), Some((12, 1)));
    assert_eq!(sent(&bench.keep(14)), None, "one at a time");
    assert_eq!(sent(&bench.saved(12, Ok(()))), Some((14, 1)));
    assert_eq!(sent(&bench.saved(14, Ok(()))), None);
    assert_eq!(sent(&bench.keep(16)), Some((16, 1)));
    let refused = bench.saved(16, Err(CallError::Refused("too many".to_owned())));
    assert_eq!(sent(&refused), None, "what is refused is not sent again");
}

#[test]
fn points_after_a_checkpoint_do_not_hold_it_up_and_a_resumed_attempt_counts_on() {
    let mut bench = Bench::new();
    bench.put(Input::Resumed { attempt: ATTEMPT, step: 40, points: 4 });
    let first = bench.log(50);
    let seq = first.iter().find_map(|effect| match effect {
        Effect::Store { points, .. } => Some(points[0].seq),
        _ => None,
    });
    assert_eq!(seq, Some(4));
    bench.keep(50);
    bench.log(60);
    assert_eq!(sent(&bench.stored(5)), Some((50, 5)), "the sixth point is under way");
}

#[test]
fn a_drained_trial_is_saved_before_it_is_given_back_unless_the_server_is_away() {
    for away in [false, true] {
        let mut bench = Bench::new();
        bench.put(Input::Drain);
        assert_eq!(sent(&bench.keep(8)), Some((8, 0)));
        let ended = bench.put(Input::Ended { attempt: ATTEMPT, ending: Ending::Stopped });
        assert!(reports(&ended).is_empty(), "it waits for the checkpoint");
        let lost = CallError::Transient("away".to_owned());
        let effects = bench.saved(8, if away { Err(lost) } else { Ok(()) });
        assert!(matches!(reports(&effects)[..], [Report::Release(_)]), "{effects:?}");
        assert_eq!(sent(&effects), None);
    }
}

#[test]
fn nobody_goes_on_with_a_trial_that_has_ended_or_was_taken_over() {
    let mut bench = Bench::new();
    bench.log(10);
    bench.keep(10);
    let failure = motif_wire::work::Failure { reason: "broke".to_owned(), retryable: true };
    bench.put(Input::Ended { attempt: ATTEMPT, ending: Ending::Failed(failure) });
    let effects = bench.stored(1);
    assert!(sent(&effects).is_none() && matches!(reports(&effects)[..], [Report::Fail(_)]), "{effects:?}");

    let mut bench = Bench::new();
    bench.keep(10);
    let effects = bench.saved(10, Err(CallError::Stale));
    assert_eq!(effects, [Effect::Stop { attempt: ATTEMPT }]);
    assert_eq!(bench.keep(12), [], "and nothing more is saved");
}
