//! Time and chance as parameters. Nothing in this crate implements them: the binary and the tests do.

use jiff::Timestamp;

/// The two clocks of a process.
pub trait Clock: Send + Sync {
    /// Wall-clock time: for what people read, and for expiry on the server.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary origin that never jumps: to notice that the wall clock did.
    fn monotonic(&self) -> std::time::Duration;
}

/// Random bits fit for secrets.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bits.
    fn fill(&self, bytes: &mut [u8]);
}
