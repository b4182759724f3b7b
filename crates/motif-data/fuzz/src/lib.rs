//! What the fuzz targets do, and the files their corpora start from.
//!
//! Every input goes through `motif_data::import`, the door that people's files come through. Checksums would keep a
//! fuzzer out, so the first byte of an input says how the rest is wrapped: as it is, or beneath a compression and
//! sums that are right.
//!
//! Write the corpora with `cargo run --example corpus`, then `cargo +nightly fuzz run TARGET`; a `TMPDIR` in memory
//! (`/dev/shm`) makes it several times as fast.

use std::fs;
use std::path::Path;

use motif_data::import;
use tempfile::TempDir;

#[allow(dead_code, missing_docs, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/fixtures.rs"]
mod fixtures;

pub mod corpus;

use fixtures::*;

thread_local! {
    static FOLDER: TempDir = tempfile::tempdir().expect("a temporary folder");
}

/// Imports a folder with these files; what is accepted must be a dataset that survives its canonical form.
fn import_folder(files: &[(&str, &[u8])]) {
    FOLDER.with(|folder| {
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("written");
        }
        check(folder.path());
    });
}

fn check(path: &Path) {
    if let Ok(dataset) = import(path) {
        assert_eq!(motif_data::Dataset::from_bytes(&dataset.to_bytes()).as_ref(), Ok(&dataset));
    }
}

/// The canonical form.
pub fn canonical(input: &[u8]) {
    FOLDER.with(|folder| {
        let path = folder.path().join("dataset");
        fs::write(&path, input).expect("written");
        check(&path);
    });
}

/// One of the four files, plain or compressed.
pub fn idx(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let mut files = idx_files();
    files[usize::from(mode % 4)] = if mode & 4 == 0 { rest.to_vec() } else { gzip(rest) };
    let files: Vec<(&str, &[u8])> = IDX_FILES.into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    import_folder(&files);
}

/// The archive as it is, or what is beneath its compression.
pub fn cifar_archive(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let bytes = if mode & 1 == 0 { rest.to_vec() } else { gzip(rest) };
    import_folder(&[("cifar-10-binary.tar.gz", &bytes)]);
}

/// The training file as it is, or an element of it, plain or beneath its compression.
pub fn svhn(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let labels = mat_array(9, &[1, 1], "y", &mat_part(2, &[4]));
    let train = match mode % 3 {
        0 => rest.to_vec(),
        1 => mat(&[rest.to_vec(), labels]),
        _ => mat(&[mat_compressed(rest), labels]),
    };
    import_folder(&[("train_32x32.mat", &train), ("test_32x32.mat", &fixtures::svhn(&[1], true))]);
}

/// The file as it is, or one of its arrays.
pub fn npz(input: &[u8]) {
    let Some((mode, rest)) = input.split_first() else { return };
    let mut members = npz_members();
    let bytes = match usize::from(mode % 5).checked_sub(1) {
        None => rest.to_vec(),
        Some(member) => {
            members[member].1 = rest.to_vec();
            zip(&members, mode & 0x80 != 0)
        }
    };
    import_folder(&[("dataset.npz", &bytes)]);
}

/// One of the two files, plain or compressed.
pub fn csv(input: &[u8]) {
    const OTHER: &[u8] = b"1,0,0,0,0\n0,1,2,3,4\n";
    let Some((mode, rest)) = input.split_first() else { return };
    let rest = if mode & 2 == 0 { rest.to_vec() } else { gzip(rest) };
    let (train, test) = if mode & 1 == 0 { (rest.as_slice(), OTHER) } else { (OTHER, rest.as_slice()) };
    import_folder(&[("train.csv", train), ("test.csv", test)]);
}
