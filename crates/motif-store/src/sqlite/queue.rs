//! The queue's calls: each is one transaction of the writer, or one of a reader.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TrialId},
    lifecycle::{Event, TrialState},
    requires::Abilities,
};

use super::{SqliteStore, checkpoints, claims, points, reports, steering, sweeps, trials};
use crate::{
    Queue, Result,
    records::{
        AttemptRecord, CheckpointRecord, Claim, Claimable, ConditionRecord, Counts, Fence, Finish,
        IdempotencyKey, Leased, Moved, NewSweep, Page, PointRecord, Steer, Steered, Submitted, SweepRecord,
        TrialRecord,
    },
};

/// Calls that are served side by side may be this far apart in time, in milliseconds, without a clock that was set back.
const SET_BACK_MIN_MS: i64 = 1000;

#[async_trait]
impl Queue for SqliteStore {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn sweep_create(
        &self,
        sweep: NewSweep,
        key: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<Submitted> {
        self.writer
            .run(move |conn| Box::pin(async move { sweeps::create(conn, &sweep, key.as_ref(), now).await }))
            .await
    }

    async fn sweep_get(&self, id: SweepId) -> Result<SweepRecord> {
        sweeps::get(&mut *self.read().await?, id).await
    }

    async fn sweep_conditions(&self, id: SweepId) -> Result<Vec<(ConditionRecord, Counts)>> {
        sweeps::conditions(&mut *self.read().await?, id).await
    }

    async fn sweep_steer(
        &self,
        id: SweepId,
        steer: Steer,
        principal: &str,
        now: Timestamp,
    ) -> Result<Steered> {
        let principal = principal.to_owned();
        self.writer
            .run(move |conn| Box::pin(async move { steering::steer(conn, id, steer, &principal, now).await }))
            .await
    }

    async fn trial_get(&self, id: TrialId) -> Result<TrialRecord> {
        trials::get(&mut *self.read().await?, id).await
    }

    async fn trial_list(
        &self,
        sweep: SweepId,
        state: Option<TrialState>,
        from: u64,
        limit: u32,
    ) -> Result<Page<TrialRecord, u64>> {
        trials::list(&mut *self.read().await?, sweep, state, from, limit).await
    }

    async fn trial_attempts(&self, id: TrialId) -> Result<Vec<AttemptRecord>> {
        trials::attempts(&mut *self.read().await?, id).await
    }

    async fn trial_points(&self, id: TrialId) -> Result<(u32, Vec<PointRecord>)> {
        points::of_trial(&mut *self.read().await?, id).await
    }

    async fn trial_claimable(&self, worker: &Abilities, now: Timestamp) -> Result<Claimable> {
        claims::claimable(&mut *self.read().await?, worker, now).await
    }

    async fn trial_claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<Leased>> {
        self.saw(now);
        self.writer.ask(claims::Claiming { epoch: self.epoch, claim, now }).await
    }

    async fn attempt_heartbeat(
        &self,
        fence: Fence,
        step: u64,
        total_steps: Option<u64>,
        now: Timestamp,
    ) -> Result<Moved> {
        self.saw(now);
        self.writer.ask(reports::Heartbeat { epoch: self.epoch, fence, step, total_steps, now }).await
    }

    async fn attempt_points(
        &self,
        fence: Fence,
        points: Vec<PointRecord>,
        now: Timestamp,
    ) -> Result<(u64, Moved)> {
        self.writer.ask(points::Append { epoch: self.epoch, fence, points, now }).await
    }

    async fn attempt_complete(&self, fence: Fence, finish: Finish, now: Timestamp) -> Result<Moved> {
        self.writer.ask(reports::Complete { epoch: self.epoch, fence, finish, now }).await
    }

    async fn attempt_fail(
        &self,
        fence: Fence,
        reason: String,
        retryable: bool,
        jitter: f64,
        now: Timestamp,
    ) -> Result<Moved> {
        self.saw(now);
        let epoch = self.epoch;
        let event = Event::Fail { retryable, jitter };
        self.writer
            .run(move |conn| {
                Box::pin(async move { reports::give_up(conn, epoch, &fence, event, &reason, now).await })
            })
            .await
    }

    async fn attempt_release(&self, fence: Fence, reason: String, now: Timestamp) -> Result<Moved> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| {
                Box::pin(
                    async move { reports::give_up(conn, epoch, &fence, Event::Release, &reason, now).await },
                )
            })
            .await
    }

    async fn attempt_checkpoint(
        &self,
        fence: Fence,
        record: CheckpointRecord,
        now: Timestamp,
    ) -> Result<CheckpointRecord> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| {
                Box::pin(async move { checkpoints::save(conn, epoch, &fence, record, now).await })
            })
            .await
    }

    async fn attempt_checkpoint_held(&self, fence: Fence) -> Result<Option<CheckpointRecord>> {
        checkpoints::held(&mut *self.read().await?, self.epoch, &fence).await
    }

    async fn attempt_resume(&self, fence: Fence, hash: String, now: Timestamp) -> Result<(u64, Moved)> {
        self.saw(now);
        let epoch = self.epoch;
        self.writer
            .run(move |conn| {
                Box::pin(async move { checkpoints::resume(conn, epoch, &fence, &hash, now).await })
            })
            .await
    }

    async fn checkpoint_forget(&self, hash: String) -> Result<()> {
        self.writer.run(move |conn| Box::pin(async move { checkpoints::forget(conn, &hash).await })).await
    }

    async fn checkpoint_hashes(&self) -> Result<BTreeSet<String>> {
        checkpoints::hashes(&mut *self.read().await?).await
    }

    async fn attempts_reap(&self, jitter: f64, now: Timestamp) -> Result<Vec<(AttemptId, Moved)>> {
        let now_ms = now.as_millisecond();
        let ahead_ms = self.latest_ms.swap(now_ms, Ordering::Relaxed).saturating_sub(now_ms);
        if ahead_ms > SET_BACK_MIN_MS {
            self.writer
                .run(move |conn| Box::pin(async move { reports::clock_set_back(conn, now).await }))
                .await?;
        }
        let mut reaped = Vec::new();
        // In portions, so that workers' reports get in between.
        loop {
            let portion = self
                .writer
                .run(move |conn| Box::pin(async move { reports::reap(conn, jitter, now).await }))
                .await?;
            let last = portion.len() < reports::REAPED_AT_ONCE_MAX;
            reaped.extend(portion);
            if last {
                return Ok(reaped);
            }
        }
    }
}
