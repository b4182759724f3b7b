//! The domain: what a sweep is, how it becomes trials, and what may happen to a trial.
//!
//! Text or JSON comes in as a [`spec::SweepSpec`] or a trial's config, each strictly checked, and a sweep becomes a
//! [`plan::Plan`]. [`lifecycle`] is the queue's state machine. Nothing here reads a clock, draws unseeded randomness
//! or does I/O: [`clock`] only says what others must bring.

pub mod amend;
mod check;
pub mod claims;
pub mod clock;
mod derive;
pub mod document;
mod draw;
pub mod errors;
mod exclude;
mod expand;
mod expression;
pub mod ids;
mod keys;
mod label;
pub mod lifecycle;
pub mod memory;
pub mod metric;
mod normal;
mod numeric;
mod order;
mod origin;
mod places;
pub mod plan;
pub mod presets;
mod probe;
pub mod requires;
mod resolve;
mod sample;
pub mod schema;
mod sobol;
pub mod spec;
pub mod stopping;
pub mod swept;
pub mod trial;
pub mod until;
mod variables;
mod varied;
pub mod verify;
