//! Worlds from seeds: a server, workers, a network, a person and everything that can go wrong, in simulated time.
//!
//! The workers are the real state machine, the queue is a real store, secrets, tokens and the reaper's gate are the real
//! server's; trainings, network and clocks are made up. Everything follows from the seed: the same seed is the same world,
//! step by step. After every call of the store the queue's invariants are looked at; after a while all faults end, and then
//! every trial has to.

mod audit;
mod backend;
mod chance;
mod mischief;
mod network;
mod plan;
mod server;
mod trace;
mod training;
mod worker;
mod world;

use std::{
    num::NonZero,
    ops::{AddAssign, Range},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub use audit::Violation;
pub use motif_store::memory::Plant;

use backend::Backend;
use world::World;

/// Which store a world's server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The queue in memory, with a fault built in or without.
    Memory(Option<Plant>),
    /// The SQLite store, in a temporary file.
    Sqlite,
}

/// How often things happened, so that a test can say that they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were lost.
    pub lost: u64,
    /// Messages that arrived twice.
    pub twice: u64,
    /// Messages that took long.
    pub slow: u64,
    /// Deaths of the server.
    pub crashes: u64,
    /// Workers killed.
    pub killed: u64,
    /// Workers that their trial took with it.
    pub poisoned: u64,
    /// Workers stopped and continued.
    pub frozen: u64,
    /// Workers that drained to the end.
    pub drained: u64,
    /// Workers cut off for a while.
    pub cut_off: u64,
    /// Jumps of the server's clock.
    pub jumps: u64,
    /// What people did.
    pub steered: u64,
    /// Leases taken back.
    pub reaped: u64,
    /// Reports that were refused.
    pub refused: u64,
    /// Reports under a made-up secret.
    pub forged: u64,
    /// Attempts that went on from a checkpoint.
    pub resumed: u64,
    /// Attempts whose output was dropped.
    pub dropped: u64,
    /// Claims that were repeated.
    pub repeated: u64,
    /// Completions that came late and counted.
    pub late: u64,
    /// Trials of dead workers that were leased again while the server was up.
    pub adopted: u64,
    /// The longest time that took since the worker's death.
    pub adoption_max: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { lost, twice, slow, crashes, killed, poisoned, frozen, drained, cut_off, jumps, .. } =
            other;
        self.lost += lost;
        self.twice += twice;
        self.slow += slow;
        self.crashes += crashes;
        self.killed += killed;
        self.poisoned += poisoned;
        self.frozen += frozen;
        self.drained += drained;
        self.cut_off += cut_off;
        self.jumps += jumps;
        let Self { steered, reaped, refused, forged, resumed, dropped, repeated, late, .. } = other;
        self.steered += steered;
        self.reaped += reaped;
        self.refused += refused;
        self.forged += forged;
        self.resumed += resumed;
        self.dropped += dropped;
        self.repeated += repeated;
        self.late += late;
        self.adopted += other.adopted;
        self.adoption_max = self.adoption_max.max(other.adoption_max);
    }
}

/// What became of a world.
#[derive(Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// Steps that were traced.
    pub steps: u64,
    /// Hex BLAKE3 over them.
    pub trace_hash: String,
    /// All of them, or the last ones.
    pub trace: Vec<String>,
    /// What happened how often.
    pub tally: Tally,
    /// For how long, in its own time.
    pub lasted: Duration,
}

/// Lets the world of a seed happen, and keeps all its steps, or the last ones.
///
/// # Panics
/// When there is no runtime or no temporary file to be had.
#[must_use]
pub fn simulate(seed: u64, kind: Kind, keep_trace: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let backend = match kind {
            Kind::Memory(plant) => Backend::memory(plant),
            Kind::Sqlite => Backend::sqlite().await,
        };
        let mut world = World::new(seed, backend, keep_trace);
        let violation = world.run().await.err();
        let (repeated, late) = (world.audit.repeats, world.audit.late);
        Outcome {
            seed,
            violation,
            steps: world.trace.steps,
            trace_hash: world.trace.hash(),
            tally: Tally { repeated, late, ..world.tally },
            lasted: world.now,
            trace: world.trace.into_lines(),
        }
    })
}

/// Lets the worlds of many seeds happen, on as many threads as there are processors, until one breaks a promise. Returns
/// the sum of what happened, and of the broken ones that of the lowest seed.
///
/// # Panics
/// As [`simulate`].
#[must_use]
pub fn simulate_all(seeds: Range<u64>, kind: Kind) -> (Tally, Option<Outcome>) {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new((Tally::default(), None::<Outcome>)));
    let found_now = || found.lock().unwrap_or_else(PoisonError::into_inner);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // A lower seed than the one that was found is still looked at.
                    let beaten = found_now().1.as_ref().is_some_and(|outcome| outcome.seed < seed);
                    if seed >= seeds.end || beaten {
                        return;
                    }
                    let outcome = simulate(seed, kind, false);
                    let mut found = found_now();
                    found.0 += outcome.tally;
                    let lower = found.1.as_ref().is_none_or(|known| outcome.seed < known.seed);
                    if outcome.violation.is_some() && lower {
                        found.1 = Some(outcome);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
