//! Optuna's queue: ask and tell on its two storages that need no server, by several processes.

use serde_json::{Value, json};

use super::{Row, folder, number, plain};
use crate::{
    process::{self, Stop},
    tools::says,
    venv, workspace,
};

/// Null when there is no Python.
pub(super) async fn measure(seconds: u64, stop: &mut Stop) -> anyhow::Result<Value> {
    if says("python3", &["--version"]).is_none() {
        eprintln!("python3 is not installed, so Optuna is left out");
        return Ok(Value::Null);
    }
    let peers = workspace::root().join("tests/peers");
    let python = venv::python("optuna", &peers.join("optuna.txt"), "Optuna, once: a minute", stop).await?;
    let mut runs = Vec::new();
    for kind in ["sqlite", "journal"] {
        for processes in [1, 4, 16] {
            eprintln!("Optuna on {kind}, {processes} processes");
            let data = folder()?;
            let mut play = process::command(&python, &peers);
            play.env("PYTHONDONTWRITEBYTECODE", "1")
                .args(["optuna_queue.py", kind])
                .arg(data.path().join("study"));
            play.args([processes.to_string(), seconds.to_string()]);
            let mut run: Value = serde_json::from_str(&process::output(&mut play, stop).await?)?;
            run["storage"] = json!(kind);
            run["processes"] = json!(processes);
            runs.push(run);
        }
    }
    Ok(json!(runs))
}

pub(super) fn rows(peers: &Value) -> Vec<Row> {
    let row = |run: &Value| {
        let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        let processes = number(&run["processes"], 0);
        let name = format!(
            "Optuna {} ask/tell, {}, {processes} processes: trials/s",
            text("optuna"),
            text("storage")
        );
        let errors = run["errors"].as_u64().unwrap_or_default();
        let errors = if errors > 0 { format!(" ({errors} errors)") } else { String::new() };
        plain(name, format!("{}{errors}", number(&run["trials_per_s"], 0)))
    };
    peers.as_array().into_iter().flatten().map(row).collect()
}
