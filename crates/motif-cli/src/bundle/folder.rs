//! A folder that is written beside its place and then moved there: it is whole, or it is not there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::manifest::{self, FileEntry, Manifest};
use crate::input::WrongInput;

/// A bundle under construction.
pub(crate) struct Folder {
    place: PathBuf,
    made: TempDir,
    files: BTreeMap<String, FileEntry>,
}

impl Folder {
    /// Begins a bundle that will be at `place`.
    ///
    /// # Errors
    /// [`WrongInput`] when something other than a bundle or an empty folder is there.
    pub(crate) fn begin(place: &Path) -> anyhow::Result<Self> {
        check(place)?;
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".motif-bundle-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let made = builder.tempdir_in(parent).with_context(|| format!("cannot write {}", place.display()))?;
        Ok(Self { place: place.to_owned(), made, files: BTreeMap::new() })
    }

    /// Where a file goes while the bundle is made; its folder is there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.made.path().join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(path)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add(&mut self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
        fs::write(self.path(name)?, content).with_context(|| format!("cannot write {name}"))?;
        self.adopt(name)
    }

    /// Counts a file that was written to its [`path`](Self::path) as one of the bundle's.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn adopt(&mut self, name: &str) -> anyhow::Result<()> {
        let entry = manifest::file_entry(&self.path(name)?).with_context(|| format!("cannot read {name}"))?;
        self.files.insert(name.to_owned(), entry);
        Ok(())
    }

    /// The files so far.
    pub(crate) fn files(&self) -> &BTreeMap<String, FileEntry> {
        &self.files
    }

    /// Writes the manifest and moves the folder to its place; an earlier bundle there gives way.
    ///
    /// # Errors
    /// When it cannot be moved; an earlier bundle is then still there.
    pub(crate) fn finish(self, facts: manifest::Facts) -> anyhow::Result<u64> {
        let manifest = Manifest::new(facts, self.files);
        let text = serde_json::to_string_pretty(&manifest)?;
        fs::write(self.made.path().join(manifest::FILE), text)?;
        let name = || format!("cannot write {}", self.place.display());
        let made = self.made.keep();
        let earlier = made.with_extension("earlier");
        let moved = (|| {
            // What came there meanwhile is not swept away either.
            check(&self.place)?;
            if self.place.exists() {
                fs::rename(&self.place, &earlier)?;
            }
            fs::rename(&made, &self.place).inspect_err(|_| {
                // Nothing more can be done if this fails too; both folders are still there.
                let _ = fs::rename(&earlier, &self.place);
            })?;
            anyhow::Ok(())
        })();
        if let Err(error) = moved {
            let _ = fs::remove_dir_all(&made);
            return Err(error).with_context(name);
        }
        if earlier.exists() {
            fs::remove_dir_all(&earlier).with_context(|| format!("cannot remove {}", earlier.display()))?;
        }
        Ok(manifest.files.values().map(|entry| entry.bytes).sum())
    }
}

fn check(place: &Path) -> anyhow::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(place) else { return Ok(()) };
    let refuse = |what: &str| {
        WrongInput(format!(
            "{} is {what}: name a new folder, or an earlier bundle to replace",
            place.display()
        ))
    };
    if !metadata.is_dir() {
        return Err(refuse("not a folder").into());
    }
    let empty = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
    if !empty && Manifest::read(place).is_err() {
        return Err(refuse("a folder that is no bundle").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str) -> manifest::Facts {
        manifest::Facts {
            sweep_id: uuid::Uuid::nil(),
            name: name.to_owned(),
            made_at: jiff::Timestamp::UNIX_EPOCH,
            finished: true,
            results_hash: "h".into(),
            datasets: Vec::new(),
        }
    }

    #[test]
    fn a_bundle_is_whole_or_not_there_and_replaces_only_bundles() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("bundle");
        let mut folder = Folder::begin(&place).unwrap();
        folder.add("data/a.txt", "one").unwrap();
        assert!(!place.exists());
        drop(folder);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "what broke off leaves nothing");

        for (name, text) in [("first", "one"), ("second", "two")] {
            let mut folder = Folder::begin(&place).unwrap();
            folder.add("data/a.txt", text).unwrap();
            folder.finish(facts(name)).unwrap();
        }
        let manifest = Manifest::read(&place).unwrap();
        assert_eq!(
            (manifest.name.as_str(), fs::read_to_string(place.join("data/a.txt")).unwrap()),
            ("second", "two".into())
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the first one is gone");
        assert!(manifest.changed(&place).unwrap().is_empty());
        fs::write(place.join("data/a.txt"), "twO").unwrap();
        assert_eq!(manifest.changed(&place).unwrap(), ["data/a.txt has changed"]);
        fs::remove_file(place.join("data/a.txt")).unwrap();
        assert_eq!(manifest.changed(&place).unwrap(), ["data/a.txt is missing"]);

        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        assert!(Folder::begin(&other).is_ok(), "an empty folder is no loss");
        fs::write(other.join("thesis.tex"), "years").unwrap();
        let refused = Folder::begin(&other).err().unwrap().to_string();
        assert!(refused.contains("no bundle"), "{refused}");
        assert!(Folder::begin(&other.join("thesis.tex")).is_err());
    }

    #[test]
    fn a_manifest_that_points_outside_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::begin(&dir.path().join("b")).unwrap();
        folder.add("a", "x").unwrap();
        let mut manifest = Manifest::new(facts("n"), folder.files().clone());
        let entry = manifest.files["a"].clone();
        manifest.files.insert("../secret".into(), entry);
        assert!(manifest.changed(dir.path()).unwrap_err().to_string().contains("not within"));
    }
}
