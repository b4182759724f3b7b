//! A sweep's statistics. Every interval comes with its method and n; every family of tests with its correction.

use motif_sweep::lifecycle::TrialState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sweeps::StateCounts;

/// An interval for a mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntervalRow {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Coverage, such as 0.95.
    pub level: f64,
    /// How it was made: `student_t` or `bca_bootstrap`.
    pub method: String,
    /// Number of seeds behind it.
    pub n: u64,
    /// Resamples drawn, of a bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resamples: Option<u64>,
    /// Seed of the resamples, of a bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// What happens to diverged trials in a mean, final or over training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DivergedPolicy {
    /// They are left out, and counted.
    #[default]
    Exclude,
    /// They count with the worst value seen in the sweep; in a curve, from the step after the last they logged.
    Worst,
}

/// One seed's final value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeedValue {
    /// The seed.
    pub seed: u64,
    /// The trial.
    pub trial_id: Uuid,
    /// The final value of the metric.
    pub value: f64,
}

/// One condition's estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConditionSummary {
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// Values by seed, in seed order.
    pub values: Vec<SeedValue>,
    /// Number of values.
    pub n: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Standard deviation (n − 1).
    pub sd: Option<f64>,
    /// Median.
    pub median: Option<f64>,
    /// Interquartile mean.
    pub iqm: Option<f64>,
    /// Interval for the mean; absent when n < 2.
    pub interval: Option<IntervalRow>,
    /// Trials by state.
    pub counts: StateCounts,
    /// Whether every seed has a value.
    pub complete: bool,
    /// What a reader must know: incomplete, n = 1, diverged trials left out.
    pub notes: Vec<String>,
}

/// A sweep's estimates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// Names of all metrics that could be asked for.
    pub metrics: Vec<String>,
    /// What happened to diverged trials.
    pub diverged: DivergedPolicy,
    /// One estimate per condition, in spec order.
    pub conditions: Vec<ConditionSummary>,
}

/// One condition against the baseline, paired on shared seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComparisonRow {
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// Number of shared seeds.
    pub n: u64,
    /// Mean of (condition − baseline).
    pub mean_difference: Option<f64>,
    /// Interval for the mean difference.
    pub interval: Option<IntervalRow>,
    /// Paired t statistic.
    pub t: Option<f64>,
    /// Its two-sided p.
    pub p_t: Option<f64>,
    /// Exact Wilcoxon signed-rank, two-sided p.
    pub p_wilcoxon: Option<f64>,
    /// Exact sign-flip permutation on the mean, two-sided p (n ≤ 16).
    pub p_permutation: Option<f64>,
    /// `p_t` adjusted over the family.
    pub p_adjusted: Option<f64>,
    /// Effect size d_z.
    pub d_z: Option<f64>,
    /// Share of pairs in which the condition is better, ties half.
    pub superiority: Option<f64>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// A sweep's tests against its baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparisons {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// Index of the baseline; absent when the sweep declares none.
    pub baseline: Option<u32>,
    /// The correction: `holm` or `benjamini_hochberg`.
    pub correction: String,
    /// The family the correction spans, in words.
    pub family: String,
    /// One row per condition other than the baseline.
    pub rows: Vec<ComparisonRow>,
}

/// One step of a condition's curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CurvePoint {
    /// Minibatches done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// Seeds that count at this step.
    pub n: u64,
    /// Mean over those seeds.
    pub mean: f64,
    /// Lower end of the 95 % t interval; absent when n < 2.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// One condition's curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConditionCurve {
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// The points, by step.
    pub points: Vec<CurvePoint>,
}

/// A metric over training, by condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Curves {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// Names of all metrics that could be asked for.
    pub metrics: Vec<String>,
    /// What happened to diverged trials.
    pub diverged: DivergedPolicy,
    /// One curve per condition.
    pub conditions: Vec<ConditionCurve>,
}

/// One condition of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LeaderRow {
    /// Its place, from 1.
    pub rank: u32,
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// Number of values: trials trained to the end, and stopped ones.
    pub n: u64,
    /// Mean of these values; a stopped trial counts with what it measured last.
    pub mean: f64,
    /// Standard deviation (n − 1); absent when n < 2.
    pub sd: Option<f64>,
    /// The epochs at which the stopped ones among them ended, by seed.
    pub stopped_epochs: Vec<f64>,
    /// Its trials by state.
    pub counts: StateCounts,
}

/// A search's conditions, the best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Leaderboard {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The metric.
    pub metric: String,
    /// Whether larger values are better.
    pub higher_is_better: bool,
    /// Number of conditions that have a value.
    pub ranked: u64,
    /// Number of all conditions.
    pub conditions: u64,
    /// The first of those that have a value.
    pub rows: Vec<LeaderRow>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// One cell of the completeness ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerCell {
    /// The seed.
    pub seed: u64,
    /// The trial; absent when missing.
    pub trial_id: Option<Uuid>,
    /// Its state; absent when missing.
    #[schema(value_type = Option<String>)]
    pub state: Option<TrialState>,
}

/// One row of the completeness ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerRow {
    /// Index of the condition.
    pub condition: u32,
    /// Its name.
    pub label: String,
    /// One cell per seed.
    pub cells: Vec<LedgerCell>,
}

/// Condition × seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ledger {
    /// The sweep.
    pub sweep_id: Uuid,
    /// The seeds, in column order.
    pub seeds: Vec<u64>,
    /// One row per condition.
    pub rows: Vec<LedgerRow>,
}
