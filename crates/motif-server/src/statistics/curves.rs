//! A metric over training, aligned on logged steps.

use std::collections::{BTreeMap, BTreeSet};

use motif_store::records::CurveSample;
use motif_sweep::lifecycle::TrialState;
use motif_wire::statistics::{ConditionCurve, CurvePoint, Curves, DivergedPolicy};

use super::{LEVEL, Material, higher_is_better};

/// One curve per condition, from samples in any order.
pub(crate) fn curves(
    material: &Material,
    metric: &str,
    metrics: Vec<String>,
    diverged: DivergedPolicy,
    mut samples: Vec<CurveSample>,
) -> Curves {
    leave_stopped_out(material, &mut samples);
    treat_diverged(material, metric, diverged, &mut samples);
    // Nothing moves where they are in order already, as the store has them.
    samples.sort_by_key(|sample| (sample.condition, sample.seed, sample.step));
    let by_condition: BTreeMap<u32, &[CurveSample]> = samples
        .chunk_by(|a, b| a.condition == b.condition)
        .map(|samples| (samples[0].condition, samples))
        .collect();
    let conditions = material.conditions.iter().map(|condition| ConditionCurve {
        condition: condition.index,
        label: condition.label.clone(),
        points: points(by_condition.get(&condition.index).copied().unwrap_or_default()),
    });
    Curves {
        sweep_id: material.sweep.id.0,
        metric: metric.to_owned(),
        metrics,
        diverged,
        conditions: conditions.collect(),
    }
}

/// The curve of one condition's samples, which are in order of seed.
fn points(samples: &[CurveSample]) -> Vec<CurvePoint> {
    let series: Vec<Vec<(u64, f64)>> = samples
        .chunk_by(|a, b| a.seed == b.seed)
        .map(|one| one.iter().map(|sample| (sample.step, sample.value)).collect())
        .collect();
    let mut epochs: Vec<(u64, f64)> = samples.iter().map(|sample| (sample.step, sample.epoch)).collect();
    epochs.sort_by_key(|(step, _)| *step);
    let curve = motif_stats::align(&series, LEVEL);
    let point = |point: motif_stats::CurvePoint| {
        let at = epochs.partition_point(|(step, _)| *step <= point.step).checked_sub(1)?;
        Some(CurvePoint {
            step: point.step,
            epoch: epochs[at].1,
            n: point.n as u64,
            mean: point.mean?,
            low: point.low,
            high: point.high,
        })
    };
    curve.points.into_iter().filter_map(point).collect()
}

/// A trial that was stopped early is censored, from its first point on: those that go on are a selection.
fn leave_stopped_out(material: &Material, samples: &mut Vec<CurveSample>) {
    let trials = material.trials.iter().filter(|trial| trial.state == TrialState::Stopped);
    let stopped: BTreeSet<(u32, u64)> = trials.map(|trial| (trial.condition, trial.seed)).collect();
    if !stopped.is_empty() {
        samples.retain(|sample| !stopped.contains(&(sample.condition, sample.seed)));
    }
}

/// Leaves the diverged trials' samples out, or continues them with the sweep's worst value over the steps that their
/// condition logged later.
fn treat_diverged(material: &Material, metric: &str, policy: DivergedPolicy, samples: &mut Vec<CurveSample>) {
    let trials = material.trials.iter().filter(|trial| trial.state == TrialState::Diverged);
    let diverged: BTreeSet<(u32, u64)> = trials.map(|trial| (trial.condition, trial.seed)).collect();
    if policy == DivergedPolicy::Exclude {
        samples.retain(|sample| !diverged.contains(&(sample.condition, sample.seed)));
        return;
    }
    let usable = |value: &f64| value.abs() <= motif_stats::MAGNITUDE_MAX;
    let values = samples.iter().map(|sample| sample.value).filter(usable);
    let worst = if higher_is_better(metric) { values.reduce(f64::min) } else { values.reduce(f64::max) };
    let Some(value) = worst else { return };
    let mut last: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let mut steps: BTreeMap<u32, BTreeMap<u64, f64>> = BTreeMap::new();
    for sample in samples.iter() {
        let last = last.entry((sample.condition, sample.seed)).or_default();
        *last = sample.step.max(*last);
        steps.entry(sample.condition).or_default().insert(sample.step, sample.epoch);
    }
    for (condition, seed) in diverged {
        let from = last.get(&(condition, seed)).map_or(0, |step| step + 1);
        let later = steps.get(&condition).into_iter().flat_map(|steps| steps.range(from..));
        samples.extend(later.map(|(&step, &epoch)| CurveSample { condition, seed, step, epoch, value }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::{material, stop};

    #[test]
    fn steps_count_only_the_seeds_that_logged_them() {
        let sample =
            |seed, step, value| CurveSample { condition: 1, seed, step, epoch: step as f64 / 10.0, value };
        let samples = [sample(0, 10, 1.0), sample(1, 10, 3.0), sample(0, 20, 5.0), sample(1, 20, f64::NAN)];
        let curves = curves(&material(), "train_loss", vec![], DivergedPolicy::Exclude, samples.into());
        assert!(curves.conditions[0].points.is_empty());
        let points = &curves.conditions[1].points;
        assert_eq!((points[0].step, points[0].n, points[0].mean, points[0].epoch), (10, 2, 2.0, 1.0));
        assert!(points[0].low.unwrap() < 2.0 && points[0].high.unwrap() > 2.0);
        assert_eq!((points[1].n, points[1].mean, points[1].low), (1, 5.0, None));
    }

    #[test]
    fn stopped_trials_have_no_curve() {
        let mut material = material();
        stop(&mut material.trials[0], 1.0);
        let sample = |seed, value| CurveSample { condition: 0, seed, step: 10, epoch: 1.0, value };
        for policy in [DivergedPolicy::Exclude, DivergedPolicy::Worst] {
            let samples = vec![sample(0, 99.0), sample(1, 2.0)];
            let curves = curves(&material, "train_loss", vec![], policy, samples);
            let points = &curves.conditions[0].points;
            assert_eq!(points.iter().map(|p| (p.n, p.mean)).collect::<Vec<_>>(), [(1, 2.0)]);
        }
    }

    #[test]
    fn diverged_trials_are_left_out_or_count_with_the_worst_value_after_their_end() {
        // Seed 2 of condition 1 diverged.
        let sample = |condition, seed, step, value| CurveSample { condition, seed, step, epoch: 0.0, value };
        let samples =
            vec![sample(0, 0, 10, 7.0), sample(1, 0, 10, 1.0), sample(1, 0, 20, 2.0), sample(1, 2, 10, 5.0)];
        let points = |policy| {
            let curves = curves(&material(), "train_loss", vec![], policy, samples.clone());
            assert_eq!(curves.diverged, policy);
            curves.conditions[1].points.iter().map(|p| (p.step, p.n, p.mean)).collect::<Vec<_>>()
        };
        assert_eq!(points(DivergedPolicy::Exclude), [(10, 1, 1.0), (20, 1, 2.0)]);
        assert_eq!(points(DivergedPolicy::Worst), [(10, 2, 3.0), (20, 2, 4.5)]);
    }
}
