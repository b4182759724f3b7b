//! The dashboard and a bundle in a real browser, over a real sweep: `motif up`, a sweep, then web/e2e in Chromium.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Up, motif_json};

const SWEEP: &str = r#"
name = "browser"
seeds = 3
snapshots = true
baseline = { rule = "bp" }
[trial]
dataset = "glyphs"
hidden = [48, 48]
train_limit = 2000
test_limit = 500
epochs = 4
rates = { w = 0.3, w_bar = 0.06, v = 0.3, v_bar = 0.3 }
[axes]
plastic = [["w"], ["w", "w_bar", "v", "v_bar"]]
[[arms]]
label = "bp"
rule = "bp"
[[claims]]
text = "V and V̄ become each other's transposes <b>."
test = "grows"
metric = "cos_v.*"
of = { plastic = ["w", "w_bar", "v", "v_bar"], rule = "sal" }
[[claims]]
text = "Everything is right."
test = "above"
level = 1.0
each = "rule"
"#;

#[test]
fn the_dashboard_shows_a_finished_sweep_in_a_real_browser() -> anyhow::Result<()> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    ensure!(
        web.join("node_modules").is_dir() && web.join("dist/bundle/index.html").is_file(),
        "the dashboard is not built: run `cargo xtask test`, or `npm ci && npm run build` in web/"
    );
    let dir = tempfile::tempdir()?;
    let up = Up::start(&dir.path().join("data"), 2)?;
    let spec = dir.path().join("sweep.toml");
    std::fs::write(&spec, SWEEP)?;
    // No server and no token is named: `motif up` has left them in the data directory.
    let report = motif_json(&up.data, &["submit", spec.to_str().context("utf-8")?, "--wait"])?;
    let sweep = report["sweep"]["id"].as_str().context("id")?;
    let bundle = dir.path().join("bundle");
    let exported = ["export", sweep, "--format", "bundle", "--out", bundle.to_str().context("utf-8")?];
    motif_json(&up.data, &exported)?;

    let status = Command::new("npm")
        .args(["run", "--silent", "test:e2e"])
        .current_dir(&web)
        .env("MOTIF_E2E_URL", &up.dashboard)
        .env("MOTIF_E2E_SWEEP", sweep)
        .env("MOTIF_E2E_BUNDLE", &bundle)
        .stdin(Stdio::null())
        .status()
        .context("npm runs (Node.js is needed)")?;
    ensure!(status.success(), "the browser test failed: {status}");
    up.stop(Duration::from_secs(20))
}
