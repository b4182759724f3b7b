//! pandas and pyarrow read what a sweep is exported as, and find every value that the JSON API has. `cargo xtask test`
//! makes the Python that has them.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, bail, ensure};
use motif_client::{Client, ClientOptions};
use motif_testkit::build;
use motif_tests::process::{Server, wait_for};
use motif_wire::{
    metrics::MetricPoint,
    trials::TrialReport,
    work::{ClaimRequest, WorkerHello},
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A label that a spreadsheet or a page would run; an arm that diverges; axes of every kind.
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
    let server = Server::start(&dir.path().join("data"))?;
    let options = ClientOptions { token: Some(server.token.clone()), ..ClientOptions::new(&server.url) };
    let (client, runtime) = (Client::new(options)?, tokio::runtime::Runtime::new()?);
    let spec = dir.path().join("sweep.toml");
    fs::write(&spec, SWEEP)?;
    let submitted = server.json(&["submit", spec.to_str().context("utf-8")?])?;
    let sweep = submitted["id"].as_str().context("id")?;
    runtime.block_on(log_what_is_not_finite(&client))?;
    let mut worker = server.worker("w", &dir.path().join("worker"), 2)?;
    wait_for("the sweep to finish", Duration::from_secs(120), || {
        Ok((server.json(&["sweep", "show", sweep])?["sweep"]["state"] == "finished").then_some(()))
    })?;

    let out = dir.path().join("out");
    export_all(&server, sweep, &out)?;
    let document: Value = serde_json::from_slice(&fs::read(out.join("export.json"))?)?;
    for trial in document["trials"].as_array().context("trials")? {
        let id = trial["id"].as_str().context("id")?;
        let metrics = runtime.block_on(client.trial_metrics(id.parse()?))?;
        fs::write(out.join("metrics").join(format!("{id}.json")), serde_json::to_vec(&metrics)?)?;
    }

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/read_export.py");
    let output = Command::new(python).arg(script).arg(&out).output().context("Python runs")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!((&found["trials"], &found["nans"]), (&json!(20), &json!(1)));
    let axes = json!({ "axes.epochs": "int64", "axes.plastic": "string", "axes.rates.w": "double" });
    assert_eq!(found["wide"]["axes"], axes);
    assert_eq!(found["bundle"]["figures"], json!(["conditions.svg", "curves.svg", "ledger.svg"]));
    worker.signal(Signal::SIGTERM)?;
    worker.wait(Duration::from_secs(30))?;
    Ok(())
}

/// Every table, the JSON document that they are checked against, and a bundle.
fn export_all(server: &Server, sweep: &str, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out.join("metrics"))?;
    let files = [
        ("json", None, "export.json"),
        ("csv", None, "wide.csv"),
        ("csv", Some("long"), "long.csv"),
        ("parquet", Some("wide"), "wide.parquet"),
        ("parquet", Some("long"), "long.parquet"),
        ("bundle", None, "bundle"),
    ];
    for (format, shape, name) in files {
        let path = out.join(name);
        let mut args = vec!["export", sweep, "--format", format, "--out", path.to_str().context("utf-8")?];
        args.extend(shape.into_iter().flat_map(|shape| ["--shape", shape]));
        let done = server.motif(&args)?;
        ensure!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Takes one trial as another program may, logs a value that is not finite, and ends it with such a metric: the engine
/// stops a trial before it would.
async fn log_what_is_not_finite(client: &Client) -> anyhow::Result<()> {
    let id = "00000000-0000-7000-8000-000000000001".parse()?;
    let hello = WorkerHello {
        id,
        name: "@other".into(),
        slots: 1,
        version: "0.0.0-test".into(),
        protocol: motif_wire::PROTOCOL_VERSION,
        host: "here".into(),
        instruction_set: "none".into(),
        labels: Vec::new(),
        memory_bytes: None,
    };
    let claim = ClaimRequest { claim_id: id, secret: "ab".repeat(32), worker: hello, max: 1, wait_s: 0 };
    let leases = client.claim(&claim).await?.leases;
    let [lease] = leases.as_slice() else { bail!("one trial was to be claimed: {leases:?}") };
    let values = BTreeMap::from([("test_loss".to_owned(), Some(0.1)), ("train_loss".to_owned(), None)]);
    let point = MetricPoint { seq: 0, step: 1, epoch: 0.25, values: values.clone() };
    client.metrics(lease.attempt_id, &lease.token, vec![point]).await?;
    let report = TrialReport { diverged_step: Some(1), ..build::report(values) };
    client.complete(lease.attempt_id, &lease.token, report).await?;
    Ok(())
}
