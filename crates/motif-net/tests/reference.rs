//! The engine against the naive network: every rule, downstream activation, partner and plastic subset.

mod common;

use common::{Recorder, Toy, naive, small};
use motif_net::config::{
    Activation, DownstreamActivation, HebbianPartner, PerSynapse, RuleName, Schedule, Synapse,
};
use motif_net::{Outcome, TrialConfig, train};

/// Follows every step of a trial; the engine's weights must stay within `1e-4` of the change they made.
fn follow(config: &TrialConfig) {
    // 37 = 2 · 16 + 5: the last minibatch of an epoch is smaller.
    let toy = Toy::new(37, 10, 9, 4);
    let mut recorder = Recorder::default();
    let result = train(config, 7, &toy.task(), &mut recorder).expect("a sound config");
    assert_eq!(result.outcome, Outcome::Succeeded, "{config:?}");
    assert_eq!(recorder.batches.len() as u64, result.total_steps);
    let mut reference = naive::weights(&recorder.snapshots[&0]);
    let initial = reference.clone();
    let mut velocities = naive::Weights::new();
    for (t, batch) in recorder.batches.iter().enumerate() {
        naive::step(config, &mut reference, &mut velocities, batch, t, recorder.batches.len());
    }
    let last = naive::weights(&recorder.last);
    assert_eq!(last.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>());
    let mut learnt = 0;
    for (name, value) in &reference {
        let change = naive::norm(&naive::minus(value, &initial[name]));
        let error = naive::norm(&naive::minus(value, &last[name]));
        if change == 0.0 {
            assert_eq!(last[name], initial[name], "{name} is frozen: {config:?}");
        } else {
            assert!(change > 1e-3 * naive::norm(value), "{name} hardly changes, {change}: {config:?}");
            assert!(error < 1e-4 * change, "{name} is off by {error} of {change}: {config:?}");
            learnt += 1;
        }
    }
    assert!(learnt > 0);
}

fn base() -> TrialConfig {
    TrialConfig {
        rates: PerSynapse { w: 0.31, w_bar: 0.23, v: 0.17, v_bar: 0.19 },
        decay: PerSynapse { w: 0.02, w_bar: 0.03, v: 0.04, v_bar: 0.05 },
        epochs: 3,
        ratio: 1.5,
        ..small(&[11, 7, 8])
    }
}

#[test]
fn sal_follows_every_downstream_activation_partner_and_subset() {
    use Synapse::{V, VBar, W, WBar};
    let subsets: [&[Synapse]; 6] = [&[W, WBar, V, VBar], &[W], &[W, VBar], &[WBar, V], &[V, VBar], &[]];
    for downstream_activation in [
        DownstreamActivation::Linear,
        DownstreamActivation::Tanh,
        DownstreamActivation::Relu,
        DownstreamActivation::LeakyRelu,
        DownstreamActivation::Gated,
    ] {
        for hebbian_partner in [HebbianPartner::Post, HebbianPartner::Pre] {
            for plastic in subsets {
                let plastic = plastic.to_vec();
                follow(&TrialConfig { downstream_activation, hebbian_partner, plastic, ..base() });
            }
        }
    }
}

#[test]
fn every_rule_follows_every_activation_schedule_and_clip() {
    for rule in RuleName::BUILT_IN {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Linear] {
            for (schedule, clip_norm) in [(Schedule::Cosine, 0.1), (Schedule::Constant, 0.0)] {
                let rates = PerSynapse { w: 0.1, w_bar: 0.05, v: 0.05, v_bar: 0.05 };
                follow(&TrialConfig { rule, activation, schedule, clip_norm, rates, ..base() });
            }
        }
    }
}

#[test]
fn every_rule_follows_with_momentum_and_biases() {
    for rule in RuleName::BUILT_IN {
        let rates = PerSynapse { w: 0.1, w_bar: 0.05, v: 0.05, v_bar: 0.05 };
        for (momentum, biases) in [(0.9, false), (0.0, true), (0.5, true)] {
            for (clip_norm, batch_size, hidden) in [(0.1, 16, [11, 7, 8]), (0.3, 3, [40, 30, 20])] {
                let hidden = hidden.to_vec();
                let config = TrialConfig { rule, rates, momentum, biases, clip_norm, hidden, ..base() };
                follow(&TrialConfig { batch_size, epochs: 2, ..config });
            }
        }
    }
}

#[test]
fn feedback_has_its_shape_and_scale() {
    for (rule, from) in [
        (RuleName::Fa, [90, 4]),
        (RuleName::Dfa, [4, 4]),
        (RuleName::Kp, [90, 4]),
        (RuleName::SignSymmetry, [90, 4]),
    ] {
        let toy = Toy::new(37, 10, 9, 4);
        let config = TrialConfig { rule, epochs: 1, ..small(&[110, 90]) };
        let mut recorder = Recorder::default();
        train(&config, 7, &toy.task(), &mut recorder).unwrap();
        let weights = naive::weights(&recorder.snapshots[&0]);
        for (l, width) in [(1, 110), (2, 90)] {
            let feedback = &weights[&format!("w_bar.{l}")];
            assert_eq!((feedback.len(), feedback[0].len()), (width, from[l - 1]), "{rule:?}");
            let variance = naive::inner(feedback, feedback) / (width * from[l - 1]) as f64;
            assert!((variance * width as f64 / 2.0 - 1.0).abs() < 0.2, "{rule:?} {l}: {variance}");
            let exact = naive::sign_feedback(&config, &weights, l);
            let error = naive::norm(&naive::minus(feedback, &exact));
            assert_eq!(error < 1e-6 * naive::norm(&exact), rule == RuleName::SignSymmetry, "{rule:?} {l}");
        }
    }
}

#[test]
fn kolen_pollack_feedback_approaches_the_transpose_at_the_rate_of_the_decay() {
    let toy = Toy::new(64, 10, 9, 4);
    let config = TrialConfig {
        rule: RuleName::Kp,
        schedule: Schedule::Constant,
        clip_norm: 0.0,
        epochs: 25,
        rates: PerSynapse { w: 0.1, w_bar: 0.0, v: 0.0, v_bar: 0.0 },
        decay: PerSynapse { w: 0.1, w_bar: 0.0, v: 0.0, v_bar: 0.0 },
        ..small(&[11, 7])
    };
    let mut recorder = Recorder::default();
    let result = train(&config, 7, &toy.task(), &mut recorder).unwrap();
    assert_eq!(result.steps, 100);
    let apart = |step: u64, l: usize| {
        let weights = naive::weights(&recorder.snapshots[&step]);
        let exact = naive::transpose(&weights[&format!("w.{}", l + 1)]);
        naive::norm(&naive::minus(&weights[&format!("w_bar.{l}")], &exact))
    };
    for l in 1..=2 {
        let shrunk = apart(100, l) / apart(0, l);
        assert!((shrunk / 0.99_f64.powi(100) - 1.0).abs() < 1e-3, "layer {l}: {shrunk}");
        let name = format!("cos_w.{l}");
        let (first, last) = (&recorder.points[0], recorder.points.last().unwrap());
        assert!(last.get(&name).unwrap() > first.get(&name).unwrap() + 0.3, "{name}");
    }
}

#[test]
fn one_hidden_layer_and_odd_batches_follow() {
    for batch_size in [1, 5, 37, 1000] {
        follow(&TrialConfig { hidden: vec![6], batch_size, epochs: 2, ..base() });
    }
}

#[test]
fn wide_layers_follow_with_the_folded_norm() {
    follow(&TrialConfig { hidden: vec![40, 30], batch_size: 3, ratio: 2.0, epochs: 1, ..base() });
}

#[test]
fn backprop_is_the_gradient_of_the_loss() {
    let toy = Toy::new(24, 4, 5, 3);
    for activation in [Activation::Relu, Activation::Tanh, Activation::Linear] {
        let one = PerSynapse { w: 1.0, w_bar: 1.0, v: 1.0, v_bar: 1.0 };
        let none = PerSynapse { w: 0.0, w_bar: 0.0, v: 0.0, v_bar: 0.0 };
        let config = TrialConfig {
            rule: RuleName::Bp,
            activation,
            schedule: Schedule::Constant,
            rates: one,
            decay: none,
            clip_norm: 0.0,
            epochs: 1,
            batch_size: 24,
            ..small(&[6, 4])
        };
        let mut recorder = Recorder::default();
        train(&config, 3, &toy.task(), &mut recorder).unwrap();
        let before = naive::weights(&recorder.snapshots[&0]);
        let after = naive::weights(&recorder.snapshots[&1]);
        let (x, y) = (naive::matrix(&recorder.batches[0].0), &recorder.batches[0].1);
        let mut probe = before.clone();
        for (name, value) in &before {
            let mut descent = value.clone();
            for i in 0..value.len() {
                for j in 0..value[0].len() {
                    let mut loss = |offset: f64| {
                        probe.get_mut(name).unwrap()[i][j] = value[i][j] + offset;
                        naive::activity(&config, &probe, &x, y).loss
                    };
                    descent[i][j] = (loss(-1e-5) - loss(1e-5)) / 2e-5;
                    loss(0.0);
                }
            }
            let step = naive::minus(&after[name], value);
            let error = naive::norm(&naive::minus(&step, &descent));
            assert!(error < 1e-4 * naive::norm(&descent), "{name} {activation:?}: {error}");
        }
    }
}
