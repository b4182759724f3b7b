//! The tools that the tasks need: found, or missing with the way to install them. All that is missing is told at once.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{bail, ensure};

use crate::process::{self, Stop};

/// Oldest Node.js that builds the dashboard.
const NODE_MIN: (u32, u32) = (20, 19);

const CHROMIUM_NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const CHROMIUM_APPS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// What a tool prints about itself; nothing when it cannot be run.
pub(crate) fn says(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Fails unless Node.js and npm are there.
pub(crate) fn require_node() -> anyhow::Result<()> {
    let missing =
        missing_node(says("node", &["--version"]).as_deref(), says("npm", &["--version"]).as_deref());
    if missing.is_empty() {
        return Ok(());
    }
    bail!("a tool is missing; nothing was started\n{}", missing.join("\n"));
}

fn missing_node(node: Option<&str>, npm: Option<&str>) -> Vec<String> {
    let wanted = format!("{}.{}", NODE_MIN.0, NODE_MIN.1);
    let install = "install it from https://nodejs.org (npm comes with it), or with a version manager: \
                   `nvm install 22`, `fnm install 22`; on macOS also `brew install node`";
    let mut missing = Vec::new();
    match node.map(|text| (text, version(text))) {
        Some((_, Some(found))) if found >= NODE_MIN => {}
        Some((text, _)) => {
            missing.push(format!(
                "  Node.js {wanted} or newer, which builds the dashboard (found {text}): {install}"
            ));
        }
        None => missing.push(format!("  Node.js {wanted} or newer, which builds the dashboard: {install}")),
    }
    if npm.is_none() {
        missing.push("  npm, which fetches the dashboard's packages: it comes with Node.js; Debian and Ubuntu pack it \
                      alone: `apt-get install npm`".to_owned());
    }
    missing
}

/// Major and minor number of `v20.19.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether a cargo subcommand is installed.
pub(crate) fn has_cargo_subcommand(name: &str) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = Command::new(cargo).args([name, "--version"]).stdin(Stdio::null()).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Chromium or Chrome: the one `CHROMIUM` names, else one on `PATH` or where macOS keeps it.
fn find_chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM").map(PathBuf::from) {
        return named.is_file().then_some(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&path).flat_map(|folder| CHROMIUM_NAMES.map(|name| folder.join(name)));
    on_path.chain(CHROMIUM_APPS.map(PathBuf::from)).find(|candidate| candidate.is_file())
}

/// Chromium, installed first where we may: on Debian and its kin, as root.
pub(crate) async fn chromium(stop: &mut Stop) -> anyhow::Result<PathBuf> {
    if let Some(found) = find_chromium() {
        return Ok(found);
    }
    if let Some(named) = std::env::var_os("CHROMIUM") {
        bail!("CHROMIUM names {}, which is not a file", named.display());
    }
    if may_install() {
        eprintln!("Chromium is missing; installing it");
        install(&["chromium", "fonts-dejavu-core"], stop).await?;
    }
    if let Some(found) = find_chromium() {
        return Ok(found);
    }
    bail!(
        "Chromium is missing, which the browser test drives. Install it (Debian, Ubuntu: `sudo apt-get install \
         chromium fonts-dejavu-core`; Fedora: `sudo dnf install chromium`; macOS: `brew install --cask chromium`), or \
         set CHROMIUM to the path of a Chromium or Chrome"
    )
}

/// Python 3 with venv, installed first where we may, as [`chromium`].
pub(crate) async fn require_python(stop: &mut Stop) -> anyhow::Result<()> {
    let found = || says("python3", &["-c", "import venv, ensurepip"]).is_some();
    if !found() && may_install() {
        eprintln!("Python is missing; installing it");
        install(&["python3", "python3-venv"], stop).await?;
    }
    ensure!(
        found(),
        "Python 3 with venv is missing, with which a test reads what Motif writes. Install it (Debian, Ubuntu: `sudo \
         apt-get install python3-venv`; Fedora: `sudo dnf install python3`; macOS: `brew install python`)"
    );
    Ok(())
}

/// Whether we are root on Debian or its kin.
fn may_install() -> bool {
    Path::new("/etc/debian_version").exists() && says("id", &["-u"]).as_deref() == Some("0")
}

async fn install(packages: &[&str], stop: &mut Stop) -> anyhow::Result<()> {
    let here = Path::new("/");
    let apt_get = |arguments: &[&str]| {
        let mut apt_get = process::command("apt-get", here);
        apt_get.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt_get
    };
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    if process::status(&mut apt_get(&install), stop).await?.success() {
        return Ok(());
    }
    process::run(&mut apt_get(&["update"]), stop).await?;
    process::run(&mut apt_get(&install), stop).await
}

#[cfg(test)]
mod tests {
    use super::missing_node;

    #[test]
    fn old_and_missing_tools_are_named_together() {
        assert!(missing_node(Some("v20.19.0"), Some("10.8.2")).is_empty());
        assert!(missing_node(Some("v22.1.0"), Some("10.8.2")).is_empty());
        let old = missing_node(Some("v18.20.4"), Some("9.2.0"));
        assert!(old.len() == 1 && old[0].contains("v18.20.4") && old[0].contains("20.19"), "{old:?}");
        assert_eq!(missing_node(None, None).len(), 2);
        assert_eq!(missing_node(Some("nonsense"), None).len(), 2);
    }
}
