//! Main effects and interactions of the swept axes, over the crossed conditions alone, with seeds as blocks.

use std::collections::{BTreeMap, BTreeSet};

use motif_stats::{Observation, anova::Effect};
use motif_wire::{
    effects::{Anova, EffectKind, EffectRow, FactorRow},
    statistics::{DivergedPolicy, SeedValue},
};

use super::{
    Material,
    design::{Cell, Design, Factor},
};

/// How the table is made.
const METHOD: &str = "main effects and two-way interactions of the crossed conditions (arms left out), with seeds as complete \
     blocks: each F is against the residual, which holds what single seeds make of the effects, and interactions of three \
     or more keys; the design is balanced, so that sums of squares of types I, II and III agree";

/// A whole grid, with the values of the seeds that all of its cells have.
#[derive(Debug)]
pub(super) struct Grid {
    pub(super) design: Design,
    /// The seeds, ascending.
    pub(super) seeds: Vec<u64>,
    /// Seeds that some cell has and another has not.
    pub(super) left_out: Vec<u64>,
    /// By cell, by seed.
    pub(super) values: Vec<Vec<f64>>,
}

/// The grid, or why there is none.
pub(super) fn grid(material: &Material, metric: &str, diverged: DivergedPolicy) -> Result<Grid, String> {
    let design = Design::of(material, |_| true);
    if design.cells.is_empty() {
        return Err("no condition is crossed: axes or a zip make a grid, arms alone do not".to_owned());
    }
    if let Some(sampled) = design.factors.iter().find(|factor| factor.sampled) {
        return Err(format!(
            "{} is sampled: its values lie on no grid with those of the other keys; ask for the importance instead",
            sampled.name
        ));
    }
    if design.factors.is_empty() {
        return Err("no swept key has two values or more: there is nothing to compare".to_owned());
    }
    if let Some(hole) = design.hole() {
        return Err(format!(
            "the grid has an empty cell: no condition has {hole} (has `exclude` left it out?); the importance needs no \
             whole grid"
        ));
    }
    let values = material.values(metric, diverged);
    let (seeds, left_out) = shared_seeds(material, &design, &values)?;
    let of_cell = |cell: &Cell| {
        let own = values.get(&cell.condition).into_iter().flatten();
        own.filter(|value| seeds.contains(&value.seed)).map(|value| value.value).collect()
    };
    let values = design.cells.iter().map(of_cell).collect();
    Ok(Grid { values, seeds: seeds.into_iter().collect(), left_out, design })
}

/// The seeds that every cell has a value of, and those that only some have.
fn shared_seeds(
    material: &Material,
    design: &Design,
    values: &BTreeMap<u32, Vec<SeedValue>>,
) -> Result<(BTreeSet<u64>, Vec<u64>), String> {
    let of = |cell: &Cell| -> BTreeSet<u64> {
        values.get(&cell.condition).into_iter().flatten().map(|value| value.seed).collect()
    };
    let label = |cell: &Cell| {
        let found = material.conditions.iter().find(|condition| condition.index == cell.condition);
        found.map(|condition| condition.label.clone()).unwrap_or_default()
    };
    if let Some(empty) = design.cells.iter().find(|cell| of(cell).is_empty()) {
        return Err(format!("the condition {} has no value of this metric: its cell is empty", label(empty)));
    }
    let mut shared = design.cells.first().map(of).unwrap_or_default();
    let mut any = BTreeSet::new();
    for cell in &design.cells {
        let own = of(cell);
        shared.retain(|seed| own.contains(seed));
        any.extend(own);
        if shared.is_empty() {
            return Err(format!(
                "no seed has a value in every cell: {} has none of those that the cells before it share",
                label(cell)
            ));
        }
    }
    let left_out = any.difference(&shared).copied().collect();
    Ok((shared, left_out))
}

/// The analysis of variance of a sweep.
pub(crate) fn anova(material: &Material, metric: &str, diverged: DivergedPolicy) -> Anova {
    let mut anova = Anova {
        sweep_id: material.sweep.id.0,
        metric: metric.to_owned(),
        diverged,
        factors: Vec::new(),
        seeds: Vec::new(),
        n: 0,
        method: METHOD.to_owned(),
        refused: None,
        rows: Vec::new(),
        notes: Vec::new(),
    };
    let analysed = grid(material, metric, diverged).and_then(|grid| {
        let table = table(&grid).map_err(|error| error.to_string())?;
        Ok((grid, table))
    });
    let (grid, table) = match analysed {
        Ok(analysed) => analysed,
        Err(refused) => return Anova { refused: Some(refused), ..anova },
    };
    anova.factors = grid.design.factors.iter().map(factor_row).collect();
    anova.n = table.n as u64;
    anova.notes = notes(&grid, material.sweep.seeds.len());
    anova.rows = rows(&table, grid.seeds.len() > 1);
    anova.seeds = grid.seeds;
    anova
}

pub(super) fn factors(factors: &[Factor]) -> Vec<motif_stats::Factor> {
    factors.iter().map(|f| motif_stats::Factor { name: f.name.clone(), levels: f.levels.len() }).collect()
}

fn table(grid: &Grid) -> Result<motif_stats::Anova, motif_stats::AnovaError> {
    let factors = factors(&grid.design.factors);
    let blocked = grid.seeds.len() > 1;
    let observation = |(cell, values): (&Cell, &Vec<f64>)| {
        let levels = |block| cell.levels.iter().copied().chain(blocked.then_some(block)).collect();
        let observed = values.iter().enumerate();
        observed.map(|(block, &value)| Observation { levels: levels(block), value }).collect::<Vec<_>>()
    };
    let observations: Vec<Observation> =
        grid.design.cells.iter().zip(&grid.values).flat_map(observation).collect();
    if blocked {
        let blocks = motif_stats::Factor { name: "seed".to_owned(), levels: grid.seeds.len() };
        motif_stats::anova_in_blocks(&blocks, &factors, &observations)
    } else {
        motif_stats::anova(&factors, &observations)
    }
}

fn notes(grid: &Grid, seeds: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if grid.seeds.len() < seeds {
        notes.push(format!("incomplete: {} of {seeds} seeds have a value in every cell", grid.seeds.len()));
    }
    if !grid.left_out.is_empty() {
        let left: Vec<String> = grid.left_out.iter().map(u64::to_string).collect();
        notes.push(format!("left out, as some cell lacks them: seeds {}", left.join(", ")));
    }
    if grid.seeds.len() == 1 {
        notes.push("n = 1 seed: nothing repeats, so that no effect is tested".to_owned());
    }
    notes
}

fn factor_row(factor: &Factor) -> FactorRow {
    FactorRow { name: factor.name.clone(), keys: factor.keys.clone(), levels: factor.levels.clone() }
}

fn rows(table: &motif_stats::Anova, tested: bool) -> Vec<EffectRow> {
    let effect = |kind, effect: &Effect, tested: bool| EffectRow {
        kind,
        factors: if kind == EffectKind::Blocks { Vec::new() } else { effect.factors.clone() },
        df: effect.df as u64,
        sum_sq: effect.sum_sq,
        mean_sq: (effect.df > 0).then(|| effect.sum_sq / effect.df as f64),
        f: effect.f.filter(|_| tested),
        p: effect.p.filter(|_| tested),
        eta_sq: effect.eta_sq,
        partial_eta_sq: effect.partial_eta_sq.filter(|_| tested),
    };
    let share = |sum_sq: f64| (table.total_sum_sq > 0.0).then(|| sum_sq / table.total_sum_sq);
    let rest = |kind, df, sum_sq, mean_sq| EffectRow {
        kind,
        factors: Vec::new(),
        df,
        sum_sq,
        mean_sq,
        f: None,
        p: None,
        eta_sq: share(sum_sq),
        partial_eta_sq: None,
    };
    let kind = |effect: &Effect| match effect.factors.len() {
        1 => EffectKind::Main,
        _ => EffectKind::Interaction,
    };
    let blocks = table.blocks.iter().map(|blocks| effect(EffectKind::Blocks, blocks, tested));
    let effects = table.effects.iter().map(|one| effect(kind(one), one, tested));
    let residual = &table.residual;
    let residual = rest(EffectKind::Residual, residual.df as u64, residual.sum_sq, residual.mean_sq);
    let total = rest(EffectKind::Total, (table.n - 1) as u64, table.total_sum_sq, None);
    blocks.chain(effects).chain([residual, total]).collect()
}

#[cfg(test)]
mod tests {
    use motif_sweep::lifecycle::TrialState;

    use super::*;
    use crate::statistics::design::tests::grid;

    const EXCLUDE: DivergedPolicy = DivergedPolicy::Exclude;

    /// Values whose residual is not zero.
    fn value(ratio: usize, rule: usize, seed: u64) -> f64 {
        let noise =
            [[0.3, -0.1, 0.2], [0.1, 0.05, -0.2], [-0.15, 0.0, 0.25]][ratio][(rule + seed as usize) % 3];
        0.5 + ratio as f64 + 0.5 * rule as f64 + 0.1 * seed as f64 + noise
    }

    #[test]
    fn a_whole_grid_has_a_table_with_seeds_as_blocks() {
        let anova = anova(&grid(value), "test_accuracy", EXCLUDE);
        assert_eq!((anova.refused, anova.n, anova.seeds), (None, 18, vec![0, 1, 2]));
        let shape: Vec<_> =
            anova.rows.iter().map(|row| (row.kind, row.factors.join("×"), row.df, row.p.is_some())).collect();
        let named = |kind, name: &str, df, tested| (kind, name.to_owned(), df, tested);
        assert_eq!(
            shape,
            [
                named(EffectKind::Blocks, "", 2, true),
                named(EffectKind::Main, "ratio", 2, true),
                named(EffectKind::Main, "rule", 1, true),
                named(EffectKind::Interaction, "ratio×rule", 2, true),
                named(EffectKind::Residual, "", 10, false),
                named(EffectKind::Total, "", 17, false),
            ]
        );
        let shares: f64 = anova.rows[..5].iter().map(|row| row.eta_sq.unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-12);
        assert!(anova.rows[1].p.unwrap() < 1e-4 && anova.rows[1].partial_eta_sq > anova.rows[1].eta_sq);
    }

    #[test]
    fn seeds_that_a_cell_lacks_are_left_out_and_one_seed_tests_nothing() {
        let mut material = grid(value);
        material.trials[1].state = TrialState::Failed;
        let two = anova(&material, "test_accuracy", EXCLUDE);
        assert_eq!((two.seeds.as_slice(), two.n), (&[0, 2][..], 12));
        assert_eq!(
            two.notes,
            [
                "incomplete: 2 of 3 seeds have a value in every cell",
                "left out, as some cell lacks them: seeds 1"
            ]
        );
        material.trials[3].state = TrialState::Queued;
        let one = anova(&material, "test_accuracy", EXCLUDE);
        assert!(
            one.rows.iter().all(|row| row.p.is_none() && row.f.is_none()) && one.rows[0].eta_sq.is_some()
        );
        assert!(one.notes.iter().any(|note| note.starts_with("n = 1 seed")), "{:?}", one.notes);
        material.trials[8].state = TrialState::Queued;
        let none = anova(&material, "test_accuracy", EXCLUDE).refused.unwrap();
        assert!(none.starts_with("no seed has a value in every cell"), "{none}");
    }

    #[test]
    fn what_is_no_grid_is_refused_in_words() {
        let refused =
            |material: &Material| anova(material, "test_accuracy", EXCLUDE).refused.unwrap_or_default();
        let mut holed = grid(value);
        holed.conditions.remove(3);
        assert!(refused(&holed).contains("no condition has ratio=2.0, rule=kp"), "{}", refused(&holed));
        let mut sampled = grid(value);
        sampled.sweep.spec = serde_json::json!({
            "name": "s", "axes": { "rule": ["sal", "kp"] },
            "sample": { "count": 3, "ratio": { "low": 1.0, "high": 9.0 } },
        });
        assert!(refused(&sampled).starts_with("ratio is sampled"), "{}", refused(&sampled));
        let mut arms = grid(value);
        arms.conditions.retain(|condition| condition.axes.is_empty());
        assert!(refused(&arms).starts_with("no condition is crossed"), "{}", refused(&arms));
        let mut empty = grid(value);
        empty.trials.retain(|trial| trial.condition != 2);
        assert!(refused(&empty).contains("its cell is empty"), "{}", refused(&empty));
    }
}
