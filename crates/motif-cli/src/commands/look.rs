//! `motif workers`, `token`: looking at what a server has, and who may.

use motif_sweep::{memory::human, schema};
use motif_wire::system::Scope;

use crate::{
    args::{Global, SchemaOf, Token},
    commands::Outcome,
    input::WrongInput,
    output::{self, tables},
};

pub(crate) async fn workers(global: &Global) -> anyhow::Result<Outcome> {
    let workers = global.client()?.worker_list().await?;
    output::emit(global.json, &workers, || {
        if workers.is_empty() {
            return "no worker has called yet: start one with `motif worker --server URL`".to_owned();
        }
        let mut table = tables::table(
            &[
                "worker",
                "host",
                "",
                "slots",
                "running",
                "completed",
                "last heard of",
                "instruction set",
                "memory",
                "labels",
            ],
            &[3, 4, 5],
        );
        for worker in &workers {
            table.add_row(vec![
                worker.name.clone(),
                worker.host.clone(),
                if worker.alive { "alive" } else { "gone" }.to_owned(),
                worker.slots.to_string(),
                worker.leased.to_string(),
                worker.completed.to_string(),
                worker.seen_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                worker.instruction_set.clone(),
                tables::or_dash(worker.memory_bytes.map(human)),
                worker.labels.join(", "),
            ]);
        }
        table.to_string()
    })?;
    Ok(Outcome::Done)
}

pub(crate) async fn token(global: &Global, command: &Token) -> anyhow::Result<Outcome> {
    let client = global.client()?;
    match command {
        Token::Create { name, scopes } => {
            let scopes = scopes.iter().map(|scope| parse_scope(scope)).collect::<Result<Vec<_>, _>>()?;
            let created = client.token_create(name, &scopes).await?;
            output::emit(global.json, &created, || {
                format!("{}\nkeep it: it is not shown again (id {})", created.token, created.row.id)
            })?;
        }
        Token::List => {
            let tokens = client.token_list().await?;
            output::emit(global.json, &tokens, || {
                let mut table = tables::table(&["id", "name", "scopes", "made", "revoked"], &[]);
                for token in &tokens {
                    let scopes: Vec<_> =
                        token.scopes.iter().map(|s| format!("{s:?}").to_lowercase()).collect();
                    table.add_row(vec![
                        token.id.to_string(),
                        token.name.clone(),
                        scopes.join(", "),
                        token.created_at.strftime("%Y-%m-%d").to_string(),
                        token.revoked_at.map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default(),
                    ]);
                }
                table.to_string()
            })?;
        }
        Token::Revoke { id } => {
            client.token_revoke(*id).await?;
            output::emit(global.json, &serde_json::json!({ "revoked": id }), || format!("revoked {id}"))?;
        }
    }
    Ok(Outcome::Done)
}

fn parse_scope(text: &str) -> anyhow::Result<Scope> {
    serde_json::from_value(serde_json::Value::String(text.trim().to_owned()))
        .map_err(|_| WrongInput(format!("scope {text:?}: there are admin, submit, worker and read")).into())
}

/// Prints a schema, which is JSON with or without `--json`.
pub(crate) fn schema(of: SchemaOf) -> anyhow::Result<Outcome> {
    let schema = match of {
        SchemaOf::Sweep => schema::sweep(),
        SchemaOf::Trial => schema::trial(),
    };
    output::emit(true, schema, String::new)?;
    Ok(Outcome::Done)
}
