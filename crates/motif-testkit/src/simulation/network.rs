//! Messages, and a network that loses, repeats, delays and so reorders them.

use std::time::Duration;

use motif_store::records::{NewSweep, Steer, WorkerSeen};
use motif_sweep::ids::SweepId;
use motif_wire::{
    metrics::MetricPoint,
    work::{Checkpoint, Heartbeat, HeartbeatReply, Lease, MetricsReply, ReportReply},
};
use motif_worker::core::{CallError, LeaseKey, Report};
use uuid::Uuid;

use super::world::{Event, World};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Caller {
    /// A worker's place and the number of the process in it.
    Worker(usize, u64),
    Person,
}

/// A claim as it is sent, and sent again.
#[derive(Debug, Clone)]
pub(super) struct ClaimBody {
    pub(super) claim_id: Uuid,
    pub(super) secret: [u8; 32],
    pub(super) worker: WorkerSeen,
    pub(super) max: u32,
    pub(super) wait_s: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Request {
    Claim(ClaimBody),
    Beat(LeaseKey, Heartbeat),
    Store(LeaseKey, Vec<MetricPoint>),
    Save(LeaseKey, Checkpoint),
    Resume(LeaseKey, String),
    Report(LeaseKey, Report),
    Submit(Box<NewSweep>),
    Steer(SweepId, Steer),
}

impl Request {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Beat(..) => "heartbeat",
            Self::Store(..) => "points",
            Self::Save(..) => "checkpoint",
            Self::Resume(..) => "resume",
            Self::Report(_, Report::Complete(_)) => "complete",
            Self::Report(_, Report::Fail(_)) => "fail",
            Self::Report(_, Report::Release(_)) => "release",
            Self::Submit(_) => "submit",
            Self::Steer(..) => "steer",
        }
    }

    /// How long its caller waits for an answer, by its own clock.
    pub(super) fn timeout(&self) -> Duration {
        let held_s = if let Self::Claim(claim) = self { claim.wait_s } else { 0 };
        Duration::from_secs(10 + u64::from(held_s))
    }
}

#[derive(Debug, Clone)]
pub(super) enum Reply {
    Leases(Vec<Lease>),
    Beaten(HeartbeatReply),
    Stored(MetricsReply),
    Saved(Checkpoint),
    Reported(ReportReply),
    Done,
}

pub(super) type Answer = Result<Reply, CallError>;

/// A request under way.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub(super) from: Caller,
    pub(super) call: u64,
    pub(super) request: Request,
}

impl World {
    pub(super) fn send(&mut self, envelope: &Envelope) {
        for delay in self.deliveries(envelope.from) {
            self.at(delay, Event::Arrive(envelope.clone()));
        }
    }

    pub(super) fn answer(&mut self, to: Caller, call: u64, answer: &Answer) {
        for delay in self.deliveries(to) {
            self.at(delay, Event::Answer { to, call, answer: answer.clone() });
        }
    }

    /// After which delays a message arrives: not at all, once or twice.
    fn deliveries(&mut self, end: Caller) -> Vec<Duration> {
        if let Caller::Worker(place, _) = end
            && self.workers[place].cut_off
        {
            self.tally.lost += 1;
            return Vec::new();
        }
        let weather = self.weather;
        if self.dice.chance(weather.lost) {
            self.tally.lost += 1;
            return Vec::new();
        }
        let mut deliveries = vec![self.delay()];
        if self.dice.chance(weather.twice) {
            self.tally.twice += 1;
            deliveries.push(self.delay());
        }
        deliveries
    }

    fn delay(&mut self) -> Duration {
        if self.dice.chance(self.weather.slow) {
            self.tally.slow += 1;
            self.dice.time_s(0.5, 45.0)
        } else {
            self.dice.time_s(0.001, 0.05)
        }
    }
}
