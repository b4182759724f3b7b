//! A bundle is exported, checked and run again through real processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_tests::{
    fixtures::write_idx,
    process::{Server, wait_for},
};
use nix::sys::signal::Signal;
use serde_json::Value;

const SWEEP: &str = r#"
name = "again"
seeds = 2
baseline = { rule = "bp" }
[trial]
dataset = "idx"
hidden = [16]
train_limit = 300
test_limit = 100
epochs = 2
rule = "sal"
rates = { w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }
[[arms]]
label = "sal"
[[arms]]
label = "bp"
rule = "bp"
"#;

const FILES: [&str; 21] = [
    "CITATION.cff",
    "METHODS.md",
    "README.md",
    "data/comparisons.json",
    "data/curves.json",
    "data/ledger.json",
    "data/points.parquet",
    "data/summary.json",
    "data/trials.csv",
    "data/trials.parquet",
    "figures/conditions.csv",
    "figures/conditions.svg",
    "figures/curves.csv",
    "figures/curves.svg",
    "figures/ledger.csv",
    "figures/ledger.svg",
    "hashes.csv",
    "index.html",
    "manifest.json",
    "sweep.json",
    "sweep.toml",
];

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("utf-8")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn export(server: &Server, sweep: &str, out: &Path) -> anyhow::Result<Output> {
    server.motif(&["export", sweep, "--format", "bundle", "--out", path(out)?])
}

fn count_sweeps(server: &Server) -> anyhow::Result<usize> {
    Ok(server.json(&["sweep", "list"])?["items"].as_array().context("items")?.len())
}

/// Imports the beginning of the glyphs as `idx`, in place of what had the name.
fn import(server: &Server, dir: &Path, train: usize) -> anyhow::Result<String> {
    let images: PathBuf = dir.join(format!("images{train}"));
    write_idx(&images, train, 200)?;
    let imported = server.json(&["dataset", "import", "idx", path(&images)?, "--replace"])?;
    Ok(imported["hash"].as_str().context("hash")?.to_owned())
}

#[test]
fn a_bundle_is_run_again_to_the_same_bits_and_whatever_differs_is_named() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    let first = import(&server, dir.path(), 1000)?;
    let spec = dir.path().join("sweep.toml");
    fs::write(&spec, SWEEP)?;
    let submitted = server.json(&["submit", path(&spec)?])?;
    let id = submitted["id"].as_str().context("id")?.to_owned();

    unfinished(&server, &id, dir.path())?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 2)?;
    wait_for("the sweep to finish", Duration::from_secs(120), || {
        Ok((server.json(&["sweep", "show", &id])?["sweep"]["state"] == "finished").then_some(()))
    })?;
    let bundle = dir.path().join("bundle");
    let exported = export(&server, &id, &bundle)?;
    ensure!(exported.status.success(), "{}", said(&exported));
    whole(&bundle, &first)?;

    let rerun = server.json(&["rerun", path(&bundle)?, "--wait"])?;
    let found = &rerun["reproduction"];
    ensure!(found["verified"] == 4 && found["mismatched"] == 0 && found["unverified"] == 0, "{rerun}");
    let again = rerun["sweep_id"].as_str().context("sweep_id")?.to_owned();
    ensure!(again != id, "a re-run is a sweep of its own");
    tampered_file(&server, &bundle)?;
    tampered_hash(&server, &bundle, &again)?;

    let second = import(&server, dir.path(), 1001)?;
    let sweeps = count_sweeps(&server)?;
    let refused = server.motif(&["rerun", path(&bundle)?, "--accept-changes"])?;
    let told = said(&refused);
    ensure!(refused.status.code() == Some(1), "{told}");
    for part in ["idx", &first, &second] {
        ensure!(told.contains(part), "{part} in {told}");
    }
    ensure!(count_sweeps(&server)? == sweeps, "nothing was submitted");
    worker.signal(Signal::SIGTERM)?;
    worker.wait(Duration::from_secs(30))?;
    Ok(())
}

/// Without a worker nothing has ended: the bundle is whole, and says so.
fn unfinished(server: &Server, id: &str, dir: &Path) -> anyhow::Result<()> {
    let bundle = dir.join("early");
    let exported = export(server, id, &bundle)?;
    ensure!(exported.status.success() && said(&exported).contains("unfinished"), "{}", said(&exported));
    for file in ["METHODS.md", "README.md", "index.html"] {
        let text = fs::read_to_string(bundle.join(file))?;
        ensure!(text.contains("This sweep is unfinished: 0 of 4 trials had ended"), "{file}: {text}");
    }
    // It gives way to a later bundle, but nothing else does.
    ensure!(export(server, id, &bundle)?.status.success(), "a bundle is replaced");
    let own = dir.join("thesis");
    fs::create_dir(&own)?;
    fs::write(own.join("chapter.tex"), "years")?;
    let refused = export(server, id, &own)?;
    ensure!(refused.status.code() == Some(2) && said(&refused).contains("no bundle"), "{}", said(&refused));
    ensure!(fs::read_dir(&own)?.count() == 1, "and is left as it was");
    Ok(())
}

fn whole(bundle: &Path, dataset: &str) -> anyhow::Result<()> {
    for file in FILES {
        ensure!(bundle.join(file).metadata()?.len() > 0, "{file} is empty");
    }
    let manifest: Value = serde_json::from_slice(&fs::read(bundle.join("manifest.json"))?)?;
    let files = manifest["files"].as_object().context("files")?;
    let mut named: Vec<&str> = files.keys().map(String::as_str).chain(["manifest.json"]).collect();
    named.sort_unstable();
    ensure!(FILES.iter().all(|file| named.contains(file)), "{named:?}");
    let hash = blake3_of(&fs::read(bundle.join("README.md"))?);
    ensure!(files["README.md"]["blake3"] == hash, "the manifest has BLAKE3");
    ensure!(manifest["datasets"][0]["hash"] == dataset, "{manifest}");
    let methods = fs::read_to_string(bundle.join("METHODS.md"))?;
    for part in ["2 conditions on test accuracy", "4 trials in all", "1,000 training examples", dataset] {
        ensure!(methods.contains(part), "{part} in {methods}");
    }
    Ok(())
}

fn blake3_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn tampered_file(server: &Server, bundle: &Path) -> anyhow::Result<()> {
    let readme = bundle.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let sweeps = count_sweeps(server)?;
    fs::write(&readme, format!("{text}\nP.S."))?;
    fs::rename(bundle.join("METHODS.md"), bundle.join("METHODS.txt"))?;
    let refused = server.motif(&["rerun", path(bundle)?])?;
    let told = said(&refused);
    ensure!(refused.status.code() == Some(1), "{told}");
    ensure!(told.contains("README.md has changed") && told.contains("METHODS.md is missing"), "{told}");
    ensure!(count_sweeps(server)? == sweeps, "nothing was submitted");
    fs::write(&readme, text)?;
    fs::rename(bundle.join("METHODS.txt"), bundle.join("METHODS.md"))?;
    Ok(())
}

/// Another hash on record: the trial is mismatched, the others are not.
fn tampered_hash(server: &Server, bundle: &Path, again: &str) -> anyhow::Result<()> {
    let path_of = bundle.join("hashes.csv");
    let text = fs::read_to_string(&path_of)?;
    let hash = text.lines().nth(1).and_then(|line| line.split(',').nth(3)).context("a result hash")?;
    fs::write(&path_of, text.replace(hash, &"0".repeat(hash.len())))?;
    let compared = server.motif(&["rerun", path(bundle)?, "--accept-changes", "--sweep", again])?;
    let told = said(&compared);
    ensure!(compared.status.code() == Some(1), "{told}");
    ensure!(told.contains("3 verified, 1 mismatched, 0 unverified"), "{told}");
    ensure!(
        told.contains("0000000000000000") && told.contains(&hash[..16]),
        "both results are shown: {told}"
    );
    ensure!(told.contains("hashes.csv has changed"), "{told}");
    fs::write(&path_of, text)?;
    Ok(())
}
