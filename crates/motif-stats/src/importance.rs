//! Which variables of a search matter: functional analysis of variance over a forest of regression trees (Hutter, Hoos &
//! Leyton-Brown 2014, *An Efficient Approach for Assessing Hyperparameter Importance*). Knows variables by number and
//! their values by rank.
//!
//! A tree is constant on boxes, so that its average over all variables but one is exact, and with it the forest's: the
//! variance of that average is the variable's main effect. The variance of the whole is measured on random draws.
//! Averages and draws are over the values as they were sampled, each variable by itself.

use serde::Serialize;

use crate::forest::{Forest, Leaf, Row};
use crate::sample;

/// Trees of a forest.
pub const TREES: usize = 32;
/// Draws that the forest's variance is measured on.
const VARIANCE_DRAWS: usize = 4_096;
/// Fewest places that trees are grown on.
pub const PLACES_MIN: usize = 16;

/// One place of the search.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The rank of each variable's value among its values, counted from 0 without gaps.
    pub levels: Vec<u32>,
    /// What was found there.
    pub value: f64,
}

/// Shares of the variance of what a forest predicts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// Number of places.
    pub n: usize,
    /// Trees of the forest.
    pub trees: usize,
    /// Seed of the forest.
    pub seed: u64,
    /// Share of the variance between places that the forest predicts where it was not grown, R²: near 0 or below, it has
    /// learned nothing and the shares say nothing. `None` if the values do not vary.
    pub r_squared: Option<f64>,
    /// Each variable's main effect, a share between 0 and 1.
    pub main: Vec<f64>,
    /// What the main effects leave: interactions of two or more variables.
    pub interactions: f64,
}

/// Why nothing is said.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportanceError {
    /// There are too few places.
    #[error("there are {n} places with a value: at least {PLACES_MIN} are needed to grow trees")]
    Few {
        /// Their number.
        n: usize,
    },
    /// A place has no levels, or another number of them than the first.
    #[error("place {index} has {found} levels: expected {expected}, at least 1")]
    Arity {
        /// Position in the input.
        index: usize,
        /// Levels given.
        found: usize,
        /// Levels of the first place.
        expected: usize,
    },
    /// A value is NaN, infinite or larger than [`crate::MAGNITUDE_MAX`].
    #[error(
        "place {index} has value {value}: it must be finite and at most {:e} in size",
        crate::MAGNITUDE_MAX
    )]
    Value {
        /// Position in the input.
        index: usize,
        /// The value found there.
        value: f64,
    },
    /// All values are equal.
    #[error("all {n} places have the same value: nothing varies that a variable could explain")]
    Flat {
        /// Number of places.
        n: usize,
    },
}

/// Shares the variance over `places` out among the variables; the same places in any order and the same seed give the
/// same shares.
///
/// # Errors
/// [`ImportanceError`].
pub fn importance(places: &[Place], seed: u64) -> Result<Importance, ImportanceError> {
    let variables = check(places)?;
    let mut sorted: Vec<&Place> = places.iter().collect();
    sorted.sort_by(|a, b| a.levels.cmp(&b.levels).then(a.value.total_cmp(&b.value)));
    let shares: Vec<Vec<f64>> = (0..variables).map(|variable| level_shares(&sorted, variable)).collect();
    let levels: Vec<usize> = shares.iter().map(Vec::len).collect();
    let rows: Vec<Row<'_>> =
        sorted.iter().map(|place| Row { levels: &place.levels, value: place.value }).collect();
    let forest = Forest::grow(&rows, TREES, seed);
    let sums: Vec<Vec<f64>> = shares.iter().map(|shares| cumulated(shares)).collect();
    let mut effects: Vec<Vec<f64>> = shares.iter().map(|shares| vec![0.0; shares.len()]).collect();
    for tree in &forest.trees {
        add_effects(&tree.leaves(&levels), &sums, &mut effects);
    }
    // The trees' own variances hold what each has learned by chance, which the forest averages out.
    let variance = forest.variance(&sums, VARIANCE_DRAWS, seed);
    let main = effects.iter().zip(&shares).map(|(effect, shares)| {
        let squares = effect.iter().zip(shares).map(|(sum, share)| share * (sum / TREES as f64).powi(2));
        if variance > 0.0 { (squares.sum::<f64>() / variance).clamp(0.0, 1.0) } else { 0.0 }
    });
    let main: Vec<f64> = main.collect();
    let interactions = if variance > 0.0 { (1.0 - main.iter().sum::<f64>()).clamp(0.0, 1.0) } else { 0.0 };
    Ok(Importance { n: places.len(), trees: TREES, seed, r_squared: forest.r_squared, main, interactions })
}

/// The number of variables.
fn check(places: &[Place]) -> Result<usize, ImportanceError> {
    let n = places.len();
    if n < PLACES_MIN {
        return Err(ImportanceError::Few { n });
    }
    let expected = places[0].levels.len();
    for (index, place) in places.iter().enumerate() {
        let found = place.levels.len();
        if found != expected || found == 0 {
            return Err(ImportanceError::Arity { index, found, expected });
        }
        if !sample::usable(place.value) {
            return Err(ImportanceError::Value { index, value: place.value });
        }
    }
    if places.iter().all(|place| place.value == places[0].value) {
        return Err(ImportanceError::Flat { n });
    }
    Ok(expected)
}

/// The share of the places that each level of a variable has.
fn level_shares(places: &[&Place], variable: usize) -> Vec<f64> {
    let last = places.iter().map(|place| place.levels[variable]).max().unwrap_or(0);
    let mut shares = vec![0.0; last as usize + 1];
    for place in places {
        shares[place.levels[variable] as usize] += 1.0 / places.len() as f64;
    }
    shares
}

/// Adds to each variable's effect at each level what a tree is there, averaged over the other variables, less its mean.
/// `sums` are the cumulated shares of the levels.
fn add_effects(leaves: &[Leaf], sums: &[Vec<f64>], effects: &mut [Vec<f64>]) {
    let size = |bounds: (u32, u32), sums: &[f64]| sums[bounds.1 as usize] - sums[bounds.0 as usize];
    let sizes: Vec<Vec<f64>> = leaves
        .iter()
        .map(|leaf| leaf.bounds.iter().zip(sums).map(|(bounds, sums)| size(*bounds, sums)).collect())
        .collect();
    let volumes = sizes.iter().map(|sizes| sizes.iter().product::<f64>());
    let mean = sample::sum(leaves.iter().zip(volumes).map(|(leaf, volume)| leaf.value * volume));
    for (variable, effect) in effects.iter_mut().enumerate() {
        // Steps up and down at the leaves' bounds.
        let mut steps = vec![0.0; effect.len() + 1];
        for (leaf, sizes) in leaves.iter().zip(&sizes) {
            let others = sizes.iter().enumerate().filter(|(other, _)| *other != variable);
            let height = (leaf.value - mean) * others.map(|(_, size)| size).product::<f64>();
            let (low, high) = leaf.bounds[variable];
            steps[low as usize] += height;
            steps[high as usize] -= height;
        }
        let mut here = 0.0;
        for (effect, step) in effect.iter_mut().zip(&steps) {
            here += step;
            *effect += here;
        }
    }
}

/// `0`, and the sums of the first, the first two, … shares.
fn cumulated(shares: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let sums = shares.iter().map(|share| {
        sum += share;
        sum
    });
    std::iter::once(0.0).chain(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Factor, Observation, anova};

    /// A tree with a leaf for each cell of a full grid is the grid: its effects' shares are the η² of the analysis of
    /// variance.
    #[test]
    fn a_tree_of_a_whole_grid_has_the_effects_of_its_analysis_of_variance() {
        let (a, b) = (4_u32, 3_u32);
        let value = |x: u32, y: u32| f64::from(x * x) - 2.0 * f64::from(y) + 0.5 * f64::from(x * y);
        let cells = || (0..a).flat_map(|x| (0..b).map(move |y| (x, y)));
        let leaves: Vec<Leaf> =
            cells().map(|(x, y)| Leaf { bounds: vec![(x, x + 1), (y, y + 1)], value: value(x, y) }).collect();
        let sums = [a, b].map(|k| cumulated(&vec![1.0 / f64::from(k); k as usize]));
        let mut effects = [vec![0.0; a as usize], vec![0.0; b as usize]];
        add_effects(&leaves, &sums, &mut effects);
        let variance = |effect: &[f64]| effect.iter().map(|e| e * e).sum::<f64>() / effect.len() as f64;
        let factors = [("x", a), ("y", b)].map(|(name, k)| Factor { name: name.into(), levels: k as usize });
        let observations: Vec<Observation> = cells()
            .map(|(x, y)| Observation { levels: vec![x as usize, y as usize], value: value(x, y) })
            .collect();
        let table = anova(&factors, &observations).unwrap();
        for (ours, effect) in effects.iter().zip(&table.effects) {
            let share = variance(ours) * table.n as f64 / table.total_sum_sq;
            assert!((share - effect.eta_sq.unwrap()).abs() < 1e-12, "{share} {effect:?}");
        }
    }
}
