//! strace upon a running process: sees its system calls, or lets them fail.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::process::{Process, wait_for};

/// To attach, and to let go.
const LIMIT: Duration = Duration::from_secs(30);

/// A tracer; the process is let go when it is dropped.
pub struct Tracer {
    process: Process,
    log: PathBuf,
}

impl Tracer {
    /// Attaches to all threads of a process, with these options; writes what it sees below `dir`.
    ///
    /// # Errors
    /// Why it cannot: it is not there, or not permitted.
    pub fn attach(pid: u32, options: &[&str], dir: &Path) -> Result<Self, String> {
        let said = dir.join("strace.err");
        let stderr = fs::File::create(&said).map_err(|error| error.to_string())?;
        let log = dir.join("strace.log");
        let mut command = Command::new("strace");
        command.args(["-f", "-o"]).arg(&log).args(options).args(["-p", &pid.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let process = Process::spawn("strace", &mut command).map_err(|error| format!("{error:#}"))?;
        let mut tracer = Self { process, log };
        let attached = wait_for("strace to attach", LIMIT, || {
            let text = fs::read_to_string(&said)?;
            let ended = tracer.process.try_wait()?.is_some();
            Ok((ended || text.contains("attached")).then_some((ended, text)))
        });
        match attached {
            Ok((false, _)) => Ok(tracer),
            Ok((true, text)) => Err(format!("strace: {}", text.trim())),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// Lets the process go, and returns what it was seen to do, one call a line.
    ///
    /// # Errors
    /// When it does not end.
    pub fn detach(mut self) -> anyhow::Result<String> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(LIMIT)?;
        Ok(fs::read_to_string(&self.log)?)
    }
}
