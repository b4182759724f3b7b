//! Training images are moved and mirrored, nothing else is, and a config that cannot be is refused.

mod common;

use common::random::toy;
use common::{Recorder, Toy, small};
use motif_net::config::Augment;
use motif_net::{
    CheckpointError, ImageShape, ResumeError, Task, TaskError, TrainError, Trainer, TrialConfig, train,
};
use ndarray::Array2;

fn recorded(config: &TrialConfig) -> Recorder {
    let mut recorder = Recorder::default();
    train(config, 4, &toy().task(), &mut recorder).expect("a sound config");
    recorder
}

fn varied(shift: usize, flip: bool) -> TrialConfig {
    TrialConfig { augment: Augment { shift, flip }, epochs: 3, batch_size: 26, ..small(&[6]) }
}

/// A toy image's bytes from its normalized values: all training examples are in use.
fn raw(x: &Array2<f32>) -> Vec<Vec<u8>> {
    let toy = toy();
    let (count, features) = (toy.train.1.len(), toy.features);
    let value = |row: usize, column: usize| f64::from(toy.train.0[row * features + column]);
    let mean = |column| (0..count).map(|row| value(row, column)).sum::<f64>() / count as f64;
    let means: Vec<f64> = (0..features).map(mean).collect();
    let square = |place: usize| (value(place / features, place % features) - means[place % features]).powi(2);
    let deviation = ((0..count * features).map(square).sum::<f64>() / (count * features) as f64).sqrt();
    let byte = |(&x, mean): (&f32, &f64)| {
        let byte = f64::from(x) * deviation + mean;
        assert!((byte - byte.round()).abs() < 1e-3, "{byte}");
        byte.round() as u8
    };
    x.rows().into_iter().map(|row| row.iter().zip(&means).map(byte).collect()).collect()
}

/// A toy image of 3 × 4 pixels, mirrored and moved.
fn placed(image: &[u8], down: isize, right: isize, mirrored: bool) -> Vec<u8> {
    let pixel = |place: isize| {
        let (y, x) = (place / 4 - down, place % 4 - right);
        let x = if mirrored { 3 - x } else { x };
        if (0..3).contains(&y) && (0..4).contains(&x) { image[(4 * y + x) as usize] } else { 0 }
    };
    (0..12).map(pixel).collect()
}

#[test]
fn each_training_image_is_one_that_was_moved_and_mirrored() {
    let plain = recorded(&varied(0, false));
    for (shift, flip) in [(2_isize, true), (1, false), (0, true)] {
        let varied = recorded(&varied(shift as usize, flip));
        let (mut moved, mut mirrored, mut same) = (0, 0, 0);
        for ((x, y), (plain_x, plain_y)) in varied.batches.iter().zip(&plain.batches) {
            assert_eq!(y, plain_y, "the order is the same");
            for (image, plain) in raw(x).iter().zip(raw(plain_x)) {
                let reach = -shift..=shift;
                let mut all = reach.clone().flat_map(|down| reach.clone().map(move |right| (down, right)));
                let found = all.find_map(|(down, right)| {
                    let mirrors: &[bool] = if flip { &[false, true] } else { &[false] };
                    let is = |mirror: &bool| *image == placed(&plain, down, right, *mirror);
                    mirrors.iter().copied().find(is).map(|mirror| ((down, right) != (0, 0), mirror))
                });
                let found = found.unwrap_or_else(|| panic!("{image:?} is not of {plain:?}"));
                moved += u32::from(found.0);
                mirrored += u32::from(found.1);
                same += u32::from(*image == plain);
            }
        }
        assert_eq!((moved > 30, mirrored > 20), (shift > 0, flip), "{shift} {flip}: {moved} {mirrored}");
        assert!(same < 60, "{same} of 78 as they were");
        assert!(raw(&varied.batches[0].0) != raw(&varied.batches[1].0));
    }
}

#[test]
fn what_is_measured_on_and_the_probe_stay_as_they_are() {
    for validation in [None, Some(6)] {
        let [plain, varied] =
            [varied(0, false), varied(2, true)].map(|config| recorded(&TrialConfig { validation, ..config }));
        assert!(plain.batches != varied.batches);
        assert_eq!(plain.snapshots[&0], varied.snapshots[&0]);
        assert!(plain.points[0].get("cos_g_bp.1").is_some());
        assert_eq!(plain.points[0], varied.points[0], "before training: test or validation, and diagnostics");
        assert_ne!(plain.points[1], varied.points[1]);
    }
}

#[test]
fn an_image_is_varied_alike_whatever_the_batch_size() {
    let rows = |batch_size| {
        let recorder = recorded(&TrialConfig { batch_size, ..varied(2, true) });
        recorder.batches.iter().flat_map(|(x, _)| raw(x)).collect::<Vec<_>>()
    };
    assert_eq!(rows(7), rows(26));
}

fn refused(config: &TrialConfig, task: &Task<'_>) -> String {
    match train(config, 0, task, &mut ()) {
        Err(TrainError::Config(violations)) => {
            assert_eq!(violations.len(), 1, "{violations:?}");
            violations[0].to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let toy = toy();
    assert!(train(&varied(2, false), 0, &toy.task(), &mut ()).is_ok());
    assert_eq!(
        refused(&varied(3, false), &toy.task()),
        "augment.shift is 3, expected at most 2, so that a part of each image of 3 × 4 pixels stays"
    );
    let no_images = Task { image: None, ..toy.task() };
    assert!(train(&varied(0, false), 0, &no_images, &mut ()).is_ok());
    for (shift, flip) in [(1, true), (0, true), (1, false)] {
        assert_eq!(
            refused(&varied(shift, flip), &no_images),
            format!(
                "augment is {{ shift = {shift}, flip = {flip} }}, expected none: the examples of this task are not \
                 known to be images"
            )
        );
    }
}

#[test]
fn a_shape_is_of_the_examples() {
    let toy = toy();
    let shape = |channels, height, width| ImageShape { channels, height, width };
    for image in [shape(1, 3, 5), shape(0, 3, 4), shape(usize::MAX, 2, 2), shape(12, 0, 1)] {
        let wrong = TaskError::ImageSize { image, features: 12 };
        assert_eq!(toy.task().with_image(image).err(), Some(wrong.clone()));
        let by_hand = Task { image: Some(image), ..toy.task() };
        assert_eq!(train(&small(&[4]), 0, &by_hand, &mut ()).err(), Some(TrainError::Task(wrong)));
    }
    assert!(toy.task().with_image(shape(2, 3, 2)).is_ok());
}

#[test]
fn a_checkpoint_is_of_images_of_its_shape_if_they_are_moved() {
    let toy: Toy = toy();
    let other = toy.task().with_image(ImageShape { channels: 3, height: 2, width: 2 }).unwrap();
    for (config, fits) in [(varied(1, false), false), (varied(0, false), true)] {
        let bytes = Trainer::new(&config, 0, &toy.task()).unwrap().checkpoint();
        match Trainer::resume(&config, 0, &other, &bytes) {
            Ok(_) => assert!(fits),
            Err(ResumeError::Checkpoint(CheckpointError::Mismatch { what, .. })) => {
                assert_eq!((what, fits), ("task hash", false));
            }
            Err(error) => panic!("{error}"),
        }
    }
}
