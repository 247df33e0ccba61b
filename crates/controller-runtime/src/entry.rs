//! An object as informers keep it: its encoded bytes, and a header read once.

mod wire_spec;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::Deserialize;

use self::wire_spec::{WireSpec, WireStatus};
use crate::{DecodeError, Key};

/// An owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub api_version: Box<str>,
    pub kind: Box<str>,
    pub name: Arc<str>,
    pub uid: Arc<str>,
    /// The one owner that manages the object.
    pub controller: bool,
    /// Deletion of the owner in the foreground waits for the object.
    pub blocks: bool,
}

/// What most questions about an object are answered from, without decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub key: Key,
    pub uid: Arc<str>,
    pub resource_version: Box<str>,
    pub generation: i64,
    pub labels: BTreeMap<Box<str>, Box<str>>,
    pub owners: Vec<Owner>,
    pub finalizers: Vec<Box<str>>,
    /// `spec.nodeName`; empty for kinds without one.
    pub node: Arc<str>,
    /// `status.phase`; empty for kinds without one.
    pub phase: Box<str>,
    /// Has a deletion timestamp.
    pub deleting: bool,
}

impl Header {
    pub fn controller(&self) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.controller)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(|value| &**value)
    }

    pub fn matches(&self, selector: &apimachinery::LabelSelector) -> bool {
        selector.matches(|key| self.label(key))
    }
}

/// One revision of one object. Shared, never changed.
#[derive(Debug)]
pub struct Entry {
    pub header: Header,
    /// The object as JSON, as the server sent it.
    pub bytes: Bytes,
}

impl Entry {
    /// Reads the header of an encoded object and keeps the bytes as they are.
    pub fn new(bytes: Bytes) -> Result<Self, serde_json::Error> {
        let wire: WireObject<'_> = serde_json::from_slice(&bytes)?;
        let header = wire.into_header();
        Ok(Self { header, bytes })
    }

    pub fn decode<K: serde::de::DeserializeOwned>(&self) -> Result<K, DecodeError> {
        serde_json::from_slice(&self.bytes).map_err(|source| DecodeError { key: self.header.key.clone(), source })
    }
}

#[derive(Deserialize)]
struct WireObject<'a> {
    #[serde(borrow, default)]
    metadata: WireMetadata<'a>,
    #[serde(default)]
    spec: WireSpec,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireMetadata<'a> {
    #[serde(borrow, default)]
    namespace: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    labels: Option<BTreeMap<Box<str>, Box<str>>>,
    #[serde(borrow, default)]
    owner_references: Option<Vec<WireOwner<'a>>>,
    #[serde(default)]
    finalizers: Option<Vec<Box<str>>>,
    #[serde(default)]
    deletion_timestamp: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOwner<'a> {
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(default)]
    controller: Option<bool>,
    #[serde(default)]
    block_owner_deletion: Option<bool>,
}

impl WireObject<'_> {
    fn into_header(self) -> Header {
        let metadata = self.metadata;
        Header {
            key: Key::new(&*metadata.namespace, &*metadata.name),
            uid: Arc::from(&*metadata.uid),
            resource_version: Box::from(&*metadata.resource_version),
            generation: metadata.generation,
            labels: metadata.labels.unwrap_or_default(),
            owners: metadata.owner_references.unwrap_or_default().into_iter().map(WireOwner::into_owner).collect(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            node: Arc::from(self.spec.0),
            phase: Box::from(self.status.0),
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl WireOwner<'_> {
    fn into_owner(self) -> Owner {
        Owner {
            api_version: Box::from(&*self.api_version),
            kind: Box::from(&*self.kind),
            name: Arc::from(&*self.name),
            uid: Arc::from(&*self.uid),
            controller: self.controller == Some(true),
            blocks: self.block_owner_deletion == Some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn header(object: serde_json::Value) -> Header {
        Entry::new(Bytes::from(object.to_string())).unwrap().header
    }

    #[test]
    fn a_header_holds_what_was_sent() {
        let header = header(serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "namespace": "n", "name": "p", "uid": "u1", "resourceVersion": "7", "generation": 2,
                "labels": {"app": "a\"b"}, "finalizers": ["f"], "deletionTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": "x", "uid": "u2"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u3",
                     "controller": true, "blockOwnerDeletion": true}],
            },
            "spec": {"nodeName": "node-1", "containers": []},
            "status": {"phase": "Running"},
        }));
        assert_eq!(&*header.phase, "Running");
        assert_eq!(header.key.to_string(), "n/p");
        assert_eq!((&*header.uid, &*header.resource_version, header.generation), ("u1", "7", 2));
        assert_eq!(header.label("app"), Some("a\"b"));
        assert_eq!(header.controller().map(|o| (&*o.uid, o.blocks)), Some(("u3", true)));
        assert_eq!((&*header.node, header.deleting, &*header.finalizers[0]), ("node-1", true, "f"));
    }

    #[test]
    fn nulls_and_strange_specs_are_nothing() {
        let metadata = serde_json::json!({"name": "x", "labels": null, "deletionTimestamp": null});
        for spec in [serde_json::json!("text"), serde_json::json!({"nodeName": {"a": 1}}), serde_json::json!(null)] {
            let header = header(serde_json::json!({"metadata": metadata, "spec": spec}));
            assert_eq!((&*header.node, header.deleting, header.labels.len()), ("", false, 0));
        }
    }
}
