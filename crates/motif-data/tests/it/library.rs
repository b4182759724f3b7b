//! The library: names, contents, damage.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use motif_data::library::MAX_CACHED_DATASETS;
use motif_data::{DatasetEntry, GLYPHS_HASH, GLYPHS_NAME, Library, LibraryError};
use tempfile::TempDir;

use crate::small;

fn library() -> (TempDir, Library) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let library = Library::open(dir.path()).expect("opens");
    (dir, library)
}

fn name_file(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(format!("datasets/names/{name}.json"))
}

fn files_in(dir: &TempDir, folder: &str) -> usize {
    fs::read_dir(dir.path().join("datasets").join(folder)).expect("is there").count()
}

#[test]
fn what_is_put_is_listed_resolved_and_loaded_by_another_process() {
    let (dir, library) = library();
    let dataset = small(4, 2, 0);
    let entry = library.put("tiny", &dataset, false).unwrap();
    assert_eq!(entry.summary, dataset.summary());
    let other = Library::open(dir.path()).unwrap();
    assert_eq!(other.resolve("tiny").unwrap(), Some(entry.clone()));
    assert_eq!(other.names().unwrap(), ["glyphs", "tiny"]);
    assert_eq!(other.list().unwrap()[1], entry);
    assert_eq!(*other.load(&entry.hash).unwrap(), dataset);
    assert_eq!(other.read_blob(&entry.hash).unwrap(), dataset.to_bytes());
    assert_eq!(fs::read(other.blob_path(&entry.hash).unwrap()).unwrap(), dataset.to_bytes());
    assert_eq!(other.verify("tiny").unwrap(), dataset.summary());
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(name_file(&dir, "tiny")).unwrap()).unwrap();
    assert_eq!((&json["name"], &json["hash"]), (&"tiny".into(), &entry.hash.into()));
    assert_eq!(json["summary"]["train_examples"], 4);
}

#[test]
fn the_same_again_changes_nothing() {
    let (dir, library) = library();
    let dataset = small(4, 2, 0);
    let first = library.put("tiny", &dataset, false).unwrap();
    let blob = library.blob_path(&first.hash).unwrap();
    let before =
        [&blob, &name_file(&dir, "tiny")].map(|path| fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(library.put("tiny", &dataset, false).unwrap(), first);
    assert_eq!(library.put_bytes(Some("tiny"), &dataset.to_bytes(), true).unwrap(), first.summary);
    let after = [&blob, &name_file(&dir, "tiny")].map(|path| fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(before, after);
    assert_eq!((files_in(&dir, "blobs"), files_in(&dir, "names")), (1, 1));
    library.put("alias", &dataset, false).unwrap();
    assert_eq!((files_in(&dir, "blobs"), files_in(&dir, "names")), (1, 2));
}

#[test]
fn a_name_moves_only_when_told_to() {
    let (dir, library) = library();
    let (old, new) = (small(4, 2, 0), small(4, 2, 1));
    library.put("tiny", &old, false).unwrap();
    for error in [
        library.put("tiny", &new, false).unwrap_err(),
        library.put_bytes(Some("tiny"), &new.to_bytes(), false).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(matches!(error, LibraryError::NameTaken { .. }), "{text}");
        assert!(text.contains(&old.content_hash()) && text.contains(&new.content_hash()), "{text}");
    }
    assert_eq!(files_in(&dir, "blobs"), 1, "a refusal stores nothing");
    library.put("tiny", &new, true).unwrap();
    assert_eq!(library.resolve("tiny").unwrap().unwrap().hash, new.content_hash());
    assert_eq!(*library.load(&old.content_hash()).unwrap(), old, "old results still find their data");
}

#[test]
fn names_are_checked() {
    let (dir, library) = library();
    let long = "x".repeat(65);
    for bad in ["", ".", "..", "-a", "_a", "A", "a/b", "a b", "../a", "ä", "a\0", &long] {
        let error = library.put(bad, &small(1, 1, 0), true).unwrap_err();
        assert!(matches!(error, LibraryError::Name { .. }), "{bad:?}: {error}");
        assert_eq!(library.resolve(bad).unwrap(), None);
    }
    assert_eq!(files_in(&dir, "blobs"), 0);
    for good in ["a", "0", "mnist-10k_v1.2", &"x".repeat(64)] {
        library.put(good, &small(1, 1, 0), false).unwrap();
    }
}

#[test]
fn hashes_are_checked_before_they_become_paths() {
    let (_dir, library) = library();
    for bad in ["", "../names/tiny.json", &"A".repeat(64), &"a".repeat(63), &format!("{}/", "a".repeat(63))] {
        assert!(matches!(library.load(bad), Err(LibraryError::Hash { .. })), "{bad}");
        assert!(matches!(library.blob_path(bad), Err(LibraryError::Hash { .. })), "{bad}");
        assert!(!library.contains(bad));
    }
    let absent = "a".repeat(64);
    assert!(matches!(library.load(&absent), Err(LibraryError::UnknownHash { .. })));
    assert!(matches!(library.blob_path(&absent), Err(LibraryError::UnknownHash { .. })));
    assert!(matches!(library.verify("absent"), Err(LibraryError::UnknownName { .. })));
}

#[test]
fn bytes_are_checked_before_they_are_stored() {
    let (dir, library) = library();
    let bytes = small(4, 2, 0).to_bytes();
    let error = library.put_bytes(None, &bytes[..bytes.len() - 1], false).unwrap_err();
    assert!(matches!(error, LibraryError::Bytes { .. }), "{error}");
    assert_eq!(files_in(&dir, "blobs"), 0);
    let summary = library.put_bytes(None, &bytes, false).unwrap();
    assert!(library.contains(&summary.hash));
    assert_eq!(library.names().unwrap(), ["glyphs"]);
}

#[test]
fn a_damaged_blob_is_noticed_and_repaired_by_importing_again() {
    let (dir, library) = library();
    let dataset = small(4, 2, 0);
    let entry = library.put("tiny", &dataset, false).unwrap();
    let blob = library.blob_path(&entry.hash).unwrap();
    let whole = dataset.to_bytes();
    let mut flipped = whole.clone();
    flipped[40] ^= 1;
    for damaged in [&flipped[..], &whole[..20], &[]] {
        fs::write(&blob, damaged).unwrap();
        let library = Library::open(dir.path()).unwrap();
        for result in [
            library.load(&entry.hash).map(|_| ()),
            library.read_blob(&entry.hash).map(|_| ()),
            library.verify("tiny").map(|_| ()),
        ] {
            let Err(LibraryError::Corrupt { path, found, expected }) = result else { panic!("{result:?}") };
            assert_eq!((&path, &expected), (&blob, &entry.hash));
            assert_eq!(found, blake3::hash(damaged).to_hex().to_string());
        }
        library.put("tiny", &dataset, false).unwrap();
        assert_eq!(library.verify("tiny").unwrap(), entry.summary);
    }
    fs::remove_file(&blob).unwrap();
    assert!(matches!(library.verify("tiny"), Err(LibraryError::UnknownHash { .. })));
}

#[test]
fn bytes_with_the_right_hash_that_are_no_dataset_are_refused() {
    let (dir, library) = library();
    let hash = blake3::hash(b"something").to_hex().to_string();
    fs::write(dir.path().join("datasets/blobs").join(&hash), b"something").unwrap();
    assert!(matches!(library.load(&hash), Err(LibraryError::Blob { .. })));
}

#[test]
fn a_damaged_name_file_is_noticed_and_repaired_by_replacing() {
    let (dir, library) = library();
    let dataset = small(4, 2, 0);
    let entry = library.put("tiny", &dataset, false).unwrap();
    let json = |change: &dyn Fn(&mut DatasetEntry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        serde_json::to_vec(&entry).unwrap()
    };
    let damaged = [
        b"{".to_vec(),
        b"{}".to_vec(),
        json(&|entry| entry.name = "other".into()),
        json(&|entry| entry.hash = "a".repeat(64)),
        json(&|entry| (entry.hash, entry.summary.hash) = ("../x".into(), "../x".into())),
    ];
    for bytes in damaged {
        fs::write(name_file(&dir, "tiny"), &bytes).unwrap();
        for result in [library.resolve("tiny").map(|_| ()), library.put("tiny", &dataset, false).map(|_| ())]
        {
            assert!(matches!(result, Err(LibraryError::NameFile { .. })), "{result:?}");
        }
        library.put("tiny", &dataset, true).unwrap();
        assert_eq!(library.resolve("tiny").unwrap(), Some(entry.clone()));
    }
    fs::write(name_file(&dir, "tiny"), json(&|entry| entry.summary.classes = 9)).unwrap();
    assert!(matches!(library.verify("tiny"), Err(LibraryError::NameFile { .. })));
    fs::write(name_file(&dir, "tiny"), vec![b' '; 100_000]).unwrap();
    assert!(matches!(library.resolve("tiny"), Err(LibraryError::TooLarge { .. })));
}

#[test]
fn glyphs_need_no_import() {
    let (dir, library) = library();
    let entry = library.resolve(GLYPHS_NAME).unwrap().unwrap();
    assert_eq!((entry.hash.as_str(), entry.builtin), (GLYPHS_HASH, true));
    assert!(library.contains(GLYPHS_HASH));
    let dataset = library.load(GLYPHS_HASH).unwrap();
    assert!(Arc::ptr_eq(&dataset, &library.load(GLYPHS_HASH).unwrap()));
    assert_eq!(files_in(&dir, "blobs"), 0);
    assert_eq!(library.verify(GLYPHS_NAME).unwrap(), entry.summary);
    assert_eq!(library.put(GLYPHS_NAME, &dataset, false).unwrap(), entry);
    let error = library.put(GLYPHS_NAME, &small(1, 1, 0), true).unwrap_err();
    assert!(matches!(error, LibraryError::BuiltIn { .. }), "{error}");
    assert_eq!(files_in(&dir, "names"), 0);
    let written = fs::read(library.blob_path(GLYPHS_HASH).unwrap()).unwrap();
    assert_eq!(written, library.read_blob(GLYPHS_HASH).unwrap());
}

#[test]
fn the_cache_keeps_the_most_recent() {
    let (_dir, library) = library();
    let hashes: Vec<String> = (0..=MAX_CACHED_DATASETS)
        .map(|salt| library.put_bytes(None, &small(1, 1, salt as u8).to_bytes(), false).unwrap().hash)
        .collect();
    let first = library.load(&hashes[0]).unwrap();
    for hash in &hashes[1..MAX_CACHED_DATASETS] {
        library.load(hash).unwrap();
    }
    assert!(Arc::ptr_eq(&first, &library.load(&hashes[0]).unwrap()), "full, but nothing pushed out");
    let second = Arc::downgrade(&library.load(&hashes[1]).unwrap());
    library.load(&hashes[0]).unwrap();
    for hash in &hashes[2..] {
        library.load(hash).unwrap();
    }
    assert_eq!(second.strong_count(), 0, "the least recently used one is let go");
    assert!(Arc::ptr_eq(&first, &library.load(&hashes[0]).unwrap()));
}

#[test]
fn threads_that_want_the_same_dataset_share_one() {
    let (_dir, library) = library();
    let hash = library.put("tiny", &small(4, 2, 0), false).unwrap().hash;
    let loaded: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| library.load(&hash).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(loaded.iter().all(|dataset| Arc::ptr_eq(dataset, &loaded[0])));
}

#[test]
fn of_two_that_want_a_name_one_gets_it() {
    let (dir, _) = library();
    let libraries = [0, 1, 2, 3].map(|salt| (Library::open(dir.path()).unwrap(), small(2, 1, salt)));
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = libraries
            .iter()
            .map(|(library, dataset)| scope.spawn(|| library.put("wanted", dataset, false)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<_> = results.iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    assert_eq!(libraries[0].0.resolve("wanted").unwrap().as_ref(), Some(winners[0]));
    assert!(
        results
            .iter()
            .flat_map(|result| result.as_ref().err())
            .all(|error| matches!(error, LibraryError::NameTaken { .. }))
    );
}
