//! CSV files, and refusing them.

use motif_data::{Dataset, ImportError, import};
use proptest::prelude::*;

use crate::fixtures::gzip;
use crate::folder;

const TRAIN: &str = "1,0,10,20,255\n0,1,2,3,4\n2,5,6,7,8\n";
const TEST: &str = "2,9,9,9,9\n";

fn read(train: &str, test: &str) -> Result<Dataset, ImportError> {
    import(folder([("train.csv", train.into()), ("test.csv", test.into())]).path())
}

/// What the error says after the file's name.
fn error(train: &str) -> String {
    let text = read(train, TEST).expect_err("must be refused").to_string();
    let (_, text) = text.split_once("train.csv: ").expect("names the file");
    text.to_owned()
}

#[test]
fn plain_gzip_headers_quotes_and_line_ends_give_the_same_dataset() {
    let plain = read(TRAIN, TEST).unwrap();
    assert_eq!((plain.shape().height, plain.shape().width, plain.shape().channels), (2, 2, 1));
    assert_eq!(plain.classes(), 3);
    assert_eq!(plain.train().labels, [1, 0, 2]);
    assert_eq!(plain.train().pixels, [0, 10, 20, 255, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((&plain.test().labels[..], &plain.test().pixels[..]), (&[2][..], &[9; 4][..]));

    for train in [
        format!("label,pixel0,pixel1,pixel2,pixel3\n{TRAIN}"),
        format!("\u{feff}\"label\",1x1,1x2,2x1,2x2\r\n{}", TRAIN.replace('\n', "\r\n")),
        TRAIN.replace(',', " , "),
        TRAIN.replace("255", "\"255\""),
        format!("{TRAIN}\n\r\n  \n"),
        TRAIN.trim_end().to_owned(),
    ] {
        assert_eq!(read(&train, TEST).unwrap(), plain, "{train:?}");
    }
    let zipped = [("train.csv.gz", gzip(TRAIN.as_bytes())), ("test.csv.gz", gzip(TEST.as_bytes()))];
    assert_eq!(import(folder(zipped).path()).unwrap(), plain);
}

#[test]
fn sides_come_from_the_header_or_are_a_square_or_one_row() {
    let sides = |header: &str| {
        let (train, test) = ("0,1,2,3,4,5,6\n1,1,2,3,4,5,6\n", "0,1,2,3,4,5,6\n");
        let shape = read(&format!("{header}{train}"), &format!("{header}{test}")).unwrap().shape();
        (shape.height, shape.width)
    };
    assert_eq!(sides("Label,1x1,1x2,2x1,2x2,3x1,3x2\n"), (3, 2));
    assert_eq!(sides("label,a,b,c,d,e,f\n"), (1, 6));
    assert_eq!(sides("label,a,b,c,d,e,9x9\n"), (1, 6), "no such number of pixels");
    assert_eq!(sides(""), (1, 6));
}

#[test]
fn other_cells_are_refused_with_line_and_column() {
    for cell in ["256", "-1", "1.0", "1e2", "x", "", "00000001", "٣"] {
        let text = error(&format!("1,0,0,0,0\n0,1,{cell},3,4\n"));
        let expected = format!("column 3 of line 2 is {cell:?}, expected a whole number, 0 to 255");
        assert_eq!(text, expected);
    }
    assert_eq!(
        error("1,0,0,0,0\n10000,0,0,0,0\n"),
        "column 1 of line 2 is \"10000\", expected a whole number, 0 to 9999"
    );
    let long = "9".repeat(500);
    assert!(error(&format!("0,{long},1,1,1\n")).contains("is \"99999999999999999999\", expected"));
}

#[test]
fn other_lines_are_refused() {
    assert_eq!(error("1,0,0,0,0\n0,1,2,3\n"), "the number of columns in line 2 is 4, expected 5");
    assert_eq!(error("1,0,0,0,0\n0,1,2,3,4,5\n"), "the number of columns in line 2 is 6, expected 5");
    assert_eq!(error("7\n"), "the number of columns in line 1 is 1, expected a label and pixels");
    assert_eq!(error("1,0,0,0,0\n\n0,1,2,3,4\n"), "line 2 is blank, expected an example");
    assert_eq!(error(""), "the number of examples is 0, expected at least 1");
    assert_eq!(error("label,a,b,c,d\n"), "the number of examples is 0, expected at least 1");
    // The competition's test file: no labels.
    assert_eq!(
        error("pixel0,pixel1,pixel2,pixel3,pixel4\n1,2,3,4,5\n"),
        "the first column of line 1 is \"pixel0\", expected a label, or the header \"label\""
    );
    assert_eq!(error(&format!("0{}\n", ",1".repeat(1025 * 1025))), "height is 1025, expected 1 to 1024");
    let text = error(&" ".repeat(9 << 20));
    assert_eq!(text, "the length of line 1 is more than 8388608 bytes, expected less");
}

#[test]
fn splits_must_fit_each_other() {
    let error = read(TRAIN, "3,1,1,1,1\n").unwrap_err();
    assert!(matches!(error, ImportError::Label { index: 0, label: 3, max: 2, .. }), "{error}");
    assert!(error.to_string().contains("test.csv: label 0 is 3, expected 0 to 2"), "{error}");
    let error = read(TRAIN, "1,1,1\n").unwrap_err();
    assert!(error.to_string().contains("test.csv: images are 1 × 2, expected 2 × 2"), "{error}");
    let error = read("0,1\n0,2\n", "0,1\n").unwrap_err();
    assert!(matches!(error, ImportError::Dataset { .. }), "one class is none: {error}");
    let error = import(folder([("train.csv", TRAIN.into())]).path()).unwrap_err();
    assert!(error.to_string().contains("test.csv is missing beside train.csv"), "{error}");
}

#[test]
fn a_bomb_of_blank_lines_is_refused_at_a_line_too_long() {
    let dir = folder([("train.csv.gz", gzip(&vec![b' '; 40 << 20])), ("test.csv", TEST.into())]);
    let error = import(dir.path()).unwrap_err();
    assert!(error.to_string().contains("is more than 8388608 bytes"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_text_is_refused_or_valid(train in "[0-9,\n\r \"x]{0,60}", test in "[0-9,\n]{0,40}") {
        if let Ok(dataset) = read(&train, &test) {
            prop_assert_eq!(dataset.train().pixels.len(), dataset.train().len() * dataset.features());
        }
    }

    #[test]
    fn what_is_written_is_read(
        labels in prop::collection::vec(0_u16..=9999, 1..6),
        pixels in prop::collection::vec(any::<u8>(), 54),
    ) {
        let line = |(index, label): (usize, &u16)| {
            let pixels = pixels[index * 9..][..9].iter().map(u8::to_string).collect::<Vec<_>>().join(",");
            format!("{label},{pixels}\n")
        };
        let text: String = labels.iter().enumerate().map(line).collect();
        let dataset = read(&text, &text);
        prop_assume!(labels.iter().any(|&label| label > 0));
        let dataset = dataset.unwrap();
        prop_assert_eq!(&dataset.train().labels, &labels);
        prop_assert_eq!(&dataset.test().pixels, &pixels[..labels.len() * 9]);
        prop_assert_eq!((dataset.shape().height, dataset.shape().width), (3, 3));
    }
}
