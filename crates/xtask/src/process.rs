//! Child processes that never outlive this one, and the wish to stop.

use std::{
    ffi::OsStr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

/// SIGINT and SIGTERM.
pub(crate) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits until one of them comes.
    pub(crate) async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// A command that reads nothing, is killed when its handle goes away, and whose output goes to our stderr: our stdout
/// is for results.
pub(crate) fn command(program: impl AsRef<OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
    command
}

/// What `cargo run` tells a program of its own package. Build scripts watch these variables (ring's does), so that a cargo
/// below us would build again what a cargo beside us has built.
const OWN_PACKAGE_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

/// This cargo, as if started by hand.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), root);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OWN_PACKAGE_VARIABLES.iter().any(|own| name.starts_with(own))) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a command to its end, or ends it when a stop is wanted.
pub(crate) async fn status(command: &mut Command, stop: &mut Stop) -> anyhow::Result<ExitStatus> {
    let name = command.as_std().get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("{name} does not start"))?;
    tokio::select! {
        status = child.wait() => Ok(status?),
        () = stop.wanted() => {
            end(&mut child, END_LIMIT).await?;
            bail!("stopped");
        }
    }
}

/// As [`status`], for a command that must succeed.
pub(crate) async fn run(command: &mut Command, stop: &mut Stop) -> anyhow::Result<()> {
    let status = status(command, stop).await?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

/// As [`run`], for a command whose stdout is its result.
pub(crate) async fn output(command: &mut Command, stop: &mut Stop) -> anyhow::Result<String> {
    let shown = shown(command);
    let child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("{shown} does not start"))?;
    let output = tokio::select! {
        // Dropped when a stop is wanted, which kills the child.
        output = child.wait_with_output() => output?,
        () = stop.wanted() => bail!("stopped"),
    };
    ensure!(output.status.success(), "{shown} ended with {}", output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{shown} printed no UTF-8"))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let command = command.as_std();
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Longest time that a child may take to end after SIGTERM.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(30);

/// SIGTERM, and SIGKILL when the child has not ended within the limit.
pub(crate) async fn end(child: &mut Child, limit: Duration) -> anyhow::Result<()> {
    if let Some(id) = child.id() {
        // It may have ended in this very moment; the wait below tells.
        let _ = kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM);
    }
    match tokio::time::timeout(limit, child.wait()).await {
        Ok(_) => Ok(()),
        Err(_) => {
            child.kill().await?;
            bail!("a process did not end within {} s and was killed", limit.as_secs());
        }
    }
}
