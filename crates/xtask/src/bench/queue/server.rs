//! A real server and the load that is put on it, each a process.

use std::{fs, path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::{
    bench::trials::now,
    motif::{Motif, start},
    process::{self, Stop},
    workspace,
};

/// Longest wait for a server to say where it listens.
const READY_LIMIT: Duration = Duration::from_secs(300);
/// The kernel's unit of processor time, per second: the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A `motif serve`.
pub(super) struct Server {
    child: Child,
    /// Kept open: a server that writes to a closed pipe would fail.
    _said: BufReader<ChildStdout>,
    url: String,
    /// What its first start printed.
    pub(super) token: String,
    /// From its start until it said where it listens.
    pub(super) ready_ms: f64,
}

impl Server {
    /// Starts it; a token is given for data that have one.
    pub(super) async fn start(data: &Path, token: Option<String>) -> anyhow::Result<Self> {
        let began = now();
        let mut command = Motif::built()?.client(data, true, &["serve", "--listen", "127.0.0.1:0"]);
        command.env("MOTIF_LOG", "warn").stdout(Stdio::piped()).process_group(0);
        let mut child = start(&mut command)?;
        let mut said = BufReader::new(child.stdout.take().context("stdout is piped")?);
        let mut line = String::new();
        tokio::time::timeout(READY_LIMIT, said.read_line(&mut line))
            .await
            .context("the server does not start")??;
        let ready_ms = began.elapsed().as_secs_f64() * 1e3;
        let hello: Value = serde_json::from_str(&line).context("a server says where it listens")?;
        let text = |key: &str| hello[key].as_str().map(str::to_owned);
        let url = text("server").context("its address")?;
        let token = token.or_else(|| text("admin_token")).context("its token")?;
        Ok(Self { child, _said: said, url, token, ready_ms })
    }

    fn load_command(&self, what: &str, arguments: &[String]) -> anyhow::Result<Command> {
        let example = workspace::target_dir()?.join("release/examples/queue_load");
        let mut command = process::command(&example, &workspace::root());
        command.args([&self.url, &self.token]).arg(what).args(arguments);
        Ok(command)
    }

    /// Runs a part of `queue_load`, and reads what it measured.
    pub(super) async fn load(
        &mut self,
        what: &str,
        arguments: &[String],
        stop: &mut Stop,
    ) -> anyhow::Result<Value> {
        let text = process::output(&mut self.load_command(what, arguments)?, stop).await?;
        serde_json::from_str(&text).with_context(|| format!("queue_load {what} prints JSON"))
    }

    /// Something that reads an answer byte by byte until it is dropped.
    pub(super) fn endless_reader(&self, path: &str) -> anyhow::Result<Child> {
        start(&mut self.load_command("slow", &[path.to_owned()])?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let id = self.child.id().context("the server has ended")?;
        fs::read_to_string(format!("/proc/{id}/{file}")).context("no /proc: this benchmark needs Linux")
    }

    /// Processor time so far, in seconds.
    pub(super) fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').context("a stat has a name")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_S)
    }

    /// Largest resident set so far.
    pub(super) fn peak_bytes(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a status has VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        process::end(&mut self.child, process::END_LIMIT).await
    }
}
