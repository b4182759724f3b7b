//! How often do 95 % intervals cover the truth? Simulated with fixed seeds. What is measured stands in COVERAGE.md, which
//! this test writes anew with `MOTIF_WRITE_COVERAGE=1` and compares otherwise.

use std::fmt::Write as _;

use motif_stats::{Bootstrap, Interval, compare, describe, interval::RESAMPLES_DEFAULT, student_t};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Samples of each table entry.
const RUNS: usize = 20_000;
/// The same for the bootstrap, which is slower.
const BOOTSTRAP_RUNS: usize = 4_000;
const LEVEL: f64 = 0.95;
const SIZES: [usize; 3] = [3, 5, 10];
/// Where a normal accuracy lies.
const TRUTH: f64 = 0.9;
const SD: f64 = 0.02;
const PUBLISHED: &str = include_str!("../COVERAGE.md");
/// Logarithms and cosines may differ in their last bit between machines, which may move a sample across an end.
const TOLERANCE: f64 = 0.0006;

fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Standard normal (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (-2.0 * uniform(rng).ln()).sqrt() * (std::f64::consts::TAU * uniform(rng)).cos()
}

/// What is sampled.
#[derive(Clone, Copy)]
enum Population {
    /// Normal.
    Normal,
    /// One less a Beta(2, 50) error: an accuracy near its ceiling.
    Bounded,
    /// One less an exponential error with mean 0.03.
    Skewed,
    /// Mostly near 0.9, one in ten at chance: some seeds do not learn.
    Failing,
}

impl Population {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Normal, "normal"),
        (Self::Bounded, "1 − Beta(2, 50)"),
        (Self::Skewed, "1 − exponential"),
        (Self::Failing, "0.9 ± 0.01, one in ten at 0.1"),
    ];

    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Normal => TRUTH + SD * normal(rng),
            // The second smallest of 51 uniforms is Beta(2, 50).
            Self::Bounded => {
                let (mut least, mut second) = (1.0_f64, 1.0_f64);
                for _ in 0..51 {
                    let x = uniform(rng);
                    (least, second) = if x < least { (x, least) } else { (least, second.min(x)) };
                }
                1.0 - second
            }
            Self::Skewed => 1.0 + 0.03 * uniform(rng).ln(),
            Self::Failing => {
                if uniform(rng) < 0.1 {
                    0.1
                } else {
                    0.9 + 0.01 * normal(rng)
                }
            }
        }
    }

    fn mean(self) -> f64 {
        match self {
            Self::Normal => TRUTH,
            Self::Bounded => 1.0 - 2.0 / 52.0,
            Self::Skewed => 0.97,
            Self::Failing => 0.82,
        }
    }
}

/// Part of the samples whose interval covers the mean; one without an interval covers nothing.
fn coverage(
    population: Population,
    n: usize,
    runs: usize,
    mut interval: impl FnMut(&[f64]) -> Option<(f64, f64)>,
) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let mut sample = vec![0.0; n];
    let mut covered = 0;
    for _ in 0..runs {
        sample.fill_with(|| population.draw(&mut rng));
        let covers = |(low, high)| low <= population.mean() && population.mean() <= high;
        covered += usize::from(interval(&sample).is_some_and(covers));
    }
    covered as f64 / runs as f64
}

fn ends(interval: Interval) -> (f64, f64) {
    (interval.low, interval.high)
}

fn by_t(sample: &[f64]) -> Option<(f64, f64)> {
    student_t(sample, LEVEL).map(ends)
}

/// What some trackers do.
fn by_z(sample: &[f64]) -> Option<(f64, f64)> {
    let d = describe(sample).ok()?;
    let half = 1.96 * d.sd? / (d.n as f64).sqrt();
    Some((d.mean - half, d.mean + half))
}

fn by_bca(bootstrap: &mut Bootstrap, sample: &[f64]) -> Option<(f64, f64)> {
    bootstrap.bca(sample, LEVEL).map(ends)
}

/// Differences of pairs that share their seed's ups and downs: two accuracies near their ceiling, 0.01 apart.
fn paired(n: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(100 + n as u64);
    let mut covered = 0;
    for _ in 0..RUNS {
        let pair = |rng: &mut ChaCha8Rng| {
            let shared = Population::Bounded.draw(rng);
            (shared + 0.01 + 0.005 * (Population::Skewed.draw(rng) - 0.97) / 0.03, shared)
        };
        let (a, b): (Vec<f64>, Vec<f64>) = (0..n).map(|_| pair(&mut rng)).unzip();
        let interval = compare(&a, &b, LEVEL).expect("usable values").interval.expect("n ≥ 2");
        covered += usize::from(interval.low <= 0.01 && 0.01 <= interval.high);
    }
    covered as f64 / RUNS as f64
}

/// Columns of the tables.
const COLUMNS: &str = "| values | n = 3 | n = 5 | n = 10 |\n|---|---|---|---|\n";

/// A table with one row for each population.
fn table(title: &str, runs: usize, mut of: impl FnMut(Population, usize) -> f64) -> String {
    let mut text = format!("## {title}\n\n{runs} samples each.\n\n{COLUMNS}");
    for (population, name) in Population::ALL {
        let shares = SIZES.map(|n| format!("{:.4}", of(population, n)));
        let _ = writeln!(text, "| {name} | {} |", shares.join(" | "));
    }
    text
}

fn measured() -> String {
    let mut text = "# How often 95 % intervals cover\n\nMeasured by `tests/coverage.rs`, which compares this file with what it \
                    measures: do not edit it; `MOTIF_WRITE_COVERAGE=1 cargo test --test coverage` writes it. A share of \
                    0.95 is what is promised.\n\n"
        .to_owned();
    text += &table("Student t (the default)", RUNS, |population, n| coverage(population, n, RUNS, by_t));
    let differences = SIZES.map(|n| format!("{:.4}", paired(n)));
    let _ = writeln!(text, "| paired differences, skewed | {} |\n", differences.join(" | "));
    let title = format!("BCa bootstrap of {RESAMPLES_DEFAULT} resamples");
    let mut bootstrap = Bootstrap::new(RESAMPLES_DEFAULT, 0).expect("resamples within bounds");
    text += &table(&title, BOOTSTRAP_RUNS, |population, n| {
        coverage(population, n, BOOTSTRAP_RUNS, |sample| by_bca(&mut bootstrap, sample))
    });
    text.push('\n');
    text += &table("Mean ± 1.96 standard errors (not offered)", RUNS, |population, n| {
        coverage(population, n, RUNS, by_z)
    });
    text += "\nFew seeds and a heavy tail defeat every method: where one seed in ten fails, three seeds see it in 27 % of \
             sweeps, and no interval can know of what it has not seen.\n";
    text
}

/// The shares of a text, and the text without them.
fn split(text: &str) -> (Vec<f64>, String) {
    let is_share = |cell: &&str| cell.len() == 6 && cell.starts_with("0.");
    let shares = text.split(['|', ' ', '\n']).filter(is_share).filter_map(|cell| cell.parse().ok()).collect();
    let rest =
        text.split(' ').map(|word| if is_share(&word) { "#" } else { word }).collect::<Vec<_>>().join(" ");
    (shares, rest)
}

#[test]
fn the_published_coverage_is_the_measured_one() {
    let measured = measured();
    if std::env::var_os("MOTIF_WRITE_COVERAGE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/COVERAGE.md"), &measured).unwrap();
        return;
    }
    let ((ours, words), (theirs, published)) = (split(&measured), split(PUBLISHED));
    assert_eq!(words, published);
    assert_eq!(ours.len(), theirs.len());
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert!((ours - theirs).abs() <= TOLERANCE, "share {at}: {ours}, published {theirs}");
    }
}

#[test]
fn student_t_covers_what_it_says() {
    for n in SIZES {
        let share = coverage(Population::Normal, n, RUNS, by_t);
        assert!((0.94..=0.96).contains(&share), "n = {n}: {share}");
    }
}

/// The check above can fail: a fixed 1.96 in place of t covers about 81 % at n = 3.
#[test]
fn a_fixed_z_does_not() {
    let share = coverage(Population::Normal, 3, RUNS, by_z);
    assert!((0.80..=0.825).contains(&share), "{share}");
}
