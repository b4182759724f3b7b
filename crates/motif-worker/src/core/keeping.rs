//! An attempt's newest checkpoint between the training and the server: sent after its points, replaced by a newer one.

use std::{sync::Arc, time::Duration};

use super::{CallError, Context, limits::Repeat};

/// A checkpoint that waits.
#[derive(Debug)]
struct Kept {
    step: u64,
    points: u64,
    bytes: Arc<[u8]>,
}

#[derive(Debug, Default)]
pub(super) struct Keeping {
    kept: Option<Kept>,
    call: Repeat,
}

impl Keeping {
    pub(super) fn put(&mut self, step: u64, points: u64, bytes: Arc<[u8]>) {
        self.kept = Some(Kept { step, points, bytes });
    }

    /// Forgets it: nobody will go on from there, or it cannot be had.
    pub(super) fn clear(&mut self) {
        self.kept = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_none()
    }

    /// The checkpoint to send, once the server has the points below `stored`.
    pub(super) fn due(&mut self, stored: u64, now: Duration) -> Option<(u64, u64, Arc<[u8]>)> {
        let kept = self.kept.as_ref().filter(|kept| kept.points <= stored)?;
        if !self.call.is_due(now) {
            return None;
        }
        self.call.sent();
        Some((kept.step, kept.points, Arc::clone(&kept.bytes)))
    }

    /// Takes the answer to the checkpoint of a step. What the server does not take is not sent again: another will come.
    pub(super) fn answered(&mut self, step: u64, result: &Result<(), CallError>, cx: &mut Context<'_>) {
        match result {
            Err(CallError::Transient(_)) => self.call.failed(cx.now, cx.limits, cx.jitter),
            _ => {
                self.call.succeeded();
                if self.kept.as_ref().is_some_and(|kept| kept.step == step) {
                    self.kept = None;
                }
            }
        }
    }

    pub(super) fn wake(&self, stored: u64) -> Option<Duration> {
        self.call.wake().filter(|_| self.kept.as_ref().is_some_and(|kept| kept.points <= stored))
    }
}
