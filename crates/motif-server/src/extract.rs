//! Parameters, paths and bodies, read so that an error names the field, the value and what would be right.

mod body;
pub(crate) mod lease;
mod query;

pub(crate) use body::{Body, RawJson};
pub(crate) use lease::LeaseFence;
pub(crate) use query::{Cursor, FileName, FromQuery, Id, Name, Parameters, Params};

/// The nearest of the names, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(2);
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known.to_owned())
}

/// The first characters of a value, for an error.
pub(crate) fn shown(value: &str) -> String {
    const SHOWN_MAX_CHARS: usize = 80;
    if value.chars().count() <= SHOWN_MAX_CHARS {
        return value.to_owned();
    }
    let head: String = value.chars().take(SHOWN_MAX_CHARS).collect();
    format!("{head}…")
}
