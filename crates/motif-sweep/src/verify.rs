//! Which trials a verification re-runs: a seeded random share.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Places, ascending, of a random `share` of `count` trials: the nearest whole number of them, at least one when there is
/// any. The same arguments always give the same places.
#[must_use]
pub fn share(count: usize, share: f64, seed: u64) -> Vec<usize> {
    let wanted = ((count as f64 * share).round() as usize).clamp(1.min(count), count);
    let mut key = blake3::Hasher::new_derive_key("motif share of trials to verify v1");
    key.update(&seed.to_le_bytes());
    let mut random = ChaCha8Rng::from_seed(*key.finalize().as_bytes());
    let mut places: Vec<usize> = (0..count).collect();
    // The first steps of a Fisher–Yates shuffle.
    for place in 0..wanted {
        let left = (count - place) as u128;
        let ahead = (u128::from(random.next_u64()) * left) >> 64;
        places.swap(place, place + usize::try_from(ahead).expect("below a length"));
    }
    places.truncate(wanted);
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_and_never_empty() {
        for (count, part, expected) in
            [(0, 0.5, 0), (1, 0.01, 1), (50, 0.1, 5), (50, 1.0, 50), (10, 0.26, 3), (3, 0.001, 1)]
        {
            let places = share(count, part, 0);
            assert_eq!(places.len(), expected, "{part} of {count}");
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]) && places.iter().all(|&p| p < count));
        }
    }

    #[test]
    fn a_share_depends_on_the_seed_alone_and_is_even() {
        assert_eq!(share(100, 0.1, 7), share(100, 0.1, 7));
        assert_ne!(share(100, 0.1, 7), share(100, 0.1, 8));
        let mut hits = [0u32; 20];
        for seed in 0..4000 {
            for place in share(20, 0.25, seed) {
                hits[place] += 1;
            }
        }
        // Each place with probability 1/4: 1000 ± 27 (one standard deviation).
        assert!(hits.iter().all(|&n| (850..1150).contains(&n)), "{hits:?}");
    }
}
