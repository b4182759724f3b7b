//! Sweeps as files: one row per trial (wide) or per logged value (long), as CSV or Parquet, written row group by row
//! group while they are sent, so that a large sweep is never held as a file; and as one JSON document.

mod chunks;
mod column;
mod csv;
mod long;
mod parquet;
#[cfg(test)]
mod tests;
mod wide;

use motif_store::{
    StoreError,
    records::{PointRecord, TrialRecord},
};
use motif_wire::{
    export::{ExportDocument, ExportTrial},
    sweeps::SweepDetail,
};

pub(crate) use chunks::{Chunks, stream};
pub(crate) use column::{Field, Kind, Text, Values};
pub(crate) use csv::CsvTable;
pub(crate) use long::Long;
pub(crate) use parquet::ParquetTable;
pub(crate) use wide::Wide;

use crate::{
    convert,
    error::{ApiError, ApiResult},
    statistics::Material,
};

/// Why a file broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// A row of CSV was not written.
    #[error("CSV")]
    Csv(#[source] ::csv::Error),
    /// A row group was not written.
    #[error("Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
    /// A trial's points were not read.
    #[error("a trial's points")]
    Points(#[source] StoreError),
    /// A trial is not stored as it should be.
    #[error("a trial's report")]
    Report(#[source] ApiError),
    /// The rest was not sent.
    #[error("the receiver")]
    Sent(#[source] std::io::Error),
}

/// Takes rows, column by column, in the order of the fields it was made with.
pub(crate) trait Table {
    /// Adds rows: one list per field, all of one length.
    fn write(&mut self, columns: &[Values]) -> Result<(), ExportError>;

    /// Writes what comes after the last row.
    fn finish(self: Box<Self>) -> Result<(), ExportError>;
}

/// A row per trial.
pub(crate) fn write_wide(wide: &Wide<'_>, mut table: Box<dyn Table>) -> Result<(), ExportError> {
    for trials in wide.trials().chunks(wide::GROUP_TRIALS) {
        table.write(&wide.rows(trials).map_err(ExportError::Report)?)?;
    }
    table.finish()
}

/// A row per logged value of the newest attempt of each trial; `points` reads one trial's.
pub(crate) fn write_long(
    trials: &[TrialRecord],
    mut points: impl FnMut(&TrialRecord) -> Result<Vec<PointRecord>, StoreError>,
    mut table: Box<dyn Table>,
) -> Result<(), ExportError> {
    let mut long = Long::default();
    for trial in trials {
        long.add(trial, &points(trial).map_err(ExportError::Points)?);
        if long.is_full() {
            table.write(&long.take())?;
        }
    }
    table.write(&long.take())?;
    table.finish()
}

/// The sweep as one JSON document.
pub(crate) fn document(material: &Material, sweep: SweepDetail) -> ApiResult<ExportDocument> {
    let conditions = material.by_index();
    let trial = |trial: &TrialRecord| {
        Ok(ExportTrial {
            row: convert::trial_row(trial, &material.sweep.metric),
            axes: conditions.get(&trial.condition).map(|c| c.axes.clone()).unwrap_or_default(),
            result: convert::trial_report(trial)?,
        })
    };
    let trials = material.trials.iter().map(trial).collect::<ApiResult<_>>()?;
    Ok(ExportDocument { sweep, trials })
}
