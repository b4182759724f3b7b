//! A trial left at any step and taken up again is the trial that was never left; a bad checkpoint is an error.

mod common;

use std::collections::BTreeSet;

use common::random::{config, toy, within};
use common::{Recorder, Toy, small};
use motif_net::config::{Diagnostics, RuleName, StepCadence};
use motif_net::{CheckpointError, Outcome, ResumeError, Trainer, TrialConfig, TrialResult, train};
use ndarray::Array2;
use proptest::prelude::*;

/// Trains, at each of `cuts` throwing everything away but a checkpoint.
fn in_pieces(
    config: &TrialConfig,
    seed: u64,
    toy: &Toy,
    cuts: &BTreeSet<u64>,
    recorder: &mut Recorder,
) -> TrialResult {
    let mut bytes: Option<Vec<u8>> = None;
    let mut cuts = cuts.iter().copied();
    loop {
        let task = toy.task();
        let mut trainer = match bytes.take() {
            Some(bytes) => Trainer::resume(config, seed, &task, &bytes).expect("its own checkpoint"),
            None => Trainer::new(config, seed, &task).expect("a sound config"),
        };
        let Some(cut) = cuts.next() else { return trainer.run(recorder) };
        trainer.start(recorder);
        // Past the end, the checkpoint is of a trial that is over.
        while trainer.steps() < cut && trainer.step(recorder).is_none() {}
        bytes = Some(trainer.checkpoint());
    }
}

fn assert_same(config: &TrialConfig, seed: u64, cuts: &BTreeSet<u64>) {
    let toy = toy();
    let (mut whole, mut pieces) = (Recorder::default(), Recorder::default());
    let result = train(config, seed, &toy.task(), &mut whole).expect("a sound config");
    assert_eq!(in_pieces(config, seed, &toy, cuts, &mut pieces), result, "{config:?} {cuts:?}");
    assert_eq!(pieces.points, whole.points, "{config:?} {cuts:?}");
    assert_eq!(pieces.finished, whole.finished);
    assert!(pieces.batches == whole.batches);
    assert_eq!(pieces.snapshots.len(), whole.snapshots.len());
    for ((step, pieces), (at, whole)) in pieces.snapshots.iter().zip(&whole.snapshots) {
        assert!(step == at && bits(pieces) == bits(whole), "step {step}: {config:?} {cuts:?}");
    }
    assert!(bits(&pieces.last) == bits(&whole.last));
}

/// A trial may leave the finite numbers, and NaN equals nothing: what must be the same are the bits.
fn bits(tensors: &[(String, Array2<f32>)]) -> Vec<(&str, Vec<u32>)> {
    tensors.iter().map(|(name, x)| (name.as_str(), x.iter().map(|x| x.to_bits()).collect())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_trial_left_anywhere_ends_the_same(
        config in config().prop_filter("a sound config", |config| config.violations().is_empty()),
        seed in any::<u64>(),
        cuts in prop::collection::btree_set(0..80_u64, 1..4),
    ) {
        assert_same(&within(config), seed, &cuts);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut headed = b"motif-net checkpoint\n".to_vec();
        headed.extend_from_slice(&bytes);
        let toy = toy();
        for bytes in [bytes, headed] {
            prop_assert!(Trainer::resume(&small(&[4]), 0, &toy.task(), &bytes).is_err());
        }
    }
}

#[test]
fn every_rule_survives_every_cut() {
    for rule in RuleName::BUILT_IN {
        for (momentum, biases) in [(0.0, false), (0.7, true)] {
            let diagnostics = Diagnostics::Steps(StepCadence { every_steps: 2 });
            let config = TrialConfig { rule, momentum, biases, diagnostics, batch_size: 8, ..small(&[6, 5]) };
            for cut in 0..=8 {
                assert_same(&config, 3, &BTreeSet::from([cut]));
            }
            assert_same(&config, 3, &(0..=8).collect());
        }
    }
}

#[test]
fn a_stopped_trial_goes_on_and_a_diverged_one_does_not() {
    let toy = toy();
    let config = TrialConfig { batch_size: 8, ..small(&[6]) };
    let task = toy.task();
    let mut trainer = Trainer::new(&config, 0, &task).unwrap();
    let mut recorder = Recorder { stop_at: Some(3), ..Recorder::default() };
    trainer.start(&mut recorder);
    while trainer.step(&mut recorder).is_none() {}
    let resumed = Trainer::resume(&config, 0, &task, &trainer.checkpoint()).unwrap();
    assert_eq!(resumed.run(&mut ()), train(&config, 0, &task, &mut ()).unwrap());

    let config = TrialConfig { divergence_bound: 0.5, ..config };
    let mut trainer = Trainer::new(&config, 0, &task).unwrap();
    trainer.start(&mut ());
    assert_eq!(trainer.step(&mut ()), Some(Outcome::Diverged { step: 1 }));
    let mut recorder = Recorder::default();
    let resumed = Trainer::resume(&config, 0, &task, &trainer.checkpoint()).unwrap();
    assert_eq!(resumed.run(&mut recorder), train(&config, 0, &task, &mut ()).unwrap());
    assert_eq!(recorder.points, [], "it was logged before");
}

fn refused(config: &TrialConfig, seed: u64, toy: &Toy, bytes: &[u8]) -> CheckpointError {
    match Trainer::resume(config, seed, &toy.task(), bytes) {
        Err(ResumeError::Checkpoint(error)) => error,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("resumed"),
    }
}

#[test]
fn a_checkpoint_of_another_trial_is_named() {
    let (toy, config) = (toy(), small(&[6]));
    let bytes = Trainer::new(&config, 1, &toy.task()).unwrap().checkpoint();
    assert!(Trainer::resume(&config, 1, &toy.task(), &bytes).is_ok());
    let what = |config: &TrialConfig, seed, toy: &Toy| match refused(config, seed, toy, &bytes) {
        CheckpointError::Mismatch { what, found, expected } => {
            assert_ne!(found, expected);
            what
        }
        error => panic!("{error}"),
    };
    assert_eq!(what(&TrialConfig { clip_norm: 0.4, ..config.clone() }, 1, &toy), "config hash");
    assert_eq!(what(&config, 2, &toy), "seed");
    let mut other = self::toy();
    other.test.0[11] ^= 1;
    assert_eq!(what(&config, 1, &other), "task hash");
    let error = refused(&config, 2, &toy, &bytes);
    assert_eq!(error.to_string(), "the checkpoint's seed is 1, expected 2");
    let unsound = TrialConfig { epochs: 0, ..config };
    assert!(matches!(Trainer::resume(&unsound, 1, &toy.task(), &bytes), Err(ResumeError::Trial(_))));
}

#[test]
fn any_truncation_and_any_flipped_bit_is_seen() {
    let (toy, config) = (toy(), small(&[3]));
    let bytes = Trainer::new(&config, 1, &toy.task()).unwrap().checkpoint();
    for length in 0..bytes.len() {
        match refused(&config, 1, &toy, &bytes[..length]) {
            CheckpointError::NotACheckpoint => assert_eq!(length, 0),
            CheckpointError::Corrupt { bytes } => assert_eq!(bytes, length),
            error => panic!("{error}"),
        }
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let error = refused(&config, 1, &toy, &flipped);
        match at {
            0..21 => assert_eq!(error, CheckpointError::NotACheckpoint),
            21..29 => assert!(matches!(error, CheckpointError::Version { .. }), "{error}"),
            _ => assert_eq!(error, CheckpointError::Corrupt { bytes: bytes.len() }),
        }
    }
}
