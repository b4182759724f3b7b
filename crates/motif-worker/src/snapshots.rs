//! Files that a training hands over: weights, and the matrices of Fig. 3.

use std::{io::Cursor, sync::Arc};

use motif_net::{
    NamedTensor,
    npz::{NpzError, write_matrices, write_snapshot},
};
use motif_wire::trials::Snapshot;

use crate::{
    core::Ending,
    executor::{Executor, RETRY_DELAY, chain, failure},
    observer::Reporter,
};

/// Tries to hand over the snapshots at a training's end while the server is away: beyond them the result matters more.
pub(crate) const TRIES_MAX: u32 = 3600;

/// What is to be handed over, oldest first.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// Whether spectra are asked for.
    spectra: bool,
    waiting: Vec<(Snapshot, Vec<u8>)>,
    /// The first thing that went wrong.
    fault: Option<NpzError>,
}

impl Snapshots {
    pub(crate) fn new(spectra: bool) -> Self {
        Self { spectra, waiting: Vec::new(), fault: None }
    }

    /// Takes both files of a step. Named as `motif train` names them.
    pub(crate) fn take(&mut self, step: u64, tensors: &[NamedTensor<'_>]) {
        let spectra = self.spectra;
        self.add(format!("step-{step:06}.npz"), |file| write_snapshot(file, tensors));
        self.add(format!("matrices-{step:06}.npz"), |file| write_matrices(file, tensors, spectra));
    }

    fn add(
        &mut self,
        name: String,
        write: impl FnOnce(Cursor<Vec<u8>>) -> Result<Cursor<Vec<u8>>, NpzError>,
    ) {
        match write(Cursor::default()) {
            Ok(file) => {
                let bytes = file.into_inner();
                let hash = blake3::hash(&bytes).to_hex().to_string();
                self.waiting.push((Snapshot { name, hash, bytes: bytes.len() as u64 }, bytes));
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }

    /// The first thing that went wrong.
    pub(crate) fn fault(&mut self) -> Option<NpzError> {
        self.fault.take()
    }

    /// The next file; it waits until [`Self::handed_over`].
    pub(crate) fn next(&self) -> Option<&(Snapshot, Vec<u8>)> {
        self.waiting.first()
    }

    /// The next file is safe, or refused for good.
    pub(crate) fn handed_over(&mut self) {
        self.waiting.drain(..1.min(self.waiting.len()));
    }
}

impl Executor {
    /// Hands over the snapshots that wait. What the server cannot take now is tried again, until it is safe, the training
    /// is to stop, or so many tries have failed; after the last it still waits.
    pub(crate) fn hand_over(&self, reporter: &mut Reporter, token: &str, tries: u32) -> Result<(), Ending> {
        let (attempt, control) = (reporter.attempt, Arc::clone(&reporter.control));
        let Some(snapshots) = &mut reporter.snapshots else { return Ok(()) };
        if let Some(fault) = snapshots.fault() {
            return Err(Ending::Failed(failure(
                true,
                format!("a snapshot could not be made: {}", chain(&fault)),
            )));
        }
        let mut failed = 0;
        while let Some((snapshot, bytes)) = snapshots.next() {
            let sent = self.client.snapshot_save(attempt, token, snapshot, bytes.clone());
            match self.runtime.block_on(sent) {
                Ok(_) => snapshots.handed_over(),
                Err(error) if error.is_transient() => {
                    failed += 1;
                    if control.is_stopped() && !control.concludes() {
                        return Err(Ending::Stopped);
                    }
                    if failed >= tries {
                        tracing::warn!(%error, snapshot = snapshot.name, "a snapshot could not be handed over yet");
                        return Ok(());
                    }
                    tracing::debug!(%error, snapshot = snapshot.name, "handing it over again");
                    std::thread::sleep(RETRY_DELAY);
                }
                // The lease is lost, which the driver learns by itself, or the server will never take it.
                Err(error) => {
                    tracing::warn!(%error, snapshot = snapshot.name, "a snapshot was refused");
                    snapshots.handed_over();
                }
            }
        }
        Ok(())
    }
}
