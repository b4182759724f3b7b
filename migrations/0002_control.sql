-- Steering a sweep after its submission: amendments, priorities, sequential replication, verification.

-- revision counts amendments: whoever planned one upon an older revision has to plan it anew.
alter table sweeps add column revision integer not null default 0;
-- The sweep whose trials this one re-runs.
alter table sweeps add column verifies integer references sweeps (n);
create index sweeps_verifying on sweeps (verifies) where verifies is not null;

alter table sweep_progress add column priority integer not null default 0 check (priority between -1000 and 1000);
-- Null without sequential replication.
alter table sweep_progress add column until text check (until in ('running', 'reached', 'exhausted'));
-- Of the widest interval, when it was last decided whether to go on.
alter table sweep_progress add column until_half_width real;

-- The sweeps a claim looks at, in the order in which it does.
drop index sweep_progress_claimable;
create index sweep_progress_claimable on sweep_progress (priority desc, sweep) where queued > 0 and paused = 0;
-- The sweeps whose next block is to be decided on.
create index sweep_progress_undecided on sweep_progress (sweep)
    where until = 'running' and queued = 0 and leased = 0 and paused = 0 and cancelled = 0;

-- A condition has a seed once, whoever adds it.
create unique index trials_cells on trials (sweep, condition, seed);

create table amendments (
    n integer primary key autoincrement,
    sweep integer not null references sweeps (n),
    at integer not null,
    principal text not null,
    note text,
    change text not null check (json_valid(change)),
    added_conditions integer not null,
    added_seeds integer not null,
    added_trials integer not null,
    -- By which a repeated request is recognized, within its principal's.
    key text,
    body_hash text,
    check ((key is null) = (body_hash is null))
) strict;

create index amendments_by_sweep on amendments (sweep);
create unique index amendments_by_key on amendments (principal, key) where key is not null;
