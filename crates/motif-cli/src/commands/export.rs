//! `motif export`: a sweep as a file, or as a folder that needs no server.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::Context as _;
use motif_client::Client;
use motif_sweep::clock::Clock as _;
use serde_json::json;
use uuid::Uuid;

use crate::{
    args::{Export, ExportFormat, ExportShape, Global},
    bundle,
    commands::{Outcome, sweeps::resolve},
    input::WrongInput,
    output,
    system::SystemClock,
};

pub(crate) async fn run(global: &Global, args: &Export) -> anyhow::Result<Outcome> {
    let shape = match (args.format, args.shape) {
        (ExportFormat::Json | ExportFormat::Bundle, Some(_)) => {
            let message = "--shape belongs to --format csv and --format parquet";
            return Err(WrongInput(message.to_owned()).into());
        }
        (_, shape) => shape.map(ExportShape::name),
    };
    let client = global.client()?;
    let id = resolve(&client, &args.sweep.id).await?;
    if args.format == ExportFormat::Bundle {
        return bundle(global, &client, id, &args.out).await;
    }
    let format = args.format.name();
    if args.out.as_os_str() == "-" {
        client.sweep_export_to(id, format, shape, &mut io::stdout()).await?;
        io::stdout().flush()?;
        return Ok(Outcome::Done);
    }
    let bytes = file(&client, id, format, shape, &args.out).await?;
    let document = json!({ "path": args.out, "bytes": bytes, "format": format });
    output::emit(global.json, &document, || format!("wrote {} ({bytes} bytes)", args.out.display()))?;
    Ok(Outcome::Done)
}

/// Writes beside the place first, so that a failure leaves what was there.
async fn file(
    client: &Client,
    id: Uuid,
    format: &str,
    shape: Option<&str>,
    out: &Path,
) -> anyhow::Result<u64> {
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = || format!("cannot write {}", out.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(name)?;
    client.sweep_export_to(id, format, shape, file.as_file_mut()).await?;
    let bytes = file.as_file().metadata().with_context(name)?.len();
    file.persist(out).with_context(name)?;
    Ok(bytes)
}

async fn bundle(global: &Global, client: &Client, id: Uuid, out: &Path) -> anyhow::Result<Outcome> {
    if out.as_os_str() == "-" {
        return Err(WrongInput("--out -: a bundle is a folder, name one".to_owned()).into());
    }
    let written = bundle::export(client, id, out, SystemClock::new().now()).await?;
    let document = json!({ "path": out, "format": "bundle", "bundle": written });
    output::emit(global.json, &document, || {
        let unfinished =
            if written.finished { "" } else { "\nthe sweep is unfinished, and every page says so" };
        format!(
            "wrote {} ({} files, {} bytes); open {}\nresults {}{unfinished}",
            out.display(),
            written.files,
            written.bytes,
            out.join("index.html").display(),
            written.results_hash
        )
    })?;
    Ok(Outcome::Done)
}
