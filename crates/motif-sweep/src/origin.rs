//! Where a sweep sets a key of one of its conditions, so that what is wrong is blamed on the line that has it.

use serde_json::{Map, Value};

use crate::{document::join, errors::SpecErrors, keys, sample, spec::SweepSpec};

/// The field of the spec that gives `field` (`hidden[1]`, `rates.v`) its value: in the arm's own table when `arm` is
/// its place among the arms, where it varies otherwise, and for all trials when it stands nowhere else.
pub(crate) fn of(spec: &SweepSpec, arm: Option<usize>, field: &str) -> String {
    let own = match arm {
        Some(arm) => {
            spec.arms.get(arm).filter(|keys| sets(keys, field)).map(|_| format!("arms[{arm}].{field}"))
        }
        None => varied(spec, field),
    };
    let derived = || spec.derive.keys().find(|key| related(key, field)).map(|key| join("derive", key));
    own.or_else(derived).unwrap_or_else(|| join("trial", field))
}

/// Whether a table, its dotted keys opened, sets a field, the whole or a part of it.
pub(crate) fn sets(table: &Map<String, Value>, field: &str) -> bool {
    let opened = keys::undotted(table, "", &mut SpecErrors::default());
    let mut steps = field.split(['.', '[']);
    let mut here = steps.next().and_then(|step| opened.get(step));
    for step in steps {
        let Some(Value::Object(below)) = here else { break };
        here = below.get(step);
    }
    here.is_some()
}

fn varied(spec: &SweepSpec, field: &str) -> Option<String> {
    let zips = spec.zip.iter().enumerate();
    let zips = zips.flat_map(|(index, zip)| zip.keys().map(move |key| (format!("zip[{index}]"), key)));
    let axes = spec.axes.keys().map(|key| ("axes".to_owned(), key));
    let sampled = sample::sampled_keys(&spec.sample).map(|key| ("sample".to_owned(), key));
    axes.chain(zips).chain(sampled).find(|(_, key)| related(key, field)).map(|(table, key)| join(&table, key))
}

/// Whether one of the two is the other or within it.
pub(crate) fn related(a: &str, b: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(a, b) || within(b, a)
}
