//! One network: its tensors and the passes that fill a batch's signals.
//!
//! The equations of a learning rule are not here: a rule composes the operations of [`Pass`].

use std::sync::Arc;

use crate::config::{Activation, DownstreamActivation, Synapse, TrialConfig};
use crate::linalg;
use crate::math::{self, Score};
use crate::rules::{self, Rule};
use crate::shape::Shape;
use crate::signals::{At, Signal, Signals};
use crate::spare::SpareThreads;
use crate::tensors::{self, BIAS, Design, TensorSpec, Tensors};

/// The upstream weights' kind.
const W: &str = Synapse::W.name();

/// A network and the rule it learns by.
pub(crate) struct Network {
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    pub(crate) downstream_activation: DownstreamActivation,
    pub(crate) rule: &'static dyn Rule,
    pub(crate) tensors: Tensors,
    /// Who may help with large products.
    pub(crate) helpers: Arc<dyn SpareThreads>,
}

/// What the rule of `config` declares for a task of these dimensions.
pub(crate) fn declare(config: &TrialConfig, shape: &Shape) -> Vec<TensorSpec> {
    let rule = rules::rule(config);
    let mut specs = rule.tensors(&Design { config, shape, activation: rule.activation(config) });
    if config.biases {
        let biases: Vec<_> = specs.iter().filter(|spec| spec.kind == W).map(tensors::bias).collect();
        specs.extend(biases);
    }
    specs
}

impl Network {
    /// The network at its initial values.
    pub(crate) fn new(config: &TrialConfig, seed: u64, features: usize, classes: usize) -> Self {
        let shape = Shape::new(config, features, classes);
        let rule = rules::rule(config);
        let activation = rule.activation(config);
        // For the signals' places alone: the batch's own come later.
        let places = Signals::new(&shape, rule.signals(), activation, config.downstream_activation, 0);
        let mut tensors = Tensors::new(declare(config, &shape), &places, seed);
        rule.derive(&mut tensors);
        Self {
            tensors,
            activation,
            downstream_activation: config.downstream_activation,
            rule,
            shape,
            helpers: Arc::new(()),
        }
    }

    /// Buffers for `capacity` examples; `hidden` lists the signals besides `a` and `h` at the hidden layers.
    pub(crate) fn signals(&self, hidden: &[Signal], capacity: usize) -> Signals {
        Signals::new(&self.shape, hidden, self.activation, self.downstream_activation, capacity)
    }

    /// Upstream: `a_l = W_l h_{l-1} (+ b_l)`, `h_l = φ(a_l)`; then `e`.
    pub(crate) fn forward(&self, signals: &mut Signals, labels: &[u16]) -> Score {
        let depth = self.shape.depth();
        for layer in 1..=depth {
            self.feed(signals, layer);
            if layer < depth && self.activation != Activation::Linear {
                signals.with(Signal::H.at(layer), |mut h, signals| {
                    let h = h.as_slice_mut().expect("rows in use are contiguous");
                    math::activate(self.activation, signals.slice(Signal::A.at(layer)), h);
                });
            }
        }
        signals.with(Signal::G.at(depth), |error, signals| {
            math::softmax_error(&signals.view(Signal::A.at(depth)), labels, error)
        })
    }

    /// `a_l = W_l h_{l-1} (+ b_l)`.
    fn feed(&self, signals: &mut Signals, layer: usize) {
        let (w, bias) = (self.tensors.at(W, layer), self.tensors.get(BIAS, layer));
        signals.with(Signal::A.at(layer), |mut a, signals| {
            if let Some(bias) = &bias {
                a.rows_mut().into_iter().for_each(|mut row| row.assign(&bias.column(0)));
            }
            let keep = if bias.is_some() { 1.0 } else { 0.0 };
            let h = signals.view(Signal::H.at(layer - 1));
            linalg::shared_product(&*self.helpers, 1.0, &h, &w.t(), keep, a);
        });
    }

    /// The rule's own signals, after [`Network::forward`].
    pub(crate) fn drive(&self, signals: &mut Signals) {
        self.rule.drive(&mut self.pass(signals));
    }

    fn pass<'a>(&'a self, signals: &'a mut Signals) -> Pass<'a> {
        Pass { network: self, signals }
    }
}

/// The operations a rule's drive is composed of.
pub(crate) struct Pass<'a> {
    network: &'a Network,
    signals: &'a mut Signals,
}

impl Pass<'_> {
    /// `L`.
    pub(crate) fn depth(&self) -> usize {
        self.signals.depth()
    }

    /// `output = X input`, `X` the tensor of a kind at a layer.
    pub(crate) fn through(&mut self, kind: &str, layer: usize, input: At, output: At) {
        let (tensor, helpers) = (self.network.tensors.at(kind, layer), &*self.network.helpers);
        self.signals.with(output, |output, signals| {
            linalg::shared_product(helpers, 1.0, &signals.view(input), &tensor.t(), 0.0, output);
        });
    }

    /// `output = Xᵀ input`.
    pub(crate) fn back_through(&mut self, kind: &str, layer: usize, input: At, output: At) {
        let (tensor, helpers) = (self.network.tensors.at(kind, layer), &*self.network.helpers);
        self.signals.with(output, |output, signals| {
            linalg::shared_product(helpers, 1.0, &signals.view(input), &tensor, 0.0, output);
        });
    }

    /// `g_l ← φ'(a_l) ⊙ g_l`.
    pub(crate) fn gate_drive(&mut self, layer: usize) {
        let activation = self.network.activation;
        self.signals.with(Signal::G.at(layer), |mut g, signals| {
            let g = g.as_slice_mut().expect("rows in use are contiguous");
            math::gate_by_slope(activation, signals.slice(Signal::H.at(layer)), g);
        });
    }

    /// `h̄_l = φ̄(ā_l)`; with `gated`, `u_l` must be there and is gated alike.
    pub(crate) fn activate_downstream(&mut self, layer: usize) {
        let activation = self.network.downstream_activation;
        if activation == DownstreamActivation::Linear {
            return;
        }
        self.signals.with(Signal::HBar.at(layer), |mut h_bar, signals| {
            let h_bar = h_bar.as_slice_mut().expect("rows in use are contiguous");
            if activation != DownstreamActivation::Gated {
                math::activate_downstream(activation, signals.slice(Signal::ABar.at(layer)), h_bar);
                return;
            }
            signals.with(Signal::U.at(layer), |mut u, signals| {
                let u = u.as_slice_mut().expect("rows in use are contiguous");
                math::gate_downstream(signals.slice(Signal::ABar.at(layer)), u, h_bar);
            });
        });
    }
}
