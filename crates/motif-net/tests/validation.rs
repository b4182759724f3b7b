//! Bad configs and bad tasks are named, never trained.

mod common;

use common::{Toy, small};
use motif_net::config::{Augment, Diagnostics, PerSynapse, RuleName, StepCadence, Synapse};
use motif_net::{Examples, Task, TaskError, TrainError, Trainer, TrialConfig, Values, total_steps, train};

fn fields(config: &TrialConfig) -> Vec<String> {
    config.violations().into_iter().map(|violation| violation.field).collect()
}

#[test]
fn the_default_config_is_sound() {
    assert_eq!(fields(&TrialConfig::default()), [""; 0]);
}

#[test]
fn each_broken_field_is_named() {
    let base = TrialConfig::default;
    let rates = |v| PerSynapse { v, ..base().rates };
    let every = |every_steps| Diagnostics::Steps(StepCadence { every_steps });
    let cases = [
        ("dataset", TrialConfig { dataset: String::new(), ..base() }),
        ("train_limit", TrialConfig { train_limit: Some(0), ..base() }),
        ("test_limit", TrialConfig { test_limit: Some(0), ..base() }),
        ("validation", TrialConfig { validation: Some(0), ..base() }),
        ("augment.shift", TrialConfig { augment: Augment { shift: 1_024, flip: true }, ..base() }),
        ("hidden", TrialConfig { hidden: vec![], ..base() }),
        ("hidden", TrialConfig { hidden: vec![1; 65], ..base() }),
        ("hidden[1]", TrialConfig { hidden: vec![5, 0, 5], ..base() }),
        ("hidden[0]", TrialConfig { hidden: vec![16_385], ..base() }),
        ("ratio", TrialConfig { ratio: 0.0, ..base() }),
        ("ratio", TrialConfig { ratio: f64::NAN, ..base() }),
        ("ratio", TrialConfig { ratio: f64::INFINITY, ..base() }),
        ("plastic[2]", TrialConfig { plastic: vec![Synapse::W, Synapse::V, Synapse::W], ..base() }),
        ("epochs", TrialConfig { epochs: 0, ..base() }),
        ("epochs", TrialConfig { epochs: 100_001, ..base() }),
        ("batch_size", TrialConfig { batch_size: 0, ..base() }),
        ("batch_size", TrialConfig { batch_size: 65_537, ..base() }),
        ("clip_norm", TrialConfig { clip_norm: -1.0, ..base() }),
        ("clip_norm", TrialConfig { clip_norm: f64::INFINITY, ..base() }),
        ("init_scale_v", TrialConfig { init_scale_v: f64::NAN, ..base() }),
        ("rates.v", TrialConfig { rates: rates(-0.1), ..base() }),
        ("rates.v", TrialConfig { rates: rates(1e3), ..base() }),
        ("decay.v", TrialConfig { decay: rates(f64::NAN), ..base() }),
        ("momentum", TrialConfig { momentum: 1.0, ..base() }),
        ("momentum", TrialConfig { momentum: f64::NAN, ..base() }),
        ("divergence_bound", TrialConfig { divergence_bound: 0.0, ..base() }),
        ("divergence_bound", TrialConfig { divergence_bound: f64::INFINITY, ..base() }),
        ("diagnostics.every_steps", TrialConfig { diagnostics: every(0), ..base() }),
        ("spectra.every_steps", TrialConfig { spectra: every(0), ..base() }),
    ];
    let toy = Toy::new(8, 4, 3, 2);
    for (field, config) in cases {
        assert_eq!(fields(&config), [field], "{config:?}");
        let error = train(&config, 0, &toy.task(), &mut ()).unwrap_err();
        assert!(error.to_string().contains(&format!("{field} is ")), "{error}");
    }
}

#[test]
fn a_violation_says_what_would_be_right() {
    let config = TrialConfig { hidden: vec![20, 0], ..TrialConfig::default() };
    assert_eq!(config.violations()[0].to_string(), "hidden[1] is 0, expected a whole number from 1 to 16384");
}

#[test]
fn a_limit_beyond_the_task_is_named() {
    let toy = Toy::new(8, 4, 3, 2);
    let refused = |train_limit, test_limit, validation| {
        let config = TrialConfig { train_limit, test_limit, validation, ..small(&[4]) };
        let Err(TrainError::Config(violations)) = train(&config, 0, &toy.task(), &mut ()) else { panic!() };
        assert_eq!(violations.len(), 1);
        violations[0].to_string()
    };
    assert_eq!(
        refused(Some(8), Some(5), None),
        "test_limit is 5, expected at most 4, the number of test examples; leave it out to take all"
    );
    assert_eq!(
        refused(Some(9), None, None),
        "train_limit is 9, expected at most 8, the number of training examples; leave it out to take all"
    );
    assert_eq!(
        refused(Some(6), None, Some(3)),
        "train_limit is 6, expected at most 5, the 8 training examples less the 3 of `validation`; leave it out to take \
         all"
    );
    assert_eq!(
        refused(None, None, Some(8)),
        "validation is 8, expected at most 7, so that one of the 8 training examples is left to learn from"
    );
    let all = TrialConfig { train_limit: Some(5), validation: Some(3), ..small(&[4]) };
    assert!(train(&all, 0, &toy.task(), &mut ()).is_ok());
}

#[test]
fn a_trial_beyond_memory_is_refused_before_it_allocates() {
    let toy = Toy::new(8, 4, 3, 2);
    let config = TrialConfig { hidden: vec![16_384; 3], ratio: 100.0, ..small(&[4]) };
    let error = train(&config, 0, &toy.task(), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Memory { bytes } if bytes > 1 << 40), "{error}");
}

#[test]
fn memory_is_foreseen() {
    let toy = Toy::new(600, 50, 300, 10);
    for rule in RuleName::BUILT_IN {
        for (batch_size, ratio) in [(1, 2.0), (64, 8.0), (600, 2.0)] {
            let (momentum, biases) = (ratio / 10.0, batch_size > 1);
            let small = small(&[300, 300]);
            let config = TrialConfig { rule, batch_size, ratio, momentum, biases, epochs: 1, ..small };
            let task = toy.task();
            let held = Trainer::new(&config, 0, &task).unwrap().buffer_bytes();
            let foreseen = config.memory_bytes(&task.size());
            assert!(held <= foreseen, "{held} > {foreseen}: {config:?}");
            assert!(foreseen <= 2 * held + (9 << 20), "{foreseen} is far beyond {held}: {config:?}");
        }
    }
}

#[test]
fn steps_are_counted() {
    let config = TrialConfig { epochs: 3, batch_size: 16, ..TrialConfig::default() };
    assert_eq!(total_steps(&config, 64), 12);
    assert_eq!(total_steps(&config, 65), 15);
    assert_eq!(total_steps(&TrialConfig { train_limit: Some(10), ..config.clone() }, 65), 3);
    assert_eq!(total_steps(&TrialConfig { validation: Some(17), ..config.clone() }, 65), 9);
    let toy = Toy::new(65, 4, 3, 2);
    let result = train(&TrialConfig { hidden: vec![4], ..config }, 0, &toy.task(), &mut ()).unwrap();
    assert_eq!((result.steps, result.total_steps), (15, 15));
}

#[test]
fn parameters_are_counted_over_both_pathways() {
    let toy = Toy::new(8, 4, 3, 2);
    let count = |rule| {
        let config = TrialConfig { rule, ratio: 0.5, hidden: vec![5, 4], ..small(&[]) };
        train(&config, 0, &toy.task(), &mut ()).unwrap().parameters
    };
    let upstream = 5 * 3 + 4 * 5 + 2 * 4;
    assert_eq!(count(RuleName::Bp), upstream);
    // m = 3 (2.5 rounded up), 2, 2.
    assert_eq!(count(RuleName::Sal), upstream + 3 * 2 + 2 * 2 + 2 * (3 * 5 + 2 * 4));
}

#[test]
fn a_task_is_checked() {
    let values = [0_u8; 12];
    let labels = [0_u16, 1, 1];
    let good = Examples { values: Values::U8(&values), labels: &labels, features: 4 };
    let empty = Examples { values: Values::U8(&[]), labels: &[], features: 4 };
    let check = |train, test, classes| Task::new(train, test, classes).err();
    assert_eq!(check(good, good, 2), None);
    assert_eq!(check(good, good, 1), Some(TaskError::ClassCount { classes: 1 }));
    assert_eq!(check(good, empty, 2), Some(TaskError::ExampleCount { split: "test", examples: 0 }));
    let features = |features| Examples { features, ..good };
    assert_eq!(check(features(0), good, 2), Some(TaskError::FeatureCount { split: "train", features: 0 }));
    assert!(matches!(check(features(5), good, 2), Some(TaskError::ValueCount { values: 12, .. })));
    let short = Examples { values: Values::U8(&values[..6]), features: 2, ..good };
    assert_eq!(check(good, short, 2), Some(TaskError::FeatureMismatch { train: 4, test: 2 }));
    let wrong = Examples { labels: &[0, 1, 2], ..good };
    assert!(matches!(check(wrong, good, 2), Some(TaskError::Label { example: 2, label: 2, .. })));
    let mut numbers = [0.5_f32; 12];
    numbers[6] = f32::NAN;
    let holed = Examples { values: Values::F32(&numbers), ..good };
    let hole = TaskError::NotFinite { split: "train", example: 1, feature: 2 };
    assert_eq!(check(holed, good, 2), Some(hole));
}

#[test]
fn bytes_and_numbers_give_the_same_input() {
    let bytes: Vec<u8> = (0..60).map(|i| (i * 37 % 256) as u8).collect();
    let numbers: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let labels: Vec<u16> = (0..20).map(|i| i % 2).collect();
    let inputs = [Values::U8(&bytes), Values::F32(&numbers)].map(|values| {
        let split = Examples { values, labels: &labels, features: 3 };
        let mut recorder = common::Recorder::default();
        train(&small(&[4]), 0, &Task::new(split, split, 2).unwrap(), &mut recorder).unwrap();
        recorder.batches
    });
    for ((x, y), (other_x, other_y)) in inputs[0].iter().zip(&inputs[1]) {
        assert_eq!(y, other_y);
        assert!((x - other_x).iter().all(|error| error.abs() < 1e-5));
    }
}

#[test]
fn an_unchecked_task_is_refused() {
    let toy = Toy::new(8, 4, 3, 2);
    let wrong = Task { train: Examples { labels: &[7; 8], ..toy.task().train }, ..toy.task() };
    let error = train(&small(&[4]), 0, &wrong, &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::Task(TaskError::Label { label: 7, .. })), "{error}");
}
