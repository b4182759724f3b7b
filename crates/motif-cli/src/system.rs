//! The one place that reads the machine's clocks, its entropy and its size; everything else takes them as parameters.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use motif_sweep::{
    clock::{Clock, Entropy},
    memory::MAX_TRIAL_BYTES,
};
use sysinfo::{MemoryRefreshKind, Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// The machine's clocks.
pub(crate) struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the binary is where the real clock comes from")]
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the binary is where the real clock comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// The operating system's random bits.
pub(crate) struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "the binary is where the real entropy comes from")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bits");
    }
}

/// This machine's memory in bytes or, where that is less, what this process's control group may use (a container, a
/// Slurm job, a systemd unit); nothing where neither is known.
pub(crate) fn memory_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let own = Pid::from_u32(std::process::id());
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[own]), false, ProcessRefreshKind::nothing());
    let group = system.process(own).and_then(Process::cgroup_limits).map(|limits| limits.total_memory);
    [Some(system.total_memory()), group].into_iter().flatten().filter(|&bytes| bytes > 0).min()
}

/// Most memory of one trial on this machine.
pub(crate) fn trial_memory_max_bytes() -> u64 {
    memory_bytes().map_or(MAX_TRIAL_BYTES, |bytes| bytes.min(MAX_TRIAL_BYTES))
}
