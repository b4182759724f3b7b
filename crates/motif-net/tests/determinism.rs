//! A trial is a pure function of config, seed and examples.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Recorder, Toy, small};
use motif_net::config::{HebbianPartner, PerSynapse, RuleName};
use motif_net::{Spare, SpareThreads, Trainer, TrialConfig, train};
use ndarray::Array2;

fn hash(config: &TrialConfig, seed: u64) -> String {
    let toy = Toy::new(70, 20, 30, 5);
    train(config, seed, &toy.task(), &mut ()).expect("a sound config").result_hash
}

fn recorded(config: &TrialConfig, seed: u64) -> Recorder {
    let toy = Toy::new(70, 20, 30, 5);
    let mut recorder = Recorder::default();
    train(config, seed, &toy.task(), &mut recorder).expect("a sound config");
    recorder
}

fn initial<'a>(recorder: &'a Recorder, kind: &str) -> Vec<&'a (String, Array2<f32>)> {
    let prefix = format!("{kind}.");
    recorder.snapshots[&0].iter().filter(|(name, _)| name.starts_with(&prefix)).collect()
}

#[test]
fn the_hash_is_the_same_alone_twice_and_beside_others() {
    let config = small(&[40, 33]);
    let alone = hash(&config, 1);
    assert_eq!(alone.len(), 64);
    assert_eq!(hash(&config, 1), alone);
    let beside: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> = (0..6_u64)
            .map(|place| {
                let config = &config;
                scope.spawn(move || hash(config, if place % 2 == 0 { 1 } else { place }))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (place, hash) in beside.iter().enumerate() {
        assert_eq!(*hash == alone, place % 2 == 0 || place == 1, "thread {place}");
    }
}

/// Idle threads, more or fewer of them each time they are asked for.
struct Comers {
    pool: rayon::ThreadPool,
    asked: AtomicUsize,
}

impl SpareThreads for Comers {
    fn spare(&self) -> Option<Spare<'_>> {
        let threads = self.asked.fetch_add(1, Ordering::Relaxed) % 5;
        (threads > 0).then_some(Spare { pool: &self.pool, threads })
    }
}

#[test]
fn idle_threads_that_come_and_go_change_nothing() {
    // Products large enough to be shared, folded, written out and mirrored changes among them.
    let toy = Toy::new(400, 20, 1_100, 5);
    let wide = TrialConfig { batch_size: 200, epochs: 1, ..small(&[200, 700]) };
    for rule in [RuleName::Sal, RuleName::Kp] {
        for (batch_size, momentum) in [(200, 0.0), (40, 0.5)] {
            let config = TrialConfig { rule, batch_size, momentum, ..wide.clone() };
            let alone = train(&config, 1, &toy.task(), &mut ()).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
            let comers = Arc::new(Comers { pool, asked: AtomicUsize::new(0) });
            let trainer = Trainer::new(&config, 1, &toy.task()).unwrap().helped_by(comers.clone());
            assert_eq!(trainer.run(&mut ()), alone, "{rule:?} {batch_size}");
            let quick = ["avx512f", "avx2+fma"].contains(&motif_net::instruction_set());
            assert!(!quick || comers.asked.load(Ordering::Relaxed) > 10, "help was asked for");
        }
    }
}

#[test]
fn an_observer_changes_nothing() {
    let config = small(&[40, 33]);
    let toy = Toy::new(70, 20, 30, 5);
    let watched = train(&config, 1, &toy.task(), &mut Recorder::default()).unwrap();
    assert_eq!(watched, train(&config, 1, &toy.task(), &mut ()).unwrap());
}

#[test]
fn seed_config_and_outcome_are_in_the_hash() {
    let config = small(&[20]);
    let reference = hash(&config, 1);
    assert_ne!(hash(&config, 2), reference);
    assert_ne!(hash(&TrialConfig { clip_norm: 0.4, ..config.clone() }, 1), reference);
    assert_ne!(hash(&TrialConfig { epochs: 3, ..config.clone() }, 1), reference);
    let toy = Toy::new(70, 20, 30, 5);
    let mut recorder = Recorder { stop_at: Some(9), ..Recorder::default() };
    assert_ne!(train(&config, 1, &toy.task(), &mut recorder).unwrap().result_hash, reference);
}

#[test]
fn matched_arms_share_initial_w_and_the_order() {
    let base = small(&[20, 16]);
    let reference = recorded(&base, 9);
    let arms = [
        TrialConfig { rule: RuleName::Bp, ..base.clone() },
        TrialConfig { rule: RuleName::LastLayer, ..base.clone() },
        TrialConfig { rule: RuleName::Fa, ..base.clone() },
        TrialConfig { rule: RuleName::Dfa, ..base.clone() },
        TrialConfig { rule: RuleName::Kp, ..base.clone() },
        TrialConfig { rule: RuleName::SignSymmetry, ..base.clone() },
        TrialConfig { ratio: 3.5, init_scale_v: 0.2, ..base.clone() },
        TrialConfig { plastic: vec![], hebbian_partner: HebbianPartner::Pre, ..base.clone() },
        TrialConfig { rates: PerSynapse { w: 0.0, w_bar: 0.1, v: 0.2, v_bar: 0.3 }, ..base.clone() },
    ];
    for arm in &arms {
        let recorder = recorded(arm, 9);
        assert_eq!(initial(&recorder, "w"), initial(&reference, "w"), "{arm:?}");
        assert!(recorder.batches == reference.batches, "{arm:?}");
    }
    // `linear` starts from the same draws at its own scale, and sees the same order.
    let linear = recorded(&TrialConfig { rule: RuleName::Linear, ..base.clone() }, 9);
    assert!(linear.batches == reference.batches);
    for ((name, ours), (_, theirs)) in initial(&linear, "w").into_iter().zip(initial(&reference, "w")) {
        let scaled = ours * 2.0_f32.sqrt();
        assert!((&scaled - theirs).iter().all(|error| error.abs() < 1e-6), "{name}");
    }
    let other = recorded(&base, 10);
    assert!(initial(&other, "w") != initial(&reference, "w") && other.batches != reference.batches);
}

#[test]
fn an_epoch_is_a_permutation_and_epochs_differ() {
    let recorder = recorded(&TrialConfig { epochs: 2, ..small(&[8]) }, 0);
    let sizes: Vec<usize> = recorder.batches.iter().map(|(x, _)| x.nrows()).collect();
    assert_eq!(sizes, [16, 16, 16, 16, 6, 16, 16, 16, 16, 6]);
    let rows = |batches: &[(Array2<f32>, Vec<u16>)]| -> Vec<Vec<u32>> {
        let bits = |row: ndarray::ArrayView1<'_, f32>| row.iter().map(|x| x.to_bits()).collect();
        batches.iter().flat_map(|(x, _)| x.rows().into_iter().map(bits).collect::<Vec<_>>()).collect()
    };
    let (mut first, mut second) = (rows(&recorder.batches[..5]), rows(&recorder.batches[5..]));
    assert_ne!(first, second);
    first.sort();
    second.sort();
    assert_eq!(first, second);
}

#[test]
fn inputs_are_normalized_over_the_examples_in_use() {
    let config = TrialConfig { train_limit: Some(31), batch_size: 31, epochs: 1, ..small(&[8]) };
    let recorder = recorded(&config, 4);
    let x = recorder.batches[0].0.mapv(f64::from);
    assert_eq!(x.dim(), (31, 30));
    for column in x.columns() {
        assert!(column.mean().unwrap().abs() < 1e-6);
    }
    let variance = x.iter().map(|value| value * value).sum::<f64>() / x.len() as f64;
    assert!((variance - 1.0).abs() < 1e-5, "{variance}");
    assert!(recorded(&config, 5).batches != recorder.batches, "the subset depends on the seed");
}

#[test]
fn initial_values_have_their_variances() {
    let config = TrialConfig { ratio: 1.5, init_scale_v: 0.7, ..small(&[120, 100, 80]) };
    let recorder = recorded(&config, 2);
    let scale = 0.49;
    let expected = [
        ("w.1", (120, 30), 2.0 / 30.0),
        ("w.4", (5, 80), 2.0 / 80.0),
        ("w_bar.1", (180, 150), 1.0 / 150.0),
        ("w_bar.3", (120, 5), 1.0 / 5.0),
        ("v.2", (150, 100), scale / 100.0),
        ("v_bar.2", (100, 150), scale / 150.0),
    ];
    assert_eq!(recorder.snapshots[&0].len(), 4 + 3 * 3);
    for (name, size, variance) in expected {
        let (_, value) = recorder.snapshots[&0].iter().find(|(at, _)| at == name).unwrap();
        assert_eq!(value.dim(), size, "{name}");
        let measured = value.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / value.len() as f64;
        assert!((measured / variance - 1.0).abs() < 0.2, "{name}: {measured}, expected {variance}");
    }
}
