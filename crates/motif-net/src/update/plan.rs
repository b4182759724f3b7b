//! How each tensor's change is computed, decided once per trial from the widths and the batch alone.

use std::collections::BTreeSet;

use crate::linalg;
use crate::signals::At;
use crate::tensors::{Tensor, TensorSpec, Tensors, Term};

/// Written out near the processor, one weight costs about as much as this many multiplications of a product.
const NEAR_WEIGHT_COST: usize = 8;
/// The same where `X` and `ΔX` are too large to stay near.
const FAR_WEIGHT_COST: usize = 40;
/// Weights of a tensor that is near.
const NEAR_WEIGHTS: usize = 1 << 18;

/// How one tensor's change is computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Plan {
    /// It keeps its initial values.
    Frozen,
    /// Along with the tensor it mirrors, an earlier one.
    Mirrored,
    /// By itself.
    Changed(Change),
}

/// A sum of products, for a tensor and, transposed, for the one that mirrors it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) terms: Vec<Term>,
    pub(super) norm: Norm,
    /// The place of the tensor that mirrors it.
    pub(super) mirror: Option<usize>,
}

/// Where `‖ΔX‖` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    /// From the signals' Gram matrices, so that `ΔX` need not be there as a whole.
    Grams,
    /// From `ΔX`, written out as a whole.
    Writing,
}

impl Change {
    /// Whether the update is folded into the product's factors, so that `ΔX` is not there at all.
    pub(super) fn is_folded(&self) -> bool {
        self.norm == Norm::Grams && self.mirror.is_none()
    }

    /// Numbers of `ΔX` that are there at a time, of a tensor of this size.
    pub(super) fn scratch_numbers(&self, (rows, columns): (usize, usize)) -> usize {
        match self.norm {
            Norm::Writing => rows * columns,
            Norm::Grams if self.is_folded() => 0,
            Norm::Grams => block_numbers((rows, columns)) as usize,
        }
    }
}

/// The plan of each tensor, for batches of up to `batch` rows.
pub(super) fn plan(tensors: &Tensors, batch: usize) -> Vec<Plan> {
    let plan = |(place, tensor): (usize, &Tensor)| {
        if !tensor.spec.is_learning() {
            return Plan::Frozen;
        }
        if tensor.mirrors.is_some() {
            return Plan::Mirrored;
        }
        Plan::Changed(Change {
            terms: tensor.spec.change.clone(),
            norm: norm(&tensor.spec, batch),
            mirror: tensors.iter().position(|other| other.mirrors == Some(place)),
        })
    };
    tensors.iter().enumerate().map(plan).collect()
}

/// Bytes that the updates of these tensors hold at most.
pub(crate) fn held_bytes(specs: &[TensorSpec], batch: usize, momentum: f64) -> u64 {
    let learning = || specs.iter().filter(|spec| spec.is_learning());
    let scratch = |spec: &TensorSpec| match norm(spec, batch) {
        Norm::Writing => spec.numbers(),
        Norm::Grams => block_numbers(spec.size),
    };
    let measured = learning().filter(|spec| norm(spec, batch) == Norm::Grams).flat_map(|spec| &spec.change);
    let grams: BTreeSet<At> = measured.flat_map(|term| [term.target, term.source]).collect();
    let numbers = learning().map(scratch).max().unwrap_or(0) + grams.len() as u64 * (batch * batch) as u64;
    4 * numbers + velocity_bytes(specs, momentum)
}

/// Bytes of the velocities.
pub(crate) fn velocity_bytes(specs: &[TensorSpec], momentum: f64) -> u64 {
    let moving = specs.iter().filter(|spec| momentum > 0.0 && spec.is_learning());
    moving.map(|spec| 4 * spec.numbers()).sum()
}

/// Numbers of a block of `ΔX`.
fn block_numbers((rows, columns): (usize, usize)) -> u64 {
    linalg::near_rows(rows).min(columns) as u64 * rows as u64
}

/// Grams where they cost less than writing `ΔX` out and reading it twice.
pub(super) fn norm(spec: &TensorSpec, batch: usize) -> Norm {
    let (rows, columns) = spec.size;
    let weights = rows * columns;
    let cost = if weights > NEAR_WEIGHTS { FAR_WEIGHT_COST } else { NEAR_WEIGHT_COST };
    let cheap = batch * batch * (rows + columns) <= cost * weights;
    if spec.change.len() == 1 && cheap { Norm::Grams } else { Norm::Writing }
}
