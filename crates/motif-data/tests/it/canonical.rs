//! The canonical form: round trips, every refusal, arbitrary bytes.

use motif_data::dataset::{HEADER_BYTES, MAX_CLASSES, MAX_SIDE_PIXELS};
use motif_data::{Dataset, DatasetError, Shape, Split};
use proptest::prelude::*;

use crate::small;

/// Offsets of the header's fields.
const FIELDS: [(usize, &str); 6] = [
    (12, "height"),
    (16, "width"),
    (20, "channels"),
    (24, "classes"),
    (28, "train_examples"),
    (32, "test_examples"),
];

fn with_u32(mut bytes: Vec<u8>, at: usize, value: u32) -> Vec<u8> {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn bytes_are_laid_out_as_documented() {
    let shape = Shape { height: 1, width: 2, channels: 1 };
    let train = Split { pixels: vec![7, 8, 9, 10], labels: vec![1, 0] };
    let test = Split { pixels: vec![11, 12], labels: vec![258] };
    let bytes = Dataset::new(shape, 300, train, test).unwrap().to_bytes();
    let mut expected = b"MOTIFDAT".to_vec();
    for field in [1_u32, 1, 2, 1, 300, 2, 1] {
        expected.extend(field.to_le_bytes());
    }
    expected.extend([7, 8, 9, 10, 1, 0, 0, 0, 11, 12, 2, 1]);
    assert_eq!(bytes, expected);
}

#[test]
fn round_trip_keeps_everything() {
    let dataset = small(5, 2, 0);
    let bytes = dataset.to_bytes();
    let back = Dataset::from_bytes(&bytes).unwrap();
    assert_eq!(back, dataset);
    assert_eq!(back.train().pixels, dataset.train().pixels);
    assert_eq!(back.content_hash(), blake3::hash(&bytes).to_hex().to_string());
    let summary = back.summary();
    assert_eq!((summary.height, summary.width, summary.channels), (3, 2, 2));
    assert_eq!((summary.classes, summary.train_examples, summary.test_examples), (3, 5, 2));
    assert_eq!((summary.bytes, summary.hash), (bytes.len() as u64, back.content_hash()));
    assert_eq!(back.features(), 12);
}

#[test]
fn every_truncation_is_refused_with_the_number_of_missing_bytes() {
    let bytes = small(3, 2, 0).to_bytes();
    for found in 0..bytes.len() {
        let expected = match found {
            0..8 => DatasetError::Magic { found: bytes[..found].to_vec() },
            8..HEADER_BYTES => DatasetError::Truncated { found, expected: HEADER_BYTES },
            _ => DatasetError::Truncated { found, expected: bytes.len() },
        };
        assert_eq!(Dataset::from_bytes(&bytes[..found]), Err(expected), "cut to {found} bytes");
    }
    let message = Dataset::from_bytes(&bytes[..bytes.len() - 4]).unwrap_err().to_string();
    assert_eq!(message, format!("truncated by 4 bytes: found {}, expected {}", bytes.len() - 4, bytes.len()));
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = small(3, 2, 0).to_bytes();
    let expected = bytes.len();
    bytes.push(0);
    assert_eq!(Dataset::from_bytes(&bytes), Err(DatasetError::Trailing { found: expected + 1, expected }));
}

#[test]
fn other_magic_and_version_are_refused() {
    let bytes = small(3, 2, 0).to_bytes();
    let mut other = bytes.clone();
    other[0] = b'm';
    assert!(matches!(Dataset::from_bytes(&other), Err(DatasetError::Magic { .. })));
    assert_eq!(Dataset::from_bytes(&with_u32(bytes, 8, 2)), Err(DatasetError::Version { found: 2 }));
}

#[test]
fn absurd_header_fields_are_refused_by_name() {
    for (at, name) in FIELDS {
        for value in [0, u32::MAX] {
            let error = Dataset::from_bytes(&with_u32(small(3, 2, 0).to_bytes(), at, value)).unwrap_err();
            let DatasetError::OutOfRange { field, value: found, .. } = error else {
                panic!("{name} = {value}: {error}");
            };
            assert_eq!((field, found), (name, value as usize));
        }
    }
    // Each side is allowed, together they are not; nothing of that size may be allocated to find out.
    let mut bytes = small(3, 2, 0).to_bytes();
    for (at, value) in [(12, 1024), (16, 1024), (20, 16), (28, 10_000_000)] {
        bytes = with_u32(bytes, at, value);
    }
    let error = Dataset::from_bytes(&bytes).unwrap_err();
    assert!(matches!(error, DatasetError::OutOfRange { field: "bytes", .. }), "{error}");
}

#[test]
fn labels_beyond_the_classes_are_refused() {
    let dataset = small(3, 2, 0);
    let mut bytes = dataset.to_bytes();
    let last = bytes.len() - 2;
    bytes[last] = 3;
    let expected = DatasetError::Label { split: "test", index: 1, label: 3, classes: 3 };
    assert_eq!(Dataset::from_bytes(&bytes), Err(expected.clone()));
    assert_eq!(expected.to_string(), "test label 1 is 3, expected less than 3");
}

#[test]
fn new_refuses_parts_that_do_not_fit() {
    let shape = Shape { height: 2, width: 2, channels: 1 };
    let good = || Split { pixels: vec![0; 8], labels: vec![0, 1] };
    assert!(Dataset::new(shape, 2, good(), good()).is_ok());
    let short = Split { pixels: vec![0; 7], labels: vec![0, 1] };
    let error = Dataset::new(shape, 2, good(), short).unwrap_err();
    assert_eq!(error.to_string(), "test has 7 pixel bytes, expected 8 (2 labels × 4 features)");
    let cases = [
        (Dataset::new(shape, 1, good(), good()), "classes"),
        (Dataset::new(shape, MAX_CLASSES + 1, good(), good()), "classes"),
        (Dataset::new(shape, 2, Split::default(), good()), "train_examples"),
        (Dataset::new(shape, 2, good(), Split::default()), "test_examples"),
        (Dataset::new(Shape { width: MAX_SIDE_PIXELS + 1, ..shape }, 2, good(), good()), "width"),
        (Dataset::new(Shape { channels: 0, ..shape }, 2, good(), good()), "channels"),
    ];
    for (result, name) in cases {
        let error = result.unwrap_err();
        assert!(matches!(error, DatasetError::OutOfRange { field, .. } if field == name), "{name}: {error}");
    }
}

#[test]
fn every_part_counts_in_the_hash() {
    let base = small(3, 2, 0);
    let shape = base.shape();
    let turned = Shape { height: shape.width, width: shape.height, ..shape };
    let parts = || (base.train().clone(), base.test().clone());
    let (train, test) = parts();
    let other_shape = Dataset::new(turned, 3, train, test).unwrap();
    let (train, test) = parts();
    let more_classes = Dataset::new(shape, 4, train, test).unwrap();
    let (mut train, test) = parts();
    train.labels[0] = 2;
    let other_label = Dataset::new(shape, 3, train, test).unwrap();
    let mut hashes =
        [&base, &other_shape, &more_classes, &other_label, &small(3, 2, 1)].map(Dataset::content_hash);
    hashes.sort();
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]), "{hashes:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), good_start in 0_usize..=36) {
        let mut bytes = bytes;
        let start = &small(3, 2, 0).to_bytes()[..good_start];
        let shared = start.len().min(bytes.len());
        bytes[..shared].copy_from_slice(&start[..shared]);
        let _ = Dataset::from_bytes(&bytes);
    }

    /// What is accepted is canonical: it writes back to the very bytes it was read from.
    #[test]
    fn mutated_files_are_refused_or_valid(
        sizes in (1_usize..5, 1_usize..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small(sizes.0, sizes.1, 9).to_bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(dataset) = Dataset::from_bytes(&bytes) {
            prop_assert_eq!(dataset.to_bytes(), bytes);
            prop_assert!(dataset.train().labels.iter().all(|&label| label < dataset.classes()));
        }
    }
}
