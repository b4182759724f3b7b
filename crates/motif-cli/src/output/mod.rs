//! What people and scripts read: tables on stdout, or one JSON document; progress on stderr.

pub(crate) mod progress;
pub(crate) mod tables;

use std::io::Write as _;

use serde::Serialize;

/// Whether a final metric is a result rather than a diagnostic or the schedule's factor.
pub(crate) fn is_result(metric: &str) -> bool {
    !metric.contains('.') && metric != "rate"
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
