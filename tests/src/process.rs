//! Starts, watches and kills `motif` processes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::OnceLock,
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use serde_json::Value;

/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(50);

/// The binary, built once per test process, so that no test runs yesterday's code.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // As the tests themselves are built: another choice of features, or a package's name in the environment (which
        // build scripts watch), would build the dependencies again.
        cargo.args(["build", "--quiet", "--workspace", "--bin", "motif"]);
        let own = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|it| name.starts_with(it))
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
            cargo.env_remove(name);
        }
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(status.success(), "the binary does not build");
        let deps = std::env::current_exe().expect("a test has a path");
        let profile = deps.ancestors().nth(2).expect("target/debug/deps/test");
        profile.join("motif")
    })
}

/// Looks until the condition holds, or fails with what was waited for.
///
/// # Errors
/// When the limit passes first, or the look itself fails.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(waited < limit, "waited {limit:?} in vain for {what}");
        thread::sleep(LOOK);
        waited += LOOK;
    }
}

/// A child that is killed when it goes out of scope.
pub struct Process {
    child: Child,
    name: String,
}

impl Process {
    /// Starts it; `name` is what it is called in errors.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Self { child, name: name.to_owned() })
    }

    /// The line of JSON that a server prints when it listens.
    fn hello(&mut self) -> anyhow::Result<Value> {
        let stdout = self.child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            let status = self.wait(Duration::from_secs(30))?;
            bail!("{} ended with {status} before it listened", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("not JSON: {line}"))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, signal).with_context(|| format!("{} cannot be sent {signal}", self.name))
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// When it does not within the limit.
    pub fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        wait_for(&format!("{} to end", self.name), limit, || Ok(self.child.try_wait()?))
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for the process to end, and reads what it printed: little enough to fit into the pipe.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub fn output(&mut self, limit: Duration) -> anyhow::Result<(ExitStatus, String)> {
        let status = self.wait(limit)?;
        let mut said = String::new();
        self.child.stdout.take().context("stdout is piped")?.read_to_string(&mut said)?;
        Ok((status, said))
    }

    /// SIGSTOP, and waits until nothing of it runs any more.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
        ensure!(matches!(status, WaitStatus::Stopped(..)), "{} is {status:?}, not stopped", self.name);
        Ok(())
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and reap the zombie.
    ///
    /// # Errors
    /// When the process cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `motif serve` with its data directory and its admin token.
pub struct Server {
    /// The process.
    pub process: Process,
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    /// A token that may do everything.
    pub token: String,
    /// Its data directory.
    pub data: PathBuf,
}

impl Server {
    /// Starts a server on a new data directory, at a free port.
    ///
    /// # Errors
    /// When it does not say within 30 s where it listens.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_at(data, "127.0.0.1:0", None)
    }

    /// Starts a server on a new data directory with further arguments; at a free port of the loopback address, unless
    /// they say where.
    ///
    /// # Errors
    /// When it does not say within 30 s where it listens.
    pub fn start_with(data: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let listen = if args.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        Self::spawn(data, &[listen, args].concat(), None)
    }

    /// Starts a server on a data directory whose admin token is known, at the given address.
    ///
    /// # Errors
    /// When it does not say within 30 s where it listens.
    pub fn start_at(data: &Path, listen: &str, token: Option<String>) -> anyhow::Result<Self> {
        Self::spawn(data, &["--listen", listen], token)
    }

    /// Starts it again after it has ended, on the same data at the same address.
    ///
    /// # Errors
    /// When it does not come back, as often as it is tried.
    pub fn again(&mut self, args: &[&str]) -> anyhow::Result<()> {
        self.again_in(args, &[])
    }

    /// [`Server::again`], with these in the environment.
    ///
    /// # Errors
    /// When it does not come back, as often as it is tried.
    pub fn again_in(&mut self, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
        let address = self.url.trim_start_matches("http://").to_owned();
        let args = [&["--listen", &address], args].concat();
        // An outgoing connection of this machine may have the port for a moment.
        *self = wait_for("the server to come back", Duration::from_secs(30), || {
            Ok(Self::spawn_in(&self.data, &args, Some(self.token.clone()), env).ok())
        })?;
        Ok(())
    }

    /// Starts a server and does not wait until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn launch(data: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Process> {
        let mut command = Command::new(binary());
        command.args(["serve", "--json"]).args(args).arg("--data").arg(data);
        clean_env(&mut command).envs(env.iter().copied()).stdout(Stdio::piped());
        // Beside its data, so that it can be read what a server that ended had to say.
        let log = fs::File::options().append(true).create(true).open(data.with_extension("log"))?;
        command.stderr(log);
        Process::spawn("motif serve", &mut command)
    }

    fn spawn(data: &Path, args: &[&str], token: Option<String>) -> anyhow::Result<Self> {
        Self::spawn_in(data, args, token, &[])
    }

    fn spawn_in(
        data: &Path,
        args: &[&str],
        token: Option<String>,
        env: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut process = Self::launch(data, args, env)?;
        let hello = process.hello()?;
        let url = hello["server"].as_str().context("the server names its address")?.to_owned();
        let token = match token {
            Some(token) => token,
            None => hello["admin_token"].as_str().context("a first start prints an admin token")?.to_owned(),
        };
        Ok(Self { process, url, token, data: data.to_owned() })
    }

    /// Starts a worker with a data directory of its own.
    ///
    /// # Errors
    /// When it does not start.
    pub fn worker(&self, name: &str, data: &Path, slots: u16) -> anyhow::Result<Process> {
        self.worker_with(name, data, slots, &[])
    }

    /// Starts a worker with a data directory of its own and further arguments.
    ///
    /// # Errors
    /// When it does not start.
    pub fn worker_with(&self, name: &str, data: &Path, slots: u16, args: &[&str]) -> anyhow::Result<Process> {
        let mut command = Command::new(binary());
        command.args(["worker", "--server", &self.url, "--name", name, "--slots", &slots.to_string()]);
        command.args(args).arg("--data").arg(data);
        clean_env(&mut command).env("MOTIF_TOKEN", &self.token).stdout(Stdio::null());
        Process::spawn(name, &mut command)
    }

    /// Starts a worker that knows the server by another address; see [`worker_at`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn worker_through(
        &self,
        before: &[&str],
        url: &str,
        name: &str,
        data: &Path,
        args: &[&str],
    ) -> anyhow::Result<Process> {
        worker_at((url, &self.token), before, name, data, args)
    }

    /// Runs a command against this server.
    ///
    /// # Errors
    /// When it does not start.
    pub fn motif(&self, args: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(binary());
        clean_env(command.args(args)).env("MOTIF_SERVER", &self.url).env("MOTIF_TOKEN", &self.token);
        Ok(command.output()?)
    }

    /// A sweep's trials, as its JSON export has them.
    ///
    /// # Errors
    /// When the export fails or is none.
    pub fn trials(&self, sweep: &str) -> anyhow::Result<Vec<Value>> {
        let out = self.motif(&["export", sweep, "--format", "json", "--out", "-"])?;
        let document: Value = serde_json::from_slice(&out.stdout).context("an export is JSON")?;
        Ok(document["trials"].as_array().context("an export has trials")?.clone())
    }

    /// Runs a command against this server with `--json` and reads what it prints.
    ///
    /// # Errors
    /// When it fails, with what it said.
    pub fn json(&self, args: &[&str]) -> anyhow::Result<Value> {
        let output = self.motif(&[args, &["--json"]].concat())?;
        read_json(args, &output)
    }
}

/// Starts a worker of one slot for the server of this address and token; what it did is in [`Process::output`] when it
/// ends. What stands before the command, `ip netns exec NAME`, starts it.
///
/// # Errors
/// When it does not start.
pub fn worker_at(
    (url, token): (&str, &str),
    before: &[&str],
    name: &str,
    data: &Path,
    args: &[&str],
) -> anyhow::Result<Process> {
    let mut command = match before.split_first() {
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).arg(binary());
            command
        }
        None => Command::new(binary()),
    };
    command.args(["worker", "--json", "--server", url, "--name", name, "--slots", "1"]).args(args);
    command.arg("--data").arg(data).env("NO_PROXY", "*").stdout(Stdio::piped());
    // That calls fail is why it is behind something.
    clean_env(&mut command).env("MOTIF_TOKEN", token).env("MOTIF_LOG", "error");
    Process::spawn(name, &mut command)
}

/// A `motif up`: server, workers, dashboard.
pub struct Up {
    /// The process.
    pub process: Process,
    /// The dashboard's address, with its token.
    pub dashboard: String,
    /// Its data directory.
    pub data: PathBuf,
}

impl Up {
    /// Starts it on a new data directory, at a free port.
    ///
    /// # Errors
    /// When it ends before it serves.
    pub fn start(data: &Path, workers: u16) -> anyhow::Result<Self> {
        let mut command = Command::new(binary());
        command.args([
            "up",
            "--json",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            &workers.to_string(),
            "--data",
        ]);
        clean_env(command.arg(data)).stdout(Stdio::piped());
        let mut process = Process::spawn("motif up", &mut command)?;
        let hello = process.hello()?;
        let dashboard = hello["dashboard"].as_str().context("it names the dashboard")?.to_owned();
        Ok(Self { process, dashboard, data: data.to_owned() })
    }

    /// SIGTERM: workers drain, the server ends.
    ///
    /// # Errors
    /// When it does not end well within the limit.
    pub fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(limit)?;
        ensure!(status.success(), "motif up ended with {status}");
        Ok(())
    }
}

/// Runs `motif` with `--json`, a data directory and nothing from the environment.
///
/// # Errors
/// When it fails, with what it said.
pub fn motif_json(data: &Path, args: &[&str]) -> anyhow::Result<Value> {
    read_json(args, &motif(data, &[args, &["--json"]].concat())?)
}

/// Runs `motif` with a data directory and nothing from the environment.
///
/// # Errors
/// When it does not start.
pub fn motif(data: &Path, args: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    clean_env(command.args(args)).env("MOTIF_DATA", data);
    Ok(command.output()?)
}

/// Starts `motif train` with these arguments, a data directory and nothing from the environment.
///
/// # Errors
/// When it does not start.
pub fn train(data: &Path, args: &[&str]) -> anyhow::Result<Process> {
    let mut command = Command::new(binary());
    clean_env(command.args(args)).env("MOTIF_DATA", data).stdout(Stdio::piped()).stderr(Stdio::null());
    Process::spawn("motif train", &mut command)
}

fn read_json(args: &[&str], output: &Output) -> anyhow::Result<Value> {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "motif {args:?}: {}\n{stdout}{stderr}", output.status);
    serde_json::from_str(&stdout).with_context(|| format!("motif {args:?} printed no JSON: {stdout}"))
}

fn clean_env(command: &mut Command) -> &mut Command {
    for name in ["MOTIF_SERVER", "MOTIF_TOKEN", "MOTIF_DATA", "MOTIF_LOG", "MOTIF_ABORT"] {
        command.env_remove(name);
    }
    command.env("MOTIF_LOG", "warn")
}
