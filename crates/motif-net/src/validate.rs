//! Every limit of a trial's config, and what breaks one.

use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::augment::MAX_SHIFT_PIXELS;
use crate::config::{
    Diagnostics, LocalSignal, PerSynapse, RuleName, StepCadence, Synapse, TrialConfig, UpdateTerm,
};
use crate::diagnose;
use crate::examples::{ImageShape, MAX_CLASSES, MAX_EXAMPLES, MAX_FEATURES, TaskSize};
use crate::network;
use crate::rules::{self, custom};
use crate::shape::Shape;
use crate::spectra;
use crate::update;

/// Longest name of a dataset.
pub const MAX_DATASET_NAME_BYTES: usize = 200;
/// Most hidden layers.
pub const MAX_HIDDEN_LAYERS: usize = 64;
/// Widest hidden layer.
pub const MAX_WIDTH_UNITS: usize = 16_384;
/// Least and greatest overparametrization ratio.
pub const RATIO: RangeInclusive<f64> = 0.01..=100.0;
/// Most passes over the training examples.
pub const MAX_EPOCHS: usize = 100_000;
/// Most terms in a synapse's change.
pub const MAX_UPDATE_TERMS: usize = 16;
/// Largest minibatch.
pub const MAX_BATCH_EXAMPLES: usize = 65_536;
/// Learning rates, decays and the initial lateral scale lie below it.
pub const RATE_BOUND: f64 = 1e3;
/// Greatest clip norm.
pub const MAX_CLIP_NORM: f64 = 1e9;
/// Greatest divergence bound: norms beyond it overflow f32.
pub const MAX_DIVERGENCE_BOUND: f64 = 1e15;
/// Most minibatches between two diagnostics.
pub const MAX_DIAGNOSTICS_STEPS: usize = 1_000_000_000;
/// Most memory of one trial, as [`TrialConfig::memory_bytes`] estimates it.
pub const MAX_TRIAL_BYTES: u64 = 1 << 36;
/// Part of the estimate that does not depend on the widths: packing buffers, names, points.
const FIXED_BYTES: u64 = 8 << 20;
/// Bytes of bookkeeping per training example: its position in the subset, in the epoch's order and while one is drawn.
const TRAIN_EXAMPLE_BYTES: u64 = 12;
/// Bytes of bookkeeping per test example: its position, also while the subset is drawn.
const TEST_EXAMPLE_BYTES: u64 = 8;

/// One field that breaks a limit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} is {value}, expected {expected}")]
pub struct Violation {
    /// Dotted name, such as `rates.w` or `hidden[1]`.
    pub field: String,
    /// What it is.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl Violation {
    pub(crate) fn new(
        field: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), value: value.to_string(), expected: expected.into() }
    }
}

impl TrialConfig {
    /// Every field that breaks a limit of its own; empty when the config can be trained
    /// on a task that is large enough ([`TrialConfig::violations_on`]).
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Found::default();
        self.check_data(&mut found);
        self.check_network(&mut found);
        self.check_updates(&mut found);
        self.check_training(&mut found);
        found.0
    }

    fn check_data(&self, found: &mut Found) {
        let bytes = self.dataset.len();
        if !(1..=MAX_DATASET_NAME_BYTES).contains(&bytes) {
            let expected = format!("a name of 1 to {MAX_DATASET_NAME_BYTES} bytes");
            found.push("dataset", format!("{:?}", self.dataset), expected);
        }
        let counts = [
            ("train_limit", self.train_limit),
            ("test_limit", self.test_limit),
            ("validation", self.validation),
        ];
        for (field, count) in counts {
            if let Some(count) = count {
                found.whole(field, count, MAX_EXAMPLES);
            }
        }
        let shift = self.augment.shift;
        if shift > MAX_SHIFT_PIXELS {
            found.push("augment.shift", shift, format!("a whole number from 0 to {MAX_SHIFT_PIXELS}"));
        }
    }

    /// Every field that asks for more than the task has.
    #[must_use]
    pub fn violations_on(&self, task: &TaskSize) -> Vec<Violation> {
        let mut found = Found::default();
        let (train, held_out) = (task.train_examples, self.validation.unwrap_or(0));
        let left = train.saturating_sub(held_out);
        let too_many = |limit: Option<usize>, most| limit.filter(|&limit| limit > most);
        if left == 0 {
            let most = train.saturating_sub(1);
            let expected =
                format!("at most {most}, so that one of the {train} training examples is left to learn from");
            found.push("validation", held_out, expected);
        } else if let Some(limit) = too_many(self.train_limit, left) {
            let expected = match held_out {
                0 => format!("at most {train}, the number of training examples; leave it out to take all"),
                _ => format!(
                    "at most {left}, the {train} training examples less the {held_out} of `validation`; leave it out \
                     to take all"
                ),
            };
            found.push("train_limit", limit, expected);
        }
        if let Some(limit) = too_many(self.test_limit, task.test_examples) {
            let test = task.test_examples;
            let expected = format!("at most {test}, the number of test examples; leave it out to take all");
            found.push("test_limit", limit, expected);
        }
        if !self.augment.is_off() {
            self.check_augment(task.image, &mut found);
        }
        found.0
    }

    fn check_augment(&self, image: Option<ImageShape>, found: &mut Found) {
        let Some(image) = image else {
            found.push("augment", self.augment, "none: the examples of this task are not known to be images");
            return;
        };
        let (height, width, shift) = (image.height, image.width, self.augment.shift);
        let most = height.min(width).saturating_sub(1);
        if shift > most {
            let expected =
                format!("at most {most}, so that a part of each image of {height} × {width} pixels stays");
            found.push("augment.shift", shift, expected);
        }
    }

    fn check_network(&self, found: &mut Found) {
        if !(1..=MAX_HIDDEN_LAYERS).contains(&self.hidden.len()) {
            let value = format!("a list of {}", self.hidden.len());
            found.push("hidden", value, format!("1 to {MAX_HIDDEN_LAYERS} widths"));
        }
        for (place, &width) in self.hidden.iter().enumerate().take(MAX_HIDDEN_LAYERS) {
            found.whole(format!("hidden[{place}]"), width, MAX_WIDTH_UNITS);
        }
        if !RATIO.contains(&self.ratio) {
            let expected = format!("a number from {} to {}", RATIO.start(), RATIO.end());
            found.push("ratio", self.ratio, expected);
        }
        for (place, synapse) in self.plastic.iter().enumerate().take(2 * Synapse::ALL.len()) {
            if self.plastic[..place].contains(synapse) {
                found.push(format!("plastic[{place}]"), synapse.name(), "each synapse at most once");
            }
        }
    }

    /// The terms of a custom rule; other rules do not read them.
    fn check_updates(&self, found: &mut Found) {
        if self.rule != RuleName::Custom {
            return;
        }
        if self.updates.is_empty() {
            found.push(
                "updates",
                "empty",
                "at least one term, such as w = [{ target = \"g\", source = \"h\" }]",
            );
        }
        for synapse in Synapse::ALL {
            let (terms, field) = (self.updates.of(synapse), format!("updates.{}", synapse.name()));
            if terms.len() > MAX_UPDATE_TERMS {
                let value = format!("a list of {}", terms.len());
                found.push(&field, value, format!("at most {MAX_UPDATE_TERMS} terms"));
            }
            match custom::ends(self.feedback, synapse) {
                Some(ends) => found.terms(&field, &terms[..terms.len().min(MAX_UPDATE_TERMS)], ends),
                None if terms.is_empty() => {}
                None => {
                    let value = format!("a list of {}", terms.len());
                    found.push(field, value, "no terms: this circuit (`feedback`) has no such synapse");
                }
            }
        }
    }

    fn check_training(&self, found: &mut Found) {
        found.whole("epochs", self.epochs, MAX_EPOCHS);
        found.whole("batch_size", self.batch_size, MAX_BATCH_EXAMPLES);
        if !(0.0..=MAX_CLIP_NORM).contains(&self.clip_norm) {
            let expected = format!("a number from 0 (no clip) to {MAX_CLIP_NORM:e}");
            found.push("clip_norm", self.clip_norm, expected);
        }
        found.rate("init_scale_v", self.init_scale_v);
        found.per_synapse("rates", &self.rates);
        found.per_synapse("decay", &self.decay);
        if !(0.0..1.0).contains(&self.momentum) {
            found.push("momentum", self.momentum, "a number from 0 to below 1");
        }
        if !(self.divergence_bound > 0.0 && self.divergence_bound <= MAX_DIVERGENCE_BOUND) {
            let expected = format!("a number above 0, at most {MAX_DIVERGENCE_BOUND:e}");
            found.push("divergence_bound", self.divergence_bound, expected);
        }
        for (field, cadence) in [("diagnostics", self.diagnostics), ("spectra", self.spectra)] {
            if let Diagnostics::Steps(StepCadence { every_steps }) = cadence {
                found.whole(format!("{field}.every_steps"), every_steps, MAX_DIAGNOSTICS_STEPS);
            }
        }
    }

    /// An upper estimate of the memory a trial of this config needs, beside the examples themselves, in bytes: to be
    /// built, trained, looked into, left and taken up again. Meant for a config without violations; for others it is
    /// some number.
    #[must_use]
    pub fn memory_bytes(&self, task: &TaskSize) -> u64 {
        let config = self.bounded();
        let (train, test) = (task.train_examples.min(MAX_EXAMPLES), task.test_examples.min(MAX_EXAMPLES));
        let shape = Shape::new(&config, task.features.min(MAX_FEATURES), task.classes.min(MAX_CLASSES));
        let specs = network::declare(&config, &shape);
        let batch = config.batch_size.min(train).min(config.train_limit.unwrap_or(train));

        let weights = specs.iter().map(|spec| 4 * spec.numbers()).sum::<u64>();
        let updates = update::held_bytes(&specs, batch, config.momentum);
        let hidden = rules::rule(&config).signals();
        let (diagnosed, probe) = match config.diagnostics.is_off() {
            true => (&[][..], 0),
            false => (hidden, diagnose::scratch_bytes(&shape)),
        };
        let signals = 4 * batch as u64 * shape.signal_units(hidden)
            + 4 * diagnose::PROBE_EXAMPLES as u64 * shape.signal_units(diagnosed);
        let rows = TRAIN_EXAMPLE_BYTES * train as u64 + TEST_EXAMPLE_BYTES * test as u64;
        // Needed for a moment, and not at the same one.
        let checkpoint = weights + update::velocity_bytes(&specs, config.momentum);
        let spectra = if config.spectra.is_off() { 0 } else { spectra::scratch_bytes(&specs) };
        weights + updates + signals + probe + rows + checkpoint.max(spectra) + FIXED_BYTES
    }

    /// This config within the limits of everything that takes memory, so that nothing overflows.
    fn bounded(&self) -> Self {
        let mut config = self.clone();
        config.hidden.truncate(MAX_HIDDEN_LAYERS);
        config.hidden.iter_mut().for_each(|width| *width = (*width).min(MAX_WIDTH_UNITS));
        config.ratio = config.ratio.clamp(*RATIO.start(), *RATIO.end());
        config.batch_size = config.batch_size.min(MAX_BATCH_EXAMPLES);
        config
    }
}

/// The violations found so far.
#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn push(&mut self, field: impl Into<String>, value: impl fmt::Display, expected: impl Into<String>) {
        self.0.push(Violation::new(field, value, expected));
    }

    fn whole(&mut self, field: impl Into<String>, value: usize, most: usize) {
        if !(1..=most).contains(&value) {
            self.push(field, value, format!("a whole number from 1 to {most}"));
        }
    }

    fn rate(&mut self, field: impl Into<String>, value: f64) {
        if !(0.0..RATE_BOUND).contains(&value) {
            self.push(field, value, format!("a number from 0 to below {RATE_BOUND}"));
        }
    }

    fn terms(&mut self, field: &str, terms: &[UpdateTerm], ends: (&[LocalSignal], &[LocalSignal])) {
        for (place, term) in terms.iter().enumerate() {
            if !(0.0..RATE_BOUND).contains(&term.coefficient.abs()) {
                let expected = format!("a number between -{RATE_BOUND} and {RATE_BOUND}");
                self.push(format!("{field}[{place}].coefficient"), term.coefficient, expected);
            }
            for (end, signal, fitting) in [("target", term.target, ends.0), ("source", term.source, ends.1)] {
                if !fitting.contains(&signal) {
                    let names: Vec<_> = fitting.iter().map(|signal| signal.name()).collect();
                    let expected = format!("a signal at that end of this synapse: {}", names.join(", "));
                    self.push(format!("{field}[{place}].{end}"), signal.name(), expected);
                }
            }
        }
    }

    fn per_synapse(&mut self, field: &str, values: &PerSynapse) {
        for synapse in Synapse::ALL {
            self.rate(format!("{field}.{}", synapse.name()), values.of(synapse));
        }
    }
}
