//! The activities of one batch: one buffer per signal and layer, allocated once, `capacity × width`.
//!
//! Names follow the equations. Where two names denote the same numbers (`h̄_L = g_L = e`, `h = a` under a linear
//! nonlinearity) they share a buffer.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::config::{Activation, DownstreamActivation};
use crate::shape::Shape;

/// A signal of the circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// `a_l = W_l h_{l-1}`, `l = 1…L`.
    A,
    /// `h_l = φ(a_l)`, `l = 0…L-1`; `h_0` is the input.
    H,
    /// `ā_l`, `l = 1…L-1`.
    ABar,
    /// `h̄_l = φ̄(ā_l)`, `l = 1…L`; `h̄_L = e`.
    HBar,
    /// `u_l`, what the upstream pathway delivers to `h̄_l`, `l = 1…L-1`.
    U,
    /// `g_l`, what the downstream pathway delivers to `h_l`, `l = 1…L`; `g_L = e`.
    G,
    /// Always 1, the source of the biases; one unit at layer 0.
    One,
}

/// Number of kinds of [`Signal`].
const KINDS: usize = 7;

impl Signal {
    /// The signal at one layer.
    pub(crate) const fn at(self, layer: usize) -> At {
        At { signal: self, layer }
    }
}

/// A signal at a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    pub(crate) signal: Signal,
    pub(crate) layer: usize,
}

/// The buffers of one batch.
pub(crate) struct Signals {
    depth: usize,
    /// Rows in use, at most the capacity.
    rows: usize,
    upstream_is_linear: bool,
    downstream_is_linear: bool,
    /// By [`Signals::slot`]; an absent signal is 0 × 0.
    buffers: Vec<Array2<f32>>,
}

impl Signals {
    /// Buffers for `capacity` examples: input, `a`, `h`, `e`, and those of `hidden` at the hidden layers.
    pub(crate) fn new(
        shape: &Shape,
        hidden: &[Signal],
        activation: Activation,
        downstream: DownstreamActivation,
        capacity: usize,
    ) -> Self {
        let depth = shape.depth();
        let mut signals = Self {
            depth,
            rows: capacity,
            upstream_is_linear: activation == Activation::Linear,
            downstream_is_linear: downstream == DownstreamActivation::Linear,
            buffers: vec![Array2::default((0, 0)); KINDS * (depth + 1)],
        };
        for at in shape.signals(hidden) {
            let width = shape.width(at);
            let slot = signals.slot(at);
            if signals.buffers[slot].is_empty() {
                let value = if at.signal == Signal::One { 1.0 } else { 0.0 };
                signals.buffers[slot] = Array2::from_elem((capacity, width), value);
            }
        }
        signals
    }

    /// Sets how many rows the current batch has.
    ///
    /// # Panics
    /// If they are more than the capacity.
    pub(crate) fn set_rows(&mut self, rows: usize) {
        assert!(rows <= self.buffers[self.slot(Signal::H.at(0))].nrows(), "a batch within the capacity");
        self.rows = rows;
    }

    /// Rows in use.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// `L`.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The index of the buffer that holds a signal.
    pub(crate) fn slot(&self, at: At) -> usize {
        let (signal, layer) = (at.signal, at.layer);
        let hidden = (1..self.depth).contains(&layer);
        let signal = match signal {
            Signal::HBar if layer == self.depth => Signal::G,
            Signal::HBar if self.downstream_is_linear => Signal::ABar,
            Signal::H if self.upstream_is_linear && hidden => Signal::A,
            other => other,
        };
        signal as usize * (self.depth + 1) + layer
    }

    /// Number of slots.
    pub(crate) fn slots(&self) -> usize {
        self.buffers.len()
    }

    /// Batch × width.
    pub(crate) fn view(&self, at: At) -> ArrayView2<'_, f32> {
        self.view_slot(self.slot(at))
    }

    /// Batch × width, by slot.
    pub(crate) fn view_slot(&self, slot: usize) -> ArrayView2<'_, f32> {
        self.buffers[slot].slice(s![..self.rows, ..])
    }

    /// Batch × width.
    pub(crate) fn view_mut(&mut self, at: At) -> ArrayViewMut2<'_, f32> {
        let slot = self.slot(at);
        self.buffers[slot].slice_mut(s![..self.rows, ..])
    }

    /// The numbers in use, row after row.
    pub(crate) fn slice(&self, at: At) -> &[f32] {
        self.slice_slot(self.slot(at))
    }

    /// The numbers in use, row after row, by slot.
    pub(crate) fn slice_slot(&self, slot: usize) -> &[f32] {
        let buffer = &self.buffers[slot];
        &buffer.as_slice().expect("a signal's buffer is contiguous")[..self.rows * buffer.ncols()]
    }

    /// Lends `out` to `write` for writing, with the other signals for reading; `out` itself reads as empty.
    pub(crate) fn with<R>(
        &mut self,
        out: At,
        write: impl FnOnce(ArrayViewMut2<'_, f32>, &mut Self) -> R,
    ) -> R {
        let slot = self.slot(out);
        let mut buffer = std::mem::take(&mut self.buffers[slot]);
        let result = write(buffer.slice_mut(s![..self.rows, ..]), self);
        self.buffers[slot] = buffer;
        result
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| 4 * buffer.len() as u64).sum()
    }
}
