//! What happened, step by step: a hash over all of it, the last steps, or the whole.

use std::{collections::VecDeque, fmt::Write as _, time::Duration};

/// Steps that a failure shows.
const LAST_STEPS: usize = 40;

/// The steps of one world.
pub(super) struct Trace {
    hasher: blake3::Hasher,
    lines: VecDeque<String>,
    keep_all: bool,
    pub(super) steps: u64,
}

impl Trace {
    pub(super) fn new(keep_all: bool) -> Self {
        Self { hasher: blake3::Hasher::new(), lines: VecDeque::new(), keep_all, steps: 0 }
    }

    pub(super) fn note(&mut self, now: Duration, what: std::fmt::Arguments<'_>) {
        let full = !self.keep_all && self.lines.len() == LAST_STEPS;
        // A line that falls out lends its memory to the next.
        let mut line = if full { self.lines.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        // Writing to a string does not fail.
        let _ = write!(line, "{:>11.6} {what}", now.as_secs_f64());
        self.hasher.update(line.as_bytes()).update(b"\n");
        self.lines.push_back(line);
        self.steps += 1;
    }

    /// Hex BLAKE3 over all steps.
    pub(super) fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
