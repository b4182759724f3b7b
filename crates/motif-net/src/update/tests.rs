//! Every way of computing a change leads to the same weights.

use ndarray::Array2;

use super::plan::{Change, Norm, Plan};
use super::*;
use crate::config::{Activation, DownstreamActivation};
use crate::random::Stream;
use crate::shape::Shape;
use crate::signals::Signal::{A, G, H};
use crate::tensors::{TensorSpec, outer};

const ROWS: usize = 6;

fn signals() -> Signals {
    let config = TrialConfig { hidden: vec![9], ..TrialConfig::default() };
    let shape = Shape::new(&config, 12, 5);
    let mut signals = Signals::new(&shape, &[G], Activation::Relu, DownstreamActivation::Linear, ROWS + 2);
    signals.set_rows(ROWS);
    for at in [H.at(0), A.at(1), H.at(1), G.at(1)] {
        let name = format!("{at:?}");
        let mut view = signals.view_mut(at);
        Stream::new(0, &name).fill_normal(view.as_slice_mut().unwrap(), 1.0);
    }
    signals
}

fn tensors(change: Vec<Term>) -> Tensors {
    Tensors::new(vec![spec(change)], &signals(), 0)
}

fn spec(change: Vec<Term>) -> TensorSpec {
    TensorSpec { kind: "w", layer: 1, size: (9, 12), variance: 1.0, rate: 0.5, decay: 0.1, change }
}

fn changed(norm: Norm, terms: Vec<Term>) -> Plan {
    Plan::Changed(Change { terms, norm, mirror: None })
}

/// One update with the given plan instead of the one that would be chosen.
fn updated(plan: Plan, clip_norm: f64) -> (f64, Array2<f32>) {
    let signals = signals();
    let mut tensors = tensors(vec![outer(G.at(1), H.at(0))]);
    let config = TrialConfig { clip_norm, ..TrialConfig::default() };
    let mut updater = Updater::planned(vec![plan], &tensors, &signals, ROWS + 2, &config);
    assert!(updater.step(&mut tensors, &signals, 0.5, &()));
    // η(t) = 0.25, and the clip acts on the norm.
    (updater.moved[0] / 0.25, tensors.at("w", 1).to_owned())
}

#[test]
fn folded_written_and_summed_changes_agree() {
    let term = outer(G.at(1), H.at(0));
    let part = |coefficient| Term { coefficient, ..term };
    for clip_norm in [0.0, 0.7] {
        let (norm, value) = updated(changed(Norm::Grams, vec![term]), clip_norm);
        if clip_norm > 0.0 {
            assert!((norm - clip_norm).abs() < 1e-12, "the clip binds: {norm}");
        } else {
            assert!(norm > 0.7, "the clip would bind: {norm}");
        }
        for terms in [vec![term], vec![part(1.5), part(-0.75), part(0.25)]] {
            let (other_norm, other) = updated(changed(Norm::Writing, terms), clip_norm);
            assert!((norm - other_norm).abs() < 1e-5 * norm, "{norm} {other_norm}");
            assert!((&value - &other).iter().all(|error| error.abs() < 1e-5));
        }
    }
    let (single, _) = updated(changed(Norm::Grams, vec![part(-2.0)]), 0.0);
    let (double, _) = updated(changed(Norm::Writing, vec![part(-2.0)]), 0.0);
    assert!((single - double).abs() < 1e-5 * single);
}

#[test]
fn a_sum_is_written_out_and_a_still_rate_is_frozen() {
    let plan =
        |spec: TensorSpec, batch| plan::plan(&Tensors::new(vec![spec], &signals(), 0), batch).pop().unwrap();
    let term = outer(G.at(1), H.at(0));
    let sum = spec(vec![term, outer(A.at(1), H.at(0))]);
    assert_eq!(plan(sum.clone(), 1), changed(Norm::Writing, sum.change));
    let one = spec(vec![term]);
    assert_eq!(plan(one.clone(), 1), changed(Norm::Grams, vec![term]));
    assert_eq!(plan(one.clone(), 1000), changed(Norm::Writing, vec![term]));
    assert_eq!(plan(TensorSpec { rate: 0.0, ..one.clone() }, 1), Plan::Frozen);
    assert_eq!(plan(TensorSpec { change: vec![], ..one }, 1), Plan::Frozen);
}

/// A tensor whose change is another's transposed changes as by itself, in every plan.
#[test]
fn a_mirror_changes_as_it_would_alone() {
    let (w, back) = (spec(vec![outer(G.at(1), H.at(0))]), outer(H.at(0), G.at(1)));
    let mirror = TensorSpec { kind: "w_bar", size: (12, 9), rate: 0.3, change: vec![back], ..w.clone() };
    for (batch, momentum) in [(1, 0.0), (1, 0.5), (1000, 0.0), (1000, 0.5)] {
        let config = TrialConfig { momentum, ..TrialConfig::default() };
        let signals = &mut signals();
        signals.set_rows(1);
        let updated = |specs: Vec<TensorSpec>| {
            let mut tensors = Tensors::new(specs, signals, 0);
            let mut updater = Updater::new(&tensors, signals, batch, &config);
            for _ in 0..3 {
                assert!(updater.step(&mut tensors, signals, 0.5, &()));
            }
            let place = tensors.iter().len() - 1;
            tensors.at_place(place).value.clone()
        };
        let (both, alone) = (updated(vec![w.clone(), mirror.clone()]), updated(vec![mirror.clone()]));
        assert!(both.is_standard_layout() && alone.t().is_standard_layout());
        assert!((&both - &alone).iter().all(|error| error.abs() < 1e-6), "{batch} {momentum}");
    }
}

#[test]
fn a_nan_in_any_signal_is_seen() {
    for batch in [1, 1000] {
        let mut signals = signals();
        signals.set_rows(1);
        let mut tensors = tensors(vec![outer(G.at(1), H.at(0))]);
        let mut updater = Updater::new(&tensors, &signals, batch, &TrialConfig::default());
        assert!(updater.step(&mut tensors, &signals, 1.0, &()));
        let before = tensors.at("w", 1).to_owned();
        // Finite signals whose product overflows, and a NaN: nothing changes.
        for value in [f32::MAX, f32::NAN] {
            signals.view_mut(G.at(1))[[0, 3]] = value;
            signals.view_mut(H.at(0)).fill(if value.is_nan() { 1.0 } else { value });
            assert!(!updater.step(&mut tensors, &signals, 1.0, &()), "batch {batch}");
            assert_eq!(tensors.at("w", 1), before);
        }
        // Beyond what is surely finite, but finite.
        signals.view_mut(G.at(1)).fill(1e16);
        signals.view_mut(H.at(0)).fill(1e16);
        assert!(updater.step(&mut tensors, &signals, 1.0, &()), "batch {batch}");
        assert!(tensors.at("w", 1) != before && tensors.at("w", 1).iter().all(|x| x.is_finite()));
    }
}
