//! Verified reproducibility: re-running a share of a sweep's trials, and what their hashes say.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use motif_store::{
    StoreError,
    records::{ConditionRecord, NewControl, NewSweep, NewTrial, ResultRecord, SweepRecord},
};
use motif_sweep::{
    ids::{SweepId, TrialId},
    spec::{NAME_MAX_CHARS, SEED_VALUE_MAX},
    verify,
};
use motif_wire::{
    reproduction::{self, RunRecord, Verification, VerificationRun, VerifyRequest},
    sweeps::SweepDetail,
};
use serde_json::json;

use super::{BadParameter, Contradiction, NoSuch, sweeps};
use crate::{
    auth::Principal,
    convert,
    error::{ApiError, ApiResult},
    extract::{Id, Parameters, RawJson},
    state::ServerState,
};

/// Run a share of a sweep's trials again
///
/// A seeded random share of the trials that have a result is queued again as a sweep of its own, which lists of sweeps leave
/// out. `GET …/verification` compares the result hashes.
#[utoipa::path(
    post, path = "/api/v1/sweeps/{id}/verify", tag = "sweeps",
    params(
        ("id" = uuid::Uuid, Path, description = "The sweep."),
        ("idempotency-key" = Option<String>, Header, description = "The same key with the same body is the same verification; with another body it is refused (422 `idempotency_mismatch`)."),
    ),
    request_body = VerifyRequest,
    responses((status = 201, description = "The sweep that re-runs the share.", body = SweepDetail), BadParameter, NoSuch, Contradiction)
)]
pub(crate) async fn sweep_verify(
    State(state): State<ServerState>,
    Principal(principal): Principal,
    Id(id): Id<SweepId>,
    headers: HeaderMap,
    Parameters(()): Parameters<()>,
    body: RawJson,
) -> ApiResult<Response> {
    let key = sweeps::idempotency_key(&headers, &principal, &[id.0.as_bytes(), &body.bytes])?;
    let request: VerifyRequest = body.parse()?;
    check(&request)?;
    let sweep = state.store.sweep_get(id).await?;
    if sweep.control.verifies.is_some() {
        let refused = "this sweep is a verification itself: verify the sweep whose trials it re-runs";
        return Err(StoreError::Conflict(refused.to_owned()).into());
    }
    let results = state.store.sweep_results(id).await?;
    let conditions = state.store.sweep_conditions(id).await?.into_iter().map(|(condition, _)| condition);
    let new = rerun(&state, &sweep, conditions.collect(), &results, &request, &principal)?;
    sweeps::submitted(&state, new, key, StatusCode::CREATED).await
}

fn check(request: &VerifyRequest) -> ApiResult<()> {
    if !(request.share > 0.0 && request.share <= 1.0) {
        let message = "must be above 0 and at most 1: 0.1 re-runs a tenth of the trials";
        return Err(ApiError::rule("share", message, Some(request.share.to_string())));
    }
    if request.seed > SEED_VALUE_MAX {
        let message = format!("must be at most {SEED_VALUE_MAX}");
        return Err(ApiError::rule("seed", message, Some(request.seed.to_string())));
    }
    Ok(())
}

/// The sweep that re-runs a share of the trials with a result.
fn rerun(
    state: &ServerState,
    sweep: &SweepRecord,
    conditions: Vec<ConditionRecord>,
    results: &[ResultRecord],
    request: &VerifyRequest,
    principal: &str,
) -> ApiResult<NewSweep> {
    let ended: Vec<&ResultRecord> = results.iter().filter(|result| result.result_hash.is_some()).collect();
    if ended.is_empty() {
        let refused = "no trial of this sweep has a result yet: there is nothing to verify";
        return Err(StoreError::Conflict(refused.to_owned()).into());
    }
    let chosen: Vec<&ResultRecord> = verify::share(ended.len(), request.share, request.seed)
        .into_iter()
        .map(|place| ended[place])
        .collect();
    let wanted: BTreeSet<u32> = chosen.iter().map(|result| result.condition).collect();
    let indices: BTreeMap<u32, u32> = wanted.iter().copied().zip(0u32..).collect();
    let conditions = conditions.into_iter().filter_map(|condition| {
        indices.get(&condition.index).map(|&index| ConditionRecord { index, ..condition })
    });
    let rerun_seeds: BTreeSet<u64> = chosen.iter().map(|result| result.seed).collect();
    let trials = chosen.iter().map(|result| NewTrial {
        id: TrialId(state.ids.next()),
        condition: indices[&result.condition],
        seed: result.seed,
    });
    Ok(NewSweep {
        id: SweepId(state.ids.next()),
        name: format!("verify {}", sweep.name).chars().take(NAME_MAX_CHARS).collect(),
        spec: json!({ "verifies": sweep.id, "share": request.share, "seed": request.seed }),
        metric: sweep.metric.clone(),
        baseline: sweep.baseline.and_then(|baseline| indices.get(&baseline).copied()),
        seeds: sweep.seeds.iter().copied().filter(|seed| rerun_seeds.contains(seed)).collect(),
        policy: sweep.policy,
        stop: None,
        conditions: conditions.collect(),
        trials: trials.collect(),
        principal: principal.to_owned(),
        control: NewControl {
            priority: sweep.control.priority,
            until: false,
            verifies: Some(sweep.id),
            snapshots: false,
            needs: sweep.control.needs.clone(),
        },
    })
}

/// Compare a sweep's results with their re-runs
///
/// A trial is `verified` when every re-run that has ended gave the same `result_hash`, `mismatched` when one did not, and
/// `unverified` otherwise.
#[utoipa::path(
    get, path = "/api/v1/sweeps/{id}/verification", tag = "sweeps", params(("id" = uuid::Uuid, Path, description = "The sweep.")),
    responses((status = 200, description = "Verdicts, by trial.", body = Verification), BadParameter, NoSuch)
)]
pub(crate) async fn sweep_verification(
    State(state): State<ServerState>,
    Id(id): Id<SweepId>,
    Parameters(()): Parameters<()>,
) -> ApiResult<Json<Verification>> {
    let originals = records(state.store.sweep_results(id).await?);
    let sweeps = state.store.sweep_verifications(id).await?;
    let mut reruns = Vec::new();
    for sweep in &sweeps {
        reruns.extend(records(state.store.sweep_results(sweep.id).await?));
    }
    let now = state.clock.now();
    let compared = tokio::task::spawn_blocking(move || {
        let trials = reproduction::compare(originals, reruns);
        let counts = reproduction::count(&trials);
        Verification {
            sweep_id: id.0,
            verified: counts.verified,
            mismatched: counts.mismatched,
            unverified: counts.unverified,
            note: reproduction::note(&trials),
            runs: sweeps.iter().map(|sweep| run(sweep, now)).collect(),
            trials,
        }
    });
    compared.await.map(Json).map_err(|error| ApiError::Panicked(error.to_string()))
}

fn run(sweep: &SweepRecord, now: jiff::Timestamp) -> VerificationRun {
    let row = convert::sweep_row(sweep, now);
    VerificationRun {
        sweep_id: sweep.id.0,
        state: row.state,
        share: sweep.spec["share"].as_f64(),
        seed: sweep.spec["seed"].as_u64(),
        trials: row.counts.total(),
    }
}

fn records(results: Vec<ResultRecord>) -> Vec<RunRecord> {
    let record = |result: ResultRecord| RunRecord {
        trial_id: result.trial_id.0,
        label: result.label,
        seed: result.seed,
        config_hash: result.config_hash,
        dataset_hash: result.dataset_hash,
        result_hash: result.result_hash,
        worker: result.worker,
        instruction_set: result.instruction_set,
    };
    results.into_iter().map(record).collect()
}
