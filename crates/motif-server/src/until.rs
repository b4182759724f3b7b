//! Sequential replication: decides, whenever all trials of a sweep have ended, whether it goes on with another seed.
//!
//! It looks right after a trial has ended and beside the reaper, also at the start, so that nothing is lost when a server
//! dies in between. The store does what is decided only to a sweep that is still as it was: deciding twice adds once.

use std::time::Duration;

use motif_store::records::SweepRecord;
use motif_sweep::{
    ids::SweepId,
    spec::SweepSpec,
    until::{Until, UntilState},
};
use serde_json::{Value, json};

use crate::{
    amendment::{self, Wanted},
    error::{ApiError, ApiResult},
    routes,
    state::ServerState,
    statistics::{self, Precision},
};

/// In whose name seeds are added.
const PRINCIPAL: &str = "until";

/// Looks whenever a trial has ended, and every `every`, until the server ends.
pub(crate) async fn run(state: ServerState, every: Duration) {
    loop {
        look(&state).await;
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = state.ended.notified() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

async fn look(state: &ServerState) {
    let undecided = match state.store.sweeps_undecided().await {
        Ok(undecided) => undecided,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "undecided sweeps could not be listed");
            return;
        }
    };
    for id in undecided {
        if let Err(error) = decide(state, id).await {
            tracing::error!(sweep = %id, error = &error as &dyn std::error::Error, "a sweep's next seed could not be decided on");
        }
    }
}

async fn decide(state: &ServerState, id: SweepId) -> ApiResult<()> {
    let material = routes::material(state, id).await?;
    let sweep = &material.sweep;
    let spec = SweepSpec::from_json(sweep.spec.clone()).map_err(ApiError::Spec)?;
    let Some(until) = &spec.until else {
        return Err(ApiError::Stored(format!("sweep {id} replicates without saying until when")));
    };
    let metric = until.metric(&spec.metric).to_owned();
    let precision = statistics::precision(&material, &metric, until.half_width);
    if precision.reached {
        return end(state, sweep, UntilState::Reached, precision).await;
    }
    let Some(seeds) = until.next_seeds(&spec.seeds) else {
        return end(state, sweep, UntilState::Exhausted, precision).await;
    };
    let wanted = Wanted {
        change: json!({ "seeds": seeds }),
        note: Some(why(until, &metric, precision)),
        principal: PRINCIPAL.to_owned(),
        key: None,
        decided_at: Some(precision.half_width),
    };
    match amendment::amend(state, id, &wanted).await {
        // It will not get better by itself, and whoever waits for the sweep must not wait for ever.
        Err(ApiError::Spec(errors)) => {
            tracing::error!(sweep = %id, %errors, "no seed can be added any more");
            end(state, sweep, UntilState::Exhausted, precision).await
        }
        other => other.map(drop),
    }
}

fn why(until: &Until, metric: &str, precision: Precision) -> String {
    let wanted = until.half_width;
    match precision.half_width {
        Some(half_width) if half_width > wanted => {
            format!("the widest interval on {metric} is ± {half_width:.4}, not ± {wanted}")
        }
        _ => format!("some condition has too few values of {metric} for an interval of ± {wanted}"),
    }
}

async fn end(
    state: &ServerState,
    sweep: &SweepRecord,
    reached: UntilState,
    precision: Precision,
) -> ApiResult<()> {
    let (store, id, revision) = (state.store.clone(), sweep.id, sweep.control.revision);
    let write = async move { store.sweep_decide(id, revision, reached, precision.half_width).await };
    if state.write(write).await? {
        tracing::info!(sweep = %id, state = reached.name(), "replication ended");
        state.events.counts_changed(id);
    }
    Ok(())
}

/// What a stored spec says of it.
pub(crate) fn of(spec: &Value) -> Option<Until> {
    serde_json::from_value(spec.get("until")?.clone()).ok()
}
