//! NPZ files, and refusing them.

use motif_data::{Dataset, ImportError, import};
use proptest::prelude::*;

use crate::fixtures::{npy, npz_members, zip};
use crate::folder;

fn read_bytes(bytes: Vec<u8>) -> Result<Dataset, ImportError> {
    import(&folder([("d.npz", bytes)]).path().join("d.npz"))
}

fn read(change: impl FnOnce(&mut [(&str, Vec<u8>); 4])) -> Result<Dataset, ImportError> {
    let mut members = npz_members();
    change(&mut members);
    read_bytes(zip(&members, true))
}

/// What the error says after the file's name.
fn error(result: Result<Dataset, ImportError>) -> String {
    let text = result.expect_err("must be refused").to_string();
    let (_, text) = text.split_once("d.npz").expect("names the file");
    text.to_owned()
}

#[test]
fn stored_deflated_and_in_a_folder_give_the_same_dataset() {
    let dataset = read(|_| {}).unwrap();
    assert_eq!((dataset.shape().height, dataset.shape().width, dataset.shape().channels), (2, 2, 1));
    assert_eq!(dataset.classes(), 3);
    assert_eq!(dataset.train().pixels, (0..12).collect::<Vec<u8>>());
    assert_eq!(dataset.train().labels, [2, 0, 1]);
    assert_eq!((&dataset.test().labels[..], &dataset.test().pixels[..]), (&[1][..], &[9, 8, 7, 6][..]));

    let stored = zip(&npz_members(), false);
    assert_eq!(read_bytes(stored.clone()).unwrap(), dataset);
    assert_eq!(import(folder([("mnist.npz", stored.clone())]).path()).unwrap(), dataset);
    let two = folder([("a.npz", stored.clone()), ("b.npz", stored.clone())]);
    assert!(matches!(import(two.path()), Err(ImportError::Ambiguous { .. })));
    // A comment at the end, and a member that nobody asked for.
    let mut commented = stored;
    let length = commented.len();
    commented[length - 2] = 3;
    commented.extend(b"abc");
    assert_eq!(read_bytes(commented).unwrap(), dataset);
    let more: Vec<_> = npz_members().into_iter().chain([("names.npy", b"?".to_vec())]).collect();
    assert_eq!(read_bytes(zip(&more, true)).unwrap(), dataset);
}

#[test]
fn shapes_without_sides_are_square_or_one_row_and_channels_go_first() {
    let shape = |x: &str| {
        let dataset = read(|members| {
            members[0].1 = npy("|u1", &format!("(3, {x})"), &(0..12).collect::<Vec<u8>>());
            members[2].1 = npy("|u1", &format!("(1, {x})"), &[0, 1, 2, 3]);
        });
        let dataset = dataset.unwrap();
        let shape = dataset.shape();
        ((shape.height, shape.width, shape.channels), dataset.test().pixels.clone())
    };
    assert_eq!(shape("4"), ((2, 2, 1), vec![0, 1, 2, 3]));
    assert_eq!(shape("4, 1"), ((4, 1, 1), vec![0, 1, 2, 3]));
    assert_eq!(shape("2, 1, 2"), ((2, 1, 2), vec![0, 2, 1, 3]));
    assert_eq!(shape("1, 1, 4"), ((1, 1, 4), vec![0, 1, 2, 3]));
    let row = read(|members| {
        members[0].1 = npy("|u1", "(3, 3)", &[0; 9]);
        members[2].1 = npy("|u1", "(1, 3)", &[0; 3]);
    });
    assert_eq!((row.as_ref().unwrap().shape().height, row.unwrap().shape().width), (1, 3));
}

#[test]
fn labels_of_every_width_are_read() {
    let wide = |number: &str, bytes: &[u8], shape: &str| {
        read(|members| members[1].1 = npy(number, shape, bytes)).map(|dataset| dataset.train().labels.clone())
    };
    let le = |values: &[i64], width: usize| -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect()
    };
    for (number, width) in
        [("|u1", 1), ("|i1", 1), ("<u2", 2), ("<i2", 2), ("<u4", 4), ("<i4", 4), ("<u8", 8), ("<i8", 8)]
    {
        assert_eq!(wide(number, &le(&[2, 0, 1], width), "(3,)").unwrap(), [2, 0, 1], "{number}");
        assert_eq!(wide(number, &le(&[2, 0, 1], width), "(3, 1)").unwrap(), [2, 0, 1], "{number}");
    }
    let negative = error(read(|members| members[1].1 = npy("<i4", "(3,)", &le(&[2, 0, -1], 4))));
    assert_eq!(negative, "/y_train.npy: label 2 is -1, expected 0 to 9999");
    let large = error(read(|members| members[1].1 = npy("<u8", "(3,)", &[255; 24])));
    assert_eq!(large, "/y_train.npy: label 0 is 9223372036854775807, expected 0 to 9999");
    let text = error(read(|members| members[1].1 = npy("<f4", "(3,)", &[0; 12])));
    assert!(text.starts_with("/y_train.npy: its type is \"<f4\", expected |u1, |i1"), "{text}");
    let text = error(read(|members| members[1].1 = npy("|u1", "(1, 3)", &[0; 3])));
    assert_eq!(text, "/y_train.npy: its shape is 1 × 3, expected n or n × 1");
}

#[test]
fn parts_must_fit_each_other() {
    let text = error(read(|members| members[1].1 = npy("|u1", "(2,)", &[0, 1])));
    assert!(
        text.contains("x_train.npy holds 3 images, but") && text.contains("y_train.npy holds 2"),
        "{text}"
    );
    let text = error(read(|members| members[2].1 = npy("|u1", "(1, 1, 4)", &[0; 4])));
    assert_eq!(text, "/x_test.npy: images are 1 × 4, expected 2 × 2 as in the training images");
    let text = error(read(|members| members[3].1 = npy("|u1", "(1,)", &[3])));
    assert_eq!(text, "/y_test.npy: label 0 is 3, expected 0 to 2");
    let text = error(read(|members| members[3].0 = "y_valid.npy"));
    assert_eq!(text, ": y_test.npy is missing beside x_train.npy, y_train.npy, x_test.npy, y_valid.npy");
}

#[test]
fn other_arrays_are_refused() {
    let x = |bytes: Vec<u8>| error(read(|members| members[0].1 = bytes));
    assert_eq!(
        x(npy("<f4", "(3, 2, 2)", &[0; 48])),
        "/x_train.npy: its type is \"<f4\", expected \"|u1\" (uint8)"
    );
    assert!(
        x(npy("|u1", "(12,)", &[0; 12])).starts_with("/x_train.npy: its shape is 12, expected n × features")
    );
    // Channels first, as another library has them.
    let text = x(npy("|u1", "(3, 3, 32, 32)", &[0; 9216]));
    assert_eq!(text, "/x_train.npy: channels is 32, expected 1 to 16");
    assert_eq!(x(npy("|u1", "(0, 2, 2)", &[])), "/x_train.npy: images is 0, expected 1 to 10000000");
    assert_eq!(x(npy("|u1", "(3, 2, 0)", &[])), "/x_train.npy: width is 0, expected 1 to 1024");
    let short = npy("|u1", "(3, 2, 2)", &[0; 11]);
    assert_eq!(x(short), "/x_train.npy: truncated by 1 bytes: found 139, expected 140");
    let long = npy("|u1", "(3, 2, 2)", &[0; 13]);
    assert_eq!(x(long), "/x_train.npy: trailing bytes: goes on after the 140 bytes that its header asks for");
    let fortran = String::from_utf8_lossy(&npy("|u1", "(3,)", &[])[10..]).replace("False", "True");
    let fortran =
        [b"\x93NUMPY\x01\x00".as_slice(), &(fortran.len() as u16).to_le_bytes(), fortran.as_bytes()].concat();
    assert_eq!(x(fortran), "/x_train.npy: fortran_order is True, expected False");
    let mut version = npy("|u1", "(3, 2, 2)", &[0; 12]);
    version[6] = 9;
    assert_eq!(x(version), "/x_train.npy: its version is 9, expected 1, 2 or 3");
    assert!(x(b"not an array".to_vec()).starts_with("/x_train.npy: its beginning is [6e, 6f"));
}

#[test]
fn other_headers_are_refused() {
    for shape in [
        "(3, -2, 2)",
        "(3, 2, 2",
        "3, 2, 2",
        "(3, a)",
        "(,)",
        "(1,1,1,1,1,1,1,1,1)",
        "(99999999999999999999, 1)",
    ] {
        let text = error(read(|members| members[0].1 = npy("|u1", shape, &[0; 12])));
        assert!(text.starts_with("/x_train.npy: its header is "), "{shape}: {text}");
    }
    for number in ["|u1', 'descr': '|u1", "|u1', 'other': '1"] {
        let text = error(read(|members| members[0].1 = npy(number, "(3, 2, 2)", &[0; 12])));
        assert!(text.starts_with("/x_train.npy: its header is "), "{number}: {text}");
    }
    let header = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
    let text = error(read(|members| members[0].1 = header));
    assert_eq!(text, "/x_train.npy/header: 4294967295 bytes, expected at most 10000");
}

#[test]
fn absurd_dimensions_are_refused_before_anything_is_read() {
    let text = error(read(|members| members[0].1 = npy("|u1", "(10000000, 1024, 1024)", &[])));
    assert_eq!(text, "/x_train.npy: 10485760000000 bytes, expected at most 1073741824");
    let max = u64::MAX;
    let text = error(read(|members| members[0].1 = npy("|u1", &format!("({max}, {max})"), &[])));
    assert!(text.starts_with("/x_train.npy: 18446744073709551615 bytes, expected at most"), "{text}");
}

/// Forty megabytes of zeros in forty kilobytes: the directory promises few, the header asks for few.
#[test]
fn a_bomb_is_refused() {
    let mut members = npz_members();
    members[0].1.extend(vec![0; 40 << 20]);
    let bomb = zip(&members, true);
    let text = error(read_bytes(bomb.clone()));
    assert_eq!(text, "/x_train.npy: trailing bytes: goes on after the 140 bytes that its header asks for");
    // The directory lies as well.
    let mut lying = bomb;
    let at = lying.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    lying[at + 24..at + 28].copy_from_slice(&140_u32.to_le_bytes());
    let text = error(read_bytes(lying));
    assert_eq!(text, "/x_train.npy: trailing bytes: goes on after the 140 bytes that its header asks for");
}

#[test]
fn zips_are_checked() {
    let whole = zip(&npz_members(), false);
    for keep in 4..whole.len() {
        let text = error(read_bytes(whole[..keep].to_vec()));
        assert_eq!(text, ": its end is cut off, expected the directory of a zip file", "cut to {keep}");
    }
    let at = whole.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let end = whole.len() - 22;
    let change = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        error(read_bytes(changed))
    };
    assert!(change(at - 1, &[77]).starts_with("/y_test.npy: its checksum is 0x"));
    assert_eq!(change(at + 8, &[1]), "/x_train.npy: the member is encrypted, expected plain");
    assert_eq!(
        change(at + 10, &[12]),
        "/x_train.npy: its compression method is 12, expected 0 (stored) or 8 (deflated)"
    );
    assert_eq!(change(at + 20, &[0, 0]), "/x_train.npy: its stored length is 0, expected 140, being stored");
    assert!(change(at + 42, &[5]).contains("what stands before it is"));
    assert!(change(at + 43, &[255, 255]).contains("truncated by"));
    assert_eq!(change(at, b"XX"), ": its directory is damaged, expected 4 entries");
    assert_eq!(change(end + 10, &[65]), ": the number of members is 65, expected 0 to 64");
    assert!(change(end + 14, &[1]).starts_with(": the length of the directory is "));
    assert!(change(end + 18, &[1]).starts_with(": the offset of the directory is "));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn mutated_files_are_refused_or_valid(
        deflated: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = zip(&npz_members(), deflated);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(dataset) = read_bytes(bytes) {
            prop_assert_eq!(dataset.train().len(), 3);
        }
    }

    /// The checksums are right, so that what is tested is the array's header.
    #[test]
    fn mutated_arrays_are_refused_or_valid(
        member in 0_usize..4,
        changes in prop::collection::vec((0_usize..128, any::<u8>()), 1..4),
    ) {
        let dataset = read(|members| {
            for (at, value) in changes {
                members[member].1[at] = value;
            }
        });
        if let Ok(dataset) = dataset {
            prop_assert_eq!(dataset.train().pixels.len(), dataset.train().len() * dataset.features());
        }
    }
}
