//! The built-in dataset is the same on every machine, balanced, and has something on every image.

use motif_data::glyphs::{self, GLYPHS_CLASSES, GLYPHS_HASH};
use motif_data::{Dataset, Split};

#[test]
fn the_pinned_hash_and_summary_are_those_of_what_is_generated() {
    let dataset = glyphs::generate();
    assert_eq!(dataset.content_hash(), GLYPHS_HASH);
    assert_eq!(dataset.summary(), glyphs::summary());
    assert_eq!(Dataset::from_bytes(&dataset.to_bytes()).unwrap(), dataset);
}

#[test]
fn classes_are_balanced_and_mixed() {
    let dataset = glyphs::generate();
    for (split, each) in [(dataset.train(), 1000), (dataset.test(), 200)] {
        let mut counts = vec![0; usize::from(GLYPHS_CLASSES)];
        split.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        assert_eq!(counts, vec![each; 10]);
        let repeats = split.labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((split.len() / 20..split.len() / 5).contains(&repeats), "{repeats} of {}", split.len());
    }
}

#[test]
fn every_image_has_ink_and_ground_and_no_two_are_alike() {
    let dataset = glyphs::generate();
    let images = |split: &Split| split.pixels.chunks_exact(784).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut all = images(dataset.train());
    all.extend(images(dataset.test()));
    for (index, image) in all.iter().enumerate() {
        let ink = image.iter().filter(|&&pixel| pixel > 100).count();
        assert!((15..300).contains(&ink), "example {index}: {ink} of 784 pixels are inked");
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 12_000);
}

/// Far below what a network reaches and far above chance: guards against shapes that no longer mean anything.
#[test]
fn the_nearest_class_mean_tells_the_classes_apart_poorly() {
    let dataset = glyphs::generate();
    let mut means = vec![vec![0.0_f64; 784]; 10];
    for (image, &label) in dataset.train().pixels.chunks_exact(784).zip(&dataset.train().labels) {
        for (mean, &pixel) in means[usize::from(label)].iter_mut().zip(image) {
            *mean += f64::from(pixel) / 1000.0;
        }
    }
    let distance = |image: &[u8], mean: &[f64]| -> f64 {
        image.iter().zip(mean).map(|(&pixel, mean)| (f64::from(pixel) - mean).powi(2)).sum()
    };
    let right = dataset
        .test()
        .pixels
        .chunks_exact(784)
        .zip(&dataset.test().labels)
        .filter(|(image, label)| {
            let distances: Vec<f64> = means.iter().map(|mean| distance(image, mean)).collect();
            distances
                .iter()
                .enumerate()
                .all(|(class, &d)| class == usize::from(**label) || d > distances[usize::from(**label)])
        })
        .count();
    assert!((1000..1500).contains(&right), "{right} of 2000");
}
