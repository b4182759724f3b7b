//! What must hold of any input.

use motif_stats::{
    Correction, Factor, Interval, Observation, adjust, align, anova, bca, compare, describe, equivalence,
    line, one_sample, student_t,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

const LEVEL: f64 = 0.95;

fn config() -> Config {
    Config {
        cases: 200,
        rng_seed: RngSeed::Fixed(20_260_501),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Values as metrics have them: of some size, often equal.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => -1e3..1e3_f64,
        1 => (-8..8_i8).prop_map(|k| f64::from(k) / 4.0),
        1 => (0..50_u8).prop_map(|k| f64::from(k) / 50.0),
    ]
}

fn sample(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(value(), n)
}

/// A vector and one of its orders.
fn shuffled<T: Clone + std::fmt::Debug + 'static>(
    s: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    s.prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle()))
}

fn close(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-9 * size.max(1.0)
}

fn moved(interval: Interval, scale: f64, shift: f64) -> (f64, f64) {
    let (x, y) = (interval.low * scale + shift, interval.high * scale + shift);
    if scale < 0.0 { (y, x) } else { (x, y) }
}

fn unzip(pairs: &[(f64, f64)]) -> (Vec<f64>, Vec<f64>) {
    pairs.iter().copied().unzip()
}

fn is_probability(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn order_of_a_sample_does_not_matter((x, y) in shuffled(sample(1..30)), seed in any::<u64>()) {
        prop_assert_eq!(describe(&x).unwrap(), describe(&y).unwrap());
        prop_assert_eq!(student_t(&x, LEVEL), student_t(&y, LEVEL));
        prop_assert_eq!(bca(&x, LEVEL, 50, seed), bca(&y, LEVEL, 50, seed));
    }

    #[test]
    fn order_of_pairs_does_not_matter(
        (x, y) in shuffled(proptest::collection::vec((value(), value()), 0..12)),
    ) {
        let ((a, b), (c, d)) = (unzip(&x), unzip(&y));
        prop_assert_eq!(compare(&a, &b, LEVEL).unwrap(), compare(&c, &d, LEVEL).unwrap());
    }

    #[test]
    fn order_does_not_matter_to_one_sample((x, y) in shuffled(sample(1..20)), margin in 0.1..100.0_f64) {
        prop_assert_eq!(one_sample(&x, LEVEL).unwrap(), one_sample(&y, LEVEL).unwrap());
        prop_assert_eq!(equivalence(&x, -margin, margin), equivalence(&y, -margin, margin));
        let test = one_sample(&x, LEVEL).unwrap();
        if let (Some(p), Some(greater)) = (test.p, test.p_greater) {
            prop_assert!(is_probability(p) && is_probability(greater));
            prop_assert!(close(p, 2.0 * greater.min(1.0 - greater), 1.0));
        }
    }

    #[test]
    fn order_does_not_matter_to_a_line(
        (x, y) in shuffled(proptest::collection::vec((value(), value()), 2..20)), scale in 0.25..4.0_f64,
    ) {
        let fit = line(&x);
        prop_assert_eq!(&fit, &line(&y));
        if let Ok(fit) = fit {
            let scaled: Vec<(f64, f64)> = x.iter().map(|(x, y)| (*x, y * scale)).collect();
            let slope = line(&scaled).unwrap().slope;
            prop_assert!(close(slope, fit.slope * scale, 1e3 * fit.slope.abs()));
            prop_assert!(fit.p.is_none_or(is_probability));
        }
    }

    #[test]
    fn intervals_move_with_the_sample(
        x in sample(2..20), scale in prop_oneof![-4.0..-0.25, 0.25..4.0_f64], shift in -1e3..1e3_f64,
    ) {
        let y: Vec<f64> = x.iter().map(|x| x * scale + shift).collect();
        let (before, after) = (student_t(&x, LEVEL).unwrap(), student_t(&y, LEVEL).unwrap());
        let (low, high) = moved(before, scale, shift);
        prop_assert!(close(after.low, low, 1e5) && close(after.high, high, 1e5));
        let (dx, dy) = (describe(&x).unwrap(), describe(&y).unwrap());
        prop_assert!(close(dy.iqm, dx.iqm * scale + shift, 1e4));
        prop_assert!(close(dy.median, dx.median * scale + shift, 1e4));
        prop_assert!(close(dy.sd.unwrap(), dx.sd.unwrap() * scale.abs(), 1e4));
    }

    #[test]
    fn bca_moves_with_the_sample(x in sample(2..12), power in -3..4_i32, seed in any::<u64>()) {
        // Powers of two keep every rounding: the resamples are the same and so must the ends be.
        let scale = 2.0_f64.powi(power);
        let y: Vec<f64> = x.iter().map(|x| x * scale).collect();
        let (before, after) = (bca(&x, LEVEL, 200, seed), bca(&y, LEVEL, 200, seed));
        prop_assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            prop_assert!(close(after.low, before.low * scale, 1.0) && close(after.high, before.high * scale, 1.0));
            let d = describe(&x).unwrap();
            prop_assert!(d.min <= before.low && before.low <= before.high && before.high <= d.max);
        }
    }

    #[test]
    fn summaries_lie_within_the_sample(x in sample(1..30)) {
        let d = describe(&x).unwrap();
        for inside in [d.mean, d.median, d.iqm] {
            prop_assert!(d.min <= inside && inside <= d.max);
        }
        if let Some(t) = student_t(&x, LEVEL) {
            prop_assert!(t.low <= d.mean && d.mean <= t.high);
            prop_assert!(student_t(&x, 0.99).unwrap().half_width() >= t.half_width());
        }
    }

    #[test]
    fn p_values_are_probabilities_and_do_not_take_sides(
        pairs in proptest::collection::vec((value(), value()), 1..30),
    ) {
        let (a, b) = unzip(&pairs);
        let (ab, ba) = (compare(&a, &b, LEVEL).unwrap(), compare(&b, &a, LEVEL).unwrap());
        if let Some(t) = ab.t {
            prop_assert!(is_probability(t.p));
            let mirrored = ba.t.unwrap();
            prop_assert!(close(t.t, -mirrored.t, t.t.abs()) && close(t.p, mirrored.p, 1.0));
        }
        if let Some(w) = ab.wilcoxon {
            prop_assert!(is_probability(w.p) && w.p > 0.0);
            prop_assert_eq!(Some(w), ba.wilcoxon);
            prop_assert_eq!(w.n_used + w.zeros, pairs.len());
        }
        if let Some(p) = ab.permutation {
            prop_assert!(p.p >= p.smallest_p && p.p <= 1.0);
            prop_assert_eq!(Some(p), ba.permutation);
        }
        prop_assert!(close(ab.superiority.unwrap() + ba.superiority.unwrap(), 1.0, 1.0));
    }

    #[test]
    fn adjusting_keeps_order_and_never_lowers(
        p in proptest::collection::vec(proptest::option::weighted(0.8, 0.0..=1.0_f64), 0..20),
    ) {
        let holm = adjust(Correction::Holm, &p).unwrap();
        let bh = adjust(Correction::BenjaminiHochberg, &p).unwrap();
        prop_assert_eq!(holm.tests + holm.missing, p.len());
        for (i, raw) in p.iter().enumerate() {
            let (Some(raw), Some(holm_p), Some(bh_p)) = (raw, holm.p[i], bh.p[i]) else {
                prop_assert!(raw.is_none() && holm.p[i].is_none() && bh.p[i].is_none());
                continue;
            };
            prop_assert!(*raw <= bh_p && bh_p <= holm_p + 1e-15 && holm_p <= 1.0);
            for (j, other) in p.iter().enumerate() {
                if other.is_some_and(|other| other >= *raw) {
                    prop_assert!(holm.p[j].unwrap() >= holm_p && bh.p[j].unwrap() >= bh_p);
                }
            }
        }
    }

    #[test]
    fn order_of_seeds_does_not_matter_to_a_curve(
        (x, y) in shuffled(proptest::collection::vec(
            proptest::collection::vec((0..6_u64, value()), 0..8), 0..6)),
    ) {
        prop_assert_eq!(align(&x, LEVEL), align(&y, LEVEL));
    }

    #[test]
    fn anova_parts_sum_to_the_whole(
        values in proptest::collection::vec(value(), 3 * 2 * 2), swap in any::<proptest::sample::Index>(),
    ) {
        let factors = [("a", 3), ("b", 2)].map(|(name, levels)| Factor { name: name.to_owned(), levels });
        let observations: Vec<Observation> = values
            .iter()
            .enumerate()
            .map(|(i, &value)| Observation { levels: vec![i / 4, i / 2 % 2], value })
            .collect();
        let table = anova(&factors, &observations).unwrap();
        let parts = table.effects.iter().map(|e| e.sum_sq).sum::<f64>() + table.residual.sum_sq;
        prop_assert!(close(parts, table.total_sum_sq, table.total_sum_sq));
        for e in &table.effects {
            prop_assert!(e.p.is_none_or(is_probability) && e.eta_sq.is_none_or(|eta| eta <= 1.0 + 1e-12));
        }
        let mut rotated = observations;
        let by = swap.index(rotated.len());
        rotated.rotate_left(by);
        prop_assert_eq!(anova(&factors, &rotated).unwrap(), table);
    }
}
