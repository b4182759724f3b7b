//! What a trial shows while it runs, and how one looks on.

use ndarray::ArrayView2;

use crate::result::Outcome;

/// The values logged at one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Minibatches learnt so far.
    pub step: u64,
    /// The same in passes over the training examples.
    pub epoch: f64,
    /// Names and values; every value is finite (one that is not is left out).
    pub values: Vec<(String, f64)>,
}

impl Point {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(at, _)| at == name).map(|&(_, value)| value)
    }

    pub(crate) fn log(&mut self, name: impl Into<String>, value: f64) {
        if value.is_finite() {
            self.values.push((name.into(), value));
        }
    }
}

/// A weight tensor under its name, `w.1`, `v_bar.2`, …; shapes as in the equations, rows are targets.
#[derive(Debug, Clone, Copy)]
pub struct NamedTensor<'a> {
    /// Kind and layer.
    pub name: &'a str,
    /// Row-major.
    pub value: ArrayView2<'a, f32>,
}

/// Work of a trial that is not learning. Phases do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The test examples, at each epoch's end.
    Evaluation,
    /// The diagnostics on the probe batch.
    Diagnostics,
    /// The spectra of the weights.
    Spectra,
}

/// Whoever looks on. Nothing an observer does changes the bits of the training but ending it.
pub trait Observer {
    /// A point was logged.
    fn point(&mut self, _point: &Point) {}

    /// Whether to be shown the tensors after `step` minibatches; asked at 0 and after each.
    fn wants_snapshot(&mut self, _step: u64) -> bool {
        false
    }

    /// The tensors after `step` minibatches.
    fn snapshot(&mut self, _step: u64, _tensors: &[NamedTensor<'_>]) {}

    /// A phase at `step` is about to begin. The engine has no clock: whoever has one sees what the phase costs.
    fn begin(&mut self, _step: u64, _phase: Phase) {}

    /// The phase that began last has ended.
    fn end(&mut self, _step: u64, _phase: Phase) {}

    /// Minibatch `step`, counted from 0, before it is learnt: `x` normalized, batch × `n_0`, and its labels.
    fn batch(&mut self, _step: u64, _x: ArrayView2<'_, f32>, _y: &[u16]) {}

    /// Whether to go on, asked when `step` minibatches have been learnt and another is to come.
    fn proceed(&mut self, _step: u64) -> bool {
        true
    }

    /// The trial ended, with these tensors; called once, whatever the outcome.
    fn finished(&mut self, _step: u64, _outcome: Outcome, _tensors: &[NamedTensor<'_>]) {}
}

/// Looks away.
impl Observer for () {}
