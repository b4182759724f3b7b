//! `motif dataset fetch`: published files, downloaded, checked, and imported like any others.

use std::{io::IsTerminal as _, path::Path};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use motif_client::download::{DownloadError, DownloadOptions, Wanted, download};
use motif_data::{CatalogEntry, Dataset, Library, RemoteFile, catalog};

use crate::{
    args::Global,
    commands::{Outcome, datasets},
    input::WrongInput,
};

/// Lines per file in a pipe, the last one included.
const LINES_PER_FILE: u64 = 10;

/// Where the files of one dataset wait until they are imported, beneath the data directory.
const DOWNLOADS: &str = "datasets/downloads";

pub(crate) async fn run(
    global: &Global,
    name: &str,
    mirror: Option<&str>,
    replace: bool,
) -> anyhow::Result<Outcome> {
    let Some(entry) = catalog::find(name) else {
        let known: Vec<&str> = catalog::CATALOG.iter().map(|entry| entry.name).collect();
        let known = known.join(", ");
        let text =
            format!("dataset {name:?} cannot be fetched, only {known}; `motif dataset import` reads others");
        return Err(WrongInput(text).into());
    };
    let data = global.data_dir()?;
    if global.server.is_none() && !replace {
        // The catalogue knows no content hash: that the name is there has to do.
        if let Some(there) = Library::open(&data)?.resolve(name)? {
            eprintln!("{name} is already there; --replace fetches it again");
            return datasets::show(global, &datasets::row(&there));
        }
    }
    let folder = data.join(DOWNLOADS).join(name);
    let dataset =
        fetch(entry, mirror.unwrap_or(entry.base_url), &folder, &DownloadOptions::default()).await?;
    let outcome = datasets::store(global, name, &dataset, replace).await?;
    // The library has it now; what cannot be removed only takes room.
    let _ = std::fs::remove_dir_all(&folder);
    Ok(outcome)
}

/// Fetches every file of the entry that is not yet in the folder, and imports the folder.
async fn fetch(
    entry: &CatalogEntry,
    base: &str,
    folder: &Path,
    options: &DownloadOptions,
) -> anyhow::Result<Dataset> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for file in entry.files {
        let url = format!("{}/{}", base.trim_end_matches('/'), file.name);
        let wanted = Wanted { url: &url, bytes: file.bytes, sha256: file.sha256 };
        let mut meter = Meter::new(file);
        let fetched =
            download(wanted, &folder.join(file.name), options, &mut |bytes| meter.show(bytes)).await;
        meter.finish();
        match fetched {
            Err(error @ DownloadError::Address { .. }) => return Err(WrongInput(error.to_string()).into()),
            other => other?,
        }
    }
    let folder = folder.to_owned();
    let imported = tokio::task::spawn_blocking(move || motif_data::import(&folder)).await?;
    Ok(imported?)
}

/// One file's progress on stderr: a bar on a terminal, else a line for every tenth.
enum Meter {
    Bar(ProgressBar),
    Lines { name: &'static str, bytes: u64, shown: u64 },
}

impl Meter {
    fn new(file: &RemoteFile) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines { name: file.name, bytes: file.bytes, shown: 0 };
        }
        let bar = ProgressBar::new(file.bytes);
        let style = ProgressStyle::with_template(
            "{prefix} {bar:30.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
        )
        .expect("the template is well formed");
        bar.set_style(style.progress_chars("━━╌"));
        bar.set_prefix(file.name);
        Self::Bar(bar)
    }

    fn show(&mut self, now: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(now),
            Self::Lines { name, bytes, shown } => {
                let part = now * LINES_PER_FILE / (*bytes).max(1);
                if part > *shown {
                    *shown = part;
                    let percent = part * 100 / LINES_PER_FILE;
                    eprintln!("{name}: {percent} % of {:.1} MB", *bytes as f64 / 1e6);
                }
            }
        }
    }

    /// Leaves the last state on the screen.
    fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    //! A small dataset from a server on this machine; the downloads themselves are tested where they are made.

    use std::{collections::BTreeMap, fs};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    const TRAIN: &[u8] = b"0,1,2,3,4\n1,5,6,7,8\n";
    const TRAIN_SHA256: &str = "1a53531cb1f19d978e4db48d06df9a9d95a186e72eb4622b0c7701e34d9aaa4b";
    const TEST: &[u8] = b"1,9,9,9,9\n";
    const TEST_SHA256: &str = "f4b8a810cedbb60b95638593e8f4d3ec738c0103752369556e84fbf869e15f5c";

    fn entry() -> CatalogEntry {
        let files = vec![
            RemoteFile { name: "train.csv", bytes: TRAIN.len() as u64, sha256: TRAIN_SHA256 },
            RemoteFile { name: "test.csv", bytes: TEST.len() as u64, sha256: TEST_SHA256 },
        ];
        CatalogEntry { name: "small", base_url: "http://127.0.0.1:9/", files: files.leak() }
    }

    /// Serves the files below `/mirror/`; everything else is not there.
    async fn serve(files: BTreeMap<&'static str, &'static [u8]>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/mirror", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let found = path.strip_prefix("/mirror/").and_then(|name| files.get(name));
                let (status, body) = found.map_or(("404 Not Found", &b""[..]), |body| ("200 OK", *body));
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        base
    }

    #[tokio::test]
    async fn a_mirror_replaces_the_base_and_what_is_there_is_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = DownloadOptions::default();
        let half = serve(BTreeMap::from([("train.csv", TRAIN)])).await;
        let error = fetch(&entry(), &half, folder.path(), &options).await.unwrap_err();
        assert!(
            error.to_string().contains("/mirror/test.csv: the server answers with status 404"),
            "{error}"
        );
        assert!(folder.path().join("train.csv").is_file());

        let rest = serve(BTreeMap::from([("test.csv", TEST)])).await;
        let dataset = fetch(&entry(), &format!("{rest}/"), folder.path(), &options).await.unwrap();
        assert_eq!((dataset.train().len(), dataset.test().len()), (2, 1));
    }

    #[tokio::test]
    async fn a_mirror_with_other_contents_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = serve(BTreeMap::from([("train.csv", &b"0,1,2,3,4\n1,5,6,7,9\n"[..])])).await;
        let error = fetch(&entry(), &mirror, folder.path(), &DownloadOptions::default()).await.unwrap_err();
        assert!(error.to_string().contains(TRAIN_SHA256), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_wrong_input() {
        let folder = tempfile::tempdir().unwrap();
        let error = fetch(&entry(), "mirror", folder.path(), &DownloadOptions::default()).await.unwrap_err();
        assert!(error.downcast_ref::<WrongInput>().is_some(), "{error}");
    }
}
