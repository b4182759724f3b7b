-- The store's first schema. Times are integer unix milliseconds, ids 16-byte blobs, lists and objects JSON text.
-- Column n is the row's number in this file: joins use it, callers never see it.

create table meta (
    key text primary key,
    value integer not null
) strict, without rowid;

insert into meta (key, value) values ('epoch', 1);

-- Rows of sweeps are large and hardly ever written; what changes with every trial is in sweep_progress.
create table sweeps (
    n integer primary key autoincrement,
    id blob not null unique check (length(id) = 16),
    name text not null,
    metric text not null,
    baseline integer,
    conditions integer not null,
    policy text not null check (json_valid(policy)),
    principal text not null,
    created_at integer not null,
    seeds text not null check (json_valid(seeds)),
    spec text not null check (json_valid(spec))
) strict;

create table sweep_progress (
    sweep integer primary key references sweeps (n),
    paused integer not null default 0 check (paused in (0, 1)),
    cancelled integer not null default 0 check (cancelled in (0, 1)),
    started_at integer,
    ended_at integer,
    queued integer not null default 0 check (queued >= 0),
    leased integer not null default 0 check (leased >= 0),
    succeeded integer not null default 0 check (succeeded >= 0),
    diverged integer not null default 0 check (diverged >= 0),
    failed integer not null default 0 check (failed >= 0),
    dead integer not null default 0 check (dead >= 0),
    cancelled_trials integer not null default 0 check (cancelled_trials >= 0)
) strict;

-- The sweeps a claim looks at.
create index sweep_progress_claimable on sweep_progress (sweep) where queued > 0 and paused = 0;

create table conditions (
    n integer primary key,
    sweep integer not null references sweeps (n),
    position integer not null,
    label text not null,
    config_hash text not null,
    dataset_hash text not null,
    axes text not null check (json_valid(axes)),
    config text not null check (json_valid(config)),
    unique (sweep, position)
) strict;

create table condition_counts (
    sweep integer not null references sweeps (n),
    condition integer not null,
    queued integer not null default 0 check (queued >= 0),
    leased integer not null default 0 check (leased >= 0),
    succeeded integer not null default 0 check (succeeded >= 0),
    diverged integer not null default 0 check (diverged >= 0),
    failed integer not null default 0 check (failed >= 0),
    dead integer not null default 0 check (dead >= 0),
    cancelled_trials integer not null default 0 check (cancelled_trials >= 0),
    primary key (sweep, condition)
) strict, without rowid;

-- A queued trial with not_before null can be claimed at once; with a time, it backs off until then.
create table trials (
    n integer primary key autoincrement,
    id blob not null unique check (length(id) = 16),
    sweep integer not null references sweeps (n),
    position integer not null,
    condition integer not null,
    -- The 64 bits of an unsigned seed.
    seed integer not null,
    state text not null
        check (state in ('queued', 'leased', 'succeeded', 'diverged', 'failed', 'dead', 'cancelled')),
    attempt integer not null default 0,
    failures integer not null default 0,
    crashes integer not null default 0,
    cancel_requested integer not null default 0 check (cancel_requested in (0, 1)),
    not_before integer,
    total_steps integer,
    finished_at integer,
    unique (sweep, position),
    foreign key (sweep, condition) references conditions (sweep, position)
) strict;

create index trials_by_state on trials (sweep, state, position);
create index trials_ready on trials (sweep, position) where state = 'queued' and not_before is null;
create index trials_waiting on trials (not_before) where state = 'queued' and not_before is not null;

-- Counts follow every change of a state, whoever makes it, in its own transaction.
create trigger trials_counted after update of state on trials when old.state <> new.state
begin
    update condition_counts set
        queued = queued - (old.state = 'queued') + (new.state = 'queued'),
        leased = leased - (old.state = 'leased') + (new.state = 'leased'),
        succeeded = succeeded - (old.state = 'succeeded') + (new.state = 'succeeded'),
        diverged = diverged - (old.state = 'diverged') + (new.state = 'diverged'),
        failed = failed - (old.state = 'failed') + (new.state = 'failed'),
        dead = dead - (old.state = 'dead') + (new.state = 'dead'),
        cancelled_trials = cancelled_trials - (old.state = 'cancelled') + (new.state = 'cancelled')
    where sweep = new.sweep and condition = new.condition;
    update sweep_progress set
        queued = queued - (old.state = 'queued') + (new.state = 'queued'),
        leased = leased - (old.state = 'leased') + (new.state = 'leased'),
        succeeded = succeeded - (old.state = 'succeeded') + (new.state = 'succeeded'),
        diverged = diverged - (old.state = 'diverged') + (new.state = 'diverged'),
        failed = failed - (old.state = 'failed') + (new.state = 'failed'),
        dead = dead - (old.state = 'dead') + (new.state = 'dead'),
        cancelled_trials = cancelled_trials - (old.state = 'cancelled') + (new.state = 'cancelled'),
        ended_at = iif(new.finished_at is null, ended_at, max(coalesce(ended_at, new.finished_at), new.finished_at))
    where sweep = new.sweep;
end;

create table workers (
    n integer primary key,
    id blob not null unique check (length(id) = 16),
    name text not null,
    host text not null,
    version text not null,
    instruction_set text not null,
    slots integer not null,
    completed integer not null default 0,
    first_seen_at integer not null,
    seen_at integer not null
) strict;

create table attempts (
    n integer primary key autoincrement,
    id blob not null unique check (length(id) = 16),
    trial integer not null references trials (n),
    number integer not null check (number > 0),
    worker integer not null references workers (n),
    claim_id blob not null check (length(claim_id) = 16),
    offer integer not null,
    secret_hash blob not null check (length(secret_hash) = 32),
    epoch integer not null,
    step integer not null default 0,
    started_at integer not null,
    seen_at integer not null,
    expires_at integer not null,
    progressed_at integer not null,
    -- The first moment at which the lease could be taken back: expired, stalled or overrun.
    due_at integer not null,
    ended_at integer,
    outcome text
        check (outcome in ('succeeded', 'diverged', 'failed', 'released', 'expired', 'timed_out', 'cancelled')),
    reason text,
    unique (trial, number),
    unique (claim_id, offer),
    check ((outcome is null) = (ended_at is null))
) strict;

-- One open attempt per trial, whatever the code above does.
create unique index attempts_open on attempts (trial) where ended_at is null;
create index attempts_due on attempts (due_at) where ended_at is null;
create index attempts_held on attempts (worker) where ended_at is null;

create table results (
    trial integer primary key references trials (n),
    attempt integer not null references attempts (n),
    -- Hash over the completing report, by which a repetition is told from a contradiction.
    digest blob not null check (length(digest) = 32),
    diverged_step integer,
    result_hash text not null,
    report text not null check (json_valid(report))
) strict;

create table final_metrics (
    trial integer not null references trials (n),
    name text not null,
    value real not null,
    primary key (trial, name)
) strict, without rowid;

-- Each distinct list of metric names, once; a point refers to its list and packs the values in the list's order.
create table metric_schemas (
    n integer primary key,
    names text not null unique check (json_valid(names))
) strict;

create table sweep_metrics (
    sweep integer not null references sweeps (n),
    metric_schema integer not null references metric_schemas (n),
    primary key (sweep, metric_schema)
) strict, without rowid;

create table points (
    attempt integer not null references attempts (n),
    seq integer not null,
    step integer not null,
    epoch real not null,
    metric_schema integer not null references metric_schemas (n),
    -- Little-endian f64, one after the other.
    packed blob not null,
    primary key (attempt, seq)
) strict, without rowid;

create table tokens (
    n integer primary key,
    id blob not null unique check (length(id) = 16),
    name text not null,
    scopes text not null check (json_valid(scopes)),
    hash blob not null unique check (length(hash) = 32),
    created_at integer not null,
    revoked_at integer
) strict;

create table idempotency (
    principal text not null,
    key text not null,
    body_hash text not null,
    sweep_id blob not null check (length(sweep_id) = 16),
    created_at integer not null,
    primary key (principal, key)
) strict, without rowid;

create table audit (
    n integer primary key autoincrement,
    at integer not null,
    principal text not null,
    action text not null,
    sweep integer not null references sweeps (n),
    changed integer not null,
    pending integer not null
) strict;
