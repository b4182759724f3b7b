//! Divergence and stopping are outcomes with a step, never a crash.

mod common;

use common::{Recorder, Toy, small};
use motif_net::config::{DownstreamActivation, PerSynapse, RuleName, Schedule};
use motif_net::{Outcome, TrialConfig, TrialResult, train};

fn run(config: &TrialConfig) -> (TrialResult, Recorder) {
    let toy = Toy::new(64, 20, 12, 4);
    let mut recorder = Recorder::default();
    let result = train(config, 0, &toy.task(), &mut recorder).expect("a sound config");
    assert_eq!(recorder.finished, Some((result.steps, result.outcome)));
    let logged = recorder.points.iter().flat_map(|point| &point.values);
    assert!(
        logged
            .chain(result.metrics.iter().map(|(n, v)| (n.clone(), *v)).collect::<Vec<_>>().iter())
            .all(|(_, value)| value.is_finite())
    );
    (result, recorder)
}

fn diverged_at(config: &TrialConfig) -> u64 {
    let (result, recorder) = run(config);
    let Outcome::Diverged { step } = result.outcome else { panic!("{result:?}") };
    assert!(step == result.steps || step == result.steps + 1, "{result:?}");
    assert!((1..result.total_steps).contains(&step), "{result:?}");
    assert_eq!(recorder.points.last().expect("a point").step, result.steps);
    assert!(!result.metrics.contains_key("test_accuracy"), "a diverged trial has no test metrics");
    assert_eq!(run(config).0, result);
    step
}

fn hot(rate: f64) -> TrialConfig {
    TrialConfig {
        rates: PerSynapse { w: rate, w_bar: rate, v: rate, v_bar: rate },
        clip_norm: 0.0,
        schedule: Schedule::Constant,
        epochs: 200,
        ..small(&[10, 9])
    }
}

#[test]
fn a_huge_rate_diverges_whatever_the_rule() {
    for rule in RuleName::BUILT_IN {
        let step = diverged_at(&TrialConfig { rule, divergence_bound: 1e3, ..hot(500.0) });
        assert!(step <= 50, "{rule:?} at {step}");
    }
}

#[test]
fn relu_downstream_without_clip_runs_away() {
    let config = TrialConfig {
        downstream_activation: DownstreamActivation::Relu,
        hidden: vec![60, 60, 60],
        ..hot(0.3)
    };
    diverged_at(&config);
    let (calm, _) = run(&TrialConfig { clip_norm: 0.5, epochs: 4, ..config });
    assert_eq!(calm.outcome, Outcome::Succeeded);
}

#[test]
fn a_norm_beyond_the_bound_ends_the_trial_where_it_is_checked() {
    // Decay alone: no loss or ΔX says anything, the norm check at the first epoch's end does.
    let config = TrialConfig { divergence_bound: 2.9, epochs: 5, ..small(&[10]) };
    let (result, recorder) = run(&config);
    assert_eq!(result.outcome, Outcome::Diverged { step: 4 });
    assert_eq!((result.steps, recorder.batches.len()), (4, 4));
    assert!(result.metrics["norm.w.1"] > 2.9, "{:?}", result.metrics);
    // 65 steps per epoch: the check at 50 comes first.
    let config = TrialConfig { batch_size: 1, ..config };
    assert!(matches!(run(&config).0.outcome, Outcome::Diverged { step: 1..=50 }));
}

#[test]
fn a_loss_beyond_the_bound_ends_the_trial_at_once() {
    let (result, recorder) = run(&TrialConfig { divergence_bound: 0.5, ..small(&[10]) });
    assert_eq!(result.outcome, Outcome::Diverged { step: 1 });
    assert_eq!(result.steps, 0);
    assert_eq!(recorder.last, recorder.snapshots[&0]);
}

#[test]
fn numbers_at_the_edge_of_the_limits_end_as_an_outcome() {
    for rule in [RuleName::Sal, RuleName::Bp] {
        for clip_norm in [0.0, 1e9] {
            let config = TrialConfig {
                rule,
                clip_norm,
                divergence_bound: 1e15,
                init_scale_v: 999.0,
                decay: PerSynapse { w: 999.0, w_bar: 999.0, v: 999.0, v_bar: 999.0 },
                ..hot(999.0)
            };
            assert!(matches!(run(&config).0.outcome, Outcome::Diverged { .. }));
        }
    }
}

#[test]
fn an_observer_can_stop_a_trial() {
    let toy = Toy::new(64, 20, 12, 4);
    for stop in [0, 5] {
        let mut recorder = Recorder { stop_at: Some(stop), ..Recorder::default() };
        let result = train(&small(&[10]), 0, &toy.task(), &mut recorder).unwrap();
        assert_eq!(result.outcome, Outcome::Stopped { step: stop });
        assert_eq!((result.steps, result.total_steps), (stop, 8));
        assert_eq!(recorder.batches.len() as u64, stop);
        assert_eq!(recorder.last, recorder.snapshots[&stop]);
    }
}
