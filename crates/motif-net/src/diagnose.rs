//! What a point says beyond loss and accuracy: norms, and how close the circuit is to self-assembly.
//!
//! Computed on a fixed probe batch in buffers of its own, so that looking never changes the training.

use ndarray::{Array2, ArrayRef2, ArrayViewMut2, s};

use crate::config::Synapse;
use crate::examples::Examples;
use crate::linalg;
use crate::math;
use crate::network::Network;
use crate::normalize::Normalization;
use crate::observe::Point;
use crate::random::Stream;
use crate::shape::Shape;
use crate::signals::{Signal, Signals};
use crate::tensors::BIAS;

/// Training examples the diagnostics are computed on, at most.
pub(crate) const PROBE_EXAMPLES: usize = 256;

const W: &str = Synapse::W.name();
const W_BAR: &str = Synapse::WBar.name();
const V: &str = Synapse::V.name();
const V_BAR: &str = Synapse::VBar.name();

/// The probe batch and the diagnostics' buffers.
pub(crate) struct Probe {
    /// Positions of the examples.
    rows: Vec<u32>,
    labels: Vec<u16>,
    /// Probe × widest upstream layer: `g_{l+1}^bp`, `g_l^bp`, `H_l g_l^bp`.
    upstream: [Array2<f32>; 3],
    /// Probe × widest downstream layer.
    downstream: [Array2<f32>; 2],
    /// Probe × probe.
    grams: [Array2<f32>; 2],
}

/// Bytes of a [`Probe`]'s buffers, at most.
pub(crate) fn scratch_bytes(shape: &Shape) -> u64 {
    let (upstream, downstream) = widest(shape);
    let numbers = 3 * upstream as u64 + 2 * downstream as u64 + 2 * PROBE_EXAMPLES as u64;
    4 * PROBE_EXAMPLES as u64 * numbers
}

/// The widest layer of either pathway, input aside.
fn widest(shape: &Shape) -> (usize, usize) {
    let upstream = (1..=shape.depth()).map(|layer| shape.upstream(layer)).max();
    let downstream = (1..=shape.depth()).map(|layer| shape.downstream(layer)).max();
    (upstream.unwrap_or(1), downstream.unwrap_or(1))
}

impl Probe {
    /// Draws the probe from the trial's own training examples.
    pub(crate) fn new(network: &Network, train_rows: &[u32], seed: u64) -> Self {
        let count = train_rows.len().min(PROBE_EXAMPLES);
        let chosen = Stream::new(seed, "probe").subset(train_rows.len(), Some(count));
        let (upstream, downstream) = widest(&network.shape);
        let buffer = |columns| Array2::zeros((PROBE_EXAMPLES, columns));
        Self {
            rows: chosen.iter().map(|&place| train_rows[place as usize]).collect(),
            labels: vec![0; count],
            upstream: std::array::from_fn(|_| buffer(upstream)),
            downstream: std::array::from_fn(|_| buffer(downstream)),
            grams: std::array::from_fn(|_| buffer(PROBE_EXAMPLES)),
        }
    }

    /// Logs every diagnostic that the rule's tensors define.
    pub(crate) fn log(
        &mut self,
        network: &Network,
        signals: &mut Signals,
        normalization: &Normalization,
        examples: &Examples<'_>,
        point: &mut Point,
    ) {
        log_norms(network, point);
        signals.set_rows(self.rows.len());
        let x = signals.view_mut(Signal::H.at(0));
        normalization.gather(examples, &self.rows, None, x, &mut self.labels);
        network.forward(signals, &self.labels);
        network.drive(signals);
        for layer in 1..network.shape.depth() {
            point.log(format!("dead.{layer}"), dead(&signals.view(Signal::H.at(layer))));
        }
        if network.tensors.iter().any(|tensor| ![W, BIAS].contains(&tensor.spec.kind)) {
            self.log_gradients(network, signals, point);
        }
        for layer in 1..network.shape.depth() {
            log_lateral(network, layer, point);
            log_feedback(network, layer, point);
            self.log_motif(network, layer, point);
        }
    }

    /// `cos(g_l, g_l^bp)` and `cos(ΔW_l, H_l Δ_sgd W_l)`, from the top down.
    fn log_gradients(&mut self, network: &Network, signals: &Signals, point: &mut Point) {
        let count = signals.rows();
        let depth = network.shape.depth();
        let [upper, lower, mapped] = &mut self.upstream;
        let error = signals.view(Signal::G.at(depth));
        part(upper, count, error.ncols()).assign(&error);
        for layer in (1..depth).rev() {
            let (above, width) = (network.shape.upstream(layer + 1), network.shape.upstream(layer));
            let mut exact = part(lower, count, width);
            let weights = network.tensors.at(W, layer + 1);
            linalg::product(1.0, &upper.slice(s![..count, ..above]), &weights, 0.0, exact.view_mut());
            for (mut exact, h) in exact.rows_mut().into_iter().zip(signals.view(Signal::H.at(layer)).rows()) {
                let exact = exact.as_slice_mut().expect("contiguous rows");
                math::gate_by_slope(network.activation, h.to_slice().expect("contiguous rows"), exact);
            }
            let (exact, drive) = (exact.view(), signals.view(Signal::G.at(layer)));
            point.log(format!("cos_g_bp.{layer}"), cosine(&drive, &exact));
            if let Some(v_bar) = network.tensors.get(V_BAR, layer) {
                // H_l g = V̄_l V̄_lᵀ g, and a matrix learning rate acts on ΔW's rows as on g.
                let mut down = part(&mut self.downstream[0], count, v_bar.ncols());
                let mut mapped = part(mapped, count, width);
                linalg::product(1.0, &exact, &v_bar, 0.0, down.view_mut());
                linalg::product(1.0, &down, &v_bar.t(), 0.0, mapped.view_mut());
                let source = signals.view(Signal::H.at(layer - 1));
                let value = change_cosine(&mut self.grams, &drive, &mapped, &source);
                point.log(format!("cos_theorem1.{layer}"), value);
            }
            std::mem::swap(upper, lower);
        }
    }

    /// `cos(V̄_{l+1} W̄_lᵀ, W_{l+1} V̄_l)`, with `V̄_L` the identity.
    fn log_motif(&mut self, network: &Network, layer: usize, point: &mut Point) {
        let tensors = &network.tensors;
        let (Some(w_bar), Some(v_bar)) = (tensors.get(W_BAR, layer), tensors.get(V_BAR, layer)) else {
            return;
        };
        let w = tensors.at(W, layer + 1);
        let above = tensors.get(V_BAR, layer + 1);
        let [left, right] = &mut self.downstream;
        let mut sums = [0.0; 3];
        for start in (0..w.nrows()).step_by(PROBE_EXAMPLES) {
            let span = start..w.nrows().min(start + PROBE_EXAMPLES);
            let mut left = part(left, span.len(), v_bar.ncols());
            let mut right = part(right, span.len(), v_bar.ncols());
            match above {
                Some(above) => {
                    let above = above.slice(s![span.clone(), ..]);
                    linalg::product(1.0, &above, &w_bar.t(), 0.0, left.view_mut());
                }
                None => left.assign(&w_bar.t().slice(s![span.clone(), ..])),
            }
            linalg::product(1.0, &w.slice(s![span, ..]), &v_bar, 0.0, right.view_mut());
            sums[0] += linalg::dot_rows(&left, &right);
            sums[1] += linalg::dot_rows(&left, &left);
            sums[2] += linalg::dot_rows(&right, &right);
        }
        point.log(format!("cos_motif.{layer}"), sums[0] / (sums[1].sqrt() * sums[2].sqrt()));
    }
}

/// The used part of a buffer.
fn part(buffer: &mut Array2<f32>, rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    buffer.slice_mut(s![..rows, ..columns])
}

/// Every tensor's Frobenius norm.
pub(crate) fn log_norms(network: &Network, point: &mut Point) {
    for tensor in network.tensors.iter() {
        point.log(format!("norm.{}", tensor.name), linalg::norm(&tensor.value));
    }
}

/// `cos(V_l, V̄_lᵀ)`.
fn log_lateral(network: &Network, layer: usize, point: &mut Point) {
    if let (Some(v), Some(v_bar)) = (network.tensors.get(V, layer), network.tensors.get(V_BAR, layer)) {
        let dot = linalg::dot_transposed(&v, &v_bar);
        point.log(format!("cos_v.{layer}"), dot / (linalg::norm(&v) * linalg::norm(&v_bar)));
    }
}

/// `cos(W̄_l, W_{l+1}ᵀ)` where the feedback reaches `h_l` without a lateral synapse.
fn log_feedback(network: &Network, layer: usize, point: &mut Point) {
    let tensors = &network.tensors;
    let (Some(w_bar), None) = (tensors.get(W_BAR, layer), tensors.get(V_BAR, layer)) else { return };
    let w = tensors.at(W, layer + 1);
    if w_bar.dim() == w.t().dim() {
        let value = linalg::dot_transposed(&w_bar, &w) / (linalg::norm(&w_bar) * linalg::norm(&w));
        point.log(format!("cos_w.{layer}"), value);
    }
}

/// Fraction of units silent on every example.
fn dead(h: &ArrayRef2<f32>) -> f64 {
    let silent = h.columns().into_iter().filter(|unit| unit.iter().all(|&value| value == 0.0)).count();
    silent as f64 / h.ncols() as f64
}

fn cosine(x: &ArrayRef2<f32>, y: &ArrayRef2<f32>) -> f64 {
    linalg::dot_rows(x, y) / (linalg::norm(x) * linalg::norm(y))
}

/// `cos(⟨x sᵀ⟩, ⟨y sᵀ⟩)`, from Gram matrices over the batch: `⟨xsᵀ⟩·⟨ysᵀ⟩ ∝ Σ (x yᵀ) ∘ (s sᵀ)`.
fn change_cosine(
    grams: &mut [Array2<f32>; 2],
    x: &ArrayRef2<f32>,
    y: &ArrayRef2<f32>,
    source: &ArrayRef2<f32>,
) -> f64 {
    let count = source.nrows();
    let [of_source, of_targets] = grams;
    let mut of_source = part(of_source, count, count);
    linalg::product(1.0, source, &source.t(), 0.0, of_source.view_mut());
    let mut inner = |x: &ArrayRef2<f32>, y: &ArrayRef2<f32>| {
        let mut of_targets = part(of_targets, count, count);
        linalg::product(1.0, x, &y.t(), 0.0, of_targets.view_mut());
        linalg::dot_rows(&of_targets, &of_source)
    };
    inner(x, y) / (inner(x, x).sqrt() * inner(y, y).sqrt())
}
