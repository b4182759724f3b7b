//! A trial with `validation` is judged by training examples held out, and the test split means nothing to it.

mod common;

use common::random::{config, toy, within};
use common::{Noise, Recorder, Toy, small};
use motif_net::{Trainer, TrialConfig, TrialResult, train};
use proptest::prelude::*;

/// A task with the same training split and a test split that has nothing in common with the toy's.
fn other_test() -> Toy {
    let mut noise = Noise(7);
    let values = (0..5 * 12).map(|_| noise.below(256) as u8).collect();
    Toy { test: (values, vec![2, 2, 0, 1, 1]), ..toy() }
}

/// Everything a trial shows: its checkpoint half-way, its points, its result.
fn shown(config: &TrialConfig, seed: u64, toy: &Toy) -> (Vec<u8>, Recorder, TrialResult) {
    let task = toy.task();
    let mut recorder = Recorder::default();
    let mut trainer = Trainer::new(config, seed, &task).expect("a sound config");
    trainer.start(&mut recorder);
    while trainer.steps() < trainer.total_steps() / 2 && trainer.step(&mut recorder).is_none() {}
    let checkpoint = trainer.checkpoint();
    let result = trainer.run(&mut recorder);
    (checkpoint, recorder, result)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_test_split_has_no_influence_on_any_bit(
        config in config(),
        held_out in 1..9_usize,
        seed in any::<u64>(),
    ) {
        let config = within(TrialConfig { validation: Some(held_out), test_limit: None, ..config });
        prop_assume!(config.violations().is_empty());
        let [one, other] = [toy(), other_test()].map(|toy| shown(&config, seed, &toy));
        prop_assert!(one.0 == other.0, "the checkpoints differ");
        prop_assert_eq!(one.1.points, other.1.points);
        prop_assert_eq!(one.2, other.2);
        let plain = TrialConfig { validation: None, ..config };
        prop_assert!(shown(&plain, seed, &toy()).0 != shown(&plain, seed, &other_test()).0);
    }
}

#[test]
fn accuracy_and_loss_are_those_of_the_held_out_examples() {
    for (config, present, absent) in [
        (TrialConfig { validation: Some(6), ..small(&[6]) }, "validation", "test"),
        (small(&[6]), "test", "validation"),
    ] {
        let (_, recorder, result) = shown(&config, 1, &toy());
        for point in &recorder.points {
            for metric in ["accuracy", "loss"] {
                assert!(point.get(&format!("{present}_{metric}")).is_some(), "{point:?}");
                assert_eq!(point.get(&format!("{absent}_{metric}")), None);
            }
        }
        assert!(config.final_metrics().iter().all(|name| result.metrics.contains_key(*name)), "{result:?}");
    }
}

#[test]
fn inputs_are_normalized_over_what_is_learnt_from() {
    let config = TrialConfig { validation: Some(9), batch_size: 17, epochs: 1, ..small(&[6]) };
    let seen = |seed| {
        let mut recorder = Recorder::default();
        train(&config, seed, &toy().task(), &mut recorder).expect("a sound config");
        assert_eq!(recorder.batches.len(), 1, "26 examples less 9 are one minibatch");
        let mut rows: Vec<Vec<u32>> = recorder.batches[0]
            .0
            .rows()
            .into_iter()
            .map(|row| row.iter().map(|x| x.to_bits()).collect())
            .collect();
        rows.sort_unstable();
        for column in recorder.batches[0].0.mapv(f64::from).columns() {
            assert!(column.mean().unwrap().abs() < 1e-6);
        }
        rows
    };
    assert_eq!(seen(1), seen(2), "whatever the seed, the same examples are learnt from");
}
