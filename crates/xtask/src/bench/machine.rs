//! What the figures were measured on and with.

use std::fs;

use serde::Serialize;

use super::{peers::Peers, steps::Example};
use crate::{process::Stop, tools::says, workspace};

/// Up to this load a machine has nothing else to do.
const QUIET_LOAD_MAX: f64 = 0.5;

#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    system: String,
    instruction_set: String,
    /// Processes that want a core, a mean over the minute before the first measurement: a busy machine shows here.
    load_before: Option<f64>,
    commit: String,
    rustc: String,
}

impl Machine {
    pub(crate) async fn describe(example: &Example, stop: &mut Stop) -> anyhow::Result<Self> {
        Ok(Self {
            processor: processor().unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism()?.get(),
            system: says("uname", &["-srm"]).unwrap_or_else(|| "unknown system".to_owned()),
            instruction_set: example.instruction_set(stop).await?,
            load_before: load(),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
            rustc: says("rustc", &["--version"]).unwrap_or_else(|| "unknown rustc".to_owned()),
        })
    }

    /// The lines above the tables.
    pub(crate) fn head(&self, peers: Option<&Peers>, runs: u16) -> String {
        let Self { processor, cores, system, instruction_set, commit, rustc, .. } = self;
        let load = self.load_before.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}"));
        let busy = match self.load_before {
            Some(load) if load > QUIET_LOAD_MAX => {
                "\nTHE MACHINE WAS BUSY (a build just before counts): figures of the clock on the wall suffer most"
            }
            _ => "",
        };
        let peers = peers.map_or_else(|| "no PyTorch".to_owned(), ToString::to_string);
        format!(
            "{processor}, {cores} cores, {system}; load before: {load}\n\
             motif at {commit}, instruction set {instruction_set}, {rustc}\n\
             {peers}\n\
             medians of {runs} runs in turns; ratios are medians of the runs' ratios{busy}"
        )
    }
}

/// As Linux or macOS names it.
fn processor() -> Option<String> {
    let listed = fs::read_to_string("/proc/cpuinfo").ok();
    let named = listed.as_deref().and_then(processor_of).map(str::to_owned);
    named.or_else(|| says("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

fn processor_of(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// The commit that is measured, and whether it was changed since.
fn commit() -> Option<String> {
    let root = workspace::root();
    let root = root.to_str()?;
    says("git", &["-C", root, "describe", "--always", "--dirty"])
}

#[cfg(test)]
mod tests {
    use super::processor_of;

    #[test]
    fn the_processor_is_named_by_its_model() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 207\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(processor_of(cpuinfo), Some("Some CPU @ 2 GHz"));
        assert_eq!(processor_of("Hardware\t: other\n"), None);
    }
}
