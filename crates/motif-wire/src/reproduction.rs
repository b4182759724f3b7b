//! Verified reproducibility: re-runs compared with what they repeat.
//!
//! [`compare`] is pure and knows neither server nor files, so that the server (for verifications) and its clients (for a
//! published result that is run again elsewhere) judge alike.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::sweeps::SweepState;

/// What a trial's re-runs say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was not re-run, or no re-run has ended with a result.
    Unverified,
    /// Every re-run gave the same bits.
    Verified,
    /// Some re-run gave other bits.
    Mismatched,
}

/// A run of a trial: what determines it, what came of it, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunRecord {
    /// The trial.
    pub trial_id: Uuid,
    /// Its condition's name.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// Hash over the final weights and metrics; absent while there is no result.
    pub result_hash: Option<String>,
    /// Name of the worker that ran it.
    pub worker: Option<String>,
    /// Instruction set of that worker's matrix products.
    pub instruction_set: Option<String>,
}

/// A trial beside its re-runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComparedRun {
    /// What they say of it.
    pub verdict: Verdict,
    /// The trial.
    pub original: RunRecord,
    /// Its re-runs.
    pub reruns: Vec<RunRecord>,
}

impl ComparedRun {
    /// Whether some re-run with a result used another instruction set, whose hashes need not agree.
    #[must_use]
    pub fn crosses_instruction_sets(&self) -> bool {
        let own = self.original.instruction_set.as_deref();
        let ended = self.reruns.iter().filter(|rerun| rerun.result_hash.is_some());
        ended.map(|rerun| rerun.instruction_set.as_deref()).any(|other| other.is_some() && other != own)
    }
}

/// One sweep that re-runs a share of another's trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerificationRun {
    /// Its id.
    pub sweep_id: Uuid,
    /// Where it stands.
    pub state: SweepState,
    /// The share that was asked for.
    pub share: Option<f64>,
    /// The seed by which the trials were chosen.
    pub seed: Option<u64>,
    /// Trials that it re-runs.
    pub trials: u64,
}

/// How far a sweep's results have been reproduced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// The sweep.
    pub sweep_id: Uuid,
    /// Trials whose every re-run gave the same bits.
    pub verified: u64,
    /// Trials of which some re-run gave other bits.
    pub mismatched: u64,
    /// Trials with a result that none has confirmed or contradicted yet.
    pub unverified: u64,
    /// What limits the comparison, in words.
    pub note: Option<String>,
    /// The sweeps that re-run its trials, oldest first.
    pub runs: Vec<VerificationRun>,
    /// Every trial that has a result, in queue order, with its re-runs.
    pub trials: Vec<ComparedRun>,
}

/// Asks for a share of a sweep's trials to be run again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The share, above 0 and at most 1; at least one trial is re-run.
    #[schema(exclusive_minimum = 0.0, maximum = 1.0)]
    pub share: f64,
    /// Fixes which trials are chosen; 0 unless given.
    #[serde(default)]
    pub seed: u64,
}

/// Trials by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// Trials whose every re-run gave the same bits.
    pub verified: u64,
    /// Trials of which some re-run gave other bits.
    pub mismatched: u64,
    /// The rest.
    pub unverified: u64,
}

/// What re-runs' hashes, absent where there is no result, say of a trial's: one other hash makes it mismatched, whatever
/// the rest say.
#[must_use]
pub fn judge<'a>(original: Option<&str>, reruns: impl IntoIterator<Item = Option<&'a str>>) -> Verdict {
    let Some(original) = original else { return Verdict::Unverified };
    let one = |hash: &str| if hash == original { Verdict::Verified } else { Verdict::Mismatched };
    reruns.into_iter().flatten().map(one).max().unwrap_or(Verdict::Unverified)
}

/// Finds each trial's re-runs, those of the same config, dataset and seed, and judges it by them: one other hash makes it
/// mismatched, whatever others say. Trials without a result are left out; re-runs without one say nothing.
#[must_use]
pub fn compare(originals: Vec<RunRecord>, reruns: Vec<RunRecord>) -> Vec<ComparedRun> {
    let mut by_key: HashMap<(String, String, u64), Vec<RunRecord>> = HashMap::new();
    for rerun in reruns {
        let key = (rerun.config_hash.clone(), rerun.dataset_hash.clone(), rerun.seed);
        by_key.entry(key).or_default().push(rerun);
    }
    let with_result = originals.into_iter().filter(|original| original.result_hash.is_some());
    with_result
        .map(|original| {
            let key = (original.config_hash.clone(), original.dataset_hash.clone(), original.seed);
            let reruns = by_key.get(&key).cloned().unwrap_or_default();
            let hashes = reruns.iter().map(|rerun| rerun.result_hash.as_deref());
            let verdict = judge(original.result_hash.as_deref(), hashes);
            ComparedRun { verdict, original, reruns }
        })
        .collect()
}

/// Counts verdicts.
#[must_use]
pub fn count(compared: &[ComparedRun]) -> VerdictCounts {
    let number = |verdict| compared.iter().filter(|run| run.verdict == verdict).count() as u64;
    VerdictCounts {
        verified: number(Verdict::Verified),
        mismatched: number(Verdict::Mismatched),
        unverified: number(Verdict::Unverified),
    }
}

/// A sentence about re-runs on another instruction set, when there are any.
#[must_use]
pub fn note(compared: &[ComparedRun]) -> Option<String> {
    let crossing: Vec<&ComparedRun> = compared.iter().filter(|run| run.crosses_instruction_sets()).collect();
    if crossing.is_empty() {
        return None;
    }
    let sets = crossing.iter().flat_map(|run| run.reruns.iter().chain([&run.original]));
    let sets: BTreeSet<&str> = sets.filter_map(|run| run.instruction_set.as_deref()).collect();
    let (count, sets) = (crossing.len(), sets.into_iter().collect::<Vec<_>>().join(", "));
    Some(format!(
        "{count} trial{} on another instruction set than before ({sets}): result hashes are comparable only between \
         machines of the same one",
        if count == 1 { " was re-run" } else { "s were re-run" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64, hash: Option<&str>, set: &str) -> RunRecord {
        RunRecord {
            trial_id: Uuid::from_u128(seed.into()),
            label: "a".into(),
            seed,
            config_hash: "c".into(),
            dataset_hash: "d".into(),
            result_hash: hash.map(str::to_owned),
            worker: Some("w".into()),
            instruction_set: Some(set.into()),
        }
    }

    #[test]
    fn one_other_hash_outweighs_any_number_of_equal_ones() {
        let originals = (0..5).map(|seed| run(seed, (seed < 4).then_some("x"), "avx2")).collect();
        let elsewhere = RunRecord { dataset_hash: "other".into(), ..run(3, Some("y"), "avx2") };
        let reruns = vec![
            run(0, Some("x"), "avx2"),
            run(1, Some("y"), "avx2"),
            run(1, Some("x"), "avx2"),
            run(2, None, "avx2"),
            elsewhere,
        ];
        let compared = compare(originals, reruns);
        let verdicts: Vec<Verdict> = compared.iter().map(|run| run.verdict).collect();
        use Verdict::{Mismatched, Unverified, Verified};
        assert_eq!(verdicts, [Verified, Mismatched, Unverified, Unverified]);
        assert_eq!(count(&compared), VerdictCounts { verified: 1, mismatched: 1, unverified: 2 });
        assert_eq!(compared[1].reruns.len(), 2);
        assert_eq!(note(&compared), None);
    }

    #[test]
    fn another_instruction_set_is_said() {
        let originals = vec![run(0, Some("x"), "avx512"), run(1, Some("x"), "avx512")];
        let reruns = vec![run(0, Some("y"), "avx2"), run(1, None, "avx2")];
        let said = note(&compare(originals, reruns)).unwrap();
        assert!(
            said.starts_with("1 trial was re-run on another instruction set than before (avx2, avx512)"),
            "{said}"
        );
    }
}
