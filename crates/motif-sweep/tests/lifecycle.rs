//! The whole lifecycle at a small size: every state that a trial can reach, every event in it, every invariant on every
//! transition. Planted errors show that the invariants can fail.
//!
//! The exploration is finite without a bound on histories. Times count from now and are cut off where `step` no longer
//! tells them apart; setting the clock back starts from the cut, which only adds states. Attempt numbers count as none,
//! the first, a later one: `step` compares them with the newest and nothing else, and each transition is made with the
//! numbers themselves.

use std::collections::{HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use motif_sweep::lifecycle::{
    self, AttemptOutcome, Conclusion, Event, LeaseLife, Life, Policy, Refusal, Transition, TrialState,
};

const POLICY: Policy = Policy {
    lease_ttl_s: 3,
    heartbeat_s: 1,
    failures_max: 1,
    crashes_max: 2,
    backoff_base_s: 2,
    backoff_max_s: 4,
    runtime_max_s: 6,
    stall_timeout_s: 4,
};

/// How far the clock is set back at once, in seconds.
const BACK_S: i64 = 2;
/// No lease or backoff that the exploration keeps lasts longer, in seconds.
const AHEAD_MAX_S: i64 = 6;
const STEPS_MAX: u64 = 2;

type Step = fn(&Life, Event, Timestamp, &Policy) -> Result<Transition, Refusal>;

/// What an exploration has seen.
struct Explored {
    lives: HashSet<Key>,
    transitions: usize,
    refusals: usize,
}

/// A rule that does not hold, and where.
#[derive(Debug)]
struct Violation {
    rule: &'static str,
    at: String,
}

/// A life as far as `step` can tell it from others at `now()`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    state: TrialState,
    attempt: u32,
    failures: u32,
    crashes: u32,
    cancel_requested: bool,
    stop_decided: bool,
    not_before_s: i64,
    /// Seconds from now of `started_at`, `expires_at`, `progressed_at`, and the step.
    lease: Option<(i64, i64, i64, u64)>,
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24)
}

fn at(offset_s: i64) -> Timestamp {
    now() + SignedDuration::from_secs(offset_s)
}

impl Key {
    /// What is left of a life `passed_s` seconds later (earlier, when negative).
    fn of(life: &Life, passed_s: i64) -> Self {
        let offset_s = |time: Timestamp| time.as_second() - now().as_second() - passed_s;
        let since = |time, limit_s: u32| offset_s(time).clamp(-i64::from(limit_s), BACK_S);
        Self {
            state: life.state,
            attempt: life.attempt.min(2),
            failures: life.failures,
            crashes: life.crashes,
            cancel_requested: life.cancel_requested,
            stop_decided: life.stop_decided,
            not_before_s: offset_s(life.not_before).clamp(0, AHEAD_MAX_S),
            lease: life.lease.as_ref().map(|lease| {
                (
                    since(lease.started_at, POLICY.runtime_max_s),
                    offset_s(lease.expires_at).clamp(0, AHEAD_MAX_S),
                    since(lease.progressed_at, POLICY.stall_timeout_s),
                    lease.step,
                )
            }),
        }
    }

    fn life(self) -> Life {
        Life {
            state: self.state,
            attempt: self.attempt,
            failures: self.failures,
            crashes: self.crashes,
            cancel_requested: self.cancel_requested,
            stop_decided: self.stop_decided,
            not_before: at(self.not_before_s),
            lease: self.lease.map(|(started, expires, progressed, step)| LeaseLife {
                started_at: at(started),
                expires_at: at(expires),
                progressed_at: at(progressed),
                step,
            }),
        }
    }
}

/// Everything that may happen to a trial, also from attempts that it does not have.
fn events(life: &Life) -> Vec<Event> {
    let mut events = vec![Event::Claim, Event::Stop, Event::Release, Event::Cancel, Event::Retry];
    events.extend((0..=STEPS_MAX).map(|step| Event::Heartbeat { step }));
    for attempt in HashSet::from([0, life.attempt.saturating_sub(1), life.attempt, life.attempt + 1]) {
        for conclusion in [Conclusion::Succeeded, Conclusion::Diverged, Conclusion::Stopped] {
            events.push(Event::Complete { attempt, conclusion });
        }
    }
    for jitter in [0.0, 0.5, 1.0] {
        events.push(Event::Reap { jitter });
        events.extend([true, false].map(|retryable| Event::Fail { retryable, jitter }));
    }
    events
}

/// Whether the reaper may take this lease back.
fn due(life: &Life) -> bool {
    let over = |since: Timestamp, limit_s: u32| since + SignedDuration::from_secs(limit_s.into()) <= now();
    life.lease.as_ref().is_some_and(|lease| {
        lease.expires_at <= now()
            || over(lease.started_at, POLICY.runtime_max_s)
            || over(lease.progressed_at, POLICY.stall_timeout_s)
    })
}

/// Whether the table of the lifecycle permits the event. Written from the table, not from `step`.
fn permitted(life: &Life, event: Event) -> bool {
    use TrialState as S;
    match event {
        Event::Claim => life.state == S::Queued && life.not_before <= now(),
        Event::Heartbeat { .. } | Event::Stop | Event::Fail { .. } | Event::Release => {
            life.state == S::Leased
        }
        Event::Complete { attempt, conclusion } => {
            attempt > 0
                && attempt == life.attempt
                && matches!(life.state, S::Queued | S::Leased)
                && (conclusion != Conclusion::Stopped || life.stop_decided)
        }
        Event::Reap { .. } => due(life),
        Event::Cancel => matches!(life.state, S::Queued | S::Leased),
        Event::Retry => matches!(life.state, S::Failed | S::Dead | S::Cancelled),
    }
}

/// The first rule that a permitted transition breaks.
fn broken(before: &Life, event: Event, transition: &Transition) -> Option<&'static str> {
    use AttemptOutcome as O;
    let (after, ended) = (&transition.life, transition.ended);
    let left = before.state == TrialState::Leased && after.state != TrialState::Leased;
    let late = before.state == TrialState::Queued && matches!(event, Event::Complete { .. });
    let retried = event == Event::Retry;
    let spent = |before: u32, by: bool| if retried { 0 } else { before + u32::from(by) };
    let flagged_end = before.cancel_requested && left && !matches!(event, Event::Complete { .. });
    let extended =
        after.lease.as_ref().is_some_and(|lease| lease.expires_at == at(POLICY.lease_ttl_s.into()));
    let begun = after.lease.as_ref().map(|lease| (lease.started_at, lease.step));
    let rules = [
        ("an attempt number rises by one with a claim and never else", {
            after.attempt == before.attempt + u32::from(event == Event::Claim)
        }),
        ("there is a lease if and only if the trial is leased", {
            after.lease.is_some() == (after.state == TrialState::Leased)
        }),
        ("an attempt ends when the trial leaves its lease, or late", ended.is_some() == (left || late)),
        ("nothing but a retry leads out of a terminal state", !before.state.is_terminal() || retried),
        ("a retry queues", !retried || after.state == TrialState::Queued),
        ("failures count errors and timeouts, and nothing else does", {
            after.failures == spent(before.failures, matches!(ended, Some(O::Failed | O::TimedOut)))
        }),
        ("crashes count expired leases, and nothing else does", {
            after.crashes == spent(before.crashes, ended == Some(O::Expired))
        }),
        ("a trial whose failures are spent has failed", {
            after.failures <= POLICY.failures_max || after.state == TrialState::Failed
        }),
        ("a trial whose crashes are spent is dead", {
            (after.crashes >= POLICY.crashes_max) == (after.state == TrialState::Dead)
        }),
        ("a wish to cancel lasts as long as the lease", {
            after.cancel_requested
                == (after.state == TrialState::Leased && (before.cancel_requested || event == Event::Cancel))
        }),
        ("a trial to be cancelled ends as cancelled unless it was done", {
            !flagged_end || (after.state == TrialState::Cancelled && ended == Some(O::Cancelled))
        }),
        ("a decision to stop stands", after.stop_decided == (before.stop_decided || event == Event::Stop)),
        ("a claim or heartbeat extends the lease by its time", {
            !matches!(event, Event::Claim | Event::Heartbeat { .. }) || extended
        }),
        ("within an attempt the start stays, unless it lies ahead, and steps never fall", {
            let began = before.lease.as_ref().map(|lease| (lease.started_at, lease.step));
            let stays = |old, new| new == old || (new == now() && new < old);
            began.zip(begun).is_none_or(|(old, new)| stays(old.0, new.0) && old.1 <= new.1)
        }),
        ("after a heartbeat nothing has begun later than now, whatever the clock was", {
            let ahead = |lease: &LeaseLife| lease.started_at > now() || lease.progressed_at > now();
            !matches!(event, Event::Heartbeat { .. }) || !after.lease.as_ref().is_some_and(ahead)
        }),
        ("a released trial waits for nothing", {
            event != Event::Release || after.state == TrialState::Cancelled || after.not_before <= now()
        }),
        ("a backoff has an end", {
            after.not_before <= before.not_before.max(at(POLICY.backoff_max_s.into()))
        }),
    ];
    rules.into_iter().find(|(_, holds)| !holds).map(|(rule, _)| rule)
}

fn explore(step: Step) -> Result<Explored, Violation> {
    let first = Key::of(&Life::submitted(now()), 0);
    let mut explored = Explored { lives: HashSet::from([first]), transitions: 0, refusals: 0 };
    let mut open = VecDeque::from([first]);
    while let Some(key) = open.pop_front() {
        let life = key.life();
        let mut next = vec![Key::of(&life, 1), Key::of(&life, -BACK_S)];
        for event in events(&life) {
            let violation = |rule| Violation { rule, at: format!("{event:?} in {life:?}") };
            match step(&life, event, now(), &POLICY) {
                Ok(_) if !permitted(&life, event) => {
                    return Err(violation("what the table does not permit is refused"));
                }
                Err(_) if permitted(&life, event) => {
                    return Err(violation("what the table permits happens"));
                }
                Ok(transition) => {
                    if let Some(rule) = broken(&life, event, &transition) {
                        return Err(violation(rule));
                    }
                    explored.transitions += 1;
                    next.push(Key::of(&transition.life, 0));
                }
                Err(_) => explored.refusals += 1,
            }
        }
        open.extend(next.into_iter().filter(|next| explored.lives.insert(*next)));
    }
    Ok(explored)
}

/// Seconds until a trial has ended when whoever holds it is gone, the reaper looks every second and every further worker
/// does as told; none when it has not ended within `limit_s`.
fn ends_after_s(key: Key, healthy: bool, limit_s: i64) -> Option<i64> {
    let step = |life: &mut Life, event| {
        let permitted = lifecycle::step(life, event, now(), &POLICY);
        permitted.is_ok_and(|transition| {
            *life = transition.life;
            true
        })
    };
    let mut life = key.life();
    for passed_s in 0..=limit_s {
        step(&mut life, Event::Reap { jitter: 1.0 });
        if step(&mut life, Event::Claim) && healthy {
            let attempt = life.attempt;
            step(&mut life, Event::Complete { attempt, conclusion: Conclusion::Succeeded });
        }
        if life.state.is_terminal() {
            return Some(passed_s);
        }
        life = Key::of(&life, 1).life();
    }
    None
}

#[test]
fn every_transition_of_every_reachable_state_keeps_the_invariants() {
    let explored = explore(lifecycle::step).unwrap_or_else(|found| panic!("{}: {}", found.rule, found.at));
    let (lives, Explored { transitions, refusals, .. }) = (explored.lives.len(), &explored);
    println!("{lives} states, {transitions} transitions, {refusals} refusals");
    for state in TrialState::ALL {
        assert!(explored.lives.iter().any(|key| key.state == state), "{state:?} is reached");
    }
    assert!(lives > 19_000, "the exploration has shrunk to {lives} states");
    assert!(*transitions > 280_000, "the exploration has shrunk to {transitions} transitions");
    assert!(*refusals > 270_000, "the exploration has shrunk to {refusals} refusals");
}

#[test]
fn every_trial_ends_whoever_holds_it_is_gone() {
    let explored = explore(lifecycle::step).unwrap_or_else(|found| panic!("{}: {}", found.rule, found.at));
    let open = explored.lives.iter().filter(|key| !key.state.is_terminal());
    for key in open {
        // The longest lease that is kept, then the longest backoff.
        let limit_s = AHEAD_MAX_S + i64::from(POLICY.backoff_max_s);
        assert!(ends_after_s(*key, true, limit_s).is_some(), "I5, one healthy worker: {:?}", key.life());
        // Poison: every worker dies of it, until the crashes are spent.
        let limit_s = limit_s + i64::from(POLICY.crashes_max * POLICY.lease_ttl_s);
        assert!(ends_after_s(*key, false, limit_s).is_some(), "I6, poison: {:?}", key.life());
    }
}

/// A planted error: what is wrong, the rule that must notice it, and the wrong `step`.
type Planted = (&'static str, &'static str, Step);

const PLANTED: [Planted; 9] = [
    (
        "a completion of any attempt counts",
        "what the table does not permit is refused",
        |life, event, now, policy| {
            let event = match event {
                Event::Complete { conclusion, .. } => Event::Complete { attempt: life.attempt, conclusion },
                other => other,
            };
            lifecycle::step(life, event, now, policy)
        },
    ),
    (
        "an attempt number is used again",
        "an attempt number rises by one with a claim and never else",
        |life, event, now, policy| {
            let mut done = lifecycle::step(life, event, now, policy)?;
            done.life.attempt = done.life.attempt.min(1);
            Ok(done)
        },
    ),
    (
        "the reaper does not look again",
        "what the table does not permit is refused",
        |life, event, now, policy| {
            let mut seen = life.clone();
            if let (Event::Reap { .. }, Some(lease)) = (event, &mut seen.lease) {
                lease.expires_at = now;
            }
            lifecycle::step(&seen, event, now, policy)
        },
    ),
    (
        "a release spends a failure",
        "failures count errors and timeouts, and nothing else does",
        |life, event, now, policy| {
            let mut done = lifecycle::step(life, event, now, policy)?;
            done.life.failures += u32::from(event == Event::Release);
            Ok(done)
        },
    ),
    (
        "a heartbeat forgets the wish to cancel",
        "a wish to cancel lasts as long as the lease",
        |life, event, now, policy| {
            let mut done = lifecycle::step(life, event, now, policy)?;
            done.life.cancel_requested &= !matches!(event, Event::Heartbeat { .. });
            Ok(done)
        },
    ),
    (
        "a heartbeat keeps times that a clock set back has left ahead",
        "after a heartbeat nothing has begun later than now, whatever the clock was",
        |life, event, now, policy| {
            let mut done = lifecycle::step(life, event, now, policy)?;
            if let (Event::Heartbeat { .. }, Some(before), Some(after)) =
                (event, &life.lease, &mut done.life.lease)
            {
                after.progressed_at = after.progressed_at.max(before.progressed_at);
            }
            Ok(done)
        },
    ),
    (
        "a diverged trial is retried",
        "what the table does not permit is refused",
        |life, event, now, policy| {
            let mut seen = life.clone();
            if event == Event::Retry && life.state == TrialState::Diverged {
                seen.state = TrialState::Failed;
            }
            lifecycle::step(&seen, event, now, policy)
        },
    ),
    (
        "one crash too many is forgiven",
        "a trial whose crashes are spent is dead",
        |life, event, now, policy| {
            lifecycle::step(life, event, now, &Policy { crashes_max: policy.crashes_max + 1, ..*policy })
        },
    ),
    (
        "a reaped trial forgets that it was to be cancelled",
        "a trial to be cancelled ends as cancelled unless it was done",
        |life, event, now, policy| {
            let mut seen = life.clone();
            seen.cancel_requested &= !matches!(event, Event::Reap { .. });
            lifecycle::step(&seen, event, now, policy)
        },
    ),
];

#[test]
fn planted_errors_are_noticed() {
    for (wrong, rule, step) in PLANTED {
        match explore(step) {
            Ok(_) => panic!("nobody noticed: {wrong}"),
            Err(found) => assert_eq!(found.rule, rule, "{wrong}: {}", found.at),
        }
    }
}
