//! What holds of one trial, whatever happened.

use motif_store::records::{AttemptRecord, Steer, TrialRecord};
use motif_sweep::lifecycle::{AttemptOutcome, Policy, TrialState};

use super::{Cause, Checked, Known, Violation};

/// Whether nobody goes on from a checkpoint of a trial in this state.
pub(super) fn drops_checkpoint(state: TrialState) -> bool {
    matches!(state, TrialState::Succeeded | TrialState::Diverged | TrialState::Stopped | TrialState::Failed)
}

/// I3: one terminal state, which nothing changes but a person's retry.
pub(super) fn terminal(name: &str, known: &Known, record: &TrialRecord, cause: Cause) -> Checked {
    let before = &known.record;
    if !before.state.is_terminal() || before == record {
        return Ok(());
    }
    let retryable = matches!(before.state, TrialState::Failed | TrialState::Dead | TrialState::Cancelled);
    if cause == Cause::Steer(Steer::Retry) && retryable && record.state == TrialState::Queued {
        return Ok(());
    }
    let (from, to) = (before.state.name(), record.state.name());
    Err(Violation::new("I3", format!("{name} had ended as {from} and is {to}, by {cause:?}")))
}

/// I6: errors and deaths stay within what the sweep allows, by the counters and by the attempts.
pub(super) fn budgets(
    name: &str,
    record: &TrialRecord,
    attempts: &[AttemptRecord],
    fresh_after: u32,
    policy: &Policy,
) -> Checked {
    use AttemptOutcome as O;
    let fresh = || attempts.iter().filter(|attempt| attempt.number > fresh_after);
    let died = fresh().filter(|attempt| attempt.outcome == Some(O::Expired)).count() as u64;
    let failed = fresh().filter(|attempt| matches!(attempt.outcome, Some(O::Failed | O::TimedOut)));
    let failed = failed.count() as u64;
    let (crashes, failures) = (u64::from(record.crashes), u64::from(record.failures));
    let broken = |what: String| Err(Violation::new("I6", format!("{name}: {what}")));
    if crashes > policy.crashes_max.into() || failures > u64::from(policy.failures_max) + 1 {
        return broken(format!("{crashes} deaths and {failures} errors"));
    }
    // A completion that came late has rewritten how its attempt ended; what it had cost stays.
    if !(died..=died + 1).contains(&crashes) || !(failed..=failed + 1).contains(&failures) {
        return broken(format!(
            "counters say {crashes} deaths and {failures} errors, attempts {died} and {failed}"
        ));
    }
    Ok(())
}
