//! The server: what stands between requests and the queue's calls, with the real server's secrets, tokens and gate of the
//! reaper. Writes are gathered into batches and answered after them, as the store's writer does it; a crash may strike
//! before a batch, within it, or between it and its answers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use motif_server::{glue, limits};
use motif_store::{
    StoreError,
    records::{CheckpointRecord, Claim, Claimable, Fence, IdempotencyKey, LeaseOffer, Leased, Moved},
};
use motif_sweep::{ids::AttemptId, lifecycle::TrialState, requires::Abilities};
use motif_wire::work::{Checkpoint, HeartbeatReply, MetricsReply, ReportReply};
use motif_worker::core::{CallError, LeaseKey, Report};

use super::{
    audit::{Effect, Violation},
    network::{Answer, Caller, ClaimBody, Envelope, Reply, Request},
    world::{Event, World},
};

/// While claims wait, the store is looked at this often. The server looks more often, which only makes it sooner.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where the next crash strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    Before,
    Within,
    After,
}

pub(super) struct Server {
    /// Counts processes; a number that is not the newest is of a dead one.
    pub(super) process: u64,
    pub(super) up: bool,
    gate: glue::Gate,
    batch: Vec<Envelope>,
    /// A batch is about to be run.
    gathers: bool,
    waiting: Vec<(Envelope, Duration)>,
    looks: bool,
    /// The next batch meets a crash.
    pub(super) strike: Option<Strike>,
    /// What its wall clock is ahead of the true time.
    pub(super) skew: SignedDuration,
    /// The reaper holds still until then at the latest, unless something happens.
    pub(super) holds_until: Duration,
}

impl Server {
    pub(super) fn new(now: Duration) -> Self {
        let grace = grace();
        Self {
            process: 0,
            up: true,
            gate: glue::Gate::new(grace, wall(now, SignedDuration::ZERO), now),
            batch: Vec::new(),
            gathers: false,
            waiting: Vec::new(),
            looks: false,
            strike: None,
            skew: SignedDuration::ZERO,
            holds_until: now + grace,
        }
    }

    /// Connections of those who wait, or are about to be served, end.
    pub(super) fn hang_up(&mut self) {
        self.waiting.clear();
        self.batch.retain(|envelope| envelope.from == Caller::Person);
    }
}

pub(super) fn grace() -> Duration {
    Duration::from_secs(30)
}

fn wall(now: Duration, skew: SignedDuration) -> Timestamp {
    let start = Timestamp::from_second(1_800_000_000).expect("a time in 2027");
    start + now + skew
}

impl World {
    /// The server's wall clock.
    pub(super) fn wall(&self) -> Timestamp {
        wall(self.now, self.server.skew)
    }

    pub(super) fn arrive(&mut self, envelope: Envelope) {
        if !self.server.up {
            // Refused at once, or nobody is there to refuse.
            if self.dice.chance(0.7) {
                let answer = Err(CallError::Transient("connection refused".into()));
                self.answer(envelope.from, envelope.call, &answer);
            }
            return;
        }
        self.server.batch.push(envelope);
        if !std::mem::replace(&mut self.server.gathers, true) {
            let delay = self.dice.time_s(0.0, 0.03);
            self.at(delay, Event::Commit { process: self.server.process });
        }
    }

    /// Runs what has been gathered, then answers it.
    pub(super) async fn commit(&mut self) -> Result<(), Violation> {
        let mut batch = std::mem::take(&mut self.server.batch);
        self.server.gathers = false;
        let strike = self.server.strike.take();
        match strike {
            Some(Strike::Before) => batch.clear(),
            Some(Strike::Within) => batch.truncate(self.dice.below(batch.len() + 1)),
            Some(Strike::After) | None => {}
        }
        let mut answers = Vec::with_capacity(batch.len());
        for envelope in batch {
            let (from, call) = (envelope.from, envelope.call);
            if let Some((answer, effect)) = self.handle(envelope).await? {
                answers.push((from, call, answer, effect));
            }
        }
        if strike.is_some() {
            self.note(format_args!("server dies: {strike:?} commit"));
            self.crash();
            return Ok(());
        }
        for (from, call, answer, effect) in answers {
            self.audit.acknowledge(effect);
            self.answer(from, call, &answer);
        }
        Ok(())
    }

    /// The server's process ends at once.
    pub(super) fn crash(&mut self) {
        self.tally.crashes += 1;
        self.server.up = false;
        self.server.process += 1;
        self.server.strike = None;
        let waiting = std::mem::take(&mut self.server.waiting);
        let open = std::mem::take(&mut self.server.batch);
        for envelope in waiting.into_iter().map(|(envelope, _)| envelope).chain(open) {
            let answer = Err(CallError::Transient("connection reset".into()));
            self.answer(envelope.from, envelope.call, &answer);
        }
    }

    /// Another process opens what the last one left; everything acknowledged is there.
    pub(super) async fn restart(&mut self) -> Result<(), Violation> {
        self.note(format_args!("server starts"));
        self.backend.restart().await;
        let (process, skew) = (self.server.process, self.server.skew);
        let gate = glue::Gate::new(grace(), wall(self.now, skew), self.now);
        self.server = Server { process, skew, gate, ..Server::new(self.now) };
        self.at(reap_every(), Event::Reap { process });
        let queue = self.backend.queue();
        self.audit.after_restart(queue.as_ref()).await
    }

    /// One call; what has no answer yet waits.
    async fn handle(&mut self, envelope: Envelope) -> Result<Option<(Answer, Effect)>, Violation> {
        let (queue, now) = (self.backend.queue(), self.wall());
        let request = envelope.request.clone();
        let (answer, effect) = match request {
            Request::Claim(claim) => return self.claim(envelope, &claim, true).await,
            Request::Submit(sweep) => {
                let key = format!("{}", sweep.id);
                let key = IdempotencyKey { principal: "person".into(), body_hash: key.clone(), key };
                let submitted = queue.sweep_create((*sweep).clone(), Some(key), now).await;
                let effect = self.audit.submitted(queue.as_ref(), &sweep, &submitted).await?;
                self.wake();
                (submitted.map(|_| Reply::Done).map_err(|error| sort(&error)), effect)
            }
            Request::Steer(sweep, steer) => {
                let steered = queue.sweep_steer(sweep, steer, "person", now).await;
                let effect = self.audit.steered(queue.as_ref(), sweep, steer, steered.as_ref()).await?;
                self.wake();
                (steered.map(|_| Reply::Done).map_err(|error| sort(&error)), effect)
            }
            report => {
                let Some(fence) = fence(&report) else { return Ok(None) };
                if self.dice.chance(0.03) {
                    self.forge(&report, fence).await?;
                }
                let done = self.report(&report, fence).await;
                let effect = self.audit.reported(queue.as_ref(), &report, now, done.as_ref()).await?;
                if done.is_err() {
                    self.tally.refused += 1;
                }
                (done.map_err(|error| sort(&error)), effect)
            }
        };
        self.note(format_args!("{:?} {} → {}", envelope.from, envelope.request.name(), outcome(&answer)));
        Ok(Some((answer, effect)))
    }

    /// The same report under a secret that somebody made up changes nothing.
    async fn forge(&mut self, report: &Request, fence: Fence) -> Result<(), Violation> {
        let forged = Fence { secret_hash: self.dice.secret(), ..fence };
        let (queue, now) = (self.backend.queue(), self.wall());
        let done = self.report(report, forged).await;
        self.tally.forged += 1;
        self.audit.forged(queue.as_ref(), report, now, done.is_ok()).await
    }

    async fn report(&mut self, request: &Request, fence: Fence) -> Result<Reply, StoreError> {
        let (queue, now) = (self.backend.queue(), self.wall());
        let reported = |moved: &Moved| Reply::Reported(ReportReply { state: moved.state });
        let (reply, moved) = match request.clone() {
            Request::Beat(_, beat) => {
                let moved = queue.attempt_heartbeat(fence, beat.step, beat.total_steps, now).await?;
                let (cancel, stop, lease_s) = (moved.cancel_requested, moved.stop, moved.lease_ttl_s);
                (Reply::Beaten(HeartbeatReply { cancel, stop, lease_s }), moved)
            }
            Request::Store(_, points) => {
                let points = points.into_iter().map(glue::point_record).collect();
                let (next_seq, moved) = queue.attempt_points(fence, points, now).await?;
                (Reply::Stored(MetricsReply { next_seq, stop: moved.stop }), moved)
            }
            Request::Resume(_, hash) => {
                let (next_seq, moved) = queue.attempt_resume(fence, hash, now).await?;
                self.tally.resumed += 1;
                (Reply::Stored(MetricsReply { next_seq, stop: moved.stop }), moved)
            }
            Request::Save(_, record) => {
                let Checkpoint { step, points, hash, bytes } = record;
                let record = CheckpointRecord { step, points, hash, bytes };
                let newest = queue.attempt_checkpoint(fence, record, now).await?;
                return Ok(Reply::Saved(glue::checkpoint(newest)));
            }
            Request::Report(_, Report::Complete(report)) => {
                let moved = queue.attempt_complete(fence, glue::finish(&report), now).await?;
                (reported(&moved), moved)
            }
            Request::Report(_, Report::Fail(failure)) => {
                let (reason, jitter) = (failure.reason, self.dice.unit());
                let moved = queue.attempt_fail(fence, reason, failure.retryable, jitter, now).await?;
                (reported(&moved), moved)
            }
            Request::Report(_, Report::Release(release)) => {
                let moved = queue.attempt_release(fence, release.reason, now).await?;
                (reported(&moved), moved)
            }
            Request::Claim(_) | Request::Submit(_) | Request::Steer(..) => {
                return Err(StoreError::Conflict("no report".into()));
            }
        };
        if moved.state == TrialState::Queued {
            self.wake();
        }
        Ok(reply)
    }

    /// Waiting claims are to look again.
    fn wake(&mut self) {
        if !self.server.waiting.is_empty() {
            self.at(Duration::from_millis(1), Event::Look { process: self.server.process, again: false });
        }
    }

    async fn claim(
        &mut self,
        envelope: Envelope,
        claim: &ClaimBody,
        first: bool,
    ) -> Result<Option<(Answer, Effect)>, Violation> {
        let (queue, now) = (self.backend.queue(), self.wall());
        let secret = |offer: u32| glue::secret(&claim.secret, claim.claim_id, offer);
        let offers = (0..claim.max).map(|offer| LeaseOffer {
            attempt_id: AttemptId(self.dice.uuid()),
            secret_hash: *blake3::hash(secret(offer).as_bytes()).as_bytes(),
        });
        let (claim_id, worker) = (claim.claim_id, claim.worker.clone());
        let body = Claim { claim_id, worker, offers: offers.collect() };
        let leased = queue.trial_claim(body, now).await;
        let effect = self.audit.claimed(queue.as_ref(), claim_id, now, leased.as_ref()).await?;
        let leased = match leased {
            Ok(leased) => leased,
            Err(error) => return Ok(Some((Err(sort(&error)), Effect::None))),
        };
        if leased.is_empty() && claim.wait_s > 0 && first {
            let until = self.now + Duration::from_secs(u64::from(claim.wait_s));
            self.server.waiting.push((envelope, until));
            if !std::mem::replace(&mut self.server.looks, true) {
                let every = LOOK_EVERY;
                self.at(every, Event::Look { process: self.server.process, again: true });
            }
            return Ok(None);
        }
        for lease in &leased {
            self.adopted(lease.trial_id, lease.attempt);
            let name = self.audit.name(lease.trial_id);
            self.note(format_args!("{:?} claims {name} as #{}", envelope.from, lease.attempt));
        }
        let epoch = queue.epoch();
        let lease = |leased: Leased| {
            let secret = secret(leased.offer);
            glue::lease(leased, epoch, &secret)
        };
        let leases = leased.into_iter().map(lease).collect();
        Ok(Some((Ok(Reply::Leases(leases)), effect)))
    }

    /// Waiting claims look whether there is something for them; those that have waited long enough are answered.
    pub(super) async fn look(&mut self, again: bool) -> Result<(), Violation> {
        let (queue, now) = (self.backend.queue(), self.wall());
        for (envelope, until) in std::mem::take(&mut self.server.waiting) {
            let (from, call) = (envelope.from, envelope.call);
            let claimable = match queue.trial_claimable(&Abilities::default(), now).await {
                Ok(claimable) => claimable == Claimable::Yes,
                Err(error) => return Err(Violation::store(&error)),
            };
            let found = if claimable && let Request::Claim(claim) = envelope.request.clone() {
                self.claim(envelope.clone(), &claim, false).await?
            } else {
                None
            };
            match found {
                Some((answer, effect)) if !matches!(&answer, Ok(Reply::Leases(leases)) if leases.is_empty()) =>
                {
                    self.audit.acknowledge(effect);
                    self.answer(from, call, &answer);
                }
                _ if until <= self.now => self.answer(from, call, &Ok(Reply::Leases(Vec::new()))),
                _ => self.server.waiting.push((envelope, until)),
            }
        }
        if again {
            self.server.looks = !self.server.waiting.is_empty();
            if self.server.looks {
                let every = LOOK_EVERY;
                self.at(every, Event::Look { process: self.server.process, again: true });
            }
        }
        Ok(())
    }

    /// The reaper looks.
    pub(super) async fn reap(&mut self) -> Result<(), Violation> {
        self.at(reap_every(), Event::Reap { process: self.server.process });
        let now = self.wall();
        if !self.server.gate.look(now, self.now) {
            return Ok(());
        }
        let (queue, jitter) = (self.backend.queue(), self.dice.unit());
        let reaped = match queue.attempts_reap(jitter, now).await {
            Ok(reaped) => reaped,
            Err(error) => return Err(Violation::store(&error)),
        };
        self.audit.reaped(queue.as_ref(), now, &reaped).await?;
        for (attempt, moved) in &reaped {
            self.tally.reaped += 1;
            let name = self.audit.name(moved.trial_id);
            let number = self.audit.number(*attempt);
            self.note(format_args!("reaper takes {name} #{number} back: {}", moved.state.name()));
        }
        if !reaped.is_empty() {
            self.wake();
        }
        Ok(())
    }
}

pub(super) fn reap_every() -> Duration {
    Duration::from_secs(limits::REAP_EVERY_S)
}

/// The lease that a request presents.
pub(super) fn key(request: &Request) -> Option<&LeaseKey> {
    match request {
        Request::Beat(key, _)
        | Request::Store(key, _)
        | Request::Save(key, _)
        | Request::Resume(key, _)
        | Request::Report(key, _) => Some(key),
        Request::Claim(_) | Request::Submit(_) | Request::Steer(..) => None,
    }
}

fn fence(request: &Request) -> Option<Fence> {
    let key = key(request)?;
    let (epoch, secret) = glue::split(&key.token)?;
    let secret_hash = *blake3::hash(secret.as_bytes()).as_bytes();
    Some(Fence { attempt_id: AttemptId(key.attempt), epoch, secret_hash })
}

/// What the worker's driver makes of the server's problem codes.
fn sort(error: &StoreError) -> CallError {
    match error {
        StoreError::NotFound(_)
        | StoreError::StaleLease
        | StoreError::Conflict(_)
        | StoreError::Gap { .. } => CallError::Stale,
        StoreError::IdempotencyMismatch => CallError::Refused(error.to_string()),
        StoreError::Unavailable(_) | StoreError::Corrupt(_) => CallError::Transient(error.to_string()),
    }
}

fn outcome(answer: &Answer) -> String {
    match answer {
        Ok(Reply::Reported(reply)) => reply.state.name().to_owned(),
        Ok(Reply::Stored(reply)) => format!("next {}", reply.next_seq),
        Ok(Reply::Beaten(reply)) if reply.cancel => "cancel".to_owned(),
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{error:?}").to_lowercase(),
    }
}
