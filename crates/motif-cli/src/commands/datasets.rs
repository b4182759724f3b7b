//! `motif dataset`: what can be trained on.

use std::path::Path;

use motif_client::ClientError;
use motif_data::{Dataset, DatasetEntry, Library};
use motif_wire::system::DatasetRow;

use crate::{
    args::{Dataset as Command, Global},
    commands::{Outcome, fetch},
    input::WrongInput,
    output::{self, tables},
};

pub(crate) async fn run(global: &Global, command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List => list(global).await,
        Command::Import { name, path, replace } => import(global, name, path, *replace).await,
        Command::Fetch { name, mirror, replace } => {
            fetch::run(global, name, mirror.as_deref(), *replace).await
        }
        Command::Verify { name } => {
            let summary = Library::open(global.data_dir()?)?.verify(name)?;
            output::emit(global.json, &summary, || {
                format!("{name} is what its hash says: {}", summary.hash)
            })?;
            Ok(Outcome::Done)
        }
    }
}

async fn list(global: &Global) -> anyhow::Result<Outcome> {
    let rows = match global.client() {
        Ok(client) => match client.dataset_list().await {
            Err(ClientError::Unreachable { .. }) if global.server.is_none() => local(global)?,
            other => other?,
        },
        Err(_) if global.server.is_none() => local(global)?,
        Err(error) => return Err(error),
    };
    output::emit(global.json, &rows, || {
        let mut table = tables::table(
            &["dataset", "training", "test", "shape", "classes", "size", "content hash"],
            &[1, 2, 4, 5],
        );
        for row in &rows {
            table.add_row(vec![
                row.name.clone(),
                row.train_examples.to_string(),
                row.test_examples.to_string(),
                format!("{}×{}×{}", row.height, row.width, row.channels),
                row.classes.to_string(),
                if row.built_in {
                    "built in".to_owned()
                } else {
                    format!("{:.1} MB", row.size_bytes as f64 / 1e6)
                },
                row.hash.chars().take(16).collect(),
            ]);
        }
        table.to_string()
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn local(global: &Global) -> anyhow::Result<Vec<DatasetRow>> {
    Ok(Library::open(global.data_dir()?)?.list()?.iter().map(row).collect())
}

pub(crate) fn row(entry: &DatasetEntry) -> DatasetRow {
    let summary = &entry.summary;
    DatasetRow {
        name: entry.name.clone(),
        hash: summary.hash.clone(),
        height: summary.height as u32,
        width: summary.width as u32,
        channels: summary.channels as u32,
        classes: u32::from(summary.classes),
        train_examples: summary.train_examples as u64,
        test_examples: summary.test_examples as u64,
        size_bytes: summary.bytes,
        built_in: entry.builtin,
    }
}

/// Reads and checks the files here, then puts them where they are wanted.
async fn import(global: &Global, name: &str, path: &Path, replace: bool) -> anyhow::Result<Outcome> {
    let dataset: Dataset = motif_data::import(path).map_err(|e| WrongInput(chain(&e)))?;
    store(global, name, &dataset, replace).await
}

/// Puts a dataset on the named server, or into the library when none is named.
pub(crate) async fn store(
    global: &Global,
    name: &str,
    dataset: &Dataset,
    replace: bool,
) -> anyhow::Result<Outcome> {
    let row = if global.server.is_some() {
        global.client()?.dataset_put(name, dataset.to_bytes(), replace).await?
    } else {
        row(&Library::open(global.data_dir()?)?.put(name, dataset, replace)?)
    };
    show(global, &row)
}

/// Prints what a dataset is.
pub(crate) fn show(global: &Global, row: &DatasetRow) -> anyhow::Result<Outcome> {
    output::emit(global.json, row, || {
        format!(
            "{}: {} training and {} test examples of {}×{}×{} in {} classes\ncontent hash {}",
            row.name,
            row.train_examples,
            row.test_examples,
            row.height,
            row.width,
            row.channels,
            row.classes,
            row.hash
        )
    })?;
    Ok(Outcome::Done)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
