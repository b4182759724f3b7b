-- Sweeps choose their workers: what workers say that they have, and what sweeps need.

alter table workers add column labels text not null default '[]' check (json_valid(labels));
-- In bytes; null where it is not known.
alter table workers add column memory_bytes integer check (memory_bytes > 0);

-- Each distinct set of needs, once: {"labels": [sorted], "memory_bytes": number or null}.
create table needs (
    n integer primary key,
    need text not null unique check (json_valid(need))
) strict;

-- Null where any worker will do.
alter table sweep_progress add column needs integer references needs (n);

-- Needs stand in the index, so that a claim passes over sweeps that are not for its worker without reading them.
drop index sweep_progress_claimable;
create index sweep_progress_claimable on sweep_progress (priority desc, leased, sweep, needs)
    where queued > 0 and paused = 0;
