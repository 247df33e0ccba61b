//! Objects in protobuf (`application/vnd.kubernetes.protobuf`), which clients written in Go prefer.
//!
//! The table has field numbers and names; what a field is comes from the schema. Where a message has a field the
//! schema lacks, Go embeds that message: its fields belong to the object around.

mod encode;
mod wire;

use std::{collections::HashMap, sync::OnceLock};

use serde_json::{Map, Number, Value};

use crate::{node::Node, shape::Shape};
pub use encode::{encode_object, watch_frame};
use wire::{Field, Payload, fields};

/// Bodies begin with this.
const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any kind nests.
const MAX_DEPTH: usize = 64;
const RAW_JSON_FIELD: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: illegal wireType {0}")]
    WireType(u8),
    #[error("proto: {message}: wrong wireType for field {field}")]
    Mismatch { message: String, field: String },
    #[error("proto: {0} is no message of a served kind")]
    UnknownMessage(String),
    #[error("proto: field {0} is no valid UTF-8")]
    Utf8(String),
    #[error("proto: field {field} holds no JSON: {reason}")]
    Json { field: String, reason: String },
    #[error("proto: {message} has no number for field {field}")]
    NoNumber { message: String, field: String },
    #[error("proto: messages are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// What stands around an object: `runtime.Unknown`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub api_version: String,
    pub kind: String,
    /// The encoded object.
    pub raw: &'a [u8],
}

/// Takes the envelope off a body.
pub fn envelope(body: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    let rest = body.strip_prefix(MAGIC).ok_or(ProtobufError::NoMagic)?;
    let mut envelope = Envelope::default();
    for field in fields(rest) {
        match field? {
            Field { number: 1, payload: Payload::Bytes(type_meta) } => {
                for field in fields(type_meta) {
                    match field? {
                        Field { number: 1, payload } => envelope.api_version = text(payload, "apiVersion")?,
                        Field { number: 2, payload } => envelope.kind = text(payload, "kind")?,
                        _ => {}
                    }
                }
            }
            Field { number: 2, payload: Payload::Bytes(raw) } => envelope.raw = raw,
            _ => {}
        }
    }
    Ok(envelope)
}

/// The bytes or the text of one field of a message, for a message that no schema describes.
pub fn bytes_of(message: &[u8], number: u32) -> Result<&[u8], ProtobufError> {
    match wire::find(message, number)? {
        Some(Payload::Bytes(bytes)) => Ok(bytes),
        Some(_) => Err(ProtobufError::Mismatch { message: "message".to_owned(), field: number.to_string() }),
        None => Ok(&[]),
    }
}

/// Reads an encoded object whose schema is `node` into a tree.
pub fn decode(node: Node<'_>, raw: &[u8]) -> Result<Value, ProtobufError> {
    let name = node.definition().map(|d| d.name().to_owned()).unwrap_or_default();
    let message = name.strip_prefix("io.k8s.").unwrap_or(&name);
    let mut map = Map::new();
    object(node, message, raw, &mut map, 0)?;
    Ok(Value::Object(map))
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
struct Numbered {
    number: u32,
    name: &'static str,
    /// The message it holds; empty for all else.
    of: &'static str,
}

/// Messages by name, their fields in the order of numbers.
type Messages = HashMap<&'static str, Vec<Numbered>>;

/// Read when the first such request comes.
fn messages() -> &'static Messages {
    static MESSAGES: OnceLock<Messages> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut messages = Messages::new();
        let mut current = "";
        for line in include_str!("protobuf/v1_36.txt").lines().filter(|l| !l.starts_with('#')) {
            match line.strip_prefix('\t') {
                None => current = line,
                Some(field) => {
                    let mut words = field.split(' ');
                    let number = words.next().and_then(|n| n.parse().ok()).unwrap_or_default();
                    let name = words.next().unwrap_or_default();
                    let of = words.next().unwrap_or_default();
                    messages.entry(current).or_default().push(Numbered { number, name, of });
                }
            }
        }
        messages.values_mut().for_each(|fields| fields.sort_by_key(|field| field.number));
        messages
    })
}

fn object(
    node: Node<'_>,
    message: &str,
    raw: &[u8],
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > MAX_DEPTH {
        return Err(ProtobufError::TooDeep);
    }
    let Some(known) = messages().get(message) else {
        // A message without fields has no lines in the table.
        return if raw.is_empty() { Ok(()) } else { Err(ProtobufError::UnknownMessage(message.to_owned())) };
    };
    for field in fields(raw) {
        let Field { number, payload } = field?;
        // Fields of a later version are passed over, as protobuf has it.
        let Ok(at) = known.binary_search_by_key(&number, |known| known.number) else { continue };
        let Numbered { name, of, .. } = known[at];
        match named(node, name) {
            Some(field) => put(field, of, payload, map, depth)?,
            None if !of.is_empty() => {
                let Payload::Bytes(embedded) = payload else { return Err(mismatch(message, name)) };
                object(node, of, embedded, map, depth + 1)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// The schema's field. A few names differ in case only.
fn named<'a>(node: Node<'a>, name: &str) -> Option<crate::Field<'a>> {
    node.field_named(name).or_else(|| node.fields().find(|f| f.name.eq_ignore_ascii_case(name)))
}

fn mismatch(message: &str, field: &str) -> ProtobufError {
    ProtobufError::Mismatch { message: message.to_owned(), field: field.to_owned() }
}

/// Puts a field into the object; lists and maps come an element at a time.
fn put(
    field: crate::Field<'_>,
    of: &str,
    payload: Payload<'_>,
    map: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let node = field.node;
    match node.shape() {
        Shape::List => {
            let Some(items) = node.items() else { return Ok(()) };
            let item = value(items, of, field.name, payload, depth)?;
            let list = map.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Some(list) = list.as_array_mut() {
                list.push(item.unwrap_or_default());
            }
        }
        Shape::Map => {
            let Payload::Bytes(entry) = payload else { return Err(mismatch(of, field.name)) };
            let (key, entry) = map_entry(node, of, field.name, entry, depth)?;
            let entries = map.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(entries) = entries.as_object_mut() {
                entries.insert(key, entry);
            }
        }
        _ => {
            // Go writes what is no pointer even when it is empty; its JSON leaves that out.
            if let Some(value) = value(node, of, field.name, payload, depth)?.filter(|v| !(field.omit && is_zero(v))) {
                map.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(_) => false,
    }
}

fn map_entry(
    node: Node<'_>,
    of: &str,
    name: &str,
    entry: &[u8],
    depth: usize,
) -> Result<(String, Value), ProtobufError> {
    let (mut key, mut found) = (String::new(), None);
    for field in fields(entry) {
        match field? {
            Field { number: 1, payload } => key = text(payload, name)?,
            Field { number: 2, payload } => {
                if let Some(values) = node.values() {
                    found = value(values, of, name, payload, depth + 1)?;
                }
            }
            _ => {}
        }
    }
    let empty = || match node.values().map(Node::shape) {
        Some(Shape::String | Shape::Bytes) => Value::String(String::new()),
        Some(Shape::List) => Value::Array(Vec::new()),
        _ => Value::Null,
    };
    Ok((key, found.unwrap_or_else(empty)))
}

/// One value; `None` for what is written but empty and means absent.
fn value(
    node: Node<'_>,
    of: &str,
    name: &str,
    payload: Payload<'_>,
    depth: usize,
) -> Result<Option<Value>, ProtobufError> {
    let wrong = || mismatch(of, name);
    let found = match (node.shape(), payload) {
        (Shape::String, payload) => text(payload, name)?.into(),
        (Shape::Integer32 | Shape::Integer64, Payload::Varint(n)) => n.cast_signed().into(),
        (Shape::Boolean, Payload::Varint(n)) => (n != 0).into(),
        (Shape::Number, Payload::Fixed64(bits)) => {
            Number::from_f64(f64::from_bits(bits)).map(Value::Number).unwrap_or_default()
        }
        (Shape::Bytes, Payload::Bytes(bytes)) => base64(bytes).into(),
        (Shape::Quantity, Payload::Bytes(bytes)) => match wire::find(bytes, 1)? {
            Some(payload) => text(payload, name)?.into(),
            None => return Ok(None),
        },
        (Shape::IntOrString, Payload::Bytes(bytes)) => int_or_string(bytes, name)?,
        (Shape::Time | Shape::MicroTime, Payload::Bytes(bytes)) => {
            let Some((seconds, nanos)) = timestamp(bytes)? else { return Ok(None) };
            wire::rfc3339(seconds, nanos, node.shape() == Shape::MicroTime).into()
        }
        (Shape::Any, Payload::Bytes(bytes)) => match wire::find(bytes, RAW_JSON_FIELD)? {
            Some(Payload::Bytes(json)) => serde_json::from_slice(json)
                .map_err(|e| ProtobufError::Json { field: name.to_owned(), reason: e.to_string() })?,
            _ => return Ok(None),
        },
        (Shape::Object, Payload::Bytes(bytes)) => {
            let mut map = Map::new();
            object(node, of, bytes, &mut map, depth + 1)?;
            Value::Object(map)
        }
        // A named list, as the values of `extra` are: a message whose only field is the list.
        (Shape::List, Payload::Bytes(bytes)) => {
            let items = node.items().ok_or_else(wrong)?;
            let list = fields(bytes).map(|f| value(items, "", name, f?.payload, depth + 1));
            Value::Array(list.map(|item| item.map(Option::unwrap_or_default)).collect::<Result<_, _>>()?)
        }
        _ => return Err(wrong()),
    };
    Ok(Some(found))
}

fn text(payload: Payload<'_>, name: &str) -> Result<String, ProtobufError> {
    let Payload::Bytes(bytes) = payload else { return Err(mismatch("", name)) };
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Utf8(name.to_owned()))
}

fn int_or_string(bytes: &[u8], name: &str) -> Result<Value, ProtobufError> {
    let (mut kind, mut number, mut string) = (0, 0, String::new());
    for field in fields(bytes) {
        match field? {
            Field { number: 1, payload: Payload::Varint(n) } => kind = n,
            Field { number: 2, payload: Payload::Varint(n) } => number = n.cast_signed(),
            Field { number: 3, payload } => string = text(payload, name)?,
            _ => {}
        }
    }
    Ok(if kind == 0 { number.into() } else { string.into() })
}

/// Seconds and nanoseconds; `None` for the zero time, which is written as nothing.
fn timestamp(bytes: &[u8]) -> Result<Option<(i64, i64)>, ProtobufError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanos) = (0, 0);
    for field in fields(bytes) {
        match field? {
            Field { number: 1, payload: Payload::Varint(n) } => seconds = n.cast_signed(),
            Field { number: 2, payload: Payload::Varint(n) } => nanos = n.cast_signed(),
            _ => {}
        }
    }
    Ok(Some((seconds, nanos)))
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = u32::from(chunk[0]) << 16
            | u32::from(chunk.get(1).copied().unwrap_or_default()) << 8
            | u32::from(chunk.get(2).copied().unwrap_or_default());
        for place in 0..4 {
            if place <= chunk.len() {
                encoded.push(char::from(ALPHABET[(group >> (18 - 6 * place)) as usize & 63]));
            } else {
                encoded.push('=');
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
