//! SVHN's MATLAB files, and refusing them.

use motif_data::{Dataset, ImportError, import};
use proptest::prelude::*;

use crate::fixtures::{mat, mat_array, mat_compressed, mat_part, svhn, svhn_pixel, svhn_pixels};
use crate::folder;

fn read(train: Vec<u8>, test: Vec<u8>) -> Result<Dataset, ImportError> {
    import(folder([("train_32x32.mat", train), ("test_32x32.mat", test)]).path())
}

/// What the error says after the file's name.
fn error(train: Vec<u8>) -> String {
    let text = read(train, svhn(&[1], false)).expect_err("must be refused").to_string();
    let (_, text) = text.split_once("train_32x32.mat").expect("names the file");
    text.to_owned()
}

fn images(n: i32, dims: &[i32]) -> Vec<u8> {
    mat_array(9, dims, "X", &mat_part(2, &svhn_pixels(n as u8)))
}

fn labels(dims: &[i32], labels: &[u8]) -> Vec<u8> {
    mat_array(9, dims, "y", &mat_part(2, labels))
}

fn doubles(values: &[f64]) -> Vec<u8> {
    mat_part(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

#[test]
fn images_become_row_major_planes_and_ten_means_zero() {
    let dataset = read(svhn(&[10, 1, 9], true), svhn(&[2, 10], true)).unwrap();
    assert_eq!((dataset.shape().height, dataset.shape().width, dataset.shape().channels), (32, 32, 3));
    assert_eq!(dataset.classes(), 10);
    assert_eq!(dataset.train().labels, [0, 1, 9]);
    assert_eq!(dataset.test().labels, [2, 0]);
    for (image, pixels) in dataset.train().pixels.chunks_exact(3072).enumerate() {
        for (at, &pixel) in pixels.iter().enumerate() {
            let (channel, row, column) = (at / 1024, at / 32 % 32, at % 32);
            assert_eq!(pixel, svhn_pixel(image as u8, channel, row, column));
        }
    }
    // The same without compression, with labels as doubles, in another order, beside other variables.
    assert_eq!(read(svhn(&[10, 1, 9], false), svhn(&[2, 10], false)).unwrap(), dataset);
    let y = mat_array(6, &[3, 1], "y", &doubles(&[10.0, 1.0, 9.0]));
    let other = mat_array(4, &[1, 3], "comment", &mat_part(16, b"abc"));
    let train = mat(&[mat_compressed(&other), other, mat_compressed(&y), images(3, &[32, 32, 3, 3])]);
    assert_eq!(read(train, svhn(&[2, 10], true)).unwrap(), dataset);
    // Doubles that fit into bytes are stored as bytes.
    let y = mat_array(6, &[1, 3], "y", &mat_part(2, &[10, 1, 9]));
    assert_eq!(read(mat(&[images(3, &[32, 32, 3, 3]), y]), svhn(&[2, 10], true)).unwrap(), dataset);
}

#[test]
fn a_single_image_has_no_fourth_dimension() {
    let one = mat(&[images(1, &[32, 32, 3]), labels(&[1, 1], &[4])]);
    assert_eq!(read(one, svhn(&[1], true)).unwrap().train().labels, [4]);
}

#[test]
fn files_cut_anywhere_are_refused() {
    for compressed in [false, true] {
        let whole = svhn(&[1, 2], compressed);
        for keep in (0..whole.len()).step_by(if compressed { 1 } else { 53 }) {
            let text = error(whole[..keep].to_vec());
            let known = ["truncated", "missing", "beginning"].iter().any(|word| text.contains(word));
            assert!(known, "cut to {keep} of {}: {text}", whole.len());
        }
    }
    let whole = svhn(&[1, 2], false);
    let text = error(whole[..whole.len() - 8].to_vec());
    let (found, expected) = (whole.len() - 8, whole.len());
    assert_eq!(text, format!(": truncated by 8 bytes: found {found}, expected {expected}"));
}

#[test]
fn a_damaged_stream_is_refused() {
    let mut bytes = svhn(&[1, 2], true);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let error_of_sum = read(bytes, svhn(&[1], true)).expect_err("the sum is wrong");
    assert!(matches!(error_of_sum, ImportError::Io { operation: "read", .. }), "{error_of_sum}");
    let longer = [images(1, &[32, 32, 3]), vec![0; 50]].concat();
    let text = error(mat(&[mat_compressed(&longer), labels(&[1, 1], &[4])]));
    assert!(text.contains("/X: trailing bytes: goes on after the"), "{text}");
}

#[test]
fn other_labels_are_refused() {
    for (label, shown) in [(0, "0"), (11, "11"), (255, "255")] {
        let text = error(svhn(&[1, label], true));
        assert_eq!(text, format!("/y: label 1 is {shown}, expected 1 to 10"));
    }
    for value in [0.0, 1.5, -3.0, 11.0, f64::NAN, f64::INFINITY] {
        let y = mat_array(6, &[1, 1], "y", &doubles(&[value]));
        let text = error(mat(&[images(1, &[32, 32, 3]), y]));
        assert!(text.starts_with("/y: label 0 is "), "{value}: {text}");
    }
    let text = error(mat(&[images(2, &[32, 32, 3, 2]), labels(&[1, 1], &[4])]));
    assert!(text.contains("/X holds 2 images, but ") && text.contains("/y holds 1 labels"), "{text}");
    let text = error(mat(&[images(2, &[32, 32, 3, 2]), labels(&[2, 2], &[4; 4])]));
    assert_eq!(text, "/y: its shape is 2 × 2, expected n × 1");
}

#[test]
fn other_arrays_are_refused() {
    let y = || labels(&[1, 1], &[4]);
    for dims in [&[32, 32, 1, 3][..], &[3, 32, 32], &[3072, 1], &[32, 32, 3, 1, 1]] {
        let shown = dims.iter().map(i32::to_string).collect::<Vec<_>>().join(" × ");
        let text = error(mat(&[images(1, dims), y()]));
        assert_eq!(text, format!("/X: its shape is {shown}, expected 32 × 32 × 3 × n"));
    }
    let none = mat_array(9, &[32, 32, 3, 0], "X", &mat_part(2, &[]));
    assert_eq!(error(mat(&[none, y()])), "/X: images is 0, expected 1 to 10000000");
    let text = error(mat(&[images(1, &[32, 32, 3, 2]), y()]));
    assert_eq!(text, "/X: the length of numbers is 3072, expected 6144 to 1073741824");
    let text = error(mat(&[images(2, &[32, 32, 3, 1]), y()]));
    assert_eq!(text, "/X: the length of its numbers is 6144, expected 3072 by its dimensions");
    let text = error(mat(&[images(1, &[32, -32, 3]), y()]));
    assert_eq!(text, "/X: a dimension is -32, expected 0 or greater");
    let wide = mat_array(6, &[32, 32, 3], "X", &doubles(&[1.0; 3072]));
    assert_eq!(error(mat(&[wide, y()])), "/X: its type is double, expected uint8");
    let single = mat_array(7, &[32, 32, 3], "X", &mat_part(7, &[0; 3072 * 4]));
    assert!(error(mat(&[single, y()])).starts_with("/X: its class is 7 with flags 0x00, expected 9"));
    assert_eq!(error(mat(&[y()])), ": X is missing beside y");
    assert_eq!(error(mat(&[])), ": X is missing beside other variables");
    assert_eq!(error(mat(&[y(), y()])), "/y: the variable is there twice, expected there once");
    assert_eq!(error(mat(&[y()[..8].to_vec()])), ": truncated by 56 bytes: found 136, expected 192");
}

/// Ten thousand images take 30 MB; the header may say anything.
#[test]
fn absurd_dimensions_are_refused_before_anything_is_read() {
    let y = || labels(&[1, 1], &[4]);
    let huge = mat_array(9, &[32, 32, 3, 10_000_000], "X", &mat_part(2, &[]));
    let expected = "/X: 30720000000 bytes, expected at most 1073741824";
    assert_eq!(error(mat(&[mat_compressed(&huge), y()])), expected);
    let overflow = mat_array(9, &[i32::MAX; 4], "X", &mat_part(2, &[]));
    assert!(error(mat(&[overflow, y()])).starts_with("/X: 18446744073709551615 bytes, expected at most"));
    let many = vec![mat_array(4, &[1, 1], "a", &mat_part(16, b"a")); 70];
    assert!(error(mat(&many)).contains("the number of variables is more than 64"));
}

#[test]
fn other_files_are_refused() {
    assert!(error(b"<html>".to_vec()).starts_with(": its beginning is [3c, 68"), "not MATLAB");
    let mut newer = svhn(&[1], false);
    newer[..10].copy_from_slice(b"MATLAB 7.3");
    newer[125] = 2;
    let text = error(newer);
    assert_eq!(
        text,
        ": version and byte order is [00, 02, 49, 4d], expected [00, 01, 49, 4d] (level 5, little-endian)"
    );
    let text = error(mat(&[mat_part(13, &[0; 8])]));
    assert_eq!(text, ": an element's type is 13, expected 14 (array) or 15 (compressed)");

    let dir = folder([("train_32x32.mat", svhn(&[1], true))]);
    let alone = import(dir.path()).unwrap_err();
    assert!(alone.to_string().contains("test_32x32.mat is missing beside train_32x32.mat"), "{alone}");
    let alone = import(&dir.path().join("train_32x32.mat")).unwrap_err();
    assert!(alone.to_string().contains("expected the folder that holds train_32x32.mat and"), "{alone}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Only the structure is changed, not the pixels, and sometimes beneath the compression.
    #[test]
    fn mutated_files_are_refused_or_valid(
        compressed: bool,
        changes in prop::collection::vec((0_usize..72, any::<u8>()), 1..4),
    ) {
        let mut x = images(1, &[32, 32, 3]);
        for (at, value) in changes {
            x[at] = value;
        }
        let x = if compressed { mat_compressed(&x) } else { x };
        if let Ok(dataset) = read(mat(&[x, labels(&[1, 1], &[4])]), svhn(&[1], false)) {
            prop_assert_eq!(dataset.train().len(), 1);
        }
    }

    #[test]
    fn random_elements_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(mat(&[bytes]), svhn(&[1], false));
    }
}
