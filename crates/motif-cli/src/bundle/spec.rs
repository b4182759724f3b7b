//! The spec that makes the sweep again: `sweep.json` as the server keeps it, `sweep.toml` for people.

use serde_json::Value;

use super::{
    material::Material,
    words::{one_line, plural},
};

/// `sweep.toml`: the same spec, with the datasets' content named in comments.
///
/// # Errors
/// When the spec has something that TOML cannot say.
pub(crate) fn toml(material: &Material) -> anyhow::Result<String> {
    let row = &material.sweep.row;
    let mut text = format!(
        "# The spec of the sweep {} ({}), as it was submitted.\n# motif rerun BUNDLE submits it again and compares the \
         results; motif submit sweep.toml only submits it.\n# {}, {}.\n",
        one_line(&row.name),
        row.id,
        plural(row.conditions.into(), "condition", "conditions"),
        plural(row.seeds.into(), "seed", "seeds")
    );
    for dataset in &material.datasets {
        let name = one_line(&dataset.name);
        text.push_str(&format!("# Dataset {name} had the content {} (BLAKE3).\n", dataset.hash));
    }
    text.push('\n');
    let mut spec = material.sweep.spec.clone();
    without_nulls(&mut spec);
    text.push_str(&toml::to_string_pretty(&spec)?);
    Ok(text)
}

/// TOML has no null: an entry that is null is one that is not there.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(table) => {
            table.retain(|_, value| !value.is_null());
            table.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
