//! An attempt's points between the training and the server: numbered without gaps, sent in order, kept until
//! acknowledged.

use std::{collections::VecDeque, time::Duration};

use motif_wire::metrics::MetricPoint;

use super::{Context, LoggedPoint, limits::Repeat};

#[derive(Debug)]
pub(super) struct Spool {
    points: VecDeque<MetricPoint>,
    /// Number of the next point that is logged.
    next_seq: u64,
    /// Points do not wait for company: the trial may have to stop.
    at_once: bool,
    call: Repeat,
    /// Points in the batch under way.
    sent: usize,
    batch_points_max: usize,
    refusals: u32,
    pub(super) paused: bool,
}

/// What a server's answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// It has these points.
    Yes,
    /// It has lost points that it had acknowledged.
    Lost,
}

impl Spool {
    pub(super) fn new(at_once: bool) -> Self {
        Self {
            points: VecDeque::new(),
            next_seq: 0,
            at_once,
            call: Repeat::default(),
            sent: 0,
            batch_points_max: usize::MAX,
            refusals: 0,
            paused: false,
        }
    }

    /// Points that another worker has logged; the next one would have this number.
    pub(super) fn recovered(points: Vec<MetricPoint>, next_seq: u64) -> Self {
        Self { points: points.into(), next_seq, ..Self::new(true) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Number of the next point that is logged.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// All points below this number are stored.
    pub(super) fn stored_below(&self) -> u64 {
        self.points.front().map_or(self.next_seq, |point| point.seq)
    }

    /// Begins with points that the server already has.
    pub(super) fn begin_at(&mut self, seq: u64) {
        self.next_seq = seq;
    }

    pub(super) fn len(&self) -> usize {
        self.points.len()
    }

    /// Forgets the points: nobody wants them any more.
    pub(super) fn clear(&mut self) {
        self.points.clear();
    }

    pub(super) fn push(&mut self, point: LoggedPoint, cx: &Context<'_>) {
        if self.points.is_empty() && self.call.failures == 0 {
            self.call.due = cx.now + self.age_max(cx);
        }
        let LoggedPoint { step, epoch, values } = point;
        self.points.push_back(MetricPoint { seq: self.next_seq, step, epoch, values });
        self.next_seq += 1;
        if self.points.len() >= self.batch_max(cx) && self.call.failures == 0 {
            self.call.due = cx.now;
        }
    }

    /// Does not wait for company: no more points will come.
    pub(super) fn hurry(&mut self, now: Duration) {
        if self.call.failures == 0 {
            self.call.due = now;
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        self.call.wake().filter(|_| !self.is_empty())
    }

    /// The batch to send, when it is time.
    pub(super) fn batch(&mut self, cx: &Context<'_>) -> Option<Vec<MetricPoint>> {
        if self.is_empty() || !self.call.is_due(cx.now) {
            return None;
        }
        self.call.sent();
        self.sent = self.len().min(self.batch_max(cx));
        Some(self.points.iter().take(self.sent).cloned().collect())
    }

    fn age_max(&self, cx: &Context<'_>) -> Duration {
        if self.at_once { Duration::ZERO } else { cx.limits.batch_age_max }
    }

    fn batch_max(&self, cx: &Context<'_>) -> usize {
        self.batch_points_max.min(cx.limits.batch_points_max)
    }

    pub(super) fn stored(&mut self, next_seq: u64, cx: &mut Context<'_>) -> Acknowledged {
        let Some(first) = self.points.front().map(|point| point.seq) else {
            self.call.succeeded();
            return Acknowledged::Yes;
        };
        if next_seq < first {
            return Acknowledged::Lost;
        }
        if next_seq == first {
            self.call.failed(cx.now, cx.limits, cx.jitter);
            return Acknowledged::Yes;
        }
        while self.points.front().is_some_and(|point| point.seq < next_seq) {
            self.points.pop_front();
        }
        self.call.succeeded();
        self.refusals = 0;
        let full = self.points.len() >= self.batch_max(cx);
        self.call.due = if full { cx.now } else { cx.now + self.age_max(cx) };
        Acknowledged::Yes
    }

    pub(super) fn failed(&mut self, cx: &mut Context<'_>) {
        self.call.failed(cx.now, cx.limits, cx.jitter);
    }

    /// Sends less at once; false when a single point is too much.
    pub(super) fn shrink(&mut self, cx: &Context<'_>) -> bool {
        if self.sent <= 1 {
            return false;
        }
        self.batch_points_max = self.sent / 2;
        self.call.succeeded();
        self.call.due = cx.now;
        true
    }

    /// Counts a refusal; returns how many there were in a row.
    pub(super) fn refused(&mut self, cx: &mut Context<'_>) -> u32 {
        self.call.failed(cx.now, cx.limits, cx.jitter);
        self.refusals += 1;
        self.refusals
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let numbered = self.points.iter().zip(self.points.iter().skip(1)).all(|(a, b)| a.seq + 1 == b.seq);
        let last = self.points.back().is_none_or(|point| point.seq + 1 == self.next_seq);
        if numbered && last { Ok(()) } else { Err("the spool's points have a gap".to_owned()) }
    }
}
