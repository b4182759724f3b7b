//! numpy reads what a run leaves, and computes the same from it. `cargo xtask test` makes the Python that has numpy.

use std::{path::Path, process::Command};

use anyhow::{Context as _, ensure};
use motif_tests::process::motif;
use serde_json::{Value, json};

const TRIAL: &str = r#"
hidden = [20, 16]
train_limit = 200
test_limit = 50
epochs = 2
batch_size = 32
schedule = "constant"
spectra = "ends"
"#;

#[test]
fn a_run_is_read_with_numpy() -> anyhow::Result<()> {
    let python = std::env::var_os("MOTIF_PYTHON")
        .context("MOTIF_PYTHON names no Python that has numpy: run `cargo xtask test --only python`")?;
    let dir = tempfile::tempdir()?;
    let (trial, run) = (dir.path().join("trial.toml"), dir.path().join("run"));
    std::fs::write(&trial, TRIAL)?;
    let [trial, run] = [&trial, &run].map(|path| path.to_str().context("utf-8"));
    let (trial, run) = (trial?, run?);
    let trained = motif(dir.path(), &["train", trial, "--out", run, "--trace-steps", "2"])?;
    ensure!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_run.py");
    let output = Command::new(python).arg(script).arg(run).output().context("Python runs")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    for (name, most) in [("gram", 1e-5), ("sigma", 1e-6), ("eigen", 1e-6), ("step", 1e-5)] {
        let error = found["errors"][name].as_f64().with_context(|| format!("an error of {name}"))?;
        assert!(error < most, "{name}: {found}");
    }
    assert_eq!(found["kinds"], json!([["float32", true]]));
    assert_eq!(found["labels"], "int64");
    let tensors = ["v.1", "v.2", "v_bar.1", "v_bar.2", "w.1", "w.2", "w.3", "w_bar.1", "w_bar.2"];
    assert_eq!(found["tensors"], json!(tensors));
    Ok(())
}
