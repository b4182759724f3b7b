//! The accept loop, with limits against slow clients and an end within [`limits::SHUTDOWN_MAX_S`].

use std::{io, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    folders, limits, options::ServerOptions, reaper, router::router, state::ServerState, until, work,
};

/// Pause after a failed accept, in milliseconds: most often the process is out of descriptors.
const ACCEPT_RETRY_MS: u64 = 100;

/// Serves until `shutdown` is cancelled, then ends within [`limits::SHUTDOWN_MAX_S`]: no new connection is accepted,
/// waiting claims and event streams end, requests under way and writes are finished.
///
/// # Errors
/// When the listener has no address, which means that it is not a listener any more, and when a background task
/// panicked; the server has then ended.
pub async fn serve(
    listener: TcpListener,
    options: ServerOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let state = ServerState::new(&options, shutdown.clone());
    let mut background = JoinSet::new();
    background.spawn(folders::run(state.clone(), options.sweep_folders_every));
    background.spawn(reaper::run(state.clone(), options.reap_every, options.reap_grace));
    background.spawn(until::run(state.clone(), options.reap_every));
    background.spawn(work::run(state.clone()));
    background.spawn(state.events.clone().announce_counts(state.store.clone(), shutdown.clone()));
    tracing::info!(%address, "serving");

    let service = router(state.clone());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(options.header_read_timeout);
    let room = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut failed = None;
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            Some(ended) = background.join_next() => {
                // Without its reaper a server would hold dead workers' trials for ever: it ends instead of limping.
                failed = ended.err();
                shutdown.cancel();
                break;
            }
            accepted = accept(&listener, &room) => accepted,
        };
        if let Some((stream, permit)) = accepted {
            connections.spawn(connection(stream, service.clone(), http.clone(), shutdown.clone(), permit));
        }
    }
    drop(listener);
    finish(state, connections, background).await;
    tracing::info!("ended");
    failed.map_or(Ok(()), |error| Err(io::Error::other(error)))
}

async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a connection was not accepted");
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    service: Router,
    http: http1::Builder,
    shutdown: CancellationToken,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay was not set");
    }
    let service = service.map_request(|request: Request<Incoming>| request.map(Body::new));
    let serving = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let served = tokio::select! {
        served = &mut serving => served,
        () = shutdown.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection broke");
    }
}

/// Waits for connections, background tasks and writes, but not for ever.
async fn finish(state: ServerState, mut connections: JoinSet<()>, mut background: JoinSet<()>) {
    state.writes.close();
    let all = async {
        while connections.join_next().await.is_some() {}
        while background.join_next().await.is_some() {}
        state.writes.wait().await;
    };
    let limit = Duration::from_secs(limits::SHUTDOWN_MAX_S);
    if tokio::time::timeout(limit, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "some requests were cut off at the end");
    }
}
