//! The weight tensors of one network: what each is, how it starts, and what changes it.

use ndarray::{Array2, ArrayView2, ShapeBuilder as _};

use crate::config::{Activation, PerSynapse, Synapse, TrialConfig};
use crate::linalg;
use crate::observe::NamedTensor;
use crate::random::Stream;
use crate::shape::Shape;
use crate::signals::{At, Signal, Signals};

/// One summand of a tensor's change: `coefficient · ⟨target sourceᵀ⟩`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Term {
    pub(crate) coefficient: f64,
    /// A signal of the tensor's rows.
    pub(crate) target: At,
    /// A signal of the tensor's columns.
    pub(crate) source: At,
}

/// `⟨target sourceᵀ⟩`.
pub(crate) const fn outer(target: At, source: At) -> Term {
    Term { coefficient: 1.0, target, source }
}

/// What a rule declares of one tensor.
#[derive(Debug, Clone)]
pub(crate) struct TensorSpec {
    /// The part of its name before the layer: `w`, `v_bar`, ….
    pub(crate) kind: &'static str,
    pub(crate) layer: usize,
    /// Rows and columns.
    pub(crate) size: (usize, usize),
    /// Variance of the initial values.
    pub(crate) variance: f64,
    /// `η`.
    pub(crate) rate: f64,
    /// `γ`.
    pub(crate) decay: f64,
    /// `ΔX` as a sum of products; empty for a tensor that keeps its initial values.
    pub(crate) change: Vec<Term>,
}

impl TensorSpec {
    /// Number of weights.
    pub(crate) const fn numbers(&self) -> u64 {
        self.size.0 as u64 * self.size.1 as u64
    }

    /// The tensor changes by `change`.
    pub(crate) fn learns(mut self, change: Term) -> Self {
        self.change.push(change);
        self
    }

    /// Whether the tensor ever changes by itself.
    pub(crate) fn is_learning(&self) -> bool {
        self.rate != 0.0 && !self.change.is_empty()
    }

    /// The tensor keeps its initial values unless `plastic`.
    pub(crate) fn frozen_unless(mut self, plastic: bool) -> Self {
        if !plastic {
            self.change.clear();
        }
        self
    }
}

/// The biases' kind.
pub(crate) const BIAS: &str = "b";

/// The bias `b_l` (`n_l × 1`, 0 at first) beside `W_l`: each change of `W_l` with a source that is always 1.
pub(crate) fn bias(w: &TensorSpec) -> TensorSpec {
    let change = w.change.iter().map(|term| Term { source: Signal::One.at(0), ..*term }).collect();
    TensorSpec { kind: BIAS, size: (w.size.0, 1), variance: 0.0, change, ..w.clone() }
}

/// What a rule has at hand when it declares its tensors.
pub(crate) struct Design<'a> {
    pub(crate) config: &'a TrialConfig,
    pub(crate) shape: &'a Shape,
    /// The upstream nonlinearity in force, on which the initial scale of `W` depends.
    pub(crate) activation: Activation,
}

impl Design<'_> {
    /// `L`.
    pub(crate) fn depth(&self) -> usize {
        self.shape.depth()
    }

    /// One of the motif's synapses at one layer, not learning yet.
    pub(crate) fn synapse(&self, synapse: Synapse, layer: usize) -> TensorSpec {
        let n = |layer| self.shape.upstream(layer);
        let m = |layer| self.shape.downstream(layer);
        let lateral = self.config.init_scale_v * self.config.init_scale_v;
        let (size, spread) = match synapse {
            Synapse::W if self.activation == Activation::Relu => ((n(layer), n(layer - 1)), 2.0),
            Synapse::W => ((n(layer), n(layer - 1)), 1.0),
            Synapse::WBar => ((m(layer), m(layer + 1)), 1.0),
            Synapse::V => ((m(layer), n(layer)), lateral),
            Synapse::VBar => ((n(layer), m(layer)), lateral),
        };
        let of = |values: &PerSynapse| values.of(synapse);
        TensorSpec {
            kind: synapse.name(),
            layer,
            size,
            variance: spread / size.1 as f64,
            rate: of(&self.config.rates),
            decay: of(&self.config.decay),
            change: Vec::new(),
        }
    }

    /// Feedback `W̄_l` from layer `from` straight to `h_l`, `n_l × n_from`, not learning yet.
    ///
    /// Its variance is that of `W` leaving layer `l`, so that the drive starts at backpropagation's scale; its rate
    /// and decay are those of `W`.
    pub(crate) fn feedback(&self, layer: usize, from: usize) -> TensorSpec {
        let size = (self.shape.upstream(layer), self.shape.upstream(from));
        let forward = self.synapse(Synapse::W, layer + 1);
        TensorSpec { kind: Synapse::WBar.name(), layer, size, ..forward }
    }
}

/// By place, the earlier tensor whose change is the transpose of this one's: `ΔV̄ = ΔVᵀ` under `sal`,
/// `ΔW̄_l = ΔW_{l+1}ᵀ` under `kp`. One product then serves both.
pub(crate) fn mirrors(specs: &[TensorSpec], signals: &Signals) -> Vec<Option<usize>> {
    let key = |spec: &TensorSpec| match spec.change.as_slice() {
        [term] if spec.is_learning() => {
            Some((signals.slot(term.target), signals.slot(term.source), term.coefficient.to_bits()))
        }
        _ => None,
    };
    let keys: Vec<_> = specs.iter().map(key).collect();
    let mut mirrors: Vec<Option<usize>> = vec![None; specs.len()];
    for place in 0..specs.len() {
        let Some((target, source, coefficient)) = keys[place] else { continue };
        let free = |of: usize| mirrors[of].is_none() && !mirrors.contains(&Some(of));
        let fits = |&of: &usize| free(of) && keys[of] == Some((source, target, coefficient));
        mirrors[place] = (0..place).find(fits);
    }
    mirrors
}

/// One tensor and what it is.
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) spec: TensorSpec,
    /// In one piece: column after column, as products with a batch read it best; row after row where the tensor mirrors
    /// another, so that one change fits the memory of both.
    pub(crate) value: Array2<f32>,
    /// The place of the tensor it mirrors.
    pub(crate) mirrors: Option<usize>,
}

/// The numbers of a tensor in the order of its memory.
///
/// # Panics
/// If it is not in one piece.
pub(crate) fn memory_mut(value: &mut Array2<f32>) -> &mut [f32] {
    value.as_slice_memory_order_mut().expect("a tensor is in one piece")
}

/// All tensors, in the order of their declaration.
pub(crate) struct Tensors {
    list: Vec<Tensor>,
    /// Per kind, the position in `list` by layer.
    index: Vec<(&'static str, Vec<Option<usize>>)>,
}

impl Tensors {
    /// Draws the initial values, each tensor from a stream of its own.
    ///
    /// # Panics
    /// If two tensors have the same name.
    pub(crate) fn new(specs: Vec<TensorSpec>, signals: &Signals, seed: u64) -> Self {
        let mut tensors = Self { list: Vec::with_capacity(specs.len()), index: Vec::new() };
        let mirrors = mirrors(&specs, signals);
        for (spec, mirrors) in specs.into_iter().zip(mirrors) {
            tensors.push(spec, mirrors, signals.depth(), seed);
        }
        tensors
    }

    fn push(&mut self, spec: TensorSpec, mirrors: Option<usize>, depth: usize, seed: u64) {
        let name = format!("{}.{}", spec.kind, spec.layer);
        let kind = self.index.iter().position(|(kind, _)| *kind == spec.kind).unwrap_or_else(|| {
            self.index.push((spec.kind, vec![None; depth + 1]));
            self.index.len() - 1
        });
        let place = &mut self.index[kind].1[spec.layer];
        assert!(place.is_none(), "tensor {name} is declared twice");
        *place = Some(self.list.len());
        let mut values = vec![0.0; spec.size.0 * spec.size.1];
        if spec.variance > 0.0 {
            Stream::new(seed, &format!("init.{name}")).fill_normal(&mut values, spec.variance.sqrt());
        }
        let mut value = Array2::from_shape_vec(spec.size, values).expect("as many values as the size says");
        if mirrors.is_none() {
            let rows = value;
            value = Array2::zeros(spec.size.f());
            value.assign(&rows);
        }
        self.list.push(Tensor { name, spec, value, mirrors });
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Tensor> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Tensor> {
        self.list.iter_mut()
    }

    /// The tensor at a place in the order of declaration.
    pub(crate) fn at_place(&mut self, place: usize) -> &mut Tensor {
        &mut self.list[place]
    }

    /// The tensor of a kind at a layer, if the rule declared it.
    pub(crate) fn get(&self, kind: &str, layer: usize) -> Option<ArrayView2<'_, f32>> {
        self.place(kind, layer).map(|place| self.list[place].value.view())
    }

    fn place(&self, kind: &str, layer: usize) -> Option<usize> {
        let (_, layers) = self.index.iter().find(|(name, _)| *name == kind)?;
        layers.get(layer).copied().flatten()
    }

    /// The standard deviation with which a tensor was drawn, if the rule declared it.
    pub(crate) fn initial_deviation(&self, kind: &str, layer: usize) -> Option<f32> {
        self.place(kind, layer).map(|place| self.list[place].spec.variance.sqrt() as f32)
    }

    /// The tensor of a kind at a layer.
    ///
    /// # Panics
    /// If the rule did not declare it.
    pub(crate) fn at(&self, kind: &str, layer: usize) -> ArrayView2<'_, f32> {
        self.get(kind, layer).unwrap_or_else(|| panic!("the rule declares no tensor {kind}.{layer}"))
    }

    /// Lends one tensor to `write` for writing, with the others for reading; it reads as empty meanwhile.
    ///
    /// # Panics
    /// If the rule did not declare it.
    pub(crate) fn rewrite(&mut self, kind: &str, layer: usize, write: impl FnOnce(&mut Array2<f32>, &Self)) {
        let place = self.place(kind, layer).expect("the rule declares what it rewrites");
        let mut value = std::mem::take(&mut self.list[place].value);
        write(&mut value, self);
        self.list[place].value = value;
    }

    /// Whether every Frobenius norm is a number up to `bound`.
    pub(crate) fn within(&self, bound: f64) -> bool {
        self.iter().all(|tensor| linalg::norm(&tensor.value) <= bound)
    }

    /// Names and values, for an observer.
    pub(crate) fn named(&self) -> Vec<NamedTensor<'_>> {
        self.iter().map(|tensor| NamedTensor { name: &tensor.name, value: tensor.value.view() }).collect()
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> u64 {
        self.iter().map(|tensor| tensor.value.len() as u64).sum()
    }
}
