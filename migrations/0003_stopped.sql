-- Early stopping: a state and an outcome of trials, the rule of a sweep, what trials are held against.

-- Two checks list the names. Their tables are large, and other migrations may have added columns to them: the text of
-- the checks is replaced where it stands, as SQLite documents it for changes that touch no row.
pragma writable_schema = on;
update sqlite_schema
set sql = replace(sql, '''diverged'', ''failed''', '''diverged'', ''stopped'', ''failed''')
where type = 'table' and name in ('trials', 'attempts');
pragma writable_schema = reset;

create table checks_replaced (tables integer not null check (tables = 2)) strict;
insert into checks_replaced
select count(*) from sqlite_schema
where type = 'table' and name in ('trials', 'attempts') and sql like '%''stopped'', ''failed''%';
drop table checks_replaced;

alter table sweeps add column stop text check (stop is null or json_valid(stop));

alter table sweep_progress add column stopped integer not null default 0 check (stopped >= 0);
alter table condition_counts add column stopped integer not null default 0 check (stopped >= 0);

-- The decision that a trial ends early, and the point at which it was made; it holds for every attempt.
alter table trials add column stop_step integer;
alter table trials add column stop_epoch integer;
alter table trials add column stop_reason text;

-- Where a trial that was stopped came to its end.
alter table results add column stopped_step integer;
alter table results add column stopped_epoch real;

-- How trials stand at the epochs that the rule of their sweep looks at.
create table standings (
    trial integer not null references trials (n),
    epoch integer not null check (epoch > 0),
    sweep integer not null references sweeps (n),
    shown real not null,
    best real not null,
    logged integer not null,
    primary key (trial, epoch)
) strict, without rowid;

create index standings_at on standings (sweep, epoch, shown);

drop trigger trials_counted;

-- Counts follow every change of a state, whoever makes it, in its own transaction.
create trigger trials_counted after update of state on trials when old.state <> new.state
begin
    update condition_counts set
        queued = queued - (old.state = 'queued') + (new.state = 'queued'),
        leased = leased - (old.state = 'leased') + (new.state = 'leased'),
        succeeded = succeeded - (old.state = 'succeeded') + (new.state = 'succeeded'),
        diverged = diverged - (old.state = 'diverged') + (new.state = 'diverged'),
        stopped = stopped - (old.state = 'stopped') + (new.state = 'stopped'),
        failed = failed - (old.state = 'failed') + (new.state = 'failed'),
        dead = dead - (old.state = 'dead') + (new.state = 'dead'),
        cancelled_trials = cancelled_trials - (old.state = 'cancelled') + (new.state = 'cancelled')
    where sweep = new.sweep and condition = new.condition;
    update sweep_progress set
        queued = queued - (old.state = 'queued') + (new.state = 'queued'),
        leased = leased - (old.state = 'leased') + (new.state = 'leased'),
        succeeded = succeeded - (old.state = 'succeeded') + (new.state = 'succeeded'),
        diverged = diverged - (old.state = 'diverged') + (new.state = 'diverged'),
        stopped = stopped - (old.state = 'stopped') + (new.state = 'stopped'),
        failed = failed - (old.state = 'failed') + (new.state = 'failed'),
        dead = dead - (old.state = 'dead') + (new.state = 'dead'),
        cancelled_trials = cancelled_trials - (old.state = 'cancelled') + (new.state = 'cancelled'),
        ended_at = iif(new.finished_at is null, ended_at, max(coalesce(ended_at, new.finished_at), new.finished_at))
    where sweep = new.sweep;
end;
