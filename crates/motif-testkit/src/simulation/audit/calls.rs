//! What each kind of call may have done.

use std::collections::BTreeSet;

use jiff::Timestamp;
use motif_store::{
    Queue, StoreError,
    records::{Leased, Moved, NewSweep, Steer, Steered, Submitted},
};
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::TrialState,
};
use motif_worker::core::Report;
use uuid::Uuid;

use super::{
    super::{
        network::{Reply, Request},
        server, training,
    },
    Audit, Cause, Checked, Effect, Known, Lease, Violation, after, swept,
};

impl Audit {
    pub(in super::super) async fn submitted(
        &mut self,
        queue: &dyn Queue,
        sweep: &NewSweep,
        result: &Result<Submitted, StoreError>,
    ) -> Checked<Effect> {
        let known = self.sweeps.contains_key(&sweep.id);
        match result {
            Ok(Submitted::New(_)) if !known => {
                let number = self.sweeps.len() + 1;
                self.sweeps.insert(sweep.id, swept(sweep, number));
                for trial in &sweep.trials {
                    let record = queue.trial_get(trial.id).await.map_err(|error| Violation::store(&error))?;
                    let known = Known { record, attempts: Vec::new(), fresh_after: 0, saved: None };
                    self.trials.insert(trial.id, known);
                }
            }
            Ok(Submitted::Replayed(id)) if known && *id == sweep.id => {}
            other => {
                let what = format!("a submission, known: {known}, was answered {other:?}");
                return Err(Violation::new("idempotency", what));
            }
        }
        self.counts(queue, sweep.id).await?;
        Ok(Effect::Submitted(sweep.id))
    }

    pub(in super::super) async fn steered(
        &mut self,
        queue: &dyn Queue,
        sweep: SweepId,
        steer: Steer,
        result: Result<&Steered, &StoreError>,
    ) -> Checked<Effect> {
        if let Err(error) = result {
            // It may overtake the submission.
            let known = self.sweeps.contains_key(&sweep);
            return if known { Err(Violation::store(error)) } else { Ok(Effect::None) };
        }
        let trials = self.sweeps.get(&sweep).map(|sweep| sweep.trials.clone()).unwrap_or_default();
        for trial in trials {
            self.look(queue, trial, Cause::Steer(steer)).await?;
        }
        self.counts(queue, sweep).await?;
        let record = queue.sweep_get(sweep).await.map_err(|error| Violation::store(&error))?;
        let Some(known) = self.sweeps.get_mut(&sweep) else { return Ok(Effect::None) };
        known.steering.calls += 1;
        (known.steering.paused, known.steering.cancelled) = (record.paused, record.cancelled);
        Ok(Effect::Steered(sweep, known.steering))
    }

    pub(in super::super) async fn claimed(
        &mut self,
        queue: &dyn Queue,
        claim: Uuid,
        now: Timestamp,
        result: Result<&Vec<Leased>, &StoreError>,
    ) -> Checked<Effect> {
        let leased = result
            .map_err(|error| Violation::new("idempotency", format!("a claim was answered: {error}")))?;
        if let Some(earlier) = self.claims.get(&claim) {
            self.repeats += 1;
            let open = earlier.iter().filter(|attempt| self.is_open(**attempt));
            let given: Vec<AttemptId> = leased.iter().map(|lease| lease.attempt_id).collect();
            if !given.iter().all(|attempt| earlier.contains(attempt))
                || !open.into_iter().all(|attempt| given.contains(attempt))
            {
                let what = format!("a claim gave {} leases, its repeat others", earlier.len());
                return Err(Violation::new("idempotency", what));
            }
        }
        for lease in leased {
            self.leased_one(queue, claim, lease, now).await?;
        }
        let sweeps: BTreeSet<SweepId> = leased.iter().map(|lease| lease.sweep_id).collect();
        for sweep in sweeps {
            self.counts(queue, sweep).await?;
        }
        Ok(Effect::Claimed(leased.iter().map(|lease| lease.attempt_id).collect()))
    }

    fn is_open(&self, attempt: AttemptId) -> bool {
        let trial = self.leases.get(&attempt).and_then(|lease| self.trials.get(&lease.trial));
        let attempts = trial.map(|known| known.attempts.as_slice()).unwrap_or_default();
        attempts.iter().any(|known| known.id == attempt && known.outcome.is_none())
    }

    async fn leased_one(
        &mut self,
        queue: &dyn Queue,
        claim: Uuid,
        lease: &Leased,
        now: Timestamp,
    ) -> Checked {
        let (trial, name) = (lease.trial_id, self.name(lease.trial_id));
        let repeated = self.leases.contains_key(&lease.attempt_id);
        let paused = self.sweeps.get(&lease.sweep_id).is_some_and(|sweep| sweep.steering.paused);
        if paused && !repeated {
            return Err(Violation::new("I3", format!("{name} was leased although its sweep is paused")));
        }
        let saved = self.trials.get(&trial).and_then(|known| known.saved);
        let offered = lease.checkpoint.as_ref().map(|checkpoint| checkpoint.step);
        if offered < saved {
            let what = format!("{name} was saved at {saved:?} and goes on from {offered:?}");
            return Err(Violation::new("I1", what));
        }
        self.look(queue, trial, Cause::Claim).await?;
        let alive_until = after(now, &lease.policy);
        let set_back = self.set_back;
        let known = self.leases.entry(lease.attempt_id).or_insert(Lease {
            trial,
            number: lease.attempt,
            alive_until,
            set_back,
            acknowledged: false,
            points: 0,
            ended: None,
        });
        (known.alive_until, known.set_back) = (alive_until, set_back);
        self.claims.entry(claim).or_default().insert(lease.attempt_id);
        Ok(())
    }

    pub(in super::super) async fn reported(
        &mut self,
        queue: &dyn Queue,
        request: &Request,
        now: Timestamp,
        result: Result<&Reply, &StoreError>,
    ) -> Checked<Effect> {
        let Some(key) = server::key(request) else { return Ok(Effect::None) };
        let attempt = AttemptId(key.attempt);
        // Leases are known before anyone can report on them, unless a crash has undone them.
        let Some(lease) = self.leases.get(&attempt) else { return Ok(Effect::None) };
        let trial = lease.trial;
        let (was, sweep) = match self.trials.get(&trial) {
            Some(known) => (known.record.state, known.record.sweep_id),
            None => return Ok(Effect::None),
        };
        let reply = match result {
            Ok(reply) => reply,
            Err(StoreError::Corrupt(what)) => return Err(Violation::new("the store answers", what.clone())),
            Err(error) => {
                if let (Some((ended, _)), Request::Report(_, report)) = (&lease.ended, request)
                    && ended == report
                {
                    let what =
                        format!("{}: a repeated {} was refused: {error}", self.name(trial), request.name());
                    return Err(Violation::new("idempotency", what));
                }
                self.look(queue, trial, Cause::Refusal).await?;
                return Ok(Effect::None);
            }
        };
        self.look(queue, trial, Cause::Report(attempt)).await?;
        self.counts(queue, sweep).await?;
        let effect = match (request, reply) {
            (Request::Beat(..), _) => {
                self.extended(attempt, sweep, now);
                Effect::None
            }
            (Request::Store(..) | Request::Resume(..), Reply::Stored(stored)) => {
                self.points(queue, trial, attempt, stored.next_seq).await?;
                Effect::Points(attempt, stored.next_seq)
            }
            (Request::Save(..), Reply::Saved(newest)) => Effect::Saved(attempt, newest.step),
            (Request::Report(_, report), _) => {
                self.ended(trial, attempt, report, was)?;
                Effect::Ended(attempt)
            }
            _ => Effect::None,
        };
        Ok(effect)
    }

    fn extended(&mut self, attempt: AttemptId, sweep: SweepId, now: Timestamp) {
        let Some(policy) = self.sweeps.get(&sweep).map(|sweep| sweep.policy) else { return };
        let set_back = self.set_back;
        self.with(attempt, |lease| {
            (lease.alive_until, lease.set_back) = (after(now, &policy), set_back);
        });
    }

    /// I4: an attempt's points have no gap and are what its training logged; what is answered is what is there.
    async fn points(&self, queue: &dyn Queue, trial: TrialId, attempt: AttemptId, next: u64) -> Checked {
        let (number, points) = queue.trial_points(trial).await.map_err(|error| Violation::store(&error))?;
        let name = self.name(trial);
        let broken = |what: String| Err(Violation::new("I4", format!("{name} #{number}: {what}")));
        if self.number(attempt) != number {
            return broken(format!("points of #{} were taken", self.number(attempt)));
        }
        if points.len() as u64 != next {
            return broken(format!("{} points, answered {next}", points.len()));
        }
        let Some(course) = self.courses.get(&trial.0) else { return Ok(()) };
        for (point, seq) in points.into_iter().zip(0..) {
            if point != training::point_record(trial.0, course, seq) {
                return broken(format!("point {seq} is not what was logged: {point:?}"));
            }
        }
        Ok(())
    }

    /// A trial's end is what its training makes of it, whoever trained it.
    fn ended(&mut self, trial: TrialId, attempt: AttemptId, report: &Report, was: TrialState) -> Checked {
        let name = self.name(trial);
        let known = self.leases.get(&attempt).is_some_and(|lease| lease.ended.is_some());
        if let (Some(record), Report::Complete(_), Some(course)) =
            (self.trials.get(&trial).map(|known| &known.record), report, self.courses.get(&trial.0))
        {
            let expected = training::result_hash(trial.0);
            if record.result_hash.as_deref() != Some(&expected) || record.step != training::last_step(course)
            {
                let what = format!("{name} ended with {:?} at step {}", record.result_hash, record.step);
                return Err(Violation::new("I3", what));
            }
            self.late += u64::from(was == TrialState::Queued && !known);
        }
        self.with(attempt, |lease| {
            lease.ended.get_or_insert_with(|| (report.clone(), false));
        });
        Ok(())
    }

    /// A report under a secret that somebody made up.
    pub(in super::super) async fn forged(
        &mut self,
        queue: &dyn Queue,
        request: &Request,
        _: Timestamp,
        taken: bool,
    ) -> Checked {
        let trial = server::key(request).and_then(|key| self.leases.get(&AttemptId(key.attempt)));
        let Some(trial) = trial.map(|lease| lease.trial) else { return Ok(()) };
        if taken {
            let what = format!("{}: a forged {} was taken", self.name(trial), request.name());
            return Err(Violation::new("I4", what));
        }
        self.look(queue, trial, Cause::Refusal).await
    }

    pub(in super::super) async fn reaped(
        &mut self,
        queue: &dyn Queue,
        now: Timestamp,
        reaped: &[(AttemptId, Moved)],
    ) -> Checked {
        if self.set_back_seen.replace(self.set_back) != Some(self.set_back) {
            // Leases have been put right that a clock set back would have kept for longer.
            let taken = |trial: &TrialId| reaped.iter().any(|(_, moved)| moved.trial_id == *trial);
            for (trial, _) in self.leased().into_iter().filter(|(trial, _)| !taken(trial)) {
                self.look(queue, trial, Cause::Reaper).await?;
            }
        }
        for (attempt, moved) in reaped {
            let name = self.name(moved.trial_id);
            self.look(queue, moved.trial_id, Cause::Reaper).await?;
            let Some(lease) = self.leases.get(attempt) else { continue };
            let known = self.trials.get(&moved.trial_id);
            let outcome = known.and_then(|known| known.attempts.last()).and_then(|attempt| attempt.outcome);
            let expired = outcome == Some(motif_sweep::lifecycle::AttemptOutcome::Expired);
            if expired && now < lease.alive_until && lease.set_back == self.set_back {
                let what = format!("{name} #{}: taken back as expired, and it was alive", lease.number);
                return Err(Violation::new("I6", what));
            }
        }
        let sweeps: BTreeSet<SweepId> = reaped.iter().map(|(_, moved)| moved.sweep_id).collect();
        for sweep in sweeps {
            self.counts(queue, sweep).await?;
        }
        Ok(())
    }
}
