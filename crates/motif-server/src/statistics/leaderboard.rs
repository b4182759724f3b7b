//! A search's conditions, the best first. For choosing, not for claims: those are what `summary` and `comparisons` are
//! for.

use motif_store::records::TrialRecord;
use motif_sweep::{lifecycle::TrialState, metric::higher_is_better};
use motif_wire::{
    statistics::{LeaderRow, Leaderboard},
    sweeps::StateCounts,
};

use super::Material;

/// The first `limit` conditions by the mean over their trials. Diverged trials have no value; ties keep the spec's order.
pub(crate) fn leaderboard(material: &Material, metric: &str, limit: usize) -> Leaderboard {
    let higher = higher_is_better(metric);
    let mut rows = rows(material, metric);
    rows.sort_by(|a, b| if higher { b.mean.total_cmp(&a.mean) } else { a.mean.total_cmp(&b.mean) });
    for (row, rank) in rows.iter_mut().zip(1u32..) {
        row.rank = rank;
    }
    let ranked = rows.len();
    let notes = notes(material, metric, &rows);
    rows.truncate(limit);
    Leaderboard {
        sweep_id: material.sweep.id.0,
        metric: metric.to_owned(),
        higher_is_better: higher,
        ranked: ranked as u64,
        conditions: material.conditions.len() as u64,
        rows,
        notes,
    }
}

/// Those that have a value, in the spec's order.
fn rows(material: &Material, metric: &str) -> Vec<LeaderRow> {
    let mut by_condition: Vec<Vec<&TrialRecord>> = vec![Vec::new(); material.conditions.len()];
    for trial in &material.trials {
        if let Some(trials) = by_condition.get_mut(trial.condition as usize) {
            trials.push(trial);
        }
    }
    let rows = material.conditions.iter().zip(by_condition).filter_map(|(condition, mut trials)| {
        trials.sort_by_key(|trial| trial.seed);
        let mut counts = StateCounts::default();
        let (mut values, mut stopped_epochs) = (Vec::new(), Vec::new());
        for trial in trials {
            *counts.of_mut(trial.state) += 1;
            let counted = matches!(trial.state, TrialState::Succeeded | TrialState::Stopped);
            let value = trial.metrics.get(metric).copied().filter(|_| counted);
            let Some(value) = value.filter(|value| value.abs() <= motif_stats::MAGNITUDE_MAX) else {
                continue;
            };
            values.push(value);
            stopped_epochs.extend(trial.stopped.map(|stopped| stopped.epoch));
        }
        let described = motif_stats::describe(&values).ok()?;
        Some(LeaderRow {
            rank: 0,
            condition: condition.index,
            label: condition.label.clone(),
            n: values.len() as u64,
            mean: described.mean,
            sd: described.sd,
            stopped_epochs,
            counts,
        })
    });
    rows.collect()
}

fn notes(material: &Material, metric: &str, rows: &[LeaderRow]) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.len() > 1 {
        notes.push(format!(
            "the best of {} is chosen by the values that it is shown with: it is optimistic, the more so the more \
             conditions; run it again with other seeds before it is compared",
            rows.len()
        ));
    }
    if metric.starts_with("test_") {
        notes.push(format!("{metric} is of the test examples: a search had better hold out `validation`"));
    }
    let stopped = material.trials.iter().filter(|trial| trial.state == TrialState::Stopped).count();
    if stopped > 0 {
        notes.push(format!(
            "{stopped} of {} trials were stopped early and count with what they measured last, here and nowhere else",
            material.trials.len()
        ));
    }
    let open = material.trials.iter().filter(|trial| !trial.state.is_terminal()).count();
    if open > 0 {
        notes.push(format!("{open} trials have not ended"));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tests::{material, stop};

    #[test]
    fn conditions_are_ranked_by_their_means_and_stopped_trials_are_marked() {
        let mut material = material();
        stop(&mut material.trials[3], 2.0);
        let board = leaderboard(&material, "test_accuracy", 10);
        assert_eq!((board.ranked, board.conditions, board.higher_is_better), (2, 2, true));
        let [first, second] = board.rows.as_slice() else { panic!("{board:?}") };
        // 0.6 (stopped) and 0.8; the third diverged.
        assert_eq!((first.rank, first.condition, first.n), (1, 1, 2));
        assert!((first.mean - 0.7).abs() < 1e-12);
        assert_eq!(first.stopped_epochs, [2.0]);
        assert_eq!((first.counts.stopped, first.counts.diverged), (1, 1));
        assert_eq!((second.rank, second.n), (2, 3));
        assert!(second.stopped_epochs.is_empty());
        let notes = board.notes.join("\n");
        for part in ["optimistic", "1 of 6 trials were stopped early", "hold out `validation`"] {
            assert!(notes.contains(part), "{part} is not in {notes}");
        }
        let first_only = leaderboard(&material, "test_accuracy", 1);
        assert_eq!((first_only.ranked, first_only.rows.len()), (2, 1));
    }

    #[test]
    fn the_smallest_loss_is_first_and_what_has_no_value_is_not_ranked() {
        let mut material = material();
        for trial in material.trials.iter_mut().filter(|trial| trial.condition == 0) {
            trial.metrics.insert("validation_loss".into(), 0.3);
        }
        let board = leaderboard(&material, "validation_loss", 10);
        assert_eq!((board.ranked, board.conditions, board.higher_is_better), (1, 2, false));
        material.trials[4].metrics.insert("validation_loss".into(), 0.1);
        let board = leaderboard(&material, "validation_loss", 10);
        assert_eq!(board.rows.iter().map(|row| row.condition).collect::<Vec<_>>(), [1, 0]);
    }
}
