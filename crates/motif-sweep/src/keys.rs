//! Tables with known keys: which keys exist, which is nearest to a mistyped one, and whether each value fits.
//!
//! What exists is asked of the Rust type that is read, so there is no second list to keep.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    document::join,
    errors::{SpecError, SpecErrors},
    probe::{self, Fault, Located},
};

/// Shortest name that counts as near to a longer one which contains it, in bytes.
const CONTAINED_MIN_BYTES: usize = 3;

/// A key with more dots than this is not opened into tables: no config is that deep.
const DOTS_MAX: usize = 4;

/// The candidate nearest to a name: by edit distance, a name that begins or ends with the other counting as near.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |candidate: &str| {
        let (short, long) =
            if name.len() < candidate.len() { (&*name, candidate) } else { (candidate, &*name) };
        let contained = long.starts_with(short) || long.ends_with(short);
        if contained && short.len() >= CONTAINED_MIN_BYTES && short != long {
            return 1;
        }
        strsim::damerau_levenshtein(&name, candidate)
    };
    let likeness = |candidate: &str| strsim::jaro_winkler(&name, candidate);
    candidates
        .into_iter()
        .min_by(|a, b| distance(a).cmp(&distance(b)).then_with(|| likeness(b).total_cmp(&likeness(a))))
}

/// As [`nearest`], but only when the names are really alike.
pub(crate) fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(name, candidates)
        .filter(|candidate| strsim::jaro_winkler(&name.to_lowercase(), candidate) >= 0.75)
}

/// The error for a key that does not exist.
pub(crate) fn unknown_key<'a>(
    prefix: &str,
    key: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> SpecError {
    SpecError::new(join(prefix, key), "unknown key").suggest(nearest(key, known))
}

/// The error for a fault in `value`, which stands at `field`.
pub(crate) fn refused(field: &str, value: &Value, located: Located) -> SpecError {
    let field = format!("{field}{}", located.path);
    match located.fault {
        Fault::UnknownKey { key, known } => unknown_key(&field, &key, known.iter().copied()),
        Fault::UnknownValue { known } => {
            let named: Vec<String> = known.iter().map(|name| format!("\"{name}\"")).collect();
            let suggestion = value_at(value, &located.path)
                .and_then(Value::as_str)
                .and_then(|text| near(text, known.iter().copied()));
            let error = SpecError::new(field, format!("expected one of {}", named.join(", ")));
            found(error, value, &located.path).suggest(suggestion)
        }
        Fault::MissingKey(key) => SpecError::new(join(&field, key), "missing"),
        Fault::Expected(expected) => {
            found(SpecError::new(field, format!("expected {expected}")), value, &located.path)
        }
        Fault::Other(message) => found(SpecError::new(field, message), value, &located.path),
    }
}

fn found(error: SpecError, value: &Value, path: &str) -> SpecError {
    match value_at(value, path) {
        Some(value) => error.found(value),
        None => error,
    }
}

/// What stands at a path such as `.rates.v` or `[1]`.
fn value_at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = path.replace(['.', '['], "/").replace(']', "");
    value.pointer(&pointer)
}

/// Checks each entry of `given` by itself against `T`, which has the `known` keys and of which `defaults` is an example.
///
/// An entry that fits in the complete example fits. Tables within are checked entry by entry, lists item by item, so
/// that one mistake does not hide the next.
pub(crate) fn check_table<T: DeserializeOwned>(
    given: &Map<String, Value>,
    known: &[&str],
    defaults: &Map<String, Value>,
    prefix: &str,
    errors: &mut SpecErrors,
) {
    for (key, value) in given {
        if !known.contains(&key.as_str()) {
            errors.push(unknown_key(prefix, key, known.iter().copied()));
            continue;
        }
        let field = join(prefix, key);
        let fits = |candidate: &Value| fits::<T>(defaults, key, candidate);
        match (value, defaults.get(key)) {
            (Value::Object(entries), Some(Value::Object(inner))) if !inner.is_empty() => {
                check_entries(entries, inner, &field, fits, errors);
            }
            (Value::Array(items), _) => {
                let before = errors.0.len();
                for (index, item) in items.iter().enumerate() {
                    if let Err(mut located) = fits(&Value::Array(vec![item.clone()])) {
                        strip(&mut located, "[0]");
                        errors.push(refused(&format!("{field}[{index}]"), item, located));
                    }
                }
                if errors.0.len() == before
                    && let Err(located) = fits(value)
                {
                    errors.push(refused(&field, value, located));
                }
            }
            _ => {
                if let Err(located) = fits(value) {
                    errors.push(refused(&field, value, located));
                }
            }
        }
    }
}

fn check_entries(
    entries: &Map<String, Value>,
    defaults: &Map<String, Value>,
    prefix: &str,
    fits: impl Fn(&Value) -> Result<(), Located>,
    errors: &mut SpecErrors,
) {
    for (key, value) in entries {
        if !defaults.contains_key(key) {
            errors.push(unknown_key(prefix, key, defaults.keys().map(String::as_str)));
            continue;
        }
        let mut whole = defaults.clone();
        whole.insert(key.clone(), value.clone());
        if let Err(mut located) = fits(&Value::Object(whole)) {
            strip(&mut located, &format!(".{key}"));
            errors.push(refused(&join(prefix, key), value, located));
        }
    }
}

/// Whether `T` can be read when `key` has this value; the fault's path is below the key.
fn fits<T: DeserializeOwned>(defaults: &Map<String, Value>, key: &str, value: &Value) -> Result<(), Located> {
    let mut whole = defaults.clone();
    whole.insert(key.to_owned(), value.clone());
    match probe::read::<T>(&Value::Object(whole)) {
        Ok(_) => Ok(()),
        Err(mut located) => {
            strip(&mut located, &format!(".{key}"));
            Err(located)
        }
    }
}

/// Takes a first step off the fault's path.
fn strip(located: &mut Located, step: &str) {
    if let Some(rest) = located.path.strip_prefix(step) {
        located.path = rest.to_owned();
    }
}

/// Lays `over` upon `base`: tables are merged entry by entry, anything else is replaced.
pub(crate) fn overlay(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => overlay(below, above),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Opens dotted keys into tables: `{"rates.v": 1}` becomes `{"rates": {"v": 1}}`.
pub(crate) fn undotted(
    given: &Map<String, Value>,
    prefix: &str,
    errors: &mut SpecErrors,
) -> Map<String, Value> {
    let mut open = Map::new();
    for (key, value) in given {
        let nested = match key.split_once('.') {
            Some((head, rest)) if rest.matches('.').count() < DOTS_MAX => {
                let inner = Map::from_iter([(rest.to_owned(), value.clone())]);
                Map::from_iter([(head.to_owned(), Value::Object(undotted(&inner, prefix, errors)))])
            }
            _ => Map::from_iter([(key.clone(), value.clone())]),
        };
        if overlaps(&open, &nested) {
            errors.push(SpecError::new(join(prefix, key), "this key is set twice in the same table"));
        }
        overlay(&mut open, &nested);
    }
    open
}

/// Writes tables within as dotted keys, the inverse of [`undotted`]: `{"rates": {"v": [1]}}` becomes `{"rates.v": [1]}`.
/// What is a `leaf` stays whole, and so does an empty table.
pub(crate) fn dotted(
    given: &Map<String, Value>,
    prefix: &str,
    leaf: fn(&Value) -> bool,
    errors: &mut SpecErrors,
) -> Map<String, Value> {
    let mut flat = Map::new();
    for (key, value) in given {
        let entries = match value {
            Value::Object(below) if !below.is_empty() && !leaf(value) => {
                let below = dotted(below, &join(prefix, key), leaf, errors);
                below.into_iter().map(|(inner, value)| (join(key, &inner), value)).collect()
            }
            _ => Map::from_iter([(key.clone(), value.clone())]),
        };
        for (key, value) in entries {
            if flat.contains_key(&key) {
                errors.push(SpecError::new(join(prefix, &key), "this key is set twice in the same table"));
            }
            flat.insert(key, value);
        }
    }
    flat
}

/// Whether the two set the same key.
pub(crate) fn overlaps(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    b.iter().any(|(key, value)| match (a.get(key), value) {
        (Some(Value::Object(a)), Value::Object(b)) => overlaps(a, b),
        (found, _) => found.is_some(),
    })
}
