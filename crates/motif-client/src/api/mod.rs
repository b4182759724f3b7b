//! The operations, by what they are about.

mod control;
mod sweeps;
mod system;
mod trials;
mod work;

pub use sweeps::{StatisticsQuery, SweepSteer};
pub use trials::TrialQuery;
