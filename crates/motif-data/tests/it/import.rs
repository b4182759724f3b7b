//! Reading other people's files, and refusing them.

use std::fs;

use motif_data::{ImportError, import};
use proptest::prelude::*;

use crate::fixtures::{IDX_FILES as FILES, gzip, idx, idx_files, records};
use crate::{folder, small};

/// The four files with file `index` changed, imported.
fn idx_error(index: usize, change: impl FnOnce(&mut Vec<u8>)) -> ImportError {
    let mut files = idx_files();
    change(&mut files[index]);
    let dir = folder(FILES.into_iter().zip(files));
    let error = import(dir.path()).expect_err("the change must be refused");
    assert!(error.to_string().contains(FILES[index]), "names the file: {error}");
    error
}

#[test]
fn idx_plain_gzip_and_dotted_names_give_the_same_dataset() {
    let plain = import(folder(FILES.into_iter().zip(idx_files())).path()).unwrap();
    assert_eq!((plain.shape().height, plain.shape().width, plain.shape().channels), (2, 3, 1));
    assert_eq!(plain.classes(), 3);
    assert_eq!(plain.train().labels, [0, 2, 1, 2]);
    assert_eq!(plain.train().pixels, (0..24).collect::<Vec<u8>>());
    assert_eq!(plain.test().labels, [1, 0]);
    assert_eq!(plain.test().pixels, (0..12).collect::<Vec<u8>>());

    let zipped = FILES.map(|name| format!("{name}.gz")).into_iter().zip(idx_files().map(|file| gzip(&file)));
    assert_eq!(import(folder(zipped).path()).unwrap(), plain);
    let dotted = FILES.map(|name| name.replace("-idx", ".idx")).into_iter().zip(idx_files());
    assert_eq!(import(folder(dotted).path()).unwrap(), plain);
    // What a browser makes of a download: named .gz, but unpacked.
    let unpacked = FILES.map(|name| format!("{name}.gz")).into_iter().zip(idx_files());
    assert_eq!(import(folder(unpacked).path()).unwrap(), plain);
    // Two members are one stream.
    let halves = idx_files().map(|file| [gzip(&file[..5]), gzip(&file[5..])].concat());
    assert_eq!(import(folder(FILES.into_iter().zip(halves)).path()).unwrap(), plain);
}

#[test]
fn idx_truncated_anywhere_is_refused_with_the_number_of_missing_bytes() {
    for (index, file) in idx_files().into_iter().enumerate() {
        let header = if index % 2 == 0 { 16 } else { 8 };
        for keep in 0..file.len() {
            let wanted = if keep < header { header } else { file.len() } as u64;
            let error = idx_error(index, |bytes| bytes.truncate(keep));
            let ImportError::Truncated { found, expected, .. } = error else { panic!("{keep}: {error}") };
            assert_eq!((found, expected), (keep as u64, wanted), "file {index} cut to {keep}");
        }
    }
}

#[test]
fn idx_gzip_cut_or_damaged_is_refused() {
    for keep in 2..gzip(&idx_files()[0]).len() {
        let error = idx_error(0, |bytes| {
            *bytes = gzip(bytes);
            bytes.truncate(keep);
        });
        assert!(matches!(error, ImportError::Truncated { .. } | ImportError::Io { .. }), "{keep}: {error}");
    }
    let checksum = idx_error(0, |bytes| {
        *bytes = gzip(bytes);
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
    });
    assert!(matches!(checksum, ImportError::Io { operation: "read", .. }), "{checksum}");
    let trailing = idx_error(0, |bytes| *bytes = [gzip(bytes), vec![7; 20]].concat());
    assert!(matches!(trailing, ImportError::Io { .. }), "{trailing}");
}

#[test]
fn idx_that_expands_beyond_its_header_is_refused() {
    let error = idx_error(1, |bytes| *bytes = gzip(&[bytes.clone(), vec![0; 50_000_000]].concat()));
    assert!(matches!(error, ImportError::Trailing { expected: 12, .. }), "{error}");
    let error = idx_error(2, |bytes| bytes.push(0));
    assert!(matches!(error, ImportError::Trailing { expected: 28, .. }), "{error}");
}

#[test]
fn idx_headers_are_checked() {
    for (index, right) in [(0, 0x803), (1, 0x801), (2, 0x803), (3, 0x801)] {
        let error = idx_error(index, |bytes| bytes[2] = 0x0d);
        let ImportError::Magic { found, expected, .. } = error else { panic!("{error}") };
        assert_eq!((found, expected), (right | 0x0d00, right));
    }
    for (at, name) in [(4, "images"), (8, "height"), (12, "width")] {
        for value in [0_u32, u32::MAX] {
            let error = idx_error(0, |bytes| bytes[at..at + 4].copy_from_slice(&value.to_be_bytes()));
            let ImportError::OutOfRange { field, value: found, .. } = error else { panic!("{error}") };
            assert_eq!((field, found), (name, u64::from(value)));
        }
    }
    let error = idx_error(0, |bytes| *bytes = idx(0x803, &[10_000_000, 1024, 1024], &[]));
    assert!(matches!(error, ImportError::TooLarge { bytes: 10_485_760_000_000, .. }), "{error}");
}

#[test]
fn idx_parts_must_fit_each_other() {
    let error = idx_error(1, |bytes| *bytes = idx(0x801, &[3], &[0, 1, 2]));
    assert!(matches!(error, ImportError::CountMismatch { images: 4, labels: 3, .. }), "{error}");
    let error = idx_error(2, |bytes| *bytes = idx(0x803, &[2, 3, 2], &[0; 12]));
    assert!(error.to_string().contains("images are 3 × 2, expected 2 × 3"), "{error}");
    let error = idx_error(3, |bytes| bytes[9] = 3);
    assert!(matches!(error, ImportError::Label { index: 1, label: 3, max: 2, .. }), "{error}");
    let error = idx_error(1, |bytes| bytes[8] = 100);
    assert!(matches!(error, ImportError::Label { index: 0, label: 100, max: 99, .. }), "{error}");
}

#[test]
fn a_missing_idx_file_is_named() {
    for missing in FILES {
        let files = FILES.into_iter().zip(idx_files()).filter(|(name, _)| *name != missing);
        let error = import(folder(files).path()).unwrap_err();
        assert!(error.to_string().contains(&format!("{missing}[.gz] is missing")), "{error}");
    }
}

#[test]
fn cifar_batches_are_read_in_the_order_of_their_numbers() {
    let files = [
        ("data_batch_10.bin", records(&[9])),
        ("data_batch_2.bin", records(&[3, 4, 5])),
        ("data_batch_1.bin", records(&[1])),
        ("test_batch.bin", records(&[0, 2])),
        ("readme.html", vec![]),
    ];
    let dataset = import(folder(files).path()).unwrap();
    assert_eq!((dataset.shape().channels, dataset.features(), dataset.classes()), (3, 3072, 10));
    assert_eq!(dataset.train().labels, [1, 3, 4, 5, 9]);
    assert_eq!(dataset.test().labels, [0, 2]);
    assert_eq!(dataset.train().pixels[..3072], records(&[1])[1..]);
    assert_eq!(dataset.test().pixels[3072..], records(&[2])[1..]);
}

#[test]
fn damaged_cifar_files_are_refused() {
    let with = |train: Vec<u8>| {
        let dir = folder([("data_batch_1.bin", train), ("test_batch.bin", records(&[0]))]);
        import(dir.path()).unwrap_err()
    };
    for length in [0, 1, 3072, 3074, 6145] {
        let mut bytes = records(&[1, 2]);
        bytes.truncate(length);
        let error = with(bytes);
        assert!(
            matches!(error, ImportError::Records { found, record: 3073, .. } if found == length as u64),
            "{error}"
        );
    }
    let error = with(records(&[1, 10]));
    assert!(matches!(error, ImportError::Label { index: 1, label: 10, max: 9, .. }), "{error}");
    assert!(error.to_string().contains("data_batch_1.bin: label 1 is 10, expected 0 to 9"), "{error}");

    let error = import(folder([("data_batch_1.bin", records(&[1]))]).path()).unwrap_err();
    assert!(
        matches!(error, ImportError::Missing { ref missing, .. } if missing == "test_batch.bin"),
        "{error}"
    );
    let error = import(folder([("test_batch.bin", records(&[1]))]).path()).unwrap_err();
    assert!(
        matches!(error, ImportError::Missing { ref missing, .. } if missing == "data_batch_1.bin"),
        "{error}"
    );
}

#[test]
fn other_folders_and_files_are_refused_with_what_is_there() {
    let empty = folder::<&str>([]);
    let error = import(empty.path()).unwrap_err();
    assert!(error.to_string().contains("found an empty folder, expected train-images"), "{error}");
    let error = import(folder((0..9).map(|i| (format!("file{i}"), vec![]))).path()).unwrap_err();
    assert!(error.to_string().contains("file4, file5 and 3 more"), "{error}");
    let both = idx_files().into_iter().zip(FILES).map(|(bytes, name)| (name, bytes));
    let both = both.chain([("data_batch_1.bin", records(&[1])), ("test_batch.bin", records(&[1]))]);
    assert!(matches!(import(folder(both).path()), Err(ImportError::Ambiguous { .. })));
    let absent = empty.path().join("absent");
    assert!(matches!(import(&absent), Err(ImportError::Io { .. })));

    let dir = folder(FILES.into_iter().skip(1).zip(idx_files().into_iter().skip(1)));
    fs::create_dir(dir.path().join(FILES[0])).unwrap();
    assert!(matches!(import(dir.path()), Err(ImportError::NotAFile { .. })));
}

#[test]
fn a_file_in_canonical_form_is_read() {
    let dataset = small(4, 2, 0);
    let dir = folder([("exported", dataset.to_bytes()), ("damaged", dataset.to_bytes()[..50].to_vec())]);
    assert_eq!(import(&dir.path().join("exported")).unwrap(), dataset);
    assert!(matches!(import(&dir.path().join("damaged")), Err(ImportError::Dataset { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn mutated_idx_files_are_refused_or_valid(
        file in 0_usize..4,
        zipped: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut files = idx_files();
        if zipped {
            files = files.map(|file| gzip(&file));
        }
        for (at, value) in changes {
            let at = at.index(files[file].len());
            files[file][at] = value;
        }
        if let Ok(dataset) = import(folder(FILES.into_iter().zip(files)).path()) {
            prop_assert!(dataset.train().labels.iter().all(|&label| label < dataset.classes()));
            prop_assert_eq!(dataset.train().pixels.len(), 24);
        }
    }
}
