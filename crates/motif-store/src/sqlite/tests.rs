//! What only the SQLite store promises: plans that use indexes, recovery of the writer, a bounded write-ahead log.

use std::{path::Path, sync::Arc};

use motif_sweep::lifecycle::TrialState;
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

use super::{Options, SqliteStore, attempts, claims, control, open, points, sweeps, trials};
use crate::{Store, StoreError, conformance::World};

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
        ("next", claims::NEXT, "SEARCH t USING INDEX trials_ready (sweep=?)"),
        ("undecided", control::UNDECIDED, "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)"),
        ("due", attempts::DUE, "SEARCH a USING INDEX attempts_due (due_at<?)"),
        ("sweeps", sweeps::LIST, "SEARCH s USING INTEGER PRIMARY KEY (rowid<?)"),
        ("trials", trials::LIST, "SEARCH t USING INDEX sqlite_autoindex_trials_2 (sweep=? AND position>?)"),
        (
            "trials in a state",
            trials::LIST_STATE,
            "SEARCH t USING INDEX trials_by_state (sweep=? AND state=? AND position>?)",
        ),
        ("results", control::RESULTS, "SEARCH t USING INDEX sqlite_autoindex_trials_2 (sweep=?)"),
        ("curve", points::CURVE, "SEARCH p USING PRIMARY KEY (attempt=?)"),
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
            assert!(!step.contains("USE TEMP B-TREE"), "{name} sorts:\n{text}");
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

#[tokio::test]
async fn an_endless_reader_does_not_stop_writers_and_the_log_shrinks_after_it() {
    let opened = opened().await;
    let (store, world) = (&opened.store, &opened.world);
    world.submit(1, 1).await;
    let mut reader = store.read().await.unwrap();
    sqlx::query("select count(*) from trials").fetch_one(&mut *reader).await.unwrap();
    let wal = opened.dir.path().join("motif.db-wal");
    let wal_bytes = || std::fs::metadata(&wal).unwrap().len();
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
