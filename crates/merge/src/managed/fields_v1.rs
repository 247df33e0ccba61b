//! A set of paths as JSON: `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:name":{}}}}}`.

use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    path::{Element, Scalar},
    set::Set,
};

#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{key:?} is no path element")]
pub struct FieldsError {
    pub key: String,
}

pub(super) fn encode(set: &Set) -> Value {
    let mut map = Map::new();
    for (step, child) in &set.children {
        if child.is_empty() {
            continue;
        }
        let mut below = encode(child);
        if let Value::Object(below) = &mut below
            && set.members.contains(step)
        {
            below.insert(".".to_owned(), Value::Object(Map::new()));
        }
        map.insert(encode_step(step), below);
    }
    for member in &set.members {
        map.entry(encode_step(member)).or_insert_with(|| Value::Object(Map::new()));
    }
    Value::Object(map)
}

fn encode_step(step: &Element) -> String {
    match step {
        Element::Field(name) => format!("f:{name}"),
        Element::Key(keys) => {
            let keys: Map<String, Value> = keys.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
            format!("k:{}", Value::Object(keys))
        }
        Element::Value(value) => format!("v:{}", value.0),
        Element::Index(index) => format!("i:{index}"),
    }
}

pub(super) fn decode(fields: &Value) -> Result<Set, FieldsError> {
    let mut set = Set::new();
    let Value::Object(map) = fields else {
        return if fields.is_null() { Ok(set) } else { Err(FieldsError { key: fields.to_string() }) };
    };
    for (key, below) in map {
        if key == "." {
            continue;
        }
        let step = decode_step(key).ok_or_else(|| FieldsError { key: key.clone() })?;
        let child = decode(below)?;
        let leaf = below.as_object().is_none_or(|b| b.is_empty() || b.contains_key("."));
        if leaf {
            set.members.insert(step.clone());
        }
        if !child.is_empty() {
            set.children.insert(step, child);
        }
    }
    Ok(set)
}

fn decode_step(key: &str) -> Option<Element> {
    let (kind, rest) = key.split_once(':')?;
    match kind {
        "f" => Some(Element::Field(rest.to_owned())),
        "i" => rest.parse().ok().map(Element::Index),
        "v" => serde_json::from_str(rest).ok().map(|value| Element::Value(Scalar(value))),
        "k" => {
            let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let mut keys: Vec<_> = keys.into_iter().map(|(name, value)| (name, Scalar(value))).collect();
            keys.sort();
            Some(Element::Key(keys))
        }
        _ => None,
    }
}
