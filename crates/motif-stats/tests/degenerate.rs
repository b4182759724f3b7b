//! Where a figure does not exist, it is absent or refused: never NaN, never a panic.

use motif_stats::paired::WilcoxonMethod;
use motif_stats::{
    AnovaError, Correction, Factor, MAGNITUDE_MAX, Observation, OneSampleError, PairedError, SampleError,
    adjust, align, anova, bca, compare, describe, equivalence, line, one_sample, student_t,
};

const LEVEL: f64 = 0.95;

#[test]
fn one_value_has_no_spread_and_no_interval() {
    let d = describe(&[0.9]).unwrap();
    assert_eq!((d.n, d.mean, d.sd, d.median, d.iqm), (1, 0.9, None, 0.9, 0.9));
    assert_eq!(student_t(&[0.9], LEVEL), None);
    assert_eq!(bca(&[0.9], LEVEL, 1000, 1), None);
    assert_eq!(describe(&[]), Err(SampleError::Empty));
    assert_eq!(student_t(&[], LEVEL), None);
}

#[test]
fn unusable_arguments_have_no_interval() {
    let x = [1.0, 2.0, 3.0];
    for level in [0.0, 1.0, -0.5, 95.0, f64::NAN] {
        assert_eq!(student_t(&x, level), None, "{level}");
        assert_eq!(bca(&x, level, 1000, 1), None, "{level}");
    }
    assert_eq!(bca(&x, LEVEL, 0, 1), None);
    assert_eq!(bca(&x, LEVEL, usize::MAX, 1), None);
    assert_eq!(student_t(&[1.0, f64::NAN, 3.0], LEVEL), None);
    assert_eq!(bca(&[1.0, f64::INFINITY], LEVEL, 1000, 1), None);
}

#[test]
fn equal_values_have_an_interval_of_width_zero() {
    for interval in [student_t(&[0.1; 3], LEVEL).unwrap(), bca(&[0.1; 3], LEVEL, 100, 1).unwrap()] {
        assert_eq!((interval.low, interval.high, interval.n), (0.1, 0.1, 3));
    }
}

#[test]
fn one_resample_is_too_few_or_gives_numbers() {
    for seed in 0..50 {
        if let Some(interval) = bca(&[1.0, 2.0, 7.0], LEVEL, 1, seed) {
            assert!(interval.low.is_finite() && interval.high.is_finite());
        }
    }
}

#[test]
fn no_pairs_say_nothing() {
    let c = compare(&[], &[], LEVEL).unwrap();
    assert_eq!((c.n, c.mean_a, c.mean_b, c.mean_difference, c.interval), (0, None, None, None, None));
    assert_eq!((c.t, c.wilcoxon, c.permutation, c.d_z, c.superiority), (None, None, None, None, None));
}

#[test]
fn one_pair_has_a_difference_and_no_evidence() {
    let c = compare(&[0.9], &[0.8], LEVEL).unwrap();
    assert_eq!((c.interval, c.t, c.d_z, c.superiority), (None, None, None, Some(1.0)));
    assert_eq!(c.wilcoxon.unwrap().p, 1.0);
    assert_eq!(c.permutation.unwrap().p, 1.0);
    assert_eq!(c.permutation.unwrap().smallest_p, 1.0);
}

#[test]
fn equal_samples_have_no_ranks() {
    let c = compare(&[0.5, 0.6, 0.7], &[0.5, 0.6, 0.7], LEVEL).unwrap();
    assert_eq!((c.mean_difference, c.t, c.wilcoxon, c.d_z), (Some(0.0), None, None, None));
    assert_eq!((c.permutation.unwrap().p, c.superiority), (1.0, Some(0.5)));
}

/// 0.9 − 0.8, 0.8 − 0.7 and 0.4 − 0.3 differ in their last bits; taken at face value t would be about 1e15.
#[test]
fn differences_equal_but_for_rounding_are_equal() {
    let (a, b) = ([0.9, 0.8, 0.4], [0.8, 0.7, 0.3]);
    assert_ne!(a[0] - b[0], a[1] - b[1]);
    let c = compare(&a, &b, LEVEL).unwrap();
    assert_eq!((c.t, c.d_z, c.interval.unwrap().half_width()), (None, None, 0.0));
    let w = c.wilcoxon.unwrap();
    assert!(w.ties);
    assert_eq!((w.method, w.p), (WilcoxonMethod::ExactConditional, 0.25));
    let zero = compare(&[0.1 + 0.2, 1.0], &[0.3, 0.5], LEVEL).unwrap();
    assert_eq!((zero.wilcoxon.unwrap().zeros, zero.superiority), (1, Some(0.75)));
}

#[test]
fn unusable_samples_are_named() {
    assert_eq!(compare(&[1.0], &[], LEVEL), Err(PairedError::Length { a: 1, b: 0 }));
    assert_eq!(compare(&[1.0], &[1.0], 95.0), Err(PairedError::Level { level: 95.0 }));
    assert!(matches!(
        compare(&[1.0, 2.0], &[1.0, f64::NAN], LEVEL),
        Err(PairedError::Sample { side: "b", source: SampleError::OutOfRange { index: 1, .. } })
    ));
}

#[test]
fn the_largest_values_overflow_nothing() {
    let m = MAGNITUDE_MAX;
    let (a, b) = ([m, -m, m, 0.5 * m], [-m, m, 0.0, m]);
    let c = serde_json::to_value(compare(&a, &b, LEVEL).unwrap()).unwrap();
    assert!(c["t"]["p"].is_f64() && c["interval"]["low"].is_f64() && c["d_z"].is_f64(), "{c}");
    let d = serde_json::to_value(describe(&a).unwrap()).unwrap();
    assert!(d["mean"].is_f64() && d["sd"].is_f64(), "{d}");
    assert!(bca(&a, LEVEL, 200, 1).unwrap().half_width().is_finite());
}

#[test]
fn one_value_and_equal_values_are_tested_against_nothing() {
    for x in [&[0.9][..], &[0.1; 3]] {
        let test = one_sample(x, LEVEL).unwrap();
        assert_eq!((test.n, test.mean, test.t, test.p, test.p_greater), (x.len(), x[0], None, None, None));
        assert_eq!(equivalence(x, -1.0, 1.0), Err(OneSampleError::NoSpread { n: x.len() }));
    }
    assert_eq!(one_sample(&[], LEVEL), Err(OneSampleError::Sample(SampleError::Empty)));
    assert_eq!(one_sample(&[1.0, 2.0], 95.0), Err(OneSampleError::Level { level: 95.0 }));
    assert_eq!(equivalence(&[1.0, 2.0], 1.0, 1.0), Err(OneSampleError::Bounds { low: 1.0, high: 1.0 }));
    assert!(matches!(equivalence(&[1.0, 2.0], f64::NAN, 1.0), Err(OneSampleError::Bounds { .. })));
}

#[test]
fn a_line_needs_two_places_and_scatter() {
    let exact = line(&[(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]).unwrap();
    assert!((exact.slope - 0.1).abs() < 1e-15);
    assert_eq!((exact.slope_se, exact.t, exact.p), (None, None, None));
    assert_eq!(line(&[(0.0, 1.0), (1.0, 3.0)]).unwrap().t, None);
    assert_eq!(line(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]).unwrap().slope, 0.0);
    assert_eq!(line(&[(2.0, 1.0), (2.0, 3.0)]), Err(OneSampleError::NoSpread { n: 2 }));
    assert_eq!(line(&[]), Err(OneSampleError::Sample(SampleError::Empty)));
    assert!(line(&[(1e100, -1e100), (-1e100, 1e100), (0.0, 1e99)]).unwrap().t.unwrap().is_finite());
}

#[test]
fn permutation_ends_at_sixteen_pairs() {
    let a: Vec<f64> = (1..=17).map(f64::from).collect();
    let zero = [0.0; 17];
    let c = compare(&a[..16], &zero[..16], LEVEL).unwrap().permutation.unwrap();
    assert_eq!((c.p, c.flips), (2.0 / 65536.0, 65536));
    assert_eq!(compare(&a, &zero, LEVEL).unwrap().permutation, None);
}

#[test]
fn p_values_are_checked_and_may_be_missing() {
    assert!(adjust(Correction::Holm, &[]).unwrap().p.is_empty());
    let all_missing = adjust(Correction::BenjaminiHochberg, &[None, None]).unwrap();
    assert_eq!((all_missing.tests, all_missing.missing, all_missing.p), (0, 2, vec![None, None]));
    for bad in [-0.1, 1.1, f64::NAN] {
        assert_eq!(adjust(Correction::Holm, &[None, Some(bad)]).unwrap_err().index, 1);
    }
}

#[test]
fn curves_count_what_they_leave_out() {
    let series = [vec![(0, 1.0), (5, f64::NAN), (5, 2.0)], vec![(0, f64::INFINITY), (5, 4.0)], vec![]];
    let curve = align(&series, LEVEL);
    assert_eq!((curve.seeds, curve.points.len()), (3, 2));
    let [first, second] = curve.points[..] else { panic!("two steps") };
    assert_eq!((first.step, first.n, first.unusable, first.mean, first.low), (0, 1, 1, Some(1.0), None));
    assert_eq!((second.step, second.n, second.unusable, second.mean), (5, 2, 0, Some(3.0)));
    let hopeless = align(&[[(7, f64::NAN)]], LEVEL);
    assert_eq!((hopeless.points[0].n, hopeless.points[0].mean), (0, None));
    assert_eq!(align(&series, 2.0).points[1].low, None);
}

fn factor(levels: usize) -> Factor {
    Factor { name: "rate".to_owned(), levels }
}

fn at(levels: &[usize], value: f64) -> Observation {
    Observation { levels: levels.to_vec(), value }
}

#[test]
fn designs_with_holes_are_refused_and_the_hole_named() {
    let two = [factor(2), factor(2)];
    let full = [at(&[0, 0], 1.0), at(&[0, 1], 2.0), at(&[1, 0], 3.0), at(&[1, 1], 5.0)];
    let hole = |cell: &[usize], found, other: &[usize], expected| {
        Err(AnovaError::Unbalanced { cell: cell.to_vec(), found, other: other.to_vec(), expected })
    };
    assert_eq!(anova(&two, &full[..3]), hole(&[1, 1], 0, &[0, 0], 1));
    let mut twice = full.to_vec();
    twice.push(at(&[1, 0], 3.5));
    assert_eq!(anova(&two, &twice), hole(&[0, 0], 1, &[1, 0], 2));
    let huge = vec![factor(usize::MAX); 3];
    assert_eq!(anova(&huge, &[at(&[0, 0, 0], 1.0)]), hole(&[0, 0, 1], 0, &[0, 0, 0], 1));
}

#[test]
fn bad_designs_are_refused() {
    assert_eq!(anova(&[], &[]), Err(AnovaError::NoFactors));
    assert_eq!(anova(&[factor(2)], &[]), Err(AnovaError::NoObservations));
    assert!(matches!(anova(&[factor(1)], &[]), Err(AnovaError::FewLevels { levels: 1, .. })));
    assert!(matches!(anova(&[factor(2)], &[at(&[0, 0], 1.0)]), Err(AnovaError::Arity { found: 2, .. })));
    assert!(matches!(anova(&[factor(2)], &[at(&[2], 1.0)]), Err(AnovaError::Level { level: 2, .. })));
    assert!(matches!(anova(&[factor(2)], &[at(&[0], f64::NAN)]), Err(AnovaError::Value { index: 0, .. })));
}

#[test]
fn without_residual_there_is_importance_and_no_test() {
    let table = anova(&[factor(2)], &[at(&[0], 1.0), at(&[1], 2.0)]).unwrap();
    assert_eq!((table.residual.df, table.residual.mean_sq), (0, None));
    assert_eq!((table.effects[0].eta_sq, table.effects[0].f, table.effects[0].p), (Some(1.0), None, None));

    let exact = anova(&[factor(2)], &[at(&[0], 0.1), at(&[0], 0.1), at(&[1], 0.3), at(&[1], 0.3)]).unwrap();
    assert_eq!((exact.residual.df, exact.residual.sum_sq, exact.effects[0].f), (2, 0.0, None));

    let flat: Vec<_> = [0, 0, 1, 1].iter().map(|&level| at(&[level], 0.1)).collect();
    let table = anova(&[factor(2)], &flat).unwrap();
    assert_eq!((table.total_sum_sq, table.effects[0].eta_sq, table.effects[0].f), (0.0, None, None));
}
