//! Tests only: a real server in this process with a fake clock, callers with tokens, a worker that trains nothing,
//! builders of requests; and the simulation, which has none of these.
//!
//! It knows no test: it only makes the world that a test acts in, and panics with a message when that fails.

pub mod app;
pub mod build;
pub mod caller;
pub mod clock;
pub mod simulation;
pub mod worker;
pub mod wrong;

pub use app::TestApp;
pub use caller::Caller;
pub use clock::{FakeClock, SeededEntropy};
pub use worker::TestWorker;
pub use wrong::WrongClock;
