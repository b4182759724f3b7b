//! Workers with and without a label, as real processes: trials go where their sweep wants them, and nobody waits for others.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Server, wait_for};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

fn submit(server: &Server, dir: &Path, name: &str, requires: &str) -> anyhow::Result<String> {
    let path = dir.join(format!("{name}.toml"));
    let text = format!(
        "name = \"{name}\"\nseeds = 4\n{requires}\n[trial]\ndataset = \"glyphs\"\nhidden = [8]\ntrain_limit = 64\n\
         test_limit = 64\nepochs = 1\n"
    );
    std::fs::write(&path, text)?;
    let submitted = server.json(&["submit", path.to_str().context("utf-8")?])?;
    Ok(submitted["id"].as_str().context("id")?.to_owned())
}

fn shown(server: &Server, sweep: &str) -> anyhow::Result<String> {
    let shown = server.motif(&["sweep", "show", sweep])?;
    ensure!(shown.status.success());
    Ok(String::from_utf8_lossy(&shown.stdout).into_owned())
}

/// The names of the workers that completed a sweep's trials, once all of them have succeeded.
fn trained_by(server: &Server, sweep: &str) -> anyhow::Result<BTreeSet<String>> {
    let done = wait_for("the sweep to end", LIMIT, || {
        let trials = server.trials(sweep)?;
        Ok(trials.iter().all(|trial| trial["state"] == "succeeded").then_some(trials))
    })?;
    done.iter().map(|trial| Ok(trial["worker"].as_str().context("worker")?.to_owned())).collect()
}

fn worker_row(server: &Server, name: &str) -> anyhow::Result<Option<Value>> {
    let rows = server.json(&["workers"])?;
    Ok(rows.as_array().context("rows")?.iter().find(|row| row["name"] == name).cloned())
}

#[test]
fn only_the_worker_with_the_label_gets_the_trials_and_the_other_goes_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("server"))?;
    // The sweep that the plain worker cannot take is older and more urgent.
    let picky = submit(&server, dir.path(), "picky", "priority = 9\nrequires = { labels = [\"big\"] }")?;
    let huge = submit(&server, dir.path(), "huge", "priority = 9\nrequires = { memory = \"4000 TiB\" }")?;
    let any = submit(&server, dir.path(), "any", "")?;
    let _plain = server.worker("plain", &dir.path().join("plain"), 1)?;
    ensure!(trained_by(&server, &any)? == BTreeSet::from(["plain".to_owned()]));
    ensure!(server.trials(&picky)?.iter().all(|trial| trial["state"] == "queued"));
    let text = shown(&server, &picky)?;
    ensure!(text.contains("waiting: no worker has label big"), "{text}");
    let text = shown(&server, &huge)?;
    ensure!(text.contains("waiting: no worker has 4000 TiB"), "{text}");

    let args = ["--label", "big", "--label", "gpu", "--memory", "4000TiB"];
    let _big = server.worker_with("big", &dir.path().join("big"), 1, &args)?;
    ensure!(trained_by(&server, &picky)? == BTreeSet::from(["big".to_owned()]));
    ensure!(trained_by(&server, &huge)? == BTreeSet::from(["big".to_owned()]));
    ensure!(!shown(&server, &picky)?.contains("waiting"));

    let row = worker_row(&server, "big")?.context("it is listed")?;
    ensure!(row["labels"] == serde_json::json!(["big", "gpu"]), "{row}");
    ensure!(row["memory_bytes"] == 4000_u64 << 40, "{row}");
    let row = worker_row(&server, "plain")?.context("it is listed")?;
    ensure!(row["labels"] == serde_json::json!([]) && row["memory_bytes"].as_u64() > Some(1 << 20), "{row}");
    let table = server.motif(&["workers"])?;
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    ensure!(table.contains("big, gpu") && table.contains("3.9 PiB"), "{table}");
    Ok(())
}

#[test]
fn a_bad_label_or_size_is_refused_at_the_command_line() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for (args, says) in [
        (["--label", "big gpu"], "letters, digits, `-`, `_` or `.`"),
        (["--label", ""], "1 to 63"),
        (["--memory", "lots"], "such as 8GiB"),
        (["--memory", "0B"], "such as 8GiB"),
    ] {
        for command in ["worker", "up"] {
            let refused = motif_tests::process::motif(dir.path(), &[&[command][..], &args[..]].concat())?;
            let text = String::from_utf8_lossy(&refused.stderr).into_owned();
            ensure!(refused.status.code() == Some(2) && text.contains(says), "{command} {args:?}: {text}");
        }
    }
    Ok(())
}
