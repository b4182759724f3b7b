//! Which axes matter: analysis of variance of a balanced full-factorial design, with or without blocks. Knows factors by
//! name and level by number, not what they set.
//!
//! The model holds the blocks, every main effect and every two-way interaction; all else (replicates, higher
//! interactions, what the blocks make of the effects) is residual. In a balanced design these are orthogonal, so types I, II and III agree (Montgomery, *Design and
//! Analysis of Experiments*, ch. 5).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{dist, sample};

/// One swept axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Factor {
    /// Name, as shown in the table.
    pub name: String,
    /// Number of levels, at least 2.
    pub levels: usize,
}

/// One value at one combination of levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The level of each factor, in the factors' order, counted from 0.
    pub levels: Vec<usize>,
    /// The value.
    pub value: f64,
}

/// ANOVA table of a balanced full-factorial design.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anova {
    /// Number of observations.
    pub n: usize,
    /// Observations in each cell.
    pub replicates: usize,
    /// Mean of all observations.
    pub mean: f64,
    /// The blocks, where there are any.
    pub blocks: Option<Effect>,
    /// Main effects in the factors' order, then two-way interactions.
    pub effects: Vec<Effect>,
    /// What the effects leave.
    pub residual: Residual,
    /// Total sum of squares about the mean.
    pub total_sum_sq: f64,
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// One factor for a main effect, two for an interaction.
    pub factors: Vec<String>,
    /// Degrees of freedom.
    pub df: usize,
    /// Sum of squares.
    pub sum_sq: f64,
    /// Importance η², the share of the total sum of squares; `None` if the values do not vary.
    pub eta_sq: Option<f64>,
    /// Partial η², the share of what this effect and the residual make up; `None` if neither varies.
    pub partial_eta_sq: Option<f64>,
    /// F statistic against the residual; `None` without residual degrees of freedom or residual variance.
    pub f: Option<f64>,
    /// Its p-value; `None` where `f` is.
    pub p: Option<f64>,
}

/// The residual row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Residual {
    /// Degrees of freedom; 0 if effects take up everything.
    pub df: usize,
    /// Sum of squares.
    pub sum_sq: f64,
    /// Mean square; `None` at df = 0.
    pub mean_sq: Option<f64>,
}

/// Why there is no table.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AnovaError {
    /// No factor was given.
    #[error("there are no factors: at least one axis must be swept")]
    NoFactors,
    /// A factor does not vary.
    #[error("factor {factor} has {levels} level(s): at least 2 are needed")]
    FewLevels {
        /// Name of the factor.
        factor: String,
        /// Its number of levels.
        levels: usize,
    },
    /// An observation has too few or too many levels.
    #[error("observation {index} has {found} levels: there are {expected} factors")]
    Arity {
        /// Position in the input.
        index: usize,
        /// Levels given.
        found: usize,
        /// Number of factors.
        expected: usize,
    },
    /// An observation names a level that its factor does not have.
    #[error("observation {index} has level {level} of factor {factor}: the last one is {}", levels - 1)]
    Level {
        /// Position in the input.
        index: usize,
        /// Name of the factor.
        factor: String,
        /// The level given.
        level: usize,
        /// Number of levels of the factor.
        levels: usize,
    },
    /// A value is NaN, infinite or larger than [`crate::MAGNITUDE_MAX`].
    #[error(
        "observation {index} has value {value}: it must be finite and at most {:e} in size",
        crate::MAGNITUDE_MAX
    )]
    Value {
        /// Position in the input.
        index: usize,
        /// The value found there.
        value: f64,
    },
    /// Some cells hold more observations than others, or none.
    #[error(
        "the design is not balanced: cell {cell:?} has {found} observation(s) where cell {other:?} has {expected}"
    )]
    Unbalanced {
        /// Levels of a short cell, in the factors' order.
        cell: Vec<usize>,
        /// Its number of observations.
        found: usize,
        /// Levels of the fullest cell.
        other: Vec<usize>,
        /// Its number of observations.
        expected: usize,
    },
    /// There is nothing to analyse.
    #[error("there are no observations")]
    NoObservations,
}

/// Analyses `observations`, one or more per cell and the same number in each.
///
/// With cell means `ȳ`, grand mean `g` and r observations behind each mean: `SS_A = Σ r (ȳ_a − g)²`,
/// `SS_AB = Σ r (ȳ_ab − ȳ_a − ȳ_b + g)²`, `F = MS / MS_residual`, `η² = SS / SS_total`.
///
/// # Errors
/// [`AnovaError`]; [`AnovaError::Unbalanced`] names a cell that lacks observations.
pub fn anova(factors: &[Factor], observations: &[Observation]) -> Result<Anova, AnovaError> {
    analyse(factors, factors.len(), observations)
}

/// Analyses `observations` that lie in complete blocks: one per cell and block (a randomized complete block design). The
/// last level of each observation is its block. What the blocks differ in is taken out of the residual.
///
/// # Errors
/// As [`anova`]: a block counts as a factor.
pub fn anova_in_blocks(
    blocks: &Factor,
    factors: &[Factor],
    observations: &[Observation],
) -> Result<Anova, AnovaError> {
    if factors.is_empty() {
        return Err(AnovaError::NoFactors);
    }
    let all: Vec<Factor> = factors.iter().chain([blocks]).cloned().collect();
    analyse(&all, factors.len(), observations)
}

/// The first `crossed` factors interact, the others are additive.
fn analyse(factors: &[Factor], crossed: usize, observations: &[Observation]) -> Result<Anova, AnovaError> {
    check(factors, observations)?;
    let replicates = replicates(factors, observations)?;
    let mut sorted: Vec<&Observation> = observations.iter().collect();
    sorted.sort_by(|a, b| a.levels.cmp(&b.levels).then(a.value.total_cmp(&b.value)));
    let n = sorted.len();
    let mean = sample::sum(sorted.iter().map(|o| o.value)) / n as f64;
    let design = Design { levels: sorted.iter().map(|o| o.levels.as_slice()).collect() };
    let y: Vec<f64> = sorted.iter().map(|o| o.value - mean).collect();

    let mains: Vec<Vec<f64>> = (0..factors.len()).map(|f| design.group_means(&y, &[f])).collect();
    let mut rest = y.clone();
    let mut rows = Vec::new();
    for (f, main) in mains.iter().enumerate() {
        take(&mut rest, main);
        rows.push((vec![f], squares(main)));
    }
    for f in 0..crossed {
        for g in f + 1..crossed {
            let mut pair = design.group_means(&y, &[f, g]);
            take(&mut pair, &mains[f]);
            take(&mut pair, &mains[g]);
            take(&mut rest, &pair);
            rows.push((vec![f, g], squares(&pair)));
        }
    }
    let largest = observations.iter().fold(0.0_f64, |largest, o| largest.max(o.value.abs()));
    let rounding = n as f64 * (8.0 * f64::EPSILON * largest).powi(2);
    let sums = Sums { n, replicates, mean, total: squares(&y), rest: squares(&rest), rounding };
    Ok(table(factors, crossed, rows, &sums))
}

/// What a table is made of beside the effects.
struct Sums {
    n: usize,
    replicates: usize,
    mean: f64,
    total: f64,
    rest: f64,
    /// A sum of squares up to this is rounding, not variance.
    rounding: f64,
}

fn table(factors: &[Factor], crossed: usize, rows: Vec<(Vec<usize>, f64)>, sums: &Sums) -> Anova {
    let df = |of: &[usize]| of.iter().map(|&f| factors[f].levels - 1).product::<usize>();
    let residual_df = sums.n - 1 - rows.iter().map(|(of, _)| df(of)).sum::<usize>();
    let varies = |sum_sq: f64| sum_sq > sums.rounding;
    let residual_sum_sq = if residual_df == 0 || !varies(sums.rest) { 0.0 } else { sums.rest };
    let residual = Residual {
        df: residual_df,
        sum_sq: residual_sum_sq,
        mean_sq: (residual_df > 0).then(|| residual_sum_sq / residual_df as f64),
    };
    let error = residual.mean_sq.filter(|&ms| ms > 0.0);
    let effect = |(of, sum_sq): (Vec<usize>, f64)| {
        let df = df(&of);
        let sum_sq = if varies(sum_sq) { sum_sq } else { 0.0 };
        let f = error.map(|error| sum_sq / df as f64 / error);
        Effect {
            factors: of.iter().map(|&f| factors[f].name.clone()).collect(),
            df,
            sum_sq,
            eta_sq: varies(sums.total).then(|| sum_sq / sums.total),
            partial_eta_sq: (sum_sq + residual_sum_sq > 0.0).then(|| sum_sq / (sum_sq + residual_sum_sq)),
            f,
            p: f.map(|f| dist::f_upper(f, df as f64, residual_df as f64)),
        }
    };
    let is_block = |(of, _): &(Vec<usize>, f64)| of.iter().any(|&f| f >= crossed);
    let (blocks, effects): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_block);
    Anova {
        n: sums.n,
        replicates: sums.replicates,
        mean: sums.mean,
        blocks: blocks.into_iter().map(effect).next(),
        effects: effects.into_iter().map(effect).collect(),
        residual,
        total_sum_sq: if varies(sums.total) { sums.total } else { 0.0 },
    }
}

/// The levels of each observation, aligned with its value.
struct Design<'a> {
    levels: Vec<&'a [usize]>,
}

impl Design<'_> {
    /// For each observation, the mean of `y` over those that share its levels of `factors`.
    fn group_means(&self, y: &[f64], factors: &[usize]) -> Vec<f64> {
        let key = |levels: &[usize]| factors.iter().map(|&f| levels[f]).collect::<Vec<_>>();
        let mut groups: BTreeMap<Vec<usize>, Vec<f64>> = BTreeMap::new();
        for (levels, &y) in self.levels.iter().zip(y) {
            groups.entry(key(levels)).or_default().push(y);
        }
        let means: BTreeMap<_, f64> = groups
            .into_iter()
            .map(|(key, group)| (key, sample::sum(group.iter().copied()) / group.len() as f64))
            .collect();
        self.levels.iter().map(|levels| means[&key(levels)]).collect()
    }
}

fn take(from: &mut [f64], what: &[f64]) {
    for (x, w) in from.iter_mut().zip(what) {
        *x -= w;
    }
}

fn squares(xs: &[f64]) -> f64 {
    sample::sum(xs.iter().map(|x| x * x))
}

fn check(factors: &[Factor], observations: &[Observation]) -> Result<(), AnovaError> {
    if factors.is_empty() {
        return Err(AnovaError::NoFactors);
    }
    if let Some(f) = factors.iter().find(|f| f.levels < 2) {
        return Err(AnovaError::FewLevels { factor: f.name.clone(), levels: f.levels });
    }
    for (index, o) in observations.iter().enumerate() {
        if o.levels.len() != factors.len() {
            return Err(AnovaError::Arity { index, found: o.levels.len(), expected: factors.len() });
        }
        if let Some((f, &level)) = factors.iter().zip(&o.levels).find(|(f, level)| **level >= f.levels) {
            return Err(AnovaError::Level { index, factor: f.name.clone(), level, levels: f.levels });
        }
        if !sample::usable(o.value) {
            return Err(AnovaError::Value { index, value: o.value });
        }
    }
    if observations.is_empty() { Err(AnovaError::NoObservations) } else { Ok(()) }
}

/// Observations per cell, if that is one number. Expects checked input.
fn replicates(factors: &[Factor], observations: &[Observation]) -> Result<usize, AnovaError> {
    let mut counts: BTreeMap<&[usize], usize> = BTreeMap::new();
    for o in observations {
        *counts.entry(&o.levels).or_default() += 1;
    }
    let mut other = observations[0].levels.as_slice();
    for (cell, count) in &counts {
        if *count > counts[other] {
            other = cell;
        }
    }
    let expected = counts[other];
    // Ends at the latest one cell past the observations: never walks a design that was hardly begun.
    let mut cell = vec![0; factors.len()];
    loop {
        let found = counts.get(cell.as_slice()).copied().unwrap_or(0);
        if found != expected {
            return Err(AnovaError::Unbalanced { cell, found, other: other.to_vec(), expected });
        }
        if !advance(&mut cell, factors) {
            return Ok(expected);
        }
    }
}

/// Steps to the next cell, the last factor fastest; false after the last cell.
fn advance(cell: &mut [usize], factors: &[Factor]) -> bool {
    for (level, factor) in cell.iter_mut().zip(factors).rev() {
        *level += 1;
        if *level < factor.levels {
            return true;
        }
        *level = 0;
    }
    false
}
