//! The step from signals to new weights: `X ← (1 − ηγ) X + η · scale · ΔX`, `scale = min(1, c / ‖ΔX‖)`; with
//! momentum `M ← μ M + scale · ΔX − γ X`, `X ← X + η M`.
//!
//! A tensor that changes by one product needs no `ΔX` of its own: its norm follows from the signals' Gram
//! matrices, `‖TᵀS‖² = Σ (TTᵀ) ∘ (SSᵀ)` over the batch, and the update is folded into the product's factors.
//! Where the batch is too large for that to pay, or the change is a sum, `ΔX` is written out, measured and applied
//! while it is still near: all `ΔX` are functions of the signals alone, so their order does not matter.

use std::collections::BTreeSet;

use ndarray::{Array2, ArrayRef2, ArrayViewMut2, Zip};

use crate::config::TrialConfig;
use crate::linalg;
use crate::observe::Point;
use crate::signals::{At, Signals};
use crate::tensors::{TensorSpec, Tensors, Term};

/// Written out, one weight costs about as much as this many multiplications of a product.
const WEIGHT_COST: usize = 16;

/// Sums of squares up to this cannot make a product overflow, whatever the coefficients.
const SAFE_SQUARE: f64 = 1e30;

/// How one tensor's change is computed.
enum Plan {
    /// It keeps its initial values.
    Frozen,
    /// One product, its norm from Gram matrices.
    Folded(Term),
    /// `ΔX` written out, the sum of these.
    Written(Vec<Term>),
    /// The transpose of what is written out for the tensor at this position, an earlier one.
    Mirrored(usize),
}

/// The buffers and norms of the updates.
pub(crate) struct Updater {
    /// In the order of the tensors.
    plans: Vec<Plan>,
    /// Rows and columns, in the order of the tensors.
    sizes: Vec<(usize, usize)>,
    /// Where `ΔX` is written out, one tensor after the other.
    scratch: Vec<f32>,
    /// The slots of the signals that the changes are made of.
    sources: Vec<usize>,
    /// By the signals' slot: the Gram matrix, batch × batch, and whether it is this step's.
    grams: Vec<(Vec<f32>, bool)>,
    /// In the order of the tensors, the Frobenius norm of the last change of `X`, decay aside; with momentum the
    /// factor `η` of `M` instead.
    moved: Vec<f64>,
    /// In the order of the tensors, `M`; 0 × 0 without momentum.
    velocities: Vec<Array2<f32>>,
    /// `c`; 0 turns the clip off.
    clip_norm: f64,
    /// `μ`.
    momentum: f64,
}

impl Updater {
    /// Plans the updates of `tensors` for batches of up to `batch` rows.
    pub(crate) fn new(tensors: &Tensors, signals: &Signals, batch: usize, config: &TrialConfig) -> Self {
        let mut grams = vec![(Vec::new(), false); signals.slots()];
        let mut plans = tensors.iter().map(|tensor| plan(&tensor.spec, batch)).collect::<Vec<_>>();
        mirror(&mut plans, signals);
        for plan in &plans {
            if let Plan::Folded(term) = plan {
                for at in [term.target, term.source] {
                    grams[signals.slot(at)].0 = vec![0.0; batch * batch];
                }
            }
        }
        let velocities = tensors.iter().map(|tensor| {
            let moves = config.momentum > 0.0 && learns(&tensor.spec);
            Array2::zeros(if moves { tensor.spec.size } else { (0, 0) })
        });
        Self {
            sizes: tensors.iter().map(|tensor| tensor.spec.size).collect(),
            scratch: vec![0.0; scratch_numbers(tensors, &plans)],
            sources: sources(&plans, signals),
            moved: vec![0.0; plans.len()],
            velocities: velocities.collect(),
            plans,
            grams,
            clip_norm: config.clip_norm,
            momentum: config.momentum,
        }
    }

    /// Changes every tensor, with every rate multiplied by `factor`; returns false, and changes nothing, if some `ΔX`
    /// is not finite.
    pub(crate) fn step(&mut self, tensors: &mut Tensors, signals: &Signals, factor: f64) -> bool {
        for (_, fresh) in &mut self.grams {
            *fresh = false;
        }
        if !self.surely_finite(signals) && !self.finite(signals) {
            return false;
        }
        for place in 0..self.plans.len() {
            match &self.plans[place] {
                Plan::Frozen | Plan::Mirrored(_) => {}
                Plan::Folded(term) => {
                    let term = *term;
                    let norm = folded_norm(&mut self.grams, signals, &term);
                    self.fold(place, tensors, signals, &term, factor, norm);
                }
                Plan::Written(terms) => {
                    let size = tensors.at_place(place).spec.size;
                    let delta = write_sum(&mut self.scratch, size, signals, terms);
                    let norm = linalg::quick_norm(&delta);
                    let (clip_norm, momentum) = (self.clip_norm, self.momentum as f32);
                    for (other, plan) in self.plans.iter().enumerate() {
                        let transposed = matches!(plan, Plan::Mirrored(of) if *of == place);
                        if other != place && !transposed {
                            continue;
                        }
                        let tensor = tensors.at_place(other);
                        let velocity = &mut self.velocities[other];
                        let pace = Pace::new(&tensor.spec, factor, norm, clip_norm);
                        self.moved[other] = pace.moved(velocity, norm);
                        blend(&mut tensor.value, velocity, &pace, momentum, &delta, transposed);
                    }
                }
            }
        }
        true
    }

    /// Whether the signals are so small that no `ΔX` can overflow: `|ΔX_ij| ≤ Σ |c| ‖T‖ ‖S‖`.
    fn surely_finite(&self, signals: &Signals) -> bool {
        self.sources.iter().all(|&slot| linalg::square_sum(signals.slice_slot(slot)) < SAFE_SQUARE)
    }

    /// Whether every `ΔX` is finite, by computing it.
    fn finite(&mut self, signals: &Signals) -> bool {
        for (plan, &size) in self.plans.iter().zip(&self.sizes) {
            let norm = match plan {
                Plan::Frozen | Plan::Mirrored(_) => 0.0,
                Plan::Folded(term) => folded_norm(&mut self.grams, signals, term),
                Plan::Written(terms) => {
                    linalg::quick_norm(&write_sum(&mut self.scratch, size, signals, terms))
                }
            };
            if !norm.is_finite() {
                return false;
            }
        }
        true
    }

    /// The change by one product, folded into it.
    fn fold(
        &mut self,
        place: usize,
        tensors: &mut Tensors,
        signals: &Signals,
        term: &Term,
        factor: f64,
        norm: f64,
    ) {
        let tensor = tensors.at_place(place);
        let velocity = &mut self.velocities[place];
        let pace = Pace::new(&tensor.spec, factor, norm, self.clip_norm);
        self.moved[place] = pace.moved(velocity, norm);
        let (target, source) = (signals.view(term.target), signals.view(term.source));
        let mean = term.coefficient / signals.rows() as f64;
        if velocity.is_empty() {
            let alpha = (pace.rate * pace.scale * mean) as f32;
            linalg::product(alpha, &target.t(), &source, pace.keep(), tensor.value.view_mut());
        } else {
            let (alpha, momentum) = ((pace.scale * mean) as f32, self.momentum as f32);
            linalg::product(alpha, &target.t(), &source, momentum, velocity.view_mut());
            push(&mut tensor.value, velocity, &pace);
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
        let grams = self.grams.iter().map(|(gram, _)| gram.len());
        let velocities = self.velocities.iter().map(Array2::len);
        grams.chain([self.scratch.len()]).chain(velocities).map(|numbers| 4 * numbers as u64).sum()
    }
}

/// Bytes that the updates of these tensors hold at most.
pub(crate) fn held_bytes(specs: &[TensorSpec], batch: usize, momentum: f64) -> u64 {
    let learning = || specs.iter().filter(|spec| learns(spec));
    let written = learning().filter(|spec| !folds(spec, batch)).map(TensorSpec::numbers).max().unwrap_or(0);
    let folded = learning().filter(|spec| folds(spec, batch)).flat_map(|spec| &spec.change);
    let grams: BTreeSet<At> = folded.flat_map(|term| [term.target, term.source]).collect();
    4 * (written + grams.len() as u64 * (batch * batch) as u64) + velocity_bytes(specs, momentum)
}

/// Bytes of the velocities.
pub(crate) fn velocity_bytes(specs: &[TensorSpec], momentum: f64) -> u64 {
    let moving = specs.iter().filter(|spec| momentum > 0.0 && learns(spec));
    moving.map(|spec| 4 * spec.numbers()).sum()
}

/// How far one tensor goes in one step.
struct Pace {
    /// `η(t)`.
    rate: f64,
    /// `γ`.
    decay: f64,
    /// `min(1, c / ‖ΔX‖)`.
    scale: f64,
}

impl Pace {
    fn new(spec: &TensorSpec, factor: f64, norm: f64, clip_norm: f64) -> Self {
        let clipped = clip_norm > 0.0 && norm > clip_norm;
        let scale = if clipped { clip_norm / norm } else { 1.0 };
        Self { rate: spec.rate * factor, decay: spec.decay, scale }
    }

    /// `1 − ηγ`.
    fn keep(&self) -> f32 {
        (1.0 - self.rate * self.decay) as f32
    }

    /// What [`Updater::moved`] says of a tensor.
    fn moved(&self, velocity: &Array2<f32>, norm: f64) -> f64 {
        if velocity.is_empty() { self.rate * self.scale * norm } else { self.rate }
    }
}

/// The step by a `ΔX` written out, or by the transpose of one.
fn blend(
    value: &mut Array2<f32>,
    velocity: &mut Array2<f32>,
    pace: &Pace,
    momentum: f32,
    delta: &ArrayRef2<f32>,
    transposed: bool,
) {
    let scale = pace.scale as f32;
    match (velocity.is_empty(), transposed) {
        (true, true) => {
            linalg::blend_transposed(pace.keep(), value, (pace.rate * pace.scale) as f32, delta);
        }
        (true, false) => {
            let (keep, alpha) = (pace.keep(), (pace.rate * pace.scale) as f32);
            value.zip_mut_with(delta, |x, &change| *x = keep * *x + alpha * change);
        }
        (false, true) => {
            linalg::blend_transposed(momentum, velocity, scale, delta);
            push(value, velocity, pace);
        }
        (false, false) => {
            velocity.zip_mut_with(delta, |m, &change| *m = momentum * *m + scale * change);
            push(value, velocity, pace);
        }
    }
}

/// `M ← M − γ X`, `X ← X + η M`.
fn push(value: &mut Array2<f32>, velocity: &mut Array2<f32>, pace: &Pace) {
    let (decay, rate) = (pace.decay as f32, pace.rate as f32);
    Zip::from(value).and(velocity).for_each(|x, m| {
        *m -= decay * *x;
        *x += rate * *m;
    });
}

/// Numbers of the largest `ΔX` that is written out.
fn scratch_numbers(tensors: &Tensors, plans: &[Plan]) -> usize {
    let written = tensors.iter().zip(plans).filter(|(_, plan)| matches!(plan, Plan::Written(_)));
    written.map(|(tensor, _)| tensor.value.len()).max().unwrap_or(0)
}

/// The slots of every term's signals, each once.
fn sources(plans: &[Plan], signals: &Signals) -> Vec<usize> {
    let mut slots: Vec<usize> = plans
        .iter()
        .flat_map(|plan| match plan {
            Plan::Frozen | Plan::Mirrored(_) => &[],
            Plan::Folded(term) => std::slice::from_ref(term),
            Plan::Written(terms) => terms.as_slice(),
        })
        .flat_map(|term| [signals.slot(term.target), signals.slot(term.source)])
        .collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

/// Spares the products whose transposes are written out anyway, `ΔV̄ = ΔVᵀ` under `sal`, `ΔW̄_l = ΔW_{l+1}ᵀ` under `kp`.
fn mirror(plans: &mut [Plan], signals: &Signals) {
    let key =
        |term: &Term| (signals.slot(term.target), signals.slot(term.source), term.coefficient.to_bits());
    for place in 1..plans.len() {
        let (earlier, rest) = plans.split_at_mut(place);
        let Plan::Written(terms) = &rest[0] else { continue };
        let [term] = terms.as_slice() else { continue };
        let (target, source, coefficient) = key(term);
        let of = earlier.iter().position(|plan| match plan {
            Plan::Written(terms) => terms.len() == 1 && key(&terms[0]) == (source, target, coefficient),
            _ => false,
        });
        if let Some(of) = of {
            rest[0] = Plan::Mirrored(of);
        }
    }
}

fn plan(spec: &TensorSpec, batch: usize) -> Plan {
    if !learns(spec) {
        return Plan::Frozen;
    }
    match spec.change.as_slice() {
        [term] if folds(spec, batch) => Plan::Folded(*term),
        terms => Plan::Written(terms.to_vec()),
    }
}

/// Whether a tensor ever changes by itself.
fn learns(spec: &TensorSpec) -> bool {
    spec.rate != 0.0 && !spec.change.is_empty()
}

/// Whether Gram matrices cost less than `ΔX` written out.
fn folds(spec: &TensorSpec, batch: usize) -> bool {
    let (rows, columns) = spec.size;
    spec.change.len() == 1 && batch * batch * (rows + columns) <= WEIGHT_COST * rows * columns
}

/// `|coefficient| · ‖⟨TᵀS⟩‖`.
fn folded_norm(grams: &mut [(Vec<f32>, bool)], signals: &Signals, term: &Term) -> f64 {
    let rows = signals.rows();
    for at in [term.target, term.source] {
        let (gram, fresh) = &mut grams[signals.slot(at)];
        if !*fresh {
            let signal = signals.view(at);
            // In one piece, whatever the batch's rows.
            let gram = ArrayViewMut2::from_shape((rows, rows), &mut gram[..rows * rows]);
            let gram = gram.expect("as many numbers as the shape says");
            linalg::product(1.0, &signal, &signal.t(), 0.0, gram);
            *fresh = true;
        }
    }
    let gram = |at| &grams[signals.slot(at)].0[..rows * rows];
    let square = linalg::dot(gram(term.target), gram(term.source));
    // Rounding can leave a vanishing sum just below zero; a NaN must stay one.
    let square = if square < 0.0 { 0.0 } else { square };
    square.sqrt() * term.coefficient.abs() / rows as f64
}

/// `ΔX = Σ coefficient · ⟨target sourceᵀ⟩`.
fn write_sum<'a>(
    scratch: &'a mut [f32],
    size: (usize, usize),
    signals: &Signals,
    terms: &[Term],
) -> ArrayViewMut2<'a, f32> {
    let mean = 1.0 / signals.rows() as f64;
    let delta = ArrayViewMut2::from_shape(size, &mut scratch[..size.0 * size.1]);
    let mut delta = delta.expect("as many numbers as the shape says");
    for (place, term) in terms.iter().enumerate() {
        let keep = if place == 0 { 0.0 } else { 1.0 };
        let alpha = (term.coefficient * mean) as f32;
        let (target, source) = (signals.view(term.target), signals.view(term.source));
        linalg::product(alpha, &target.t(), &source, keep, delta.view_mut());
    }
    delta
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Activation, DownstreamActivation};
    use crate::random::Stream;
    use crate::shape::Shape;
    use crate::signals::Signal::{A, G, H};
    use crate::tensors::outer;

    const ROWS: usize = 6;

    fn signals() -> Signals {
        let config = TrialConfig { hidden: vec![9], ..TrialConfig::default() };
        let shape = Shape::new(&config, 12, 5);
        let mut signals =
            Signals::new(&shape, &[G], Activation::Relu, DownstreamActivation::Linear, ROWS + 2);
        signals.set_rows(ROWS);
        for at in [H.at(0), A.at(1), H.at(1), G.at(1)] {
            let name = format!("{at:?}");
            let mut view = signals.view_mut(at);
            Stream::new(0, &name).fill_normal(view.as_slice_mut().unwrap(), 1.0);
        }
        signals
    }

    fn tensors(change: Vec<Term>) -> Tensors {
        let spec =
            TensorSpec { kind: "w", layer: 1, size: (9, 12), variance: 1.0, rate: 0.5, decay: 0.1, change };
        Tensors::new(vec![spec], 2, 0)
    }

    /// One update with the given plan instead of the one that would be chosen.
    fn updated(plan: Plan, clip_norm: f64) -> (f64, Array2<f32>) {
        let signals = signals();
        let mut tensors = tensors(vec![outer(G.at(1), H.at(0))]);
        let config = TrialConfig { clip_norm, ..TrialConfig::default() };
        let mut updater = Updater::new(&tensors, &signals, ROWS + 2, &config);
        updater.plans = vec![plan];
        updater.scratch = vec![0.0; 9 * 12];
        for at in [G.at(1), H.at(0), A.at(1)] {
            updater.grams[signals.slot(at)].0 = vec![0.0; (ROWS + 2) * (ROWS + 2)];
        }
        assert!(updater.step(&mut tensors, &signals, 0.5));
        // η(t) = 0.25, and the clip acts on the norm.
        (updater.moved[0] / 0.25, tensors.at("w", 1).to_owned())
    }

    #[test]
    fn folded_written_and_summed_changes_agree() {
        let term = outer(G.at(1), H.at(0));
        let part = |coefficient| Term { coefficient, ..term };
        let written = |terms: Vec<Term>| Plan::Written(terms);
        for clip_norm in [0.0, 0.7] {
            let (norm, value) = updated(Plan::Folded(term), clip_norm);
            if clip_norm > 0.0 {
                assert!((norm - clip_norm).abs() < 1e-12, "the clip binds: {norm}");
            } else {
                assert!(norm > 0.7, "the clip would bind: {norm}");
            }
            for terms in [vec![term], vec![part(1.5), part(-0.75), part(0.25)]] {
                let (other_norm, other) = updated(written(terms), clip_norm);
                assert!((norm - other_norm).abs() < 1e-5 * norm, "{norm} {other_norm}");
                assert!((&value - &other).iter().all(|error| error.abs() < 1e-5));
            }
        }
        let (single, _) = updated(Plan::Folded(part(-2.0)), 0.0);
        let (double, _) = updated(written(vec![part(-2.0)]), 0.0);
        assert!((single - double).abs() < 1e-5 * single);
    }

    #[test]
    fn a_sum_is_written_out_and_a_still_rate_is_frozen() {
        let sum = tensors(vec![outer(G.at(1), H.at(0)), outer(A.at(1), H.at(0))]);
        let spec = |tensors: &Tensors| tensors.iter().next().unwrap().spec.clone();
        assert!(matches!(plan(&spec(&sum), 1), Plan::Written(..)));
        let one = spec(&tensors(vec![outer(G.at(1), H.at(0))]));
        assert!(matches!(plan(&one, 1), Plan::Folded(_)));
        assert!(matches!(plan(&one, 1000), Plan::Written(..)));
        assert!(matches!(plan(&TensorSpec { rate: 0.0, ..one.clone() }, 1), Plan::Frozen));
        assert!(matches!(plan(&TensorSpec { change: vec![], ..one }, 1), Plan::Frozen));
    }

    #[test]
    fn a_nan_in_any_signal_is_seen() {
        for batch in [1, 1000] {
            let mut signals = signals();
            signals.set_rows(1);
            let mut tensors = tensors(vec![outer(G.at(1), H.at(0))]);
            let mut updater = Updater::new(&tensors, &signals, batch, &TrialConfig::default());
            assert!(updater.step(&mut tensors, &signals, 1.0));
            let before = tensors.at("w", 1).to_owned();
            // Finite signals whose product overflows, and a NaN: nothing changes.
            for value in [f32::MAX, f32::NAN] {
                signals.view_mut(G.at(1))[[0, 3]] = value;
                signals.view_mut(H.at(0)).fill(if value.is_nan() { 1.0 } else { value });
                assert!(!updater.step(&mut tensors, &signals, 1.0), "batch {batch}");
                assert_eq!(tensors.at("w", 1), before);
            }
            // Beyond what is surely finite, but finite.
            signals.view_mut(G.at(1)).fill(1e16);
            signals.view_mut(H.at(0)).fill(1e16);
            assert!(updater.step(&mut tensors, &signals, 1.0), "batch {batch}");
            assert!(tensors.at("w", 1) != before && tensors.at("w", 1).iter().all(|x| x.is_finite()));
        }
    }
}
