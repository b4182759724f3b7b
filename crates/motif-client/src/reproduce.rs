//! Whether trials that were trained again came to the same bits. Pure: records in, verdicts out.

use std::collections::BTreeMap;

use motif_wire::reproduction::judge;
use serde::Serialize;

pub use motif_wire::reproduction::Verdict;

/// What determines every bit of a trial's result, up to the instruction set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TrialKey {
    /// Hex BLAKE3 of the config.
    pub config_hash: String,
    /// Hex BLAKE3 of the dataset's content.
    pub dataset_hash: String,
    /// The seed.
    pub seed: u64,
}

/// A trial with what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What it is.
    pub key: TrialKey,
    /// Its condition's name.
    pub label: String,
    /// Hash over its final weights and metrics; absent where it has no result.
    pub result_hash: Option<String>,
    /// Instruction set of the machine that trained it.
    pub instruction_set: Option<String>,
}

/// One trial on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What it is.
    #[serde(flatten)]
    pub key: TrialKey,
    /// Its condition's name.
    pub label: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The recorded result.
    pub recorded: Option<String>,
    /// Where the recorded result was made.
    pub recorded_instruction_set: Option<String>,
    /// The result of the re-run.
    pub rerun: Option<String>,
    /// Where the re-run was made.
    pub rerun_instruction_set: Option<String>,
}

/// All trials on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reproduction {
    /// Trials with the same result.
    pub verified: u64,
    /// Trials with another result.
    pub mismatched: u64,
    /// Trials without a result on one side.
    pub unverified: u64,
    /// Of the mismatched trials, those whose two machines have other instruction sets: hashes are comparable only between
    /// machines of the same one.
    pub mismatched_across_instruction_sets: u64,
    /// Each trial of either side once, in the order of the recorded ones.
    pub pairs: Vec<Pair>,
}

/// Compares what was recorded with what the re-run came to. A trial that was re-run several times is mismatched when any
/// of its results is another one.
#[must_use]
pub fn compare(recorded: &[Made], rerun: &[Made]) -> Reproduction {
    let mut again: BTreeMap<&TrialKey, Vec<&Made>> = BTreeMap::new();
    for made in rerun {
        again.entry(&made.key).or_default().push(made);
    }
    let mut pairs = Vec::new();
    for made in recorded {
        let results = again.remove(&made.key).unwrap_or_default();
        let worst = results.into_iter().max_by_key(|other| verdict(Some(made), Some(other)));
        pairs.push(pair(Some(made), worst, made));
    }
    for made in rerun.iter().filter(|made| again.contains_key(&made.key)) {
        pairs.push(pair(None, Some(made), made));
    }
    let count = |verdict| pairs.iter().filter(|pair: &&Pair| pair.verdict == verdict).count() as u64;
    let across = |pair: &&Pair| {
        pair.verdict == Verdict::Mismatched && pair.recorded_instruction_set != pair.rerun_instruction_set
    };
    Reproduction {
        verified: count(Verdict::Verified),
        mismatched: count(Verdict::Mismatched),
        unverified: count(Verdict::Unverified),
        mismatched_across_instruction_sets: pairs.iter().filter(across).count() as u64,
        pairs,
    }
}

fn verdict(recorded: Option<&Made>, rerun: Option<&Made>) -> Verdict {
    fn hash(made: Option<&Made>) -> Option<&str> {
        made.and_then(|made| made.result_hash.as_deref())
    }
    judge(hash(recorded), [hash(rerun)])
}

fn pair(recorded: Option<&Made>, rerun: Option<&Made>, named: &Made) -> Pair {
    Pair {
        key: named.key.clone(),
        label: named.label.clone(),
        verdict: verdict(recorded, rerun),
        recorded: recorded.and_then(|made| made.result_hash.clone()),
        recorded_instruction_set: recorded.and_then(|made| made.instruction_set.clone()),
        rerun: rerun.and_then(|made| made.result_hash.clone()),
        rerun_instruction_set: rerun.and_then(|made| made.instruction_set.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(seed: u64, hash: Option<&str>, set: &str) -> Made {
        let key = TrialKey { config_hash: "c".into(), dataset_hash: "d".into(), seed };
        let instruction_set = hash.map(|_| set.to_owned());
        Made { key, label: "a".into(), result_hash: hash.map(str::to_owned), instruction_set }
    }

    #[test]
    fn each_trial_of_either_side_has_one_verdict() {
        let recorded = [
            made(0, Some("a"), "avx2"),
            made(1, Some("b"), "avx2"),
            made(2, Some("c"), "avx2"),
            made(3, None, ""),
        ];
        let rerun = [
            made(0, Some("a"), "avx512"),
            made(1, Some("x"), "avx512"),
            made(3, Some("d"), "avx2"),
            made(4, Some("e"), "avx2"),
        ];
        let found = compare(&recorded, &rerun);
        let verdicts: Vec<_> = found.pairs.iter().map(|pair| (pair.key.seed, pair.verdict)).collect();
        use Verdict::{Mismatched, Unverified, Verified};
        assert_eq!(
            verdicts,
            [(0, Verified), (1, Mismatched), (2, Unverified), (3, Unverified), (4, Unverified)]
        );
        assert_eq!((found.verified, found.mismatched, found.unverified), (1, 1, 3));
        assert_eq!(found.mismatched_across_instruction_sets, 1);
        assert_eq!(found.pairs[1].rerun_instruction_set.as_deref(), Some("avx512"));
    }

    #[test]
    fn of_several_re_runs_another_result_wins() {
        let found = compare(
            &[made(0, Some("a"), "x")],
            &[made(0, Some("a"), "x"), made(0, Some("b"), "x"), made(0, None, "")],
        );
        assert_eq!((found.mismatched, found.pairs.len()), (1, 1));
        let found = compare(&[made(0, Some("a"), "x")], &[made(0, None, ""), made(0, Some("a"), "x")]);
        assert_eq!(found.verified, 1, "one that did not end says nothing against another");
    }

    #[test]
    fn a_key_of_another_config_or_dataset_is_another_trial() {
        let mut other = made(0, Some("a"), "x");
        other.key.dataset_hash = "e".into();
        let found = compare(&[made(0, Some("a"), "x")], &[other]);
        assert_eq!((found.verified, found.unverified), (0, 2));
    }
}
