//! JSON patch (RFC 6902) as upstream's library applies it: negative indices count from the end, and what stands
//! before the first slash of a path is not looked at.

use std::sync::LazyLock;

use schema::{Node, Presence, Shape, Table, TableBuilder};
use serde_json::Value;

use crate::error::PatchError;

#[cfg(test)]
mod tests;

/// Upstream's bound on the operations of one patch.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// Copies may not make an object grow without end; upstream's bound is the size of the largest request.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

#[derive(Debug)]
pub struct JsonPatch {
    operations: Vec<Value>,
    /// `json patch unknown field "[1].foo"`, for the caller to refuse or warn.
    pub strict: Vec<String>,
}

/// What an operation looks like, to find fields that do not belong there.
fn schema() -> Node<'static> {
    static TABLE: LazyLock<(Table, schema::NodeId)> = LazyLock::new(|| {
        let mut builder = TableBuilder::new();
        let operation = builder.define("k8s.io.handlers.jsonPatchOp");
        for name in ["op", "from", "path"] {
            let text = builder.scalar(Shape::String, Default::default());
            builder.field(operation, name, text, Presence::default());
        }
        let any = builder.scalar(Shape::Any, Default::default());
        builder.field(operation, "value", any, Presence::default());
        let node = builder.named(Shape::Object, operation, Default::default());
        let list = builder.list(node, Default::default());
        (builder.build(), list)
    });
    TABLE.0.at(TABLE.1)
}

impl JsonPatch {
    pub fn parse(bytes: &[u8]) -> Result<Self, PatchError> {
        let refused = |e: schema::DecodeError| PatchError::Decode { reason: e.to_string() };
        let decoded = schema::decode(schema(), bytes).map_err(refused)?;
        let strict = decoded.strict.iter().map(|note| format!("json patch {note}")).collect();
        // The schema drops nulls, but `"value": null` is a value.
        let Value::Array(operations) = schema::decode_any(bytes).map_err(refused)?.value else {
            return Ok(Self { operations: Vec::new(), strict });
        };
        if operations.len() > MAX_JSON_PATCH_OPERATIONS {
            return Err(PatchError::TooManyOperations { max: MAX_JSON_PATCH_OPERATIONS, got: operations.len() });
        }
        Ok(Self { operations, strict })
    }

    /// Applies all operations, or fails and leaves `document` half patched.
    pub fn apply(&self, document: &mut Value) -> Result<(), PatchError> {
        let mut copied = 0;
        for (index, operation) in self.operations.iter().enumerate() {
            let word = |key: &str| operation.get(key).and_then(Value::as_str);
            let (kind, path) = (word("op").unwrap_or_default(), word("path"));
            let refused = |reason: String| PatchError::Operation {
                index,
                operation: kind.to_owned(),
                path: path.unwrap_or_default().to_owned(),
                reason,
            };
            let path = path.ok_or_else(|| refused("missing path".to_owned()))?;
            let from = || word("from").ok_or_else(|| "missing from".to_owned());
            let value = || operation.get("value").cloned();
            let outcome = match kind {
                "add" => add(document, path, value().unwrap_or(Value::Null)),
                "remove" => remove(document, path).map(drop),
                "replace" => replace(document, path, value().unwrap_or(Value::Null)),
                "move" => from().and_then(|from| remove(document, from)).and_then(|v| add(document, path, v)),
                "copy" => from().and_then(|from| get(document, from)).and_then(|v| {
                    copied += v.to_string().len();
                    if copied > MAX_COPIED_BYTES {
                        return Err(format!("copies more than {MAX_COPIED_BYTES} bytes"));
                    }
                    add(document, path, v)
                }),
                "test" => test(document, path, operation.get("value").unwrap_or(&Value::Null)),
                _ => Err("unexpected kind".to_owned()),
            };
            outcome.map_err(refused)?;
        }
        Ok(())
    }
}

fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

/// The container a path leads into, and the last step.
fn parent<'d>(document: &'d mut Value, path: &str) -> Result<(&'d mut Value, String), String> {
    let mut steps: Vec<&str> = path.split('/').skip(1).collect();
    let last = steps.pop().ok_or("the path names no place")?;
    let mut at = document;
    for step in steps {
        let step = unescape(step);
        let next = match at {
            Value::Object(map) => map.get_mut(&step),
            Value::Array(items) => match index(&step, items.len()) {
                Ok(i) => items.get_mut(i),
                Err(_) => None,
            },
            _ => None,
        };
        at = next.ok_or_else(|| format!("missing container at {step:?}"))?;
    }
    match at {
        Value::Object(_) | Value::Array(_) => Ok((at, unescape(last))),
        _ => Err(format!("the parent of {last:?} has no parts")),
    }
}

/// An index below `length`, counted from the end when negative.
fn index(step: &str, length: usize) -> Result<usize, String> {
    let number: i64 = step.parse().map_err(|_| format!("{step:?} is no index"))?;
    let from_start = if number < 0 { number + length as i64 } else { number };
    match usize::try_from(from_start) {
        Ok(index) if index < length => Ok(index),
        _ => Err(format!("index {step} is out of bounds")),
    }
}

fn get(document: &mut Value, path: &str) -> Result<Value, String> {
    let missing = || format!("{path:?} is missing");
    match parent(document, path)? {
        (Value::Object(map), key) => map.get(&key).cloned().ok_or_else(missing),
        (Value::Array(items), step) => Ok(items[index(&step, items.len())?].clone()),
        _ => Err(missing()),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    match parent(document, path)? {
        (Value::Object(map), key) => {
            map.insert(key, value);
        }
        (Value::Array(items), step) if step == "-" => items.push(value),
        // One place more than there are elements: behind the last.
        (Value::Array(items), step) => items.insert(index(&step, items.len() + 1)?, value),
        _ => {}
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    match parent(document, path)? {
        (Value::Object(map), key) => map.remove(&key).ok_or_else(|| format!("{path:?} is missing")),
        (Value::Array(items), step) => Ok(items.remove(index(&step, items.len())?)),
        _ => Err(format!("{path:?} is missing")),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    match parent(document, path)? {
        (Value::Object(map), key) => match map.get_mut(&key) {
            Some(old) => *old = value,
            None => return Err(format!("{path:?} is missing")),
        },
        (Value::Array(items), step) => {
            let at = index(&step, items.len())?;
            items[at] = value;
        }
        _ => {}
    }
    Ok(())
}

/// Absent and null are the same to a test.
fn test(document: &mut Value, path: &str, expected: &Value) -> Result<(), String> {
    if path.is_empty() {
        return if document == expected { Ok(()) } else { Err("the document differs".to_owned()) };
    }
    let found = match parent(document, path)? {
        (Value::Object(map), key) => map.get(&key).cloned().unwrap_or(Value::Null),
        (Value::Array(items), step) => items[index(&step, items.len())?].clone(),
        _ => Value::Null,
    };
    if found == *expected { Ok(()) } else { Err("the value differs".to_owned()) }
}
