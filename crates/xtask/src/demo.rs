//! `cargo xtask demo`: from a fresh clone to a finished sweep and its dashboard, in one command.

use std::{
    net::ToSocketAddrs as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::Value;
use tokio::process::Child;

use crate::{
    motif::{Motif, start},
    process::{self, Stop},
    tools, web, workspace,
};

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the data in this folder [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Worker processes.
    #[arg(long, default_value_t = 2, value_name = "N")]
    workers: u16,
    /// End when the sweep has ended, with a failure unless every trial succeeded.
    #[arg(long)]
    exit_when_done: bool,
    /// Print the summary as one JSON document on stdout.
    #[arg(long)]
    json: bool,
    /// Address to listen on, of this machine's loopback; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR")]
    listen: String,
}

/// Longest time that the server may take to listen.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Between two looks at whether it does.
const READY_LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(demo: &Demo, stop: &mut Stop) -> anyhow::Result<bool> {
    tools::require_node()?;
    check_loopback(&demo.listen)?;
    web::build(stop).await?;
    eprintln!("building motif (a few minutes the first time)");
    let mut build = process::cargo(&workspace::root());
    process::run(build.args(["build", "--release", "--workspace", "--bin", "motif"]), stop).await?;
    let motif = Motif::built()?;

    let temporary;
    let data = match &demo.data {
        Some(data) => std::path::absolute(data)?,
        None => {
            temporary = tempfile::Builder::new().prefix("motif-demo-").tempdir()?;
            temporary.path().to_owned()
        }
    };
    // A kept folder's first start prints its admin token, which must not be lost.
    let output = if demo.data.is_some() { Stdio::from(std::io::stderr()) } else { Stdio::null() };
    let mut server = start(motif.up(&demo.listen, demo.workers, &data).stdout(output))?;
    // Whatever happens while it serves, it is ended the same way.
    let served = serve(demo, &motif, &data, &mut server, stop).await;
    let ended = process::end(&mut server, process::END_LIMIT).await;
    let succeeded = served?;
    ended.context("the server")?;
    Ok(succeeded)
}

/// A server elsewhere leaves no token for us: only loopback is handed over by a file.
fn check_loopback(listen: &str) -> anyhow::Result<()> {
    let mut addresses =
        listen.to_socket_addrs().with_context(|| format!("--listen {listen}: not an address"))?;
    ensure!(
        addresses.all(|address| address.ip().is_loopback()),
        "--listen {listen}: the demo stays on this machine; give a loopback address such as 127.0.0.1:8080, and see \
         `motif serve` for others"
    );
    Ok(())
}

/// Runs the sweep on the server; whether every trial succeeded.
async fn serve(
    demo: &Demo,
    motif: &Motif,
    data: &Path,
    server: &mut Child,
    stop: &mut Stop,
) -> anyhow::Result<bool> {
    let dashboard = ready(data, server, stop).await?;
    tell(demo, &format!("the dashboard, while it runs: {dashboard}"));
    let mut submit = motif.client(data, demo.json, &["preset", "submit", "demo", "--wait"]);
    submit.stdout(Stdio::inherit());
    let waited = tokio::select! {
        status = process::status(&mut submit, stop) => status?,
        status = server.wait() => bail!("the server ended too early, with {}", status?),
    };
    let succeeded = waited.success() && all_succeeded(motif, data).await?;
    if !succeeded {
        eprintln!("not every trial succeeded");
    }
    if demo.exit_when_done {
        return Ok(succeeded);
    }
    tell(demo, &format!("\nthe dashboard: {dashboard}\nCtrl-C stops the server"));
    tokio::select! {
        () = stop.wanted() => Ok(succeeded),
        status = server.wait() => bail!("the server ended, with {}", status?),
    }
}

/// Prints for people: on stdout, unless that is for the one JSON document.
fn tell(demo: &Demo, text: &str) {
    if demo.json {
        eprintln!("{text}");
    } else {
        println!("{text}");
    }
}

/// Waits for the file that the server leaves for us; the dashboard's address.
async fn ready(data: &Path, server: &mut Child, stop: &mut Stop) -> anyhow::Result<String> {
    let file = data.join("client.json");
    let server_id = server.id();
    let left = async {
        loop {
            if let Some(dashboard) = std::fs::read(&file).ok().and_then(|text| dashboard_of(&text, server_id))
            {
                return dashboard;
            }
            tokio::time::sleep(READY_LOOK).await;
        }
    };
    tokio::select! {
        dashboard = left => Ok(dashboard),
        status = server.wait() => bail!("the server did not start: it ended with {}", status?),
        () = tokio::time::sleep(READY_LIMIT) => bail!("the server was not ready within {READY_LIMIT:?}"),
        () = stop.wanted() => bail!("stopped"),
    }
}

/// The dashboard's address in a `client.json`, unless the file is from another server that died before.
fn dashboard_of(text: &[u8], server_id: Option<u32>) -> Option<String> {
    let left: Value = serde_json::from_slice(text).ok()?;
    let ours = left["pid"].as_u64() == server_id.map(u64::from);
    ours.then(|| left["dashboard"].as_str().map(str::to_owned)).flatten()
}

/// Asks the server itself: a diverged trial is an outcome for `--wait`, but not what the demo promises.
async fn all_succeeded(motif: &Motif, data: &Path) -> anyhow::Result<bool> {
    let mut show = motif.client(data, true, &["sweep", "show", "latest"]);
    let output = show.stdout(Stdio::piped()).output().await?;
    ensure!(output.status.success(), "{} ended with {}", process::shown(&show), output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("`motif sweep show` prints JSON")?;
    succeeded_of(&report["sweep"]["counts"])
}

fn succeeded_of(counts: &Value) -> anyhow::Result<bool> {
    let counts = counts.as_object().context("a sweep counts its trials by state")?;
    let of = |state: &str| counts.get(state).and_then(Value::as_u64).unwrap_or(0);
    let total: u64 = counts.values().filter_map(Value::as_u64).sum();
    Ok(total > 0 && of("succeeded") == total)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(check_loopback("127.0.0.1:0").is_ok());
        assert!(check_loopback("[::1]:8080").is_ok());
        assert!(check_loopback("0.0.0.0:8080").is_err());
        assert!(check_loopback("nonsense").is_err());
    }

    #[test]
    fn a_file_left_by_a_dead_server_is_not_believed() {
        let text =
            br#"{ "server": "http://127.0.0.1:1", "dashboard": "http://127.0.0.1:1/#token=x", "pid": 7 }"#;
        assert_eq!(dashboard_of(text, Some(7)).as_deref(), Some("http://127.0.0.1:1/#token=x"));
        assert_eq!(dashboard_of(text, Some(8)), None);
        assert_eq!(dashboard_of(b"{", Some(7)), None);
    }

    #[test]
    fn every_trial_must_have_succeeded() {
        assert!(succeeded_of(&json!({ "queued": 0, "succeeded": 18 })).unwrap());
        assert!(!succeeded_of(&json!({ "diverged": 1, "succeeded": 17 })).unwrap());
        assert!(!succeeded_of(&json!({ "succeeded": 0 })).unwrap());
        assert!(succeeded_of(&json!(null)).is_err());
    }
}
