//! `motif sweep amend | priority | holes | verify | verification`: steering a sweep after its submission.

use anyhow::Context as _;
use motif_client::{Client, ClientError};
use motif_sweep::spec::SpecErrors;
use motif_wire::{
    control::AmendReply,
    reproduction::{Verification, VerifyRequest},
    sweeps::SweepDetail,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    args::{Amend, Global, Holes, Priority, Seeds, SweepId, Verify},
    commands::{
        Outcome,
        sweeps::{follow, random_key, resolve, spec_errors},
    },
    input::{Input, WrongInput, read_input},
    output::{self, control},
};

pub(crate) async fn amend(global: &Global, client: &Client, args: &Amend) -> anyhow::Result<Outcome> {
    let file = args.amendment.as_deref().map(read_input).transpose()?;
    let document = file.as_ref().map(Input::document).transpose()?;
    let mut change = document.as_ref().map_or_else(Map::new, |document| document.root().clone());
    let id = resolve(client, &args.sweep.id).await?;
    if let Some(seeds) = &args.seeds {
        change.insert("seeds".to_owned(), with_seeds(client, id, seeds).await?);
    }
    if let Some(note) = &args.note {
        change.insert("note".to_owned(), json!(note));
    }
    let key = args.idempotency_key.clone().unwrap_or_else(random_key);
    let reply = client.sweep_amend(id, &Value::Object(change), Some(&key)).await;
    let reply = reply.map_err(|error| match error {
        // A refused change is the user's input: exit status 2, a line for each thing that is wrong.
        ClientError::Problem(problem) if matches!(problem.status, 400 | 422) => {
            let errors = spec_errors(&problem);
            match (&file, &document) {
                (Some(file), Some(document)) => file.wrong(&document.locate(errors)),
                _ => refused(&errors),
            }
        }
        other => other.into(),
    })?;
    output::emit(global.json, &reply, || amended(&reply))?;
    Ok(Outcome::Done)
}

/// The seeds that were asked for: listed ones come beside those that are there.
async fn with_seeds(client: &Client, id: Uuid, seeds: &Seeds) -> anyhow::Result<Value> {
    Ok(match seeds {
        Seeds::Count(count) => json!(count),
        Seeds::These(new) => {
            let mut all = client.sweep_get(id).await?.seed_values;
            let added: Vec<u64> = new.iter().copied().filter(|seed| !all.contains(seed)).collect();
            all.extend(added);
            json!(all)
        }
    })
}

fn refused(errors: &SpecErrors) -> anyhow::Error {
    let lines: Vec<String> = errors.into_iter().map(|error| format!("\n  {error}")).collect();
    WrongInput(format!("the sweep cannot be amended so:{}", lines.concat())).into()
}

fn amended(reply: &AmendReply) -> String {
    let row = &reply.sweep.row;
    match &reply.amendment {
        None => "nothing to add: all of it is there".to_owned(),
        Some(amendment) => format!(
            "{}; the sweep has {} conditions × {} seeds, {} trials are queued",
            amendment.in_words(),
            row.conditions,
            row.seeds,
            row.counts.queued
        ),
    }
}

pub(crate) async fn priority(global: &Global, client: &Client, args: &Priority) -> anyhow::Result<Outcome> {
    let id = resolve(client, &args.sweep.id).await?;
    let done = client.sweep_priority(id, args.priority).await?;
    output::emit(global.json, &done, || {
        format!("priority {}: {} waiting trials moved", args.priority, done.changed)
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn holes(global: &Global, client: &Client, args: &Holes) -> anyhow::Result<Outcome> {
    let id = resolve(client, &args.sweep.id).await?;
    if args.run {
        let done = client.sweep_holes_run(id).await?;
        output::emit(global.json, &done, || format!("{} trials are queued", done.changed))?;
        return Ok(Outcome::Done);
    }
    let holes = client.sweep_holes(id).await?;
    output::emit(global.json, &holes, || control::holes(&holes))?;
    Ok(Outcome::Done)
}

pub(crate) async fn verify(global: &Global, client: &Client, args: &Verify) -> anyhow::Result<Outcome> {
    let id = resolve(client, &args.sweep.id).await?;
    let request = VerifyRequest { share: args.share, seed: args.seed };
    let rerun = client.sweep_verify(id, &request, Some(&random_key())).await?;
    let trials = rerun.row.counts.total();
    if !args.wait {
        output::emit(global.json, &rerun, || {
            format!(
                "{} submitted: {trials} trials are run again\nsee what came of it with: motif sweep verification {id}",
                rerun.row.name
            )
        })?;
        return Ok(Outcome::Done);
    }
    eprintln!("{trials} trials are run again");
    let rerun = follow(client, rerun.row.id).await?;
    let verification = client.sweep_verification(id).await?;
    output::emit(global.json, &verification, || control::verification(&verification))?;
    Ok(judged(&verification, &rerun))
}

/// Whether every re-run has a result and nothing contradicts what is reproduced.
fn judged(verification: &Verification, rerun: &SweepDetail) -> Outcome {
    let counts = &rerun.row.counts;
    let lost = counts.total() - counts.succeeded - counts.diverged;
    if lost > 0 {
        eprintln!("{lost} re-runs have no result: motif trial list {}", rerun.row.id);
    }
    if verification.mismatched > 0 || lost > 0 { Outcome::Failed } else { Outcome::Done }
}

pub(crate) async fn verification(
    global: &Global,
    client: &Client,
    sweep: &SweepId,
) -> anyhow::Result<Outcome> {
    let id = resolve(client, &sweep.id).await?;
    let verification = client.sweep_verification(id).await.context("the verification cannot be read")?;
    output::emit(global.json, &verification, || control::verification(&verification))?;
    Ok(if verification.mismatched > 0 { Outcome::Failed } else { Outcome::Done })
}
