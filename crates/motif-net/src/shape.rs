//! The widths of both pathways.

use crate::config::TrialConfig;
use crate::signals::{At, Signal};

/// Widths by layer; layer 0 is the input, layer `L` the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    /// `n_0 … n_L`.
    upstream: Vec<usize>,
    /// `m_0 … m_L` with `m_L = n_L`; `m_0` is not used.
    downstream: Vec<usize>,
    /// Whether the upstream units have biases.
    biases: bool,
}

impl Shape {
    /// `m_l = max(1, round(ratio · n_l))`, halves rounded up.
    pub(crate) fn new(config: &TrialConfig, features: usize, classes: usize) -> Self {
        let mut upstream = vec![features];
        upstream.extend_from_slice(&config.hidden);
        let mut downstream: Vec<usize> =
            upstream.iter().map(|&width| ((config.ratio * width as f64).round() as usize).max(1)).collect();
        upstream.push(classes);
        downstream.push(classes);
        Self { upstream, downstream, biases: config.biases }
    }

    /// `L`.
    pub(crate) fn depth(&self) -> usize {
        self.upstream.len() - 1
    }

    /// `n_l`.
    pub(crate) fn upstream(&self, layer: usize) -> usize {
        self.upstream[layer]
    }

    /// `m_l`.
    pub(crate) fn downstream(&self, layer: usize) -> usize {
        self.downstream[layer]
    }

    /// Units of one signal at one layer.
    pub(crate) fn width(&self, at: At) -> usize {
        match at.signal {
            Signal::A | Signal::H | Signal::G => self.upstream(at.layer),
            Signal::ABar | Signal::HBar | Signal::U => self.downstream(at.layer),
            Signal::One => 1,
        }
    }

    /// The signals a network with these at its hidden layers keeps: input, logits, error; `a`, `h` and `hidden`;
    /// the biases' source.
    pub(crate) fn signals(&self, hidden: &[Signal]) -> Vec<At> {
        let depth = self.depth();
        let inner = (1..depth).flat_map(|layer| {
            [Signal::A, Signal::H]
                .into_iter()
                .chain(hidden.iter().copied())
                .map(move |signal| signal.at(layer))
        });
        let one = self.biases.then_some(Signal::One.at(0));
        let ends = [Signal::H.at(0), Signal::A.at(depth), Signal::G.at(depth)];
        ends.into_iter().chain(inner).chain(one).collect()
    }

    /// Numbers per example of [`Shape::signals`].
    pub(crate) fn signal_units(&self, hidden: &[Signal]) -> u64 {
        self.signals(hidden).into_iter().map(|at| self.width(at) as u64).sum()
    }
}
