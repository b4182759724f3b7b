-- Fair sharing: of sweeps of equal priority, claims take the one with the fewest trials in training, then the older.

drop index sweep_progress_claimable;
create index sweep_progress_claimable on sweep_progress (priority desc, leased, sweep) where queued > 0 and paused = 0;
