//! Where things are: the data directory, the server, the token. Nothing here acts on them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use etcetera::{AppStrategy as _, AppStrategyArgs, choose_app_strategy};
use motif_client::{Client, ClientOptions};
use serde::{Deserialize, Serialize};

use crate::{args::Global, system::SystemEntropy};

/// Where a server listens unless told otherwise.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// What `motif up` leaves for other commands of the same user, in `client.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClientFile {
    /// The server's address.
    pub(crate) server: String,
    /// A token for it.
    pub(crate) token: String,
    /// The dashboard's address, with a token that may submit and read.
    pub(crate) dashboard: String,
    /// The server's process id.
    pub(crate) pid: u32,
}

const CLIENT_FILE: &str = "client.json";
const TOKENS_FILE: &str = "local-tokens.json";

/// The tokens that `motif up` hands to its own workers, to its owner's browser and to its owner's commands. They stay
/// the same from one start to the next, so that a page or a waiting command outlives a restart; whoever deletes the
/// file revokes them at the next start.
#[derive(Serialize, Deserialize)]
pub(crate) struct LocalTokens {
    pub(crate) worker: String,
    pub(crate) dashboard: String,
    pub(crate) command: String,
}

impl LocalTokens {
    /// The tokens of a data directory, made at its first `motif up`.
    pub(crate) fn of(data: &Path) -> anyhow::Result<Self> {
        let path = data.join(TOKENS_FILE);
        if let Some(tokens) = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(tokens);
        }
        let mint = || motif_server::mint_token(&SystemEntropy);
        let tokens = Self { worker: mint(), dashboard: mint(), command: mint() };
        write_private(data, TOKENS_FILE, &tokens)?;
        Ok(tokens)
    }
}

/// Writes a file that only its owner can read, in one step.
fn write_private(data: &Path, name: &str, content: &impl Serialize) -> anyhow::Result<()> {
    let path = data.join(name);
    let file = tempfile::Builder::new().prefix(".private").tempfile_in(data)?;
    serde_json::to_writer_pretty(&file, content)?;
    file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

impl ClientFile {
    fn path(data: &Path) -> PathBuf {
        data.join(CLIENT_FILE)
    }

    /// Writes the file so that only its owner can read it, in one step.
    pub(crate) fn write(&self, data: &Path) -> anyhow::Result<()> {
        write_private(data, CLIENT_FILE, self)
    }

    /// Reads the file, if a server has left one.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(data)).ok()?).ok()
    }

    pub(crate) fn remove(data: &Path) {
        // A file that stays behind names a server that is gone, which the next command reports by itself.
        let _ = fs::remove_file(Self::path(data));
    }
}

impl Global {
    /// The data directory, made if it is not there.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        let dir = match &self.data {
            Some(dir) => dir.clone(),
            None => choose_app_strategy(AppStrategyArgs {
                top_level_domain: String::new(),
                author: String::new(),
                app_name: "motif".to_owned(),
            })
            .context("there is no home directory: name a data directory with --data or MOTIF_DATA")?
            .data_dir(),
        };
        fs::create_dir_all(&dir)
            .with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
        Ok(dir)
    }

    /// The server's address and token: flags and environment first, then what `motif up` left behind.
    pub(crate) fn endpoint(&self) -> anyhow::Result<(String, Option<String>)> {
        let left = self.data_dir().ok().and_then(|dir| ClientFile::read(&dir));
        Ok(match (&self.server, left) {
            (Some(server), left) => {
                let token = self.token.clone().or_else(|| {
                    left.filter(|left| left.server.trim_end_matches('/') == server.trim_end_matches('/'))
                        .map(|left| left.token)
                });
                (server.clone(), token)
            }
            (None, Some(left)) => (left.server, Some(self.token.clone().unwrap_or(left.token))),
            (None, None) => (DEFAULT_SERVER.to_owned(), self.token.clone()),
        })
    }

    /// A client for the server.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let (server, token) = self.endpoint()?;
        if token.is_none() {
            bail!(
                "no token for {server}: set MOTIF_TOKEN or pass --token (a server prints one at its first start; \
                 `motif up` hands one to commands that use the same data directory)"
            );
        }
        client(&server, token)
    }
}

/// A client for the given server.
pub(crate) fn client(server: &str, token: Option<String>) -> anyhow::Result<Client> {
    Ok(Client::new(ClientOptions { token, ..ClientOptions::new(server) })?)
}
