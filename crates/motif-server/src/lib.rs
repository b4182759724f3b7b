//! The HTTP server: router, authorization, reaper, live events, statistics, the dashboard's files.
//!
//! It translates between the HTTP contract ([`motif_wire`]) and the store ([`motif_store::Store`]), and decides only who
//! may do what and when leases may be taken back. It knows no SQL, trains nothing, and reads no clock but the one it is
//! given.

mod amendment;
mod auth;
mod convert;
mod counters;
mod dashboard;
mod error;
mod events;
mod export;
mod extract;
mod folders;
pub mod glue;
pub mod limits;
mod openapi;
mod options;
mod reaper;
mod router;
mod routes;
mod serve;
mod state;
mod statistics;
mod submission;
pub mod tokens;
mod until;
mod work;

pub use dashboard::bundle_page;
pub use folders::Folders;
pub use openapi::openapi_json;
pub use options::{ServerOptions, SessionToken};
pub use serve::serve;
pub use tokens::{create_token, ensure_admin_token, mint_token};
