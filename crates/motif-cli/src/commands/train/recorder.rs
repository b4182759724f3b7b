//! Writes what a training run shows: metrics.jsonl, snapshots, the trace of the first minibatches.

use std::{
    fs::{self, File, TryLockError},
    io::{BufWriter, IsTerminal as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use motif_net::{
    NamedTensor, Observer, Outcome, Phase, Point, Trainer,
    npz::{TraceWriter, write_snapshot},
};
use motif_sweep::clock::Clock;
use motif_worker::Costs;
use ndarray::ArrayView2;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Standing};
use crate::{args::Train, input::WrongInput};

/// Steps between two movements of the progress bar.
const TICK_STEPS: u64 = 20;

/// Records a run; the first error stops it, and so does `stop`.
pub(super) struct Recorder<'a> {
    out: Option<Output>,
    trace_steps: u64,
    bar: Option<ProgressBar>,
    /// The metric that shows how far the training has come.
    accuracy: &'static str,
    total: u64,
    error: Option<anyhow::Error>,
    clock: &'a dyn Clock,
    costs: Costs,
    stop: &'a CancellationToken,
}

struct Output {
    dir: PathBuf,
    metrics: BufWriter<File>,
    trace: Option<TraceWriter<BufWriter<File>>>,
}

impl<'a> Recorder<'a> {
    /// Begins a run's files or, where a run stood at `standing`, goes on with them.
    pub(super) fn new(
        args: &Train,
        trainer: &Trainer<'_>,
        standing: Option<&Standing>,
        clock: &'a dyn Clock,
        stop: &'a CancellationToken,
    ) -> anyhow::Result<Self> {
        let (trace_steps, total) = (args.trace_steps, trainer.total_steps());
        let out = match (&args.out, standing) {
            (None, _) => None,
            (Some(dir), Some(standing)) => Some(Output::resume(dir, standing.metrics_bytes)?),
            (Some(dir), None) => {
                make_room(dir, args.overwrite)?;
                Some(Output::create(dir, trace_steps > 0)?)
            }
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "training {bar:30.cyan/dim} {pos}/{len} steps  {eta} left  {msg}",
            )
            .expect("the template is well formed");
            let bar = ProgressBar::new(total).with_style(style.progress_chars("━━╌"));
            bar.with_position(trainer.steps())
        });
        let costs = standing.map(|standing| standing.costs).unwrap_or_default();
        let [accuracy, ..] = trainer.config().final_metrics();
        Ok(Self { out, trace_steps, bar, accuracy, total, error: None, clock, costs, stop })
    }

    /// The first thing that went wrong.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// What looking has cost so far.
    pub(super) fn costs(&self) -> Costs {
        self.costs
    }

    /// Whether minibatches are still to be traced.
    pub(super) fn is_tracing(&self) -> bool {
        self.out.as_ref().is_some_and(|out| out.trace.is_some())
    }

    /// Brings metrics.jsonl to the disk and returns its length in bytes; 0 without a folder.
    pub(super) fn sync(&mut self) -> anyhow::Result<u64> {
        self.out.as_mut().map_or(Ok(0), Output::sync)
    }

    /// Writes what is left and reports the first thing that went wrong, else what looking cost.
    pub(super) fn finish(mut self) -> anyhow::Result<Costs> {
        self.check()?;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(out) = &mut self.out {
            out.sync()?;
            out.finish_trace()?;
        }
        Ok(self.costs)
    }

    fn keep(&mut self, written: anyhow::Result<()>) {
        if let Err(error) = written {
            self.error.get_or_insert(error);
        }
    }

    fn write_snapshot(&mut self, step: u64, tensors: &[NamedTensor<'_>]) {
        if let Some(out) = &self.out {
            let written = out.write_snapshot(step, tensors);
            self.keep(written);
        }
    }
}

impl Observer for Recorder<'_> {
    fn point(&mut self, point: &Point) {
        let accuracy = point.get(self.accuracy).map(|value| {
            let name = self.accuracy.replace('_', " ");
            format!("{name} {:.2} %", 100.0 * value)
        });
        if let (Some(bar), Some(accuracy)) = (&self.bar, &accuracy) {
            bar.set_message(accuracy.clone());
        }
        let written = match &mut self.out {
            Some(out) => out.write_point(point),
            None if self.bar.is_none() => {
                if let Some(accuracy) = accuracy {
                    eprintln!("step {}/{}: {accuracy}", point.step, self.total);
                }
                Ok(())
            }
            None => Ok(()),
        };
        self.keep(written);
    }

    fn wants_snapshot(&mut self, step: u64) -> bool {
        self.out.is_some() && (step <= self.trace_steps || step == self.total)
    }

    fn snapshot(&mut self, step: u64, tensors: &[NamedTensor<'_>]) {
        self.write_snapshot(step, tensors);
    }

    fn begin(&mut self, _: u64, _: Phase) {
        self.costs.begin(self.clock.monotonic());
    }

    fn end(&mut self, _: u64, phase: Phase) {
        self.costs.end(phase, self.clock.monotonic());
    }

    fn batch(&mut self, step: u64, x: ArrayView2<'_, f32>, y: &[u16]) {
        if step < self.trace_steps
            && let Some(out) = &mut self.out
        {
            let written = out.write_batch(step, &x, y, step + 1 == self.trace_steps);
            self.keep(written);
        }
    }

    fn proceed(&mut self, step: u64) -> bool {
        if let Some(bar) = &self.bar
            && step.is_multiple_of(TICK_STEPS)
        {
            bar.set_position(step);
        }
        self.error.is_none() && !self.stop.is_cancelled()
    }

    fn finished(&mut self, step: u64, outcome: Outcome, tensors: &[NamedTensor<'_>]) {
        // A run that ends early has a final snapshot all the same.
        if outcome != Outcome::Succeeded {
            self.write_snapshot(step, tensors);
        }
    }
}

/// What an earlier run leaves in its folder.
const RUN_FILES: [&str; 6] =
    ["result.json", "metrics.jsonl", "trace.npz", "snapshots", checkpoint::NAME, checkpoint::UNFINISHED];

/// Two runs must not mix in one folder: an earlier one is replaced whole, and only when asked.
fn make_room(dir: &Path, overwrite: bool) -> anyhow::Result<()> {
    for path in RUN_FILES.map(|name| dir.join(name)).into_iter().filter(|path| path.exists()) {
        if !overwrite {
            let left = dir.join(checkpoint::NAME).exists();
            let hint = if left { ", or --resume to go on with it" } else { "" };
            return Err(WrongInput(format!(
                "--out {}: an earlier run is there ({}); choose another folder or pass --overwrite{hint}",
                dir.display(),
                path.display()
            ))
            .into());
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Two runs must not write into one folder: the lock ends with the process, however it ends.
fn lock(metrics: &File, dir: &Path) -> anyhow::Result<()> {
    match metrics.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            Err(WrongInput(format!("--out {}: another run is writing there", dir.display())).into())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", dir.join("metrics.jsonl").display()))
        }
    }
}

impl Output {
    fn create(dir: &Path, traced: bool) -> anyhow::Result<Self> {
        let snapshots = dir.join("snapshots");
        fs::create_dir_all(&snapshots).with_context(|| format!("cannot make {}", snapshots.display()))?;
        let create = |name: &str| {
            let path = dir.join(name);
            let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()));
            anyhow::Ok(BufWriter::new(file?))
        };
        let trace = if traced { Some(TraceWriter::new(create("trace.npz")?)) } else { None };
        let metrics = create("metrics.jsonl")?;
        lock(metrics.get_ref(), dir)?;
        Ok(Self { dir: dir.to_owned(), metrics, trace })
    }

    /// Goes on behind the first `metrics_bytes` bytes of metrics.jsonl; the lines beyond are made again.
    fn resume(dir: &Path, metrics_bytes: u64) -> anyhow::Result<Self> {
        let path = dir.join("metrics.jsonl");
        let name = || format!("cannot go on with {}", path.display());
        let mut file = File::options().write(true).open(&path).with_context(name)?;
        lock(&file, dir)?;
        let found = file.metadata().with_context(name)?.len();
        anyhow::ensure!(
            found >= metrics_bytes,
            "{} has {found} bytes, expected at least {metrics_bytes}: lines of steps before the checkpoint are missing",
            path.display()
        );
        file.set_len(metrics_bytes).with_context(name)?;
        file.seek(SeekFrom::End(0)).with_context(name)?;
        let dir = dir.to_owned();
        Ok(Self { dir, metrics: BufWriter::new(file), trace: None })
    }

    fn sync(&mut self) -> anyhow::Result<u64> {
        let file = self.metrics.flush().map(|()| self.metrics.get_mut());
        let length = file.and_then(|file| {
            file.sync_all()?;
            file.stream_position()
        });
        length.context("cannot write metrics.jsonl")
    }

    fn write_batch(
        &mut self,
        step: u64,
        x: &ArrayView2<'_, f32>,
        y: &[u16],
        last: bool,
    ) -> anyhow::Result<()> {
        if let Some(trace) = &mut self.trace {
            trace.batch(step, x, y).context("cannot write trace.npz")?;
        }
        if last { self.finish_trace() } else { Ok(()) }
    }

    fn finish_trace(&mut self) -> anyhow::Result<()> {
        let Some(trace) = self.trace.take() else { return Ok(()) };
        let mut writer = trace.finish().context("cannot write trace.npz")?;
        writer.flush().and_then(|()| writer.get_ref().sync_all()).context("cannot write trace.npz")
    }

    fn write_point(&mut self, point: &Point) -> anyhow::Result<()> {
        let mut line = Map::new();
        line.insert("step".to_owned(), json!(point.step));
        line.insert("epoch".to_owned(), json!(point.epoch));
        // A number that is not finite becomes null.
        line.extend(point.values.iter().map(|(name, value)| (name.clone(), json!(value))));
        serde_json::to_writer(&mut self.metrics, &Value::Object(line))
            .context("cannot write metrics.jsonl")?;
        writeln!(self.metrics).context("cannot write metrics.jsonl")
    }

    fn write_snapshot(&self, step: u64, tensors: &[NamedTensor<'_>]) -> anyhow::Result<()> {
        let path = self.dir.join(format!("snapshots/step-{step:06}.npz"));
        let name = || format!("cannot write {}", path.display());
        let file = BufWriter::new(File::create(&path).with_context(name)?);
        write_snapshot(file, tensors).with_context(name)?.flush().with_context(name)
    }
}
