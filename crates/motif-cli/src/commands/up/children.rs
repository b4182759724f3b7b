//! The worker processes of `motif up`: started, started again when they die, drained at the end.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::args::Has;

/// A worker that dies is started again after this, doubling up to the maximum.
const RESTART_DELAY: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// A drain that takes longer is ended by force: the leases then expire.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The running workers.
pub(super) struct Children {
    tasks: JoinSet<()>,
    stopping: CancellationToken,
}

#[derive(Clone)]
struct Plan {
    program: PathBuf,
    server: String,
    token: String,
    data: PathBuf,
    has: Has,
}

impl Children {
    /// Starts `count` workers of one slot each.
    pub(super) fn start(
        count: usize,
        server: &str,
        token: &str,
        data: &Path,
        has: &Has,
    ) -> anyhow::Result<Self> {
        let plan = Plan {
            program: std::env::current_exe().context("the program does not know where it is")?,
            server: server.to_owned(),
            token: token.to_owned(),
            data: data.to_owned(),
            has: has.clone(),
        };
        let stopping = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for number in 1..=count {
            tasks.spawn(keep_running(plan.clone(), format!("local-{number}"), stopping.clone()));
        }
        Ok(Self { tasks, stopping })
    }

    /// Drains them all.
    pub(super) async fn stop(self) {
        self.stopping.cancel();
        self.tasks.join_all().await;
    }
}

async fn keep_running(plan: Plan, name: String, stopping: CancellationToken) {
    let mut delay = RESTART_DELAY;
    while !stopping.is_cancelled() {
        match spawn(&plan, &name) {
            // The pipe stays open as long as this process lives: `wait` would close it, and the worker would drain.
            Ok(mut child) => {
                let _stdin = child.stdin.take();
                tokio::select! {
                    ended = child.wait() => match ended {
                        Ok(status) => eprintln!("worker {name} ended ({status}); starting it again in {delay:?}"),
                        Err(error) => eprintln!("worker {name} cannot be watched: {error}"),
                    },
                    () = stopping.cancelled() => return drain(child, &name).await,
                }
            }
            Err(error) => eprintln!("worker {name} does not start: {error}"),
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => delay = (delay * 2).min(RESTART_DELAY_MAX),
            () = stopping.cancelled() => {}
        }
    }
}

fn spawn(plan: &Plan, name: &str) -> std::io::Result<Child> {
    Command::new(&plan.program)
        .args(["worker", "--slots", "1", "--until-stdin-closes", "--name", name, "--server", &plan.server])
        .arg("--data")
        .arg(&plan.data)
        .args(plan.has.labels.iter().flat_map(|label| ["--label", label]))
        .args(plan.has.memory.iter().flat_map(|size| ["--memory".to_owned(), size.to_string()]))
        .env("MOTIF_TOKEN", &plan.token)
        .env("MOTIF_LOG", std::env::var("MOTIF_LOG").unwrap_or_else(|_| "warn".to_owned()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

async fn drain(mut child: Child, name: &str) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have ended by itself just now, which is as good.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(DRAIN_MAX, child.wait()).await.is_err() {
        eprintln!("worker {name} does not drain; killing it");
        let _ = child.kill().await;
    }
}
