//! The motif network.
pub mod config;
