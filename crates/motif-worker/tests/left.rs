//! The state machine with what an earlier worker has left: delivered first, in order, and never made worse.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use motif_sweep::lifecycle::TrialState;
use motif_wire::{
    metrics::MetricPoint,
    trials::{Provenance, TrialReport},
    work::{Checkpoint, HeartbeatReply, MetricsReply, Release, ReportReply},
};
use motif_worker::core::{CallError, Core, Effect, Fate, Input, LeaseKey, Limits, Notice, Recovered, Report};
use uuid::Uuid;

const START: Duration = Duration::from_secs(1000);

struct Bench {
    core: Core,
    now: Duration,
    fates: Vec<Fate>,
}

impl Bench {
    fn new(left: Vec<Recovered>) -> Self {
        let mut core = Core::new(2, Limits::default(), 7);
        for left in left {
            core.recover(left, START);
        }
        assert_eq!(core.check(), Ok(()));
        Self { core, now: START, fates: Vec::new() }
    }

    fn put(&mut self, input: Input) -> Vec<Effect> {
        let effects = self.core.step(input, self.now);
        assert_eq!(self.core.check(), Ok(()));
        self.fates.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Notify(Notice::Ended { fate, .. }) => Some(*fate),
            _ => None,
        }));
        effects.into_iter().filter(|effect| !matches!(effect, Effect::Notify(_))).collect()
    }

    /// What comes next by itself.
    fn next(&mut self) -> Vec<Effect> {
        for _ in 0..100 {
            self.now = self.core.wake().expect("something is due").max(self.now);
            let effects = self.put(Input::Tick);
            if !effects.is_empty() {
                return effects;
            }
        }
        panic!("the machine wakes without doing anything");
    }

    fn stored(&mut self, next_seq: u64) -> Vec<Effect> {
        self.put(Input::Stored { attempt: attempt(), result: Ok(MetricsReply { next_seq, stop: false }) })
    }

    fn stored_not(&mut self, error: CallError) -> Vec<Effect> {
        self.put(Input::Stored { attempt: attempt(), result: Err(error) })
    }

    fn saved(&mut self, result: Result<Checkpoint, CallError>) -> Vec<Effect> {
        self.put(Input::Saved { attempt: attempt(), step: 7, result })
    }

    fn reported(&mut self, result: Result<ReportReply, CallError>) -> Vec<Effect> {
        self.put(Input::Reported { attempt: attempt(), result })
    }
}

fn attempt() -> Uuid {
    Uuid::from_u128(1)
}

fn point(seq: u64) -> MetricPoint {
    MetricPoint { seq, step: 10 * seq, epoch: 0.5, values: BTreeMap::new() }
}

fn left(points: std::ops::Range<u64>, kept: bool, report: Option<Report>) -> Recovered {
    Recovered {
        key: LeaseKey { attempt: attempt(), token: "1.1.secret".into() },
        trial: Uuid::from_u128(2),
        beat_every: Duration::from_secs(10),
        kept: kept.then(|| (7, points.end, Arc::from(&b"bytes"[..]))),
        points: points.map(point).collect(),
        report,
    }
}

fn complete() -> Report {
    let text = String::new;
    Report::Complete(Box::new(TrialReport {
        diverged_step: None,
        stopped_step: None,
        stopped_epoch: None,
        steps: 99,
        metrics: BTreeMap::new(),
        result_hash: text(),
        training_s: 1.0,
        evaluation_s: None,
        diagnostics_s: None,
        spectra_s: None,
        provenance: Provenance {
            version: text(),
            commit: None,
            instruction_set: text(),
            platform: text(),
            host: text(),
            dataset_hash: text(),
            config_hash: text(),
        },
    }))
}

fn release() -> Report {
    Report::Release(Release { reason: "drain".to_owned() })
}

fn away() -> CallError {
    CallError::Transient("away".to_owned())
}

/// What leaves, in words.
fn words(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Store { points, .. } => {
            format!("store {} to {}", points[0].seq, points[points.len() - 1].seq)
        }
        Effect::Save { step, points, .. } => format!("save step {step} behind {points}"),
        Effect::Report { report: Report::Complete(_), .. } => "complete".to_owned(),
        Effect::Report { report: Report::Release(release), .. } => format!("release: {}", release.reason),
        Effect::Beat { step, .. } => format!("beat {step}"),
        Effect::Claim { max, .. } => format!("claim {max}"),
        other => format!("{other:?}"),
    };
    effects.iter().map(word).collect()
}

fn ok() -> Result<ReportReply, CallError> {
    Ok(ReportReply { state: TrialState::Succeeded })
}

#[test]
fn a_result_is_delivered_behind_its_points_before_anything_is_claimed() {
    let mut bench = Bench::new(vec![left(3..6, true, Some(complete()))]);
    let effects = bench.put(Input::Tick);
    assert_eq!(words(&effects), ["store 3 to 5", "beat 99"], "a trial with a result needs no checkpoint");
    assert_eq!(bench.stored_not(away()), []);
    let beat = Ok(HeartbeatReply { cancel: false, stop: false, lease_s: 30 });
    bench.put(Input::Beaten { attempt: attempt(), result: beat });
    assert_eq!(words(&bench.next()), ["store 3 to 5"]);
    assert_eq!(words(&bench.stored(6)), ["complete"]);
    assert_eq!(bench.reported(Err(away())), []);
    let again = words(&bench.next());
    assert!(again.contains(&"complete".to_owned()), "{again:?}");
    assert_eq!(words(&bench.reported(ok())), ["claim 2"], "now there may be others");
    assert_eq!(bench.fates, [Fate::Succeeded]);
}

#[test]
fn a_late_result_is_delivered_without_its_points_when_the_lease_has_expired() {
    let mut bench = Bench::new(vec![left(3..6, false, Some(complete()))]);
    bench.put(Input::Tick);
    assert_eq!(words(&bench.stored_not(CallError::Stale)), ["complete"]);
    let superseded = bench.reported(Err(CallError::Stale));
    assert_eq!(words(&superseded), ["claim 2"]);
    assert_eq!(bench.fates, [Fate::Dropped]);
}

#[test]
fn what_died_with_its_worker_is_saved_and_left_to_its_lease() {
    let mut bench = Bench::new(vec![left(0..2, true, None)]);
    assert_eq!(words(&bench.put(Input::Tick)), ["store 0 to 1"], "no heartbeat: the death is to be noticed");
    assert_eq!(words(&bench.stored(2)), ["save step 7 behind 2"]);
    assert_eq!(bench.saved(Err(away())), []);
    assert_eq!(
        words(&bench.next()),
        ["save step 7 behind 2"],
        "there is time to wait for a server that is away"
    );
    let saved = Checkpoint { step: 7, points: 2, hash: String::new(), bytes: 5 };
    assert_eq!(words(&bench.saved(Ok(saved))), ["claim 2"]);
    assert_eq!(bench.fates, [Fate::Left]);

    let mut bench = Bench::new(vec![left(0..2, true, None)]);
    bench.put(Input::Tick);
    assert_eq!(words(&bench.stored_not(CallError::Stale)), ["claim 2"]);
    assert_eq!(bench.fates, [Fate::Dropped]);
}

#[test]
fn a_trial_that_was_to_be_given_back_is_saved_and_given_back_although_the_server_was_away() {
    let mut bench = Bench::new(vec![left(0..2, true, Some(release()))]);
    assert_eq!(words(&bench.put(Input::Tick)), ["store 0 to 1", "beat 10"]);
    assert_eq!(bench.stored_not(away()), []);
    assert!(words(&bench.next()).contains(&"store 0 to 1".to_owned()));
    assert_eq!(words(&bench.stored(2)), ["save step 7 behind 2"]);
    let saved = Checkpoint { step: 7, points: 2, hash: String::new(), bytes: 5 };
    assert_eq!(words(&bench.saved(Ok(saved))), ["release: drain"]);
    assert_eq!(words(&bench.reported(ok())), ["claim 2"]);
    assert_eq!(bench.fates, [Fate::Released]);
}

#[test]
fn what_cannot_be_delivered_does_not_hold_the_worker_up_for_ever() {
    let mut bench = Bench::new(vec![left(0..0, false, Some(complete()))]);
    assert!(words(&bench.put(Input::Tick)).contains(&"complete".to_owned()));
    let mut asked = Vec::new();
    // The server answers heartbeats, and never the report.
    while asked.is_empty() {
        assert!(bench.now < START + Duration::from_secs(80), "no claim within the limit");
        bench.reported(Err(away()));
        let beat = Ok(HeartbeatReply { cancel: false, stop: false, lease_s: 30 });
        bench.put(Input::Beaten { attempt: attempt(), result: beat });
        asked = words(&bench.next()).into_iter().filter(|word| word.starts_with("claim")).collect();
    }
    assert!(bench.now >= START + Limits::default().deliver_first_max);
    assert_eq!(bench.fates, []);

    // A server that is away answers no claim either: what is left stays first, however long it takes.
    let mut bench = Bench::new(vec![left(0..0, false, Some(complete()))]);
    bench.put(Input::Tick);
    while bench.now < START + Duration::from_secs(1000) {
        bench.put(Input::Beaten { attempt: attempt(), result: Err(away()) });
        assert_eq!(words(&bench.reported(Err(away()))).len(), 0);
        assert!(!words(&bench.next()).iter().any(|word| word.starts_with("claim")));
    }
}

#[test]
fn a_checkpoint_whose_points_are_lost_is_not_sent() {
    let left = Recovered { kept: Some((7, 9, Arc::from(&b"bytes"[..]))), ..left(3..6, false, None) };
    let mut bench = Bench::new(vec![left]);
    assert_eq!(words(&bench.put(Input::Tick)), ["store 3 to 5"]);
    assert_eq!(words(&bench.stored(6)), ["claim 2"]);
    assert_eq!(bench.fates, [Fate::Left]);
}
