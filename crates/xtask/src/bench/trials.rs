//! Sixteen small trials from process start to their table: a sweep, `motif train` in two loops, two PyTorch processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use super::{
    digits,
    figures::{Aim, median, table},
    peers::Peers,
};
use crate::{
    motif::{Motif, start},
    process::{self, Stop},
};

const TRIALS: u64 = 16;
/// Processes that train, of one thread each, on every side.
const PROCESSES: u64 = 2;
/// How often the PyTorch processes' time holds the sweep's: a quarter.
const AIM: f64 = 4.0;
/// Longest time that the server may take to listen.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What every side trains; `torch_trials.py` does the same by default.
const TRIAL: &str = r#"dataset = "mnist"
train_limit = 5000
hidden = [200, 200, 200]
rule = "bp"
epochs = 2
batch_size = 64
schedule = "constant"
diagnostics = "off"
"#;

#[derive(Debug, Serialize)]
pub(crate) struct Trials {
    /// What was trained on.
    dataset: String,
    trials: u64,
    processes: u64,
    ways: Vec<Way>,
    /// PyTorch's time over the sweep's; none without PyTorch.
    torch_over_sweep: Option<f64>,
    /// PyTorch's time over that of `motif train`.
    torch_over_train: Option<f64>,
}

/// A way to train the trials, and what it took.
#[derive(Debug, Serialize)]
struct Way {
    name: &'static str,
    /// The clock on the wall, from process start to the last line printed.
    seconds: f64,
    #[serde(flatten)]
    parts: Parts,
    /// Mean over the trials: that all sides did the same work.
    test_accuracy: f64,
}

/// Where a way's seconds go. What is left of them is loading, talking and waiting.
#[derive(Debug, Serialize)]
struct Parts {
    /// Until the server can be used, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_up_s: Option<f64>,
    /// A process's training of its trials; the mean of the processes.
    training_s: f64,
}

/// One run of a way.
struct Run {
    seconds: f64,
    parts: Parts,
    test_accuracy: f64,
}

/// Where the trials run.
struct Place {
    motif: Motif,
    /// MNIST's four files, or what stands for them.
    files: PathBuf,
    /// The trial and the sweep, and a data folder per run.
    scratch: tempfile::TempDir,
}

/// Every way in turns.
pub(crate) async fn measure(
    runs: u16,
    mnist: Option<&Path>,
    peers: Option<&Peers>,
    stop: &mut Stop,
) -> anyhow::Result<Trials> {
    let place = Place::new(mnist)?;
    let (mut sweeps, mut trains, mut torches) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=runs {
        eprintln!("{TRIALS} trials, run {run} of {runs}");
        let data = place.data(stop).await?;
        sweeps.push(place.sweep(data.path(), stop).await?);
        trains.push(place.train(data.path(), stop).await?);
        if let Some(peers) = peers {
            torches.push(place.torch(peers, stop).await?);
        }
    }
    let over = |ours: &[Run]| {
        let ratios = torches.iter().zip(ours).map(|(torch, ours)| torch.seconds / ours.seconds);
        peers.map(|_| median(ratios))
    };
    let (torch_over_sweep, torch_over_train) = (over(&sweeps), over(&trains));
    let ways = [
        ("motif up, motif submit --wait", &sweeps),
        ("motif train, two loops", &trains),
        ("PyTorch, two processes", &torches),
    ];
    Ok(Trials {
        dataset: mnist.map_or("a generated dataset of MNIST's size and shape", |_| "MNIST").to_owned(),
        trials: TRIALS,
        processes: PROCESSES,
        ways: ways
            .into_iter()
            .filter(|(_, runs)| !runs.is_empty())
            .map(|(name, runs)| Way::of(name, runs))
            .collect(),
        torch_over_sweep,
        torch_over_train,
    })
}

impl Place {
    fn new(mnist: Option<&Path>) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("motif-bench-").tempdir()?;
        let files = match mnist {
            Some(folder) => std::path::absolute(folder)?,
            None => {
                let folder = scratch.path().join("files");
                fs::create_dir(&folder)?;
                digits::write(&folder)?;
                folder
            }
        };
        let sweep =
            format!("name = \"bench\"\nseeds = {TRIALS}\nmetric = \"test_accuracy\"\n\n[trial]\n{TRIAL}");
        fs::write(scratch.path().join("sweep.toml"), sweep)?;
        fs::write(scratch.path().join("trial.toml"), TRIAL)?;
        Ok(Self { motif: Motif::built()?, files, scratch })
    }

    fn path(&self, name: &str) -> anyhow::Result<String> {
        let path = self.scratch.path().join(name);
        path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("{} is no UTF-8", path.display()))
    }

    /// A fresh data folder with nothing but the dataset in it.
    async fn data(&self, stop: &mut Stop) -> anyhow::Result<tempfile::TempDir> {
        let data = tempfile::Builder::new().prefix("data-").tempdir_in(self.scratch.path())?;
        let mut import = self.motif.client(data.path(), false, &["dataset", "import", "mnist"]);
        process::run(import.arg(&self.files).stdout(Stdio::null()), stop).await?;
        Ok(data)
    }

    /// What a user does: starts everything, submits, waits for the table.
    async fn sweep(&self, data: &Path, stop: &mut Stop) -> anyhow::Result<Run> {
        let started = now();
        let mut up = self.motif.up("127.0.0.1:0", u16::try_from(PROCESSES)?, data);
        let mut server = start(up.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let swept = self.submit(&mut server, data, started, stop).await;
        // Whatever happened, it is ended the same way.
        let ended = process::end(&mut server, process::END_LIMIT).await;
        let swept = swept?;
        ended.context("the server")?;
        Ok(swept)
    }

    async fn submit(
        &self,
        server: &mut Child,
        data: &Path,
        started: Instant,
        stop: &mut Stop,
    ) -> anyhow::Result<Run> {
        ready(server, stop).await?;
        let ready = started.elapsed();
        let sweep = self.path("sweep.toml")?;
        let mut submit = self.motif.client(data, false, &["submit", &sweep, "--wait"]);
        let table = process::output(submit.stderr(Stdio::null()), stop).await?;
        let all = started.elapsed();
        ensure!(
            table.contains("16 succeeded"),
            "the sweep's table says otherwise than 16 succeeded:\n{table}"
        );
        // From here on nothing is timed.
        let mut export =
            self.motif.client(data, false, &["export", "latest", "--format", "json", "--out", "-"]);
        let exported: Value =
            serde_json::from_str(&process::output(export.stderr(Stdio::null()), stop).await?)?;
        let trials = exported["trials"].as_array().context("an export lists its trials")?;
        let of =
            |figure: fn(&Value) -> Option<f64>| total(trials.iter().map(|trial| &trial["result"]), figure);
        Ok(Run {
            seconds: all.as_secs_f64(),
            parts: Parts {
                start_up_s: Some(ready.as_secs_f64()),
                training_s: of(training_s)? / PROCESSES as f64,
            },
            test_accuracy: of(test_accuracy)? / TRIALS as f64,
        })
    }

    /// Two loops of `motif train` side by side, as in two shells.
    async fn train(&self, data: &Path, stop: &mut Stop) -> anyhow::Result<Run> {
        let started = now();
        let half = TRIALS / PROCESSES;
        let both =
            async { tokio::try_join!(self.train_loop(data, 0..half), self.train_loop(data, half..TRIALS)) };
        let (first, second) = tokio::select! {
            both = both => both?,
            () = stop.wanted() => bail!("stopped"),
        };
        let seconds = started.elapsed().as_secs_f64();
        let results: Vec<Value> = first.into_iter().chain(second).collect();
        let training = total(results.iter(), training_s)? / PROCESSES as f64;
        Ok(Run {
            seconds,
            parts: Parts { start_up_s: None, training_s: training },
            test_accuracy: total(results.iter(), test_accuracy)? / TRIALS as f64,
        })
    }

    async fn train_loop(&self, data: &Path, seeds: std::ops::Range<u64>) -> anyhow::Result<Vec<Value>> {
        let trial = self.path("trial.toml")?;
        let mut results = Vec::new();
        for seed in seeds {
            let arguments = ["train", &trial, "--threads", "1", "--seed", &seed.to_string()];
            let mut train = self.motif.client(data, true, &arguments);
            let output = train.stdout(Stdio::piped()).output().await?;
            ensure!(output.status.success(), "{} ended with {}", process::shown(&train), output.status);
            results.push(serde_json::from_slice(&output.stdout)?);
        }
        Ok(results)
    }

    /// Two processes of one thread, which import PyTorch and read the files once each.
    async fn torch(&self, peers: &Peers, stop: &mut Stop) -> anyhow::Result<Run> {
        let started = now();
        let half = TRIALS / PROCESSES;
        let both =
            async { tokio::try_join!(self.torch_half(peers, 0, half), self.torch_half(peers, half, half)) };
        let (first, second) = tokio::select! {
            both = both => both?,
            () = stop.wanted() => bail!("stopped"),
        };
        let seconds = started.elapsed().as_secs_f64();
        let trained: Vec<TorchTrial> = first.into_iter().chain(second).collect();
        ensure!(trained.len() as u64 == TRIALS, "PyTorch trained {} trials, not {TRIALS}", trained.len());
        let training = trained.iter().map(|trial| trial.seconds).sum::<f64>() / PROCESSES as f64;
        Ok(Run {
            seconds,
            parts: Parts { start_up_s: None, training_s: training },
            test_accuracy: trained.iter().map(|trial| trial.test_accuracy).sum::<f64>() / TRIALS as f64,
        })
    }

    async fn torch_half(&self, peers: &Peers, first: u64, trials: u64) -> anyhow::Result<Vec<TorchTrial>> {
        let mut half = peers.script("torch_trials.py");
        half.args(["--first-seed", &first.to_string(), "--trials", &trials.to_string(), "--data"]);
        let output = half.arg(&self.files).stdout(Stdio::piped()).output().await?;
        ensure!(output.status.success(), "{} ended with {}", process::shown(&half), output.status);
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// What `torch_trials.py` prints of a trial.
#[derive(Debug, Deserialize)]
struct TorchTrial {
    test_accuracy: f64,
    seconds: f64,
}

fn training_s(result: &Value) -> Option<f64> {
    result["training_s"].as_f64()
}

fn test_accuracy(result: &Value) -> Option<f64> {
    result["metrics"]["test_accuracy"].as_f64()
}

/// The sum of a figure over every trial's result.
fn total<'a>(
    results: impl ExactSizeIterator<Item = &'a Value>,
    figure: fn(&Value) -> Option<f64>,
) -> anyhow::Result<f64> {
    ensure!(results.len() as u64 == TRIALS, "{} trials have a result, not {TRIALS}", results.len());
    let figures: Option<Vec<f64>> = results.map(figure).collect();
    Ok(figures.context("a result has training_s and metrics.test_accuracy")?.iter().sum())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Waits for the one line that the server prints: it then listens and has left its address for commands.
async fn ready(server: &mut Child, stop: &mut Stop) -> anyhow::Result<()> {
    let output = server.stdout.take().context("the server's output is read")?;
    let mut lines = BufReader::new(output).lines();
    tokio::select! {
        line = lines.next_line() => match line? {
            Some(_) => {}
            None => bail!("the server ended too early"),
        },
        () = tokio::time::sleep(READY_LIMIT) => bail!("the server was not ready within {READY_LIMIT:?}"),
        () = stop.wanted() => bail!("stopped"),
    }
    Ok(())
}

impl Way {
    fn of(name: &'static str, runs: &[Run]) -> Self {
        let of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure));
        let start_up: Option<Vec<f64>> = runs.iter().map(|run| run.parts.start_up_s).collect();
        Self {
            name,
            seconds: of(|run| run.seconds),
            parts: Parts { start_up_s: start_up.map(median), training_s: of(|run| run.parts.training_s) },
            test_accuracy: of(|run| run.test_accuracy),
        }
    }
}

impl Trials {
    pub(crate) fn aim(&self) -> Option<Aim> {
        let of = format!("{TRIALS} trials");
        self.torch_over_sweep.map(|measured| Aim::new(&of, "PyTorch's processes / a sweep's", AIM, measured))
    }

    pub(crate) fn table(&self) -> String {
        let Self { dataset, trials, processes, .. } = self;
        let mut table = table(&["way", "s", "start-up", "training", "test accuracy", "PyTorch / it"]);
        let over = [self.torch_over_sweep, self.torch_over_train];
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
        for (index, way) in self.ways.iter().enumerate() {
            table.add_row(vec![
                way.name.to_owned(),
                format!("{:.2}", way.seconds),
                shown(way.parts.start_up_s),
                shown(Some(way.parts.training_s)),
                format!("{:.2} %", 100.0 * way.test_accuracy),
                shown(over.get(index).copied().flatten()),
            ]);
        }
        format!(
            "{trials} trials of bp 784-200-200-200-10, 5,000 examples, batch 64, 2 epochs, on {dataset}\n\
             {processes} processes of one thread, seconds on the wall from their start to the last line printed; \
             training is what a process trains, the rest is loading, talking and waiting\n{table}"
        )
    }
}
