//! `motif worker`: pulls trials and trains them until told to stop.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use motif_sweep::requires::{Abilities, LABELS_MAX, Size};
use motif_worker::WorkerOptions;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Global, Has, Worker},
    commands::Outcome,
    context,
    input::WrongInput,
    output, signals,
    system::{self, SystemClock, SystemEntropy},
};

/// How long a token file may take to appear: the server that writes it may be starting.
const TOKEN_FILE_WAIT: Duration = Duration::from_secs(60);
const TOKEN_FILE_LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(global: &Global, args: &Worker) -> anyhow::Result<Outcome> {
    let shutdown = signals::shutdown()?;
    if args.until_stdin_closes {
        drain_when_stdin_closes(shutdown.clone());
    }
    let (server, mut token) = global.endpoint()?;
    if let Some(path) = &args.token_file {
        token = Some(token_from(path, &shutdown).await?);
    }
    if token.is_none() {
        bail!("no token for {server}: set MOTIF_TOKEN, or pass --token or --token-file (scope `worker`)");
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let summary = motif_worker::run(
        WorkerOptions {
            client: context::client(&server, token)?,
            name: args.name.clone().unwrap_or_else(default_name),
            slots: args.slots.map_or(cores, usize::from).max(1),
            abilities: abilities(&args.has)?,
            data_dir: global.data_dir()?,
            checkpoint_every: Duration::from_secs(args.checkpoint_every_s),
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        },
        shutdown,
    )
    .await?;
    if global.json {
        output::emit(true, &summary, String::new)?;
    }
    Ok(Outcome::Done)
}

/// What this worker has to say of itself.
fn abilities(has: &Has) -> anyhow::Result<Abilities> {
    let labels: BTreeSet<String> = has.labels.iter().cloned().collect();
    if labels.len() > LABELS_MAX {
        return Err(
            WrongInput(format!("--label: {} labels, expected at most {LABELS_MAX}", labels.len())).into()
        );
    }
    let memory_bytes = has.memory.map(Size::bytes).or_else(system::memory_bytes);
    Ok(Abilities { labels, memory_bytes })
}

/// Host name and process id.
fn default_name() -> String {
    format!("{}-{}", motif_worker::host_name(), std::process::id())
}

async fn token_from(path: &Path, shutdown: &CancellationToken) -> anyhow::Result<String> {
    let mut waited = Duration::ZERO;
    loop {
        match tokio::fs::read_to_string(path).await {
            Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
            Err(error) if waited >= TOKEN_FILE_WAIT => {
                return Err(error).with_context(|| format!("cannot read the token file {}", path.display()));
            }
            Ok(_) if waited >= TOKEN_FILE_WAIT => bail!("the token file {} is empty", path.display()),
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(TOKEN_FILE_LOOK) => waited += TOKEN_FILE_LOOK,
            () = shutdown.cancelled() => bail!("stopped while waiting for {}", path.display()),
        }
    }
}

fn drain_when_stdin_closes(shutdown: CancellationToken) {
    // A thread of its own: a blocked read of stdin cannot be cancelled, and must not hold the runtime back.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        shutdown.cancel();
    });
}
