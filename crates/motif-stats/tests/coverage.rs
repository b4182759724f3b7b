//! Do 95 % intervals cover the truth in 95 % of samples? Simulated on normal data with a fixed seed.

use motif_stats::{Interval, student_t};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const RUNS: usize = 20_000;
const TRUTH: f64 = 0.9;
const SD: f64 = 0.02;

/// Standard normal (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

fn coverage(n: usize, interval: impl Fn(&[f64]) -> (f64, f64)) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let mut sample = vec![0.0; n];
    let mut covered = 0;
    for _ in 0..RUNS {
        sample.fill_with(|| TRUTH + SD * normal(&mut rng));
        let (low, high) = interval(&sample);
        covered += usize::from(low <= TRUTH && TRUTH <= high);
    }
    covered as f64 / RUNS as f64
}

fn ends(interval: Interval) -> (f64, f64) {
    (interval.low, interval.high)
}

#[test]
fn student_t_covers_what_it_says() {
    for n in [3, 5, 10] {
        let share = coverage(n, |x| ends(student_t(x, 0.95).unwrap()));
        assert!((0.94..=0.96).contains(&share), "n = {n}: {share}");
    }
}

/// The check above can fail: a fixed 1.96 in place of t covers about 81 % at n = 3.
#[test]
fn a_fixed_z_does_not() {
    let share = coverage(3, |x| {
        let d = motif_stats::describe(x).unwrap();
        let half = 1.96 * d.sd.unwrap() / 3.0_f64.sqrt();
        (d.mean - half, d.mean + half)
    });
    assert!((0.80..=0.825).contains(&share), "{share}");
}
