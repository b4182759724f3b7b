//! Snapshots and traces as NPZ archives, which numpy reads; written to whatever the caller opened.

use std::io::{Seek, Write};

use ndarray::{ArrayRef2, aview1};
use ndarray_npy::{NpzWriter, WriteNpzError};
use thiserror::Error;

use crate::observe::NamedTensor;
use crate::spectra::{self, MAX_SPECTRUM_UNITS};
use crate::tensors::BIAS;

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

/// Writes what Fig. 3 looks at, float32: `w_wt.l` = `W_l W_lᵀ` and `v_bar_v_bart.l` = `H_l` = `V̄_l V̄_lᵀ`, both
/// `n_l × n_l`. With `spectra` also, float64 and descending: the singular values `sigma.X` of every matrix `X`, as
/// `sigma.w.1`, and the eigenvalues `eigen_h.l` of every `H_l`. Returns the writer at the archive's end.
///
/// What would have more than [`MAX_SPECTRUM_UNITS`](crate::spectra::MAX_SPECTRUM_UNITS) rows, or rank, is left out.
///
/// # Errors
/// [`NpzError`] when the writer fails.
pub fn write_matrices<W: Write + Seek>(
    writer: W,
    tensors: &[NamedTensor<'_>],
    spectra: bool,
) -> Result<W, NpzError> {
    let mut archive = NpzWriter::new(writer);
    let named = |name: &str| {
        let name = name.to_owned();
        move |source| NpzError::Array { name, source }
    };
    for NamedTensor { name, value } in tensors {
        let Some((kind, layer)) = name.split_once('.').filter(|(kind, _)| *kind != BIAS) else { continue };
        let gram = [("w", "w_wt"), ("v_bar", "v_bar_v_bart")].into_iter().find(|(of, _)| *of == kind);
        if let Some((_, gram)) = gram.filter(|_| value.nrows() <= MAX_SPECTRUM_UNITS) {
            let name = format!("{gram}.{layer}");
            archive.add_array(name.as_str(), &value.dot(&value.t())).map_err(named(&name))?;
        }
        let Some(mut squares) = spectra.then(|| spectra::squared_singular_values(value)).flatten() else {
            continue;
        };
        squares.reverse();
        let name = format!("sigma.{name}");
        let singular: Vec<f64> = squares.iter().map(|square| square.sqrt()).collect();
        archive.add_array(name.as_str(), &aview1(&singular)).map_err(named(&name))?;
        if kind == "v_bar" {
            squares.resize(value.nrows(), 0.0);
            let name = format!("eigen_h.{layer}");
            archive.add_array(name.as_str(), &aview1(&squares)).map_err(named(&name))?;
        }
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
