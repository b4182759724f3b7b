//! Every condition against the baseline, paired on shared seeds, corrected over the family.

use std::collections::BTreeMap;

use motif_stats::{Correction, PairedComparison};
use motif_wire::statistics::{ComparisonRow, Comparisons, DivergedPolicy, SeedValue};

use super::{LEVEL, Material, censored, higher_is_better, interval_row};

/// Most pairs that the exact sign-flip test takes.
const PERMUTATION_MAX_PAIRS: usize = 16;

/// A sweep's tests against its baseline.
pub(crate) fn comparisons(
    material: &Material,
    metric: &str,
    diverged: DivergedPolicy,
    correction: Correction,
) -> Comparisons {
    let baseline = material.sweep.baseline;
    let rows =
        baseline.map_or_else(Vec::new, |baseline| rows(material, metric, diverged, correction, baseline));
    let tested = rows.iter().filter(|row| row.p_t.is_some()).count();
    Comparisons {
        sweep_id: material.sweep.id.0,
        metric: metric.to_owned(),
        baseline,
        correction: match correction {
            Correction::Holm => "holm".to_owned(),
            Correction::BenjaminiHochberg => "benjamini_hochberg".to_owned(),
        },
        family: format!(
            "the paired t tests of {metric} of all conditions of this sweep against the baseline: {tested} with a p-value, \
             of {} comparisons",
            rows.len()
        ),
        rows,
    }
}

fn rows(
    material: &Material,
    metric: &str,
    diverged: DivergedPolicy,
    correction: Correction,
    baseline: u32,
) -> Vec<ComparisonRow> {
    let values = material.values(metric, diverged);
    let base: BTreeMap<u64, f64> = by_seed(values.get(&baseline));
    let stopped = material.stopped();
    let mut rows: Vec<_> = material
        .conditions
        .iter()
        .filter(|condition| condition.index != baseline)
        .map(|condition| {
            let own = by_seed(values.get(&condition.index));
            let (mut a, mut b) = (Vec::new(), Vec::new());
            for (seed, value) in &own {
                if let Some(base) = base.get(seed) {
                    a.push(*value);
                    b.push(*base);
                }
            }
            let compared = motif_stats::compare(&a, &b, LEVEL).ok();
            let seeds = material.sweep.seeds.len();
            let mut row = row(condition.index, &condition.label, compared, higher_is_better(metric), seeds);
            row.notes.extend(censored(stopped.get(&condition.index), seeds));
            row
        })
        .collect();
    let ps: Vec<_> = rows.iter().map(|row| row.p_t).collect();
    if let Ok(adjusted) = motif_stats::adjust(correction, &ps) {
        for (row, p) in rows.iter_mut().zip(adjusted.p) {
            row.p_adjusted = p;
        }
    }
    rows
}

fn by_seed(values: Option<&Vec<SeedValue>>) -> BTreeMap<u64, f64> {
    values.into_iter().flatten().map(|value| (value.seed, value.value)).collect()
}

fn row(
    condition: u32,
    label: &str,
    compared: Option<PairedComparison>,
    higher: bool,
    seeds: usize,
) -> ComparisonRow {
    let n = compared.as_ref().map_or(0, |c| c.n);
    let t = compared.as_ref().and_then(|c| c.t);
    let share = compared.as_ref().and_then(|c| c.superiority);
    ComparisonRow {
        condition,
        label: label.to_owned(),
        n: n as u64,
        mean_difference: compared.as_ref().and_then(|c| c.mean_difference),
        t: t.map(|t| t.t),
        p_t: t.map(|t| t.p),
        p_wilcoxon: compared.as_ref().and_then(|c| c.wilcoxon).map(|w| w.p),
        p_permutation: compared.as_ref().and_then(|c| c.permutation).map(|p| p.p),
        p_adjusted: None,
        d_z: compared.as_ref().and_then(|c| c.d_z),
        superiority: if higher { share } else { share.map(|share| 1.0 - share) },
        notes: notes(n, seeds, compared.as_ref()),
        interval: compared.and_then(|c| c.interval).map(interval_row),
    }
}

fn notes(n: usize, seeds: usize, compared: Option<&PairedComparison>) -> Vec<String> {
    let mut notes = Vec::new();
    if n < seeds {
        notes.push(format!("{n} of {seeds} seeds shared with the baseline"));
    }
    if n == 1 {
        notes.push("n = 1: no test".to_owned());
    }
    let Some(compared) = compared else { return notes };
    if n >= 2 && compared.t.is_none() {
        notes.push("all differences are equal: no t test".to_owned());
    }
    if let Some(permutation) = compared.permutation.filter(|p| p.smallest_p > 0.05) {
        notes.push(format!("{n} pairs cannot give an exact p below {}", permutation.smallest_p));
    }
    if n > PERMUTATION_MAX_PAIRS {
        notes.push(format!("the exact permutation test stops at {PERMUTATION_MAX_PAIRS} pairs"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::{material, stop};

    #[test]
    fn conditions_are_paired_on_the_seeds_they_share() {
        let out = comparisons(&material(), "test_accuracy", DivergedPolicy::Exclude, Correction::Holm);
        assert_eq!((out.baseline, out.correction.as_str(), out.rows.len()), (Some(0), "holm", 1));
        let row = &out.rows[0];
        assert_eq!(row.n, 2);
        // Differences 0.1 and 0.2: mean 0.15, t = 3, p = 2 · P(T₁ > 3).
        assert!((row.mean_difference.unwrap() - 0.15).abs() < 1e-12);
        assert!((row.t.unwrap() - 3.0).abs() < 1e-9);
        assert!((row.p_t.unwrap() - 0.204_832_764_699_133_5).abs() < 1e-9);
        assert_eq!(row.p_adjusted, row.p_t);
        assert_eq!(row.superiority, Some(1.0));
        assert_eq!(row.p_permutation, Some(0.5));
    }

    #[test]
    fn stopped_trials_are_in_no_pair() {
        let mut material = material();
        stop(&mut material.trials[3], 1.0);
        let out = comparisons(&material, "test_accuracy", DivergedPolicy::Exclude, Correction::Holm);
        assert_eq!(out.rows[0].n, 1);
        assert!(out.rows[0].notes.contains(&"1 of 3 seeds stopped early: censored".to_owned()));
    }

    #[test]
    fn a_lower_loss_is_better() {
        let mut material = material();
        for trial in &mut material.trials {
            let value = trial.metrics["test_accuracy"];
            trial.metrics.insert("test_loss".into(), value);
        }
        let out = comparisons(&material, "test_loss", DivergedPolicy::Exclude, Correction::Holm);
        assert_eq!(out.rows[0].superiority, Some(0.0));
    }

    #[test]
    fn without_a_baseline_nothing_is_compared() {
        let mut material = material();
        material.sweep.baseline = None;
        let out = comparisons(&material, "test_accuracy", DivergedPolicy::Exclude, Correction::Holm);
        assert_eq!((out.baseline, out.rows.len()), (None, 0));
    }
}
