//! Which examples a trial learns from, and which it is measured on: the task's test split, or, with
//! `validation`, training examples held out.

use crate::config::TrialConfig;
use crate::examples::{Examples, Task};
use crate::random::Stream;

/// Seed of the held-out examples in every trial: all seeds and conditions are judged on the same ones.
const VALIDATION_SEED: u64 = 0;

/// The examples of one trial.
pub(crate) struct Split<'a> {
    /// Positions of the training examples to learn from.
    pub(crate) train_rows: Vec<u32>,
    /// The task's split that holds the examples to measure on.
    pub(crate) measured: Examples<'a>,
    /// Positions of those.
    pub(crate) measured_rows: Vec<u32>,
}

impl<'a> Split<'a> {
    /// Draws the subsets of a config that has no violations on the task.
    pub(crate) fn new(config: &TrialConfig, seed: u64, task: &Task<'a>) -> Self {
        let mut learnt = Stream::new(seed, "subset.train");
        let Some(held_out) = config.validation else {
            return Self {
                train_rows: learnt.subset(task.train.len(), config.train_limit),
                measured: task.test,
                measured_rows: Stream::new(seed, "subset.test").subset(task.test.len(), config.test_limit),
            };
        };
        let total = task.train.len();
        let mut measured_rows = Stream::new(VALIDATION_SEED, "subset.validation").subset(total, Some(total));
        let mut rest = measured_rows.split_off(held_out);
        measured_rows.shrink_to_fit();
        rest.sort_unstable();
        let places = learnt.subset(rest.len(), config.train_limit);
        let train_rows = places.into_iter().map(|place| rest[place as usize]).collect();
        Self { train_rows, measured: task.train, measured_rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Values;
    use crate::trainer::train;

    fn split(config: &TrialConfig, seed: u64) -> (Vec<u32>, Vec<u32>) {
        let (train, test) = ([0; 50], [0; 20]);
        let examples = |values, labels| Examples { values: Values::U8(values), labels, features: 1 };
        let task = Task::new(examples(&train, &[1; 50]), examples(&test, &[1; 20]), 2).unwrap();
        let split = Split::new(config, seed, &task);
        (split.train_rows, split.measured_rows)
    }

    #[test]
    fn held_out_rows_are_those_of_every_seed_and_no_training_rows() {
        let whole = TrialConfig { validation: Some(15), ..TrialConfig::default() };
        let limited = TrialConfig { train_limit: Some(20), ..whole.clone() };
        let (rest, held_out) = split(&whole, 1);
        assert_eq!((rest.len(), held_out.len()), (35, 15));
        assert!(rest.is_sorted(), "all of the rest, in the order of the data");
        let mut all = [rest.clone(), held_out.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..50), "each training example is in one of the two");
        for seed in [2, 3] {
            assert_eq!(split(&whole, seed), (rest.clone(), held_out.clone()));
            let (train, same) = split(&limited, seed);
            assert_eq!((train.len(), &same), (20, &held_out), "a limit takes from the rest");
            assert!(train.iter().all(|row| !held_out.contains(row)));
        }
        assert_ne!(split(&limited, 2).0, split(&limited, 3).0, "which of the rest is the seed's");
        let fewer = TrialConfig { validation: Some(10), ..whole };
        assert_eq!(split(&fewer, 1).1, held_out[..10], "fewer are the first of more");
    }

    #[test]
    fn measuring_on_held_out_examples_is_testing_on_them() {
        let values: Vec<f32> = (0..200).map(|i| ((i * i) % 23) as f32 + (i / 4 % 2) as f32).collect();
        let labels: Vec<u16> = (0..50).map(|i| i % 2).collect();
        fn examples<'a>(values: &'a [f32], labels: &'a [u16]) -> Examples<'a> {
            Examples { values: Values::F32(values), labels, features: 4 }
        }
        let all = examples(&values, &labels);
        let task = Task::new(all, all, 2).unwrap();
        for train_limit in [None, Some(20)] {
            let plain = TrialConfig { hidden: vec![5], batch_size: 8, train_limit, ..TrialConfig::default() };
            let config = TrialConfig { validation: Some(15), ..plain.clone() };
            // The same examples as two splits of their own.
            let chosen = Split::new(&TrialConfig { train_limit: None, ..config.clone() }, 3, &task);
            let of = |rows: &[u32]| -> (Vec<f32>, Vec<u16>) {
                let values = rows.iter().flat_map(|&row| &values[4 * row as usize..][..4]).copied();
                (values.collect(), rows.iter().map(|&row| labels[row as usize]).collect())
            };
            let (rest, held_out) = (of(&chosen.train_rows), of(&chosen.measured_rows));
            let apart = Task::new(examples(&rest.0, &rest.1), examples(&held_out.0, &held_out.1), 2).unwrap();
            let [ours, theirs] = [(&config, &task), (&plain, &apart)]
                .map(|(config, task)| train(config, 3, task, &mut ()).unwrap().metrics);
            let renamed =
                theirs.into_iter().map(|(name, value)| (name.replace("test_", "validation_"), value));
            assert_eq!(ours, renamed.collect());
        }
    }

    #[test]
    fn without_validation_the_streams_are_those_of_the_test_split() {
        let config = TrialConfig { train_limit: Some(9), test_limit: Some(4), ..TrialConfig::default() };
        let expected = (
            Stream::new(7, "subset.train").subset(50, Some(9)),
            Stream::new(7, "subset.test").subset(20, Some(4)),
        );
        assert_eq!(split(&config, 7), expected);
    }
}
