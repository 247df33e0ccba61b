//! YAML in and out, by way of JSON trees. A key that stands twice in a map is noted, and its last value counts, as
//! upstream's reader has it.

use std::{cell::RefCell, collections::HashSet, fmt};

use apimachinery::Status;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

/// Notes are for people to read: a file full of mistakes needs no more.
const MAX_NOTES: usize = 64;

/// A document, and what upstream's strict reader would have said of it.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) tree: Value,
    /// `line 8: key "a" already set in map`.
    pub(crate) duplicates: Vec<String>,
}

/// Reads one YAML document.
pub(crate) fn read(text: &[u8]) -> Result<Read, Status> {
    let failed = |why: &dyn fmt::Display| {
        // The reader draws the place; the first line says what is wrong.
        let why = why.to_string();
        let why = why.lines().next().unwrap_or_default();
        Status::bad_request(format!("error converting YAML to JSON: yaml: {}", why.trim_start_matches("error: ")))
    };
    let text = std::str::from_utf8(text).map_err(|_| failed(&"invalid leading UTF-8 octet"))?;
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let notes = RefCell::new(Vec::new());
    let tree = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        Tree(&notes).deserialize(deserializer)
    })
    .map_err(|error| failed(&error))?;
    Ok(Read { tree, duplicates: notes.into_inner() })
}

/// Writes a tree as YAML.
pub(crate) fn write(tree: &Value) -> Result<String, Status> {
    serde_saphyr::to_string(tree).map_err(Status::internal)
}

/// Reads any value, noting duplicate keys.
#[derive(Clone, Copy)]
struct Tree<'a>(&'a RefCell<Vec<String>>);

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(format!("unsupported number {value}")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<Spanned<Key>>()? {
            let (line, Key(key)) = (key.referenced.line(), key.value);
            if !seen.insert(key.clone()) && self.0.borrow().len() < MAX_NOTES {
                let key = apimachinery::field::quote(&key);
                self.0.borrow_mut().push(format!("line {line}: key {key} already set in map"));
            }
            map.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(map))
    }
}

/// A key of a map. Upstream reads it as any YAML value first, so that `n:` is the key `false`.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyKey;
        impl Visitor<'_> for AnyKey {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key that is no map or list")
            }

            fn visit_bool<E: Error>(self, key: bool) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }

            fn visit_i64<E: Error>(self, key: i64) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }

            fn visit_u64<E: Error>(self, key: u64) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }

            fn visit_f64<E: Error>(self, key: f64) -> Result<Key, E> {
                Ok(Key(key.to_string()))
            }

            fn visit_str<E: Error>(self, key: &str) -> Result<Key, E> {
                Ok(Key(key.to_owned()))
            }
        }
        deserializer.deserialize_any(AnyKey)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_of_equal_keys_counts_and_is_noted() {
        let read = read(b"a: 1\nb:\n  c: x\n  c: z\n5: [true, ~, 1.5]\n").unwrap();
        assert_eq!(read.tree, json!({"a": 1, "b": {"c": "z"}, "5": [true, null, 1.5]}));
        assert_eq!(read.duplicates, ["line 4: key \"c\" already set in map"]);
    }

    #[test]
    fn words_of_yaml_1_1_are_booleans() {
        let read = read(b"n: yes\n'y': off\n").unwrap();
        assert_eq!(read.tree, json!({"false": true, "y": false}));
    }

    #[test]
    fn anchors_and_quotes_are_read() {
        let read = read(b"a: &x {k: \"1\"}\nb: *x\n").unwrap();
        assert_eq!(read.tree, json!({"a": {"k": "1"}, "b": {"k": "1"}}));
        assert!(super::read(b"a: [").unwrap_err().message.starts_with("error converting YAML to JSON: yaml: "));
    }
}
