//! An API object as a JSON tree: what travels through the server. Typed structs exist only at the hooks, because a
//! struct silently drops unknown fields and cannot tell absent from default.

use serde_json::{Map, Value};

use crate::{GroupVersion, GroupVersionKind};

/// A JSON object. Absent and wrongly typed metadata read as empty: decoding by schema has refused wrong types
/// before anyone asks.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Object(Map<String, Value>);

/// The few facts of an owner reference that are asked everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    pub controller: bool,
    pub block_owner_deletion: bool,
}

impl Object {
    /// Takes a JSON object; gives any other value back.
    pub fn from_value(value: Value) -> Result<Self, Value> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => Err(other),
        }
    }

    pub fn from_slice(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes).map(Self)
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a tree with string keys always serializes")
    }

    pub fn map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub fn map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// Gives the tree to a function that works on values, and takes it back.
    ///
    /// # Panics
    /// If the function leaves something else than a JSON object.
    pub fn with_value<T>(&mut self, f: impl FnOnce(&mut Value) -> T) -> T {
        let mut value = Value::Object(std::mem::take(&mut self.0));
        let result = f(&mut value);
        match value {
            Value::Object(map) => self.0 = map,
            other => panic!("an object became {other}"),
        }
        result
    }

    /// The value at a path of field names.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(*first)?, |value, name| value.get(name))
    }

    pub fn get_str(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// Sets the value at a path, making the objects on the way; what stands in the way and is no object is replaced.
    pub fn set(&mut self, path: &[&str], value: impl Into<Value>) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut map = &mut self.0;
        for name in parents {
            let next = map.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            map = next.as_object_mut().expect("it was just made an object");
        }
        map.insert((*last).to_owned(), value.into());
    }

    pub fn remove(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        let mut map = &mut self.0;
        for name in parents {
            map = map.get_mut(*name)?.as_object_mut()?;
        }
        map.remove(*last)
    }

    pub fn api_version(&self) -> &str {
        self.get_str(&["apiVersion"]).unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.get_str(&["kind"]).unwrap_or_default()
    }

    pub fn gvk(&self) -> Option<GroupVersionKind> {
        let gv = GroupVersion::parse(self.api_version())?;
        Some(GroupVersionKind::new(gv.group, gv.version, self.kind()))
    }

    pub fn set_gvk(&mut self, gvk: &GroupVersionKind) {
        self.set(&["apiVersion"], gvk.api_version());
        self.set(&["kind"], gvk.kind.clone());
    }

    pub fn name(&self) -> &str {
        self.meta_str("name")
    }

    pub fn generate_name(&self) -> &str {
        self.meta_str("generateName")
    }

    pub fn namespace(&self) -> &str {
        self.meta_str("namespace")
    }

    pub fn uid(&self) -> &str {
        self.meta_str("uid")
    }

    pub fn resource_version(&self) -> &str {
        self.meta_str("resourceVersion")
    }

    pub fn deletion_timestamp(&self) -> Option<&str> {
        self.get_str(&["metadata", "deletionTimestamp"])
    }

    pub fn generation(&self) -> i64 {
        self.get(&["metadata", "generation"]).and_then(Value::as_i64).unwrap_or_default()
    }

    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("labels")
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.get_str(&["metadata", "labels", key])
    }

    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.string_map("annotations")
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.get_str(&["metadata", "annotations", key])
    }

    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.meta_list("finalizers").filter_map(Value::as_str)
    }

    pub fn owner_references(&self) -> impl Iterator<Item = OwnerReference<'_>> {
        self.meta_list("ownerReferences").map(|owner| {
            let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
            let flag = |name: &str| owner.get(name).and_then(Value::as_bool).unwrap_or_default();
            OwnerReference {
                api_version: text("apiVersion"),
                kind: text("kind"),
                name: text("name"),
                uid: text("uid"),
                controller: flag("controller"),
                block_owner_deletion: flag("blockOwnerDeletion"),
            }
        })
    }

    /// The owner that manages this object, of which there is at most one.
    pub fn controller(&self) -> Option<OwnerReference<'_>> {
        self.owner_references().find(|owner| owner.controller)
    }

    fn meta_str(&self, name: &str) -> &str {
        self.get_str(&["metadata", name]).unwrap_or_default()
    }

    fn meta_list(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.get(&["metadata", name]).and_then(Value::as_array).into_iter().flatten()
    }

    fn string_map(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.get(&["metadata", name])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }
}
