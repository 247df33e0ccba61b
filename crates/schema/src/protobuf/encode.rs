//! Trees written as protobuf, fields in the order of their numbers, as upstream writes them.

use serde_json::{Map, Value};

use super::{MAGIC, MAX_DEPTH, Numbered, ProtobufError, messages, named, wire};
use crate::{node::Node, shape::Shape};

/// Writes an object of the kind that it says it is, with the envelope that bodies have.
pub fn encode_object(tree: &Value) -> Result<Vec<u8>, ProtobufError> {
    let text = |field: &str| tree[field].as_str().unwrap_or_default();
    // The lists of the core group's resources say no version.
    let api_version = Some(text("apiVersion")).filter(|version| !version.is_empty()).unwrap_or("v1");
    let kind = text("kind");
    let raw = encode(&message_of(api_version, kind), tree)?;
    let mut type_meta = Vec::with_capacity(api_version.len() + kind.len() + 4);
    wire::put_bytes(&mut type_meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut type_meta, 2, kind.as_bytes());
    let mut body = Vec::with_capacity(raw.len() + type_meta.len() + 24);
    body.extend_from_slice(MAGIC);
    wire::put_bytes(&mut body, 1, &type_meta);
    wire::put_bytes(&mut body, 2, &raw);
    wire::put_bytes(&mut body, 3, b"");
    wire::put_bytes(&mut body, 4, b"");
    Ok(body)
}

/// One event of a watch with its length before it. `object` is what [`encode_object`] made.
pub fn watch_frame(event_type: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    wire::put_bytes(&mut raw, 1, object);
    let mut event = Vec::with_capacity(raw.len() + event_type.len() + 12);
    wire::put_bytes(&mut event, 1, event_type.as_bytes());
    wire::put_bytes(&mut event, 2, &raw);
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &event].concat()
}

/// The name of a kind's message. Kinds that are shared by all groups stand with the metadata.
fn message_of(api_version: &str, kind: &str) -> String {
    const META: &str = "apimachinery.pkg.apis.meta.v1";
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let shared = format!("{META}.{kind}");
    let meta = matches!(group, "" | "meta.k8s.io") && messages().contains_key(shared.as_str());
    let definition = crate::builtin().by_gvk(group, version, kind).and_then(Node::definition);
    match definition {
        _ if meta => shared,
        Some(definition) => definition.name().trim_start_matches("io.k8s.").to_owned(),
        None => format!("api.{}.{version}.{kind}", group.split('.').next().unwrap_or_default()),
    }
}

fn encode(message: &str, tree: &Value) -> Result<Vec<u8>, ProtobufError> {
    let map = tree.as_object().ok_or_else(|| ProtobufError::UnknownMessage(message.to_owned()))?;
    let mut out = Vec::with_capacity(512);
    object(node_of(message), message, map, &mut out, 0)?;
    Ok(out)
}

fn node_of(message: &str) -> Option<Node<'static>> {
    crate::builtin().definition(&format!("io.k8s.{message}"))
}

/// Writes the fields of an object.
fn object(
    node: Option<Node<'_>>,
    message: &str,
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let written = fields(node, message, map, out, depth)?;
    // The kind of a whole object stands in the envelope; of a list's items it stands nowhere.
    let of_type = ["apiVersion", "kind"].into_iter().filter(|name| map.contains_key(*name)).count();
    if written < map.len().saturating_sub(of_type) {
        let known =
            |name: &&String| !is_known(node, message, name, 0) && !matches!(name.as_str(), "apiVersion" | "kind");
        if let Some(field) = map.keys().find(known) {
            return Err(ProtobufError::NoNumber { message: message.to_owned(), field: field.clone() });
        }
    }
    Ok(())
}

/// Whether the table has a number for a field, here or in a message that is embedded here.
fn is_known(node: Option<Node<'_>>, message: &str, field: &str, depth: usize) -> bool {
    let known = messages().get(message).into_iter().flatten();
    known.into_iter().any(|numbered| match node {
        Some(node) => match named(node, numbered.name) {
            Some(found) => found.name == field,
            None => depth < MAX_DEPTH && !numbered.of.is_empty() && is_known(Some(node), numbered.of, field, depth + 1),
        },
        None => numbered.name == field,
    })
}

/// The same for an embedded message, which may leave fields to the message around it. Answers how many it wrote.
fn fields(
    node: Option<Node<'_>>,
    message: &str,
    map: &Map<String, Value>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<usize, ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    let mut written = 0;
    for Numbered { number, name, of } in messages().get(message).into_iter().flatten() {
        let Some(node) = node else {
            if let Some(value) = map.get(*name) {
                written += 1;
                put(*number, node_of(of), of, name, value, out, depth)?;
            }
            continue;
        };
        match named(node, name) {
            Some(field) => {
                if let Some(value) = map.get(field.name) {
                    written += 1;
                    put(*number, Some(field.node), of, name, value, out, depth)?;
                }
            }
            None if !of.is_empty() => {
                let mut embedded = Vec::new();
                written += fields(Some(node), of, map, &mut embedded, depth + 1)?;
                if !embedded.is_empty() {
                    wire::put_bytes(out, *number, &embedded);
                }
            }
            None => {}
        }
    }
    Ok(written)
}

/// Writes a field: lists an item at a time, maps an entry at a time.
fn put(
    number: u32,
    node: Option<Node<'_>>,
    of: &str,
    name: &str,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let shape = node.map(Node::shape);
    match (shape, value) {
        (_, Value::Null) => Ok(()),
        (Some(Shape::List) | None, Value::Array(items)) => {
            let node = node.and_then(Node::items).or_else(|| node_of(of));
            items.iter().try_for_each(|item| one(number, node, of, name, item, out, depth))
        }
        (Some(Shape::Map), Value::Object(entries)) => {
            let values = node.and_then(Node::values);
            for (key, value) in entries {
                let mut entry = Vec::new();
                wire::put_bytes(&mut entry, 1, key.as_bytes());
                one(2, values, of, name, value, &mut entry, depth)?;
                wire::put_bytes(out, number, &entry);
            }
            Ok(())
        }
        _ => one(number, node, of, name, value, out, depth),
    }
}

/// Writes one value.
fn one(
    number: u32,
    node: Option<Node<'_>>,
    of: &str,
    name: &str,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let wrong = || ProtobufError::Mismatch { message: of.to_owned(), field: name.to_owned() };
    let text = || value.as_str().ok_or_else(wrong);
    let Some(shape) = node.map(Node::shape) else { return untyped(number, of, name, value, out, depth) };
    let mut inner = Vec::new();
    match shape {
        Shape::String => inner.extend_from_slice(text()?.as_bytes()),
        Shape::Bytes => inner = wire::from_base64(text()?).ok_or_else(wrong)?,
        Shape::Boolean => {
            wire::put_varint(out, number, u64::from(value.as_bool().ok_or_else(wrong)?));
            return Ok(());
        }
        Shape::Integer32 | Shape::Integer64 => {
            wire::put_varint(out, number, value.as_i64().ok_or_else(wrong)?.cast_unsigned());
            return Ok(());
        }
        Shape::Number => {
            wire::put_fixed64(out, number, value.as_f64().ok_or_else(wrong)?.to_bits());
            return Ok(());
        }
        Shape::Quantity => {
            let amount = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            wire::put_bytes(&mut inner, 1, amount.as_bytes());
        }
        Shape::IntOrString => match value.as_i64() {
            Some(integer) => {
                wire::put_varint(&mut inner, 1, 0);
                wire::put_varint(&mut inner, 2, integer.cast_unsigned());
                wire::put_bytes(&mut inner, 3, b"");
            }
            None => {
                wire::put_varint(&mut inner, 1, 1);
                wire::put_varint(&mut inner, 2, 0);
                wire::put_bytes(&mut inner, 3, text()?.as_bytes());
            }
        },
        Shape::Time | Shape::MicroTime => {
            let (seconds, nanos) = wire::from_rfc3339(text()?).ok_or_else(wrong)?;
            wire::put_varint(&mut inner, 1, seconds.cast_unsigned());
            wire::put_varint(&mut inner, 2, nanos.cast_unsigned());
        }
        Shape::Any => wire::put_bytes(&mut inner, 1, value.to_string().as_bytes()),
        Shape::Object => object(node, of, value.as_object().ok_or_else(wrong)?, &mut inner, depth + 1)?,
        // A named list, as the values of `extra` are: a message whose only field is the list.
        Shape::List => {
            let items = value.as_array().ok_or_else(wrong)?;
            let node = node.and_then(Node::items);
            items.iter().try_for_each(|item| one(1, node, "", name, item, &mut inner, depth + 1))?;
        }
        Shape::Map => return Err(wrong()),
    }
    wire::put_bytes(out, number, &inner);
    Ok(())
}

/// A value of a message that has no schema, such as those of discovery: texts, truths, numbers and messages.
fn untyped(
    number: u32,
    of: &str,
    name: &str,
    value: &Value,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), ProtobufError> {
    match value {
        Value::String(text) => wire::put_bytes(out, number, text.as_bytes()),
        Value::Bool(truth) => wire::put_varint(out, number, u64::from(*truth)),
        Value::Number(n) if n.is_i64() => wire::put_varint(out, number, n.as_i64().unwrap_or_default().cast_unsigned()),
        Value::Object(map) => {
            let mut inner = Vec::new();
            object(node_of(of), of, map, &mut inner, depth + 1)?;
            wire::put_bytes(out, number, &inner);
        }
        _ => return Err(ProtobufError::Mismatch { message: of.to_owned(), field: name.to_owned() }),
    }
    Ok(())
}
