//! A deserializer over JSON values whose errors are data: where, what was found, what was expected, which names exist.
//!
//! It exists so that the known keys and values of a config come from its type alone. It knows no particular type.

use std::fmt;

use serde::{
    de::{self, DeserializeOwned, DeserializeSeed, Expected, IntoDeserializer, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

/// Why a value does not fit a type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// A key that the struct does not have.
    UnknownKey { key: String, known: &'static [&'static str] },
    /// A value that the enum does not have.
    UnknownValue { known: &'static [&'static str] },
    /// A key that the struct needs.
    MissingKey(&'static str),
    /// Something else than what the words say.
    Expected(String),
    /// Something that only the type's own code can tell.
    Other(String),
}

/// A fault and its path below the value that was read, such as `.rates.v` or `[1]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located {
    pub(crate) path: String,
    pub(crate) fault: Fault,
}

impl Located {
    fn below(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.fault)
    }
}

impl std::error::Error for Located {}

impl From<Fault> for Located {
    fn from(fault: Fault) -> Self {
        Self { path: String::new(), fault }
    }
}

impl de::Error for Located {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Fault::Other(message.to_string()).into()
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Expected(in_words(&expected.to_string())).into()
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Expected(in_words(&expected.to_string())).into()
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownValue { known }.into()
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Fault::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Fault::MissingKey(key).into()
    }
}

fn in_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a string" | "string or map" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.trim_start_matches("enum ").to_owned(),
    }
}

/// Reads a value as a type.
pub(crate) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Located> {
    T::deserialize(Probe(value))
}

/// The keys of a struct that refuses unknown ones, asked of the type itself.
pub(crate) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let nobody = Value::Object(Map::from_iter([(String::new(), Value::Null)]));
    match read::<T>(&nobody) {
        Err(Located { fault: Fault::UnknownKey { known, .. }, .. }) => known,
        _ => &[],
    }
}

struct Probe<'a>(&'a Value);

impl<'de> de::Deserializer<'de> for Probe<'_> {
    type Error = Located;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => {
                if let Some(n) = number.as_u64() {
                    visitor.visit_u64(n)
                } else if let Some(n) = number.as_i64() {
                    visitor.visit_i64(n)
                } else {
                    visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Value::Array(items) => visitor.visit_seq(Items { rest: items.iter().enumerate() }),
            Value::Object(map) => visitor.visit_map(Entries { rest: map.iter(), open: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Located> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Located> {
        visitor.visit_newtype_struct(self)
    }

    /// Only unit variants, written as text: a config has no others.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Located> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Fault::UnknownValue { known }.into()),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'a> {
    rest: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Located;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Located> {
        let Some((index, item)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(Probe(item)).map(Some).map_err(|error| error.below(&format!("[{index}]")))
    }
}

struct Entries<'a> {
    rest: serde_json::map::Iter<'a>,
    open: Option<(&'a str, &'a Value)>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Located;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Located> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.open = Some((key, value));
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Located> {
        let (key, value) = self.open.take().expect("serde asks for a key before its value");
        seed.deserialize(Probe(value)).map_err(|error| error.below(&format!(".{key}")))
    }
}
