//! What people and scripts read: tables on stdout, or one JSON document; progress on stderr.

pub(crate) mod control;
pub(crate) mod effects;
pub(crate) mod progress;
pub(crate) mod tables;
pub(crate) mod verdicts;

use std::io::Write as _;

use serde::Serialize;

/// Whether a final metric is a result rather than a diagnostic or the schedule's factor.
pub(crate) fn is_result(metric: &str) -> bool {
    !metric.contains('.') && metric != "rate"
}

/// ` (of it 2.1 s on test examples, 0.3 s on diagnostics)`: what is known of these seconds; empty when nothing is.
pub(crate) fn costs(parts: &[(&str, Option<f64>)]) -> String {
    let known = parts.iter().filter_map(|&(on, seconds)| seconds.map(|seconds| (on, seconds)));
    let known: Vec<String> = known.map(|(on, seconds)| format!("{seconds:.1} s on {on}")).collect();
    if known.is_empty() { String::new() } else { format!(" (of it {})", known.join(", ")) }
}

/// `1 seed`, `3 seeds`.
pub(crate) fn plural(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Prints the document as JSON, or the text.
pub(crate) fn emit<T: Serialize>(
    json: bool,
    document: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = if json {
        serde_json::to_writer_pretty(&mut out, document)?;
        writeln!(out)
    } else {
        writeln!(out, "{}", text().trim_end())
    };
    match written.and_then(|()| out.flush()) {
        // The reader has seen enough (`motif sweep list | head`).
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
