//! The files of checkpoints and snapshots, `DATA/checkpoints/{hash}` and `DATA/snapshots/{hash}`: written before their
//! row, deleted after it.
//!
//! A file whose row is not yet, or no longer, there does no harm; a row without its file is seen when it is asked for.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use futures::StreamExt;
use tempfile::NamedTempFile;
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, OwnedMutexGuard},
};

use crate::{
    error::{ApiError, ApiResult},
    limits,
    state::ServerState,
};

/// How files that are still being received end.
const PARTIAL: &str = ".tmp";
/// Hex digits of a hash.
pub(crate) const HASH_DIGITS: usize = 64;

/// The folders of files that attempts hand over.
#[derive(Debug, Clone)]
pub struct Folders {
    pub(crate) checkpoints: Folder,
    pub(crate) snapshots: Folder,
}

impl Folders {
    /// Opens the folders below a data directory, making those that are not there, and deletes what an earlier server had
    /// begun to receive. One server at a time: it calls this after it has locked its store.
    ///
    /// # Errors
    /// When a folder cannot be made or read, or a file not be deleted.
    pub fn open(data: &Path) -> io::Result<Self> {
        Ok(Self {
            checkpoints: Folder::open(data.join("checkpoints"))?,
            snapshots: Folder::open(data.join("snapshots"))?,
        })
    }
}

/// A folder of files that are named by the hash of what is in them.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// Held from a file's appearance to its row, and from a look at the rows to the deletion of files.
    files: Arc<Mutex<()>>,
}

/// A body that has been received.
pub(crate) struct Received {
    temp: NamedTempFile,
    pub(crate) hash: String,
    pub(crate) bytes: u64,
}

impl Folder {
    fn open(dir: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&dir)?;
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(PARTIAL) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Self { dir, files: Arc::default() })
    }

    pub(crate) async fn lock(&self) -> OwnedMutexGuard<()> {
        self.files.clone().lock_owned().await
    }

    /// Receives a body that is not empty and has the hash that was said, if one was.
    pub(crate) async fn receive_as(&self, body: Body, blake3: Option<&str>) -> ApiResult<Received> {
        let received = self.receive(body).await?;
        if let Some(said) = blake3
            && received.hash != said
        {
            let message = format!("the body's hash is {}: it was changed on its way", received.hash);
            return Err(ApiError::parameter("blake3", message, said));
        }
        if received.bytes == 0 {
            return Err(ApiError::rule("", "the body is empty", None));
        }
        Ok(received)
    }

    /// Receives a body into a temporary file beside the others.
    async fn receive(&self, body: Body) -> ApiResult<Received> {
        let dir = self.dir.clone();
        let temp = blocking(move || tempfile::Builder::new().suffix(PARTIAL).tempfile_in(dir)).await?;
        let mut file = tokio::fs::File::from_std(temp.reopen().map_err(ApiError::UploadedFile)?);
        let (mut stream, mut hasher, mut bytes) = (body.into_data_stream(), blake3::Hasher::new(), 0);
        let patience = Duration::from_secs(limits::UPLOAD_CHUNK_TIMEOUT_S);
        loop {
            let next = tokio::time::timeout(patience, stream.next()).await;
            let Some(chunk) = next.map_err(|_| ApiError::Slow)? else { break };
            let chunk = chunk.map_err(|_| {
                let message = "the body broke off";
                ApiError::Body(vec![crate::error::field_error("", message, None, None)])
            })?;
            bytes += chunk.len() as u64;
            if bytes > limits::UPLOAD_BODY_MAX_BYTES {
                return Err(ApiError::TooLarge { max_bytes: limits::UPLOAD_BODY_MAX_BYTES });
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(ApiError::UploadedFile)?;
        }
        file.flush().await.map_err(ApiError::UploadedFile)?;
        Ok(Received { temp, hash: hasher.finalize().to_hex().to_string(), bytes })
    }

    /// Gives what was received its name; it is safe on the disk afterwards.
    pub(crate) async fn keep(&self, received: Received) -> ApiResult<()> {
        let dir = self.dir.clone();
        blocking(move || {
            received.temp.as_file().sync_all()?;
            received.temp.persist(dir.join(&received.hash)).map_err(|error| error.error)?;
            File::open(&dir)?.sync_all()
        })
        .await
    }

    /// The file with this hash, or `None` when it is missing or damaged.
    pub(crate) async fn whole(&self, hash: &str) -> ApiResult<Option<File>> {
        let (path, expected) = (self.dir.join(hash), hash.to_owned());
        blocking(move || {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(file.by_ref().take(limits::UPLOAD_BODY_MAX_BYTES))?;
            file.rewind()?;
            Ok((hasher.finalize().to_hex().as_str() == expected).then_some(file))
        })
        .await
    }

    /// Deletes the files whose hashes are not among those that `kept` gives, and says how many.
    async fn delete_but<K>(&self, kept: K) -> ApiResult<usize>
    where
        K: Future<Output = motif_store::Result<BTreeSet<String>>>,
    {
        let _files = self.lock().await;
        let kept = kept.await?;
        let dir = self.dir.clone();
        blocking(move || {
            let mut deleted = 0;
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_hash = name.len() == HASH_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_hash && !kept.contains(&name) {
                    std::fs::remove_file(entry.path())?;
                    deleted += 1;
                }
            }
            Ok(deleted)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(call: impl FnOnce() -> io::Result<T> + Send + 'static) -> ApiResult<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(done) => done.map_err(ApiError::UploadedFile),
        Err(error) => Err(ApiError::Panicked(error.to_string())),
    }
}

/// Deletes files that no row names, at the start and every `every`, until the server ends.
pub(crate) async fn run(state: ServerState, every: Duration) {
    let Folders { checkpoints, snapshots } = &state.folders;
    loop {
        let done = [
            ("checkpoints", checkpoints.delete_but(state.store.checkpoint_hashes()).await),
            ("snapshots", snapshots.delete_but(state.store.snapshot_hashes()).await),
        ];
        for (what, done) in done {
            match done {
                Ok(0) => {}
                Ok(deleted) => tracing::debug!(what, deleted, "files without a row were deleted"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(what, error, "files without a row could not be deleted");
                }
            }
        }
        tokio::select! {
            () = state.shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}
