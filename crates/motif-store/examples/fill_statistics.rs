//! Fills a store with two finished sweeps for `cargo xtask bench statistics`, through the calls that a server makes: a grid
//! whose trials logged many diagnostics, and a sampled search that logged none.
//!
//! `cargo run --example fill_statistics -- FILE TRIALS POINTS METRICS`; prints both sweeps' ids as JSON.

use std::{collections::BTreeMap, error::Error, path::Path, sync::Arc};

use motif_store::{
    Store,
    conformance::World,
    records::{ConditionRecord, Finish, Leased, NewControl, NewSweep, NewTrial, PointRecord},
    sqlite::{Options, SqliteStore},
};
use motif_sweep::{
    ids::{SweepId, TrialId},
    lifecycle::Policy,
    spec::SweepSpec,
};
use serde_json::{Value, json};

/// Seeds of each condition.
const SEEDS: u64 = 5;
/// Trials claimed at once.
const CLAIMED: u32 = 64;
/// Workers at once.
const WORKERS: u32 = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, trials, points, metrics] = arguments.as_slice() else {
        return Err("expected FILE TRIALS POINTS METRICS".into());
    };
    let (trials, points, metrics): (u64, u64, usize) = (trials.parse()?, points.parse()?, metrics.parse()?);
    let store = Arc::new(SqliteStore::open(Path::new(file), Options::default()).await?);
    let world = Arc::new(World::new(Arc::clone(&store) as Arc<dyn Store>));
    let conditions = trials / SEEDS;
    let names = Arc::new(names(metrics));
    let grid = submit(&world, &grid(conditions)).await?;
    run(&world, points, &names).await?;
    let search = submit(&world, &search(conditions)).await?;
    run(&world, 0, &names).await?;
    store.close().await;
    println!("{}", json!({ "grid": grid.0, "search": search.0 }));
    Ok(())
}

/// A crossed sweep of about that many conditions.
fn grid(conditions: u64) -> Value {
    let rows = (conditions / 20).max(1);
    let rates: Vec<f64> = (1..=rows).map(|row| row as f64 / 1e4).collect();
    json!({
        "name": "grid", "seeds": SEEDS, "baseline": { "ratio": 1.0, "rates.w": rates[0], "momentum": 0.0 },
        "axes": { "rates.w": rates, "ratio": [1.0, 1.5, 2.0, 3.0, 4.0], "momentum": [0.0, 0.3, 0.6, 0.9] },
    })
}

/// A search of about that many points.
fn search(conditions: u64) -> Value {
    let range = |low: f64, high: f64| json!({ "low": low, "high": high, "scale": "log" });
    json!({
        "name": "search", "seeds": SEEDS,
        "sample": {
            "count": conditions, "rates.w": range(0.01, 1.0), "rates.v": range(0.01, 1.0), "decay.w": range(1e-5, 1e-2),
            "ratio": range(0.5, 8.0), "clip_norm": range(0.1, 10.0),
        },
    })
}

async fn submit(world: &World, spec: &Value) -> Result<SweepId, Box<dyn Error>> {
    let spec = SweepSpec::from_json(spec.clone()).map_err(|wrong| wrong.to_string())?;
    let plan = spec.plan().map_err(|wrong| wrong.to_string())?;
    let id = SweepId(world.id());
    let condition = |condition: &motif_sweep::plan::Condition| {
        Ok::<_, serde_json::Error>(ConditionRecord {
            index: condition.index,
            label: condition.label.clone(),
            axes: condition.axes.clone(),
            config: serde_json::to_value(&condition.config)?,
            config_hash: condition.config_hash(),
            dataset_hash: "dataset".into(),
        })
    };
    let trial = |trial: &motif_sweep::plan::PlannedTrial| NewTrial {
        id: TrialId(world.id()),
        condition: trial.condition,
        seed: trial.seed,
    };
    let sweep = NewSweep {
        stop: None,
        control: NewControl::default(),
        id,
        name: spec.name.clone(),
        spec: spec.to_json(),
        metric: spec.metric.clone(),
        baseline: plan.baseline,
        seeds: plan.seeds.clone(),
        policy: Policy::default(),
        conditions: plan.conditions.iter().map(condition).collect::<Result<_, _>>()?,
        trials: plan.trials.iter().map(trial).collect(),
        principal: "bench".into(),
    };
    world.store.sweep_create(sweep, None, world.now).await?;
    Ok(id)
}

/// The names of what a trial logs and ends with.
fn names(metrics: usize) -> Vec<String> {
    let results = ["test_accuracy", "test_loss", "train_accuracy", "train_loss", "rate"].map(str::to_owned);
    let families = ["cos_v", "cos_motif", "norm_w", "norm_w_bar", "norm_v", "sparsity", "drive"];
    let layers = (1..).flat_map(|layer| families.map(|family| format!("{family}.{layer}")));
    results.into_iter().chain(layers).take(metrics).collect()
}

/// Claims and ends every trial there is.
async fn run(world: &Arc<World>, points: u64, names: &Arc<Vec<String>>) -> Result<(), Box<dyn Error>> {
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let (world, names) = (Arc::clone(world), Arc::clone(names));
        workers.spawn(async move {
            loop {
                let claim = world.claim_of(worker, CLAIMED);
                let leased = world.store.trial_claim(claim, world.now).await.expect("leases");
                if leased.is_empty() {
                    return;
                }
                for trial in &leased {
                    end(&world, trial, points, &names).await;
                }
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done?;
    }
    Ok(())
}

async fn end(world: &World, leased: &Leased, points: u64, names: &[String]) {
    let fence = world.fence(leased);
    let of = |name: usize, step: u64| value(&leased.config, leased.seed, name, step);
    let values = |step| names.iter().enumerate().map(|(at, name)| (name.clone(), of(at, step))).collect();
    let logged = (0..points).map(|seq| PointRecord {
        seq,
        step: (seq + 1) * 157,
        epoch: (seq + 1) as f64 / 2.0,
        values: values(seq),
    });
    if points > 0 {
        world.store.attempt_points(fence, logged.collect(), world.now).await.expect("stored");
    }
    let metrics: BTreeMap<String, f64> = values(points);
    let report = json!({
        "steps": points * 157, "metrics": metrics, "training_s": 12.5, "evaluation_s": 0.5,
        "provenance": { "host": "bench", "version": "0.1.0", "instruction_set": "avx2", "threads": 1 },
    });
    let result_hash = format!("{:064x}", leased.trial_id.0.as_u128());
    let finish =
        Finish { diverged_step: None, stopped: None, steps: points * 157, metrics, result_hash, report };
    world.store.attempt_complete(fence, finish, world.now).await.expect("completed");
}

/// A number that depends on the swept keys, the seed, the metric and the step, with noise, which compresses badly.
fn value(config: &Value, seed: u64, name: usize, step: u64) -> f64 {
    let of = |path: &str| config.pointer(path).and_then(Value::as_f64).unwrap_or(0.0);
    let (w, ratio, momentum) = (of("/rates/w"), of("/ratio"), of("/momentum"));
    let bits =
        [w.to_bits(), ratio.to_bits(), momentum.to_bits(), of("/rates/v").to_bits(), seed, name as u64, step];
    let mixed = bits.into_iter().fold(0x9E37_79B9_7F4A_7C15_u64, |hash, part| {
        let hash = (hash ^ part).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (hash ^ (hash >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (hash >> 32)
    });
    let noise = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    0.9 - 0.05 * (w.max(1e-6).log10() + 1.0).powi(2) + 0.01 * ratio - 0.02 * momentum * ratio + 0.02 * noise
}
