//! SIGINT and SIGTERM as one cancellation token.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled at the first SIGINT or SIGTERM. A second SIGINT ends the process at once.
pub(crate) fn shutdown() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
        interrupt.recv().await;
        std::process::exit(130);
    });
    Ok(token)
}
