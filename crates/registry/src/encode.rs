//! How objects are written: kind, version and metadata first, as upstream orders them, so that a reader who needs
//! only those stops early; and the resource version put in when the store knows it.

use std::sync::Arc;

use apimachinery::Object;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Metadata in upstream's order. What is not listed comes before the managed fields.
const METADATA: [&str; 13] = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
];
const RESOURCE_VERSION: &str = "resourceVersion";
const MANAGED_FIELDS: &str = "managedFields";

/// An encoded object that lacks its resource version.
pub(crate) struct Unstamped {
    bytes: Vec<u8>,
    /// Where the resource version goes.
    at: usize,
}

impl Unstamped {
    /// Encodes for the store. A resource version in the tree is left out.
    pub(crate) fn new(object: &Object) -> Self {
        let mut encoder = Encoder { out: Vec::with_capacity(1024), version_at: 0, skip_version: true };
        encoder.object(object.map());
        Self { bytes: encoder.out, at: encoder.version_at }
    }

    /// Whether this is what is stored already, at that revision.
    pub(crate) fn equals(&self, stored: &[u8], revision: u64) -> bool {
        let (before, after) = self.bytes.split_at(self.at);
        let Some(rest) = stored.strip_prefix(before) else { return false };
        let Some(middle) = rest.strip_suffix(after) else { return false };
        let text = std::str::from_utf8(middle).unwrap_or_default().trim_matches(',');
        text == format!("\"resourceVersion\":\"{revision}\"")
    }

    /// For the store, which knows the revision.
    pub(crate) fn value(self: &Arc<Self>) -> store::Value {
        let unstamped = Arc::clone(self);
        store::Value::built(move |revision| unstamped.stamp(revision.0))
    }

    /// The final bytes, exactly as long as needed.
    pub(crate) fn stamp(&self, revision: u64) -> Bytes {
        let digits = revision.to_string();
        let (before, after) = self.bytes.split_at(self.at);
        let comma: (&[u8], &[u8]) = match (before.last(), after.first()) {
            (Some(b'{'), Some(b'}')) => (b"", b""),
            (Some(b'{'), _) => (b"", b","),
            _ => (b",", b""),
        };
        let parts: [&[u8]; 7] = [before, comma.0, b"\"resourceVersion\":\"", digits.as_bytes(), b"\"", comma.1, after];
        Bytes::from(parts.concat())
    }
}

/// Encodes an object as it is.
pub(crate) fn encode(object: &Object) -> Bytes {
    let mut encoder = Encoder { out: Vec::with_capacity(1024), version_at: 0, skip_version: false };
    encoder.object(object.map());
    Bytes::from(encoder.out)
}

struct Encoder {
    out: Vec<u8>,
    version_at: usize,
    skip_version: bool,
}

impl Encoder {
    fn object(&mut self, map: &Map<String, Value>) {
        self.out.push(b'{');
        for name in ["kind", "apiVersion"] {
            if let Some(value) = map.get(name) {
                self.field(name, value);
            }
        }
        match map.get("metadata") {
            Some(Value::Object(metadata)) => {
                self.name("metadata");
                self.metadata(metadata);
            }
            Some(other) => self.field("metadata", other),
            None => {}
        }
        for (name, value) in map {
            if !matches!(name.as_str(), "kind" | "apiVersion" | "metadata") {
                self.field(name, value);
            }
        }
        self.out.push(b'}');
    }

    fn metadata(&mut self, map: &Map<String, Value>) {
        self.out.push(b'{');
        for name in METADATA {
            if name == RESOURCE_VERSION {
                self.version_at = self.out.len();
                if self.skip_version {
                    continue;
                }
            }
            if let Some(value) = map.get(name) {
                self.field(name, value);
            }
        }
        for (name, value) in map {
            if !METADATA.contains(&name.as_str()) && name != MANAGED_FIELDS {
                self.field(name, value);
            }
        }
        if let Some(value) = map.get(MANAGED_FIELDS) {
            self.field(MANAGED_FIELDS, value);
        }
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.value_of(&name);
        self.out.push(b':');
    }

    fn field(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.value_of(value);
    }

    fn value_of(&mut self, value: &impl serde::Serialize) {
        serde_json::to_writer(&mut self.out, value).expect("a tree with string keys always serializes");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[track_caller]
    fn check(object: &str, stamped: &str) {
        let object = Object::from_slice(object.as_bytes()).unwrap();
        assert_eq!(Unstamped::new(&object).stamp(7), stamped);
    }

    #[test]
    fn metadata_comes_first_and_the_version_is_put_in() {
        check(
            r#"{"data":{"a":"b"},"metadata":{"uid":"u","name":"n","labels":{},"managedFields":[],"finalizers":[]},"kind":"K","apiVersion":"v1"}"#,
            r#"{"kind":"K","apiVersion":"v1","metadata":{"name":"n","uid":"u","resourceVersion":"7","labels":{},"finalizers":[],"managedFields":[]},"data":{"a":"b"}}"#,
        );
        check(
            r#"{"metadata":{"name":"n","resourceVersion":"3"}}"#,
            r#"{"metadata":{"name":"n","resourceVersion":"7"}}"#,
        );
        check(r#"{"metadata":{"labels":{}}}"#, r#"{"metadata":{"resourceVersion":"7","labels":{}}}"#);
        check(r#"{"metadata":{}}"#, r#"{"metadata":{"resourceVersion":"7"}}"#);
    }
}
