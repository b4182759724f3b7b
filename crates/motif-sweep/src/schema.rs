//! JSON Schemas (draft 2020-12) of a trial and of a sweep, for editors and other programs.
//!
//! They come from the Rust types, docs included, and say what may be written where; limits and what keys mean together
//! only [`crate::spec`] and [`crate::trial`] check.

use std::sync::LazyLock;

use motif_net::config::TrialConfig;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use crate::{
    lifecycle::Policy,
    numeric, presets,
    sample::{Range, Settings},
    spec::SweepSpec,
    trial,
};

/// Where a sweep's schema keeps the definitions that it refers to.
const DEFINITIONS: &str = "$defs";

/// The schema of a trial.
#[must_use]
pub fn trial() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let Trial { mut schema, .. } = Trial::new();
        schema["title"] = json!("A Motif trial");
        schema["properties"]["$schema"] = json!({ "type": "string" });
        schema
    });
    &SCHEMA
}

/// The schema of a sweep: of a whole one, or of a preset with overrides.
#[must_use]
pub fn sweep() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let trial = Trial::new();
        let mut schema = schema_for!(SweepSpec).to_value();
        for (key, described) in sweep_tables(&trial) {
            let property = &mut schema["properties"][key];
            let described = with(described, "description", property["description"].take());
            *property = described;
        }
        let properties = schema["properties"].take();
        let no_variables = no_variables(&properties);
        let mut accepted = object(&properties);
        accepted.insert("preset".to_owned(), preset());
        accepted.insert("scale".to_owned(), scale());
        accepted.insert("overrides".to_owned(), overrides(&properties));
        accepted.insert("$schema".to_owned(), json!({ "type": "string" }));
        let mut definitions = object(&schema[DEFINITIONS]);
        definitions.extend(object(&trial.schema[DEFINITIONS]));
        for part in [schema_for!(Settings), schema_for!(Range)] {
            definitions.extend(object(&part.to_value()[DEFINITIONS]));
        }
        for table in ["of", "against"] {
            let property = &mut definitions["Claim"]["properties"][table];
            *property = with(plain(selection(&trial)), "description", property["description"].take());
        }
        json!({
            "$schema": schema["$schema"],
            "title": "A Motif sweep",
            "description": schema["description"],
            "type": "object",
            "properties": accepted,
            "additionalProperties": false,
            "if": { "required": ["preset"] },
            "then": { "propertyNames": { "enum": ["preset", "scale", "overrides", "$schema"] } },
            "else": { "required": ["name"], "not": { "anyOf": [{ "required": ["overrides"] }, { "required": ["scale"] }] } },
            "allOf": [{ "if": { "required": ["derive"] }, "else": { "properties": no_variables } }],
            DEFINITIONS: definitions,
        })
    });
    &SCHEMA
}

fn preset() -> Value {
    let names: Vec<&str> = presets::all().iter().map(|preset| preset.name).collect();
    json!({ "description": "A built-in sweep to start from.", "enum": names })
}

fn scale() -> Value {
    let names = presets::Scale::ALL.map(presets::Scale::name);
    json!({ "description": "How large a preset is run; `quick` unless given.", "enum": names })
}

/// What is to be different; `null` removes an entry.
fn overrides(properties: &Value) -> Value {
    let removable = object(properties)
        .into_iter()
        .map(|(key, schema)| (key, json!({ "anyOf": [schema, { "type": "null" }] })));
    let removable: Map<String, Value> = removable.collect();
    json!({
        "description": "What is to be different from the preset.",
        "type": "object",
        "properties": removable,
        "additionalProperties": false,
    })
}

/// Alternatives for keys of a trial, or for a label: which conditions a claim is about.
fn selection(trial: &Trial) -> Value {
    let labels =
        json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] });
    trial.table(&|key| Some(alternatives(&trial.of(key))), Map::from_iter([("label".to_owned(), labels)]))
}

/// A value, or a list of them.
fn alternatives(value: &Value) -> Value {
    json!({ "anyOf": [value, list(value)] })
}

fn list(value: &Value) -> Value {
    json!({ "type": "array", "items": value, "minItems": 1 })
}

/// The tables whose keys are a trial's.
fn sweep_tables(trial: &Trial) -> [(&'static str, Value); 9] {
    let number =
        || json!({ "type": "number", "description": "A variable that an expression of [derive] reads." });
    let lists = trial.table(&|key| Some(list(&trial.of(key))), Map::new());
    let lists = with_variables(lists, &list(&number()));
    let excluded = trial.table(&|key| Some(alternatives(&trial.of(key))), Map::new());
    let excluded = with_variables(excluded, &alternatives(&number()));
    let expression = || json!({ "type": "string", "examples": ["rates.w * 0.4", "round(1 / rates.w)"] });
    let derived = trial.table(&|key| numeric::find(key).map(|_| expression()), Map::new());
    let settings = object(&schema_for!(Settings).to_value()["properties"]);
    let sampled = trial.table(&|key| Some(range(&trial.of(key))), settings);
    let sampled = with_variables(sampled, &range(&number()));
    let label = Map::from_iter([(
        "label".to_owned(),
        json!({ "type": "string", "description": "Its name in tables and figures." }),
    )]);
    let labelled = trial.table(&|key| Some(trial.of(key)), label);
    let baseline = with_variables(labelled.clone(), &number());
    let shared = trial.table(&|key| Some(trial.of(key)), Map::new());
    [
        ("trial", shared),
        ("axes", lists.clone()),
        ("zip", json!({ "type": "array", "items": lists })),
        ("sample", with(sampled, "required", json!(["count"]))),
        ("derive", derived),
        ("exclude", json!({ "type": "array", "items": excluded })),
        ("arms", json!({ "type": "array", "items": labelled })),
        ("baseline", baseline),
        ("queue", with(schema_for!(Policy).to_value(), "required", json!([]))),
    ]
    .map(|(key, schema)| (key, plain(schema)))
}

/// A table that also takes variables. A schema cannot know which names the expressions read: of a misspelt key that
/// looks like a variable, the plan tells.
fn with_variables(table: Value, of: &Value) -> Value {
    let names = json!({ "anyOf": [known_names(&table), { "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" }] });
    with(with(table, "additionalProperties", of.clone()), "propertyNames", names)
}

/// What holds of the tables of a sweep that takes variables as long as no expression is there to read them.
fn no_variables(properties: &Value) -> Value {
    let one = |key: &str| json!({ "propertyNames": known_names(&properties[key]) });
    let many = |key: &str| json!({ "items": { "propertyNames": known_names(&properties[key]["items"]) } });
    json!({
        "axes": one("axes"), "sample": one("sample"), "baseline": one("baseline"), "zip": many("zip"),
        "exclude": many("exclude"),
    })
}

fn known_names(table: &Value) -> Value {
    let known: Vec<Value> =
        object(&table["properties"]).keys().map(|key| Value::from(key.as_str())).collect();
    json!({ "enum": known })
}

/// A range whose `values` are the key's.
fn range(value: &Value) -> Value {
    let mut range = plain(schema_for!(Range).to_value());
    range["properties"]["values"]["items"] = value.clone();
    range
}

/// A schema as part of another one: unknown keys refused, what only a whole document has left out.
fn plain(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        for key in ["$schema", DEFINITIONS, "title"] {
            schema.shift_remove(key);
        }
        if schema.get("type") == Some(&json!("object")) && !schema.contains_key("propertyNames") {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
    }
    schema
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    if !value.is_null() {
        schema[key] = value;
    }
    schema
}

/// A trial's schema, in which everything may be left out and keys within tables may be dotted.
struct Trial {
    schema: Value,
}

impl Trial {
    fn new() -> Self {
        let mut schema = schema_for!(TrialConfig).to_value();
        // Rates and decays are laid over the defaults one by one.
        for key in trial::dotted_keys().iter().filter_map(|key| key.split_once('.')) {
            let definition = schema["properties"][key.0]["$ref"].as_str().map(str::to_owned);
            if let Some(definition) =
                definition.and_then(|path| schema.pointer_mut(path.trim_start_matches('#')))
            {
                definition["required"] = json!([]);
            }
        }
        let mut trial = Self { schema };
        for key in trial::sweepable_keys().iter().filter(|key| key.contains('.')) {
            let property = trial.of(key);
            trial.schema["properties"][key] = property;
        }
        trial
    }

    /// The schema of a key's value.
    fn of(&self, key: &str) -> Value {
        let mut here = &self.schema;
        for step in key.split('.') {
            here = self.within(here, step).unwrap_or(&Value::Null);
        }
        here.clone()
    }

    /// What stands under a key, looked for behind references and in alternatives.
    fn within<'a>(&'a self, schema: &'a Value, step: &str) -> Option<&'a Value> {
        if let Some(path) = schema["$ref"].as_str() {
            return self.within(self.schema.pointer(path.trim_start_matches('#'))?, step);
        }
        let alternatives =
            ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|kind| schema[kind].as_array()).flatten();
        schema["properties"]
            .get(step)
            .or_else(|| alternatives.filter_map(|alternative| self.within(alternative, step)).next())
    }

    /// A table of sweepable keys, dotted or in tables, each with what `of` says, beside other `entries`.
    fn table(&self, of: &dyn Fn(&str) -> Option<Value>, entries: Map<String, Value>) -> Value {
        let mut properties = entries;
        for key in trial::sweepable_keys() {
            let Some(schema) = of(key) else { continue };
            if let Some((outer, inner)) = key.split_once('.') {
                let nested = properties.entry(outer.to_owned()).or_insert_with(|| json!({ "anyOf": [] }));
                nest(nested, inner, &schema);
            }
            properties.insert(key.clone(), schema);
        }
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

/// Adds to a key's schema the alternative that it is a table, with this key in it.
fn nest(schema: &mut Value, inner: &str, of: &Value) {
    if schema["anyOf"].as_array().is_none_or(|all| !all.iter().any(|one| one["x-motif-table"] == true)) {
        let table = json!({ "type": "object", "properties": {}, "additionalProperties": false, "x-motif-table": true });
        *schema = match schema["anyOf"].as_array().is_some_and(Vec::is_empty) {
            true => json!({ "anyOf": [table] }),
            false => json!({ "anyOf": [schema.take(), table] }),
        };
    }
    for alternative in schema["anyOf"].as_array_mut().into_iter().flatten() {
        if alternative["x-motif-table"] == true {
            alternative["properties"][inner] = of.clone();
        }
    }
}
