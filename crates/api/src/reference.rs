//! References to objects, as events and bindings bear them.

use k8s_openapi::{Metadata, Resource};

use crate::{core::v1::ObjectReference, meta::ObjectMeta};

/// The group and kind of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    pub group: &'static str,
    pub kind: &'static str,
}

impl GroupKind {
    pub const fn of<K: Resource>() -> Self {
        Self { group: K::GROUP, kind: K::KIND }
    }
}

/// A reference to `object` as it is now. List items have no kind of their own; the type knows it.
pub fn object_reference<K: Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.to_owned()),
        kind: Some(K::KIND.to_owned()),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}
