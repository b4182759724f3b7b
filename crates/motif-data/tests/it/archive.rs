//! CIFAR-10 from its archive.

use motif_data::{ImportError, import};

use crate::fixtures::{cifar_archive, gzip, records, tar};
use crate::folder;

const NAME: &str = "cifar-10-binary.tar.gz";

fn error(bytes: Vec<u8>) -> ImportError {
    let dir = folder([(NAME, bytes)]);
    let error = import(dir.path()).expect_err("must be refused");
    assert!(error.to_string().contains(NAME), "names the file: {error}");
    error
}

#[test]
fn the_archive_and_its_unpacked_batches_are_the_same_dataset() {
    let batches = [
        ("data_batch_1.bin", records(&[3])),
        ("data_batch_2.bin", records(&[4])),
        ("test_batch.bin", records(&[9])),
    ];
    let unpacked = import(folder(batches.clone()).path()).unwrap();
    assert_eq!(unpacked.train().labels, [3, 4]);
    let dir = folder([(NAME, cifar_archive())]);
    assert_eq!(import(dir.path()).unwrap(), unpacked);
    assert_eq!(import(&dir.path().join(NAME)).unwrap(), unpacked);
    // Both: one dataset, not two.
    let both = batches.into_iter().chain([(NAME, gzip(b"damaged"))]);
    assert_eq!(import(folder(both).path()).unwrap(), unpacked);
}

#[test]
fn an_archive_that_is_cut_anywhere_is_refused() {
    let whole = cifar_archive();
    // The last eight bytes are the sum, and before them comes the padding of the tar, which nobody has to read.
    for keep in (0..whole.len() - 64).step_by(7) {
        let dir = folder([(NAME, whole[..keep].to_vec())]);
        let error = import(dir.path()).expect_err("must be refused");
        assert!(
            matches!(error, ImportError::Io { .. } | ImportError::Missing { .. }),
            "cut to {keep} of {}: {error}",
            whole.len()
        );
    }
}

#[test]
fn archives_with_other_contents_are_refused() {
    let (one, test) = (records(&[1]), records(&[2]));
    let missing = error(gzip(&tar(&[("a/data_batch_1.bin", &one)])));
    assert!(missing.to_string().contains("test_batch.bin is missing beside data_batch_1.bin"), "{missing}");
    let missing = error(gzip(&tar(&[("test_batch.bin", &test)])));
    assert!(missing.to_string().contains("data_batch_1.bin is missing beside test_batch.bin"), "{missing}");
    let missing = error(gzip(&tar(&[("readme", b"hello")])));
    assert!(missing.to_string().contains("missing beside nothing that is a batch"), "{missing}");

    let records_error = error(gzip(&tar(&[("data_batch_1.bin", &one[1..]), ("test_batch.bin", &test)])));
    assert!(matches!(records_error, ImportError::Records { found: 3072, .. }), "{records_error}");
    let label = error(gzip(&tar(&[("data_batch_1.bin", &records(&[10])), ("test_batch.bin", &test)])));
    assert!(matches!(label, ImportError::Label { index: 0, label: 10, .. }), "{label}");
    let twice = error(gzip(&tar(&[("a/data_batch_1.bin", &one), ("b/data_batch_1.bin", &one)])));
    assert!(twice.to_string().contains("data_batch_1.bin is there twice"), "{twice}");
    let names: Vec<String> = (0..70).map(|i| format!("file{i}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    let many = error(gzip(&tar(&files)));
    assert!(many.to_string().contains("the number of entries is 65, expected 1 to 64"), "{many}");
}

#[test]
fn a_batch_that_says_it_is_huge_is_refused_before_it_is_read() {
    let mut archive = tar(&[("data_batch_1.bin", &records(&[1]))]);
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes().copy_from_slice(&archive[..512]);
    header.set_size(2 << 30);
    header.set_cksum();
    archive[..512].copy_from_slice(header.as_bytes());
    let error = error(gzip(&archive));
    assert!(matches!(error, ImportError::TooLarge { bytes: 0x8000_0000, max: 0x4000_0000, .. }), "{error}");
}

/// One gigabyte of zeros compresses to a megabyte.
#[test]
fn a_bomb_is_refused_with_what_came_out_and_what_may() {
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(3 << 30);
    header.set_cksum();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut header.as_bytes().as_slice(), &mut encoder).unwrap();
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), (1 << 30) + (4 << 20)), &mut encoder).unwrap();
    let error = error(encoder.finish().unwrap());
    let text = error.to_string();
    assert!(text.contains("expands to at least 1074790401 bytes, expected at most 1074790400"), "{text}");
}
