//! pandas and pyarrow read what a sweep is exported as, and find every value that the JSON API has. `cargo xtask test`
//! makes the Python that has them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use motif_tests::process::{Up, motif, motif_json};
use serde_json::{Value, json};

/// Two labels that a spreadsheet would run or a page would; an arm that diverges, so that there are values that are not
/// finite; axes of every kind.
const SWEEP: &str = r#"
name = "tables"
seeds = [3, 9007199254740991]
baseline = { rule = "linear" }
[trial]
hidden = [12]
train_limit = 200
test_limit = 50
epochs = 2
batch_size = 50
rule = "sal"
[axes]
epochs = [1, 2]
"rates.w" = [0.1, 1]
plastic = [["w"], ["w", "v"]]
[[arms]]
label = "=1+1 <b>, \"ä\""
rule = "linear"
[[arms]]
label = "diverging"
rule = "bp"
hidden = [12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12]
activation = "linear"
clip_norm = 0.0
rates = { w = 999 }
divergence_bound = 1e15
"#;

#[test]
fn exports_are_read_with_pandas_and_pyarrow() -> anyhow::Result<()> {
    let python = std::env::var_os("MOTIF_PYTHON")
        .context("MOTIF_PYTHON names no Python that has pandas: run `cargo xtask test --only python`")?;
    let dir = tempfile::tempdir()?;
    let up = Up::start(&dir.path().join("data"), 2)?;
    let spec = dir.path().join("sweep.toml");
    fs::write(&spec, SWEEP)?;
    let report = motif_json(&up.data, &["submit", spec.to_str().context("utf-8")?, "--wait"])?;
    let sweep = report["sweep"]["id"].as_str().context("id")?;

    let out = dir.path().join("out");
    fs::create_dir_all(out.join("metrics"))?;
    let export = |format: &str, shape: Option<&str>, name: &str| -> anyhow::Result<()> {
        let path = out.join(name);
        let mut args = vec!["export", sweep, "--format", format, "--out", path.to_str().context("utf-8")?];
        args.extend(shape.into_iter().flat_map(|shape| ["--shape", shape]));
        let done = motif(&up.data, &args)?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    };
    export("json", None, "export.json")?;
    export("csv", None, "wide.csv")?;
    export("csv", Some("long"), "long.csv")?;
    export("parquet", Some("wide"), "wide.parquet")?;
    export("parquet", Some("long"), "long.parquet")?;
    export("bundle", None, "bundle")?;
    let document: Value = serde_json::from_slice(&fs::read(out.join("export.json"))?)?;
    save_metrics(&up, &document, &out.join("metrics"))?;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_export.py");
    let output = Command::new(python).arg(script).arg(&out).output().context("Python runs")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(found["trials"], 20);
    assert!(found["nans"].as_u64() > Some(0), "a diverging trial logs what is not finite: {found}");
    let axes = json!({ "axes.epochs": "int64", "axes.plastic": "string", "axes.rates.w": "double" });
    assert_eq!(found["wide"]["axes"], axes);
    assert_eq!(found["bundle"]["figures"], json!(["conditions.svg", "curves.svg", "ledger.svg"]));
    up.stop(std::time::Duration::from_secs(20))
}

/// Each trial's points as the API answers them.
fn save_metrics(up: &Up, document: &Value, folder: &Path) -> anyhow::Result<()> {
    let left: Value = serde_json::from_slice(&fs::read(up.data.join("client.json"))?)?;
    let text = |name: &str| left[name].as_str().map(str::to_owned).context("client.json");
    let options = motif_client::ClientOptions {
        token: Some(text("token")?),
        ..motif_client::ClientOptions::new(text("server")?)
    };
    let client = motif_client::Client::new(options)?;
    let runtime = tokio::runtime::Runtime::new()?;
    for trial in document["trials"].as_array().context("trials")? {
        let id = trial["id"].as_str().context("id")?;
        let metrics = runtime.block_on(client.trial_metrics(id.parse()?))?;
        fs::write(folder.join(format!("{id}.json")), serde_json::to_vec(&metrics)?)?;
    }
    Ok(())
}
