//! The motif network: shapes, learning rules, the training loop.
//!
//! A trial is a pure function of (config, seed, examples): [`train`] returns the same bits whatever runs beside
//! it. The crate opens no file, reads no clock, draws no unseeded randomness, and does not know that it is being
//! swept.
//!
//! Where to look: a learning rule and its equations stand in one file under `rules/`; [`trainer`] is the loop;
//! [`validate`] holds every limit of a config.

pub mod augment;
mod checkpoint;
pub mod config;
mod diagnose;
pub mod examples;
pub mod linalg;
mod math;
mod network;
mod normalize;
pub mod npz;
pub mod observe;
mod platform;
mod random;
pub mod result;
mod rules;
mod shape;
mod signals;
mod spare;
pub mod spectra;
mod split;
mod tensors;
pub mod trainer;
mod update;
pub mod validate;
mod vectors;

pub use checkpoint::{CHECKPOINT_VERSION, CheckpointError};
pub use config::TrialConfig;
pub use examples::{Examples, ImageShape, Task, TaskError, TaskSize, Values};
pub use observe::{NamedTensor, Observer, Phase, Point};
pub use platform::instruction_set;
pub use result::{Outcome, TrialResult};
pub use spare::{Spare, SpareThreads};
pub use trainer::{ResumeError, TrainError, Trainer, total_steps, train};
pub use validate::Violation;
