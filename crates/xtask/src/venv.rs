//! Python environments of our own under target/, each made once from its requirements.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{
    process::{self, Stop},
    workspace,
};

/// The Python of target/`name`, which has what `requirements` lists; made when it is not there, which is told first in
/// the words of `notice`. Needs python3.
pub(crate) async fn python(
    name: &str,
    requirements: &Path,
    notice: &str,
    stop: &mut Stop,
) -> anyhow::Result<PathBuf> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let venv = workspace::target_dir()?.join(name);
    let python = venv.join("bin/python");
    // Written last, so that what broke off is made again.
    let stamp = venv.join("xtask-stamp");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) && python.is_file() {
        return Ok(python);
    }
    eprintln!("making {}: {notice}", venv.display());
    let root = workspace::root();
    let mut make = process::command("python3", &root);
    process::run(make.args(["-m", "venv", "--clear"]).arg(&venv), stop).await.context(
        "no virtual environment (Debian and Ubuntu pack it alone: `apt-get install python3-venv`)",
    )?;
    let mut install = process::command(venv.join("bin/pip"), &root);
    install.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    process::run(&mut install, stop).await.context("its packages were not installed")?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(python)
}
