//! `metadata.managedFields` as it stands in an object, and as owners by identity.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::{fields_v1, fields_v1::FieldsError, set::Set};

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

pub(super) fn decode(entries: &[Value]) -> Result<Owners, EntryError> {
    let mut owners = Owners::new();
    for (index, entry) in entries.iter().enumerate() {
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
        let set = fields_v1::decode(&entry["fieldsV1"])?;
        let time = entry["time"].as_str().map(str::to_owned);
        owners.insert(id, Owned { set, api_version, time });
    }
    Ok(owners)
}

/// In upstream's order: appliers first, then by time, name, version and subresource.
pub(super) fn encode(owners: &Owners) -> Vec<Value> {
    let mut sorted: Vec<_> = owners.iter().collect();
    sorted.sort_by_key(|(id, owned)| {
        let time = owned.time.as_deref().unwrap_or_default();
        (id.operation, time, &id.manager, &owned.api_version, &id.subresource)
    });
    sorted.into_iter().map(|(id, owned)| entry(id, owned)).collect()
}

fn entry(id: &ManagerId, owned: &Owned) -> Value {
    let mut entry = json!({
        "apiVersion": owned.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields_v1::encode(&owned.set),
        "operation": id.operation.as_str(),
    });
    if let Value::Object(entry) = &mut entry {
        for (key, word) in [("manager", &id.manager), ("subresource", &id.subresource)] {
            if !word.is_empty() {
                entry.insert(key.to_owned(), word.clone().into());
            }
        }
        if let Some(time) = &owned.time {
            entry.insert("time".to_owned(), time.clone().into());
        }
    }
    entry
}

pub(super) fn remove(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("managedFields");
    }
}

/// Puts the owners into the object; none leave no field.
pub(super) fn put(object: &mut Value, owners: &Owners) {
    remove(object);
    let entries = encode(owners);
    let Value::Object(map) = object else { return };
    let metadata = map.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata
        && !entries.is_empty()
    {
        metadata.insert("managedFields".to_owned(), entries.into());
    }
}
