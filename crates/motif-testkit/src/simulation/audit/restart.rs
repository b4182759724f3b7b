//! I1: what was acknowledged is there after a crash.

use std::collections::BTreeMap;

use motif_store::Queue;
use motif_sweep::{ids::AttemptId, lifecycle::AttemptOutcome};
use motif_worker::core::Report;

use super::{Audit, Checked, Violation};

impl Audit {
    /// Looks at everything anew. What was not acknowledged may be gone.
    pub(in super::super) async fn after_restart(&mut self, queue: &dyn Queue) -> Checked {
        self.set_back_seen = None;
        for sweep in self.sweeps() {
            self.sweep_is_there(queue, sweep).await?;
        }
        let trials: Vec<_> = self.trials.keys().copied().collect();
        for trial in trials {
            let record = queue.trial_get(trial).await.map_err(|error| Violation::store(&error))?;
            let attempts = queue.trial_attempts(trial).await.map_err(|error| Violation::store(&error))?;
            let (number, points) =
                queue.trial_points(trial).await.map_err(|error| Violation::store(&error))?;
            let name = self.name(trial);
            for (id, lease) in self.leases.iter().filter(|(_, lease)| lease.trial == trial) {
                let lost = |what: &str| {
                    Err(Violation::new("I1", format!("{name} #{}: {what} was lost", lease.number)))
                };
                let Some(found) = attempts.iter().find(|attempt| attempt.id == *id) else {
                    if lease.acknowledged {
                        return lost("an acknowledged lease");
                    }
                    continue;
                };
                if let Some((report, true)) = &lease.ended
                    && !fits(report, found.outcome)
                {
                    return lost("an acknowledged end");
                }
                if found.number == number && (points.len() as u64) < lease.points {
                    return lost("an acknowledged point");
                }
            }
            if let Some(known) = self.trials.get_mut(&trial) {
                (known.record, known.attempts) = (record, attempts);
            }
        }
        self.forget_what_is_gone();
        for sweep in self.sweeps() {
            self.counts(queue, sweep).await?;
        }
        Ok(())
    }

    async fn sweep_is_there(&mut self, queue: &dyn Queue, id: motif_sweep::ids::SweepId) -> Checked {
        let found = queue.sweep_get(id).await;
        let Some(sweep) = self.sweeps.get_mut(&id) else { return Ok(()) };
        let Ok(found) = found else {
            if sweep.acknowledged {
                return Err(Violation::new("I1", "an acknowledged sweep was lost"));
            }
            for trial in &sweep.trials {
                self.trials.remove(trial);
            }
            self.sweeps.remove(&id);
            return Ok(());
        };
        // Where the newest call that steers it was not acknowledged, either may hold.
        if let Some(steered) = sweep.steered.filter(|steered| steered.calls == sweep.steering.calls)
            && (steered.paused, steered.cancelled) != (found.paused, found.cancelled)
        {
            return Err(Violation::new("I1", "an acknowledged steering was lost"));
        }
        (sweep.steering.paused, sweep.steering.cancelled) = (found.paused, found.cancelled);
        Ok(())
    }

    /// Leases and ends that nobody was told of, and that a crash has undone.
    fn forget_what_is_gone(&mut self) {
        let attempts = self.trials.values().flat_map(|known| &known.attempts);
        let outcomes: BTreeMap<AttemptId, _> =
            attempts.map(|attempt| (attempt.id, attempt.outcome)).collect();
        self.leases.retain(|id, lease| match outcomes.get(id).copied() {
            None => false,
            Some(outcome) => {
                lease.ended.take_if(|(report, _)| !fits(report, outcome));
                true
            }
        });
        let leases = &self.leases;
        self.claims.retain(|_, attempts| {
            attempts.retain(|attempt| leases.contains_key(attempt));
            !attempts.is_empty()
        });
    }
}

/// Whether an attempt ended as its report said.
fn fits(report: &Report, outcome: Option<AttemptOutcome>) -> bool {
    use AttemptOutcome as O;
    match report {
        Report::Complete(_) => matches!(outcome, Some(O::Succeeded | O::Diverged | O::Stopped)),
        Report::Fail(_) => matches!(outcome, Some(O::Failed | O::Cancelled)),
        Report::Release(_) => matches!(outcome, Some(O::Released | O::Cancelled)),
    }
}
