//! Notes the commit that is built, where one can be told: `MOTIF_COMMIT`, else git's.

use std::{env, process::Command};

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MOTIF_COMMIT");
    // The log of HEAD changes with every commit and checkout; a file that is not there would rebuild every time.
    if let Some(log) = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])
        && std::path::Path::new(&log).is_file()
    {
        println!("cargo::rerun-if-changed={log}");
    }
    let given = env::var("MOTIF_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    if let Some(commit) = given.or_else(|| git(&["rev-parse", "HEAD"])) {
        println!("cargo::rustc-env=MOTIF_COMMIT={}", commit.trim());
    }
}
