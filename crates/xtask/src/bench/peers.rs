//! PyTorch: a virtual environment for tests/peers, given or made.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    process::{self, Stop},
    tools::says,
    venv, workspace,
};

/// What Python prints about itself.
const ABOUT: &str = "import json, platform, numpy, torch; print(json.dumps({'torch': torch.__version__, \
                     'python': platform.python_version(), 'numpy': numpy.__version__, \
                     'instruction_set': torch.backends.cpu.get_cpu_capability(), \
                     'default_threads': torch.get_num_threads()}))";

/// A Python that has PyTorch.
#[derive(Debug, Serialize)]
pub(crate) struct Peers {
    #[serde(skip)]
    python: PathBuf,
    #[serde(flatten)]
    about: About,
}

#[derive(Debug, Serialize, Deserialize)]
struct About {
    torch: String,
    python: String,
    numpy: String,
    instruction_set: String,
    default_threads: u32,
}

impl Peers {
    /// A virtual environment that someone has made.
    pub(crate) async fn at(venv: &Path, stop: &mut Stop) -> anyhow::Result<Self> {
        let venv = std::path::absolute(venv)?;
        let python = venv.join("bin/python");
        ensure!(
            python.is_file(),
            "--peers {}: not a virtual environment: it has no bin/python",
            venv.display()
        );
        let mut ask = process::command(&python, &folder());
        let about = process::output(ask.args(["-c", ABOUT]), stop).await.with_context(|| {
            format!("{} has no PyTorch: `pip install -r tests/peers/requirements.txt` in it", venv.display())
        })?;
        Ok(Self { python, about: serde_json::from_str(&about).context("Python prints JSON about itself")? })
    }

    /// The one under target, made when it is not there; none without Python.
    pub(crate) async fn made(stop: &mut Stop) -> anyhow::Result<Option<Self>> {
        let Some(version) = says("python3", &["--version"]) else {
            eprintln!(
                "python3 is not installed, so PyTorch is left out (--peers VENV names an environment that has it)"
            );
            return Ok(None);
        };
        let notice = format!("{version} with PyTorch, once: some minutes, 5.6 GB");
        let requirements = folder().join("requirements.txt");
        let python = venv::python("peers", &requirements, &notice, stop)
            .await
            .context("PyTorch was not installed (--no-peers leaves it out, --peers VENV takes another)")?;
        let venv = python.ancestors().nth(2).context("a Python in a virtual environment")?;
        Self::at(venv, stop).await.map(Some)
    }

    /// One of the scripts in tests/peers.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = process::command(&self.python, &folder());
        // The scripts import one another: nothing compiled is to be left beside them.
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(name);
        command
    }

    pub(crate) fn default_threads(&self) -> u32 {
        self.about.default_threads
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { torch, python, numpy, instruction_set, default_threads } = &self.about;
        write!(
            f,
            "PyTorch {torch}, {instruction_set}, {default_threads} threads by default, numpy {numpy}, Python {python}"
        )
    }
}

fn folder() -> PathBuf {
    workspace::root().join("tests/peers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_without_python_is_no_environment() {
        let folder = tempfile::tempdir().unwrap();
        let error = Peers::at(folder.path(), &mut Stop::new().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("bin/python") && error.contains(folder.path().to_str().unwrap()), "{error}");
    }
}
