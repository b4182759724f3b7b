//! Writes what a training run shows: metrics.jsonl, snapshots, the trace of the first minibatches.

use std::{
    fs::{self, File},
    io::{BufWriter, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use motif_net::{
    NamedTensor, Observer, Outcome, Point, TrialConfig,
    npz::{TraceWriter, write_snapshot},
};
use ndarray::ArrayView2;
use serde_json::{Map, Value, json};

use crate::{args::Train, input::WrongInput};

/// Steps between two movements of the progress bar.
const TICK_STEPS: u64 = 20;

/// Records a run; the first error stops it.
pub(super) struct Recorder {
    out: Option<Output>,
    trace_steps: u64,
    bar: Option<ProgressBar>,
    /// The metric that shows how far the training has come.
    accuracy: &'static str,
    total: u64,
    error: Option<anyhow::Error>,
}

struct Output {
    dir: PathBuf,
    metrics: BufWriter<File>,
    trace: Option<TraceWriter<BufWriter<File>>>,
}

impl Recorder {
    pub(super) fn new(args: &Train, config: &TrialConfig, total: u64) -> anyhow::Result<Self> {
        let trace_steps = args.trace_steps;
        if let Some(dir) = &args.out {
            make_room(dir, args.overwrite)?;
        }
        let out = args.out.as_deref().map(|dir| Output::create(dir, trace_steps > 0)).transpose()?;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "training {bar:30.cyan/dim} {pos}/{len} steps  {eta} left  {msg}",
            )
            .expect("the template is well formed");
            ProgressBar::new(total).with_style(style.progress_chars("━━╌"))
        });
        let [accuracy, ..] = config.final_metrics();
        Ok(Self { out, trace_steps, bar, accuracy, total, error: None })
    }

    /// Writes what is left and reports the first thing that went wrong.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(out) = &mut self.out {
            out.metrics.flush().context("cannot write metrics.jsonl")?;
            if let Some(trace) = out.trace.take() {
                trace.finish()?.flush().context("cannot write trace.npz")?;
            }
        }
        Ok(())
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

impl Observer for Recorder {
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

    fn batch(&mut self, step: u64, x: ArrayView2<'_, f32>, y: &[u16]) {
        if step < self.trace_steps
            && let Some(trace) = self.out.as_mut().and_then(|out| out.trace.as_mut())
        {
            let written = trace.batch(step, &x, y).context("cannot write trace.npz");
            self.keep(written);
        }
    }

    fn proceed(&mut self, step: u64) -> bool {
        if let Some(bar) = &self.bar
            && step.is_multiple_of(TICK_STEPS)
        {
            bar.set_position(step);
        }
        self.error.is_none()
    }

    fn finished(&mut self, step: u64, outcome: Outcome, tensors: &[NamedTensor<'_>]) {
        // A run that ends early has a final snapshot all the same.
        if outcome != Outcome::Succeeded {
            self.write_snapshot(step, tensors);
        }
    }
}

/// What an earlier run leaves in its folder.
const RUN_FILES: [&str; 4] = ["result.json", "metrics.jsonl", "trace.npz", "snapshots"];

/// Two runs must not mix in one folder: an earlier one is replaced whole, and only when asked.
fn make_room(dir: &Path, overwrite: bool) -> anyhow::Result<()> {
    for path in RUN_FILES.map(|name| dir.join(name)).into_iter().filter(|path| path.exists()) {
        if !overwrite {
            return Err(WrongInput(format!(
                "--out {}: an earlier run is there ({}); choose another folder or pass --overwrite",
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
        Ok(Self { dir: dir.to_owned(), metrics: create("metrics.jsonl")?, trace })
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
