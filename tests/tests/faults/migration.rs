//! What happens when versions differ: a server that dies while it brings an older file up to date, a migration that
//! fails, a worker of an older version.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use motif_tests::{
    chance::Chance,
    invariants::{self, Ledger},
    player::{self, Shared},
    process::{Process, Server, wait_for},
    proxy::{Fault, Proxy, Rule, When},
};
use nix::sys::signal::Signal;
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::scene::{Scene, until};

const LIMIT: Duration = Duration::from_secs(60);

/// The project's migrations, by number.
fn migrations() -> anyhow::Result<Vec<Migration>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "sql"));
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).context("utf-8")?;
            let (number, name) = stem.split_once('_').context("NUMBER_NAME.sql")?;
            let sql = AssertSqlSafe(fs::read_to_string(path)?).into_sql_str();
            Ok(Migration::new(number.parse()?, name.to_owned().into(), MigrationType::Simple, sql, false))
        })
        .collect()
}

async fn open(path: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(false);
    Ok(SqliteConnection::connect_with(&options).await?)
}

async fn column(conn: &mut SqliteConnection, sql: String) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

async fn number(conn: &mut SqliteConnection, sql: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query(sql).fetch_one(conn).await?.try_get(0)?)
}

/// A store of the schema of the first so many migrations, with what a store of today's holds and that schema can.
async fn older(newer: &Path, data: &Path, schema: usize) -> anyhow::Result<()> {
    fs::create_dir(data)?;
    let mut conn = open(&data.join("motif.db")).await?;
    let first = migrations()?.into_iter().take(schema).collect();
    Migrator::with_migrations(first).run_direct(None, &mut conn, false).await?;
    let name = newer.join("motif.db");
    sqlx::query("attach ? as newer").bind(name.to_str().context("utf-8")?).execute(&mut conn).await?;
    let tables = "select name from main.sqlite_schema where type = 'table' and name not like 'sqlite_%'
        and name not like '_sqlx_%'";
    for table in column(&mut conn, tables.to_owned()).await? {
        let shared = format!(
            "select name from pragma_table_info('{table}', 'main')
                intersect select name from pragma_table_info('{table}', 'newer')"
        );
        let columns = column(&mut conn, shared).await?.join(", ");
        let copy =
            format!("insert or replace into main.{table} ({columns}) select {columns} from newer.{table}");
        sqlx::query(AssertSqlSafe(copy)).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}

/// A store of today's schema with sweeps, results and points, and what was acknowledged of them.
async fn filled(dir: &Path) -> anyhow::Result<(PathBuf, String, Ledger)> {
    let data = dir.join("newer");
    let mut server = Server::start(&data)?;
    let client = player::client(&server)?;
    let shared = Arc::new(Shared::default());
    let submitter = tokio::spawn(player::submit(client.clone(), Arc::clone(&shared)));
    let player = tokio::spawn(player::work(client, Chance::new(22), Arc::clone(&shared)));
    until("something to keep", async || Ok((shared.ledger().len() > 60).then_some(()))).await?;
    shared.stop.store(true, Ordering::Relaxed);
    submitter.await?;
    player.await?;
    server.process.signal(Signal::SIGTERM)?;
    ensure!(server.process.wait(LIMIT)?.success());
    Ok((data, server.token.clone(), shared.ledger()))
}

/// How many rows there are of what must not be lost, in a file that may be of any schema.
async fn rows(data: &Path) -> anyhow::Result<(i64, [i64; 4])> {
    let mut conn = open(&data.join("motif.db")).await?;
    let sound = column(&mut conn, "pragma integrity_check".to_owned()).await?;
    ensure!(sound == ["ok"], "{sound:?}");
    let schema = number(&mut conn, "select count(*) from _sqlx_migrations where success").await?;
    let rows = [
        number(&mut conn, "select count(*) from trials").await?,
        number(&mut conn, "select count(*) from attempts").await?,
        number(&mut conn, "select count(*) from results").await?,
        number(&mut conn, "select count(*) from points").await?,
    ];
    conn.close().await?;
    Ok((schema, rows))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir(to)?;
    fs::copy(from.join("motif.db"), to.join("motif.db"))?;
    Ok(())
}

fn launch(data: &Path, env: &[(&str, &str)]) -> anyhow::Result<Process> {
    Server::launch(data, &["--listen", "127.0.0.1:0"], env)
}

/// A server starts there, everything is in the file, and work goes on.
async fn goes_on(data: &Path, token: &str, ledger: &Ledger) -> anyhow::Result<()> {
    let server = Server::start_at(data, "127.0.0.1:0", Some(token.to_owned()))?;
    let found = invariants::check(data, ledger).await?;
    ensure!(found.lost.is_empty(), "lost: {:?}", found.lost);
    let client = player::client(&server)?;
    let sweep = client.sweep_submit(&player::sweep("after", 2, &[1]), None).await?.row.id;
    let shared = Arc::new(Shared::default());
    let player = tokio::spawn(player::work(client.clone(), Chance::new(23), Arc::clone(&shared)));
    until("work to go on", async || {
        Ok((client.sweep_get(sweep).await?.row.counts.succeeded == 2).then_some(()))
    })
    .await?;
    shared.stop.store(true, Ordering::Relaxed);
    player.await?;
    let found = invariants::check(data, &shared.ledger()).await?;
    ensure!(found.lost.is_empty(), "lost: {:?}", found.lost);
    Ok(())
}

/// A server that ends right before each commit of its start on a file of the first schema, and then at random moments
/// again and again; the file is whole each time, and the next server starts from where the last one was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_a_server_dies_while_it_migrates() -> anyhow::Result<()> {
    const KILLS: u64 = 12;
    let dir = tempfile::tempdir()?;
    let (newer, token, ledger) = filled(dir.path()).await?;
    let old = dir.path().join("old");
    older(&newer, &old, 1).await?;
    let (first, kept) = rows(&old).await?;
    let newest = i64::try_from(migrations()?.len())?;
    ensure!(first == 1 && kept.iter().all(|rows| *rows > 0), "{kept:?}");

    let mut schemas = Vec::new();
    for commit in 1.. {
        let data = dir.path().join(format!("commit-{commit}"));
        copy(&old, &data)?;
        let mut server = launch(&data, &[("MOTIF_ABORT", &format!("before_commit:{commit}"))])?;
        let mut found = None;
        let ended = wait_for("the server to end or to have migrated", LIMIT, || {
            found = server.try_wait()?;
            Ok((found.is_some() || data.join("checkpoints").exists()).then_some(found))
        })?;
        let Some(status) = ended else { break };
        ensure!(status.signal() == Some(Signal::SIGABRT as i32), "commit {commit}: {status}");
        let (schema, left) = rows(&data).await.with_context(|| format!("commit {commit}"))?;
        ensure!(left == kept, "commit {commit}: {left:?} of {kept:?}");
        schemas.push(schema);
        goes_on(&data, &token, &ledger).await.with_context(|| format!("commit {commit}"))?;
    }
    // Each step of the way was where some server ended.
    for schema in 1..newest {
        ensure!(schemas.contains(&schema), "no server ended at schema {schema}: {schemas:?}");
    }

    let chance = Chance::new(22);
    for _ in 0..KILLS {
        let mut server = launch(&old, &[])?;
        thread::sleep(Duration::from_millis(chance.below(200)));
        server.kill()?;
        let (schema, left) = rows(&old).await?;
        ensure!(left == kept && (1..=newest).contains(&schema), "schema {schema}: {left:?} of {kept:?}");
    }
    goes_on(&old, &token, &ledger).await?;
    ensure!(rows(&old).await?.0 == newest);
    println!("ended before {} commits at schemas {schemas:?}, and {KILLS} times at random", schemas.len());
    Ok(())
}

/// A migration that cannot be done leaves the file as it was, says so, and is done once it can be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_a_migration_that_fails_leaves_the_old_schema() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (newer, token, ledger) = filled(dir.path()).await?;
    let old = dir.path().join("old");
    older(&newer, &old, 2).await?;
    let mut conn = open(&old.join("motif.db")).await?;
    // Where the third migration puts a table of its own, after it has changed others.
    sqlx::query("create table standings (mine integer)").execute(&mut conn).await?;
    let schema = "select group_concat(sql, ';') from sqlite_schema";
    let before = column(&mut conn, schema.to_owned()).await?;
    conn.close().await?;
    for _ in 0..2 {
        let mut server = launch(&old, &[])?;
        let status = server.wait(LIMIT)?;
        let said = fs::read_to_string(old.with_extension("log"))?;
        ensure!(status.code() == Some(1) && said.contains("standings"), "{status}: {said}");
        let mut conn = open(&old.join("motif.db")).await?;
        ensure!(column(&mut conn, schema.to_owned()).await? == before, "a failed migration left something");
        conn.close().await?;
        ensure!(rows(&old).await?.0 == 2);
    }
    let mut conn = open(&old.join("motif.db")).await?;
    sqlx::query("drop table standings").execute(&mut conn).await?;
    conn.close().await?;
    goes_on(&old, &token, &ledger).await
}

/// A worker that says it is of an older protocol: a proxy says it for today's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_22_an_older_worker_is_told_so_and_ends() -> anyhow::Result<()> {
    let scene = Scene::start(&[])?;
    let sweep = scene.submit(&player::sweep("s", 2, &[1])).await?;
    let proxy = Proxy::start(&scene.server.url, 22).await?;
    let older = Fault::Replace("\"protocol\":1", "\"protocol\":0");
    proxy.set(&[Rule { part: "/claims", when: When::Every(1), fault: older }]);
    let data = scene.folder("older");
    let data = data.to_str().context("utf-8")?;
    let out = scene.server.motif(&["worker", "--server", &proxy.url, "--slots", "1", "--data", data])?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(1), "{}: {said}", out.status);
    for words in
        ["does not accept this worker", "protocol 0", "this server 1", "update Motif on the worker's machine"]
    {
        ensure!(said.contains(words), "no {words:?} in {said}");
    }
    ensure!(proxy.struck("/claims") == 1, "it asked again");
    let counts = scene.client.sweep_get(sweep).await?.row.counts;
    ensure!(counts.queued == 2, "it was given a trial: {counts:?}");
    scene.check(&Ledger::default()).await?;
    Ok(())
}
