//! A sweep's statistics.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use motif_stats::Correction;
use motif_store::records::{ConditionRecord, Counts, SweepRecord, TrialRecord};
use motif_sweep::{ids::SweepId, trial};
use motif_wire::statistics::{Comparisons, Curves, DivergedPolicy, Leaderboard, Ledger, Summary};
use utoipa::IntoParams;

use super::{BadParameter, NoSuch};
use crate::{
    error::{ApiError, ApiResult, field_error},
    extract::{FromQuery, Id, Parameters, Params, nearest, shown},
    limits,
    state::ServerState,
    statistics::{self, IntervalMethod, Material},
};

pub(super) const POLICIES: [(&str, DivergedPolicy); 2] =
    [("exclude", DivergedPolicy::Exclude), ("worst", DivergedPolicy::Worst)];
const CORRECTIONS: [(&str, Correction); 2] =
    [("holm", Correction::Holm), ("benjamini_hochberg", Correction::BenjaminiHochberg)];

const INTERVALS: [(&str, IntervalMethod); 2] =
    [("student_t", IntervalMethod::StudentT), ("bca", IntervalMethod::Bca)];

/// Which metric, what happens to diverged trials, and which interval.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SummaryQuery {
    /// The metric; the sweep's own unless given.
    metric: Option<String>,
    /// `exclude` (default) leaves diverged trials out and counts them; `worst` gives them the sweep's worst value.
    #[param(required = false)]
    diverged: DivergedPolicy,
    /// `student_t` (default), or `bca`: a bias-corrected and accelerated bootstrap of 10,000 resamples with a fixed seed.
    #[param(value_type = Option<String>)]
    interval: IntervalMethod,
}

impl FromQuery for SummaryQuery {
    const NAMES: &'static [&'static str] = &["metric", "diverged", "interval"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        Ok(Self {
            metric: params.text("metric").map(str::to_owned),
            diverged: params.choice("diverged", &POLICIES)?.unwrap_or_default(),
            interval: params.choice("interval", &INTERVALS)?.unwrap_or_default(),
        })
    }
}

/// Estimate each condition's mean
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/summary", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), SummaryQuery),
    responses((status = 200, description = "One estimate per condition.", body = Summary), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_summary(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<SummaryQuery>,
) -> ApiResult<Json<Summary>> {
    let (Lean { material, metric }, metrics) = lean_and_names(&state, id, query.metric).await?;
    compute(move || {
        Ok(Json(statistics::summary(&material, &metric, metrics, query.diverged, query.interval)))
    })
    .await
}

/// Which metric, what happens to diverged trials, which correction.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ComparisonQuery {
    /// The metric; the sweep's own unless given.
    metric: Option<String>,
    /// `exclude` (default) or `worst`.
    #[param(required = false)]
    diverged: DivergedPolicy,
    /// `holm` (default) or `benjamini_hochberg`.
    #[param(value_type = Option<String>)]
    correction: Correction,
}

impl FromQuery for ComparisonQuery {
    const NAMES: &'static [&'static str] = &["metric", "diverged", "correction"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        Ok(Self {
            metric: params.text("metric").map(str::to_owned),
            diverged: params.choice("diverged", &POLICIES)?.unwrap_or_default(),
            correction: params.choice("correction", &CORRECTIONS)?.unwrap_or_default(),
        })
    }
}

/// Test each condition against the baseline
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/comparisons", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), ComparisonQuery),
    responses((status = 200, description = "One row per condition.", body = Comparisons), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_comparisons(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<ComparisonQuery>,
) -> ApiResult<Json<Comparisons>> {
    let Lean { material, metric } = lean(&state, id, query.metric).await?;
    compute(move || Ok(Json(statistics::comparisons(&material, &metric, query.diverged, query.correction))))
        .await
}

/// Which metric, and what happens to diverged trials.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CurveQuery {
    /// The metric; the sweep's own unless given.
    metric: Option<String>,
    /// `exclude` (default) leaves diverged trials out; `worst` counts what they logged, and after that the worst value
    /// that any trial of the sweep logged.
    #[param(required = false)]
    diverged: DivergedPolicy,
}

impl FromQuery for CurveQuery {
    const NAMES: &'static [&'static str] = &["metric", "diverged"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        let diverged = params.choice("diverged", &POLICIES)?.unwrap_or_default();
        Ok(Self { metric: params.text("metric").map(str::to_owned), diverged })
    }
}

/// Average a metric over training, per condition
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/curves", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), CurveQuery),
    responses((status = 200, description = "One curve per condition.", body = Curves), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_curves(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<CurveQuery>,
) -> ApiResult<Json<Curves>> {
    let store = &state.store;
    let (sweep, conditions, metrics) =
        tokio::try_join!(store.sweep_get(id), store.sweep_conditions(id), store.sweep_metric_names(id))?;
    let metric = chosen(query.metric, &sweep, &metrics)?;
    let samples = store.sweep_curve(id, &metric).await?;
    let conditions = conditions.into_iter().map(|(condition, _)| condition).collect();
    // Read after the samples: a trial that has diverged meanwhile is known to have.
    let material = Material { sweep, conditions, trials: store.trial_outcomes(id, None).await? };
    let policy = query.diverged;
    compute(move || Ok(Json(statistics::curves(&material, &metric, metrics, policy, samples)))).await
}

/// Show which trials there are, condition by seed
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/ledger", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "The ledger.", body = Ledger), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_ledger(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Ledger>> {
    let (sweep, conditions, trials) = tokio::try_join!(
        state.store.sweep_get(id),
        state.store.sweep_conditions(id),
        state.store.trial_outcomes(id, None)
    )?;
    let material = Material { sweep, conditions: records(conditions), trials };
    compute(move || Ok(Json(statistics::ledger(&material)))).await
}

/// Which metric, and how many conditions.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct LeaderboardQuery {
    /// The metric; the sweep's own unless given.
    metric: Option<String>,
    /// Conditions at the most, 1 to 500; 50 unless given.
    #[param(required = false, minimum = 1, maximum = 500)]
    limit: u32,
}

impl FromQuery for LeaderboardQuery {
    const NAMES: &'static [&'static str] = &["metric", "limit"];

    fn from_query(params: &Params) -> ApiResult<Self> {
        Ok(Self { metric: params.text("metric").map(str::to_owned), limit: params.limit()? })
    }
}

/// Rank a search's conditions
///
/// By the mean of the metric's value over all trials that were trained to the end or stopped early, the latter with what
/// they measured last. For searches: nothing here is an estimate of what the best condition would reach again.
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/leaderboard", tag = "sweeps",
    params(("id" = uuid::Uuid, Path, description = "The sweep."), LeaderboardQuery),
    responses((status = 200, description = "The best conditions.", body = Leaderboard), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_leaderboard(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(query): Parameters<LeaderboardQuery>,
) -> ApiResult<Json<Leaderboard>> {
    // Where trials were stopped stands in whole records alone.
    let material = material(&state, id).await?;
    compute(move || {
        let names = material.metric_names(Vec::new());
        let metric = chosen(query.metric, &material.sweep, &final_metrics(&material, names))?;
        Ok(Json(statistics::leaderboard(&material, &metric, query.limit as usize)))
    })
    .await
}

/// Runs arithmetic over a whole sweep off the async threads.
pub(super) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> ApiResult<T> + Send + 'static,
) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ApiError::Panicked(error.to_string()))?
}

pub(crate) async fn material(state: &ServerState, id: SweepId) -> ApiResult<Material> {
    let (sweep, conditions) = tokio::try_join!(state.store.sweep_get(id), state.store.sweep_conditions(id))?;
    Ok(Material { sweep, conditions: records(conditions), trials: all_trials(state, id).await? })
}

/// A sweep with the one metric that is asked for.
pub(super) struct Lean {
    pub(super) material: Material,
    pub(super) metric: String,
}

/// Reads just what statistics of one metric need.
pub(super) async fn lean(state: &ServerState, id: SweepId, asked: Option<String>) -> ApiResult<Lean> {
    if asked.is_some() {
        // Only what is asked for may not be there.
        let (lean, _) = lean_and_names(state, id, asked).await?;
        return Ok(lean);
    }
    let sweep = state.store.sweep_get(id).await?;
    read_lean(state, sweep, None).await
}

/// The same with the names of all metrics that could be asked for.
async fn lean_and_names(
    state: &ServerState,
    id: SweepId,
    asked: Option<String>,
) -> ApiResult<(Lean, Vec<String>)> {
    let sweep = state.store.sweep_get(id).await?;
    let names = async { Ok(state.store.sweep_final_names(id).await?) };
    let (lean, names) = tokio::try_join!(read_lean(state, sweep, asked.clone()), names)?;
    let metrics = final_metrics(&lean.material, names);
    chosen(asked, &lean.material.sweep, &metrics)?;
    Ok((lean, metrics))
}

async fn read_lean(state: &ServerState, sweep: SweepRecord, asked: Option<String>) -> ApiResult<Lean> {
    let metric = asked.unwrap_or_else(|| sweep.metric.clone());
    let (conditions, trials) = tokio::try_join!(
        state.store.sweep_conditions(sweep.id),
        state.store.trial_outcomes(sweep.id, Some(&metric))
    )?;
    Ok(Lean { material: Material { sweep, conditions: records(conditions), trials }, metric })
}

fn records(conditions: Vec<(ConditionRecord, Counts)>) -> Vec<ConditionRecord> {
    conditions.into_iter().map(|(condition, _)| condition).collect()
}

pub(super) async fn all_trials(state: &ServerState, id: SweepId) -> ApiResult<Vec<TrialRecord>> {
    let mut trials = Vec::new();
    let mut from = Some(0);
    while let Some(position) = from {
        let page = state.store.trial_list(id, None, position, limits::TRIAL_BATCH_ITEMS).await?;
        trials.extend(page.items);
        from = page.next;
    }
    Ok(trials)
}

/// Metrics that a final value may be asked of: those reported, and the ones that trials of these conditions will have.
fn final_metrics(material: &Material, reported: Vec<String>) -> Vec<String> {
    let conditions = material.conditions.iter();
    let to_come: BTreeSet<&str> =
        conditions.filter_map(|condition| trial::final_metrics(&condition.config)).flatten().collect();
    let to_come = to_come.into_iter().map(str::to_owned).chain([material.sweep.metric.clone()]);
    reported.into_iter().chain(to_come).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The metric that was asked for, when it is known; the sweep's own when none was.
fn chosen(asked: Option<String>, sweep: &SweepRecord, known: &[String]) -> ApiResult<String> {
    let Some(metric) = asked else { return Ok(sweep.metric.clone()) };
    if metric == sweep.metric || known.contains(&metric) {
        return Ok(metric);
    }
    let message = if known.is_empty() {
        "no trial of this sweep has logged anything yet".to_owned()
    } else {
        format!("no trial of this sweep has this metric: known are {}", known.join(", "))
    };
    let suggestion = nearest(&metric, known.iter().map(String::as_str));
    Err(ApiError::Parameter(vec![field_error("metric", message, Some(shown(&metric)), suggestion)]))
}
