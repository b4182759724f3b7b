//! The HTTP contract between Motif's server and everything that speaks to it.
//!
//! Types only: no transport, no store, no decisions but one that server and clients must take alike ([`reproduction`]). Times are RFC 3339 in UTC, durations are in seconds and end in
//! `_s`, ids are UUIDv7, numbers that are not finite are `null`.

pub mod control;
pub mod effects;
pub mod export;
pub mod metrics;
pub mod problem;
pub mod reproduction;
pub mod statistics;
pub mod sweeps;
pub mod system;
pub mod trials;
pub mod verdicts;
pub mod work;

/// Version of the protocol between workers and server; it rises when an old worker could misunderstand a new server.
pub const PROTOCOL_VERSION: u32 = 1;

/// Header that carries a lease's token on every `/attempts/{id}/…` call.
pub const LEASE_HEADER: &str = "motif-lease";

/// Header under which a repeated submission is recognized.
pub const IDEMPOTENCY_HEADER: &str = "idempotency-key";
