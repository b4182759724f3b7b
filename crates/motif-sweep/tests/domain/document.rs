//! What is wrong is told with its line and column, in TOML and in JSON, whoever finds it.

use motif_sweep::{
    document::{Document, Format, JSON_MAX_BYTES},
    errors::{SpecError, SpecErrors},
};

fn place(error: &SpecError) -> (&str, Option<u32>, Option<u32>) {
    (&error.field, error.line, error.column)
}

#[test]
fn json_errors_have_a_place_too() {
    let text = "{\n  \"name\": \"a\",\n  \"axes\": { \"rates\": { \"w\": [0.1, true] } },\n  \"sede\": 3\n}";
    let errors = Document::read(text, Format::Json).unwrap().sweep().unwrap_err().0;
    assert_eq!(place(&errors[0]), ("sede", Some(4), Some(3)));
    let text = text.replace("sede", "seeds");
    let errors = Document::read(&text, Format::Json).unwrap().sweep().unwrap_err().0;
    assert_eq!(place(&errors[0]), ("axes.rates.w[1]", Some(3), Some(35)));
    let text = "{\"preset\": \"demo\",\n \"overrides\": {\"trial\": {\"epoch\": 2}}}";
    let errors = Document::read(text, Format::Json).unwrap().sweep().unwrap_err().0;
    assert_eq!(place(&errors[0]), ("trial.epoch", Some(2), Some(26)));
    let errors = Document::read("{\"hidden\": [8,\n 0]}", Format::Json).unwrap().trial().unwrap_err().0;
    assert_eq!(place(&errors[0]), ("hidden[1]", Some(2), Some(2)));
}

#[test]
fn text_that_is_not_json_is_told_with_its_place() {
    let error = Document::read("{\n \"a\": 1,\n}", Format::Json).unwrap_err().0.remove(0);
    assert_eq!((error.line, error.field.as_str()), (Some(3), ""));
    assert!(error.message.starts_with("not JSON: trailing comma"), "{error}");
    assert!(!error.message.contains("line"), "{error}");
    assert!(Document::read("[1]", Format::Json).is_err());
    assert!(Document::read("", Format::Json).is_err());
    assert!(Document::read(&" ".repeat(JSON_MAX_BYTES + 1), Format::Json).is_err());
    let error = Document::read("{\"a\": {\"b\": 1,\n\"b\": 2}}", Format::Json).unwrap_err().0.remove(0);
    assert_eq!(place(&error), ("a.b", Some(2), Some(1)));
}

#[test]
fn what_others_find_is_located_in_the_text() {
    let document = Document::read("name = \"a\"\n[trial]\ndataset = \"mnits\"", Format::Toml).unwrap();
    document.sweep().unwrap();
    let found = SpecErrors(vec![SpecError::new("trial.dataset", "unknown"), SpecError::new("nowhere", "x")]);
    let located = document.locate(found).0;
    assert_eq!(place(&located[0]), ("trial.dataset", Some(3), Some(1)));
    assert_eq!(located[1].line, None);
}
