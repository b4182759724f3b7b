//! Reads what a bundle is made from over the API, so that any server's sweep can be bundled.

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::Timestamp;
use motif_client::{Client, ClientError, StatisticsQuery};
use motif_wire::{
    export::ExportDocument,
    statistics::{Comparisons, Curves, Ledger, Summary},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::material::{Dataset, Material, View, datasets_of};

/// Documents that every server has.
const REQUIRED: [&str; 4] = ["summary", "comparisons", "curves", "ledger"];
/// Documents that a server may have; each becomes `data/NAME.json` and a section of the page. To add one is to name it.
const OPTIONAL: [&str; 7] =
    ["anova", "importance", "verdicts", "leaderboard", "verification", "amendments", "holes"];
/// Metrics whose figures a page can show.
const VIEWS_MAX: usize = 64;
/// Figures' data in a page.
const VIEWS_MAX_BYTES: usize = 8 << 20;

/// Everything of one sweep.
///
/// # Errors
/// What the server answers.
pub(crate) async fn gather(client: &Client, id: Uuid, made_at: Timestamp) -> anyhow::Result<Material> {
    let server_version = client.health().await?.version;
    let export = client.sweep_export(id, "json").await?;
    let ExportDocument { sweep, trials } =
        serde_json::from_slice(&export).context("the server's export is not what this version knows")?;
    let mut documents: Vec<(&'static str, Value)> = Vec::new();
    let mut refused = Vec::new();
    for name in REQUIRED {
        let document = client.sweep_document(id, name).await?;
        documents.push((name, document.with_context(|| format!("the server has no {name} of this sweep"))?));
    }
    for name in OPTIONAL {
        match client.sweep_document(id, name).await {
            Ok(Some(document)) => documents.push((name, document)),
            Ok(None) => {}
            Err(ClientError::Problem(problem)) if problem.status < 500 => {
                refused.push((name, problem.detail));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut datasets = Vec::new();
    for (name, hash) in datasets_of(&sweep.condition_rows) {
        let row = match client.dataset_get(&hash).await {
            Ok(row) => Some(row),
            Err(ClientError::Problem(problem)) if problem.status == 404 => None,
            Err(error) => return Err(error.into()),
        };
        datasets.push(Dataset { name, hash, row });
    }
    let summary: Summary = typed(&documents, "summary")?;
    let comparisons: Comparisons = typed(&documents, "comparisons")?;
    let curves: Curves = typed(&documents, "curves")?;
    let ledger: Ledger = typed(&documents, "ledger")?;
    let (views, left_out) = views(client, id, &summary, &comparisons, &curves).await?;
    Ok(Material {
        sweep,
        trials,
        summary,
        comparisons,
        curves,
        ledger,
        views,
        left_out,
        datasets,
        documents,
        refused,
        server_version,
        made_at,
    })
}

fn typed<T: DeserializeOwned>(documents: &[(&'static str, Value)], name: &str) -> anyhow::Result<T> {
    let content = documents.iter().find(|(known, _)| *known == name).map(|(_, content)| content.clone());
    serde_json::from_value(content.unwrap_or_default())
        .with_context(|| format!("the server's {name} is not what this version knows"))
}

/// Figures' data for the sweep's own metric, then for results, then for diagnostics, until a page has enough; and the
/// metrics that are left out.
async fn views(
    client: &Client,
    id: Uuid,
    summary: &Summary,
    comparisons: &Comparisons,
    curves: &Curves,
) -> anyhow::Result<(Vec<View>, Vec<String>)> {
    let own = View {
        metric: summary.metric.clone(),
        summary: Some(summary.clone()),
        comparisons: Some(comparisons.clone()),
        curves: Some(curves.clone()),
    };
    let mut bytes = serde_json::to_vec(&own)?.len();
    let mut views = vec![own];
    let mut left_out = Vec::new();
    for metric in others(summary, curves) {
        if views.len() >= VIEWS_MAX || bytes >= VIEWS_MAX_BYTES {
            left_out.push(metric);
            continue;
        }
        let query = StatisticsQuery { metric: Some(metric.clone()), ..StatisticsQuery::default() };
        let ends_with = summary.metrics.contains(&metric);
        let view = View {
            summary: if ends_with { Some(client.sweep_summary(id, &query).await?) } else { None },
            comparisons: if ends_with { Some(client.sweep_comparisons(id, &query).await?) } else { None },
            curves: if curves.metrics.contains(&metric) {
                Some(client.sweep_curves(id, &query).await?)
            } else {
                None
            },
            metric,
        };
        bytes += serde_json::to_vec(&view)?.len();
        if bytes > VIEWS_MAX_BYTES {
            left_out.push(view.metric);
        } else {
            views.push(view);
        }
    }
    Ok((views, left_out))
}

/// Metrics beside the sweep's own: results before diagnostics. The schedule's `rate` is an input that is only logged.
fn others(summary: &Summary, curves: &Curves) -> Vec<String> {
    let all: BTreeSet<&String> = summary.metrics.iter().chain(&curves.metrics).collect();
    let mut others: Vec<String> =
        all.into_iter().filter(|name| **name != summary.metric && *name != "rate").cloned().collect();
    others.sort_by_key(|name| name.contains('.'));
    others
}
