//! Step times, measured by training a few real minibatches of a few conditions on this machine.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc, time::Duration};

use motif_data::{Dataset, Library};
use motif_net::{
    Examples, Observer, Point, Task, Trainer, Values,
    config::{Diagnostics, NamedCadence, TrialConfig},
};
use motif_sweep::{clock::Clock, plan::Plan};
use motif_wire::system::DatasetRow;
use serde::Serialize;

use super::{Place, count, features, size};

/// Values of a point without diagnostics: the rate, and loss and accuracy of both splits.
const VALUES_WITHOUT_DIAGNOSTICS: u64 = 5;
/// Time for all measurements together.
const BUDGET: Duration = Duration::from_secs(2);
/// Conditions that are measured at most.
const MEASURED_MAX: usize = 6;
/// Trials that need more memory are not tried here, in bytes.
const MEMORY_MAX_BYTES: u64 = 1 << 30;
/// Minibatches of the task that is trained on, and so steps measured at most.
const BATCHES: usize = 64;
/// Steps measured at least, the first one aside.
const STEPS_MIN: u32 = 3;
/// Test examples of the task that is trained on.
const TEST_EXAMPLES_MAX: usize = 1_024;

/// A condition that was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Measured {
    /// Its label.
    pub(crate) label: String,
    pub(crate) rule: String,
    /// Steps that were timed.
    pub(crate) steps: u32,
    /// One step.
    pub(crate) step_s: f64,
    /// The diagnostics of one point, spectra aside.
    pub(crate) probe_s: f64,
    /// One test example.
    pub(crate) test_example_s: f64,
    /// Values of a point, spectra aside.
    pub(crate) values: u64,
    /// Of one step, estimated.
    pub(crate) multiply_adds: u64,
    pub(crate) batch_size: usize,
}

/// What a trial costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    pub(crate) step_s: f64,
    pub(crate) probe_s: f64,
    pub(crate) test_s: f64,
    /// Values of a point.
    pub(crate) values: u64,
}

impl Cost {
    /// Scaled from the measured condition that is nearest in multiply-adds, one of the same rule if there is one.
    pub(crate) fn of(config: &TrialConfig, dataset: &DatasetRow, measured: &[Measured]) -> Option<Self> {
        let multiply_adds = config.step_multiply_adds(features(dataset), dataset.classes as usize);
        let rule = rule_of(config);
        let distance = |measured: &Measured| {
            (multiply_adds.max(1) as f64 / measured.multiply_adds.max(1) as f64).ln().abs()
        };
        let order = |a: &&Measured, b: &&Measured| -> Ordering {
            let other_rule = |measured: &Measured| measured.rule != rule;
            other_rule(a).cmp(&other_rule(b)).then(distance(a).total_cmp(&distance(b)))
        };
        let nearest = measured.iter().min_by(order)?;
        let step_factor = multiply_adds as f64 / nearest.multiply_adds.max(1) as f64;
        let example_factor = step_factor * nearest.batch_size as f64 / config.batch_size.max(1) as f64;
        let all = config.test_limit.unwrap_or(usize::MAX).min(count(dataset.test_examples));
        let tests = config.validation.unwrap_or(all);
        Some(Self {
            step_s: nearest.step_s * step_factor,
            probe_s: nearest.probe_s * example_factor,
            test_s: nearest.test_example_s * example_factor * tests as f64,
            values: nearest.values,
        })
    }
}

fn rule_of(config: &TrialConfig) -> String {
    let rule = serde_json::to_value(config.rule).expect("a rule is plain data");
    rule.as_str().unwrap_or_default().to_owned()
}

/// Measures a few conditions that differ in what a step costs, from the cheapest up, through the budget.
pub(crate) fn measure(
    plan: &Plan,
    place: &Place,
    library: Option<&Library>,
    clock: &dyn Clock,
) -> Vec<Measured> {
    let started = clock.monotonic();
    let mut measured: Vec<Measured> = Vec::new();
    let chosen = chosen(plan, place);
    for (done, (label, config, dataset)) in chosen.iter().enumerate() {
        let left = BUDGET.saturating_sub(clock.monotonic() - started);
        let share = left / u32::try_from(chosen.len() - done).unwrap_or(1);
        let foreseen = Cost::of(config, dataset, &measured);
        let least_s =
            foreseen.map_or(0.0, |cost| cost.step_s * f64::from(STEPS_MIN + 1) + 2.0 * cost.probe_s);
        if least_s > left.as_secs_f64() {
            break;
        }
        let data = data(library, dataset, config);
        measured.extend(timed(label, config, dataset, &data, share, clock));
    }
    measured
}

/// Conditions of each kind of step, spread evenly over what steps cost.
fn chosen<'a>(plan: &'a Plan, place: &'a Place) -> Vec<(&'a str, &'a TrialConfig, &'a DatasetRow)> {
    let mut kinds = BTreeMap::new();
    for condition in &plan.conditions {
        let config = &condition.config;
        let Some(dataset) = place.dataset(&config.dataset) else { continue };
        let (features, classes) = (features(dataset), dataset.classes as usize);
        if config.memory_bytes(&size(dataset)) <= MEMORY_MAX_BYTES {
            let kind = (config.step_multiply_adds(features, classes), rule_of(config), &config.dataset);
            kinds.entry(kind).or_insert((condition.label.as_str(), config, dataset));
        }
    }
    let kinds: Vec<_> = kinds.into_values().collect();
    if kinds.len() <= MEASURED_MAX {
        return kinds;
    }
    (0..MEASURED_MAX).map(|place| kinds[place * (kinds.len() - 1) / (MEASURED_MAX - 1)]).collect()
}

/// The dataset when it is in this machine's library, else bytes of its shape: a step takes as long on them.
fn data(library: Option<&Library>, row: &DatasetRow, config: &TrialConfig) -> Result<Arc<Dataset>, Noise> {
    let held = library.filter(|library| library.contains(&row.hash));
    held.and_then(|library| library.load(&row.hash).ok()).ok_or_else(|| {
        let examples = (config.batch_size * BATCHES).min(count(row.train_examples)).max(1);
        Noise::new(examples, features(row), row.classes)
    })
}

/// Examples of nothing.
struct Noise {
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

impl Noise {
    fn new(examples: usize, features: usize, classes: u32) -> Self {
        // A multiplicative hash of the place is noise enough for a clock.
        let pixels = (0..examples * features).map(|at| ((at as u32).wrapping_mul(2_654_435_769) >> 24) as u8);
        let labels = (0..examples).map(|at| u16::try_from(at % classes.max(1) as usize).unwrap_or(0));
        Self { pixels: pixels.collect(), labels: labels.collect() }
    }
}

/// Times one condition; nothing when it cannot be trained.
fn timed(
    label: &str,
    config: &TrialConfig,
    row: &DatasetRow,
    data: &Result<Arc<Dataset>, Noise>,
    share: Duration,
    clock: &dyn Clock,
) -> Option<Measured> {
    let (train, test) = match data {
        Ok(dataset) => (
            (dataset.train().pixels.as_slice(), dataset.train().labels.as_slice()),
            (dataset.test().pixels.as_slice(), dataset.test().labels.as_slice()),
        ),
        Err(noise) => {
            let split = (noise.pixels.as_slice(), noise.labels.as_slice());
            (split, split)
        }
    };
    let features = features(row);
    let examples = |(pixels, labels)| Examples { values: Values::U8(pixels), labels, features };
    let task = Task::new(examples(train), examples(test), row.classes as usize).ok()?;
    let task = task.with_image(size(row).image?).ok()?;
    let small = |tests: usize| TrialConfig {
        train_limit: Some((config.batch_size * BATCHES).min(train.1.len())),
        test_limit: Some(tests.min(test.1.len())),
        validation: None,
        epochs: 2,
        // The start is timed, which shows itself only when there are diagnostics.
        diagnostics: Diagnostics::Named(NamedCadence::Epoch),
        spectra: Diagnostics::Named(NamedCadence::Off),
        ..config.clone()
    };
    // An epoch of one batch, at whose end is a point with everything in it.
    let mut values = Count(0);
    let short = TrialConfig { train_limit: Some(config.batch_size.min(train.1.len())), ..small(1) };
    let mut trainer = Trainer::new(&short, 0, &task).ok()?;
    let probe_s = start(&mut trainer, clock);
    let _ = trainer.step(&mut values);
    let tested = small(TEST_EXAMPLES_MAX);
    let mut trainer = Trainer::new(&tested, 0, &task).ok()?;
    let point_s = start(&mut trainer, clock);
    let (steps, step_s) = steps(&mut trainer, &tested, share, clock)?;
    Some(Measured {
        label: label.to_owned(),
        rule: rule_of(config),
        steps,
        step_s,
        probe_s: if config.diagnostics.is_off() { 0.0 } else { probe_s },
        test_example_s: (point_s - probe_s).max(0.0) / tested.test_limit.unwrap_or(1) as f64,
        values: if config.diagnostics.is_off() { VALUES_WITHOUT_DIAGNOSTICS } else { values.0 },
        multiply_adds: config.step_multiply_adds(features, row.classes as usize),
        batch_size: config.batch_size,
    })
}

/// Counts the values of a point.
struct Count(u64);

impl Observer for Count {
    fn point(&mut self, point: &Point) {
        self.0 = point.values.len() as u64;
    }
}

/// Time of the first point.
fn start(trainer: &mut Trainer<'_>, clock: &dyn Clock) -> f64 {
    let before = clock.monotonic();
    trainer.start(&mut ());
    (clock.monotonic() - before).as_secs_f64()
}

/// Steps within the first epoch, so that no test falls between them, and the time of one. The first warms up.
fn steps(
    trainer: &mut Trainer<'_>,
    config: &TrialConfig,
    share: Duration,
    clock: &dyn Clock,
) -> Option<(u32, f64)> {
    let within = config.train_limit.unwrap_or(1).div_ceil(config.batch_size.max(1)).max(2) - 1;
    if within > 1 && trainer.step(&mut ()).is_some() {
        return None;
    }
    let before = clock.monotonic();
    let mut done = 0;
    loop {
        let ended = trainer.step(&mut ()).is_some();
        done += 1;
        let spent = clock.monotonic() - before;
        let enough = done >= STEPS_MIN && spent >= share;
        if ended || enough || trainer.steps() >= within as u64 {
            return Some((done, spent.as_secs_f64() / f64::from(done)));
        }
    }
}
