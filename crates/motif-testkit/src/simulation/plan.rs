//! What a seed decides before anything happens: sweeps, what becomes of each trial's training, workers, how bad it gets.

use std::{collections::BTreeMap, time::Duration};

use motif_store::{Queue, conformance, records::NewSweep};
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::Policy,
};
use uuid::Uuid;

use super::chance::Dice;

/// What becomes of a trial's training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It comes to its end.
    Whole,
    /// It leaves the finite numbers at a step.
    Diverges { at: u64 },
    /// It breaks at a step, in the first attempts.
    Breaks { at: u64, attempts: u32, retryable: bool },
    /// It takes its worker's process with it at a step, in the first attempts.
    Kills { at: u64, attempts: u32 },
    /// It makes no further step, in the first attempts, and is alive.
    Hangs { at: u64, attempts: u32 },
}

/// A trial's training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    pub(super) kind: Kind,
    pub(super) steps: u64,
    /// Points logged at each step.
    pub(super) points: u64,
    /// Time that a step takes, by its worker's clock.
    pub(super) step_time: Duration,
    /// A checkpoint after so many steps.
    pub(super) kept_every: u64,
}

/// How bad it gets, each from 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// Messages that are lost.
    pub(super) lost: f64,
    /// Messages that arrive twice.
    pub(super) twice: f64,
    /// Messages that take seconds.
    pub(super) slow: f64,
}

impl Weather {
    pub(super) const FAIR: Self = Self { lost: 0.0, twice: 0.0, slow: 0.0 };

    pub(super) fn draw(dice: &mut Dice) -> Self {
        let bad = dice.unit();
        Self { lost: 0.25 * bad * dice.unit(), twice: 0.3 * bad * dice.unit(), slow: 0.3 * bad * dice.unit() }
    }
}

/// A world before it begins.
pub(super) struct Plan {
    /// Sweeps and when they are submitted.
    pub(super) sweeps: Vec<(Duration, NewSweep)>,
    pub(super) courses: BTreeMap<Uuid, Course>,
    pub(super) workers: usize,
    /// Mean time between two faults.
    pub(super) mischief_every_s: f64,
    /// When all faults end.
    pub(super) heals_at: Duration,
    /// Whether the workers die at that moment, so that their trials have to be leased to another.
    pub(super) heirs: bool,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice, shapes: &conformance::World<dyn Queue>) -> Self {
        let mut sweeps = Vec::new();
        let mut courses = BTreeMap::new();
        for number in 0..dice.whole(1, 3) {
            let conditions = u32::try_from(dice.whole(1, 2)).unwrap_or(1);
            let mut sweep = shapes.sweep(conditions, dice.whole(1, 3));
            sweep.id = SweepId(dice.uuid());
            sweep.policy = policy(dice);
            sweep.control.priority = i32::try_from(dice.whole(0, 2)).unwrap_or(0);
            for trial in &mut sweep.trials {
                trial.id = TrialId(dice.uuid());
                courses.insert(trial.id.0, course(dice));
            }
            let at = if number == 0 { Duration::ZERO } else { dice.time_s(1.0, 60.0) };
            sweeps.push((at, sweep));
        }
        Self {
            sweeps,
            courses,
            workers: dice.below(5) + 1,
            mischief_every_s: dice.between(3.0, 25.0),
            heals_at: dice.time_s(90.0, 200.0),
            heirs: dice.chance(0.6),
        }
    }
}

fn policy(dice: &mut Dice) -> Policy {
    let mut some = |from, to| u32::try_from(dice.whole(from, to)).unwrap_or(0);
    let base = Policy {
        lease_ttl_s: 30,
        heartbeat_s: 10,
        failures_max: some(0, 3),
        crashes_max: some(2, 4),
        backoff_base_s: some(1, 5),
        backoff_max_s: some(10, 40),
        runtime_max_s: 0,
        stall_timeout_s: some(40, 90),
    };
    let limited = dice.chance(0.3);
    Policy { runtime_max_s: if limited { 100 } else { 0 }, ..base }
}

fn course(dice: &mut Dice) -> Course {
    let steps = dice.whole(2, 8);
    let at = dice.whole(1, steps);
    let attempts = if dice.chance(0.5) { u32::MAX } else { u32::try_from(dice.whole(1, 2)).unwrap_or(1) };
    let kind = match dice.below(20) {
        0 | 1 => Kind::Diverges { at },
        2 | 3 => Kind::Breaks { at, attempts, retryable: dice.chance(0.7) },
        4 | 5 => Kind::Kills { at, attempts },
        6 => Kind::Hangs { at, attempts },
        _ => Kind::Whole,
    };
    Course {
        kind,
        steps,
        points: dice.whole(0, 2),
        step_time: dice.time_s(0.5, 9.0),
        kept_every: dice.whole(2, 4),
    }
}
