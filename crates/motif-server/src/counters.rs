//! Numbers about the server itself, for Prometheus.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Requests by method and status, and the reaper's rounds; bounded because both come from closed sets.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    reaper_looks: AtomicU64,
    leases_reaped: AtomicU64,
}

impl Counters {
    pub(crate) fn request(&self, method: &axum::http::Method, status: u16) {
        let method = match method.as_str() {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            "DELETE" => "DELETE",
            "HEAD" => "HEAD",
            _ => "other",
        };
        *self.lock().entry((method, status)).or_default() += 1;
    }

    pub(crate) fn requests(&self) -> BTreeMap<(&'static str, u16), u64> {
        self.lock().clone()
    }

    /// The reaper has looked, and has taken back this many leases.
    pub(crate) fn reaper_look(&self, reaped: usize) {
        self.leases_reaped.fetch_add(reaped as u64, Ordering::Relaxed);
        self.reaper_looks.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the reaper has looked, and how many leases it has taken back.
    pub(crate) fn reaper(&self) -> (u64, u64) {
        (self.reaper_looks.load(Ordering::Relaxed), self.leases_reaped.load(Ordering::Relaxed))
    }

    /// A panic while the lock was held leaves counts that are still counts.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, u16), u64>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
