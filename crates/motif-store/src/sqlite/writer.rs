//! The one writer: a task that owns the only connection that writes and commits commands in groups.
//!
//! A command, once queued, runs to its end whether or not its caller still waits, and is answered only after the
//! commit that made it durable. It knows no table.

use std::{future::Future, path::PathBuf, pin::Pin};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::open::{self, FileLock};
use crate::{Result, StoreError};

/// Commands that may wait for the writer; further callers wait to queue theirs.
const QUEUED_COMMANDS_MAX: usize = 1024;
/// Commands in one transaction: what one fsync is shared by.
const BATCH_COMMANDS_MAX: usize = 128;
/// Size of the write-ahead log above which the writer empties it.
const WAL_BYTES_MAX: u64 = 64 << 20;
/// Batches between two tries of an emptying checkpoint that readers prevented.
const CHECKPOINT_RETRY_BATCHES: u32 = 64;

/// A future that borrows the connection.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

trait Command: Send {
    /// Runs within an open savepoint and says whether its effects are to be kept.
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
        let result = match (self.result, fault) {
            // A refusal changed nothing, so it stands whatever became of the transaction.
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(value)), None) => Ok(value),
            (_, fault) => Err(StoreError::Unavailable(fault.unwrap_or("the command did not run").into())),
        };
        // The caller may have gone away: the command has run all the same.
        let _ = self.reply.send(result);
    }
}

enum Message {
    Run(Box<dyn Command>),
    Stop(oneshot::Sender<()>),
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
        let stopped = || StoreError::Unavailable("the store is closed".into());
        self.queue.send(Message::Run(Box::new(job))).await.map_err(|_| stopped())?;
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
            let mut batch = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Run(command) => batch.push(command),
                    Message::Stop(done) => stop = Some(done),
                }
            }
            if !batch.is_empty() {
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

    async fn commit(&mut self, mut batch: Vec<Box<dyn Command>>) {
        let fault = self.transact(&mut batch).await.err().map(chain);
        if let Some(fault) = &fault {
            tracing::error!(fault, commands = batch.len(), "a transaction failed; nothing of it was kept");
            // Some faults roll back behind our back. A new connection is in a known state.
            if let Some(conn) = self.conn.take() {
                let _ = conn.close_hard().await;
            }
        }
        for command in batch {
            command.answer(fault.as_deref());
        }
        self.bound_wal().await;
    }

    async fn transact(&mut self, batch: &mut [Box<dyn Command>]) -> Result<()> {
        if self.conn.is_none() {
            self.conn = Some(open::connect_writer(&self.path).await?);
        }
        let Some(conn) = self.conn.as_mut() else { return Err(StoreError::NotFound("connection")) };
        // Statements go to the connection's own thread: those between two commands go together.
        sqlx::query("begin immediate; savepoint command").execute(&mut *conn).await?;
        let mut commands = batch.iter_mut().peekable();
        while let Some(command) = commands.next() {
            if !command.run(conn).await {
                sqlx::query("rollback to command").execute(&mut *conn).await?;
            }
            let between = if commands.peek().is_some() {
                "release command; savepoint command"
            } else {
                "release command; commit"
            };
            sqlx::query(between).execute(&mut *conn).await?;
        }
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
        let Some(conn) = self.conn.as_mut() else { return };
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        let Ok(bytes) = std::fs::metadata(&wal).map(|file| file.len()) else { return };
        if bytes > WAL_BYTES_MAX {
            self.batches_to_checkpoint = CHECKPOINT_RETRY_BATCHES;
            match open::checkpoint(conn).await {
                Ok(()) => tracing::debug!(bytes, "emptied the write-ahead log"),
                Err(error) => tracing::warn!(%error, bytes, "could not empty the write-ahead log yet"),
            }
        }
    }
}
