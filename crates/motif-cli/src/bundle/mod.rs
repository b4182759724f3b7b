//! A sweep as a folder that outlives its server: page, figures, data, methods, the spec to run it again, and what each
//! trial came to. It is put together here, from the API alone.

mod citation;
mod figure;
mod folder;
mod gather;
pub(crate) mod hashes;
pub(crate) mod manifest;
pub(crate) mod material;
mod methods;
mod page;
mod readme;
mod spec;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::{fs, path::Path};

use anyhow::Context as _;
use jiff::Timestamp;
use motif_client::Client;
use serde::Serialize;
use uuid::Uuid;

use folder::Folder;
use manifest::{DatasetEntry, Facts};
use material::Material;

/// The spec's file, which `motif rerun` submits.
pub(crate) const SPEC_FILE: &str = "sweep.json";
/// The results' file.
pub(crate) const HASHES_FILE: &str = "hashes.csv";

/// Files that the server writes: their place, format and shape.
const TABLES: [(&str, &str, &str); 3] = [
    ("data/trials.csv", "csv", "wide"),
    ("data/trials.parquet", "parquet", "wide"),
    ("data/points.parquet", "parquet", "long"),
];

/// What was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) finished: bool,
    pub(crate) results_hash: String,
}

/// Writes the bundle of a sweep.
///
/// # Errors
/// When the place is taken, the server does not answer, or the disk is full; then nothing is left.
pub(crate) async fn export(
    client: &Client,
    id: Uuid,
    place: &Path,
    now: Timestamp,
) -> anyhow::Result<Written> {
    let mut folder = Folder::begin(place)?;
    let material = gather::gather(client, id, now).await?;
    for (name, format, shape) in TABLES {
        let path = folder.path(name)?;
        let mut file = fs::File::create(&path).with_context(|| format!("cannot write {name}"))?;
        client.sweep_export_to(id, format, Some(shape), &mut file).await?;
        folder.adopt(name)?;
    }
    let template = motif_server::bundle_page();
    write(folder, &material, template.as_deref())
}

/// Everything but the server's own tables.
fn write(mut folder: Folder, material: &Material, template: Option<&str>) -> anyhow::Result<Written> {
    for (name, content) in &material.documents {
        folder.add(&format!("data/{name}.json"), serde_json::to_vec_pretty(content)?)?;
    }
    let baseline = material.sweep.baseline;
    let figures = figure::all(&material.summary, &material.curves, &material.ledger, baseline)?;
    for figure in &figures {
        folder.add(&format!("figures/{}.svg", figure.name), &figure.svg)?;
        folder.add(&format!("figures/{}.csv", figure.name), &figure.csv)?;
    }
    let made = hashes::made(&material.sweep, &material.trials);
    let results_hash = hashes::overall(&made);
    folder.add(HASHES_FILE, hashes::write(&made)?)?;
    folder.add(SPEC_FILE, serde_json::to_vec_pretty(&material.sweep.spec)?)?;
    folder.add("sweep.toml", spec::toml(material)?)?;
    folder.add("CITATION.cff", citation::cff(material, &results_hash))?;
    let methods = methods::blocks(material);
    let title = format!("Methods and results: {}", material.sweep.row.name);
    let methods_text = methods::markdown(&title, &methods);
    folder.add("METHODS.md", &methods_text)?;
    let page = {
        let files = folder.files().iter().map(|(path, entry)| (path.as_str(), entry)).collect();
        let made = page::Made {
            figures: &figures,
            methods: &methods,
            methods_text: &methods_text,
            results_hash: &results_hash,
            files,
        };
        page::html(template, material, &made)?
    };
    folder.add("index.html", page)?;
    let readme = readme::text(material, folder.files().keys().map(String::as_str));
    folder.add("README.md", readme)?;
    let datasets = material.datasets.iter();
    let datasets = datasets.map(|one| DatasetEntry { name: one.name.clone(), hash: one.hash.clone() });
    let facts = Facts {
        sweep_id: material.sweep.row.id,
        name: material.sweep.row.name.clone(),
        made_at: material.made_at,
        finished: material.is_finished(),
        results_hash: results_hash.clone(),
        datasets: datasets.collect(),
    };
    let files = folder.files().len() + 1;
    let bytes = folder.finish(facts)?;
    Ok(Written { files, bytes, finished: material.is_finished(), results_hash })
}
