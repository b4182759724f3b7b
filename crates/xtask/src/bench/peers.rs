//! PyTorch: a virtual environment for tests/peers, given or made.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    process::{self, Stop},
    tools::says,
    workspace,
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
        let requirements = folder().join("requirements.txt");
        let wanted = fs::read_to_string(&requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        let venv = workspace::target_dir()?.join("peers");
        // Written last, so that what broke off is made again.
        let stamp = venv.join("xtask-stamp");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Self::at(&venv, stop).await.map(Some);
        }
        let Some(version) = says("python3", &["--version"]) else {
            eprintln!(
                "python3 is not installed, so PyTorch is left out (--peers VENV names an environment that has it)"
            );
            return Ok(None);
        };
        eprintln!(
            "{version}: making {} with PyTorch in it, once: some minutes, 5.6 GB (--no-peers leaves it out, --peers VENV \
             takes another)",
            venv.display()
        );
        let root = workspace::root();
        let mut make = process::command("python3", &root);
        process::run(make.args(["-m", "venv", "--clear"]).arg(&venv), stop).await.with_context(|| {
            "no virtual environment (Debian and Ubuntu pack it alone: `apt-get install python3-venv`; --no-peers leaves \
             PyTorch out)"
        })?;
        let mut install = process::command(venv.join("bin/pip"), &root);
        install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        process::run(&mut install, stop)
            .await
            .context("PyTorch was not installed (--no-peers leaves it out)")?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Self::at(&venv, stop).await.map(Some)
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
