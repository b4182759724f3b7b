//! How much each swept key matters: η² of a whole grid, else functional analysis of variance over a forest.

use std::collections::BTreeMap;

use motif_stats::{Observation, Place};
use motif_wire::{
    effects::{Importance, ImportanceMethod, ImportanceRow},
    statistics::{DivergedPolicy, SeedValue},
};

use super::{
    Material,
    anova::{self, Grid},
    design::{Cell, Design, Factor},
};

/// Seed of the forest: the same sweep has the same importance whenever it is looked at.
const FOREST_SEED: u64 = 0;
/// Below this R² a note says that the shares mean little.
const R_SQUARED_USEFUL: f64 = 0.3;

/// What a method found.
struct Found {
    method: ImportanceMethod,
    description: String,
    conditions: usize,
    n: usize,
    r_squared: Option<f64>,
    r_squared_of: &'static str,
    /// By factor.
    shares: Vec<f64>,
    factors: Vec<Factor>,
    interactions: f64,
}

/// A sweep's importance.
pub(crate) fn importance(material: &Material, metric: &str, diverged: DivergedPolicy) -> Importance {
    let mut importance = Importance {
        sweep_id: material.sweep.id.0,
        metric: metric.to_owned(),
        diverged,
        method: None,
        description: String::new(),
        conditions: 0,
        n: 0,
        r_squared: None,
        r_squared_of: String::new(),
        refused: None,
        rows: Vec::new(),
        interactions: None,
        notes: Vec::new(),
    };
    let found = match anova::grid(material, metric, diverged) {
        Ok(grid) => of_grid(&grid),
        Err(no_grid) => {
            let notes = vec![format!("no whole grid: {no_grid}")];
            of_sample(material, metric, diverged).inspect(|_| importance.notes = notes)
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(refused) => return Importance { refused: Some(refused), ..importance },
    };
    importance.method = Some(found.method);
    importance.notes.extend(notes(material, &found));
    importance.rows = rows(&found);
    importance.description = found.description;
    importance.conditions = found.conditions as u64;
    importance.n = found.n as u64;
    importance.r_squared = found.r_squared;
    importance.r_squared_of = found.r_squared_of.to_owned();
    importance.interactions = Some(found.interactions);
    importance
}

fn notes(material: &Material, found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    match found.r_squared {
        None => notes
            .push("nothing could be left out to check the shares with: one seed of a whole grid".to_owned()),
        Some(r) if r < R_SQUARED_USEFUL => {
            notes.push(format!(
                "R² out of sample is {r:.2}: little is predicted, so that the shares mean little"
            ));
        }
        Some(_) => {}
    }
    let crossed = material.conditions.iter().filter(|condition| !condition.axes.is_empty()).count();
    if found.conditions < crossed {
        notes.push(format!("incomplete: {} of {crossed} conditions have a value", found.conditions));
    }
    notes
}

fn rows(found: &Found) -> Vec<ImportanceRow> {
    let row = |(factor, share): (&Factor, &f64)| ImportanceRow {
        name: factor.name.clone(),
        keys: factor.keys.clone(),
        levels: factor.levels.len() as u64,
        share: *share,
    };
    let mut rows: Vec<_> = found.factors.iter().zip(&found.shares).map(row).collect();
    rows.sort_by(|a, b| b.share.total_cmp(&a.share));
    rows
}

/// η² over the means of a grid's cells.
fn of_grid(grid: &Grid) -> Result<Found, String> {
    let means: Vec<f64> = grid.values.iter().map(|values| mean(values)).collect();
    let observation = |(cell, &value): (&Cell, &f64)| Observation { levels: cell.levels.clone(), value };
    let observations: Vec<Observation> = grid.design.cells.iter().zip(&means).map(observation).collect();
    let table = motif_stats::anova(&anova::factors(&grid.design.factors), &observations)
        .map_err(|error| error.to_string())?;
    let shares: Option<Vec<f64>> =
        table.effects.iter().take(grid.design.factors.len()).map(|effect| effect.eta_sq).collect();
    let Some(shares) = shares else {
        return Err("all conditions have the same mean: nothing varies that a key could explain".to_owned());
    };
    Ok(Found {
        method: ImportanceMethod::Anova,
        description: format!(
            "η² of each key's main effect on the means of {} crossed conditions over {} {}: its share of the sum of \
             squares between conditions",
            grid.design.cells.len(),
            grid.seeds.len(),
            if grid.seeds.len() == 1 { "seed" } else { "seeds" }
        ),
        conditions: grid.design.cells.len(),
        n: grid.design.cells.len() * grid.seeds.len(),
        r_squared: left_out_seeds(&grid.values),
        r_squared_of: "each seed's differences between conditions, predicted by the means over the other seeds",
        interactions: (1.0 - shares.iter().sum::<f64>()).clamp(0.0, 1.0),
        shares,
        factors: grid.design.factors.clone(),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// R² of each seed's differences between cells, predicted by those of the other seeds; `None` with one seed.
fn left_out_seeds(values: &[Vec<f64>]) -> Option<f64> {
    let seeds = values.first().map_or(0, Vec::len);
    if seeds < 2 {
        return None;
    }
    let (mut wrong, mut total) = (0.0, 0.0);
    for seed in 0..seeds {
        let own: Vec<f64> = values.iter().map(|cell| cell[seed]).collect();
        let others: Vec<f64> =
            values.iter().map(|cell| (cell.iter().sum::<f64>() - cell[seed]) / (seeds - 1) as f64).collect();
        let (own_mean, others_mean) = (mean(&own), mean(&others));
        for (own, other) in own.iter().zip(&others) {
            total += (own - own_mean).powi(2);
            wrong += (own - own_mean - (other - others_mean)).powi(2);
        }
    }
    (total > 0.0).then(|| 1.0 - wrong / total)
}

/// Functional analysis of variance over the means of whatever conditions have values.
fn of_sample(material: &Material, metric: &str, diverged: DivergedPolicy) -> Result<Found, String> {
    let values = material.values(metric, diverged);
    let means: BTreeMap<u32, f64> =
        values.iter().map(|(condition, values)| (*condition, seed_mean(values))).collect();
    // Ranks have no gaps among the conditions that have a value.
    let design = Design::of(material, |condition| means.contains_key(&condition.index));
    if design.factors.is_empty() {
        return Err(
            "no swept key has two values or more among the conditions with a value of this metric".to_owned()
        );
    }
    let place = |cell: &Cell| Place {
        levels: cell.levels.iter().map(|&level| u32::try_from(level).unwrap_or(u32::MAX)).collect(),
        value: means[&cell.condition],
    };
    let places: Vec<Place> = design.cells.iter().map(place).collect();
    let found = motif_stats::importance(&places, FOREST_SEED).map_err(|error| error.to_string())?;
    Ok(Found {
        method: ImportanceMethod::Fanova,
        description: format!(
            "functional analysis of variance (Hutter et al. 2014) over {} regression trees (seed {FOREST_SEED}) of the \
             means of {} conditions: each key's share of the variance that the forest predicts",
            found.trees, found.n
        ),
        conditions: found.n,
        n: design.cells.iter().filter_map(|cell| values.get(&cell.condition)).map(Vec::len).sum(),
        r_squared: found.r_squared,
        r_squared_of: "conditions' means, each predicted by the trees that were not grown on it",
        shares: found.main,
        factors: design.factors,
        interactions: found.interactions,
    })
}

fn seed_mean(values: &[SeedValue]) -> f64 {
    values.iter().map(|value| value.value).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use motif_store::records::ConditionRecord;
    use serde_json::json;

    use super::*;
    use crate::statistics::{design::tests::grid, tests::trial};

    const EXCLUDE: DivergedPolicy = DivergedPolicy::Exclude;

    #[test]
    fn a_grid_shares_out_the_variance_between_its_conditions() {
        let additive = grid(|ratio, rule, seed| ratio as f64 + 2.0 * rule as f64 + 0.01 * (seed as f64));
        let found = importance(&additive, "test_accuracy", EXCLUDE);
        assert_eq!((found.method, found.conditions, found.n), (Some(ImportanceMethod::Anova), 6, 18));
        // Variances of 0, 1, 2 and of 0, 2: 2/3 and 1.
        let shares: Vec<_> = found.rows.iter().map(|row| (row.name.as_str(), row.share)).collect();
        assert_eq!((shares[0].0, shares[1].0), ("rule", "ratio"));
        assert!((shares[0].1 - 0.6).abs() < 1e-12 && (shares[1].1 - 0.4).abs() < 1e-12, "{shares:?}");
        assert!(found.interactions.unwrap() < 1e-12 && found.notes.is_empty(), "{found:?}");
        assert!((found.r_squared.unwrap() - 1.0).abs() < 1e-9, "the seeds agree");
    }

    #[test]
    fn noise_says_that_its_shares_mean_little() {
        let noise = grid(|ratio, rule, seed| ((7 * ratio + 3 * rule + 11 * seed as usize) % 5) as f64);
        let found = importance(&noise, "test_accuracy", EXCLUDE);
        assert!(found.r_squared.unwrap() < 0.3, "{found:?}");
        assert!(found.notes.iter().any(|note| note.contains("mean little")), "{:?}", found.notes);
    }

    #[test]
    fn a_sampled_search_grows_a_forest_and_a_few_points_are_refused() {
        let mut search = grid(|_, _, _| 0.0);
        search.sweep.spec = json!({
            "name": "search",
            "sample": { "count": 64, "rates.w": { "low": 0.0, "high": 1.0 }, "rates.v": { "low": 0.0, "high": 1.0 } },
        });
        let template = search.conditions[0].clone();
        (search.conditions, search.trials) = (Vec::new(), Vec::new());
        for index in 0..64_u32 {
            let (w, v) = (f64::from(index) / 64.0, f64::from(index * 37 % 64) / 64.0);
            let axes = [("rates.w".to_owned(), json!(w)), ("rates.v".to_owned(), json!(v))].into();
            search.conditions.push(ConditionRecord { index, axes, ..template.clone() });
            search.trials.push(trial(index, 0, 3.0 * w));
        }
        let found = importance(&search, "test_accuracy", EXCLUDE);
        assert_eq!((found.method, found.rows[0].name.as_str()), (Some(ImportanceMethod::Fanova), "rates.w"));
        assert!(found.rows[0].share > 0.9 && found.r_squared.unwrap() > 0.9, "{found:?}");
        search.trials.truncate(10);
        let refused = importance(&search, "test_accuracy", EXCLUDE).refused.unwrap();
        assert!(refused.starts_with("there are 10 places"), "{refused}");
    }
}
