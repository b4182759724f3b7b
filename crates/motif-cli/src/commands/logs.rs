//! `motif trial logs`: what happened to a trial, attempt by attempt, and what the newest one has logged.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use motif_client::Client;
use motif_wire::{
    metrics::{MetricPoint, TrialMetrics},
    trials::{AttemptRow, TrialDetail},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{args::Global, commands::Outcome, output};

/// Between two looks while following.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct Logs {
    attempts: Vec<AttemptRow>,
    metrics: TrialMetrics,
}

pub(crate) async fn run(global: &Global, id: Uuid, follow: bool) -> anyhow::Result<Outcome> {
    let client = global.client()?;
    if global.json || !follow {
        let (trial, metrics) = look(&client, id).await?;
        let logs = Logs { attempts: trial.attempt_rows, metrics };
        output::emit(global.json, &logs, || text(&logs, &mut Told::default()))?;
        return Ok(Outcome::Done);
    }
    let mut told = Told::default();
    loop {
        let (trial, metrics) = look(&client, id).await?;
        let ended = trial.row.state.is_terminal();
        let new = text(&Logs { attempts: trial.attempt_rows, metrics }, &mut told);
        let mut out = std::io::stdout().lock();
        match out.write_all(new.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Outcome::Done),
            written => written?,
        }
        drop(out);
        if ended {
            return Ok(Outcome::Done);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The trial before its points: what has ended is complete in the points that are read after it.
async fn look(client: &Client, id: Uuid) -> anyhow::Result<(TrialDetail, TrialMetrics)> {
    let trial = client.trial_get(id).await?;
    Ok((trial, client.trial_metrics(id).await?))
}

/// What has been printed.
#[derive(Default)]
struct Told {
    /// Attempts whose beginning was.
    began: usize,
    /// Attempts whose end was.
    ended: usize,
    /// The attempt whose points were, and how many.
    points: (u32, usize),
}

/// What is new.
fn text(logs: &Logs, told: &mut Told) -> String {
    let mut text = String::new();
    for (index, attempt) in logs.attempts.iter().enumerate() {
        if index >= told.began {
            line(&mut text, attempt, attempt.started_at, &format!("began on {}", attempt.worker));
            told.began = index + 1;
        }
        if attempt.number == logs.metrics.attempt {
            let shown = if told.points.0 == attempt.number { told.points.1 } else { 0 };
            for point in logs.metrics.points.iter().skip(shown) {
                text.push_str(&point_line(point));
            }
            told.points = (attempt.number, logs.metrics.points.len().max(shown));
        }
        if let (true, Some(ended_at), Some(outcome)) =
            (index >= told.ended, attempt.ended_at, attempt.outcome)
        {
            let reason = attempt.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let what = format!("{} at step {}{reason}", outcome.name(), attempt.step);
            line(&mut text, attempt, ended_at, &what);
            told.ended = index + 1;
        }
    }
    text
}

fn line(text: &mut String, attempt: &AttemptRow, at: jiff::Timestamp, what: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}  attempt {}  {what}", at.strftime("%Y-%m-%d %H:%M:%SZ"), attempt.number);
}

fn point_line(point: &MetricPoint) -> String {
    let mut text = format!("  step {:<8} epoch {:<8.2}", point.step, point.epoch);
    for (name, value) in point.values.iter().filter(|(name, _)| output::is_result(name)) {
        let value = value.map_or_else(|| "not finite".to_owned(), |value| format!("{value:.4}"));
        let _ = write!(text, "  {name} {value}");
    }
    text.push('\n');
    text
}
