//! What a minibatch costs, against the time of its matrix products alone, the bound; and what the spectra cost:
//! `cargo run --release --example step_time`; `-- --help` lists its options.
//!
//! Step and bound are measured in turns, so that whatever else the machine does falls on both; medians are printed.

use std::error::Error;
use std::time::Instant;

use clap::Parser;
use motif_net::config::{Diagnostics, NamedCadence, RuleName};
use motif_net::linalg::product;
use motif_net::{Examples, Observer, Phase, Task, Trainer, TrialConfig, Values, instruction_set};
use ndarray::Array2;
use serde_json::json;

const CLASSES: usize = 10;
/// Minibatches per repeat are chosen to take about this long.
const REPEAT_SECONDS: f64 = 0.15;

/// What a minibatch costs, against the time of its matrix products alone.
#[derive(Debug, Parser)]
struct Options {
    /// Measure this network alone; --list prints the names.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Repeats that a median is taken over.
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,
    /// Leave the spectra out, which take longest.
    #[arg(long)]
    no_spectra: bool,
    /// Print a line of JSON per network.
    #[arg(long)]
    json: bool,
    /// Print the networks' names; nothing is measured.
    #[arg(long)]
    list: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let all = networks();
    let chosen: Vec<_> =
        all.iter().filter(|it| options.only.as_ref().is_none_or(|name| *name == it.name())).collect();
    if let (Some(only), true) = (&options.only, chosen.is_empty()) {
        let names: Vec<_> = all.iter().map(Case::name).collect();
        return Err(format!("--only {only:?}: no such network (there are: {})", names.join(", ")).into());
    }
    if options.list {
        for network in chosen {
            if options.json {
                println!("{}", json!({ "name": network.name(), "instruction_set": instruction_set() }));
            } else {
                println!("{}", network.name());
            }
        }
        return Ok(());
    }
    if !options.json {
        let (set, repeats) = (instruction_set(), options.repeats);
        println!("instruction set {set}; medians of {repeats}, one thread, its processor time");
        println!("{:<42} {:>9} {:>9} {:>7} {:>10}", "", "step ms", "bound ms", "bound/", "spectra ms");
    }
    chosen.into_iter().try_for_each(|network| measure(network, &options))
}

/// A network that is measured.
struct Case {
    rule: RuleName,
    /// Input and hidden layers.
    widths: Vec<usize>,
    ratio: f64,
    batch_size: usize,
}

/// Every network, with both rules.
fn networks() -> Vec<Case> {
    let mnist = vec![784, 200, 200, 200];
    let deep: Vec<usize> = std::iter::once(3072).chain([200; 8]).collect();
    let wide = vec![3072, 1000, 1000, 1000];
    let mut all = Vec::new();
    for rule in [RuleName::Sal, RuleName::Bp] {
        for (widths, ratio, batch_size) in
            [(&mnist, 1.0, 64), (&mnist, 2.0, 64), (&mnist, 7.5, 64), (&deep, 2.0, 64), (&wide, 1.0, 128)]
        {
            // Without a downstream pathway the ratio means nothing.
            if rule == RuleName::Sal || ratio <= 1.0 || widths.len() == deep.len() {
                all.push(Case { rule, widths: widths.clone(), ratio, batch_size });
            }
        }
    }
    all
}

impl Case {
    /// The ratio, where there is a downstream pathway.
    fn ratio(&self) -> Option<f64> {
        (self.rule != RuleName::Bp).then_some(self.ratio)
    }

    fn rule(&self) -> String {
        format!("{:?}", self.rule).to_lowercase()
    }

    /// `sal 3072-200x8-10 ratio 2 batch 64`: more than three equal layers in a row are counted.
    fn name(&self) -> String {
        let layers: Vec<usize> = self.widths.iter().copied().chain([CLASSES]).collect();
        let shape: Vec<String> = layers
            .chunk_by(|a, b| a == b)
            .map(|run| match run {
                [width, _, _, _, ..] => format!("{width}x{}", run.len()),
                _ => run.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"),
            })
            .collect();
        let ratio = self.ratio().map(|ratio| format!(" ratio {ratio}")).unwrap_or_default();
        format!("{} {}{ratio} batch {}", self.rule(), shape.join("-"), self.batch_size)
    }

    fn config(&self) -> TrialConfig {
        TrialConfig {
            rule: self.rule,
            ratio: self.ratio,
            batch_size: self.batch_size,
            hidden: self.widths[1..].to_vec(),
            epochs: 100_000,
            diagnostics: Diagnostics::Named(NamedCadence::Off),
            ..TrialConfig::default()
        }
    }
}

fn measure(network: &Case, options: &Options) -> Result<(), Box<dyn Error>> {
    let config = network.config();
    let features = network.widths[0];
    // One minibatch per epoch would test at each step: make epochs long.
    let examples = config.batch_size * 400;
    let values: Vec<u8> = (0..examples * features).map(|i| (i * i % 251) as u8).collect();
    let labels: Vec<u16> = (0..examples).map(|i| (i * 7 % CLASSES) as u16).collect();
    let train = Examples { values: Values::U8(&values), labels: &labels, features };
    let test = Examples { values: Values::U8(&values[..features]), labels: &labels[..1], features };
    let task = Task::new(train, test, CLASSES)?;
    let mut trainer = Trainer::new(&config, 0, &task)?;
    let mut products = Products::new(&config, features);
    let mut step = || {
        if let Some(outcome) = trainer.step(&mut ()) {
            panic!("ended early: {outcome:?}");
        }
    };
    let mut bound = || products.run();
    let once = seconds(1, &mut step).busy().max(seconds(1, &mut step).busy());
    let count = ((REPEAT_SECONDS / once) as usize).max(2);
    let (mut steps, mut bounds) = (Vec::new(), Vec::new());
    for _ in 0..options.repeats {
        steps.push(seconds(count, &mut step));
        bounds.push(seconds(count, &mut bound));
    }
    let ms = |times: &[Seconds], of: fn(&Seconds) -> f64| 1e3 * median(times.iter().map(of).collect());
    let (step, bound) = (ms(&steps, Seconds::busy), ms(&bounds, Seconds::busy));
    let spectra = if options.no_spectra { None } else { Some(spectra_seconds(&config, &task)? * 1e3) };
    if options.json {
        let document = json!({
            "name": network.name(),
            "rule": network.rule(),
            "widths": network.widths.iter().copied().chain([CLASSES]).collect::<Vec<_>>(),
            "ratio": network.ratio(),
            "batch_size": network.batch_size,
            "step_ms": step,
            "bound_ms": bound,
            "step_wall_ms": ms(&steps, |time| time.wall),
            "spectra_ms": spectra,
            "memory_bytes": config.memory_bytes(&task.size()),
            "clock": if steps.iter().all(|time| time.processor.is_some()) { "processor" } else { "wall" },
            "instruction_set": instruction_set(),
        });
        println!("{document}");
    } else {
        let spectra = spectra.map(|ms| format!("{ms:.1}")).unwrap_or_default();
        let part = 100.0 * bound / step;
        println!("{:<42} {step:>9.3} {bound:>9.3} {part:>6.0}% {spectra:>10}", network.name());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Seconds per call.
struct Seconds {
    /// Of this thread on a processor, where Linux tells.
    processor: Option<f64>,
    /// Of the clock on the wall.
    wall: f64,
}

impl Seconds {
    /// The better measure that there is: on a processor, other people's work does not count.
    fn busy(&self) -> f64 {
        self.processor.unwrap_or(self.wall)
    }
}

fn seconds(count: usize, call: &mut dyn FnMut()) -> Seconds {
    let (start, busy) = (now(), on_processor());
    (0..count).for_each(|_| call());
    let wall = start.elapsed().as_secs_f64() / count as f64;
    let processor = match (busy, on_processor()) {
        (Some(before), Some(after)) if after > before => Some((after - before) as f64 * 1e-9 / count as f64),
        _ => None,
    };
    Seconds { processor, wall }
}

/// Nanoseconds this thread has been on a processor: other people's work does not count.
fn on_processor() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What all spectra of a network cost once.
fn spectra_seconds(config: &TrialConfig, task: &Task<'_>) -> Result<f64, Box<dyn Error>> {
    struct Timer {
        begun: Instant,
        seconds: f64,
    }
    impl Observer for Timer {
        fn begin(&mut self, _: u64, _: Phase) {
            self.begun = now();
        }

        fn end(&mut self, _: u64, phase: Phase) {
            if phase == Phase::Spectra {
                self.seconds = self.begun.elapsed().as_secs_f64();
            }
        }
    }
    let config = TrialConfig { spectra: Diagnostics::Named(NamedCadence::Ends), ..config.clone() };
    let mut timer = Timer { begun: now(), seconds: 0.0 };
    Trainer::new(&config, 0, task)?.start(&mut timer);
    Ok(timer.seconds)
}

/// One matrix product of a step.
struct Product {
    a: Array2<f32>,
    b: Array2<f32>,
    c: Array2<f32>,
    /// Whether `a` is used transposed, and `b`.
    transposed: (bool, bool),
}

/// The products without which the rule's equations cannot be computed, in the engine's layouts.
struct Products(Vec<Product>);

impl Products {
    fn new(config: &TrialConfig, features: usize) -> Self {
        let batch = config.batch_size;
        let mut up = vec![features];
        up.extend(&config.hidden);
        let mut down: Vec<usize> = up.iter().map(|&n| (config.ratio * n as f64).round() as usize).collect();
        up.push(CLASSES);
        down.push(CLASSES);
        let depth = up.len() - 1;
        let mut products = Self(Vec::new());
        for l in 1..=depth {
            products.through(batch, up[l], up[l - 1]);
            products.change(batch, up[l], up[l - 1]);
        }
        for l in 1..depth {
            if config.rule == RuleName::Bp {
                products.push((batch, up[l + 1]), (up[l], up[l + 1]), (false, true));
                continue;
            }
            for (target, source) in [(down[l], up[l]), (down[l], down[l + 1])] {
                products.through(batch, target, source);
                products.change(batch, target, source);
            }
            // `ΔV̄ = ΔVᵀ` is one product, for which `V̄` lies in memory as `V` does.
            products.push((batch, down[l]), (up[l], down[l]), (false, true));
        }
        products
    }

    /// `X input` for a batch.
    fn through(&mut self, batch: usize, target: usize, source: usize) {
        self.push((batch, source), (source, target), (false, false));
    }

    /// `⟨source targetᵀ⟩`.
    fn change(&mut self, batch: usize, target: usize, source: usize) {
        self.push((batch, source), (batch, target), (true, false));
    }

    fn push(&mut self, a: (usize, usize), b: (usize, usize), transposed: (bool, bool)) {
        let array =
            |size: (usize, usize)| Array2::from_shape_fn(size, |(i, j)| ((i * 7 + j * 3) % 11) as f32 * 1e-3);
        let rows = if transposed.0 { a.1 } else { a.0 };
        let columns = if transposed.1 { b.0 } else { b.1 };
        self.0.push(Product { a: array(a), b: array(b), c: Array2::zeros((rows, columns)), transposed });
    }

    fn run(&mut self) {
        for Product { a, b, c, transposed } in &mut self.0 {
            let a = if transposed.0 { a.t() } else { a.view() };
            let b = if transposed.1 { b.t() } else { b.view() };
            product(1e-3, &a, &b, 0.0, c.view_mut());
        }
    }
}
