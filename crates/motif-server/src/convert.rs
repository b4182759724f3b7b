//! The store's records in the words of the HTTP contract. No decisions, no reads.

use std::collections::BTreeMap;

use jiff::Timestamp;
use motif_data::DatasetEntry;
use motif_store::records::{
    AmendmentRecord, AttemptRecord, CheckpointRecord, ConditionRecord, Counts, Finish, Leased, PointRecord,
    SnapshotRecord, StoppedAt, SweepRecord, TokenRecord, TrialRecord, WorkerRecord,
};
use motif_sweep::{
    lifecycle::{Policy, TrialState},
    until::UntilState,
};
use motif_wire::{
    control::{AmendmentRow, UntilRow},
    metrics::MetricPoint,
    sweeps::{ConditionRow, StateCounts, SweepDetail, SweepRow, SweepState},
    system::{DatasetRow, TokenRow, WorkerRow},
    trials::{AttemptRow, Snapshot, TrialDetail, TrialReport, TrialRow},
    work::{Checkpoint, Lease},
};

use crate::{
    error::{ApiError, ApiResult},
    extract::lease::token,
    tokens, until,
};

pub(crate) fn state_counts(counts: &Counts) -> StateCounts {
    let mut out = StateCounts::default();
    for state in TrialState::ALL {
        *out.of_mut(state) = counts.of(state);
    }
    out
}

fn sweep_state(record: &SweepRecord, counts: &StateCounts) -> SweepState {
    if record.cancelled {
        SweepState::Cancelled
    } else if ended(record, counts) {
        SweepState::Finished
    } else if record.paused {
        SweepState::Paused
    } else if record.started_at.is_none() && counts.leased == 0 {
        SweepState::Queued
    } else {
        SweepState::Running
    }
}

/// Whether every trial has ended and no more seeds are to come.
fn ended(record: &SweepRecord, counts: &StateCounts) -> bool {
    let goes_on = record.control.until.is_some_and(|until| until.state == UntilState::Running);
    counts.finished() == counts.total() && (record.cancelled || !goes_on)
}

pub(crate) fn sweep_row(record: &SweepRecord, now: Timestamp) -> SweepRow {
    let counts = state_counts(&record.counts);
    let state = sweep_state(record, &counts);
    let finished = ended(record, &counts);
    let done = counts.finished() as f64 + record.running_fraction;
    let progress = if finished { 1.0 } else { (done / counts.total() as f64).clamp(0.0, 1.0) };
    let remaining_s = match (state, record.started_at) {
        (SweepState::Running, Some(started)) if progress > 0.0 => {
            let elapsed = now.duration_since(started).as_secs_f64().max(0.0);
            Some((elapsed * (1.0 - progress) / progress).round())
        }
        _ => None,
    };
    SweepRow {
        id: record.id.0,
        name: record.name.clone(),
        state,
        counts,
        conditions: record.conditions,
        seeds: u32::try_from(record.seeds.len()).unwrap_or(u32::MAX),
        metric: record.metric.clone(),
        created_at: record.created_at,
        finished_at: if finished { record.ended_at } else { None },
        progress,
        remaining_s,
        priority: record.control.priority,
        verifies: record.control.verifies.map(|id| id.0),
    }
}

pub(crate) fn sweep_detail(
    record: &SweepRecord,
    conditions: Vec<(ConditionRecord, Counts)>,
    amendments: Vec<AmendmentRecord>,
    now: Timestamp,
) -> SweepDetail {
    SweepDetail {
        row: sweep_row(record, now),
        spec: record.spec.clone(),
        condition_rows: conditions
            .into_iter()
            .map(|(condition, counts)| ConditionRow {
                index: condition.index,
                label: condition.label,
                axes: condition.axes,
                config: condition.config,
                config_hash: condition.config_hash,
                dataset_hash: condition.dataset_hash,
                counts: state_counts(&counts),
            })
            .collect(),
        seed_values: record.seeds.clone(),
        baseline: record.baseline,
        amendments: amendments.into_iter().map(amendment_row).collect(),
        until: until_row(record),
        verifications: record.control.verifications,
        waiting_for: None,
    }
}

pub(crate) fn amendment_row(record: AmendmentRecord) -> AmendmentRow {
    AmendmentRow {
        at: record.at,
        principal: record.principal,
        note: record.note,
        change: record.change,
        added_conditions: record.added_conditions,
        added_seeds: record.added_seeds,
        added_trials: record.added_trials,
    }
}

fn until_row(record: &SweepRecord) -> Option<UntilRow> {
    let progress = record.control.until?;
    let until = until::of(&record.spec)?;
    Some(UntilRow {
        state: progress.state,
        metric: until.metric(&record.metric).to_owned(),
        target: until.half_width,
        half_width: progress.half_width,
        seeds: record.seeds.len() as u64,
        max_seeds: until.max_seeds,
    })
}

pub(crate) fn trial_row(record: &TrialRecord, metric: &str) -> TrialRow {
    TrialRow {
        id: record.id.0,
        sweep_id: record.sweep_id.0,
        condition: record.condition,
        label: record.label.clone(),
        seed: record.seed,
        state: record.state,
        cancel_requested: record.cancel_requested,
        attempts: record.attempt,
        failures: record.failures,
        crashes: record.crashes,
        step: record.step,
        total_steps: record.total_steps,
        worker: record.worker.clone(),
        metric: record.metrics.get(metric).copied(),
        diverged_step: record.diverged_step,
        stop_decided: record.stop.is_some(),
        stopped_step: record.stopped.map(|stopped| stopped.step),
        stopped_epoch: record.stopped.map(|stopped| stopped.epoch),
        result_hash: record.result_hash.clone(),
        started_at: record.started_at,
        finished_at: record.finished_at,
        reason: record.reason.clone(),
    }
}

pub(crate) fn trial_report(record: &TrialRecord) -> ApiResult<Option<TrialReport>> {
    let parse = |value: &serde_json::Value| serde_json::from_value(value.clone());
    let report = record.report.as_ref().map(parse).transpose();
    report.map_err(|error| ApiError::Stored(format!("the report of trial {}: {error}", record.id)))
}

pub(crate) fn trial_detail(
    record: &TrialRecord,
    metric: &str,
    condition: ConditionRecord,
    attempts: Vec<AttemptRecord>,
) -> ApiResult<TrialDetail> {
    Ok(TrialDetail {
        row: trial_row(record, metric),
        config: condition.config,
        config_hash: condition.config_hash,
        dataset_hash: condition.dataset_hash,
        result: trial_report(record)?,
        attempt_rows: attempts.into_iter().map(attempt_row).collect(),
    })
}

pub(crate) fn attempt_row(record: AttemptRecord) -> AttemptRow {
    AttemptRow {
        id: record.id.0,
        number: record.number,
        worker: record.worker,
        outcome: record.outcome,
        reason: record.reason,
        step: record.step,
        started_at: record.started_at,
        seen_at: record.seen_at,
        ended_at: record.ended_at,
    }
}

pub(crate) fn worker_row(record: WorkerRecord, now: Timestamp) -> WorkerRow {
    WorkerRow {
        id: record.seen.id.0,
        alive: is_alive(&record, now),
        name: record.seen.name,
        host: record.seen.host,
        version: record.seen.version,
        instruction_set: record.seen.instruction_set,
        slots: record.seen.slots,
        labels: record.seen.abilities.labels.into_iter().collect(),
        memory_bytes: record.seen.abilities.memory_bytes,
        leased: record.leased,
        completed: record.completed,
        first_seen_at: record.first_seen_at,
        seen_at: record.seen_at,
    }
}

/// Whether a worker was heard of within one lease; an idle one waits with a claim for nearly that long.
pub(crate) fn is_alive(record: &WorkerRecord, now: Timestamp) -> bool {
    let lease = jiff::SignedDuration::from_secs(i64::from(Policy::default().lease_ttl_s));
    now.duration_since(record.seen_at) <= lease
}

pub(crate) fn dataset_row(entry: DatasetEntry) -> DatasetRow {
    let summary = entry.summary;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    DatasetRow {
        name: entry.name,
        hash: entry.hash,
        height: small(summary.height),
        width: small(summary.width),
        channels: small(summary.channels),
        classes: u32::from(summary.classes),
        train_examples: summary.train_examples as u64,
        test_examples: summary.test_examples as u64,
        size_bytes: summary.bytes,
        built_in: entry.builtin,
    }
}

pub(crate) fn token_row(record: TokenRecord) -> TokenRow {
    TokenRow {
        id: record.id.0,
        name: record.name,
        scopes: record.scopes.iter().filter_map(|name| tokens::scope_from_name(name)).collect(),
        created_at: record.created_at,
        revoked_at: record.revoked_at,
    }
}

/// A point as it is stored.
#[must_use]
pub fn point_record(point: MetricPoint) -> PointRecord {
    let values = point.values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect();
    PointRecord { seq: point.seq, step: point.step, epoch: point.epoch, values }
}

pub(crate) fn metric_point(point: PointRecord) -> MetricPoint {
    let finite = |(name, value): (String, f64)| (name, value.is_finite().then_some(value));
    MetricPoint {
        seq: point.seq,
        step: point.step,
        epoch: point.epoch,
        values: point.values.into_iter().map(finite).collect(),
    }
}

/// What a report says of a trial's end.
#[must_use]
pub fn finish(report: &TrialReport) -> Finish {
    let finite = |(name, value): (&String, &Option<f64>)| Some((name.clone(), (*value)?));
    Finish {
        diverged_step: report.diverged_step,
        stopped: report.stopped_step.zip(report.stopped_epoch).map(|(step, epoch)| StoppedAt { step, epoch }),
        steps: report.steps,
        metrics: report.metrics.iter().filter_map(finite).collect::<BTreeMap<_, _>>(),
        result_hash: report.result_hash.clone(),
        report: serde_json::to_value(report).expect("a report is plain data with string keys"),
    }
}

/// A lease, as its worker gets it, with the secret of its offer.
#[must_use]
pub fn lease(leased: Leased, epoch: u64, secret: &str) -> Lease {
    Lease {
        attempt_id: leased.attempt_id.0,
        token: token(epoch, leased.attempt, secret),
        trial_id: leased.trial_id.0,
        sweep_id: leased.sweep_id.0,
        attempt: leased.attempt,
        config: leased.config,
        seed: leased.seed,
        dataset_hash: leased.dataset_hash,
        policy: leased.policy,
        judged: leased.judged,
        snapshots: leased.snapshots,
        checkpoint: leased.checkpoint.map(checkpoint),
    }
}

/// A checkpoint, as workers see it.
#[must_use]
pub fn checkpoint(record: CheckpointRecord) -> Checkpoint {
    let CheckpointRecord { step, points, hash, bytes } = record;
    Checkpoint { step, points, hash, bytes }
}

/// A snapshot, as people see it.
pub(crate) fn snapshot(record: SnapshotRecord) -> Snapshot {
    let SnapshotRecord { name, hash, bytes } = record;
    Snapshot { name, hash, bytes }
}
