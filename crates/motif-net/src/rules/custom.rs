//! A rule written as data: each synapse changes by a sum of products of local signals.
//!
//! ```text
//! ΔX_l = Σ coefficient · ⟨target sourceᵀ⟩
//!
//!            target at         source at
//! W_l        l                 l-1                          l = 1…L
//! W̄_l        l                 l+1 (`direct`: L)            l = 1…L-1
//! V_l, V̄_l   l                 l                            l = 1…L-1
//! ```
//!
//! Where a term's signal does not exist at its layer, the term is left out there: `h` exists at 0…L-1, `a`, `g` and
//! `h̄` at 1…L with `g_L = h̄_L = e`, `ā` and `u` at 1…L-1, `e` at L alone. `feedback` says which circuit computes `g`
//! and so which synapses there are; `plastic` applies as under `sal`, and every tensor has the rate and decay of its
//! own synapse.

use super::Rule;
use super::bp::Bp;
use super::dfa::Dfa;
use super::fa::Fa;
use super::sal::Sal;
use crate::config::{Feedback, LocalSignal, Synapse, TrialConfig, UpdateTerm};
use crate::network::Pass;
use crate::signals::At;
use crate::signals::Signal::{self, A, ABar, G, H, HBar, U};
use crate::tensors::{Design, TensorSpec, Term};

pub(crate) struct Custom(Feedback);

/// The rule under the config's circuit.
pub(crate) fn with(feedback: Feedback) -> &'static Custom {
    match feedback {
        Feedback::Motif => &Custom(Feedback::Motif),
        Feedback::Chained => &Custom(Feedback::Chained),
        Feedback::Direct => &Custom(Feedback::Direct),
        Feedback::Transposed => &Custom(Feedback::Transposed),
    }
}

impl Custom {
    /// The rule whose drive this circuit has.
    fn circuit(&self) -> &'static dyn Rule {
        match self.0 {
            Feedback::Motif => &Sal,
            Feedback::Chained => &Fa,
            Feedback::Direct => &Dfa,
            Feedback::Transposed => &Bp,
        }
    }
}

impl Rule for Custom {
    fn signals(&self) -> &'static [Signal] {
        self.circuit().signals()
    }

    fn tensors(&self, design: &Design<'_>) -> Vec<TensorSpec> {
        let mut specs = self.circuit().tensors(design);
        for spec in &mut specs {
            let synapse = Synapse::ALL.into_iter().find(|synapse| synapse.name() == spec.kind);
            let synapse = synapse.expect("the circuits consist of the motif's synapses");
            let always = synapse == Synapse::W && spec.layer == design.depth();
            spec.change.clear();
            if always || design.config.plastic.contains(&synapse) {
                spec.change = change(design.config, synapse, spec.layer, design.depth());
            }
            spec.rate = design.config.rates.of(synapse);
            spec.decay = design.config.decay.of(synapse);
        }
        specs
    }

    fn drive(&self, pass: &mut Pass<'_>) {
        self.circuit().drive(pass);
    }
}

fn change(config: &TrialConfig, synapse: Synapse, layer: usize, depth: usize) -> Vec<Term> {
    let source_layer = match synapse {
        Synapse::W => layer - 1,
        Synapse::WBar if config.feedback == Feedback::Direct => depth,
        Synapse::WBar => layer + 1,
        Synapse::V | Synapse::VBar => layer,
    };
    let term = |term: &UpdateTerm| {
        let target = at(term.target, layer, depth)?;
        let source = at(term.source, source_layer, depth)?;
        Some(Term { coefficient: term.coefficient, target, source })
    };
    config.updates.of(synapse).iter().filter_map(term).collect()
}

/// The signal at a layer, if it exists there.
fn at(signal: LocalSignal, layer: usize, depth: usize) -> Option<At> {
    let (signal, layers) = match signal {
        LocalSignal::H => (H, 0..=depth - 1),
        LocalSignal::A => (A, 1..=depth),
        LocalSignal::HBar => (HBar, 1..=depth),
        LocalSignal::ABar => (ABar, 1..=depth - 1),
        LocalSignal::U => (U, 1..=depth - 1),
        LocalSignal::G => (G, 1..=depth),
        LocalSignal::E => (G, depth..=depth),
    };
    layers.contains(&layer).then(|| signal.at(layer))
}

/// The signals that may end a synapse: those of its target's pathway, and those of its source's.
pub(crate) fn ends(
    feedback: Feedback,
    synapse: Synapse,
) -> Option<(&'static [LocalSignal], &'static [LocalSignal])> {
    use LocalSignal as S;
    const UP: &[LocalSignal] = &[S::H, S::A, S::G];
    const UP_OR_ERROR: &[LocalSignal] = &[S::H, S::A, S::G, S::E];
    const TOP: &[LocalSignal] = &[S::A, S::G, S::E];
    const DOWN: &[LocalSignal] = &[S::HBar, S::ABar, S::U];
    const DOWN_OR_ERROR: &[LocalSignal] = &[S::HBar, S::ABar, S::U, S::E];
    match (synapse, feedback) {
        (Synapse::W, _) => Some((UP_OR_ERROR, UP)),
        (Synapse::WBar, Feedback::Motif) => Some((DOWN, DOWN_OR_ERROR)),
        (Synapse::WBar, Feedback::Chained) => Some((UP, UP_OR_ERROR)),
        (Synapse::WBar, Feedback::Direct) => Some((UP, TOP)),
        (Synapse::V, Feedback::Motif) => Some((DOWN, UP)),
        (Synapse::VBar, Feedback::Motif) => Some((UP, DOWN)),
        (Synapse::WBar | Synapse::V | Synapse::VBar, _) => None,
    }
}
