//! Where the keys and items of a JSON text stand. The text has been parsed before: here it is only walked.

use std::collections::HashMap;

use crate::document::join;

/// Offsets, in bytes, by the dotted path of each key and item.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    pub(crate) places: HashMap<String, usize>,
    /// Keys that stand in one table a second time, with their offsets.
    pub(crate) repeated: Vec<(String, usize)>,
}

/// Walks a text that is valid JSON.
pub(crate) fn walk(text: &str) -> Walked {
    let mut walker = Walker { text, at: 0, walked: Walked::default() };
    walker.value("");
    walker.walked
}

struct Walker<'a> {
    text: &'a str,
    at: usize,
    walked: Walked,
}

impl Walker<'_> {
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over one byte if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Depth is bounded, since the parser has refused what is deeper than 128.
    fn value(&mut self, path: &str) {
        match self.peek() {
            Some(b'{') => self.table(path),
            Some(b'[') => self.list(path),
            Some(b'"') => drop(self.string()),
            _ => {
                let rest = &self.text.as_bytes()[self.at..];
                let ends = |byte: &&u8| !matches!(byte, b',' | b']' | b'}') && !byte.is_ascii_whitespace();
                self.at += rest.iter().take_while(ends).count();
            }
        }
    }

    fn table(&mut self, path: &str) {
        self.take(b'{');
        while self.peek() == Some(b'"') {
            let at = self.at;
            let path = join(path, &self.string());
            self.take(b':');
            if self.walked.places.insert(path.clone(), at).is_some() {
                self.walked.repeated.push((path.clone(), at));
            }
            self.value(&path);
            self.take(b',');
        }
        self.take(b'}');
    }

    fn list(&mut self, path: &str) {
        self.take(b'[');
        let mut index = 0;
        while self.peek().is_some_and(|byte| byte != b']') {
            let path = format!("{path}[{index}]");
            self.walked.places.insert(path.clone(), self.at);
            let before = self.at;
            self.value(&path);
            self.take(b',');
            if self.at == before {
                return;
            }
            index += 1;
        }
        self.take(b']');
    }

    /// Steps over a string and returns what it says.
    fn string(&mut self) -> String {
        let start = self.at;
        let mut escaped = false;
        let quoted = self.text.as_bytes()[start + 1..].iter().take_while(|&&byte| {
            let open = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            open
        });
        let end = start + 1 + quoted.count();
        self.at = (end + 1).min(self.text.len());
        self.text.get(start..self.at).and_then(|quoted| serde_json::from_str(quoted).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, test_runner::RngSeed};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn keys_and_items_are_found() {
        let text = "{ \"a\\\"é\": [1, {\"b\": \"x,]\\\\\"}],\n \"c\": {} , \"d\": null, \"c\": [ ] }";
        let walked = walk(text);
        let at = |path: &str| walked.places.get(path).map(|&at| &text[at..at + 3]);
        assert_eq!(at("a\"é"), Some("\"a\\"));
        assert_eq!(at("a\"é[0]"), Some("1, "));
        assert_eq!(at("a\"é[1].b"), Some("\"b\""));
        assert_eq!(at("d"), Some("\"d\""));
        assert_eq!(walked.repeated.iter().map(|(path, _)| &**path).collect::<Vec<_>>(), ["c"]);
        assert_eq!(walked.places.len(), 6);
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-z\"\\\\]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn count(value: &Value) -> usize {
        match value {
            Value::Array(items) => items.iter().map(|item| 1 + count(item)).sum(),
            Value::Object(map) => map.values().map(|value| 1 + count(value)).sum(),
            _ => 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_key_and_item_is_found_once(value in json_value(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let walked = walk(&text);
            prop_assert_eq!(walked.places.len(), count(&value));
            prop_assert!(walked.repeated.is_empty());
        }
    }
}
