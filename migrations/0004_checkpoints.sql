-- Checkpoints: of each trial the newest, so that another attempt goes on from it. The bytes are a file, named by their
-- hash.

create table checkpoints (
    trial integer primary key references trials (n),
    -- The attempt that holds the points before it.
    attempt integer not null references attempts (n),
    step integer not null check (step >= 0),
    -- Points of that attempt below this number were logged at or before the step.
    points integer not null check (points >= 0),
    hash text not null check (length(hash) = 64),
    bytes integer not null check (bytes > 0),
    saved_at integer not null
) strict;

create index checkpoints_by_hash on checkpoints (hash);

-- The checkpoint that an attempt went on from: asking twice is answered the same.
alter table attempts add column resumed_from text check (resumed_from is null or length(resumed_from) = 64);

-- A trial that has its result, or failed by its own fault, never goes on from there, whoever ends it. One that was
-- cancelled or died with its workers may be queued again.
create trigger checkpoints_dropped after update of state on trials
when new.state in ('succeeded', 'diverged', 'stopped', 'failed')
begin
    delete from checkpoints where trial = new.n;
end;
