-- Snapshots: files that an attempt hands over, such as its weights before and after training. The bytes are a file, named by
-- their hash.

create table snapshots (
    attempt integer not null references attempts (n),
    name text not null,
    hash text not null check (length(hash) = 64),
    bytes integer not null check (bytes > 0),
    saved_at integer not null,
    primary key (attempt, name)
) strict, without rowid;

-- Whether the trials of a sweep are to hand over snapshots.
alter table sweeps add column snapshots integer not null default 0 check (snapshots in (0, 1));
