//! What people read of a sweep's steering: priority, replication, amendments, holes, verification.

use std::fmt::Write as _;

use motif_sweep::until::UntilState;
use motif_wire::{
    control::{Holes, UntilRow},
    reproduction::{ComparedRun, RunRecord, Verdict, Verification},
    sweeps::SweepDetail,
};

use super::tables;

/// Characters of a result hash in a table.
const HASH_SHOWN_CHARS: usize = 12;

/// The lines of a sweep's page that most sweeps do not have.
pub(crate) fn steering(sweep: &SweepDetail) -> String {
    let mut text = String::new();
    if sweep.row.priority != 0 {
        let _ = writeln!(text, "priority {}", sweep.row.priority);
    }
    if let Some(waiting_for) = &sweep.waiting_for {
        let _ = writeln!(text, "waiting: {waiting_for}");
    }
    if let Some(until) = &sweep.until {
        let _ = writeln!(text, "{}", replication(until));
    }
    for amendment in &sweep.amendments {
        let at = amendment.at.strftime("%Y-%m-%d %H:%M:%SZ");
        let note = amendment.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        let _ = writeln!(text, "amended {at} by {}: {}{note}", amendment.principal, amendment.in_words());
    }
    if sweep.verifications > 0 {
        let _ = writeln!(text, "re-run for verification: motif sweep verification {}", sweep.row.id);
    }
    text
}

/// `until ± 0.002 on test_accuracy: reached at ± 0.0017 with 9 seeds (at most 20)`.
fn replication(until: &UntilRow) -> String {
    let last = until.half_width.map(|half_width| format!(" at ± {half_width:.4}")).unwrap_or_default();
    let state = match until.state {
        UntilState::Running => "goes on",
        UntilState::Reached => "reached",
        UntilState::Exhausted => "not reached, and all seeds are spent",
    };
    format!(
        "until ± {} on {}: {state}{last} with {} seeds (at most {})",
        until.target, until.metric, until.seeds, until.max_seeds
    )
}

/// A sweep's holes, a line each.
pub(crate) fn holes(holes: &Holes) -> String {
    if holes.holes.is_empty() {
        return "no holes: every cell has a value or is on its way to one".to_owned();
    }
    let mut table = tables::table(&["condition", "seed", "state", "reason"], &[1]);
    for hole in &holes.holes {
        table.add_row(vec![
            hole.label.clone(),
            hole.seed.to_string(),
            hole.state.map_or("missing", |state| state.name()).to_owned(),
            hole.reason.clone().unwrap_or_default(),
        ]);
    }
    format!("{table}\nrun exactly these with: motif sweep holes {} --run", holes.sweep_id)
}

/// Counts, and a line for each re-run of a trial that does not agree with all of its re-runs.
pub(crate) fn verification(verification: &Verification) -> String {
    let mut text = String::new();
    let mismatched = || verification.trials.iter().filter(|trial| trial.verdict == Verdict::Mismatched);
    if mismatched().next().is_some() {
        let header = [
            "condition",
            "seed",
            "result",
            "worker",
            "instruction set",
            "re-run",
            "worker",
            "instruction set",
        ];
        let mut table = tables::table(&header, &[1]);
        for ComparedRun { original, reruns, .. } in mismatched() {
            for rerun in reruns.iter().filter(|rerun| rerun.result_hash.is_some()) {
                let mut cells = vec![original.label.clone(), original.seed.to_string()];
                cells.extend([original, rerun].into_iter().flat_map(told));
                table.add_row(cells);
            }
        }
        let _ = writeln!(text, "{table}");
    }
    let Verification { verified, mismatched, unverified, .. } = verification;
    let _ = writeln!(text, "{verified} verified, {mismatched} mismatched, {unverified} unverified");
    if let Some(note) = &verification.note {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn told(run: &RunRecord) -> [String; 3] {
    let hash = run.result_hash.as_deref().unwrap_or_default().chars().take(HASH_SHOWN_CHARS).collect();
    let or_unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    [hash, or_unknown(&run.worker), or_unknown(&run.instruction_set)]
}
