//! TOML text as a JSON value, with the place of each key. It knows nothing of specs or trials.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::errors::{SpecError, SpecErrors};

/// Longest text of a spec or a trial, in bytes.
pub(crate) const TEXT_MAX_BYTES: usize = 1 << 20;

/// A document and where its keys stand.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Map<String, Value>,
    places: HashMap<String, usize>,
    text: String,
}

impl Document {
    /// Reads TOML.
    pub(crate) fn read(text: &str) -> Result<Self, SpecErrors> {
        if text.len() > TEXT_MAX_BYTES {
            let message = format!("the text has {} bytes; at most {TEXT_MAX_BYTES} are read", text.len());
            return Err(SpecError::new("", message).into());
        }
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
    pub(crate) fn locate(&self, mut errors: SpecErrors) -> SpecErrors {
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
