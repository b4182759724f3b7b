//! The one writer: a task that owns the only connection that writes and commits commands in groups.
//!
//! A command, once queued, runs to its end whether or not its caller still waits, and is answered only after the
//! commit that made it durable. Commands of one group have all been asked for and not yet answered, so that their order is
//! free: those that workers send are run in lists, kind by kind, the others one by one in between. It knows no table.

use std::{future::Future, path::PathBuf, pin::Pin};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    claims::Claiming,
    lists::{Asked, List, Listed},
    open::{self, FileLock},
    points::Append,
    reports::{Complete, Heartbeat},
};
use crate::{Result, StoreError};

/// Commands that may wait for the writer; further callers wait to queue theirs.
const QUEUED_COMMANDS_MAX: usize = 1024;
/// Commands in one transaction: what one fsync is shared by.
const BATCH_COMMANDS_MAX: usize = 128;
/// Size of the write-ahead log above which the writer empties it.
const WAL_BYTES_MAX: u64 = 64 << 20;
/// Size of the write-ahead log above which nothing is written until it can be emptied: what a transaction may add stands
/// between this and 256 MiB.
const WAL_FULL_BYTES: u64 = 192 << 20;
/// Batches between two tries of an emptying checkpoint that readers prevented.
const CHECKPOINT_RETRY_BATCHES: u32 = 64;

/// A future that borrows the connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// A command of its own kind.
pub(super) trait Command: Send {
    /// Runs and says whether its effects are to be kept.
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> Work<'a, bool>;
    /// Hands the caller what `run` came to, or why the transaction failed.
    fn answer(self: Box<Self>, fault: Option<&str>);
}

struct Job<T, F> {
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Command for Job<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, Result<T>> + Send,
{
    fn run<'a>(&'a mut self, conn: &'a mut SqliteConnection) -> Work<'a, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let result = work(conn).await;
            let kept = result.is_ok();
            self.result = Some(result);
            kept
        })
    }

    fn answer(self: Box<Self>, fault: Option<&str>) {
        // The caller may have gone away: the command has run all the same.
        let _ = self.reply.send(settle(self.result, fault));
    }
}

/// What a caller hears of what its command came to, if it ran, in a transaction that may have failed.
pub(super) fn settle<T>(result: Option<Result<T>>, fault: Option<&str>) -> Result<T> {
    match (result, fault) {
        // A refusal changed nothing, so it stands whatever became of the transaction.
        (Some(Err(refusal)), _) => Err(refusal),
        (Some(Ok(value)), None) => Ok(value),
        (_, fault) => Err(StoreError::Unavailable(fault.unwrap_or("the command did not run").into())),
    }
}

/// What the writer is sent.
pub(super) enum Message {
    Run(Box<dyn Command>),
    Heartbeat(Asked<Heartbeat>),
    Points(Asked<Append>),
    Complete(Asked<Complete>),
    Claim(Asked<Claiming>),
    Stop(oneshot::Sender<()>),
}

/// The commands of one transaction, in the order in which they are run: reports free trials for the claims after them.
#[derive(Default)]
struct Batch {
    heartbeats: List<Heartbeat>,
    points: List<Append>,
    completions: List<Complete>,
    others: Vec<Box<dyn Command>>,
    claims: List<Claiming>,
    stop: Option<oneshot::Sender<()>>,
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Run(command) => self.others.push(command),
            Message::Heartbeat(asked) => self.heartbeats.push(asked),
            Message::Points(asked) => self.points.push(asked),
            Message::Complete(asked) => self.completions.push(asked),
            Message::Claim(asked) => self.claims.push(asked),
            Message::Stop(done) => self.stop = Some(done),
        }
    }

    fn commands(&self) -> usize {
        let Self { heartbeats, points, completions, others, claims, .. } = self;
        heartbeats.len() + points.len() + completions.len() + others.len() + claims.len()
    }

    async fn run(&mut self, steps: &mut Steps<'_>) -> Result<()> {
        self.heartbeats.run(steps).await?;
        self.points.run(steps).await?;
        self.completions.run(steps).await?;
        for command in &mut self.others {
            if !command.run(steps.next().await?).await {
                steps.undo().await?;
            }
        }
        self.claims.run(steps).await
    }

    fn answer(self, fault: Option<&str>) {
        self.heartbeats.answer(fault);
        self.points.answer(fault);
        self.completions.answer(fault);
        for command in self.others {
            command.answer(fault);
        }
        self.claims.answer(fault);
    }
}

/// A transaction that is written step by step, each of which can be undone.
pub(super) struct Steps<'c> {
    conn: &'c mut SqliteConnection,
    /// Nothing was written since the newest savepoint.
    clean: bool,
}

impl<'c> Steps<'c> {
    // Statements go to the connection's own thread: those that follow each other go together.
    async fn begin(conn: &'c mut SqliteConnection) -> Result<Self> {
        sqlx::query("begin immediate; savepoint step").execute(&mut *conn).await?;
        Ok(Self { conn, clean: true })
    }

    /// The connection for the next step.
    pub(super) async fn next(&mut self) -> Result<&mut SqliteConnection> {
        if !self.clean {
            sqlx::query("release step; savepoint step").execute(&mut *self.conn).await?;
        }
        self.clean = false;
        Ok(self.conn)
    }

    /// Undoes what was written since the last `next`.
    pub(super) async fn undo(&mut self) -> Result<()> {
        sqlx::query("rollback to step").execute(&mut *self.conn).await?;
        self.clean = true;
        Ok(())
    }

    async fn commit(self) -> Result<()> {
        sqlx::query("release step; commit").execute(self.conn).await?;
        Ok(())
    }
}

/// The way to the writer.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the task; it keeps the file's lock until its connection is closed.
    pub(super) fn start(path: PathBuf, conn: SqliteConnection, lock: FileLock) -> Self {
        let (queue, commands) = mpsc::channel(QUEUED_COMMANDS_MAX);
        let driver = Driver { path, conn: Some(conn), batches_to_checkpoint: 0 };
        let task = tokio::spawn(async move {
            let stopped = driver.drive(commands).await;
            drop(lock);
            drop(stopped);
        });
        Self { queue, task }
    }

    /// Runs `work` in a transaction and returns once it is committed.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, Result<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Job { work: Some(work), result: None, reply };
        self.send(Message::Run(Box::new(job)), answer).await
    }

    /// Runs a command together with others of its kind and returns once it is committed.
    pub(super) async fn ask<C: Listed>(&self, command: C) -> Result<C::Reply> {
        let (reply, answer) = oneshot::channel();
        self.send(C::message(Asked::new(command, reply)), answer).await
    }

    async fn send<T>(&self, message: Message, answer: oneshot::Receiver<Result<T>>) -> Result<T> {
        let stopped = || StoreError::Unavailable("the store is closed".into());
        self.queue.send(message).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// Ends the task after the commands that are already queued, and waits until the file is let go.
    pub(super) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.queue.send(Message::Stop(done)).await.is_ok() {
            // The sender is dropped with the task, which is as good as an answer.
            let _ = stopped.await;
        }
    }

    /// Whether the task still runs.
    pub(super) fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

/// What made a transaction fail, with all its causes, in one line.
fn chain(error: StoreError) -> String {
    let StoreError::Unavailable(fault) = error else { return error.to_string() };
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors of sqlx repeat their source.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

struct Driver {
    path: PathBuf,
    /// Absent after a failed transaction, until it is opened again.
    conn: Option<SqliteConnection>,
    batches_to_checkpoint: u32,
}

impl Driver {
    /// Returns whom to tell that it has ended.
    async fn drive(mut self, mut commands: mpsc::Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut messages = Vec::with_capacity(BATCH_COMMANDS_MAX);
        let mut stop = None;
        while stop.is_none() && commands.recv_many(&mut messages, BATCH_COMMANDS_MAX).await > 0 {
            let mut batch = Batch::default();
            messages.drain(..).for_each(|message| batch.add(message));
            stop = batch.stop.take();
            if batch.commands() > 0 {
                self.commit(batch).await;
            }
        }
        // What is still queued is dropped unanswered, which its callers read as "closed".
        commands.close();
        if let Some(conn) = self.conn.take()
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "the writing connection did not close cleanly");
        }
        stop
    }

    async fn commit(&mut self, mut batch: Batch) {
        if let Some(fault) = self.full_wal().await {
            tracing::error!(fault, commands = batch.commands(), "nothing was written");
            return batch.answer(Some(&fault));
        }
        let fault = self.transact(&mut batch).await.err().map(chain);
        if let Some(fault) = &fault {
            tracing::error!(
                fault,
                commands = batch.commands(),
                "a transaction failed; nothing of it was kept"
            );
            // Some faults roll back behind our back. A new connection is in a known state.
            if let Some(conn) = self.conn.take() {
                let _ = conn.close_hard().await;
            }
        }
        batch.answer(fault.as_deref());
        self.bound_wal().await;
    }

    async fn transact(&mut self, batch: &mut Batch) -> Result<()> {
        if self.conn.is_none() {
            self.conn = Some(open::connect_writer(&self.path).await?);
        }
        let Some(conn) = self.conn.as_mut() else { return Err(StoreError::NotFound("connection")) };
        let mut steps = Steps::begin(conn).await?;
        batch.run(&mut steps).await?;
        steps.commit().await?;
        #[cfg(debug_assertions)]
        super::failpoint::committed();
        Ok(())
    }

    /// Empties the write-ahead log when it has grown: the automatic checkpoint alone starts over only when no reader is
    /// in its way.
    async fn bound_wal(&mut self) {
        if self.batches_to_checkpoint > 0 {
            self.batches_to_checkpoint -= 1;
            return;
        }
        let bytes = self.wal_bytes();
        let Some(conn) = self.conn.as_mut().filter(|_| bytes > WAL_BYTES_MAX) else { return };
        self.batches_to_checkpoint = CHECKPOINT_RETRY_BATCHES;
        match open::checkpoint(conn).await {
            Ok(()) => tracing::debug!(bytes, "emptied the write-ahead log"),
            Err(error) => {
                let error = chain(error);
                tracing::warn!(error, bytes, "could not empty the write-ahead log yet");
            }
        }
    }

    fn wal_bytes(&self) -> u64 {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        std::fs::metadata(&wal).map_or(0, |file| file.len())
    }

    /// Why nothing may be written: a reader has kept the log from being emptied for so long that it would fill the disk.
    async fn full_wal(&mut self) -> Option<String> {
        let bytes = self.wal_bytes();
        let conn = self.conn.as_mut().filter(|_| bytes > WAL_FULL_BYTES)?;
        let error = chain(open::checkpoint(conn).await.err()?);
        Some(format!("the write-ahead log has {bytes} bytes, the most is {WAL_FULL_BYTES}: {error}"))
    }
}
