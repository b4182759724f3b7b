//! Labels of conditions, made of swept keys and values: `plastic={w,v_bar} rates.v=0.01`.

use serde_json::Value;

use crate::{errors::shortened, spec::LABEL_MAX_CHARS};

/// The label of a condition that sets these keys.
pub(crate) fn of<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let parts: Vec<String> = entries.map(|(key, value)| format!("{key}={}", value_of(value))).collect();
    let label = parts.join(" ");
    if label.is_empty() {
        return "defaults".to_owned();
    }
    if label.chars().count() <= LABEL_MAX_CHARS {
        return label;
    }
    // Long labels stay apart by the hash of the whole.
    let hash = blake3::hash(label.as_bytes()).to_hex();
    format!("{} #{}", shortened(&label), &hash[..12])
}

fn value_of(value: &Value) -> String {
    let joined = |items: Vec<String>| format!("{{{}}}", items.join(","));
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |n| number_of(number, n)),
        Value::Array(items) => joined(items.iter().map(value_of).collect()),
        Value::Object(map) => {
            joined(map.iter().map(|(key, value)| format!("{key}:{}", value_of(value))).collect())
        }
        other => other.to_string(),
    }
}

/// `2.0` reads `2`; whole numbers keep all their digits.
fn number_of(number: &serde_json::Number, float: f64) -> String {
    if number.is_f64() && float.abs() >= 1e-4 && float.abs() < 1e15 {
        float.to_string()
    } else {
        number.to_string()
    }
}
