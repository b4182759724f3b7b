//! What the trials of a sweep that ends some early are held against, and the decisions.

use jiff::Timestamp;
use motif_sweep::lifecycle::{self, Event};

use super::{reports, state::State};
use crate::{
    Result,
    records::{PointRecord, StopDecision},
};

/// Asks the sweep's rule, if it has one, about points that are being stored. Returns the step at which the trial was
/// decided to end early, now or before.
pub(super) fn consider(
    state: &mut State,
    attempt: usize,
    points: &[PointRecord],
    now: Timestamp,
) -> Result<Option<u64>> {
    let index = state.attempts[attempt].trial;
    let trial = &state.trials[index];
    let sweep = trial.sweep;
    if let Some(stop) = &trial.stop {
        return Ok(Some(stop.step));
    }
    let Some(rule) = state.sweeps[sweep].new.stop.clone() else { return Ok(None) };
    let config = &state.sweeps[sweep].new.conditions[trial.condition as usize].config;
    let epochs = config["epochs"].as_u64().and_then(|epochs| u32::try_from(epochs).ok()).unwrap_or(u32::MAX);
    for point in points {
        let Some(&value) = point.values.get(&rule.metric) else { continue };
        for next in rule.advance(state.trials[index].standings.last(), point.epoch, value) {
            let others: Vec<f64> = (0..state.trials.len())
                .filter(|other| *other != index && state.trials[*other].sweep == sweep)
                .flat_map(|other| &state.trials[other].standings)
                .filter(|standing| standing.epoch == next.epoch)
                .map(|standing| standing.shown)
                .collect();
            let reason = rule.decide(&next, epochs, &others);
            let epoch = next.epoch;
            state.trials[index].standings.push(next);
            if let Some(reason) = reason {
                lifecycle::step(&state.life(attempt), Event::Stop, now, &state.policy(attempt))
                    .map_err(reports::stale)?;
                state.trials[index].stop = Some(StopDecision { step: point.step, epoch, reason });
                // What it logs until it hears of it counts for nobody.
                return Ok(Some(point.step));
            }
        }
    }
    Ok(None)
}
