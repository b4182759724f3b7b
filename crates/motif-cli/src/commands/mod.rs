//! One file for each group of commands. A command does its work and prints; it decides nothing of the domain.

pub(crate) mod backup;
pub(crate) mod control;
pub(crate) mod datasets;
pub(crate) mod doctor;
mod effects;
pub(crate) mod export;
pub(crate) mod fetch;
mod logs;
pub(crate) mod look;
pub(crate) mod presets;
mod preview;
pub(crate) mod rerun;
pub(crate) mod serve;
mod snapshots;
pub(crate) mod sweeps;
pub(crate) mod train;
pub(crate) mod trials;
pub(crate) mod up;
pub(crate) mod worker;

/// How a command ended, where it did not end in an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit status 0.
    Done,
    /// Exit status 1; what failed has been said.
    Failed,
}
