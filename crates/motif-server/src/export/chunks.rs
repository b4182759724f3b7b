//! Bytes written on a blocking thread and sent as a response's body, with few of them waiting.

use std::{
    io::{self, Write},
    mem,
};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::ExportError;
use crate::limits;

/// The writing end of a response's body.
pub(crate) struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    waiting: Vec<u8>,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let bytes = mem::replace(&mut self.waiting, Vec::with_capacity(limits::EXPORT_CHUNK_BYTES));
        self.sender
            .blocking_send(Ok(bytes.into()))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone away"))
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= limits::EXPORT_CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Only what is full is sent, and the rest at the end: writers flush more often than a network likes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // A receiver that is gone has been told, or does not want to be.
        let _ = self.send();
    }
}

/// The body that `work` writes. Where that fails the body breaks off, which every client sees: it is not ended.
/// `held` is let go at the end.
pub(crate) fn stream(
    held: impl Send + 'static,
    work: impl FnOnce(Chunks) -> Result<(), ExportError> + Send + 'static,
) -> Body {
    let (sender, receiver) = mpsc::channel(limits::EXPORT_WAITING_CHUNKS);
    let broken = sender.clone();
    let chunks = Chunks { sender, waiting: Vec::with_capacity(limits::EXPORT_CHUNK_BYTES) };
    tokio::spawn(async move {
        let error: Box<dyn std::error::Error> = match tokio::task::spawn_blocking(move || work(chunks)).await
        {
            Ok(Ok(())) => return drop(held),
            Ok(Err(error)) => error.into(),
            Err(panicked) => panicked.into(),
        };
        tracing::warn!(error = &*error, "an export broke off");
        drop(error);
        let _ = broken.send(Err(io::Error::other("the export broke off"))).await;
    });
    Body::from_stream(ReceiverStream::new(receiver))
}
