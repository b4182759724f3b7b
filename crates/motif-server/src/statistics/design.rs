//! What a sweep's crossed conditions differ in: factors with levels. Arms are not crossed and belong to no design.

use std::{cmp::Ordering, collections::BTreeMap};

use motif_store::records::ConditionRecord;
use motif_sweep::{
    spec::SweepSpec,
    swept::{Swept, SweptKind},
};
use serde_json::Value;

use super::Material;

/// A swept key, or keys that vary together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Factor {
    pub(super) name: String,
    pub(super) keys: Vec<String>,
    pub(super) sampled: bool,
    /// Labels of the values: numbers ascend, others come as the conditions do.
    pub(super) levels: Vec<String>,
}

/// A crossed condition: its index, and its level of each factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) condition: u32,
    pub(super) levels: Vec<usize>,
}

/// The factors with two levels or more, and the crossed conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Design {
    pub(super) factors: Vec<Factor>,
    pub(super) cells: Vec<Cell>,
}

impl Design {
    /// The design of the conditions that `wanted` picks.
    pub(super) fn of(material: &Material, wanted: impl Fn(&ConditionRecord) -> bool) -> Self {
        let crossed: Vec<&ConditionRecord> = material
            .conditions
            .iter()
            .filter(|condition| !condition.axes.is_empty() && wanted(condition))
            .collect();
        let mut design = Self {
            factors: Vec::new(),
            cells: crossed.iter().map(|c| Cell { condition: c.index, levels: Vec::new() }).collect(),
        };
        for swept in swept(material, &crossed) {
            let values: Vec<Vec<&Value>> = crossed
                .iter()
                .map(|c| swept.keys.iter().map(|key| c.axes.get(key).unwrap_or(&Value::Null)).collect())
                .collect();
            let (labels, levels) = levels(&values);
            if labels.len() < 2 {
                continue;
            }
            let sampled = swept.kind == SweptKind::Sample;
            design.factors.push(Factor {
                name: swept.keys.join(" + "),
                keys: swept.keys,
                sampled,
                levels: labels,
            });
            design.cells.iter_mut().zip(levels).for_each(|(cell, level)| cell.levels.push(level));
        }
        design
    }

    /// A cell of the full grid without a condition, as `ratio=2, rule=kp`.
    pub(super) fn hole(&self) -> Option<String> {
        let here: BTreeMap<&[usize], ()> =
            self.cells.iter().map(|cell| (cell.levels.as_slice(), ())).collect();
        let mut at = vec![0; self.factors.len()];
        // Ends at the latest one cell past the conditions that there are.
        while here.contains_key(at.as_slice()) {
            if !advance(&mut at, &self.factors) {
                return None;
            }
        }
        Some(self.label(&at))
    }

    fn label(&self, levels: &[usize]) -> String {
        let named = self.factors.iter().zip(levels);
        let named: Vec<String> =
            named.map(|(factor, &level)| format!("{}={}", factor.name, factor.levels[level])).collect();
        named.join(", ")
    }
}

/// Steps to the next cell, the last factor fastest; false after the last.
fn advance(at: &mut [usize], factors: &[Factor]) -> bool {
    for (level, factor) in at.iter_mut().zip(factors).rev() {
        *level += 1;
        if *level < factor.levels.len() {
            return true;
        }
        *level = 0;
    }
    false
}

/// What the spec says that varies; each key that the conditions have by itself where the spec says nothing of it.
fn swept(material: &Material, crossed: &[&ConditionRecord]) -> Vec<Swept> {
    let spec = SweepSpec::from_json(material.sweep.spec.clone());
    let mut swept = spec.map(|spec| spec.swept()).unwrap_or_default();
    for key in crossed.iter().flat_map(|condition| condition.axes.keys()) {
        if !swept.iter().any(|swept| swept.keys.contains(key)) {
            swept.push(Swept { kind: SweptKind::Axis, keys: vec![key.clone()] });
        }
    }
    swept
}

/// Labels of the distinct values, and the level of each.
fn levels(values: &[Vec<&Value>]) -> (Vec<String>, Vec<usize>) {
    let mut distinct: Vec<&Vec<&Value>> = Vec::new();
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut of: Vec<usize> = Vec::with_capacity(values.len());
    for value in values {
        let level = *found.entry(meaning(value)).or_insert_with(|| {
            distinct.push(value);
            distinct.len() - 1
        });
        of.push(level);
    }
    let mut order: Vec<usize> = (0..distinct.len()).collect();
    order.sort_by(|&a, &b| numerically(distinct[a], distinct[b]));
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, &level)| rank[level] = place);
    let labels = order.iter().map(|&level| label(distinct[level])).collect();
    (labels, of.into_iter().map(|level| rank[level]).collect())
}

/// Equal for values that mean the same, `1` and `1.0`.
fn meaning(values: &[&Value]) -> String {
    let one = |value: &&Value| value.as_f64().map_or_else(|| value.to_string(), |number| number.to_string());
    values.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Single numbers ascend; everything else stays where it is.
fn numerically(a: &[&Value], b: &[&Value]) -> Ordering {
    match (a, b) {
        ([a], [b]) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => Ordering::Equal,
        },
        _ => Ordering::Equal,
    }
}

fn label(values: &[&Value]) -> String {
    let one = |value: &&Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    values.iter().map(one).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::statistics::tests::{material, trial};

    /// A grid of ratio × rule, three seeds, with an arm; `value` says what each trial found.
    pub(in crate::statistics) fn grid(value: impl Fn(usize, usize, u64) -> f64) -> Material {
        let mut grid = material();
        let arm = grid.conditions.remove(0);
        (grid.conditions, grid.trials) = (Vec::new(), Vec::new());
        grid.sweep.spec = json!({
            "name": "grid", "axes": { "ratio": [4.0, 2, 8], "rule": ["sal", "kp"] }, "arms": [{ "rule": "bp" }],
        });
        for (place, ratio) in [4.0, 2.0, 8.0].into_iter().enumerate() {
            for (other, rule) in ["sal", "kp"].into_iter().enumerate() {
                let index = u32::try_from(grid.conditions.len()).unwrap();
                grid.conditions.push(ConditionRecord {
                    index,
                    label: format!("ratio={ratio} rule={rule}"),
                    axes: [("ratio".to_owned(), json!(ratio)), ("rule".to_owned(), json!(rule))].into(),
                    ..arm.clone()
                });
                grid.trials.extend((0..3).map(|seed| trial(index, seed, value(place, other, seed))));
            }
        }
        grid.conditions.push(ConditionRecord { index: 6, axes: BTreeMap::new(), ..arm });
        grid.trials.extend((0..3).map(|seed| trial(6, seed, 0.1)));
        grid
    }

    #[test]
    fn numbers_ascend_and_arms_are_not_crossed() {
        let design = Design::of(&grid(|_, _, _| 0.0), |_| true);
        let levels: Vec<_> = design.factors.iter().map(|factor| factor.levels.join(" ")).collect();
        assert_eq!(levels, ["2.0 4.0 8.0", "sal kp"]);
        assert_eq!(design.cells.len(), 6);
        assert_eq!(design.cells[0], Cell { condition: 0, levels: vec![1, 0] });
        assert_eq!(design.hole(), None);
        let part = Design::of(&grid(|_, _, _| 0.0), |condition| condition.index != 3);
        assert_eq!(part.hole().as_deref(), Some("ratio=2.0, rule=kp"));
    }

    #[test]
    fn keys_of_a_zip_are_one_factor() {
        let mut material = grid(|_, _, _| 0.0);
        material.sweep.spec = json!({
            "name": "zip", "zip": [{ "ratio": [4.0, 2, 8], "rule": ["sal", "kp", "fa"] }],
        });
        let design = Design::of(&material, |condition| [0, 3].contains(&condition.index));
        assert_eq!(design.factors.len(), 1);
        assert_eq!((design.factors[0].name.as_str(), design.factors[0].levels.len()), ("ratio + rule", 2));
    }
}
