//! Claims: a worker asks for trials and may wait for them.

use std::time::Duration;

use axum::{Json, extract::State};
use motif_store::records::{Claim, Claimable, LeaseOffer, Leased, WorkerSeen};
use motif_sweep::{
    ids::{AttemptId, WorkerId},
    lifecycle::TrialState,
    requires::{self, Abilities, MEMORY_MAX_BYTES},
};
use motif_wire::{
    PROTOCOL_VERSION,
    system::LiveEvent,
    work::{ClaimReply, ClaimRequest, WorkerHello},
};

use super::{BadParameter, OtherProtocol};
use crate::{
    convert,
    error::{ApiError, ApiResult},
    extract::{Body, Parameters, lease, shown},
    limits,
    state::ServerState,
};

/// Claim trials
///
/// A repeat with the same `claim_id` and `secret` returns the same leases. With `wait_s` the server holds the request
/// open while nothing is queued.
#[utoipa::path(
    post, path = "/api/v1/claims", tag = "work", request_body = ClaimRequest,
    responses(
        (status = 200, description = "The leases; none when nothing is queued.", body = ClaimReply),
        BadParameter, OtherProtocol,
    )
)]
pub(crate) async fn claim_create(
    State(state): State<ServerState>,
    Parameters(()): Parameters<()>,
    Body(request): Body<ClaimRequest>,
) -> ApiResult<Json<ClaimReply>> {
    let secrets = Secrets::check(&request)?;
    let abilities = abilities(&request.worker)?;
    let waits =
        tokio::time::timeout(Duration::from_secs(u64::from(request.wait_s)), std::future::pending::<()>());
    tokio::pin!(waits);
    // Without a place nobody waits: the worker hears at once that there is nothing, and asks again.
    let place = if request.wait_s > 0 { state.work.place() } else { None };
    // The first look may be the repeat of a claim that has leases.
    let mut first = true;
    // Each passes on what is for others once, so that it goes round once.
    let mut seen = 0;
    loop {
        let woken = state.work.woken();
        tokio::pin!(woken);
        woken.as_mut().enable();
        // What waits looks without writing: many idle workers are not to hold up those at work.
        let generation = state.work.generation();
        let look = if first {
            Claimable::Yes
        } else {
            state.store.trial_claimable(&abilities, state.clock.now()).await?
        };
        let leased = match look {
            Claimable::Yes => claim(&state, &request, &abilities, &secrets).await?,
            Claimable::ByOthers | Claimable::No => Vec::new(),
        };
        match look {
            // What had waited long enough is for others, if it is not for this worker.
            Claimable::Yes if !first && leased.is_empty() => state.work.wake(1),
            // There may be more than it was woken for.
            Claimable::Yes if !first => state.work.pass_on(),
            Claimable::ByOthers if generation != seen => state.work.pass_on(),
            _ => {}
        }
        seen = generation;
        if !leased.is_empty() || place.is_none() {
            return Ok(Json(reply(&state, &secrets, leased)));
        }
        first = false;
        tokio::select! {
            () = &mut woken => {}
            _ = &mut waits => return Ok(Json(ClaimReply { leases: Vec::new() })),
            () = state.shutdown.cancelled() => return Ok(Json(ClaimReply { leases: Vec::new() })),
        }
    }
}

/// What the leases' secrets are derived from.
struct Secrets {
    claim_id: uuid::Uuid,
    bits: [u8; 32],
}

impl Secrets {
    /// Checks a request, and takes from it what its leases' secrets need.
    fn check(request: &ClaimRequest) -> ApiResult<Self> {
        if request.worker.protocol != PROTOCOL_VERSION {
            return Err(ApiError::Protocol { worker: request.worker.protocol });
        }
        in_range("max", request.max, 1, limits::CLAIM_TRIALS_MAX)?;
        in_range("wait_s", request.wait_s, 0, limits::CLAIM_WAIT_MAX_S)?;
        in_range("worker.slots", request.worker.slots, 1, limits::WORKER_SLOTS_MAX)?;
        let worker = &request.worker;
        for (field, text) in [
            ("worker.name", &worker.name),
            ("worker.host", &worker.host),
            ("worker.version", &worker.version),
            ("worker.instruction_set", &worker.instruction_set),
        ] {
            if text.chars().count() > limits::NAME_MAX_CHARS {
                let message = format!("must have at most {} characters", limits::NAME_MAX_CHARS);
                return Err(ApiError::rule(field, message, Some(shown(text))));
            }
        }
        let mut bits = [0; 32];
        // The value is a secret and is not repeated.
        hex::decode_to_slice(&request.secret, &mut bits)
            .map_err(|_| ApiError::rule("secret", "must be 64 hexadecimal digits", None))?;
        Ok(Self { claim_id: request.claim_id, bits })
    }

    fn of(&self, offer: u32) -> String {
        lease::secret(&self.bits, self.claim_id, offer)
    }
}

fn in_range(field: &str, value: u32, min: u32, max: u32) -> ApiResult<()> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ApiError::rule(field, format!("must be {min} to {max}"), Some(value.to_string())))
}

/// What a worker says that it has.
fn abilities(worker: &WorkerHello) -> ApiResult<Abilities> {
    if worker.labels.len() > requires::LABELS_MAX {
        let message = format!("must have at most {} labels", requires::LABELS_MAX);
        return Err(ApiError::rule("worker.labels", message, Some(worker.labels.len().to_string())));
    }
    for (index, label) in worker.labels.iter().enumerate() {
        requires::label(label).map_err(|wrong| {
            ApiError::rule(format!("worker.labels[{index}]"), wrong.to_string(), Some(shown(label)))
        })?;
    }
    if let Some(bytes) = worker.memory_bytes.filter(|bytes| !(1..=MEMORY_MAX_BYTES).contains(bytes)) {
        let message = format!("must be 1 to {MEMORY_MAX_BYTES}");
        return Err(ApiError::rule("worker.memory_bytes", message, Some(bytes.to_string())));
    }
    Ok(Abilities { labels: worker.labels.iter().cloned().collect(), memory_bytes: worker.memory_bytes })
}

async fn claim(
    state: &ServerState,
    request: &ClaimRequest,
    abilities: &Abilities,
    secrets: &Secrets,
) -> ApiResult<Vec<Leased>> {
    let worker = &request.worker;
    let offers = (0..request.max).map(|offer| LeaseOffer {
        attempt_id: AttemptId(state.ids.next()),
        secret_hash: *blake3::hash(secrets.of(offer).as_bytes()).as_bytes(),
    });
    let claim = Claim {
        claim_id: request.claim_id,
        worker: WorkerSeen {
            id: WorkerId(worker.id),
            name: worker.name.clone(),
            host: worker.host.clone(),
            version: worker.version.clone(),
            instruction_set: worker.instruction_set.clone(),
            slots: worker.slots,
            abilities: abilities.clone(),
        },
        offers: offers.collect(),
    };
    let (store, now) = (state.store.clone(), state.clock.now());
    state.write(async move { store.trial_claim(claim, now).await }).await
}

fn reply(state: &ServerState, secrets: &Secrets, leased: Vec<Leased>) -> ClaimReply {
    for lease in &leased {
        state.events.send(LiveEvent::Trial {
            sweep_id: lease.sweep_id.0,
            trial_id: lease.trial_id.0,
            state: TrialState::Leased.name().to_owned(),
        });
        state.events.counts_changed(lease.sweep_id);
    }
    let epoch = state.store.epoch();
    let leases = leased.into_iter().map(|leased| {
        let secret = secrets.of(leased.offer);
        convert::lease(leased, epoch, &secret)
    });
    ClaimReply { leases: leases.collect() }
}
