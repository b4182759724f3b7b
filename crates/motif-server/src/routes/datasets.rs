//! Datasets: rows, canonical bytes, upload.

use std::{io, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use motif_data::DatasetEntry;
use motif_wire::system::DatasetRow;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use utoipa::{
    IntoParams,
    openapi::{KnownFormat, ObjectBuilder, RefOr, Schema, SchemaFormat, Type},
};

use super::{BadParameter, Contradiction, NoSuch, TooLarge};
use crate::{
    auth::Principal,
    convert,
    error::{ApiError, ApiResult},
    extract::{FromQuery, Name, Parameters, Params, nearest, shown},
    limits,
    state::ServerState,
};

/// List datasets by name
#[utoipa::path(
    get, path = "/api/v1/datasets", tag = "datasets",
    responses((status = 200, description = "The datasets.", body = [DatasetRow]))
)]
pub(crate) async fn dataset_list(
    State(state): State<ServerState>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Vec<DatasetRow>>> {
    let entries = state.library(motif_data::Library::list).await?;
    Ok(Json(entries.into_iter().map(convert::dataset_row).collect()))
}

/// Show a dataset by name or by hash
#[utoipa::path(
    get, path = "/api/v1/datasets/{name}", tag = "datasets",
    params(("name" = String, Path, description = "The dataset's name, or the hash of its content.")),
    responses((status = 200, description = "The dataset.", body = DatasetRow), NoSuch)
)]
pub(crate) async fn dataset_get(
    State(state): State<ServerState>,
    Name(name): Name,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<DatasetRow>> {
    let asked = name.clone();
    let (entry, known) = state
        .library(move |library| {
            if let Some(entry) = library.resolve(&asked)? {
                return Ok((Some(entry), Vec::new()));
            }
            let by_hash = library.list()?.into_iter().find(|entry: &DatasetEntry| entry.hash == asked);
            Ok((by_hash, library.names()?))
        })
        .await?;
    let Some(entry) = entry else {
        let near = nearest(&name, known.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        return Err(ApiError::NotFound(format!("there is no dataset {:?}{hint}", shown(&name))));
    };
    Ok(Json(convert::dataset_row(entry)))
}

/// What a dataset is made of, as the documentation shows it.
pub(super) struct CanonicalBytes;

impl utoipa::PartialSchema for CanonicalBytes {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl utoipa::ToSchema for CanonicalBytes {}

/// Download a dataset's canonical bytes by hash
///
/// The receiver checks them against the hash.
#[utoipa::path(
    get, path = "/api/v1/datasets/{hash}/content", tag = "datasets",
    params(("hash" = String, Path, description = "Hex BLAKE3 of the canonical bytes.")),
    responses((status = 200, description = "The bytes.", content_type = "application/octet-stream", body = inline(CanonicalBytes)), BadParameter, NoSuch)
)]
pub(crate) async fn dataset_content(
    State(state): State<ServerState>,
    Name(hash): Name,
    Parameters(()): Parameters<()>,
) -> ApiResult<Response> {
    let asked = hash.clone();
    let path = state.library(move |library| library.blob_path(&asked)).await?;
    let file = tokio::fs::File::open(&path).await.map_err(ApiError::DatasetFile)?;
    let length = file.metadata().await.map_err(ApiError::DatasetFile)?.len();
    let immutable = HeaderValue::from_static("private, max-age=31536000, immutable");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, immutable),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// How to store.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutQuery {
    /// Whether a name that points at other contents may be moved; `false` unless given.
    #[param(required = false)]
    replace: bool,
    /// Hex BLAKE3 that the bytes must have.
    hash: Option<String>,
}

impl FromQuery for PutQuery {
    const NAMES: &'static [&'static str] = &["replace", "hash"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let replace = params.choice("replace", &[("true", true), ("false", false)])?;
        Ok(Self { replace: replace.unwrap_or(false), hash: params.text("hash").map(str::to_owned) })
    }
}

/// Store a dataset under a name
///
/// The body is the canonical form; it is checked before anything is stored.
#[utoipa::path(
    put, path = "/api/v1/datasets/{name}", tag = "datasets",
    params(("name" = String, Path, description = "The dataset's name."), PutQuery),
    request_body(content = inline(CanonicalBytes), content_type = "application/octet-stream", description = "The canonical bytes."),
    responses((status = 200, description = "The dataset.", body = DatasetRow), BadParameter, Contradiction, TooLarge)
)]
pub(crate) async fn dataset_put(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Name(name): Name,
    Parameters(query): Parameters<PutQuery>,
    request: Request,
) -> ApiResult<(StatusCode, Json<DatasetRow>)> {
    let permit = state.limits.uploads.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::Busy("uploads"))?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if length.and_then(|text| text.parse::<u64>().ok()).is_some_and(|n| n > limits::DATASET_BODY_MAX_BYTES) {
        return Err(ApiError::TooLarge { max_bytes: limits::DATASET_BODY_MAX_BYTES });
    }
    let received = receive(request.into_body()).await?;
    let task_state = state.clone();
    let stored = name.clone();
    let write = async move {
        let _held = permit;
        let call = move |library: &motif_data::Library| store(library, &received, &stored, &query);
        tokio::task::spawn_blocking({
            let library = task_state.library.clone();
            move || call(&library)
        })
        .await
        .map_err(|error| ApiError::Panicked(error.to_string()))?
    };
    let entry = state.write(write).await?;
    tracing::info!(%principal, dataset = %name, hash = %entry.hash, "dataset stored");
    Ok((StatusCode::OK, Json(convert::dataset_row(entry))))
}

/// Receives a body into a temporary file, so that slow clients hold no memory.
async fn receive(body: Body) -> ApiResult<tempfile::NamedTempFile> {
    let create = tokio::task::spawn_blocking(tempfile::NamedTempFile::new).await;
    let temp =
        create.map_err(|error| ApiError::Panicked(error.to_string()))?.map_err(ApiError::DatasetFile)?;
    let mut file = tokio::fs::File::from_std(temp.reopen().map_err(ApiError::DatasetFile)?);
    let mut stream = body.into_data_stream();
    let mut received = 0;
    let patience = Duration::from_secs(limits::DATASET_CHUNK_TIMEOUT_S);
    loop {
        let next = tokio::time::timeout(patience, stream.next()).await;
        let Some(chunk) = next.map_err(|_| ApiError::Slow)? else { break };
        let chunk = chunk.map_err(|_| {
            ApiError::DatasetFile(io::Error::new(io::ErrorKind::UnexpectedEof, "the client went away"))
        })?;
        received += chunk.len() as u64;
        if received > limits::DATASET_BODY_MAX_BYTES {
            return Err(ApiError::TooLarge { max_bytes: limits::DATASET_BODY_MAX_BYTES });
        }
        file.write_all(&chunk).await.map_err(ApiError::DatasetFile)?;
    }
    file.flush().await.map_err(ApiError::DatasetFile)?;
    Ok(temp)
}

fn store(
    library: &motif_data::Library,
    received: &tempfile::NamedTempFile,
    name: &str,
    query: &PutQuery,
) -> ApiResult<DatasetEntry> {
    let bytes = std::fs::read(received.path()).map_err(ApiError::DatasetFile)?;
    if let Some(expected) = &query.hash {
        let found = blake3::hash(&bytes).to_hex();
        if found.as_str() != expected {
            let message =
                format!("the body's hash is {found}: it was changed on its way, or is not what was meant");
            return Err(ApiError::parameter("hash", message, &shown(expected)));
        }
    }
    library.put_bytes(Some(name), &bytes, query.replace)?;
    let entry = library.resolve(name)?;
    entry.ok_or_else(|| ApiError::Stored(format!("the dataset {name:?} is gone after it was stored")))
}
