//! Trials of a sweep with `snapshots = true` hand over what `motif train` writes, byte by byte.

use std::fs;

use anyhow::{Context as _, ensure};
use motif_tests::process::{Server, motif_json};

const TRIAL: &str = "rule = \"sal\"\nhidden = [24, 16]\ntrain_limit = 500\ntest_limit = 100\nbatch_size = 50\nepochs = 3\nspectra = \"epoch\"\n";

#[test]
fn a_sweeps_trials_hand_over_what_train_writes() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name).to_str().expect("utf-8").to_owned();
    fs::write(path("trial.toml"), TRIAL)?;
    motif_json(dir.path(), &["train", &path("trial.toml"), "--seed", "0", "--out", &path("here")])?;

    let sweep = format!("name = \"shown\"\nseeds = 1\nsnapshots = true\n[trial]\n{TRIAL}");
    fs::write(path("sweep.toml"), sweep)?;
    let server = Server::start(&dir.path().join("server"))?;
    let _worker = server.worker("w", &dir.path().join("w"), 1)?;
    let done = server.json(&["submit", &path("sweep.toml"), "--wait"])?;
    let sweep = done["sweep"]["id"].as_str().context("an id")?;
    let trial = server.trials(sweep)?.remove(0)["id"].as_str().context("an id")?.to_owned();
    let fetched = server.json(&["trial", "snapshots", &trial, "--out", &path("fetched")])?;
    ensure!(fetched.as_array().map(Vec::len) == Some(4), "{fetched}");

    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path().join("here/snapshots"))? {
        let name = entry?.file_name().into_string().expect("utf-8");
        let [here, there] = ["here/snapshots", "fetched"].map(|at| fs::read(dir.path().join(at).join(&name)));
        ensure!(here? == there.with_context(|| name.clone())?, "{name} differs");
        names.push(name);
    }
    names.sort();
    let expected = ["matrices-000000.npz", "matrices-000030.npz", "step-000000.npz", "step-000030.npz"];
    ensure!(names == expected, "{names:?}");
    Ok(())
}
