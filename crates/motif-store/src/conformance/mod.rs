//! What every implementation of [`Store`](crate::Store) and [`Queue`](crate::Queue) has to do, as checks that panic when
//! it does not.
//!
//! Each check takes an empty store and knows nothing of what is behind the trait. [`conformance_tests!`] makes a test
//! of each, [`queue_conformance_tests!`] of those that a queue has to pass.
//!
//! [`conformance_tests!`]: crate::conformance_tests
//! [`queue_conformance_tests!`]: crate::queue_conformance_tests

mod checkpoints;
mod control;
mod needs;
mod queue;
mod reading;
mod reports;
mod snapshots;
mod steering;
mod stopping;
mod world;

pub use self::{
    checkpoints::{
        checkpoints_end_with_their_trial, checkpoints_follow_their_points,
        resumed_attempts_begin_with_earlier_points,
    },
    control::{
        amendments_append_once, amendments_need_a_sweep_that_may_run, holes_run_what_has_no_value,
        priorities_order_claims, replication_is_decided_once, verifications_hang_on_their_original,
    },
    needs::{
        needs_are_met_by_labels_and_memory, repeated_claims_keep_their_leases_whatever_the_worker_has_now,
        sweeps_for_others_hold_up_nobody, workers_show_what_they_have,
    },
    queue::{
        backoff_delays_a_claim, claims_follow_queue_order, claims_repeat_by_id, claims_run_side_by_side,
        submissions_are_all_or_none, submissions_are_idempotent, sweeps_of_equal_priority_share_fairly,
    },
    reading::{
        conditions_carry_their_counts, curves_are_found_by_name, curves_follow_what_is_logged,
        outcomes_are_the_listed_trials, pages_cover_everything_once, tokens_open_until_revoked,
        workers_are_listed,
    },
    reports::{
        clocks_set_back_delay_nothing, clocks_that_jump_twice_delay_nothing, completions_end_trials,
        errors_spend_a_budget, expired_leases_are_taken_back, heartbeats_extend_leases,
        late_completions_count_until_superseded, metrics_arrive_once_and_in_order, releases_cost_nothing,
        stale_reports_change_nothing, stalled_and_overrunning_attempts_fail,
    },
    snapshots::{resumed_attempts_have_earlier_snapshots, snapshots_are_kept_by_name},
    steering::{cancelling_ends_or_flags, pausing_stops_claims, retrying_starts_over},
    stopping::{
        decisions_hold_for_later_attempts, medians_stop_trials_too, repeated_points_get_the_same_answer,
        rungs_stop_trials_that_end_as_stopped, stopped_trials_need_a_decision,
    },
    world::{TIGHT, World},
};

/// Makes a test of every check that needs no more than a [`Queue`](crate::Queue). The argument is a path to
/// `async fn() -> (Arc<dyn Queue>, Guard)`, which opens an empty store (that it is more than a queue does not matter); the
/// guard is dropped after the check.
#[macro_export]
macro_rules! queue_conformance_tests {
    ($fresh:path) => {
        $crate::conformance_tests!(
            @each $fresh:
            submissions_are_all_or_none,
            submissions_are_idempotent,
            claims_follow_queue_order,
            claims_repeat_by_id,
            claims_run_side_by_side,
            sweeps_of_equal_priority_share_fairly,
            priorities_order_claims,
            backoff_delays_a_claim,
            needs_are_met_by_labels_and_memory,
            sweeps_for_others_hold_up_nobody,
            repeated_claims_keep_their_leases_whatever_the_worker_has_now,
            heartbeats_extend_leases,
            stale_reports_change_nothing,
            completions_end_trials,
            late_completions_count_until_superseded,
            errors_spend_a_budget,
            releases_cost_nothing,
            expired_leases_are_taken_back,
            stalled_and_overrunning_attempts_fail,
            clocks_set_back_delay_nothing,
            clocks_that_jump_twice_delay_nothing,
            metrics_arrive_once_and_in_order,
            checkpoints_follow_their_points,
            resumed_attempts_begin_with_earlier_points,
            checkpoints_end_with_their_trial,
            pausing_stops_claims,
            cancelling_ends_or_flags,
            retrying_starts_over,
            rungs_stop_trials_that_end_as_stopped,
            repeated_points_get_the_same_answer,
            decisions_hold_for_later_attempts,
            stopped_trials_need_a_decision,
            medians_stop_trials_too,
        );
    };
}

/// Makes a test of every check. The argument is a path to `async fn() -> (Arc<dyn Store>, Guard)`, which opens an empty
/// store; the guard is dropped after the check.
#[macro_export]
macro_rules! conformance_tests {
    ($fresh:path) => {
        $crate::queue_conformance_tests!($fresh);
        $crate::conformance_tests!(
            @each $fresh:
            amendments_append_once,
            amendments_need_a_sweep_that_may_run,
            holes_run_what_has_no_value,
            replication_is_decided_once,
            verifications_hang_on_their_original,
            pages_cover_everything_once,
            conditions_carry_their_counts,
            outcomes_are_the_listed_trials,
            curves_are_found_by_name,
            curves_follow_what_is_logged,
            workers_are_listed,
            workers_show_what_they_have,
            snapshots_are_kept_by_name,
            resumed_attempts_have_earlier_snapshots,
            tokens_open_until_revoked,
        );
    };
    (@each $fresh:path: $($check:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $check() {
                let (store, guard) = $fresh().await;
                $crate::conformance::$check(store).await;
                drop(guard);
            }
        )*
    };
}
