//! The binary, as the tasks start it: the user's own set-up does not change what it does.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::{Child, Command};

use crate::{process, workspace};

/// What the user's own set-up must not change here.
const FOREIGN_VARIABLES: [&str; 3] = ["MOTIF_SERVER", "MOTIF_TOKEN", "MOTIF_DATA"];

/// The binary.
pub(crate) struct Motif {
    binary: PathBuf,
    root: PathBuf,
}

impl Motif {
    /// The one that `cargo build --release` leaves.
    pub(crate) fn built() -> anyhow::Result<Self> {
        Ok(Self { binary: workspace::target_dir()?.join("release/motif"), root: workspace::root() })
    }

    fn command(&self) -> Command {
        let mut command = process::command(&self.binary, &self.root);
        for variable in FOREIGN_VARIABLES {
            command.env_remove(variable);
        }
        command
    }

    /// A server and its workers, in a process group of their own: Ctrl-C reaches us alone, and we end them in order.
    pub(crate) fn up(&self, listen: &str, workers: u16, data: &Path) -> Command {
        let mut up = self.command();
        up.args(["up", "--listen", listen, "--workers", &workers.to_string(), "--data"]).arg(data);
        up.process_group(0);
        up
    }

    /// Any other command, on this data folder.
    pub(crate) fn client(&self, data: &Path, json: bool, arguments: &[&str]) -> Command {
        let mut command = self.command();
        command.args(arguments).arg("--data").arg(data);
        if json {
            command.arg("--json");
        }
        command
    }
}

/// Starts a command.
pub(crate) fn start(command: &mut Command) -> anyhow::Result<Child> {
    command.spawn().with_context(|| format!("{} does not start", process::shown(command)))
}
