//! What only the SQLite store promises: plans that use indexes, recovery of the writer, a bounded write-ahead log.

mod together;

use std::{path::Path, sync::Arc};

use motif_sweep::lifecycle::{Policy, TrialState};
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};
use tempfile::TempDir;

use super::{
    Options, SqliteStore, attempts, claims, control, curves, open, points, reports, stopping, sweeps, trials,
    workers,
};
use crate::{Queue, Store, StoreError, conformance::World};

struct Opened {
    store: Arc<SqliteStore>,
    world: World,
    dir: TempDir,
}

async fn opened() -> Opened {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(SqliteStore::open(&file(dir.path()), Options::default()).await.unwrap());
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    Opened { store, world, dir }
}

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("motif.db")
}

/// How SQLite would run a statement, one line per step.
async fn plan(conn: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows =
        sqlx::query(sqlx::AssertSqlSafe(format!("explain query plan {sql}"))).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

#[tokio::test]
async fn frequent_statements_use_indexes() {
    let opened = opened().await;
    opened.world.submit(2, 3).await;
    opened.store.close().await;
    let mut conn = open::connect_writer(&file(opened.dir.path())).await.unwrap();
    let statements = [
        (
            "promote",
            claims::PROMOTE,
            "SEARCH trials USING INDEX trials_waiting (not_before>? AND not_before<?)",
        ),
        ("sweeps to claim of", claims::SWEEPS, "SCAN p USING INDEX sweep_progress_claimable"),
        (
            "waited",
            claims::WAITED,
            "SEARCH trials USING COVERING INDEX trials_waiting (not_before>? AND not_before<?)",
        ),
        ("next", claims::NEXT, "SEARCH t USING INDEX trials_ready (sweep=?)"),
        ("undecided", control::UNDECIDED, "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"),
        ("due", attempts::DUE, "SEARCH a USING INDEX attempts_due (due_at<?)"),
        ("by id", attempts::BY_ID, "SEARCH a USING INDEX sqlite_autoindex_attempts_1 (id=?)"),
        ("of claims", attempts::OF_CLAIMS, "SEARCH a USING INDEX sqlite_autoindex_attempts_3 (claim_id=?)"),
        ("extend", attempts::EXTEND, "SEARCH attempts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("end", attempts::END, "SEARCH attempts USING INTEGER PRIMARY KEY (rowid=?)"),
        ("move", attempts::MOVE, "SEARCH trials USING INTEGER PRIMARY KEY (rowid=?)"),
        ("totals", reports::SET_TOTALS, "SEARCH trials USING INTEGER PRIMARY KEY (rowid=?)"),
        ("heard of", workers::HEARD_OF, "SEARCH workers USING INTEGER PRIMARY KEY (rowid=?)"),
        ("newest points", points::NEWEST, "SEARCH p USING PRIMARY KEY (attempt=? AND seq=?)"),
        ("sweeps", sweeps::LIST, "SEARCH s USING INTEGER PRIMARY KEY (rowid<?)"),
        ("trials", trials::LIST, "SEARCH t USING INDEX sqlite_autoindex_trials_2 (sweep=? AND position>?)"),
        (
            "trials in a state",
            trials::LIST_STATE,
            "SEARCH t USING INDEX trials_by_state (sweep=? AND state=? AND position>?)",
        ),
        (
            "others",
            stopping::OTHERS,
            "SEARCH standings USING COVERING INDEX standings_at (sweep=? AND epoch=?)",
        ),
        ("outcomes", trials::OUTCOMES, "SEARCH t USING INDEX sqlite_autoindex_trials_2 (sweep=?)"),
        (
            "attempts of a curve",
            curves::ATTEMPTS,
            "SEARCH a USING INDEX sqlite_autoindex_attempts_2 (trial=? AND number=?)",
        ),
        ("points of a curve", curves::POINTS, "SEARCH p USING PRIMARY KEY (attempt=?)"),
        ("results", control::RESULTS, "SEARCH t USING INDEX sqlite_autoindex_trials_2 (sweep=?)"),
    ];
    for (name, sql, expected) in statements {
        let steps = plan(&mut conn, sql).await;
        let text = steps.join("\n");
        assert!(steps.iter().any(|step| step == expected), "{name}: no {expected} in\n{text}");
        for step in &steps {
            let scans_rows = step.starts_with("SCAN")
                && !step.ends_with("sweep_progress_claimable")
                && !step.ends_with("sweep_progress_undecided")
                && !step.contains("VIRTUAL TABLE")
                && !step.contains("places");
            assert!(!scans_rows, "{name} scans a table:\n{text}");
            let sorts = step.contains("USE TEMP B-TREE") && name != "of claims";
            assert!(!sorts, "{name} sorts:\n{text}");
        }
    }
}

async fn limit_pages(store: &SqliteStore, pragma: &'static str) {
    store
        .writer
        .run(move |conn| {
            Box::pin(async move {
                sqlx::query(pragma).execute(conn).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_everything_and_is_left_behind() {
    let opened = opened().await;
    let before = opened.world.submit(1, 1).await;
    let (store, world) = (&opened.store, &opened.world);
    limit_pages(store, "pragma max_page_count = 1").await;
    let big = world.sweep(10, 1000);
    let refused = store.sweep_create(big.clone(), None, world.now).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(matches!(store.sweep_get(big.id).await, Err(StoreError::NotFound(_))));
    limit_pages(store, "pragma max_page_count = 1000000").await;
    store.sweep_create(big.clone(), None, world.now).await.unwrap();
    store.ready().await.unwrap();
    assert_eq!(store.sweep_get(big.id).await.unwrap().counts.of(TrialState::Queued), 10_000);
    assert_eq!(store.sweep_get(before.id).await.unwrap().counts.of(TrialState::Queued), 1);
}

#[tokio::test]
async fn a_failed_commit_answers_every_command_of_its_group() {
    let opened = opened().await;
    let store = &opened.store;
    // Held open here, the first command makes the others wait and share the next transaction.
    let (release, held) = tokio::sync::oneshot::channel::<()>();
    let (begin, begun) = tokio::sync::oneshot::channel::<()>();
    let first = store.writer.run(|_| {
        Box::pin(async move {
            begin.send(()).unwrap();
            Ok(held.await.is_ok())
        })
    });
    let touch = || {
        store.writer.run(|conn| {
            Box::pin(async move {
                sqlx::query("insert into meta (key, value) values ('touched', 1)").execute(conn).await?;
                Ok(())
            })
        })
    };
    // A deferred foreign key makes the commit itself fail.
    let breaking = store.writer.run(|conn| {
        Box::pin(async move {
            sqlx::query("pragma defer_foreign_keys = on").execute(&mut *conn).await?;
            sqlx::query("insert into sweep_progress (sweep) values (999)").execute(conn).await?;
            Ok(())
        })
    });
    let others = async {
        begun.await.unwrap();
        let let_go = async { release.send(()).unwrap() };
        tokio::join!(biased; touch(), breaking, let_go)
    };
    let (first, (touched, broken, ())) = tokio::join!(first, others);
    assert!(first.unwrap());
    assert!(matches!(broken, Err(StoreError::Unavailable(_))), "{broken:?}");
    assert!(matches!(touched, Err(StoreError::Unavailable(_))), "{touched:?}");
    touch().await.expect("the key is free: nothing of the group was kept");
    assert!(matches!(touch().await, Err(StoreError::Conflict(_))));
}

#[tokio::test]
async fn a_command_runs_on_when_its_caller_goes_away() {
    let opened = opened().await;
    let (store, world) = (&opened.store, &opened.world);
    let sweep = world.sweep(2, 2);
    let mut call = store.sweep_create(sweep.clone(), None, world.now);
    // One look queues the command; then the caller is gone.
    let queued = std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context))).await;
    assert!(queued.is_pending());
    drop(call);
    store.ready().await.unwrap();
    assert_eq!(store.sweep_get(sweep.id).await.unwrap().counts.of(TrialState::Queued), 4);
}

/// A transaction that has begun to read, and does until it is dropped.
async fn reading(store: &SqliteStore) -> Transaction<'static, Sqlite> {
    let mut reader = store.read().await.unwrap();
    sqlx::query("select count(*) from trials").fetch_one(&mut *reader).await.unwrap();
    reader
}

fn wal_bytes(opened: &Opened) -> u64 {
    std::fs::metadata(opened.dir.path().join("motif.db-wal")).unwrap().len()
}

#[tokio::test]
async fn an_endless_reader_does_not_stop_writers_and_the_log_shrinks_after_it() {
    let opened = opened().await;
    let (store, world) = (&opened.store, &opened.world);
    world.submit(1, 1).await;
    let reader = reading(store).await;
    let wal_bytes = || wal_bytes(&opened);
    while wal_bytes() <= 64 << 20 {
        world.submit(10, 10_000).await;
    }
    assert!(wal_bytes() < 256 << 20);
    drop(reader);
    for _ in 0..200 {
        store.ready().await.unwrap();
    }
    assert!(wal_bytes() < 8 << 20, "{} bytes", wal_bytes());
}

#[tokio::test]
async fn a_reader_that_keeps_the_log_from_being_emptied_stops_writers_at_its_bound_and_no_longer() {
    let opened = opened().await;
    let (store, world) = (&opened.store, &opened.world);
    world.submit(1, 1).await;
    let reader = reading(store).await;
    let wal_bytes = || wal_bytes(&opened);
    let refused = loop {
        let sweep = world.sweep(10, 10_000);
        if let Err(error) = store.sweep_create(sweep, None, world.now).await {
            break error;
        }
        assert!(wal_bytes() < 256 << 20, "{} bytes, and nothing is refused", wal_bytes());
    };
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused:?}");
    assert!(wal_bytes() > 192 << 20, "refused at {} bytes", wal_bytes());
    let full = wal_bytes();
    assert!(store.ready().await.is_err() && store.ready().await.is_err());
    assert_eq!(wal_bytes(), full, "something was written all the same");
    store.sweep_list(None, false, 9).await.expect("it can be read all the time");
    drop(reader);
    // The connection takes a moment to end its transaction.
    while store.ready().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(wal_bytes() < 8 << 20, "{} bytes", wal_bytes());
    world.submit(1, 1).await;
}

#[tokio::test]
async fn an_unknown_migration_is_refused() {
    let opened = opened().await;
    opened.store.close().await;
    let path = file(opened.dir.path());
    let mut conn = open::connect_writer(&path).await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9999, 'later', true, x'00', 0)",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    conn.close().await.unwrap();
    let refused = SqliteStore::open(&path, Options::default()).await.err().expect("refused");
    assert!(refused.to_string().contains("newer motif"), "{refused}");
}

#[tokio::test]
async fn readers_cannot_write() {
    let opened = opened().await;
    let mut reader = opened.store.read().await.unwrap();
    let refused = sqlx::query("delete from meta").execute(&mut *reader).await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

/// Rows as a store of the first schema wrote them: a sweep with a trial in each of some states, one of them leased.
const FIRST_SCHEMA: &str = "
    insert into sweeps (n, id, name, metric, conditions, policy, principal, created_at, seeds, spec)
        values (1, unhex('00000000000070008000000000000001'), 'old', 'test_accuracy', 1, '{POLICY}', 'someone',
            1800000000000, '[0,1,2]', '{}');
    insert into sweep_progress (sweep, queued, leased, succeeded) values (1, 1, 1, 1);
    insert into conditions (n, sweep, position, label, config_hash, dataset_hash, axes, config)
        values (1, 1, 0, 'only', 'c', 'd', '{}', '{\"epochs\": 3}');
    insert into condition_counts (sweep, condition, queued, leased, succeeded) values (1, 0, 1, 1, 1);
    insert into trials (n, id, sweep, position, condition, seed, state, attempt, total_steps, finished_at) values
        (1, unhex('00000000000070008000000000000011'), 1, 0, 0, 0, 'succeeded', 1, 9, 1800000001000),
        (2, unhex('00000000000070008000000000000012'), 1, 1, 0, 1, 'leased', 1, 9, null),
        (3, unhex('00000000000070008000000000000013'), 1, 2, 0, 2, 'queued', 0, null, null);
    insert into workers (n, id, name, host, version, instruction_set, slots, first_seen_at, seen_at)
        values (1, unhex('00000000000070008000000000000021'), 'w', 'h', '0', 'scalar', 1, 1800000000000, 1800000001000);
    insert into attempts (n, id, trial, number, worker, claim_id, offer, secret_hash, epoch, step, started_at, seen_at,
            expires_at, progressed_at, due_at, ended_at, outcome) values
        (1, unhex('00000000000070008000000000000031'), 1, 1, 1, zeroblob(16), 0, zeroblob(32), 1, 9, 1800000000000,
            1800000001000, 1800000030000, 1800000000000, 1800000030000, 1800000001000, 'succeeded'),
        (2, unhex('00000000000070008000000000000032'), 2, 1, 1, zeroblob(16), 1, zeroblob(32), 1, 3, 1800000000000,
            1800000001000, 1800000030000, 1800000000000, 1800000030000, null, null);
    insert into results (trial, attempt, digest, result_hash, report) values (1, 1, zeroblob(32), 'hash', '{}');
    insert into final_metrics (trial, name, value) values (1, 'test_accuracy', 0.5);
";

#[tokio::test]
async fn a_store_of_the_first_schema_goes_on_with_what_it_holds() {
    let dir = TempDir::new().unwrap();
    let path = file(dir.path());
    let mut conn = open::connect_writer(&path).await.unwrap();
    open::apply(&mut conn, &open::MIGRATIONS[..1]).await.unwrap();
    let policy = serde_json::to_string(&Policy::default()).unwrap();
    let rows = FIRST_SCHEMA.replace("{POLICY}", &policy);
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut conn).await.unwrap();
    let refused = sqlx::query("update trials set state = 'stopped' where n = 2").execute(&mut conn).await;
    assert!(refused.is_err(), "the first schema knows no such state");
    conn.close().await.unwrap();

    let store = SqliteStore::open(&path, Options::default()).await.unwrap();
    let sweep = store.sweep_list(None, false, 9).await.unwrap().items.remove(0);
    assert_eq!(sweep.counts.0, [1, 1, 1, 0, 0, 0, 0, 0]);
    let trials = store.trial_list(sweep.id, None, 0, 9).await.unwrap().items;
    let states: Vec<_> = trials.iter().map(|trial| (trial.state, trial.attempt, trial.step)).collect();
    let [done, running, waiting] = [TrialState::Succeeded, TrialState::Leased, TrialState::Queued];
    assert_eq!(states, [(done, 1, 9), (running, 1, 3), (waiting, 0, 0)]);
    assert_eq!((trials[0].result_hash.as_deref(), trials[0].metrics["test_accuracy"]), (Some("hash"), 0.5));
    let none = trials.iter().all(|trial| trial.stop.is_none() && trial.stopped.is_none());
    assert!(none, "nothing was stopped early before there was such a thing");
    store.close().await;

    let mut conn = open::connect_writer(&path).await.unwrap();
    for sql in [
        "update trials set state = 'stopped', finished_at = 1800000002000 where n = 2",
        "update attempts set outcome = 'stopped', ended_at = 1800000002000 where n = 2",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    for sql in ["update trials set state = 'gone'", "update attempts set outcome = 'gone' where n = 2"] {
        let refused = sqlx::query(sql).execute(&mut conn).await.unwrap_err().to_string();
        assert!(refused.contains("CHECK constraint failed"), "{refused}");
    }
    let counts = "select leased, stopped, ended_at from sweep_progress";
    let row = sqlx::query(counts).fetch_one(&mut conn).await.unwrap();
    let ended: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(ended, (0, 1, 1_800_000_002_000), "counts follow the new state");
    let sound: String = sqlx::query("pragma integrity_check").fetch_one(&mut conn).await.unwrap().get(0);
    assert_eq!(sound, "ok");
    assert!(sqlx::query("pragma foreign_key_check").fetch_all(&mut conn).await.unwrap().is_empty());
    let writable: i64 = sqlx::query("pragma writable_schema").fetch_one(&mut conn).await.unwrap().get(0);
    assert_eq!(writable, 0);
}
