//! Where and by what a result is made.

use std::env::consts::{ARCH, OS};

use motif_wire::trials::Provenance;

/// Longest host name that is kept.
const HOST_MAX_CHARS: usize = 200;

/// The provenance of a result made here, now, by this program.
#[must_use]
pub fn provenance(dataset_hash: &str, config_hash: &str) -> Provenance {
    Provenance {
        version: version().to_owned(),
        commit: option_env!("MOTIF_COMMIT").map(str::to_owned),
        instruction_set: motif_net::instruction_set().to_owned(),
        platform: format!("{OS}-{ARCH}"),
        host: host_name(),
        dataset_hash: dataset_hash.to_owned(),
        config_hash: config_hash.to_owned(),
    }
}

/// Motif's version.
pub(crate) const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// This machine's name, as the kernel or the environment tells it; `unknown` where neither does.
#[must_use]
pub fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let file = || std::fs::read_to_string("/etc/hostname").ok();
    let variable = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok();
    let name = kernel.or_else(file).or_else(variable).unwrap_or_default();
    let name: String = name.trim().chars().take(HOST_MAX_CHARS).collect();
    if name.is_empty() { "unknown".to_owned() } else { name }
}
