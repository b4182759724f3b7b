//! `motif rerun`: submits what a bundle holds, and compares what comes of it with what the bundle recorded.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    args::{Global, Rerun},
    bundle::{HASHES_FILE, SPEC_FILE, hashes, manifest::Manifest, words::plural},
    commands::{Outcome, sweeps},
    input::WrongInput,
    output::{self, tables},
};
use anyhow::{Context as _, bail};
use motif_client::{
    Client, ClientError,
    reproduce::{Made, Pair, Reproduction, Verdict, compare},
};
use motif_wire::{export::ExportDocument, sweeps::SweepDetail};
use serde_json::{Value, json};

/// Mismatches that are listed; `--json` has all.
const MISMATCHES_LISTED_MAX: usize = 50;

pub(crate) async fn run(global: &Global, args: &Rerun) -> anyhow::Result<Outcome> {
    let manifest = Manifest::read(&args.bundle)?;
    check_files(&manifest, args)?;
    let (spec, recorded) = read(&args.bundle)?;
    let client = global.client()?;
    check_datasets(&client, &manifest).await?;
    let id = match &args.sweep {
        Some(sweep) => sweeps::resolve(&client, sweep).await?,
        None => {
            let sweep = submit(&client, &spec).await?;
            if !args.wait {
                return submitted(global, args, &sweep);
            }
            let trials = plural(sweep.row.counts.total(), "trial", "trials");
            eprintln!("sweep {} submitted: {trials}", sweep.row.id);
            sweep.row.id
        }
    };
    if args.wait {
        sweeps::follow(&client, id).await?;
    }
    let export = client.sweep_export(id, "json").await?;
    let ExportDocument { sweep, trials } =
        serde_json::from_slice(&export).context("the server's export is not what this version knows")?;
    let found = compare(&recorded, &hashes::made(&sweep, &trials));
    let document = json!({ "sweep_id": id, "bundle": manifest.sweep_id, "reproduction": found });
    output::emit(global.json, &document, || text(&found))?;
    let nothing = found.verified == 0 && recorded.iter().any(|made| made.result_hash.is_some());
    Ok(if found.mismatched > 0 || nothing { Outcome::Failed } else { Outcome::Done })
}

fn check_files(manifest: &Manifest, args: &Rerun) -> anyhow::Result<()> {
    let changed = manifest.changed(&args.bundle)?;
    if changed.is_empty() {
        return Ok(());
    }
    let list = changed.join("\n  ");
    if args.accept_changes {
        eprintln!("not as the manifest has it:\n  {list}");
        return Ok(());
    }
    bail!(
        "{} is not as it was written:\n  {list}\nwith --accept-changes it is run all the same",
        args.bundle.display()
    );
}

fn read(bundle: &Path) -> anyhow::Result<(Value, Vec<Made>)> {
    let open = |name: &str| {
        let path = bundle.join(name);
        fs::read_to_string(&path)
            .map_err(|error| WrongInput(format!("cannot read {}: {error}", path.display())))
    };
    let wrong = |name: &str, error: &dyn std::fmt::Display| WrongInput(format!("{name}: {error}"));
    let spec = serde_json::from_str(&open(SPEC_FILE)?).map_err(|error| wrong(SPEC_FILE, &error))?;
    let made =
        hashes::read(&open(HASHES_FILE)?).map_err(|error| wrong(HASHES_FILE, &format!("{error:#}")))?;
    Ok((spec, made))
}

/// A name must stand for the same content here as where the bundle was made: every one that does not is told at once.
async fn check_datasets(client: &Client, manifest: &Manifest) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    for dataset in &manifest.datasets {
        let (name, hash) = (&dataset.name, &dataset.hash);
        match client.dataset_get(name).await {
            Ok(row) if row.hash == *hash => {}
            Ok(row) => wrong.push(format!("{name}: the bundle was made with content {hash}, the server has {}", row.hash)),
            Err(ClientError::Problem(problem)) if problem.status == 404 => wrong.push(format!(
                "{name}: the server has no such dataset; it needs the content {hash} (`motif dataset fetch` or `import`)"
            )),
            Err(error) => return Err(error.into()),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("datasets differ, so that results could not be compared:\n  {}", wrong.join("\n  "));
}

async fn submit(client: &Client, spec: &Value) -> anyhow::Result<SweepDetail> {
    let key = sweeps::random_key();
    client.sweep_submit(spec, Some(&key)).await.map_err(|error| match error {
        ClientError::Problem(problem) if problem.status == 422 => {
            WrongInput(format!("{SPEC_FILE} is refused: {}", sweeps::problem_text(&problem))).into()
        }
        other => other.into(),
    })
}

fn submitted(global: &Global, args: &Rerun, sweep: &SweepDetail) -> anyhow::Result<Outcome> {
    let id = sweep.row.id;
    output::emit(global.json, sweep, || {
        let trials = plural(sweep.row.counts.total(), "trial", "trials");
        format!(
            "sweep {id} submitted: {trials}\ncompare it when it has ended with: motif rerun {} --sweep {id}",
            args.bundle.display()
        )
    })?;
    Ok(Outcome::Done)
}

fn text(found: &Reproduction) -> String {
    let mut text = format!(
        "{} verified, {} mismatched, {} unverified\n",
        found.verified, found.mismatched, found.unverified
    );
    let sets = sets(found);
    if !sets.is_empty() {
        text.push_str(&format!("instruction sets, recorded → here: {}\n", sets.join(", ")));
    }
    let of = |verdict| found.pairs.iter().filter(move |pair| pair.verdict == verdict);
    if found.mismatched > 0 {
        text.push_str(&format!("{}\n", mismatches(of(Verdict::Mismatched))));
        let more = (found.mismatched as usize).saturating_sub(MISMATCHES_LISTED_MAX);
        if more > 0 {
            text.push_str(&format!("… and {more} more (--json has all)\n"));
        }
    }
    if found.mismatched_across_instruction_sets > 0 {
        text.push_str("results are comparable only between machines of the same instruction set\n");
    }
    let no_record = of(Verdict::Unverified).filter(|pair| pair.recorded.is_none()).count() as u64;
    let not_here = found.unverified - no_record;
    if no_record > 0 {
        text.push_str(&format!(
            "{} in the bundle\n",
            plural(no_record, "trial has no result", "trials have no result")
        ));
    }
    if not_here > 0 {
        text.push_str(&format!(
            "{} here\n",
            plural(not_here, "trial has no result", "trials have no result")
        ));
    }
    text
}

/// Each pair of instruction sets with the number of trials.
fn sets(found: &Reproduction) -> Vec<String> {
    let mut sets: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for pair in found.pairs.iter().filter(|pair| pair.verdict != Verdict::Unverified) {
        let recorded = pair.recorded_instruction_set.as_deref().unwrap_or("?");
        let here = pair.rerun_instruction_set.as_deref().unwrap_or("?");
        *sets.entry((recorded, here)).or_default() += 1;
    }
    let told = |((recorded, here), n): (&(&str, &str), &u64)| format!("{recorded} → {here} ({n})");
    sets.iter().map(told).collect()
}

fn mismatches<'a>(pairs: impl Iterator<Item = &'a Pair>) -> String {
    let mut table =
        tables::table(&["condition", "seed", "recorded", "instruction set", "here", "instruction set"], &[1]);
    let short = |hash: &Option<String>| hash.as_deref().unwrap_or("?").chars().take(16).collect::<String>();
    let set = |set: &Option<String>| set.clone().unwrap_or_else(|| "?".to_owned());
    for pair in pairs.take(MISMATCHES_LISTED_MAX) {
        table.add_row(vec![
            pair.label.clone(),
            pair.key.seed.to_string(),
            short(&pair.recorded),
            set(&pair.recorded_instruction_set),
            short(&pair.rerun),
            set(&pair.rerun_instruction_set),
        ]);
    }
    table.to_string()
}
