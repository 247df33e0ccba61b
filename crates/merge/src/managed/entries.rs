//! `metadata.managedFields` as it stands in an object, and as owners by identity.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use super::set::{FieldsError, Set};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What makes two entries the same owner. An applier keeps its identity across API versions, so its version is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ManagerId {
    pub manager: String,
    pub operation: Operation,
    pub api_version: String,
    pub subresource: String,
}

impl ManagerId {
    pub(super) fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let api_version = if operation == Operation::Apply { "" } else { api_version };
        Self {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

/// What one owner owns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Owned {
    pub(super) set: Set,
    pub(super) api_version: String,
    /// RFC 3339; absent in entries that never changed the object.
    pub(super) time: Option<String>,
}

pub(super) type Owners = BTreeMap<ManagerId, Owned>;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryError {
    #[error("operation must be `Apply` or `Update`")]
    Operation,
    #[error("apiVersion must not be empty")]
    ApiVersion,
    #[error("missing fieldsType in managed fields entry {index}")]
    MissingFieldsType { index: usize },
    #[error("invalid fieldsType {fields_type:?} in managed fields entry {index}")]
    FieldsType { index: usize, fields_type: String },
    #[error("error decoding set: {0}")]
    Fields(#[from] FieldsError),
}

pub(super) fn entries(object: &Value) -> &[Value] {
    object["metadata"]["managedFields"].as_array().map_or(&[], Vec::as_slice)
}

/// The entries of an object, taken out of it.
pub(super) fn take(object: &mut Value) -> Vec<Value> {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    match metadata.and_then(|metadata| metadata.remove("managedFields")) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    }
}

pub(super) fn decode(entries: Vec<Value>) -> Result<Owners, EntryError> {
    let mut owners = Owners::new();
    for (index, mut entry) in entries.into_iter().enumerate() {
        let fields = entry.get_mut("fieldsV1").map(Value::take).unwrap_or_default();
        let word = |key: &str| entry[key].as_str().unwrap_or_default();
        let operation = match word("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err(EntryError::Operation),
        };
        let api_version = word("apiVersion").to_owned();
        if api_version.is_empty() {
            return Err(EntryError::ApiVersion);
        }
        match word("fieldsType") {
            "FieldsV1" => {}
            "" => return Err(EntryError::MissingFieldsType { index }),
            other => return Err(EntryError::FieldsType { index, fields_type: other.to_owned() }),
        }
        let id = ManagerId::new(word("manager"), operation, &api_version, word("subresource"));
        let set = Set::decode(fields)?;
        let time = entry["time"].as_str().map(str::to_owned);
        owners.insert(id, Owned { set, api_version, time });
    }
    Ok(owners)
}

/// In upstream's order: appliers first, then by time, name, version and subresource.
pub(super) fn encode(owners: Owners) -> Vec<Value> {
    let mut sorted: Vec<_> = owners.into_iter().collect();
    sorted.sort_by(|(a, a_owned), (b, b_owned)| {
        let time = |owned: &Owned| owned.time.clone().unwrap_or_default();
        (a.operation, time(a_owned), &a.manager, &a_owned.api_version, &a.subresource).cmp(&(
            b.operation,
            time(b_owned),
            &b.manager,
            &b_owned.api_version,
            &b.subresource,
        ))
    });
    sorted.into_iter().map(|(id, owned)| entry(id, owned)).collect()
}

fn entry(id: ManagerId, owned: Owned) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| drop(entry.insert(key.to_owned(), value));
    put("apiVersion", owned.api_version.into());
    put("fieldsType", "FieldsV1".into());
    put("fieldsV1", owned.set.encode());
    put("operation", id.operation.as_str().into());
    for (key, word) in [("manager", id.manager), ("subresource", id.subresource)] {
        if !word.is_empty() {
            put(key, word.into());
        }
    }
    if let Some(time) = owned.time {
        put("time", time.into());
    }
    Value::Object(entry)
}

/// Puts the owners into the object; none leave no field.
pub(super) fn put(object: &mut Value, owners: Owners) {
    put_entries(object, encode(owners));
}

pub(super) fn put_entries(object: &mut Value, entries: Vec<Value>) {
    let Value::Object(map) = object else { return };
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".to_owned(), entries.into());
        }
    }
}
