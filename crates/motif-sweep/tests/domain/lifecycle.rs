//! The lifecycle, explored exhaustively at a small size: every reachable state under every event.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use motif_sweep::lifecycle::{
    AttemptOutcome, Conclusion, Event, LeaseLife, Life, Policy, Refusal, Transition, TrialState, step,
};

/// Attempts after which a state is not explored further.
const ATTEMPTS_MAX: u32 = 6;
const STEPS_MAX: u64 = 2;

const POLICY: Policy = Policy {
    lease_ttl_s: 2,
    heartbeat_s: 1,
    failures_max: 1,
    crashes_max: 2,
    backoff_base_s: 1,
    backoff_max_s: 2,
    runtime_max_s: 4,
    stall_timeout_s: 3,
};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn s(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// A state, with all its times relative to now, so that there are finitely many.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    state: TrialState,
    attempt: u32,
    failures: u32,
    crashes: u32,
    cancel_requested: bool,
    stop_decided: bool,
    wait_s: i64,
    lease: Option<(i64, i64, i64, u64)>,
}

impl Point {
    fn of(life: &Life, now: Timestamp) -> Self {
        let until = |then: Timestamp| then.duration_since(now).as_secs().max(0);
        let age = |then: Timestamp, cap: u32| now.duration_since(then).as_secs().min(i64::from(cap));
        Self {
            state: life.state,
            attempt: life.attempt,
            failures: life.failures,
            crashes: life.crashes,
            cancel_requested: life.cancel_requested,
            stop_decided: life.stop_decided,
            wait_s: if life.state == TrialState::Queued { until(life.not_before) } else { 0 },
            lease: life.lease.as_ref().map(|lease| {
                let age_s = age(lease.started_at, POLICY.runtime_max_s);
                let idle_s = age(lease.progressed_at, POLICY.stall_timeout_s);
                (age_s, until(lease.expires_at), idle_s, lease.step.min(STEPS_MAX))
            }),
        }
    }

    fn life(&self) -> Life {
        Life {
            state: self.state,
            attempt: self.attempt,
            failures: self.failures,
            crashes: self.crashes,
            cancel_requested: self.cancel_requested,
            stop_decided: self.stop_decided,
            not_before: NOW + s(self.wait_s),
            lease: self.lease.map(|(age_s, left_s, idle_s, step)| LeaseLife {
                started_at: NOW - s(age_s),
                expires_at: NOW + s(left_s),
                progressed_at: NOW - s(idle_s),
                step,
            }),
        }
    }
}

/// Every end that a worker can report, and what it makes of trial and attempt.
const CONCLUSIONS: [(Conclusion, TrialState, AttemptOutcome); 3] = [
    (Conclusion::Succeeded, TrialState::Succeeded, AttemptOutcome::Succeeded),
    (Conclusion::Diverged, TrialState::Diverged, AttemptOutcome::Diverged),
    (Conclusion::Stopped, TrialState::Stopped, AttemptOutcome::Stopped),
];

fn events(life: &Life) -> Vec<Event> {
    let mut events = vec![
        Event::Claim,
        Event::Release,
        Event::Reap { jitter: 1.0 },
        Event::Cancel,
        Event::Retry,
        Event::Stop,
        Event::Fail { retryable: true, jitter: 1.0 },
        Event::Fail { retryable: false, jitter: 0.0 },
    ];
    let at = life.lease.as_ref().map_or(0, |lease| lease.step);
    events.extend([Event::Heartbeat { step: at }, Event::Heartbeat { step: at + 1 }]);
    for attempt in 0..=life.attempt + 1 {
        events.extend(CONCLUSIONS.map(|(conclusion, ..)| Event::Complete { attempt, conclusion }));
    }
    events
}

/// An event and what came of it.
type Tried = (Event, Result<Transition, Refusal>);

/// Every reachable state, with what each event leads to.
fn explore() -> HashMap<Point, Vec<Tried>> {
    let mut seen = HashMap::new();
    let mut queue = VecDeque::from([Point::of(&Life::submitted(NOW), NOW)]);
    while let Some(point) = queue.pop_front() {
        if seen.contains_key(&point) {
            continue;
        }
        let life = point.life();
        let outcomes: Vec<_> =
            events(&life).into_iter().map(|event| (event, step(&life, event, NOW, &POLICY))).collect();
        if life.attempt < ATTEMPTS_MAX {
            let next = outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
            queue.extend(next.map(|transition| Point::of(&transition.life, NOW)));
        }
        queue.push_back(Point::of(&life, NOW + s(1)));
        seen.insert(point, outcomes);
    }
    seen
}

#[test]
fn every_reachable_state_is_sound() {
    let seen = explore();
    for point in seen.keys() {
        let leased = point.state == TrialState::Leased;
        assert_eq!(leased, point.lease.is_some(), "{point:?}");
        assert!(leased || !point.cancel_requested, "{point:?}");
        assert!(point.stop_decided || point.state != TrialState::Stopped, "{point:?}");
        let failures_max = POLICY.failures_max + u32::from(point.state == TrialState::Failed);
        assert!(point.failures <= failures_max, "{point:?}");
        let dead = point.state == TrialState::Dead;
        assert!(point.crashes < POLICY.crashes_max + u32::from(dead), "{point:?}");
        assert!(!dead || point.crashes == POLICY.crashes_max, "{point:?}");
        assert!(point.wait_s <= i64::from(POLICY.backoff_max_s), "{point:?}");
    }
    let states: HashSet<_> = seen.keys().map(|point| point.state).collect();
    assert_eq!(states.len(), TrialState::ALL.len());
    let outcomes: HashSet<_> =
        seen.values().flatten().filter_map(|(_, outcome)| outcome.as_ref().ok()?.ended).collect();
    assert_eq!(outcomes.len(), AttemptOutcome::ALL.len());
    assert!(seen.len() > 1_000, "only {} states: the exploration has shrunk", seen.len());
}

#[test]
fn only_a_retry_leads_out_of_a_terminal_state() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            if !point.state.is_terminal() {
                assert!(event != Event::Retry || outcome == Err(Refusal::NotRetryable(point.state)));
                continue;
            }
            let trained = [TrialState::Succeeded, TrialState::Diverged, TrialState::Stopped];
            let retryable = !trained.contains(&point.state);
            if event != Event::Retry || !retryable {
                assert!(outcome.is_err(), "{point:?} {event:?}");
                continue;
            }
            let life = outcome.unwrap().life;
            let Point { attempt, stop_decided, .. } = point;
            assert_eq!(life, Life { attempt, stop_decided, ..Life::submitted(NOW) });
        }
    }
}

#[test]
fn attempts_rise_by_one_with_each_claim_and_never_otherwise() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            let Ok(Transition { life, .. }) = outcome else { continue };
            assert_eq!(life.attempt, point.attempt + u32::from(event == Event::Claim), "{point:?} {event:?}");
        }
    }
}

#[test]
fn a_claim_needs_a_queued_trial_whose_time_has_come() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes.into_iter().filter(|(event, _)| *event == Event::Claim) {
            match outcome {
                Ok(Transition { life, ended }) => {
                    assert!(point.state == TrialState::Queued && point.wait_s == 0, "{point:?} {event:?}");
                    assert_eq!((life.state, ended), (TrialState::Leased, None));
                    assert_eq!(life.lease.unwrap().expires_at, NOW + s(2));
                }
                Err(Refusal::NotYet) => assert!(point.wait_s > 0),
                Err(refusal) => assert_eq!(refusal, Refusal::NotQueued(point.state)),
            }
        }
    }
}

#[test]
fn a_completion_counts_once_and_only_from_the_newest_attempt() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            let Event::Complete { attempt, conclusion } = event else { continue };
            if attempt != point.attempt || attempt == 0 {
                assert_eq!(outcome, Err(Refusal::Stale), "{point:?} {event:?}");
                continue;
            }
            if point.state.is_terminal() {
                assert_eq!(outcome, Err(Refusal::Ended(point.state)), "{point:?}");
                continue;
            }
            if conclusion == Conclusion::Stopped && !point.stop_decided {
                assert_eq!(outcome, Err(Refusal::NotDecided), "{point:?}");
                continue;
            }
            // Leased, or queued again after its lease expired: late, but nobody has taken over. A trial that ends by
            // itself before it hears of a decision is whole.
            let Transition { life, ended } = outcome.unwrap();
            let (_, state, outcome) = CONCLUSIONS.into_iter().find(|(own, ..)| *own == conclusion).unwrap();
            assert_eq!((life.state, ended), (state, Some(outcome)));
        }
    }
}

#[test]
fn a_decision_to_stop_needs_a_lease_and_holds_for_ever() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            if event == Event::Stop && point.lease.is_none() {
                assert_eq!(outcome, Err(Refusal::Stale), "{point:?}");
                continue;
            }
            let Ok(Transition { life, ended }) = outcome else { continue };
            assert_eq!(life.stop_decided, point.stop_decided || event == Event::Stop, "{point:?} {event:?}");
            if event == Event::Stop {
                assert_eq!((life, ended), (Life { stop_decided: true, ..point.life() }, None));
            }
        }
    }
}

#[test]
fn a_cancel_is_never_forgotten() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            let Ok(Transition { life, ended }) = outcome else { continue };
            if event == Event::Cancel {
                let cancelled = life.state == TrialState::Cancelled;
                assert!(cancelled || life.cancel_requested, "{point:?}");
            }
            if !point.cancel_requested {
                continue;
            }
            match life.state {
                TrialState::Leased => assert!(life.cancel_requested, "{point:?} {event:?}"),
                TrialState::Cancelled => assert_eq!(ended, Some(AttemptOutcome::Cancelled)),
                TrialState::Succeeded | TrialState::Diverged | TrialState::Stopped => {
                    assert!(matches!(event, Event::Complete { .. }), "{point:?} {event:?}");
                }
                other => panic!("{point:?} {event:?} leads to {other:?}"),
            }
        }
    }
}

#[test]
fn an_attempt_ends_exactly_when_its_lease_does() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            let Ok(Transition { life, ended }) = outcome else { continue };
            let closed = point.lease.is_some() && life.lease.is_none();
            let late = point.state == TrialState::Queued && matches!(event, Event::Complete { .. });
            assert_eq!(ended.is_some(), closed || late, "{point:?} {event:?}");
        }
    }
}

#[test]
fn the_reaper_takes_only_what_is_over() {
    for (point, outcomes) in explore() {
        for (_, outcome) in outcomes.into_iter().filter(|(event, _)| matches!(event, Event::Reap { .. })) {
            let Some((age_s, left_s, idle_s, _)) = point.lease else {
                assert_eq!(outcome, Err(Refusal::Alive));
                continue;
            };
            let overrun = age_s >= 4 || idle_s >= 3;
            assert_eq!(outcome.is_ok(), left_s == 0 || overrun, "{point:?}");
            let Ok(Transition { life, ended }) = outcome else { continue };
            match ended.unwrap() {
                AttemptOutcome::Expired => {
                    assert_eq!((left_s, life.crashes, life.failures), (0, point.crashes + 1, point.failures));
                }
                AttemptOutcome::TimedOut => {
                    assert!(left_s > 0);
                    assert_eq!((life.crashes, life.failures), (point.crashes, point.failures + 1));
                }
                outcome => assert!(outcome == AttemptOutcome::Cancelled && point.cancel_requested),
            }
        }
    }
}

#[test]
fn a_heartbeat_renews_the_lease_and_only_a_step_counts_as_progress() {
    for (point, outcomes) in explore() {
        for (event, outcome) in outcomes {
            let Event::Heartbeat { step } = event else { continue };
            let Some((_, _, idle_s, at)) = point.lease else {
                assert_eq!(outcome, Err(Refusal::Stale));
                continue;
            };
            let lease = outcome.unwrap().life.lease.unwrap();
            assert_eq!(lease.expires_at, NOW + s(2));
            assert_eq!(lease.progressed_at, if step > at { NOW } else { NOW - s(idle_s) });
            assert_eq!(lease.step, step.max(at));
        }
    }
}

/// Releases spend nothing, so a drained worker costs a trial none of its budget.
#[test]
fn a_release_spends_no_budget() {
    for (point, outcomes) in explore() {
        for (_, outcome) in outcomes.into_iter().filter(|(event, _)| *event == Event::Release) {
            let Ok(Transition { life, .. }) = outcome else {
                assert!(point.lease.is_none());
                continue;
            };
            assert_eq!((life.failures, life.crashes), (point.failures, point.crashes));
            let to = if point.cancel_requested { TrialState::Cancelled } else { TrialState::Queued };
            assert_eq!((life.state, life.not_before), (to, NOW));
        }
    }
}

/// Whatever has happened so far, one healthy worker, or none but dying ones, brings a trial to its end.
#[test]
fn every_trial_ends_under_a_healthy_worker_and_under_dying_ones() {
    for point in explore().into_keys() {
        for healthy in [true, false] {
            let (mut life, mut now) = (point.life(), NOW);
            for _ in 0..100 {
                if life.state.is_terminal() {
                    break;
                }
                now += s(1);
                let event = match life.state {
                    TrialState::Queued => Event::Claim,
                    _ if healthy => {
                        Event::Complete { attempt: life.attempt, conclusion: Conclusion::Succeeded }
                    }
                    _ => Event::Reap { jitter: 1.0 },
                };
                if let Ok(transition) = step(&life, event, now, &POLICY) {
                    life = transition.life;
                }
            }
            assert!(life.state.is_terminal(), "{point:?} is stuck as {life:?}");
        }
    }
}

#[test]
fn backoff_doubles_up_to_its_bound_and_is_spread_by_the_jitter() {
    let policy = Policy { failures_max: 20, ..Policy::default() };
    let wait_s = |failures, jitter| {
        let life = Life { failures, ..step(&Life::submitted(NOW), Event::Claim, NOW, &policy).unwrap().life };
        let event = Event::Fail { retryable: true, jitter };
        step(&life, event, NOW, &policy).unwrap().life.not_before.duration_since(NOW).as_secs_f64()
    };
    assert_eq!([0, 1, 2, 3].map(|failures| wait_s(failures, 1.0)), [5.0, 10.0, 20.0, 40.0]);
    assert_eq!(wait_s(10, 1.0), 600.0);
    assert_eq!(wait_s(0, 0.5), 2.5);
    assert_eq!(wait_s(0, 0.0), 0.0);
    assert_eq!(wait_s(0, f64::NAN), 5.0);
}

#[test]
fn names_of_states_and_outcomes_read_back() {
    for state in TrialState::ALL {
        assert_eq!(TrialState::from_name(state.name()), Some(state));
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
    }
    for outcome in AttemptOutcome::ALL {
        assert_eq!(AttemptOutcome::from_name(outcome.name()), Some(outcome));
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
    }
    assert_eq!(TrialState::from_name("gone"), None);
}
