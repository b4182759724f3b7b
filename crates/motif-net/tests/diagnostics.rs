//! The logged diagnostics against the naive network, and when they are logged.

mod common;

use common::naive::{self, cosine, mean_outer, norm, times, transpose};
use common::{Recorder, Toy, small};
use motif_net::config::{
    Activation, Diagnostics, DownstreamActivation, NamedCadence, PerSynapse, RuleName, Schedule, StepCadence,
};
use motif_net::{Point, TrialConfig, train};

/// Fewer training examples than the probe holds, so the probe is all of them, in one batch.
const EXAMPLES: usize = 60;

fn recorded(config: &TrialConfig) -> Recorder {
    let toy = Toy::new(EXAMPLES, 20, 12, 4);
    let mut recorder = Recorder::default();
    train(config, 5, &toy.task(), &mut recorder).expect("a sound config");
    recorder
}

fn close(point: &Point, name: &str, expected: f64) {
    let value = point.get(name).unwrap_or_else(|| panic!("{name} is not logged"));
    assert!(
        (value - expected).abs() < 1e-4 * expected.abs().max(1.0),
        "{name}: {value}, expected {expected}"
    );
}

#[test]
fn every_value_is_the_naive_one() {
    for (activation, downstream_activation) in [
        (Activation::Relu, DownstreamActivation::Linear),
        (Activation::Tanh, DownstreamActivation::Tanh),
        (Activation::Relu, DownstreamActivation::Gated),
        (Activation::Linear, DownstreamActivation::LeakyRelu),
    ] {
        let config = TrialConfig {
            activation,
            downstream_activation,
            batch_size: EXAMPLES,
            epochs: 12,
            ratio: 1.5,
            ..small(&[9, 7, 8])
        };
        let recorder = recorded(&config);
        let (x, y) = (naive::matrix(&recorder.batches[0].0), recorder.batches[0].1.clone());
        for point in [recorder.points.first().unwrap(), recorder.points.last().unwrap()] {
            let weights = naive::weights(&recorder.snapshots[&point.step]);
            let act = naive::activity(&config, &weights, &x, &y);
            let tensor = |kind: &str, l: usize| &weights[&format!("{kind}.{l}")];
            for (name, value) in &weights {
                close(point, &format!("norm.{name}"), norm(value));
            }
            for l in 1..=3 {
                let (v, v_bar) = (tensor("v", l), tensor("v_bar", l));
                close(point, &format!("cos_v.{l}"), cosine(v, &transpose(v_bar)));
                close(point, &format!("cos_g_bp.{l}"), cosine(&act.g[l], &act.g_bp[l]));
                let change = mean_outer(&act.g[l], &act.h[l - 1]);
                let sgd = mean_outer(&act.g_bp[l], &act.h[l - 1]);
                let mapped = times(&times(v_bar, &transpose(v_bar)), &sgd);
                close(point, &format!("cos_theorem1.{l}"), cosine(&change, &mapped));
                let w_bar_t = transpose(tensor("w_bar", l));
                let left = if l < 3 { times(tensor("v_bar", l + 1), &w_bar_t) } else { w_bar_t };
                close(point, &format!("cos_motif.{l}"), cosine(&left, &times(tensor("w", l + 1), v_bar)));
                let silent = (0..act.h[l][0].len()).filter(|&i| act.h[l].iter().all(|row| row[i] == 0.0));
                close(point, &format!("dead.{l}"), silent.count() as f64 / act.h[l][0].len() as f64);
            }
        }
    }
}

/// Theorem 1, with nothing arranged: decay brings a linear network from chance to the aligned state, where every
/// `ΔW_l` is the gradient step under the matrix learning rate `H_l`.
#[test]
fn a_linear_network_assembles_itself() {
    let all = |value| PerSynapse { w: value, w_bar: value, v: value, v_bar: value };
    let config = TrialConfig {
        activation: Activation::Linear,
        schedule: Schedule::Constant,
        batch_size: EXAMPLES,
        epochs: 3000,
        clip_norm: 0.0,
        rates: all(0.02),
        decay: all(0.1),
        diagnostics: Diagnostics::Steps(StepCadence { every_steps: 3000 }),
        ..small(&[8, 8])
    };
    let recorder = recorded(&config);
    let (first, last) = (&recorder.points[0], recorder.points.last().unwrap());
    for layer in 1..=2 {
        for name in ["cos_theorem1", "cos_v", "cos_motif"] {
            let name = format!("{name}.{layer}");
            assert!(first.get(&name).unwrap() < 0.7, "{name} at first: {first:?}");
            assert!(last.get(&name).unwrap() > 0.99, "{name} at last: {last:?}");
        }
        assert!(last.get(&format!("norm.v_bar.{layer}")).unwrap() > 1.0, "not by vanishing: {last:?}");
    }
    assert!(last.get("train_loss").unwrap() < 0.1, "{last:?}");
}

#[test]
fn cadence_decides_what_is_logged_and_never_what_is_learnt() {
    let cadences = [
        (Diagnostics::Named(NamedCadence::Off), vec![0, 4, 8], vec![]),
        (Diagnostics::Named(NamedCadence::Epoch), vec![0, 4, 8], vec![0, 4, 8]),
        (Diagnostics::Steps(StepCadence { every_steps: 3 }), vec![0, 3, 4, 6, 8], vec![0, 3, 6, 8]),
    ];
    let mut learnt = None;
    for (diagnostics, points, diagnosed) in cadences {
        let recorder = recorded(&TrialConfig { diagnostics, ..small(&[9, 7]) });
        let steps =
            |points: &mut dyn Iterator<Item = &Point>| points.map(|point| point.step).collect::<Vec<_>>();
        assert_eq!(steps(&mut recorder.points.iter()), points);
        let with =
            |name: &'static str| steps(&mut recorder.points.iter().filter(|point| point.get(name).is_some()));
        assert_eq!(with("cos_theorem1.2"), diagnosed);
        assert_eq!(with("test_accuracy"), [0, 4, 8]);
        assert_eq!(with("train_loss"), [4, 8], "absent before training");
        assert_eq!(with("rate"), points);
        assert_eq!(*learnt.get_or_insert_with(|| recorder.last.clone()), recorder.last);
    }
}

#[test]
fn rules_without_a_downstream_pathway_log_no_alignment() {
    for rule in [RuleName::Bp, RuleName::Linear, RuleName::LastLayer] {
        let recorder = recorded(&TrialConfig { rule, ..small(&[9, 7]) });
        let names = |point: &Point| point.values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let expected = [
            "rate",
            "train_loss",
            "train_accuracy",
            "test_loss",
            "test_accuracy",
            "norm.w.1",
            "norm.w.2",
            "norm.w.3",
            "dead.1",
            "dead.2",
        ];
        assert_eq!(names(recorder.points.last().unwrap()), expected);
        assert!(recorder.last.iter().all(|(name, _)| name.starts_with("w.")));
    }
}

#[test]
fn loss_and_accuracy_are_those_of_the_weights() {
    let config = TrialConfig { batch_size: EXAMPLES, epochs: 30, rule: RuleName::Bp, ..small(&[9, 7]) };
    let recorder = recorded(&config);
    let weights = naive::weights(&recorder.snapshots[&29]);
    let (x, y) = (naive::matrix(&recorder.batches[29].0), &recorder.batches[29].1);
    let act = naive::activity(&config, &weights, &x, y);
    let best = |row: &Vec<f64>| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let right = act.a[3].iter().zip(y).filter(|(row, label)| best(row) == usize::from(**label)).count();
    let last = recorder.points.last().unwrap();
    close(last, "train_loss", act.loss);
    close(last, "train_accuracy", right as f64 / EXAMPLES as f64);
    assert!(last.get("test_accuracy").unwrap() > 0.9, "the toy task is learnt: {last:?}");
    let rates: Vec<f64> = recorder.points.iter().filter_map(|point| point.get("rate")).collect();
    assert_eq!(rates[0], 1.0);
    assert!(rates.windows(2).all(|pair| pair[1] < pair[0]) && rates[30] < 1e-12, "{rates:?}");
}
