//! Snapshots and traces as NPZ archives, which numpy reads; written to whatever the caller opened.

use std::io::{Seek, Write};

use ndarray::{ArrayRef2, aview1};
use ndarray_npy::{NpzWriter, WriteNpzError};
use thiserror::Error;

use crate::observe::NamedTensor;

/// An archive could not be written.
#[derive(Debug, Error)]
pub enum NpzError {
    /// Writing one array failed.
    #[error("array {name} could not be written")]
    Array {
        /// Its name.
        name: String,
        /// Why.
        source: WriteNpzError,
    },
    /// Ending the archive failed.
    #[error("the archive could not be ended")]
    End(#[source] WriteNpzError),
}

/// Writes a snapshot: one float32 array per tensor, under its name. Returns the writer at the archive's end.
///
/// # Errors
/// [`NpzError`] when the writer fails.
pub fn write_snapshot<W: Write + Seek>(writer: W, tensors: &[NamedTensor<'_>]) -> Result<W, NpzError> {
    let mut archive = NpzWriter::new(writer);
    for tensor in tensors {
        archive
            .add_array(tensor.name, &tensor.value.as_standard_layout())
            .map_err(|source| NpzError::Array { name: tensor.name.to_owned(), source })?;
    }
    archive.finish().map_err(NpzError::End)
}

/// Writes a trace: `x.k` (float32, batch × `n_0`) and `y.k` (int64 labels) per minibatch.
pub struct TraceWriter<W: Write + Seek> {
    archive: NpzWriter<W>,
}

impl<W: Write + Seek> TraceWriter<W> {
    /// An empty trace.
    pub fn new(writer: W) -> Self {
        Self { archive: NpzWriter::new(writer) }
    }

    /// Adds minibatch `step`, counted from 0.
    ///
    /// # Errors
    /// [`NpzError`] when the writer fails.
    pub fn batch(&mut self, step: u64, x: &ArrayRef2<f32>, y: &[u16]) -> Result<(), NpzError> {
        let labels: Vec<i64> = y.iter().map(|&label| i64::from(label)).collect();
        let named = |name: String| move |source| NpzError::Array { name, source };
        let (x_name, y_name) = (format!("x.{step}"), format!("y.{step}"));
        self.archive.add_array(x_name.as_str(), &x.view()).map_err(named(x_name))?;
        self.archive.add_array(y_name.as_str(), &aview1(&labels)).map_err(named(y_name))
    }

    /// Ends the archive and returns the writer.
    ///
    /// # Errors
    /// [`NpzError`] when the writer fails.
    pub fn finish(self) -> Result<W, NpzError> {
        self.archive.finish().map_err(NpzError::End)
    }
}
