//! `motif submit`, `sweep`: submitting, following and steering sweeps.

use std::time::Duration;

use anyhow::{Context as _, bail};
use motif_client::{Client, ClientError, StatisticsQuery, SweepSteer};
use motif_sweep::spec::{SpecError, SpecErrors};
use motif_wire::{
    problem::Problem,
    statistics::{Comparisons, Summary},
    sweeps::{StateCounts, SweepAction, SweepDetail, SweepRow, SweepState},
    verdicts::Verdicts,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    args::{Global, Submit, SubmitHow, Sweep},
    commands::{Outcome, control, effects, preview, trials::unhappy},
    input::read_input,
    output::{self, progress::Progress, tables, verdicts},
};

/// Longest time between two looks at a running sweep.
const WATCH_INTERVAL_MAX: Duration = Duration::from_millis(500);
/// Shortest time between two looks.
const WATCH_INTERVAL_MIN: Duration = Duration::from_millis(20);
/// The time between two looks is this part of the time watched so far, so that a short sweep's end is not seen late.
const WATCH_INTERVAL_PART: u32 = 20;
/// A watch outlives a server that is away for this long.
const WATCH_OUTAGE_MAX: Duration = Duration::from_secs(600);
/// Sweeps searched when a sweep is named by its last digits or its name.
const SEARCH_SWEEPS: u32 = 200;

pub(crate) async fn submit(global: &Global, args: &Submit) -> anyhow::Result<Outcome> {
    let input = read_input(&args.sweep)?;
    let document = input.document()?;
    let spec = document.sweep().map_err(|errors| input.wrong(&errors))?;
    if args.how.dry_run {
        return preview::run(global, spec, &|errors| document.locate(errors)).await;
    }
    let refused = |problem: &Problem| input.wrong(&document.locate(spec_errors(problem)));
    submit_value(global, &spec.to_json(), &args.how, &refused).await
}

/// Submits a spec; `refused` words what the server finds wrong with it.
pub(super) async fn submit_value(
    global: &Global,
    spec: &Value,
    how: &SubmitHow,
    refused: &dyn Fn(&Problem) -> anyhow::Error,
) -> anyhow::Result<Outcome> {
    let client = global.client()?;
    let key = how.idempotency_key.clone().unwrap_or_else(random_key);
    let sweep = client.sweep_submit(spec, Some(&key)).await.map_err(|error| match error {
        // A refused spec is the user's input: exit status 2, a line for each thing that is wrong.
        ClientError::Problem(problem) if problem.status == 422 => refused(&problem),
        other => other.into(),
    })?;
    if how.wait {
        eprintln!("sweep {} submitted: {} trials", sweep.row.id, sweep.row.counts.total());
        return watch(global, &client, sweep.row.id).await;
    }
    output::emit(global.json, &sweep, || {
        format!(
            "sweep {} submitted: {} × {} = {}\nfollow it with: motif sweep watch {}",
            sweep.row.id,
            output::plural(u64::from(sweep.row.conditions), "condition"),
            output::plural(u64::from(sweep.row.seeds), "seed"),
            output::plural(sweep.row.counts.total(), "trial"),
            sweep.row.id
        )
    })?;
    Ok(Outcome::Done)
}

pub(crate) fn random_key() -> String {
    let mut bytes = [0; 16];
    motif_sweep::clock::Entropy::fill(&crate::system::SystemEntropy, &mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the server found wrong, as errors of the spec.
pub(super) fn spec_errors(problem: &Problem) -> SpecErrors {
    let errors = problem.errors.iter().map(|error| SpecError {
        value: error.value.clone(),
        suggestion: error.suggestion.clone(),
        ..SpecError::new(&error.field, &error.message)
    });
    let errors: Vec<SpecError> = errors.collect();
    if errors.is_empty() { SpecError::new("", &problem.detail).into() } else { SpecErrors(errors) }
}

pub(crate) fn problem_text(problem: &Problem) -> String {
    let mut text = problem.detail.clone();
    for error in &spec_errors(problem).0 {
        text.push_str(&format!("\n  {error}"));
    }
    text
}

pub(crate) async fn sweep(global: &Global, command: &Sweep) -> anyhow::Result<Outcome> {
    let client = global.client()?;
    match command {
        Sweep::List { limit } => {
            let page = client.sweep_list(None, Some(*limit)).await?;
            output::emit(global.json, &page, || tables::sweeps(&page.items))?;
            Ok(Outcome::Done)
        }
        Sweep::Show { sweep, of, interval } => {
            let id = resolve(&client, &sweep.id).await?;
            show(global, &client, id, &effects::query(of, *interval)).await?;
            Ok(Outcome::Done)
        }
        Sweep::Best { sweep, metric, limit } => {
            let id = resolve(&client, &sweep.id).await?;
            let board = client.sweep_leaderboard(id, metric.as_deref(), Some(*limit)).await?;
            output::emit(global.json, &board, || tables::leaderboard(&board))?;
            Ok(Outcome::Done)
        }
        Sweep::Anova { sweep, of } => {
            effects::anova(global, &client, resolve(&client, &sweep.id).await?, of).await
        }
        Sweep::Importance { sweep, of } => {
            effects::importance(global, &client, resolve(&client, &sweep.id).await?, of).await
        }
        Sweep::Watch(id) => {
            let id = resolve(&client, &id.id).await?;
            watch(global, &client, id).await
        }
        Sweep::Pause(id) => steer(global, &client, &id.id, SweepSteer::Pause).await,
        Sweep::Resume(id) => steer(global, &client, &id.id, SweepSteer::Resume).await,
        Sweep::Cancel(id) => steer(global, &client, &id.id, SweepSteer::Cancel).await,
        Sweep::Retry(id) => steer(global, &client, &id.id, SweepSteer::Retry).await,
        Sweep::Amend(args) => control::amend(global, &client, args).await,
        Sweep::Priority(args) => control::priority(global, &client, args).await,
        Sweep::Holes(args) => control::holes(global, &client, args).await,
        Sweep::Verify(args) => control::verify(global, &client, args).await,
        Sweep::Verification(id) => control::verification(global, &client, id).await,
    }
}

async fn steer(global: &Global, client: &Client, id: &str, steer: SweepSteer) -> anyhow::Result<Outcome> {
    let id = resolve(client, id).await?;
    let done = client.sweep_steer(id, steer).await?;
    let counts = client.sweep_get(id).await?.row.counts;
    output::emit(global.json, &done, || steered(steer, &done, &counts))?;
    Ok(Outcome::Done)
}

/// What an action did, in words.
fn steered(steer: SweepSteer, done: &SweepAction, counts: &StateCounts) -> String {
    if counts.queued + counts.leased == 0 && done.changed == 0 {
        return format!("nothing to do: every trial has ended ({})", tables::counts(counts));
    }
    let (changed, running) = (done.changed, counts.leased);
    match steer {
        SweepSteer::Pause => format!("paused: {} trials wait, {running} running ones go on", counts.queued),
        SweepSteer::Resume => format!("resumed: {} trials are queued, {running} running", counts.queued),
        SweepSteer::Cancel => {
            format!(
                "cancelled: {changed} waiting trials; {} running ones stop at their next heartbeat",
                done.pending
            )
        }
        SweepSteer::Retry => format!("{changed} trials are queued again"),
    }
}

/// Finds a sweep by id, by the last digits of it, by name (the newest of that name) or as `latest`.
pub(crate) async fn resolve(client: &Client, text: &str) -> anyhow::Result<Uuid> {
    if let Ok(id) = Uuid::parse_str(text) {
        return Ok(id);
    }
    let page = client.sweep_list(None, Some(SEARCH_SWEEPS)).await?;
    let by_digits = |row: &&SweepRow| text.len() >= 4 && row.id.simple().to_string().ends_with(text);
    let found = match text {
        "latest" => page.items.first(),
        _ => page.items.iter().find(by_digits).or_else(|| page.items.iter().find(|row| row.name == text)),
    };
    found.map(|row| row.id).with_context(|| {
        format!("no sweep is called {text:?}: give an id, its last digits, a name or `latest` (`motif sweep list`)")
    })
}

/// Everything a finished sweep is read by.
#[derive(Serialize)]
struct Report {
    sweep: SweepDetail,
    summary: Summary,
    comparisons: Comparisons,
    verdicts: Verdicts,
}

/// What became of a search's trials that were stopped early.
fn stopped(sweep: &SweepDetail) -> String {
    let SweepRow { counts, id, .. } = &sweep.row;
    if counts.stopped == 0 {
        return String::new();
    }
    format!(
        "{} of {} trials were stopped early: censored, they are in no mean and in no test. motif sweep best {id} ranks \
         the conditions\n",
        counts.stopped,
        counts.total()
    )
}

async fn show(
    global: &Global,
    client: &Client,
    id: Uuid,
    query: &StatisticsQuery,
) -> anyhow::Result<SweepDetail> {
    let sweep = client.sweep_get(id).await?;
    let summary = client.sweep_summary(id, query).await?;
    let comparisons = client.sweep_comparisons(id, query).await?;
    let verdicts = client.sweep_verdicts(id).await?;
    let unhappy = unhappy(client, id, &sweep.row.counts).await?;
    let report = Report { sweep, summary, comparisons, verdicts };
    output::emit(global.json, &report, || {
        let row = &report.sweep.row;
        format!(
            "{}  {}\n{}\n{}\n{}{}{}{unhappy}",
            row.name,
            row.id,
            tables::counts(&row.counts),
            output::control::steering(&report.sweep),
            tables::sweep(&report.summary, &report.comparisons),
            verdicts::text(&report.verdicts),
            stopped(&report.sweep)
        )
    })?;
    Ok(report.sweep)
}

/// Follows a sweep to its end, through outages of the server.
pub(crate) async fn follow(client: &Client, id: Uuid) -> anyhow::Result<SweepDetail> {
    let mut progress = Progress::new();
    let (mut away, mut watched) = (Duration::ZERO, Duration::ZERO);
    let sweep = loop {
        let interval = (watched / WATCH_INTERVAL_PART).clamp(WATCH_INTERVAL_MIN, WATCH_INTERVAL_MAX);
        match client.sweep_get(id).await {
            Ok(sweep) => {
                away = Duration::ZERO;
                progress.show(&sweep.row);
                // All trials have also ended between two blocks of seeds, and once a sweep is cancelled some still run.
                let over = matches!(sweep.row.state, SweepState::Finished | SweepState::Cancelled);
                if over && sweep.row.counts.finished() == sweep.row.counts.total() {
                    break sweep;
                }
            }
            Err(ClientError::Unreachable { .. }) if away < WATCH_OUTAGE_MAX => away += interval,
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => watched += interval,
            _ = tokio::signal::ctrl_c() => {
                progress.finish();
                bail!("stopped watching; the sweep goes on (motif sweep watch {id})");
            }
        }
    };
    progress.finish();
    Ok(sweep)
}

/// Follows a sweep to its end and prints its table.
async fn watch(global: &Global, client: &Client, id: Uuid) -> anyhow::Result<Outcome> {
    let sweep = follow(client, id).await?;
    show(global, client, id, &StatisticsQuery::default()).await?;
    let counts = sweep.row.counts;
    if counts.succeeded + counts.diverged + counts.stopped == counts.total() {
        return Ok(Outcome::Done);
    }
    eprintln!("not every trial was trained: {}", tables::counts(&counts));
    Ok(Outcome::Failed)
}
