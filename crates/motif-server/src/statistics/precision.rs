//! How narrow a sweep's intervals are, for sequential replication.

use motif_sweep::until::VALUES_MIN;
use motif_wire::statistics::DivergedPolicy;

use super::{LEVEL, Material};

/// The widest interval of a sweep, and whether it is narrow enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Precision {
    /// Half its width, in the metric's unit; absent when some condition has no interval.
    pub(crate) half_width: Option<f64>,
    /// Whether every condition has enough values and an interval no wider than the target.
    pub(crate) reached: bool,
}

/// The t intervals of the succeeded trials' final values against a target half-width. Diverged trials have none.
pub(crate) fn precision(material: &Material, metric: &str, target: f64) -> Precision {
    let values = material.values(metric, DivergedPolicy::Exclude);
    let mut widest = Some(0.0_f64);
    let mut enough = true;
    for condition in &material.conditions {
        let values = values.get(&condition.index).map_or(&[][..], Vec::as_slice);
        let numbers: Vec<f64> = values.iter().map(|value| value.value).collect();
        enough &= numbers.len() >= VALUES_MIN;
        let half_width = motif_stats::student_t(&numbers, LEVEL).map(|interval| interval.half_width());
        widest = widest.zip(half_width).map(|(widest, other)| widest.max(other));
    }
    Precision { half_width: widest, reached: enough && widest.is_some_and(|widest| widest <= target) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::material;

    #[test]
    fn every_condition_must_have_three_values_and_a_narrow_interval() {
        let mut material = material();
        // Its second condition has two values, 0.6 and 0.8: 12.706 · 0.1414 / √2.
        let short = precision(&material, "test_accuracy", 10.0);
        assert!(!short.reached && (short.half_width.unwrap() - 1.270_620_473_6).abs() < 1e-9, "{short:?}");
        material.conditions.pop();
        let first = 0.248_413_770_6;
        let narrow = precision(&material, "test_accuracy", first + 1e-9);
        assert!(narrow.reached && (narrow.half_width.unwrap() - first).abs() < 1e-9);
        assert!(!precision(&material, "test_accuracy", first - 1e-9).reached);
        assert_eq!(precision(&material, "test_loss", 10.0), Precision { half_width: None, reached: false });
    }
}
