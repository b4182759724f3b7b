//! Live events as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use motif_wire::system::LiveEvent;
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use utoipa::IntoParams;
use uuid::Uuid;

use super::BadParameter;
use crate::{
    auth::Access,
    error::{ApiError, ApiResult},
    extract::{FromQuery, Parameters, Params},
    limits,
    state::ServerState,
};

/// Which events.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only events of this sweep.
    sweep: Option<Uuid>,
}

impl FromQuery for EventQuery {
    const NAMES: &'static [&'static str] = &["sweep"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        Ok(Self { sweep: params.parsed("sweep", "a UUID")? })
    }
}

/// Listen to live events
///
/// Server-sent events; `event:` is the kind, `data:` a `LiveEvent`. A reader that is too slow gets `lagged` and should
/// read everything again. The stream ends when its token is revoked.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events", params(EventQuery),
    responses((status = 200, description = "A stream of events.", content_type = "text/event-stream", body = String), BadParameter)
)]
pub(crate) async fn event_stream(
    State(state): State<ServerState>,
    headers: HeaderMap,
    Parameters(query): Parameters<EventQuery>,
) -> ApiResult<Response> {
    let permit = state.limits.event_streams.clone().try_acquire_owned();
    let permit = permit.map_err(|_| ApiError::Busy("event streams"))?;
    let every = Duration::from_secs(limits::EVENT_KEEP_ALIVE_S);
    let revoked = state.auth.clone().revoked(headers, Access::Read);
    let stream = events(&state, query.sweep, permit).take_until(Box::pin(revoked));
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(every)).into_response())
}

fn events(
    state: &ServerState,
    sweep: Option<Uuid>,
    permit: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Event, Infallible>> + use<> {
    let live = BroadcastStream::new(state.events.subscribe()).filter_map(move |received| {
        let event = match received {
            Ok(event) if is_of(&event, sweep) => sent(&event),
            Ok(_) => None,
            Err(BroadcastStreamRecvError::Lagged(dropped)) => sent(&LiveEvent::Lagged { dropped }),
        };
        std::future::ready(event.map(Ok))
    });
    // A comment at once: the reader knows that it is connected and can read the present state.
    let hello = stream::iter([Ok(Event::default().comment("listening"))]);
    let shutdown = state.shutdown.clone().cancelled_owned();
    // The permit is given back when the stream ends.
    hello.chain(live).take_until(shutdown).inspect(move |_| {
        let _held = &permit;
    })
}

fn is_of(event: &LiveEvent, sweep: Option<Uuid>) -> bool {
    match event {
        LiveEvent::Sweep { sweep_id, .. }
        | LiveEvent::Trial { sweep_id, .. }
        | LiveEvent::Progress { sweep_id, .. } => sweep.is_none_or(|sweep| sweep == *sweep_id),
        LiveEvent::Lagged { .. } => true,
    }
}

fn sent(event: &LiveEvent) -> Option<Event> {
    let kind = match event {
        LiveEvent::Sweep { .. } => "sweep",
        LiveEvent::Trial { .. } => "trial",
        LiveEvent::Progress { .. } => "progress",
        LiveEvent::Lagged { .. } => "lagged",
    };
    Event::default().event(kind).json_data(event).ok()
}
