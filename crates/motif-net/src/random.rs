//! Seeded random streams: ChaCha8, one independent stream per purpose.
//!
//! A purpose is a name such as `init.w_bar.2` or `order.7`, so a new consumer never shifts another's numbers, and
//! two trials of the same seed share every stream they both use.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// One over 2⁵³: the spacing of the uniform numbers drawn.
const UNIFORM_STEP: f64 = 1.0 / (1_u64 << 53) as f64;

/// The stream of one (seed, purpose).
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// Key: the seed, little-endian, zero-padded. Stream number: the first 8 bytes of BLAKE3(purpose).
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        let digest = blake3::hash(purpose.as_bytes());
        let mut number = [0; 8];
        number.copy_from_slice(&digest.as_bytes()[..8]);
        rng.set_stream(u64::from_le_bytes(number));
        Self(rng)
    }

    /// Goes to word `word` (of 32 bits, counted from 0) of the stream, wherever it stands.
    pub(crate) fn seek(&mut self, word: u128) {
        self.0.set_word_pos(word);
    }

    /// Fills `out` with normal numbers of the given standard deviation (Box–Muller in f64).
    pub(crate) fn fill_normal(&mut self, out: &mut [f32], deviation: f64) {
        for pair in out.chunks_mut(2) {
            // The first uniform lies in (0, 1], so its logarithm is finite.
            let radius = (-2.0 * libm::log(self.uniform() + UNIFORM_STEP)).sqrt() * deviation;
            let angle = 2.0 * std::f64::consts::PI * self.uniform();
            pair[0] = (radius * libm::cos(angle)) as f32;
            if let Some(second) = pair.get_mut(1) {
                *second = (radius * libm::sin(angle)) as f32;
            }
        }
    }

    /// Fisher–Yates, from the last place down.
    pub(crate) fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// `count` of the numbers below `total`, all in order when `count` is absent, else the first of a shuffle.
    pub(crate) fn subset(&mut self, total: usize, count: Option<usize>) -> Vec<u32> {
        let mut rows: Vec<u32> = (0..total as u32).collect();
        if let Some(count) = count {
            self.shuffle(&mut rows);
            rows.truncate(count);
            rows.shrink_to_fit();
        }
        rows
    }

    /// A uniform number in [0, 1).
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * UNIFORM_STEP
    }

    /// A uniform number below `bound`: the high half of a 128-bit product, biased draws rejected.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let biased = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.0.next_u64()) * u128::from(bound);
            if wide as u64 >= biased {
                return (wide >> 64) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_its_seed_and_purpose() {
        let draw = |seed, purpose| Stream::new(seed, purpose).0.next_u64();
        assert_eq!(draw(3, "init.w.1"), draw(3, "init.w.1"));
        assert_ne!(draw(3, "init.w.1"), draw(4, "init.w.1"));
        assert_ne!(draw(3, "init.w.1"), draw(3, "init.w.2"));
    }

    #[test]
    fn any_word_is_reached_directly() {
        let mut through = Stream::new(3, "augment");
        let numbers: Vec<u64> = (0..200).map(|_| through.0.next_u64()).collect();
        let mut stream = Stream::new(3, "augment");
        for at in [199, 0, 63, 64, 65, 31] {
            stream.seek(2 * at as u128);
            assert_eq!(stream.0.next_u64(), numbers[at], "number {at}");
        }
    }

    #[test]
    fn normals_have_their_moments() {
        let mut numbers = vec![0.0; 100_001];
        Stream::new(1, "moments").fill_normal(&mut numbers, 2.0);
        let count = numbers.len() as f64;
        let mean = numbers.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = numbers.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count;
        let fourth = numbers.iter().map(|&x| f64::from(x).powi(4)).sum::<f64>() / count;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 4.0).abs() < 0.1, "{variance}");
        assert!((fourth / (variance * variance) - 3.0).abs() < 0.1, "{fourth}");
    }

    #[test]
    fn a_shuffle_permutes_and_spreads() {
        let mut counts = [[0_u32; 4]; 4];
        for seed in 0..4_000 {
            let mut items = [0, 1, 2, 3];
            Stream::new(seed, "order.0").shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                counts[place][item as usize] += 1;
            }
        }
        assert!(counts.iter().flatten().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }
}
