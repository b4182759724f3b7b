//! Commands that are run in lists: what many callers ask for in one transaction takes as many statements as one of them.

use std::{collections::HashMap, hash::Hash};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::writer::{Message, Steps, Work, settle};
use crate::Result;

/// One answer for each command of a list, or the reason why the list as a whole was not run.
pub(super) type Answers<T> = Result<Vec<Result<T>>>;

/// A kind of commands that are run in lists.
pub(super) trait Listed: Send + Sync + Sized + 'static {
    /// What differs within a list: commands of one key are run in lists of their own, one after the other.
    type Key: Eq + Hash;
    /// What a command comes to.
    type Reply: Send + 'static;

    /// The command's key.
    fn key(&self) -> Self::Key;

    /// Runs a list, each command upon the effects of those before it. An answer that is an error has changed nothing; of a
    /// list that failed as a whole nothing is kept.
    fn run_all<'c>(
        conn: &'c mut SqliteConnection,
        commands: &'c [&'c Self],
    ) -> Work<'c, Answers<Self::Reply>>;

    /// What the writer is sent.
    fn message(asked: Asked<Self>) -> Message;
}

/// A command with whom to tell what it came to.
pub(super) struct Asked<C: Listed> {
    command: C,
    answer: Option<Result<C::Reply>>,
    reply: oneshot::Sender<Result<C::Reply>>,
}

impl<C: Listed> Asked<C> {
    pub(super) fn new(command: C, reply: oneshot::Sender<Result<C::Reply>>) -> Self {
        Self { command, answer: None, reply }
    }
}

/// The commands of one kind in a transaction.
pub(super) struct List<C: Listed>(Vec<Asked<C>>);

impl<C: Listed> Default for List<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Listed> List<C> {
    pub(super) fn push(&mut self, asked: Asked<C>) {
        self.0.push(asked);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Runs all commands. A list that fails as a whole is run again as lists of one, so that no command suffers from
    /// another's fault.
    pub(super) async fn run(&mut self, steps: &mut Steps<'_>) -> Result<()> {
        let mut rounds = rounds(self.0.iter().map(|asked| asked.command.key()));
        rounds.reverse();
        while let Some(round) = rounds.pop() {
            let commands: Vec<&C> = round.iter().map(|&index| &self.0[index].command).collect();
            match C::run_all(steps.next().await?, &commands).await {
                Ok(answers) => {
                    for (&index, answer) in round.iter().zip(answers) {
                        self.0[index].answer = Some(answer);
                    }
                }
                Err(error) => {
                    steps.undo().await?;
                    match round.as_slice() {
                        [index] => self.0[*index].answer = Some(Err(error)),
                        _ => rounds.extend(round.into_iter().rev().map(|index| vec![index])),
                    }
                }
            }
        }
        Ok(())
    }

    /// Tells every caller what its command came to, or why the transaction failed.
    pub(super) fn answer(self, fault: Option<&str>) {
        for Asked { answer, reply, .. } in self.0 {
            // The caller may have gone away: the command has run all the same.
            let _ = reply.send(settle(answer, fault));
        }
    }
}

/// The places of a list in as few rounds as keep those of one key apart, each round in the list's order.
fn rounds<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> Vec<Vec<usize>> {
    let mut seen: HashMap<K, usize> = HashMap::new();
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (index, key) in keys.enumerate() {
        let before = seen.entry(key).or_insert(0);
        match rounds.get_mut(*before) {
            Some(round) => round.push(index),
            None => rounds.push(vec![index]),
        }
        *before += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_keep_the_order_of_each_key() {
        assert_eq!(rounds("abacbaa".chars()), [vec![0, 1, 3], vec![2, 4], vec![5], vec![6]]);
        assert!(rounds(std::iter::empty::<u8>()).is_empty());
    }
}
