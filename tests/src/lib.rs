//! What the end-to-end tests share: real `motif` processes on real sockets, in temporary folders, that end with the test.

pub mod chance;
pub mod fixtures;
pub mod invariants;
pub mod player;
pub mod process;
pub mod proxy;
pub mod single;
pub mod soak;
pub mod tracer;
