//! Asking for trials: one claim at a time, repeated under its number until its fate is known.

use std::time::Duration;

use motif_wire::work::Lease;

use super::{CallError, Context, Effect, limits::Repeat};

#[derive(Debug, Default)]
pub(super) struct Claiming {
    number: u64,
    call: Repeat,
    /// The claim whose fate is unknown: under way, or lost.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    max: u32,
    wait_s: u32,
    asked_at: Duration,
    tries: u32,
}

impl Claiming {
    pub(super) fn in_flight(&self) -> bool {
        self.call.in_flight
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        self.call.wake()
    }

    /// Asks when it is time. A lost claim is repeated as it was: slots only ever become free while it is open.
    pub(super) fn poll(&mut self, room: u32, cx: &mut Context<'_>) {
        if room == 0 || !self.call.is_due(cx.now) {
            return;
        }
        let open = self.open.get_or_insert_with(|| {
            self.number += 1;
            Open { max: room, wait_s: cx.limits.claim_wait_s, asked_at: cx.now, tries: 0 }
        });
        open.asked_at = cx.now;
        open.tries += 1;
        self.call.sent();
        cx.effects.push(Effect::Claim { claim: self.number, max: open.max, wait_s: open.wait_s });
    }

    /// The leases and whether the claim had been repeated, when the answer is of the claim under way.
    pub(super) fn answered(
        &mut self,
        claim: u64,
        result: Result<Vec<Lease>, CallError>,
        cx: &mut Context<'_>,
    ) -> Option<(Vec<Lease>, bool)> {
        let open = self.open.filter(|_| claim == self.number && self.call.in_flight)?;
        let leases = match result {
            Ok(leases) => leases,
            Err(error) => {
                self.call.failed(cx.now, cx.limits, cx.jitter);
                if !matches!(error, CallError::Transient(_)) {
                    self.open = None;
                }
                return None;
            }
        };
        self.open = None;
        self.call.succeeded();
        // A server that does not hold empty claims open is not to be asked in a tight loop.
        let soonest = open.asked_at + cx.limits.claim_interval_min;
        self.call.due = if leases.is_empty() { soonest.max(cx.now) } else { cx.now };
        Some((leases, open.tries > 1))
    }

    /// Finds out, once, what an open claim has leased.
    pub(super) fn recall(&mut self, cx: &mut Context<'_>) {
        if let Some(open) = &mut self.open {
            open.tries += 1;
            self.call.sent();
            cx.effects.push(Effect::Recall { claim: self.number });
        }
    }
}
