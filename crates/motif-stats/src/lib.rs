//! Statistics over seeds: summaries, intervals, one-sample and paired tests, corrections for multiplicity,
//! curves, analysis of variance and importance.
//!
//! Everything here is a pure function of numbers. This crate must not know what a sweep, a trial or a metric is,
//! read a clock, do I/O or draw unseeded randomness. Which trials count, and under which policy, is the caller's
//! decision; what a handful of numbers can honestly say is decided here.
//!
//! Three rules hold throughout:
//! - **Never NaN.** A quantity that does not exist (an interval at n = 1, a t statistic without variance) is `None`.
//! - **Order does not matter, to the bit.** Samples are sorted before they are summed.
//! - **Values are finite and at most [`MAGNITUDE_MAX`] in size**; anything else is refused with its position.
//!
//! The golden values in `tests/golden` come from scipy and statsmodels.

pub mod anova;
pub mod curve;
pub mod describe;
pub mod importance;
pub mod interval;
pub mod multiplicity;
pub mod one_sample;
pub mod paired;
pub mod verdict;

mod dist;
mod forest;
mod sample;
mod signed_rank;

pub use anova::{Anova, AnovaError, Factor, Observation, anova, anova_in_blocks};
pub use curve::{Curve, CurvePoint, align};
pub use describe::{Describe, describe};
pub use importance::{Importance, ImportanceError, Place, importance};
pub use interval::{Bootstrap, Interval, Method, bca, student_t};
pub use multiplicity::{Adjusted, Correction, adjust};
pub use one_sample::{Equivalence, Line, OneSample, OneSampleError, equivalence, line, one_sample};
pub use paired::{PairedComparison, PairedError, compare};
pub use sample::{MAGNITUDE_MAX, SampleError};
pub use verdict::{Decision, Verdict};
