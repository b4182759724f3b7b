//! TOML or JSON text as a JSON value, with the place of each key, so that what is wrong with a sweep or a trial can be
//! told with line and column, by whoever finds it.

use std::collections::HashMap;

use motif_net::config::TrialConfig;
use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    errors::{SpecError, SpecErrors},
    places::{self, Walked},
    spec::SweepSpec,
    trial,
};

/// Longest text of a spec or a trial in TOML, in bytes.
pub const TOML_MAX_BYTES: usize = 1 << 20;
/// Longest text of a spec or a trial in JSON, in bytes; programs write long ones.
pub const JSON_MAX_BYTES: usize = 8 << 20;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// A document and where its keys stand.
#[derive(Debug)]
pub struct Document {
    root: Map<String, Value>,
    places: HashMap<String, usize>,
    text: String,
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// Where the text is not what its format says, is too long, or sets a key twice.
    pub fn read(text: &str, format: Format) -> Result<Self, SpecErrors> {
        let most = match format {
            Format::Toml => TOML_MAX_BYTES,
            Format::Json => JSON_MAX_BYTES,
        };
        if text.len() > most {
            let message = format!("the text has {} bytes; at most {most} are read", text.len());
            return Err(SpecError::new("", message).into());
        }
        match format {
            Format::Toml => Self::read_toml(text),
            Format::Json => Self::read_json(text),
        }
    }

    /// The sweep in it, `preset = "…"` with `[overrides]` included, planned once to find every problem.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column.
    pub fn sweep(&self) -> Result<SweepSpec, SpecErrors> {
        let spec = SweepSpec::from_map(&self.root).and_then(|spec| spec.plan().map(|_| spec));
        spec.map_err(|errors| self.locate(errors))
    }

    /// Its keys and values.
    #[must_use]
    pub fn root(&self) -> &Map<String, Value> {
        &self.root
    }

    /// The trial in it.
    ///
    /// # Errors
    /// Everything that is wrong, with line and column.
    pub fn trial(&self) -> Result<TrialConfig, SpecErrors> {
        trial::from_map(&self.root).map_err(|errors| self.locate(errors))
    }

    fn read_json(text: &str) -> Result<Self, SpecErrors> {
        let value = serde_json::from_str(text).map_err(|error| {
            // Its own text repeats the place.
            let told = error.to_string();
            let told = told.rsplit_once(" at line ").map_or(&*told, |(told, _)| told).to_owned();
            let mut wrong = SpecError::new("", format!("not JSON: {told}"));
            wrong.line = u32::try_from(error.line()).ok();
            wrong.column = u32::try_from(error.column()).ok();
            wrong
        })?;
        let Value::Object(mut root) = value else {
            return Err(SpecError::new("", "expected a table of keys and values").found(&value).into());
        };
        // Editors read it; there is a comment for that in TOML.
        if root.get("$schema").is_some_and(Value::is_string) {
            root.shift_remove("$schema");
        }
        let Walked { places, repeated } = places::walk(text);
        let document = Self { root, places, text: text.to_owned() };
        let mut errors = SpecErrors::default();
        for (path, at) in repeated {
            let mut error = SpecError::new(path, "this key is set twice in the same table");
            document.mark(&mut error, at);
            errors.push(error);
        }
        errors.or(document)
    }

    fn read_toml(text: &str) -> Result<Self, SpecErrors> {
        let mut document = Self { root: Map::new(), places: HashMap::new(), text: text.to_owned() };
        let mut errors = SpecErrors::default();
        let (table, problems) = DeTable::parse_recoverable(text);
        for problem in problems {
            let mut error = SpecError::new("", format!("not TOML: {}", problem.message()));
            document.mark(&mut error, problem.span().map_or(0, |span| span.start));
            errors.push(error);
        }
        let root =
            if errors.is_empty() { document.table(table.get_ref(), "", &mut errors) } else { Map::new() };
        document.root = root;
        errors.or(document)
    }

    /// Adds line and column to each error whose field, or the table it is in, stands in the text.
    #[must_use]
    pub fn locate(&self, mut errors: SpecErrors) -> SpecErrors {
        for error in &mut errors.0 {
            if error.line.is_some() {
                continue;
            }
            let overridden = format!("overrides.{}", error.field);
            if let Some(at) = self.place(&overridden, "overrides").or_else(|| self.place(&error.field, "")) {
                self.mark(error, at);
            }
        }
        errors
    }

    /// Byte offset of the field or its nearest parent below `root`.
    fn place(&self, field: &str, root: &str) -> Option<usize> {
        let mut path = field;
        while path.len() > root.len() {
            if let Some(at) = self.places.get(path) {
                return Some(*at);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
        None
    }

    fn mark(&self, error: &mut SpecError, at: usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let lines = before.matches('\n').count() + 1;
        error.line = u32::try_from(lines).ok();
        error.column = u32::try_from(before[line_start..].chars().count() + 1).ok();
    }

    fn table(&mut self, table: &DeTable<'_>, prefix: &str, errors: &mut SpecErrors) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let path = join(prefix, &name);
            self.places.insert(path.clone(), key.span().start);
            if let Some(value) = self.value(value, &path, errors) {
                map.insert(name, value);
            }
        }
        map
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str, errors: &mut SpecErrors) -> Option<Value> {
        let refused = |message: &str| SpecError::new(path, message);
        let problem = match value.get_ref() {
            DeValue::String(text) => return Some(Value::String(text.to_string())),
            DeValue::Boolean(flag) => return Some(Value::Bool(*flag)),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => return Some(Value::from(number)),
                Err(_) => refused("a whole number here must fit in 64 bits"),
            },
            DeValue::Float(float) => match float.as_str().parse().ok().and_then(Number::from_f64) {
                Some(number) => return Some(Value::Number(number)),
                None => refused("expected a finite number"),
            },
            DeValue::Datetime(_) => refused("dates and times mean nothing here"),
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.places.insert(path.clone(), item.span().start);
                    list.extend(self.value(item, &path, errors));
                }
                return Some(Value::Array(list));
            }
            DeValue::Table(table) => return Some(Value::Object(self.table(table, path, errors))),
        };
        let mut problem = problem;
        self.mark(&mut problem, value.span().start);
        errors.push(problem);
        None
    }
}

/// `prefix.key`.
pub(crate) fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}
