//! The store in one SQLite file: one connection that writes, several that read.
//!
//! Every SQL statement of the project is below this module. What it must not know: HTTP, clocks, randomness.

mod attempts;
mod backup;
mod checkpoints;
mod claims;
mod control;
mod curves;
mod needs;
mod open;
mod points;
mod reports;
mod rows;
mod steering;
mod stopping;
mod sweeps;
#[cfg(test)]
mod tests;
mod tokens;
mod trials;
mod workers;
mod writer;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use motif_sweep::{
    ids::{AttemptId, SweepId, TokenId, TrialId},
    lifecycle::{Event, TrialState},
    requires::Abilities,
    until::UntilState,
};
use sqlx::{Sqlite, SqlitePool, Transaction};

pub use self::backup::{BackupSummary, Restored, backup, checkpoints_of, inspect, restore};
use self::{rows::Columns, writer::Writer};
use crate::{
    Result, Store, StoreError,
    records::{
        AmendOutcome, AmendmentRecord, AttemptRecord, CheckpointRecord, Claim, ConditionRecord, Counts,
        CurveSample, Fence, Finish, IdempotencyKey, Leased, Moved, NewAmendment, NewSweep, NewTrial, Page,
        PointRecord, ResultRecord, Steer, Steered, Submitted, SweepRecord, TokenRecord, TrialRecord,
        WorkerRecord,
    },
};

/// How the file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Connections that read, at least 1.
    pub readers: u32,
    /// The file is a restored backup: start a new epoch, so that leases given after the backup are refused.
    pub restored: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, restored: false }
    }
}

/// The store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    epoch: u64,
    curves: curves::Cache,
    /// The latest `now` of a reap, to notice that the clock was set back; before the first, later than any.
    reaped_at_ms: AtomicI64,
}

impl SqliteStore {
    /// Opens the file at `path`, creating it where there is none (its directory must exist), locks it against other
    /// servers and brings its schema up to date. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another server uses the file or a newer motif wrote it, [`StoreError::Corrupt`]
    /// when it is no store, [`StoreError::Unavailable`] when it cannot be read or written.
    pub async fn open(path: &Path, options: Options) -> Result<Self> {
        let path = open::real_path(path)?;
        let lock = open::lock(&path)?;
        backup::check_not_interrupted(&path)?;
        let mut conn = open::connect_writer(&path).await?;
        open::migrate(&mut conn).await?;
        if options.restored {
            sqlx::query("update meta set value = value + 1 where key = 'epoch'").execute(&mut conn).await?;
        }
        let row = sqlx::query("select value from meta where key = 'epoch'").fetch_one(&mut conn).await?;
        let epoch = row.uint("value")?;
        let readers = open::connect_readers(&path, options.readers).await?;
        let writer = Writer::start(path, conn, lock);
        let reaped_at_ms = AtomicI64::new(i64::MAX);
        Ok(Self { writer, readers, epoch, curves: curves::Cache::default(), reaped_at_ms })
    }

    /// Finishes what is queued, closes the file and lets go of its lock; later calls are refused.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.stop().await;
    }

    /// A short transaction, so that several statements see one state.
    async fn read(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.readers.begin().await?)
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn ready(&self) -> Result<()> {
        if !self.writer.is_running() {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        self.writer
            .run(|conn| {
                Box::pin(async move {
                    sqlx::query("update meta set value = value where key = 'epoch'").execute(conn).await?;
                    Ok(())
                })
            })
            .await
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

    async fn sweep_list(
        &self,
        before: Option<SweepId>,
        verifications: bool,
        limit: u32,
    ) -> Result<Page<SweepRecord, SweepId>> {
        sweeps::list(&mut *self.read().await?, before, verifications, limit).await
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

    async fn sweep_run_holes(
        &self,
        id: SweepId,
        missing: Vec<NewTrial>,
        principal: &str,
        now: Timestamp,
    ) -> Result<Steered> {
        let principal = principal.to_owned();
        self.writer
            .run(move |conn| {
                Box::pin(async move { steering::run_holes(conn, id, &missing, &principal, now).await })
            })
            .await
    }

    async fn sweep_amend(
        &self,
        amendment: NewAmendment,
        key: Option<IdempotencyKey>,
        now: Timestamp,
    ) -> Result<AmendOutcome> {
        self.writer
            .run(move |conn| {
                Box::pin(async move { control::amend(conn, &amendment, key.as_ref(), now).await })
            })
            .await
    }

    async fn amendment_by_key(&self, key: &IdempotencyKey) -> Result<Option<AmendmentRecord>> {
        control::by_key(&mut *self.read().await?, key).await
    }

    async fn sweep_amendments(&self, id: SweepId) -> Result<Vec<AmendmentRecord>> {
        control::amendments(&mut *self.read().await?, id).await
    }

    async fn sweeps_undecided(&self) -> Result<Vec<SweepId>> {
        control::undecided(&mut *self.read().await?).await
    }

    async fn sweep_decide(
        &self,
        id: SweepId,
        revision: u32,
        state: UntilState,
        half_width: Option<f64>,
    ) -> Result<bool> {
        self.writer
            .run(move |conn| {
                Box::pin(async move { control::decide(conn, id, revision, state, half_width).await })
            })
            .await
    }

    async fn sweep_verifications(&self, id: SweepId) -> Result<Vec<SweepRecord>> {
        control::verifications(&mut *self.read().await?, id).await
    }

    async fn sweep_results(&self, id: SweepId) -> Result<Vec<ResultRecord>> {
        control::results(&mut *self.read().await?, id).await
    }

    async fn trial_get(&self, id: TrialId) -> Result<TrialRecord> {
        trials::get(&mut *self.read().await?, id).await
    }

    async fn trial_condition(&self, id: TrialId) -> Result<ConditionRecord> {
        trials::condition(&mut *self.read().await?, id).await
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

    async fn trial_outcomes(&self, sweep: SweepId, metric: Option<&str>) -> Result<Vec<TrialRecord>> {
        trials::outcomes(&mut *self.read().await?, sweep, metric).await
    }

    async fn trial_attempts(&self, id: TrialId) -> Result<Vec<AttemptRecord>> {
        trials::attempts(&mut *self.read().await?, id).await
    }

    async fn trial_points(&self, id: TrialId) -> Result<(u32, Vec<PointRecord>)> {
        points::of_trial(&mut *self.read().await?, id).await
    }

    async fn sweep_metric_names(&self, id: SweepId) -> Result<Vec<String>> {
        points::names(&mut *self.read().await?, id).await
    }

    async fn sweep_final_names(&self, id: SweepId) -> Result<Vec<String>> {
        trials::final_names(&mut *self.read().await?, id).await
    }

    async fn sweep_curve(&self, id: SweepId, metric: &str) -> Result<Vec<CurveSample>> {
        curves::of_sweep(&mut *self.read().await?, &self.curves, id, metric).await
    }

    async fn trial_claimable(&self, worker: &Abilities, now: Timestamp) -> Result<bool> {
        claims::claimable(&mut *self.read().await?, worker, now).await
    }

    async fn trial_claim(&self, claim: Claim, now: Timestamp) -> Result<Vec<Leased>> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| Box::pin(async move { claims::claim(conn, epoch, &claim, now).await }))
            .await
    }

    async fn attempt_heartbeat(
        &self,
        fence: Fence,
        step: u64,
        total_steps: Option<u64>,
        now: Timestamp,
    ) -> Result<Moved> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| {
                Box::pin(async move { reports::heartbeat(conn, epoch, &fence, step, total_steps, now).await })
            })
            .await
    }

    async fn attempt_points(
        &self,
        fence: Fence,
        points: Vec<PointRecord>,
        now: Timestamp,
    ) -> Result<(u64, Moved)> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| Box::pin(async move { points::append(conn, epoch, &fence, &points, now).await }))
            .await
    }

    async fn attempt_complete(&self, fence: Fence, finish: Finish, now: Timestamp) -> Result<Moved> {
        let epoch = self.epoch;
        self.writer
            .run(move |conn| {
                Box::pin(async move { reports::complete(conn, epoch, &fence, &finish, now).await })
            })
            .await
    }

    async fn attempt_fail(
        &self,
        fence: Fence,
        reason: String,
        retryable: bool,
        jitter: f64,
        now: Timestamp,
    ) -> Result<Moved> {
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
        if self.reaped_at_ms.swap(now_ms, Ordering::Relaxed) > now_ms {
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

    async fn worker_list(&self) -> Result<Vec<WorkerRecord>> {
        workers::list(&mut *self.read().await?).await
    }

    async fn token_create(&self, token: TokenRecord) -> Result<()> {
        self.writer.run(move |conn| Box::pin(async move { tokens::create(conn, &token).await })).await
    }

    async fn token_list(&self) -> Result<Vec<TokenRecord>> {
        tokens::list(&mut *self.read().await?).await
    }

    async fn token_revoke(&self, id: TokenId, now: Timestamp) -> Result<()> {
        self.writer.run(move |conn| Box::pin(async move { tokens::revoke(conn, id, now).await })).await
    }

    async fn token_by_hash(&self, hash: [u8; 32]) -> Result<Option<TokenRecord>> {
        tokens::by_hash(&mut *self.read().await?, hash).await
    }
}
