//! `--dry-run`: asks the server, when there is one, and the clock; [`crate::preview`] does the rest.

use std::time::Duration;

use motif_client::{Client, ClientError, RetryPolicy};
use motif_data::Library;
use motif_sweep::spec::{SpecErrors, SweepSpec};

use crate::{
    args::Global,
    commands::{Outcome, datasets},
    output,
    preview::{self, Place, measure},
    system::SystemClock,
};

/// Longest wait for a server that may not be there.
const SERVER_TIMEOUT: Duration = Duration::from_secs(5);

/// Shows what the sweep would be; fails when it would be refused. `locate` finds errors in the text.
pub(crate) async fn run(
    global: &Global,
    spec: SweepSpec,
    locate: &dyn Fn(SpecErrors) -> SpecErrors,
) -> anyhow::Result<Outcome> {
    let place = place(global).await?;
    // Without a library the same is measured on noise.
    let library = global.data_dir().ok().and_then(|dir| Library::open(dir).ok());
    // Planning and measuring keep a core busy: not on an async thread.
    let mut preview = tokio::task::spawn_blocking(move || {
        let plan = spec.plan()?;
        let measured = measure::measure(&plan, &place, library.as_ref(), &SystemClock::new());
        Ok::<_, SpecErrors>(preview::preview(&spec, &plan, &place, measured))
    })
    .await??;
    preview.problems = locate(SpecErrors(preview.problems)).0;
    output::emit(global.json, &preview, || preview.text())?;
    Ok(if preview.problems.is_empty() { Outcome::Done } else { Outcome::Failed })
}

/// The server when one answers, else this machine's library. A server that was named must answer, unless nobody has a
/// token for it: what needs none is shown all the same.
async fn place(global: &Global) -> anyhow::Result<Place> {
    let (server, token) = global.endpoint()?;
    let why_not = if token.is_none() {
        format!("there is no token for {server}: set MOTIF_TOKEN or pass --token")
    } else {
        match ask(&global.client()?).await {
            Err(error @ ClientError::Unreachable { .. }) if global.server.is_none() => error.to_string(),
            place => return Ok(place?),
        }
    };
    Ok(Place { datasets: datasets::local(global)?, server: None, why_not: Some(why_not) })
}

async fn ask(client: &Client) -> Result<Place, ClientError> {
    let client = client.with_retry(RetryPolicy::NONE).with_request_timeout(SERVER_TIMEOUT);
    let datasets = client.dataset_list().await?;
    let workers = client.worker_list().await?;
    let slots = workers.iter().filter(|worker| worker.alive).map(|worker| worker.slots).sum();
    Ok(Place { datasets, server: Some((client.server().to_owned(), slots)), why_not: None })
}
