//! How many claims and completions per second the store takes from 16 tasks at once, each waiting for its commits.
//!
//! `cargo run -p motif-store --example store_rate -- [trials waiting in the queue]`

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use motif_store::{
    Queue, Store,
    conformance::World,
    records::{Finish, PointRecord},
    sqlite::{Options, SqliteStore},
};

const TASKS: u32 = 16;
const TRIALS_PER_TASK: u32 = 250;

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn started() -> Instant {
    Instant::now()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let queued: u64 = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let dir: PathBuf = std::env::temp_dir().join(format!("motif-store-rate-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let store = Arc::new(SqliteStore::open(&dir.join("motif.db"), Options::default()).await?);
    let world = Arc::new(World::new(Arc::clone(&store) as Arc<dyn Store>));

    let clock = started();
    let sweep = world.submit(10, queued.div_ceil(10)).await;
    println!("submit {} trials: {:.2} s", sweep.trials.len(), clock.elapsed().as_secs_f64());

    for points in [0, 5] {
        let seconds = run(&world, points).await?;
        let rate = f64::from(TASKS * TRIALS_PER_TASK) / seconds;
        println!("{TASKS} tasks, claim + {points} points + complete: {rate:.0} trials/s ({seconds:.2} s)");
    }
    let clock = started();
    let list = store.trial_list(sweep.id, None, 0, 500).await?;
    println!("list of {} trials: {:.1} ms", list.items.len(), clock.elapsed().as_secs_f64() * 1e3);
    let clock = started();
    let curve = store.sweep_curve(sweep.id, "train_loss").await?;
    println!("curve of {} samples: {:.1} ms", curve.len(), clock.elapsed().as_secs_f64() * 1e3);
    store.close().await;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// Runs every task's trials and returns the seconds that took.
async fn run(world: &Arc<World>, points: u64) -> Result<f64, tokio::task::JoinError> {
    let clock = started();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let world = Arc::clone(world);
        tasks.spawn(async move {
            for _ in 0..TRIALS_PER_TASK {
                run_one(&world, task, points).await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    Ok(clock.elapsed().as_secs_f64())
}

async fn run_one(world: &World, worker: u32, points: u64) {
    let leased = world.store.trial_claim(world.claim_of(worker, 1), world.now).await.expect("a lease");
    let fence = world.fence(&leased[0]);
    if points > 0 {
        let points = (0..points).map(|seq| PointRecord {
            seq,
            step: seq,
            epoch: seq as f64,
            values: BTreeMap::from([("train_loss".into(), 1.0), ("test_loss".into(), 2.0)]),
        });
        world.store.attempt_points(fence, points.collect(), world.now).await.expect("stored");
    }
    let finish = Finish {
        diverged_step: None,
        stopped: None,
        steps: 5,
        metrics: BTreeMap::from([("test_accuracy".into(), 0.9), ("test_loss".into(), 0.1)]),
        result_hash: "hash".into(),
        report: serde_json::json!({"steps": 5}),
    };
    world.store.attempt_complete(fence, finish, world.now).await.expect("completed");
}
