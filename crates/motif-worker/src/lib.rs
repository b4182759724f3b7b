//! The worker: pulls trials from a server, trains them on threads, reports, and survives what happens in between.
//!
//! [`core`] decides, `driver` carries out, `executor` trains. It must not know: the store, the queue's rules beyond
//! the leases it holds, the machine's clocks and entropy, which are parameters.

pub mod core;
mod costs;
mod driver;
mod executor;
mod idle;
mod journal;
mod observer;
mod provenance;
mod snapshots;
mod standing;

pub use costs::Costs;
pub use driver::{WorkerError, WorkerOptions, WorkerSummary, run, run_with_limits};
pub use executor::task;
pub use idle::IdleSlots;
pub use provenance::{host_name, provenance};
