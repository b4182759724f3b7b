//! The dashboard and the page of bundles: its packages, its checks, its build, each done only when something has changed.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::process::Command;

use crate::{
    process::{self, Stop},
    workspace,
};

/// What the packages in node_modules depend on.
const MANIFESTS: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// Files and folders that no build reads.
const NOT_SOURCES: [&str; 6] = ["node_modules", "dist", "e2e", "tests", "test-results", "playwright-report"];

/// The dashboard's folder.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("web")
}

fn npm(arguments: &[&str]) -> Command {
    let mut npm = process::command("npm", &folder());
    npm.args(arguments);
    npm
}

/// `npm run SCRIPT`.
pub(crate) async fn script(name: &str, stop: &mut Stop) -> anyhow::Result<()> {
    process::run(&mut npm(&["run", "--silent", name]), stop).await
}

/// Fetches the packages, unless those of this lock file are there.
pub(crate) async fn install(stop: &mut Stop) -> anyhow::Result<()> {
    let web = folder();
    let stamp = web.join("node_modules/.xtask-stamp");
    let wanted = hash_of(MANIFESTS.iter().map(|name| web.join(name)))?;
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("fetching the dashboard's packages");
    process::run(&mut npm(&["ci", "--no-audit", "--no-fund"]), stop).await?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Builds the dashboard, unless what is built is of these sources.
pub(crate) async fn build(stop: &mut Stop) -> anyhow::Result<()> {
    let web = folder();
    let pages = [web.join("dist/index.html"), web.join("dist/bundle/index.html")];
    let stamp = workspace::target_dir()?.join("xtask-web-stamp");
    let sources = hash_of(sources(&web)?.into_iter())?;
    // A page names its scripts by their hashes or holds them, so the pages stand for the whole build.
    let built = || hash_of(pages.iter().cloned()).map(|pages| format!("{sources} {pages}"));
    if pages.iter().all(|page| page.is_file())
        && fs::read_to_string(&stamp).is_ok_and(|found| built().is_ok_and(|built| built == found))
    {
        return Ok(());
    }
    install(stop).await?;
    eprintln!("building the dashboard");
    script("build", stop).await?;
    fs::write(&stamp, built()?).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Every file that the build may read, in a fixed order.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if NOT_SOURCES.iter().any(|other| name == *other) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A hash of names and contents; files that are not there count as such.
fn hash_of(files: impl Iterator<Item = PathBuf>) -> anyhow::Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        let content = if file.exists() {
            Some(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?)
        } else {
            None
        };
        content.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{hash_of, sources};

    #[test]
    fn a_changed_a_new_and_a_renamed_source_change_the_hash() {
        let folder = tempfile::tempdir().unwrap();
        let hash = || hash_of(sources(folder.path()).unwrap().into_iter()).unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        fs::write(folder.path().join("src/a.ts"), "1").unwrap();
        let before = hash();
        assert_eq!(before, hash());
        fs::create_dir(folder.path().join("dist")).unwrap();
        fs::write(folder.path().join("dist/index.html"), "built").unwrap();
        assert_eq!(before, hash(), "what is built is no source");
        fs::write(folder.path().join("src/a.ts"), "2").unwrap();
        let changed = hash();
        fs::rename(folder.path().join("src/a.ts"), folder.path().join("src/b.ts")).unwrap();
        let renamed = hash();
        assert!(before != changed && changed != renamed);
    }
}
