//! `motif up`: a server and its workers on one machine, with nothing to type.

mod children;

use std::io::Write as _;

use motif_wire::system::Scope;
use serde_json::json;

use crate::{
    args::{Global, Up},
    commands::{Outcome, serve::Prepared},
    context::{ClientFile, LocalTokens},
    signals, system,
};
use children::Children;

pub(crate) async fn run(global: &Global, args: &Up) -> anyhow::Result<Outcome> {
    let shutdown = signals::shutdown()?;
    let data = global.data_dir()?;
    let most_bytes = args.max_trial_memory.map_or_else(system::trial_memory_max_bytes, |size| size.as_u64());
    let mut server = Prepared::new(&data, &args.listen, most_bytes).await?;
    let url = server.url();
    let tokens = LocalTokens::of(&data)?;
    server.accept(&tokens.worker, "local worker", &[Scope::Worker]);
    server.accept(&tokens.dashboard, "local dashboard", &[Scope::Submit]);
    server.accept(&tokens.command, "local command", &[Scope::Admin]);
    let dashboard = format!("{url}/#token={}", tokens.dashboard);
    // Other users of this machine must not read the tokens: on loopback the data directory's owner is who we serve.
    let hand_over = server.address.ip().is_loopback();
    let printed_admin = server.admin_token.take();

    // Serving ends after the workers have drained, so that they can give their trials back.
    let serving_ends = tokio_util::sync::CancellationToken::new();
    let mut serving = tokio::spawn(server.serve(serving_ends.clone()));
    if hand_over {
        let file = ClientFile {
            server: url.clone(),
            token: tokens.command,
            dashboard: dashboard.clone(),
            pid: std::process::id(),
        };
        file.write(&data)?;
    }
    announce(global, &url, &dashboard, printed_admin.as_deref())?;

    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = args.workers.map_or(cores, usize::from);
    let children = Children::start(count, &url, &tokens.worker, &data, &args.has)?;
    let served = tokio::select! {
        () = shutdown.cancelled() => None,
        served = &mut serving => Some(served),
    };
    eprintln!("stopping: workers give their trials back");
    children.stop().await;
    ClientFile::remove(&data);
    serving_ends.cancel();
    match served {
        Some(served) => served??,
        None => serving.await??,
    }
    Ok(Outcome::Done)
}

fn announce(global: &Global, url: &str, dashboard: &str, admin: Option<&str>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if global.json {
        writeln!(out, "{}", json!({ "server": url, "dashboard": dashboard, "admin_token": admin }))?;
    } else {
        if let Some(token) = admin {
            writeln!(out, "admin token (shown this once): {token}")?;
        }
        writeln!(out, "server:    {url}")?;
        writeln!(out, "dashboard: {dashboard}")?;
        writeln!(out, "submit:    motif preset submit demo --wait      stop: Ctrl-C")?;
    }
    Ok(out.flush()?)
}
