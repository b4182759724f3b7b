//! What a sweep would be and cost, before it is submitted: counts, datasets, time, memory, disk. What the machine and
//! the server say comes in as data; nothing here asks them.

pub(crate) mod measure;
mod text;

use std::collections::BTreeMap;

use motif_net::{
    ImageShape, TaskSize,
    config::{Diagnostics, StepCadence, TrialConfig},
};
use motif_sweep::{
    plan::{Condition, Plan},
    spec::{SpecError, SpecErrors, SweepSpec},
    until::Until,
};
use motif_wire::system::DatasetRow;
use serde::Serialize;

use measure::{Cost, Measured};

/// A point's row in the store beside its values, in bytes. This and the next were solved for from the growth of a
/// vacuumed store: 217 kB by 60 trials of 2 points, 913 kB by 60 trials of 41.
const POINT_BYTES: u64 = 40;
/// A trial's rows in the store, its attempt and final metrics included, in bytes.
const TRIAL_BYTES: u64 = 3_000;
/// A logged value in the store, in bytes.
const VALUE_BYTES: u64 = 8;

/// What was found out about where the sweep would run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The datasets that it has.
    pub(crate) datasets: Vec<DatasetRow>,
    /// The server that answered, with the slots of its living workers.
    pub(crate) server: Option<(String, u32)>,
    /// Why no server answered.
    pub(crate) why_not: Option<String>,
}

/// A dataset that the sweep names.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NamedDataset {
    pub(crate) name: String,
    /// Whether it is known where the sweep would run.
    pub(crate) known: bool,
    pub(crate) train_examples: Option<u64>,
    pub(crate) test_examples: Option<u64>,
}

/// The least and the greatest of something.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Extent<T> {
    pub(crate) least: T,
    pub(crate) greatest: T,
}

/// Time, from steps measured on this machine.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Time {
    /// Of one trial.
    pub(crate) trial_s: Extent<f64>,
    /// Of all trials, one after the other.
    pub(crate) training_s: f64,
    /// The same on the slots that there are.
    pub(crate) elapsed_s: f64,
    /// What was measured; everything else is scaled from it by multiply-adds.
    pub(crate) measured: Vec<Measured>,
}

/// The most that sequential replication may come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct UpTo {
    pub(crate) metric: String,
    pub(crate) half_width: f64,
    pub(crate) max_seeds: u64,
    pub(crate) max_trials: u64,
}

impl UpTo {
    fn of(until: &Until, spec: &SweepSpec, plan: &Plan) -> Self {
        Self {
            metric: until.metric(&spec.metric).to_owned(),
            half_width: until.half_width,
            max_seeds: until.max_seeds,
            max_trials: until.max_seeds * plan.conditions.len() as u64,
        }
    }
}

/// A sweep before it is submitted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Preview {
    pub(crate) name: String,
    /// The conditions' labels, in their order.
    pub(crate) conditions: Vec<String>,
    pub(crate) seeds: usize,
    pub(crate) trials: usize,
    /// How far sequential replication may go, when it is asked for; the estimates are of the trials it begins with.
    pub(crate) until: Option<UpTo>,
    /// Label of the baseline.
    pub(crate) baseline: Option<String>,
    pub(crate) datasets: Vec<NamedDataset>,
    /// Steps of one trial, where the dataset is known.
    pub(crate) trial_steps: Option<Extent<u64>>,
    /// Steps of all trials whose datasets are known.
    pub(crate) steps: u64,
    /// Absent when nothing could be measured.
    pub(crate) time: Option<Time>,
    /// Trials at once: slots of the server's living workers, at least 1.
    pub(crate) slots: u32,
    /// The server that was asked.
    pub(crate) server: Option<String>,
    pub(crate) why_no_server: Option<String>,
    /// The largest trial's memory beside its dataset, in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// What the store will grow by: 8 bytes per logged value, 40 per point, 3000 per trial.
    pub(crate) disk_bytes: Option<u64>,
    /// Whether some trials will end early, so that steps, time and disk are upper bounds.
    pub(crate) stops: bool,
    /// Whether some trials log spectra, whose time and values are not in these numbers.
    pub(crate) spectra: bool,
    /// What a submission would be refused for.
    pub(crate) problems: Vec<SpecError>,
}

/// Points that a trial logs at most, those with a test among them.
fn points(config: &TrialConfig, steps: u64) -> (u64, u64) {
    let start = u64::from(!config.diagnostics.is_off() || !config.spectra.is_off());
    let tests = config.epochs as u64 + start;
    let extra = [config.diagnostics, config.spectra].into_iter().map(|cadence| match cadence {
        Diagnostics::Steps(StepCadence { every_steps }) => steps / every_steps.max(1) as u64,
        Diagnostics::Named(_) => 0,
    });
    (tests + extra.sum::<u64>(), tests)
}

/// Puts everything together.
pub(crate) fn preview(spec: &SweepSpec, plan: &Plan, place: &Place, measured: Vec<Measured>) -> Preview {
    let seeds = plan.seeds.len() as u64;
    let mut preview = Preview {
        name: spec.name.clone(),
        conditions: plan.conditions.iter().map(|condition| condition.label.clone()).collect(),
        seeds: plan.seeds.len(),
        trials: plan.trials.len(),
        until: spec.until.as_ref().map(|until| UpTo::of(until, spec, plan)),
        baseline: plan.baseline.map(|index| plan.conditions[index as usize].label.clone()),
        datasets: named_datasets(plan, place),
        trial_steps: None,
        steps: 0,
        time: None,
        slots: place.server.as_ref().map_or(1, |(_, slots)| (*slots).max(1)),
        server: place.server.as_ref().map(|(server, _)| server.clone()),
        why_no_server: place.why_not.clone(),
        memory_bytes: None,
        disk_bytes: None,
        stops: spec.stop.is_some(),
        spectra: plan.conditions.iter().any(|condition| !condition.config.spectra.is_off()),
        problems: problems(spec, plan, place).0,
    };
    let mut trial_s: Option<Extent<f64>> = None;
    let mut training_s = 0.0;
    for condition in &plan.conditions {
        let config = &condition.config;
        let Some(dataset) = place.dataset(&config.dataset) else { continue };
        let steps = motif_net::total_steps(config, count(dataset.train_examples));
        preview.steps += steps * seeds;
        preview.trial_steps = Some(widened(preview.trial_steps, steps));
        let memory = config.memory_bytes(&size(dataset));
        preview.memory_bytes = preview.memory_bytes.max(Some(memory));
        let Some(cost) = Cost::of(config, dataset, &measured) else { continue };
        let (points, tests) = points(config, steps);
        let point_bytes = POINT_BYTES + VALUE_BYTES * cost.values;
        let disk = preview.disk_bytes.unwrap_or(0) + seeds * (TRIAL_BYTES + points * point_bytes);
        preview.disk_bytes = Some(disk);
        let seconds = steps as f64 * cost.step_s + points as f64 * cost.probe_s + tests as f64 * cost.test_s;
        trial_s = Some(widened(trial_s, seconds));
        training_s += seconds * seeds as f64;
    }
    preview.time = trial_s.map(|trial_s| {
        // No more trials run at once than there are, and the longest one takes as long as it takes.
        let slots = f64::from(preview.slots).min(preview.trials as f64);
        let elapsed_s = (training_s / slots).max(trial_s.greatest);
        Time { trial_s, training_s, elapsed_s, measured }
    });
    preview
}

fn widened<T: PartialOrd + Copy>(extent: Option<Extent<T>>, value: T) -> Extent<T> {
    let Extent { least, greatest } = extent.unwrap_or(Extent { least: value, greatest: value });
    Extent {
        least: if value < least { value } else { least },
        greatest: if value > greatest { value } else { greatest },
    }
}

fn count(examples: u64) -> usize {
    usize::try_from(examples).unwrap_or(usize::MAX)
}

/// Numbers of one example.
pub(crate) fn features(dataset: &DatasetRow) -> usize {
    dataset.height as usize * dataset.width as usize * dataset.channels as usize
}

/// What a trial's memory and limits depend on.
pub(crate) fn size(dataset: &DatasetRow) -> TaskSize {
    let side = |pixels| pixels as usize;
    let image = ImageShape {
        channels: side(dataset.channels),
        height: side(dataset.height),
        width: side(dataset.width),
    };
    TaskSize {
        train_examples: count(dataset.train_examples),
        test_examples: count(dataset.test_examples),
        features: features(dataset),
        classes: dataset.classes as usize,
        image: Some(image),
    }
}

impl Place {
    /// The dataset of that name.
    pub(crate) fn dataset(&self, name: &str) -> Option<&DatasetRow> {
        self.datasets.iter().find(|dataset| dataset.name == name)
    }
}

fn named_datasets(plan: &Plan, place: &Place) -> Vec<NamedDataset> {
    let mut named = BTreeMap::new();
    for Condition { config, .. } in &plan.conditions {
        let found = place.dataset(&config.dataset);
        named.entry(config.dataset.clone()).or_insert_with(|| NamedDataset {
            name: config.dataset.clone(),
            known: found.is_some(),
            train_examples: found.map(|dataset| dataset.train_examples),
            test_examples: found.map(|dataset| dataset.test_examples),
        });
    }
    named.into_values().collect()
}

/// What the server would find wrong with datasets and limits, in its words.
fn problems(spec: &SweepSpec, plan: &Plan, place: &Place) -> SpecErrors {
    let mut errors = SpecErrors::default();
    for condition in &plan.conditions {
        let config = &condition.config;
        let Some(dataset) = place.dataset(&config.dataset) else {
            let known: Vec<&str> = place.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
            let message = format!(
                "there is no dataset of that name; there are {}; `motif dataset import` adds one",
                known.join(", ")
            );
            let error = SpecError::new(spec.origin(plan, condition, "dataset"), message);
            errors.push(error.found(&config.dataset.as_str().into()));
            continue;
        };
        for violation in config.violations_on(&size(dataset)) {
            let message = format!("with the dataset {:?}, expected {}", config.dataset, violation.expected);
            let field = spec.origin(plan, condition, &violation.field);
            errors.push(SpecError { value: Some(violation.value), ..SpecError::new(field, message) });
        }
    }
    errors
}

#[cfg(test)]
mod tests;
