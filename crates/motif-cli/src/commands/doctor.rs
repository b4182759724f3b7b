//! `motif doctor`: what works here and what does not.

use std::path::Path;

use motif_client::RetryPolicy;
use motif_data::Library;
use serde::Serialize;

use crate::{
    args::{Doctor, Global},
    commands::Outcome,
    context,
    output::{self, tables},
};

/// One thing looked at.
#[derive(Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
}

impl Check {
    fn of<T: ToString>(what: &'static str, found: anyhow::Result<T>) -> Self {
        match found {
            Ok(found) => Self { what, ok: true, found: found.to_string() },
            Err(error) => Self { what, ok: false, found: format!("{error:#}") },
        }
    }
}

pub(crate) async fn run(global: &Global, args: &Doctor) -> anyhow::Result<Outcome> {
    if let Some(server) = &args.probe {
        let health = context::client(server, None)?.with_retry(RetryPolicy::NONE).health().await?;
        output::emit(global.json, &health, || health.status.clone())?;
        return Ok(if health.status == "ok" { Outcome::Done } else { Outcome::Failed });
    }
    let mut checks = vec![
        Check::of("version", Ok(env!("CARGO_PKG_VERSION"))),
        Check::of("instruction set", Ok(motif_net::instruction_set())),
        Check::of("cores", std::thread::available_parallelism().map_err(Into::into)),
        Check::of("data directory", global.data_dir().and_then(|dir| writable(&dir))),
        Check::of("datasets", global.data_dir().and_then(|dir| Ok(Library::open(dir)?.names()?.join(", ")))),
    ];
    checks.extend(server_checks(global).await);
    let ok = checks.iter().all(|check| check.ok);
    output::emit(global.json, &checks, || {
        let mut table = tables::table(&["", "", "found"], &[]);
        for check in &checks {
            table.add_row(vec![if check.ok { "ok" } else { "NO" }, check.what, &check.found]);
        }
        table.to_string()
    })?;
    Ok(if ok { Outcome::Done } else { Outcome::Failed })
}

fn writable(dir: &Path) -> anyhow::Result<String> {
    tempfile::tempfile_in(dir)?;
    Ok(dir.display().to_string())
}

async fn server_checks(global: &Global) -> Vec<Check> {
    let (server, token) = match global.endpoint() {
        Ok(endpoint) => endpoint,
        Err(error) => return vec![Check::of::<String>("server", Err(error))],
    };
    let health = async {
        let health = context::client(&server, None)?.with_retry(RetryPolicy::NONE).health().await?;
        anyhow::ensure!(health.status == "ok", "{server}: {}", health.reason.unwrap_or(health.status));
        Ok(format!("{server}, version {}", health.version))
    };
    let mut checks = vec![Check::of("server", health.await)];
    if checks[0].ok {
        let token = async {
            anyhow::ensure!(token.is_some(), "no token: set MOTIF_TOKEN");
            let workers = context::client(&server, token)?.worker_list().await?;
            Ok(format!("accepted; {} workers alive", workers.iter().filter(|w| w.alive).count()))
        };
        checks.push(Check::of("token", token.await));
    }
    checks
}
