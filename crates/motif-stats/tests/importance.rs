//! Importance on functions whose shares are known.

use std::f64::consts::PI;

use motif_stats::{ImportanceError, Place, importance};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Random places of `variables` uniform variables, as ranks, with the value of a function there.
fn places(n: usize, variables: usize, seed: u64, of: impl Fn(&[f64]) -> f64) -> Vec<Place> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let x: Vec<Vec<f64>> = (0..n).map(|_| (0..variables).map(|_| uniform(&mut rng)).collect()).collect();
    let rank = |value: f64, variable: usize| {
        u32::try_from(x.iter().filter(|row| row[variable] < value).count()).expect("few places")
    };
    x.iter()
        .map(|row| Place {
            levels: row.iter().enumerate().map(|(variable, &value)| rank(value, variable)).collect(),
            value: of(row),
        })
        .collect()
}

/// Ishigami & Homma's function with a = 7, b = 0.1: first-order Sobol indices 0.3139, 0.4424 and 0, the rest is an
/// interaction of the first and the third variable (Saltelli et al. 2008, *Global Sensitivity Analysis*).
fn ishigami(x: &[f64]) -> f64 {
    let at = |i: usize| PI * (2.0 * x[i] - 1.0);
    at(0).sin() + 7.0 * at(1).sin().powi(2) + 0.1 * at(2).powi(4) * at(0).sin()
}

/// Trees smooth what they have learned from 2000 places: the order is right and what does nothing has nothing.
#[test]
fn shares_are_near_the_sobol_indices_of_a_known_function() {
    let found = importance(&places(2_000, 4, 1, ishigami), 0).unwrap();
    assert!(found.r_squared.unwrap() > 0.9, "{found:?}");
    for (share, known) in found.main.iter().zip([0.3139, 0.4424, 0.0, 0.0]) {
        assert!((share - known).abs() < 0.1, "{found:?}");
    }
    assert!((found.interactions - 0.2437).abs() < 0.1, "{found:?}");
    assert!(found.main[1] > found.main[0] && found.main[2] < 0.02 && found.main[3] < 0.01, "{found:?}");
}

#[test]
fn a_model_of_noise_says_that_it_is_useless() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut noise = places(200, 3, 2, |_| 0.0);
    noise.iter_mut().for_each(|place| place.value = uniform(&mut rng));
    let found = importance(&noise, 0).unwrap();
    assert!(found.r_squared.unwrap() < 0.05, "{found:?}");
}

#[test]
fn the_order_of_places_does_not_matter_and_the_seed_hardly() {
    let mut all = places(300, 3, 3, |x| 3.0 * x[0] + x[1]);
    let found = importance(&all, 7).unwrap();
    all.reverse();
    assert_eq!(importance(&all, 7).unwrap(), found);
    let other = importance(&all, 8).unwrap();
    assert_ne!(other, found);
    for (a, b) in found.main.iter().zip(&other.main) {
        assert!((a - b).abs() < 0.03, "{found:?} {other:?}");
    }
    // Variances 9 : 1 : 0.
    assert!((found.main[0] - 0.9).abs() < 0.05 && found.main[2] < 0.03, "{found:?}");
}

#[test]
fn what_cannot_be_said_is_refused() {
    let some = |n: usize, value: f64| vec![Place { levels: vec![0], value }; n];
    assert_eq!(importance(&some(15, 1.0), 0), Err(ImportanceError::Few { n: 15 }));
    assert_eq!(importance(&some(16, 1.0), 0), Err(ImportanceError::Flat { n: 16 }));
    let mut bad = some(16, 1.0);
    bad[3].value = f64::NAN;
    assert!(matches!(importance(&bad, 0), Err(ImportanceError::Value { index: 3, .. })));
    bad[3] = Place { levels: vec![], value: 2.0 };
    assert_eq!(importance(&bad, 0), Err(ImportanceError::Arity { index: 3, found: 0, expected: 1 }));
    let levels = |i: u32| vec![i % 2];
    let only: Vec<Place> = (0..16).map(|i| Place { levels: levels(i), value: f64::from(i % 2) }).collect();
    let found = importance(&only, 0).unwrap();
    assert!((found.main[0] - 1.0).abs() < 1e-12 && found.interactions < 1e-12, "{found:?}");
}
