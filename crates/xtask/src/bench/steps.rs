//! A training step: ours, its bound and PyTorch's, network by network.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::process::Command;

use super::{
    figures::{Aim, bytes, median, table},
    peers::Peers,
};
use crate::{
    process::{self, Stop},
    workspace,
};

/// The part of a step that its matrix products alone take.
const BOUND_AIM: f64 = 0.9;
/// How often PyTorch's step on one thread holds ours.
const ONE_THREAD_AIM: f64 = 1.6;
/// The same from this ratio on, where PyTorch moves the most memory.
const WIDE_RATIO: f64 = 7.5;
const WIDE_AIM: f64 = 2.5;
/// Stretches of 0.3 s in a run of either side: short, so that the two sides of a pair lie close together.
const REPEATS: &str = "3";

/// motif-net's example `step_time`.
pub(crate) struct Example {
    binary: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    instruction_set: String,
}

/// What the example prints of a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ours {
    rule: String,
    widths: Vec<usize>,
    ratio: Option<f64>,
    batch_size: usize,
    step_ms: f64,
    step_wall_ms: f64,
    bound_ms: f64,
    memory_bytes: u64,
    /// `processor` or `wall`: what `step_ms` and `bound_ms` were measured with.
    clock: String,
}

/// What `torch_step.py` prints of a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Theirs {
    one_thread_ms: f64,
    one_thread_wall_ms: f64,
    default_wall_ms: f64,
}

/// One run of a network.
type Pair = (Ours, Option<Theirs>);

#[derive(Debug, Serialize)]
pub(crate) struct Steps {
    networks: Vec<Row>,
}

/// Medians for one network.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    rule: String,
    widths: Vec<usize>,
    ratio: Option<f64>,
    batch_size: usize,
    step_ms: f64,
    step_wall_ms: f64,
    bound_ms: f64,
    /// `bound_ms / step_ms`.
    bound_part: f64,
    memory_bytes: u64,
    clock: String,
    torch: Option<TorchRow>,
}

#[derive(Debug, Serialize)]
struct TorchRow {
    /// By the same clock as `step_ms`.
    one_thread_ms: f64,
    /// By the clock on the wall, as everything with several threads.
    default_wall_ms: f64,
    /// `one_thread_ms / step_ms`.
    one_thread_times: f64,
    /// `default_wall_ms / step_wall_ms`.
    default_times: f64,
}

impl Example {
    /// The one that `cargo build --release` leaves.
    pub(crate) fn built() -> anyhow::Result<Self> {
        Ok(Self { binary: workspace::target_dir()?.join("release/examples/step_time") })
    }

    fn command(&self) -> Command {
        process::command(&self.binary, &workspace::root())
    }

    async fn list(&self, stop: &mut Stop) -> anyhow::Result<Vec<Listed>> {
        let text = process::output(self.command().args(["--list", "--json"]), stop).await?;
        text.lines()
            .map(|line| serde_json::from_str(line).context("step_time prints lines of JSON"))
            .collect()
    }

    pub(crate) async fn instruction_set(&self, stop: &mut Stop) -> anyhow::Result<String> {
        let listed = self.list(stop).await?.into_iter().next().context("step_time knows a network")?;
        Ok(listed.instruction_set)
    }
}

/// Both sides of each network in turns.
pub(crate) async fn measure(
    runs: u16,
    example: &Example,
    peers: Option<&Peers>,
    stop: &mut Stop,
) -> anyhow::Result<Steps> {
    let mut networks = Vec::new();
    for Listed { name, .. } in example.list(stop).await? {
        eprintln!("{name}");
        let arguments = ["--json", "--repeats", REPEATS, "--only", &name];
        let mut pairs: Vec<Pair> = Vec::new();
        for _ in 0..runs {
            let ours = measured(example.command().arg("--no-spectra").args(arguments), stop).await?;
            let theirs = match peers {
                Some(peers) => Some(measured(peers.script("torch_step.py").args(arguments), stop).await?),
                None => None,
            };
            pairs.push((ours, theirs));
        }
        networks.push(Row::of(name, &pairs)?);
    }
    Ok(Steps { networks })
}

/// The one line of JSON that a command prints.
async fn measured<T: DeserializeOwned>(command: &mut Command, stop: &mut Stop) -> anyhow::Result<T> {
    let text = process::output(command, stop).await?;
    serde_json::from_str(&text).with_context(|| format!("{} printed {text:?}", process::shown(command)))
}

impl Row {
    fn of(name: String, pairs: &[Pair]) -> anyhow::Result<Self> {
        let (last, _) = pairs.last().context("a network is measured at least once")?;
        let of = |figure: fn(&Ours) -> f64| median(pairs.iter().map(|(ours, _)| figure(ours)));
        ensure!(
            pairs.iter().all(|(ours, _)| ours.clock == last.clock),
            "{name}: measured with different clocks"
        );
        let Ours { rule, widths, ratio, batch_size, memory_bytes, clock, .. } = last.clone();
        Ok(Self {
            step_ms: of(|ours| ours.step_ms),
            step_wall_ms: of(|ours| ours.step_wall_ms),
            bound_ms: of(|ours| ours.bound_ms),
            bound_part: of(|ours| ours.bound_ms / ours.step_ms),
            torch: TorchRow::of(pairs),
            name,
            rule,
            widths,
            ratio,
            batch_size,
            memory_bytes,
            clock,
        })
    }

    /// What PyTorch on one thread is to take at least, in our steps.
    fn one_thread_aim(&self) -> f64 {
        if self.ratio.is_some_and(|ratio| ratio >= WIDE_RATIO) { WIDE_AIM } else { ONE_THREAD_AIM }
    }
}

impl TorchRow {
    /// None when PyTorch was left out.
    fn of(pairs: &[Pair]) -> Option<Self> {
        let both: Option<Vec<(&Ours, &Theirs)>> =
            pairs.iter().map(|(ours, theirs)| Some((ours, theirs.as_ref()?))).collect();
        let both = both?;
        let of = |figure: fn(&Ours, &Theirs) -> f64| {
            median(both.iter().map(|(ours, theirs)| figure(ours, theirs)))
        };
        Some(Self {
            one_thread_ms: of(|ours, theirs| theirs.one_thread(&ours.clock)),
            default_wall_ms: of(|_, theirs| theirs.default_wall_ms),
            one_thread_times: of(|ours, theirs| theirs.one_thread(&ours.clock) / ours.step_ms),
            default_times: of(|ours, theirs| theirs.default_wall_ms / ours.step_wall_ms),
        })
    }
}

impl Theirs {
    fn one_thread(&self, clock: &str) -> f64 {
        if clock == "processor" { self.one_thread_ms } else { self.one_thread_wall_ms }
    }
}

impl Steps {
    pub(crate) fn aims(&self) -> Vec<Aim> {
        let mut aims = Vec::new();
        for row in &self.networks {
            aims.push(Aim::new(&row.name, "bound / step", BOUND_AIM, row.bound_part));
            if let Some(torch) = &row.torch {
                let (least, times) = (row.one_thread_aim(), torch.one_thread_times);
                aims.push(Aim::new(&row.name, "PyTorch on one thread / step", least, times));
            }
        }
        aims
    }

    pub(crate) fn table(&self, peers: Option<&Peers>) -> String {
        let default =
            peers.map_or_else(|| "default".to_owned(), |it| format!("{} threads", it.default_threads()));
        let mut table = table(&[
            "ms per minibatch",
            "step",
            "bound",
            "bound/step",
            "PyTorch 1 thread",
            "×",
            &format!("PyTorch {default}"),
            "×",
            "memory",
        ]);
        for row in &self.networks {
            let torch =
                |figure: fn(&TorchRow) -> String| row.torch.as_ref().map_or_else(|| "–".to_owned(), figure);
            table.add_row(vec![
                row.name.clone(),
                format!("{:.3}", row.step_ms),
                format!("{:.3}", row.bound_ms),
                format!("{:.0} %", 100.0 * row.bound_part),
                torch(|it| format!("{:.3}", it.one_thread_ms)),
                torch(|it| format!("{:.2}", it.one_thread_times)),
                torch(|it| format!("{:.3}", it.default_wall_ms)),
                torch(|it| format!("{:.2}", it.default_times)),
                bytes(row.memory_bytes),
            ]);
        }
        let processor = self.networks.iter().all(|row| row.clock == "processor");
        let clock = if processor { "the thread's processor time" } else { "the clock on the wall" };
        format!(
            "{table}\none thread is measured by {clock}; PyTorch's default by the clock on the wall, against ours by the \
             same; × is how many of our steps one of PyTorch's takes; memory is of one trial"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run on a machine that is `slow` times as slow; PyTorch takes `times` our step on one thread.
    fn pair(slow: f64, times: f64) -> Pair {
        let ours = Ours {
            rule: "sal".to_owned(),
            widths: vec![784, 200, 10],
            ratio: Some(7.5),
            batch_size: 64,
            step_ms: slow,
            step_wall_ms: 2.0 * slow,
            bound_ms: 0.9 * slow,
            memory_bytes: 1,
            clock: "processor".to_owned(),
        };
        let theirs = Theirs {
            one_thread_ms: times * slow,
            one_thread_wall_ms: 9.0 * times * slow,
            default_wall_ms: 6.0 * slow,
        };
        (ours, Some(theirs))
    }

    #[test]
    fn a_slow_run_does_not_move_the_ratios() {
        let pairs = [pair(1.0, 2.4), pair(5.0, 2.6), pair(1.1, 2.6)];
        let row = Row::of("x".to_owned(), &pairs).unwrap();
        let torch = row.torch.as_ref().unwrap();
        assert!(
            (row.bound_part - 0.9).abs() < 1e-12 && (torch.one_thread_times - 2.6).abs() < 1e-12,
            "{row:?}"
        );
        assert!((torch.default_times - 3.0).abs() < 1e-12, "{torch:?}");
        let aims = Steps { networks: vec![row] }.aims();
        assert!(aims[1].met && aims[1].at_least == WIDE_AIM, "{aims:?}");
    }

    #[test]
    fn without_processor_time_both_sides_are_measured_on_the_wall() {
        let mut pairs = [pair(1.0, 2.0)];
        pairs[0].0.clock = "wall".to_owned();
        let torch = Row::of("x".to_owned(), &pairs).unwrap().torch.unwrap();
        assert!((torch.one_thread_times - 18.0).abs() < 1e-12, "{torch:?}");
        pairs[0].1 = None;
        assert!(Row::of("x".to_owned(), &pairs).unwrap().torch.is_none());
        assert!(Row::of("x".to_owned(), &[]).is_err());
    }
}
