//! Claims at the server: answered with leases, or held open until there is something to claim.

use std::time::Duration;

use motif_server::{glue, limits};
use motif_store::records::{Claim, LeaseOffer, Leased};
use motif_sweep::ids::{AttemptId, TrialId};
use motif_wire::work::Lease;

use super::{
    audit::{Effect, Violation},
    network::{Answer, ClaimBody, Envelope, Reply, Request},
    server::sort,
    world::{Event, World},
};

impl World {
    /// Waiting claims are to look again.
    pub(super) fn wake(&mut self) {
        if !self.server.waiting.is_empty() {
            self.at(Duration::from_millis(1), Event::Look { process: self.server.process, again: false });
        }
    }

    pub(super) async fn claim(
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
                let every = Duration::from_secs(limits::CLAIM_LOOK_EVERY_S);
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
        let leases = leased.into_iter().map(|leased| wire(leased, epoch, &secret)).collect();
        Ok(Some((Ok(Reply::Leases(leases)), effect)))
    }

    /// Waiting claims look whether there is something for them; those that have waited long enough are answered.
    pub(super) async fn look(&mut self, again: bool) -> Result<(), Violation> {
        let (queue, now) = (self.backend.queue(), self.wall());
        for (envelope, until) in std::mem::take(&mut self.server.waiting) {
            let (from, call) = (envelope.from, envelope.call);
            let claimable = match queue.trial_claimable(now).await {
                Ok(claimable) => claimable,
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
                let every = Duration::from_secs(limits::CLAIM_LOOK_EVERY_S);
                self.at(every, Event::Look { process: self.server.process, again: true });
            }
        }
        Ok(())
    }
}

fn wire(leased: Leased, epoch: u64, secret: &impl Fn(u32) -> String) -> Lease {
    let TrialId(trial_id) = leased.trial_id;
    Lease {
        attempt_id: leased.attempt_id.0,
        token: glue::token(epoch, leased.attempt, &secret(leased.offer)),
        trial_id,
        sweep_id: leased.sweep_id.0,
        attempt: leased.attempt,
        config: leased.config,
        seed: leased.seed,
        dataset_hash: leased.dataset_hash,
        policy: leased.policy,
        judged: leased.judged,
        checkpoint: leased.checkpoint.map(glue::checkpoint),
    }
}
