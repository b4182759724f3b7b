//! `motif sweep anova`, `importance`: which swept keys matter.

use motif_client::{Client, StatisticsQuery};
use motif_wire::statistics;
use uuid::Uuid;

use crate::{
    args::{DivergedPolicy, Global, IntervalMethod, StatisticsOf},
    commands::Outcome,
    output::{self, effects},
};

/// What is asked of the server.
pub(crate) fn query(of: &StatisticsOf, interval: Option<IntervalMethod>) -> StatisticsQuery {
    StatisticsQuery {
        metric: of.metric.clone(),
        diverged: of.diverged.map(|policy| match policy {
            DivergedPolicy::Exclude => statistics::DivergedPolicy::Exclude,
            DivergedPolicy::Worst => statistics::DivergedPolicy::Worst,
        }),
        interval: interval.map(|method| match method {
            IntervalMethod::StudentT => "student_t".to_owned(),
            IntervalMethod::Bca => "bca".to_owned(),
        }),
        ..StatisticsQuery::default()
    }
}

pub(crate) async fn anova(
    global: &Global,
    client: &Client,
    id: Uuid,
    of: &StatisticsOf,
) -> anyhow::Result<Outcome> {
    let anova = client.sweep_anova(id, &query(of, None)).await?;
    output::emit(global.json, &anova, || effects::anova(&anova))?;
    Ok(said(anova.refused.as_ref()))
}

pub(crate) async fn importance(
    global: &Global,
    client: &Client,
    id: Uuid,
    of: &StatisticsOf,
) -> anyhow::Result<Outcome> {
    let importance = client.sweep_importance(id, &query(of, None)).await?;
    output::emit(global.json, &importance, || effects::importance(&importance))?;
    Ok(said(importance.refused.as_ref()))
}

/// A refusal is no answer to what was asked.
fn said(refused: Option<&String>) -> Outcome {
    if refused.is_some() { Outcome::Failed } else { Outcome::Done }
}
