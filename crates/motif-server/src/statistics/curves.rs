//! A metric over training, aligned on logged steps.

use std::collections::BTreeMap;

use motif_store::records::CurveSample;
use motif_wire::statistics::{ConditionCurve, CurvePoint, Curves};

use super::{LEVEL, Material};

/// One curve per condition, from samples in any order.
pub(crate) fn curves(
    material: &Material,
    metric: &str,
    metrics: Vec<String>,
    samples: &[CurveSample],
) -> Curves {
    let mut series: BTreeMap<u32, BTreeMap<u64, Vec<(u64, f64)>>> = BTreeMap::new();
    let mut epochs: BTreeMap<(u32, u64), f64> = BTreeMap::new();
    for sample in samples {
        let seeds = series.entry(sample.condition).or_default();
        seeds.entry(sample.seed).or_default().push((sample.step, sample.value));
        epochs.insert((sample.condition, sample.step), sample.epoch);
    }
    let conditions = material
        .conditions
        .iter()
        .map(|condition| {
            let seeds = series.remove(&condition.index).unwrap_or_default();
            let seeds: Vec<_> = seeds.into_values().collect();
            let curve = motif_stats::align(&seeds, LEVEL);
            let points = curve.points.into_iter().filter_map(|point| {
                Some(CurvePoint {
                    step: point.step,
                    epoch: epochs.get(&(condition.index, point.step)).copied()?,
                    n: point.n as u64,
                    mean: point.mean?,
                    low: point.low,
                    high: point.high,
                })
            });
            ConditionCurve {
                condition: condition.index,
                label: condition.label.clone(),
                points: points.collect(),
            }
        })
        .collect();
    Curves { sweep_id: material.sweep.id.0, metric: metric.to_owned(), metrics, conditions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::material;

    #[test]
    fn steps_count_only_the_seeds_that_logged_them() {
        let sample =
            |seed, step, value| CurveSample { condition: 1, seed, step, epoch: step as f64 / 10.0, value };
        let samples = [sample(0, 10, 1.0), sample(1, 10, 3.0), sample(0, 20, 5.0), sample(1, 20, f64::NAN)];
        let curves = curves(&material(), "train_loss", vec![], &samples);
        assert!(curves.conditions[0].points.is_empty());
        let points = &curves.conditions[1].points;
        assert_eq!((points[0].step, points[0].n, points[0].mean, points[0].epoch), (10, 2, 2.0, 1.0));
        assert!(points[0].low.unwrap() < 2.0 && points[0].high.unwrap() > 2.0);
        assert_eq!((points[1].n, points[1].mean, points[1].low), (1, 5.0, None));
    }
}
