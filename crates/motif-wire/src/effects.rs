//! Which swept keys matter: analysis of variance and importance. What cannot honestly be said is refused in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::statistics::DivergedPolicy;

/// What a row of an analysis of variance stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// The seeds, each a block of all conditions.
    Blocks,
    /// One factor by itself.
    Main,
    /// Two factors together, beyond what each does by itself.
    Interaction,
    /// What the others leave.
    Residual,
    /// All of it.
    Total,
}

/// One row of an analysis of variance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EffectRow {
    /// What it stands for.
    pub kind: EffectKind,
    /// Names of the factors: one for a main effect, two for an interaction, none otherwise.
    pub factors: Vec<String>,
    /// Degrees of freedom.
    pub df: u64,
    /// Sum of squares.
    pub sum_sq: f64,
    /// Mean square; absent of the total and without degrees of freedom.
    pub mean_sq: Option<f64>,
    /// F against the residual.
    pub f: Option<f64>,
    /// Its p-value.
    pub p: Option<f64>,
    /// η²: share of the total sum of squares.
    pub eta_sq: Option<f64>,
    /// Partial η²: share of what this effect and the residual make up.
    pub partial_eta_sq: Option<f64>,
}

/// A swept axis, or keys that vary together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactorRow {
    /// Its keys, joined by ` + `.
    pub name: String,
    /// Its keys.
    pub keys: Vec<String>,
    /// Its values, as labels.
    pub levels: Vec<String>,
}

/// Main effects and two-way interactions of a sweep's crossed conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Anova {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// What happened to diverged trials.
    pub diverged: DivergedPolicy,
    /// The factors with two or more levels.
    pub factors: Vec<FactorRow>,
    /// Seeds that every cell has a value of: the blocks.
    pub seeds: Vec<u64>,
    /// Number of values.
    pub n: u64,
    /// How it was made, in words.
    pub method: String,
    /// Why there is no table; absent when there is one.
    pub refused: Option<String>,
    /// The table: blocks, main effects, interactions, residual, total.
    pub rows: Vec<EffectRow>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// How importance was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportanceMethod {
    /// η² of the conditions' means, of a whole grid.
    Anova,
    /// Functional analysis of variance over a forest of regression trees.
    Fanova,
}

/// One key's importance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportanceRow {
    /// The key, or the keys that vary together joined by ` + `.
    pub name: String,
    /// The keys.
    pub keys: Vec<String>,
    /// Number of different values.
    pub levels: u64,
    /// Main effect: share of the variance between conditions.
    pub share: f64,
}

/// How much each swept key matters for a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Importance {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// What happened to diverged trials.
    pub diverged: DivergedPolicy,
    /// How it was found; absent when it was not.
    pub method: Option<ImportanceMethod>,
    /// The same in words.
    pub description: String,
    /// Conditions behind it.
    pub conditions: u64,
    /// Values behind it.
    pub n: u64,
    /// Share of the variance between conditions that is predicted out of sample, R²: near 0 or below, the shares say
    /// nothing. Absent where nothing could be left out.
    pub r_squared: Option<f64>,
    /// What was left out to find R², in words.
    pub r_squared_of: String,
    /// Why nothing is said; absent when something is.
    pub refused: Option<String>,
    /// The keys, the most important first.
    pub rows: Vec<ImportanceRow>,
    /// What the main effects leave: interactions, as a share.
    pub interactions: Option<f64>,
    /// What a reader must know.
    pub notes: Vec<String>,
}
