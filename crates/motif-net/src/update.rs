//! The step from signals to new weights: `X ← (1 − ηγ) X + η · scale · ΔX`, `scale = min(1, c / ‖ΔX‖)`; with
//! momentum `M ← μ M + scale · ΔX − γ X`, `X ← X + η M`.
//!
//! A tensor that changes by one product needs no `ΔX` of its own: its norm follows from the signals' Gram
//! matrices, `‖TᵀS‖² = Σ (TTᵀ) ∘ (SSᵀ)` over the batch, and the update is folded into the product's factors, or
//! made block by block while the block is near. Where Gram matrices would cost more, or the change is a sum, `ΔX` is
//! written out, measured and applied. All `ΔX` are functions of the signals alone, so their order does not matter.
//!
//! Tensors lie in memory source by source, so what is computed is `ΔXᵀ`.

mod pace;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;

use ndarray::{Array2, ArrayViewMut2, ShapeBuilder as _};

use crate::config::TrialConfig;
use crate::linalg;
use crate::observe::Point;
use crate::signals::Signals;
use crate::spare::SpareThreads;
use crate::tensors::{self, Tensors, Term};
use pace::Pace;
use plan::{Change, Norm, Plan};

pub(crate) use plan::{held_bytes, velocity_bytes};

/// Sums of squares up to this cannot make a product overflow, whatever the coefficients.
const SAFE_SQUARE: f64 = 1e30;

/// The buffers and norms of the updates.
pub(crate) struct Updater {
    /// In the order of the tensors.
    plans: Vec<Plan>,
    /// Rows and columns, in the order of the tensors.
    sizes: Vec<(usize, usize)>,
    /// Where `ΔX`, or a block of it, is written out, one tensor after the other.
    scratch: Vec<f32>,
    /// The slots of the signals that the changes are made of.
    sources: Vec<usize>,
    grams: Grams,
    /// In the order of the tensors, the Frobenius norm of the last change of `X`, decay aside; with momentum the
    /// factor `η` of `M` instead.
    moved: Vec<f64>,
    /// In the order of the tensors, `M`, laid out as they are; 0 × 0 without momentum.
    velocities: Vec<Array2<f32>>,
    /// `c`; 0 turns the clip off.
    clip_norm: f64,
    /// `μ`.
    momentum: f64,
}

/// What one tensor's step depends on beside the tensor.
struct Step<'a> {
    signals: &'a Signals,
    /// The schedule's.
    factor: f64,
    /// `‖ΔX‖`.
    norm: f64,
    helpers: &'a dyn SpareThreads,
}

impl Updater {
    /// Plans the updates of `tensors` for batches of up to `batch` rows.
    pub(crate) fn new(tensors: &Tensors, signals: &Signals, batch: usize, config: &TrialConfig) -> Self {
        Self::planned(plan::plan(tensors, batch), tensors, signals, batch, config)
    }

    fn planned(
        plans: Vec<Plan>,
        tensors: &Tensors,
        signals: &Signals,
        batch: usize,
        config: &TrialConfig,
    ) -> Self {
        let velocities = tensors.iter().map(|tensor| {
            let moves = config.momentum > 0.0 && tensor.spec.is_learning();
            let size = if moves { tensor.spec.size } else { (0, 0) };
            Array2::zeros(size.set_f(tensor.mirrors.is_none()))
        });
        let sizes: Vec<_> = tensors.iter().map(|tensor| tensor.spec.size).collect();
        let scratch = changes(&plans).map(|(place, change)| change.scratch_numbers(sizes[place]));
        Self {
            scratch: vec![0.0; scratch.max().unwrap_or(0)],
            sources: sources(&plans, signals),
            grams: Grams::new(&plans, signals, batch),
            moved: vec![0.0; plans.len()],
            velocities: velocities.collect(),
            sizes,
            plans,
            clip_norm: config.clip_norm,
            momentum: config.momentum,
        }
    }

    /// Changes every tensor, with every rate multiplied by `factor`; returns false, and changes nothing, if some `ΔX`
    /// is not finite.
    pub(crate) fn step(
        &mut self,
        tensors: &mut Tensors,
        signals: &Signals,
        factor: f64,
        helpers: &dyn SpareThreads,
    ) -> bool {
        self.grams.forget();
        if !self.surely_finite(signals) && !self.finite(signals, helpers) {
            return false;
        }
        for place in 0..self.plans.len() {
            let Plan::Changed(change) = &self.plans[place] else { continue };
            let size = self.sizes[place];
            let norm = measure(change, size, &mut self.scratch, &mut self.grams, signals, helpers);
            for at in [Some(place), change.mirror].into_iter().flatten() {
                let pace = Pace::new(&tensors.at_place(at).spec, factor, norm, self.clip_norm);
                let still = self.velocities[at].is_empty();
                self.moved[at] = if still { pace.rate * pace.scale * norm } else { pace.rate };
            }
            let step = Step { signals, factor, norm, helpers };
            if change.is_folded() {
                self.fold(place, tensors, &step);
            } else {
                self.apply(place, tensors, &step);
            }
        }
        true
    }

    /// Whether the signals are so small that no `ΔX` can overflow: `|ΔX_ij| ≤ Σ |c| ‖T‖ ‖S‖`.
    fn surely_finite(&self, signals: &Signals) -> bool {
        self.sources.iter().all(|&slot| linalg::square_sum(signals.slice_slot(slot)) < SAFE_SQUARE)
    }

    /// Whether every `ΔX` is finite, by computing it.
    fn finite(&mut self, signals: &Signals, helpers: &dyn SpareThreads) -> bool {
        changes(&self.plans).all(|(place, change)| {
            measure(change, self.sizes[place], &mut self.scratch, &mut self.grams, signals, helpers)
                .is_finite()
        })
    }

    /// The change by one product, folded into its factors.
    fn fold(&mut self, place: usize, tensors: &mut Tensors, step: &Step<'_>) {
        let Step { signals, factor, norm, helpers } = *step;
        let Plan::Changed(Change { terms, .. }) = &self.plans[place] else { return };
        let term = &terms[0];
        let tensor = tensors.at_place(place);
        let pace = Pace::new(&tensor.spec, factor, norm, self.clip_norm);
        let (target, source) = (signals.view(term.target), signals.view(term.source));
        let rows = 0..source.ncols();
        let mean = term.coefficient / signals.rows() as f64;
        let value = tensors::memory_mut(&mut tensor.value);
        let velocity = tensors::memory_mut(&mut self.velocities[place]);
        if velocity.is_empty() {
            let alpha = (pace.rate * pace.scale * mean) as f32;
            linalg::outer_rows(helpers, alpha, &source, rows, &target, pace.keep(), value);
        } else {
            let (alpha, momentum) = ((pace.scale * mean) as f32, self.momentum as f32);
            linalg::outer_rows(helpers, alpha, &source, rows, &target, momentum, velocity);
            pace.push(value, velocity);
        }
    }

    /// The change of a tensor and of its mirror: written out already, or written here block by block.
    fn apply(&mut self, place: usize, tensors: &mut Tensors, step: &Step<'_>) {
        let Step { signals, factor, norm, helpers } = *step;
        let Plan::Changed(change) = &self.plans[place] else { return };
        let (targets, sources) = self.sizes[place];
        let height = match change.norm {
            Norm::Writing => sources,
            Norm::Grams => linalg::near_rows(targets),
        };
        for start in (0..sources).step_by(height) {
            let rows = start..sources.min(start + height);
            let span = rows.start * targets..rows.end * targets;
            let delta = &mut self.scratch[..span.len()];
            if change.norm == Norm::Grams {
                write(&change.terms, rows, signals, delta, helpers);
            }
            for at in [Some(place), change.mirror].into_iter().flatten() {
                let tensor = tensors.at_place(at);
                let pace = Pace::new(&tensor.spec, factor, norm, self.clip_norm);
                let value = &mut tensors::memory_mut(&mut tensor.value)[span.clone()];
                let velocity = tensors::memory_mut(&mut self.velocities[at]);
                let velocity = if velocity.is_empty() { velocity } else { &mut velocity[span.clone()] };
                pace.blend(value, velocity, self.momentum, delta);
            }
        }
    }

    /// `M` of every tensor, in their order; empty without momentum.
    pub(crate) fn velocities(&self) -> &[Array2<f32>] {
        &self.velocities
    }

    pub(crate) fn velocities_mut(&mut self) -> &mut [Array2<f32>] {
        &mut self.velocities
    }

    /// How many numbers the velocities are.
    pub(crate) fn velocity_numbers(&self) -> usize {
        self.velocities.iter().map(Array2::len).sum()
    }

    /// The last step's change of each tensor that learns, relative to the tensor: decay aside without momentum, `ηM`
    /// with it.
    pub(crate) fn log_ratios(&self, tensors: &Tensors, point: &mut Point) {
        for ((tensor, velocity), &moved) in tensors.iter().zip(&self.velocities).zip(&self.moved) {
            // A tensor that does not learn, or no step yet.
            if moved == 0.0 {
                continue;
            }
            let moved = if velocity.is_empty() { moved } else { moved * linalg::norm(velocity) };
            point.log(format!("update_ratio.{}", tensor.name), moved / linalg::norm(&tensor.value));
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        let velocities = self.velocities.iter().map(Array2::len);
        let numbers = velocities.chain([self.scratch.len(), self.grams.numbers()]);
        numbers.map(|numbers| 4 * numbers as u64).sum()
    }
}

/// Every change, with the place of its tensor.
fn changes(plans: &[Plan]) -> impl Iterator<Item = (usize, &Change)> {
    plans.iter().enumerate().filter_map(|(place, plan)| match plan {
        Plan::Changed(change) => Some((place, change)),
        Plan::Frozen | Plan::Mirrored => None,
    })
}

/// The slots of every term's signals, each once.
fn sources(plans: &[Plan], signals: &Signals) -> Vec<usize> {
    let terms = changes(plans).flat_map(|(_, change)| &change.terms);
    let mut slots: Vec<usize> =
        terms.flat_map(|term| [signals.slot(term.target), signals.slot(term.source)]).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// `‖ΔX‖`; where it is written out for that, it is in `scratch` afterwards.
fn measure(
    change: &Change,
    (targets, sources): (usize, usize),
    scratch: &mut [f32],
    grams: &mut Grams,
    signals: &Signals,
    helpers: &dyn SpareThreads,
) -> f64 {
    match change.norm {
        Norm::Grams => grams.norm(&change.terms[0], signals),
        Norm::Writing => {
            let delta = &mut scratch[..targets * sources];
            write(&change.terms, 0..sources, signals, delta, helpers);
            linalg::square_sum(delta).sqrt()
        }
    }
}

/// Rows `rows` of `ΔXᵀ = Σ coefficient · ⟨source targetᵀ⟩`.
fn write(
    terms: &[Term],
    rows: Range<usize>,
    signals: &Signals,
    delta: &mut [f32],
    helpers: &dyn SpareThreads,
) {
    let mean = 1.0 / signals.rows() as f64;
    for (place, term) in terms.iter().enumerate() {
        let keep = if place == 0 { 0.0 } else { 1.0 };
        let alpha = (term.coefficient * mean) as f32;
        let (target, source) = (signals.view(term.target), signals.view(term.source));
        linalg::outer_rows(helpers, alpha, &source, rows.clone(), &target, keep, delta);
    }
}

/// Gram matrices of the signals, each computed at most once per step.
struct Grams {
    /// By the signals' slot: batch × batch, and whether it is this step's.
    list: Vec<(Vec<f32>, bool)>,
}

impl Grams {
    fn new(plans: &[Plan], signals: &Signals, batch: usize) -> Self {
        let mut list = vec![(Vec::new(), false); signals.slots()];
        let measured = changes(plans).filter(|(_, change)| change.norm == Norm::Grams);
        for term in measured.map(|(_, change)| &change.terms[0]) {
            for at in [term.target, term.source] {
                list[signals.slot(at)].0 = vec![0.0; batch * batch];
            }
        }
        Self { list }
    }

    /// The signals have changed.
    fn forget(&mut self) {
        self.list.iter_mut().for_each(|(_, fresh)| *fresh = false);
    }

    /// `|coefficient| · ‖⟨TᵀS⟩‖`.
    fn norm(&mut self, term: &Term, signals: &Signals) -> f64 {
        let rows = signals.rows();
        for at in [term.target, term.source] {
            let (gram, fresh) = &mut self.list[signals.slot(at)];
            if !*fresh {
                let signal = signals.view(at);
                // In one piece, whatever the batch's rows.
                let gram = ArrayViewMut2::from_shape((rows, rows), &mut gram[..rows * rows]);
                let gram = gram.expect("as many numbers as the shape says");
                linalg::product(1.0, &signal, &signal.t(), 0.0, gram);
                *fresh = true;
            }
        }
        let gram = |at| &self.list[signals.slot(at)].0[..rows * rows];
        let square = linalg::dot(gram(term.target), gram(term.source));
        // Rounding can leave a vanishing sum just below zero; a NaN must stay one.
        let square = if square < 0.0 { 0.0 } else { square };
        square.sqrt() * term.coefficient.abs() / rows as f64
    }

    fn numbers(&self) -> usize {
        self.list.iter().map(|(gram, _)| gram.len()).sum()
    }
}
