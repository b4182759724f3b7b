//! A sweep as a file.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use motif_sweep::ids::SweepId;
use motif_wire::export::ExportDocument;
use utoipa::{
    IntoParams,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use super::{BadParameter, NoSuch, statistics::all_trials};
use crate::{
    convert,
    error::{ApiError, ApiResult},
    export::{self, Chunks, CsvTable, ExportError, Field, Long, ParquetTable, Table, Wide},
    extract::{FromQuery, Id, Parameters, Params},
    state::ServerState,
    statistics::Material,
};

/// A file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum ExportFormat {
    /// A table.
    Csv,
    /// One document.
    Json,
    /// A table with types.
    Parquet,
}

/// What a row of a table is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum ExportShape {
    /// A trial.
    #[default]
    Wide,
    /// A logged value: trial, step, metric.
    Long,
}

impl ExportFormat {
    const NAMED: [(&'static str, Self); 3] =
        [("csv", Self::Csv), ("json", Self::Json), ("parquet", Self::Parquet)];

    const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }

    const fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Parquet => PARQUET,
        })
    }
}

/// The media type of Parquet.
pub(crate) const PARQUET: &str = "application/vnd.apache.parquet";

/// Which format and which shape.
#[derive(Debug, Clone, Copy, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `csv` (default), `json` or `parquet`.
    #[param(required = false, inline)]
    format: ExportFormat,
    /// Of CSV and Parquet: `wide` (default) has a row per trial, `long` one per trial, step and metric.
    #[param(required = false, inline)]
    shape: ExportShape,
}

impl FromQuery for ExportQuery {
    const NAMES: &'static [&'static str] = &["format", "shape"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let shapes = [("wide", ExportShape::Wide), ("long", ExportShape::Long)];
        let format = params.choice("format", &ExportFormat::NAMED)?.unwrap_or(ExportFormat::Csv);
        let shape = params.choice("shape", &shapes)?;
        if let (ExportFormat::Json, Some(_), Some(text)) = (format, shape, params.text("shape")) {
            let message = "belongs to `format=csv` and `format=parquet`: a JSON export has one shape";
            return Err(ApiError::parameter("shape", message, text));
        }
        Ok(Self { format, shape: shape.unwrap_or_default() })
    }
}

/// A Parquet file, as the documentation shows it.
struct ParquetFile;

impl utoipa::PartialSchema for ParquetFile {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl utoipa::ToSchema for ParquetFile {}

/// Download all trials of a sweep
///
/// A wide table has one row per trial, with swept keys as `axes.KEY` and final metrics by name; a long one has one row
/// per trial, step and metric that was logged. Parquet has int64, double, UTF-8 and UTC timestamps, and nulls where there
/// is nothing; a value that was not finite is NaN there, and in a long CSV. In CSV, text that a spreadsheet would take for
/// a formula is preceded by a single quote.
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/export", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), ExportQuery),
    responses(
        (status = 200, description = "The file.", content(
            (String = "text/csv"), (ExportDocument = "application/json"),
            (inline(ParquetFile) = "application/vnd.apache.parquet"),
        )),
        BadParameter, NoSuch,
    )
)]
pub(crate) async fn sweep_export(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<ExportQuery>,
) -> ApiResult<Response> {
    let exports = Arc::clone(&state.limits.exports);
    let permit = exports.try_acquire_owned().map_err(|_| ApiError::Busy("exports"))?;
    let (record, conditions) = tokio::try_join!(state.store.sweep_get(id), state.store.sweep_conditions(id))?;
    let trials = all_trials(&state, id).await?;
    if query.format == ExportFormat::Json {
        let now = state.clock.now();
        let amendments = state.store.sweep_amendments(id).await?;
        let detail = convert::sweep_detail(&record, conditions.clone(), amendments, now);
        let conditions = conditions.into_iter().map(|(condition, _)| condition).collect();
        let material = Material { sweep: record, conditions, trials };
        let response =
            super::statistics::compute(
                move || Ok(Json(export::document(&material, detail)?).into_response()),
            );
        return Ok(attached(response.await?, id, query));
    }
    let conditions = conditions.into_iter().map(|(condition, _)| condition).collect();
    let material = Material { sweep: record, conditions, trials };
    let body = table(state, material, query, permit);
    let response = ([(header::CONTENT_TYPE, query.format.media_type())], body).into_response();
    Ok(attached(response, id, query))
}

/// With the name that a browser saves it under.
fn attached(mut response: Response, id: SweepId, query: ExportQuery) -> Response {
    let what = if query.shape == ExportShape::Long { "points" } else { "sweep" };
    let name = format!("attachment; filename=\"{what}-{id}.{}\"", query.format.extension());
    if let Ok(disposition) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    response
}

fn table(state: ServerState, material: Material, query: ExportQuery, permit: impl Send + 'static) -> Body {
    let runtime = tokio::runtime::Handle::current();
    export::stream(permit, move |chunks| match query.shape {
        ExportShape::Wide => {
            let wide = Wide::new(&material);
            write(chunks, &material, &wide.fields(), query, |table| export::write_wide(&wide, table))
        }
        ExportShape::Long => write(chunks, &material, &Long::fields(), query, |table| {
            let points = |trial: &motif_store::records::TrialRecord| {
                runtime.block_on(state.store.trial_points(trial.id)).map(|(_, points)| points)
            };
            export::write_long(&material.trials, points, table)
        }),
    })
}

/// A table of either format; `dyn` because the two are different types.
fn write(
    chunks: Chunks,
    material: &Material,
    fields: &[Field],
    query: ExportQuery,
    rows: impl FnOnce(Box<dyn Table>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    if query.format == ExportFormat::Parquet {
        let facts = [
            ("motif.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("motif.sweep", material.sweep.id.to_string()),
            ("motif.name", material.sweep.name.clone()),
        ];
        return rows(Box::new(ParquetTable::new(chunks, fields, &facts)?));
    }
    // A wide CSV leaves a place empty; a long one has a row for each value that was logged, finite or not.
    let not_finite = if query.shape == ExportShape::Long { "NaN" } else { "" };
    rows(Box::new(CsvTable::new(chunks, fields, not_finite)?))
}
