//! Writes the API's description where the dashboard and its types read it.

use std::process::Stdio;

use anyhow::{Context as _, ensure};

use crate::{
    process::{self, Stop},
    tools, web, workspace,
};

pub(crate) async fn run(stop: &mut Stop) -> anyhow::Result<bool> {
    tools::require_node()?;
    let mut print = process::cargo(&workspace::root());
    print.args(["run", "--quiet", "--package", "motif-server", "--example", "openapi"]);
    print.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let output = tokio::select! {
        output = print.output() => output.context("cargo does not start")?,
        () = stop.wanted() => return Ok(false),
    };
    ensure!(output.status.success(), "{} ended with {}", process::shown(&print), output.status);
    let path = web::folder().join("openapi.json");
    std::fs::write(&path, &output.stdout).with_context(|| format!("cannot write {}", path.display()))?;
    web::install(stop).await?;
    web::script("types", stop).await?;
    eprintln!("wrote {} and the dashboard's types", path.display());
    Ok(true)
}
