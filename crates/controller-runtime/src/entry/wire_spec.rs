//! `spec.nodeName` and `status.phase`, read without keeping anything else. Kinds whose spec or status is no object, or
//! where these are no strings, have none.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

#[derive(Default)]
pub(super) struct WireSpec(pub(super) String);

#[derive(Default)]
pub(super) struct WireStatus(pub(super) String);

/// A string, or empty for any other value.
struct Text(String);

impl<'de> Deserialize<'de> for WireSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Find { inside: Some("nodeName") }).map(WireSpec)
    }
}

impl<'de> Deserialize<'de> for WireStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Find { inside: Some("phase") }).map(WireStatus)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Find { inside: None }).map(Text)
    }
}

struct Find {
    /// The field to look for in an object; none to take a string.
    inside: Option<&'static str>,
}

impl<'de> Visitor<'de> for Find {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut found = String::new();
        while let Some(field) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if self.inside == Some(&*field) {
                found = map.next_value::<Text>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(if self.inside.is_some() { String::new() } else { text.to_owned() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok(String::new())
    }
}
