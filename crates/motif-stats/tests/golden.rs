//! Every figure against scipy and statsmodels, to 1e-9 relative. `golden/make_golden.py` made the values.

use motif_stats::{
    Correction, Factor, Observation, adjust, align, anova, anova_in_blocks, compare, describe, equivalence,
    line, one_sample, student_t,
};
use serde_json::Value;

fn golden(section: &str) -> Vec<Value> {
    let golden: Value =
        serde_json::from_str(include_str!("golden/golden.json")).expect("golden.json is JSON");
    let cases = array(&golden[section]).to_vec();
    assert!(!cases.is_empty());
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    array(value).iter().map(|v| v.as_f64().expect("a number")).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

#[track_caller]
fn assert_close(ours: f64, case: &Value, key: &str) {
    let theirs = case[key].as_f64().unwrap_or_else(|| panic!("no {key}"));
    // Below the second bound both are zero: scipy's own rounding around it is not a figure.
    assert!(
        (ours - theirs).abs() <= 1e-9 * theirs.abs() + 1e-300,
        "{key} of {}: {ours:e} is not {theirs:e}",
        case["name"]
    );
}

#[test]
fn describe_and_student_t() {
    for case in golden("describe") {
        let x = numbers(&case["x"]);
        let d = describe(&x).unwrap();
        assert_eq!(d.n as u64, case["n"].as_u64().unwrap());
        assert_close(d.mean, &case, "mean");
        assert_close(d.sd.unwrap(), &case, "sd");
        assert_close(d.median, &case, "median");
        assert_close(d.iqm, &case, "iqm");
        for expected in array(&case["intervals"]) {
            let interval = student_t(&x, expected["level"].as_f64().unwrap()).unwrap();
            assert_close(interval.low, expected, "low");
            assert_close(interval.high, expected, "high");
        }
    }
}

#[test]
fn paired_comparison() {
    for case in golden("paired") {
        let c = compare(&numbers(&case["a"]), &numbers(&case["b"]), 0.95).unwrap();
        assert_close(c.mean_difference.unwrap(), &case, "mean_difference");
        let interval = c.interval.unwrap();
        assert_close(interval.low, &case, "low");
        assert_close(interval.high, &case, "high");
        let t = c.t.unwrap();
        assert_close(t.t, &case, "t");
        assert_eq!(t.df as u64, case["df"].as_u64().unwrap());
        assert_close(t.p, &case, "t_p");
        let w = c.wilcoxon.unwrap();
        assert_close(w.statistic, &case, "w");
        assert_close(w.p, &case, "w_p");
        assert_eq!(serde_json::to_value(w.method).unwrap(), case["w_method"], "{}", case["name"]);
        assert_eq!(c.permutation.is_some(), !case["flip_p"].is_null());
        if let Some(permutation) = c.permutation {
            assert_close(permutation.p, &case, "flip_p");
        }
        assert_close(c.d_z.unwrap(), &case, "d_z");
        assert_close(c.superiority.unwrap(), &case, "superiority");
    }
}

#[test]
fn one_sample_and_equivalence() {
    for case in golden("one_sample") {
        let x = numbers(&case["x"]);
        let ours = one_sample(&x, 0.95).unwrap();
        assert_eq!(ours.n, x.len());
        assert_close(ours.mean, &case, "mean");
        assert_close(ours.sd.unwrap(), &case, "sd");
        let interval = ours.interval.unwrap();
        assert_close(interval.low, &case, "low");
        assert_close(interval.high, &case, "high");
        assert_close(ours.t.unwrap(), &case, "t");
        assert_close(ours.p.unwrap(), &case, "p");
        assert_close(ours.p_greater.unwrap(), &case, "p_greater");
        let bounds = numbers(&case["bounds"]);
        let ours = equivalence(&x, bounds[0], bounds[1]).unwrap();
        assert_close(ours.p_above_low, &case, "tost_above");
        assert_close(ours.p_below_high, &case, "tost_below");
        assert_close(ours.p, &case, "tost_p");
    }
}

#[test]
fn least_squares_line() {
    for case in golden("line") {
        let points: Vec<(f64, f64)> = numbers(&case["x"]).into_iter().zip(numbers(&case["y"])).collect();
        let ours = line(&points).unwrap();
        assert_close(ours.slope, &case, "slope");
        assert_close(ours.intercept, &case, "intercept");
        assert_close(ours.slope_se.unwrap(), &case, "slope_se");
        assert_close(ours.t.unwrap(), &case, "t");
        assert_close(ours.p.unwrap(), &case, "p");
    }
}

#[test]
fn adjusted_p_values() {
    for case in golden("adjusted") {
        let p: Vec<Option<f64>> = numbers(&case["p"]).into_iter().map(Some).collect();
        for (correction, key) in
            [(Correction::Holm, "holm"), (Correction::BenjaminiHochberg, "benjamini_hochberg")]
        {
            let ours = adjust(correction, &p).unwrap().p;
            for (ours, theirs) in ours.iter().zip(numbers(&case[key])) {
                assert!((ours.unwrap() - theirs).abs() <= 1e-9 * theirs, "{key}: {ours:?} is not {theirs}");
            }
        }
    }
}

#[test]
fn anova_table() {
    for case in golden("anova") {
        let factors: Vec<Factor> = array(&case["levels"])
            .iter()
            .enumerate()
            .map(|(i, levels)| Factor { name: format!("f{i}"), levels: levels.as_u64().unwrap() as usize })
            .collect();
        let observations: Vec<Observation> = array(&case["cells"])
            .iter()
            .zip(numbers(&case["y"]))
            .map(|(cell, value)| Observation {
                levels: numbers(cell).iter().map(|&level| level as usize).collect(),
                value,
            })
            .collect();
        let table = anova(&factors, &observations).unwrap();
        assert_close(table.total_sum_sq, &case, "total");
        assert_close(table.residual.sum_sq, &case["residual"], "sum_sq");
        assert_eq!(table.residual.df as u64, case["residual"]["df"].as_u64().unwrap());
        let expected = array(&case["effects"]);
        assert_eq!(table.effects.len(), expected.len());
        for (ours, theirs) in table.effects.iter().zip(expected) {
            assert_eq!(serde_json::to_value(&ours.factors).unwrap(), theirs["factors"]);
            assert_eq!(ours.df as u64, theirs["df"].as_u64().unwrap());
            assert_close(ours.sum_sq, theirs, "sum_sq");
            assert_close(ours.eta_sq.unwrap(), theirs, "eta_sq");
            assert_close(ours.f.unwrap(), theirs, "f");
            assert_close(ours.p.unwrap(), theirs, "p");
        }
    }
}

#[test]
fn anova_table_in_blocks() {
    for case in golden("blocked") {
        let factor =
            |name: String, levels: &Value| Factor { name, levels: levels.as_u64().unwrap() as usize };
        let factors: Vec<Factor> = array(&case["levels"])
            .iter()
            .enumerate()
            .map(|(i, levels)| factor(format!("f{i}"), levels))
            .collect();
        let levels = |cell| numbers(cell).iter().map(|&level| level as usize).collect();
        let observations: Vec<Observation> = array(&case["cells"])
            .iter()
            .zip(numbers(&case["y"]))
            .map(|(cell, value)| Observation { levels: levels(cell), value })
            .collect();
        let table = anova_in_blocks(&factor("seed".into(), &case["seeds"]), &factors, &observations).unwrap();
        assert_close(table.residual.sum_sq, &case["residual"], "sum_sq");
        assert_eq!(table.residual.df as u64, case["residual"]["df"].as_u64().unwrap());
        let ours = table.blocks.iter().chain(&table.effects);
        assert_eq!(ours.clone().count(), array(&case["effects"]).len());
        for (ours, theirs) in ours.zip(array(&case["effects"])) {
            assert_eq!(serde_json::to_value(&ours.factors).unwrap(), theirs["factors"]);
            assert_eq!(ours.df as u64, theirs["df"].as_u64().unwrap());
            assert_close(ours.sum_sq, theirs, "sum_sq");
            assert_close(ours.eta_sq.unwrap(), theirs, "eta_sq");
            assert_close(ours.partial_eta_sq.unwrap(), theirs, "partial_eta_sq");
            assert_close(ours.f.unwrap(), theirs, "f");
            assert_close(ours.p.unwrap(), theirs, "p");
        }
    }
}

#[test]
fn curve_over_seeds() {
    for case in golden("curve") {
        let series: Vec<Vec<(u64, f64)>> = array(&case["series"])
            .iter()
            .map(|one| array(one).iter().map(|p| (p[0].as_u64().unwrap(), p[1].as_f64().unwrap())).collect())
            .collect();
        let curve = align(&series, 0.95);
        assert_eq!(curve.points.len(), array(&case["points"]).len());
        for (ours, theirs) in curve.points.iter().zip(array(&case["points"])) {
            assert_eq!(ours.step, theirs["step"].as_u64().unwrap());
            assert_eq!(ours.n as u64, theirs["n"].as_u64().unwrap());
            assert_close(ours.mean.unwrap(), theirs, "mean");
            assert_eq!(ours.low.is_some(), ours.n >= 2);
            if let (Some(low), Some(high)) = (ours.low, ours.high) {
                assert_close(low, theirs, "low");
                assert_close(high, theirs, "high");
            }
        }
    }
}
