//! What a sweep's trials say of its claims.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::statistics::{DivergedPolicy, IntervalRow};

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The data hold the claim up.
    Supported,
    /// The data contradict it, or exclude an effect that matters.
    NotSupported,
    /// The data do not tell, at this number of seeds.
    Undecided,
}

/// One test of a claim, and its outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClaimVerdict {
    /// Index of the claim in the spec.
    pub claim: u32,
    /// The claim in words.
    pub text: String,
    /// `ratio=2`, where the claim is tested for each value of a key.
    pub group: Option<String>,
    /// The metric; `cos_theorem1.*` is its mean over the layers.
    pub metric: String,
    /// The answer.
    pub verdict: VerdictKind,
    /// What was tested and by which rule it is answered, in words.
    pub test: String,
    /// Number of seeds behind it: those with a value for every condition involved.
    pub n: u64,
    /// The mean effect over the seeds, in the metric's unit (for slopes: per doubling or per unit of the key).
    pub effect: Option<f64>,
    /// The interval that decided, at the corrected level.
    pub interval: Option<IntervalRow>,
    /// Student's t of the mean effect against 0.
    pub t: Option<f64>,
    /// Its two-sided p-value, not corrected.
    pub p: Option<f64>,
    /// The smallest effect that matters.
    pub margin: f64,
    /// What a reader must know: seeds left out, diverged trials, the closest rival.
    pub notes: Vec<String>,
}

/// All claims of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verdicts {
    /// The sweep.
    pub sweep_id: Uuid,
    /// That all claims hold; absent when the sweep makes none.
    pub verdict: Option<VerdictKind>,
    /// The error of the whole family: that any claim is decided wrongly.
    pub alpha: f64,
    /// Number of tests that share it.
    pub tests: u64,
    /// How they share it, in words.
    pub correction: String,
    /// What happened to diverged trials.
    pub diverged: DivergedPolicy,
    /// Whether every trial that a claim rests on has ended.
    pub complete: bool,
    /// One row per test, by claim.
    pub claims: Vec<ClaimVerdict>,
}
