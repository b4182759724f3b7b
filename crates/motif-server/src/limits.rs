//! Every limit of the server, named with its unit last.

use std::time::Duration;

use motif_data::dataset::MAX_DATASET_BYTES;

/// Largest JSON body.
pub const JSON_BODY_MAX_BYTES: usize = 8 * 1024 * 1024;
/// Largest dataset body: what the library can hold.
pub const DATASET_BODY_MAX_BYTES: u64 = MAX_DATASET_BYTES as u64;
/// Datasets that are received at once.
pub const DATASET_UPLOADS_MAX: usize = 2;
/// A client must send its request's head within this time, and an idle connection is closed after it, in seconds.
pub const HEADER_READ_TIMEOUT_S: u64 = 60;
/// A JSON body must arrive within this time, in seconds.
pub const JSON_BODY_READ_TIMEOUT_S: u64 = 20;
/// The next piece of a dataset's body must arrive within this time, in seconds.
pub const DATASET_CHUNK_TIMEOUT_S: u64 = 30;
/// A request must be answered within this time, in seconds; long polls and uploads have their own limits.
pub const REQUEST_TIMEOUT_S: u64 = 60;
/// A dataset must be received and checked within this time, in seconds.
pub const UPLOAD_TIMEOUT_S: u64 = 1800;
/// Largest checkpoint or snapshot.
pub const UPLOAD_BODY_MAX_BYTES: u64 = 1 << 30;
/// Checkpoints and snapshots that are received at once; further ones are answered 429.
pub const ATTEMPT_UPLOADS_MAX: usize = 16;
/// The next piece of a checkpoint's or snapshot's body must arrive within this time, in seconds.
pub const UPLOAD_CHUNK_TIMEOUT_S: u64 = 30;
/// Files of checkpoints and snapshots that no row names are looked for this often, in seconds.
pub const FOLDERS_SWEPT_EVERY_S: u64 = 60;
/// Connections at once; further ones wait to be accepted.
pub const CONNECTIONS_MAX: usize = 8192;
/// Requests at once; further ones are answered 429. Waiting claims and event streams count elsewhere.
pub const REQUESTS_MAX: usize = 512;
/// Claims that wait for work at once; further ones are answered at once.
pub const WAITING_CLAIMS_MAX: usize = 4096;
/// Event streams at once; further ones are answered 429.
pub const EVENT_STREAMS_MAX: usize = 256;
/// Events kept for a slow reader; then it is told how many it lost.
pub const EVENT_BUFFER_MAX: usize = 1024;
/// An event stream says something at least this often, in seconds.
pub const EVENT_KEEP_ALIVE_S: u64 = 15;
/// The token behind an event stream is looked at again at least this often, in seconds.
pub const STREAM_TOKEN_CHECK_EVERY_S: u64 = 5;
/// A sweep's counts are sent at most this often, in milliseconds.
pub const COUNTS_EVENT_EVERY_MS: u64 = 500;
/// Longest wait of a claim, in seconds.
pub const CLAIM_WAIT_MAX_S: u32 = 30;
/// While claims wait, the store is looked at this often, in milliseconds: a retry's delay may have passed.
pub const WORK_LOOK_EVERY_MS: u64 = 50;
/// Trials of one claim.
pub const CLAIM_TRIALS_MAX: u32 = 256;
/// Slots of one worker.
pub const WORKER_SLOTS_MAX: u32 = 4096;
/// Points of one batch.
pub const METRIC_POINTS_MAX: usize = 4096;
/// Values of one point or one report.
pub const METRIC_VALUES_MAX: usize = 1024;
/// Longest metric name.
pub const METRIC_NAME_MAX_CHARS: usize = 128;
/// Longest reason of a failure or a release; the rest is cut off.
pub const REASON_MAX_CHARS: usize = 4000;
/// Longest name of a worker, a host, a token.
pub const NAME_MAX_CHARS: usize = 200;
/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_MAX_CHARS: usize = 200;
/// Longest note of an amendment.
pub const NOTE_MAX_CHARS: usize = 1000;
/// An amendment is planned anew this often when others come in between.
pub const AMEND_TRIES_MAX: u32 = 8;
/// Items of a page, unless asked otherwise.
pub const PAGE_DEFAULT_ITEMS: u32 = 50;
/// Items of a page at the most.
pub const PAGE_MAX_ITEMS: u32 = 500;
/// Trials that are read from the store at once for statistics.
pub const TRIAL_BATCH_ITEMS: u32 = 1000;
/// Exports that are written at once; further ones are answered 429.
pub const EXPORTS_MAX: usize = 4;
/// Rows of a long table that are held before they are written.
pub const EXPORT_GROUP_ROWS: usize = 262_144;
/// An export is sent in pieces of about this size.
pub const EXPORT_CHUNK_BYTES: usize = 64 * 1024;
/// Pieces of an export that wait for a slow receiver.
pub const EXPORT_WAITING_CHUNKS: usize = 8;
/// The reaper looks this often, in seconds.
pub const REAP_EVERY_S: u64 = 5;
/// The wall clock may drift this far from the monotonic one between two looks before it counts as a jump, in seconds.
pub const CLOCK_JUMP_MIN_S: u64 = 5;
/// Everything ends within this time after the server is told to stop, in seconds.
pub const SHUTDOWN_MAX_S: u64 = 5;
/// A token's row is believed for this long before it is read again, in seconds.
pub const TOKEN_CACHE_S: u64 = 10;
/// Tokens kept in memory.
pub const TOKEN_CACHE_MAX: usize = 1024;
/// Longest request id that is taken over from a client.
pub const REQUEST_ID_MAX_CHARS: usize = 64;

/// [`REQUEST_TIMEOUT_S`] as a duration.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(REQUEST_TIMEOUT_S);
/// [`UPLOAD_TIMEOUT_S`] as a duration.
pub(crate) const UPLOAD_TIMEOUT: Duration = Duration::from_secs(UPLOAD_TIMEOUT_S);
