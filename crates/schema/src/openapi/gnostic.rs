//! The version 2 document as protobuf (gnostic's `openapi.v2.Document`), which kubectl prefers to JSON.
//!
//! Field numbers are those of gnostic's `OpenAPIv2.proto`. Values without a message of their own (extensions,
//! enumerations) travel as YAML, of which JSON is a part.

use serde_json::{Map, Value};

/// How a JSON value is written into its field.
#[derive(Clone, Copy)]
enum As {
    Text,
    Texts,
    Flag,
    Message(&'static Message),
    Messages(&'static Message),
    /// A map as pairs of name and message, inside a message of their own under this field number.
    Pairs(u32, &'static Message),
    /// One string where the message has a list inside a message.
    Type,
    Yamls,
    Parameters,
    Response,
    Security,
}

/// A message: its fields by JSON key, and the field that extensions go to.
struct Message {
    fields: &'static [(&'static str, u32, As)],
    extensions: u32,
    /// The numbers of messages around this one, outermost first: an alternative inside an alternative.
    inside: &'static [u32],
}

const NO_EXTENSIONS: u32 = 0;

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, As::Text),
        ("info", 2, As::Message(&INFO)),
        ("paths", 8, As::Pairs(2, &PATH_ITEM)),
        ("definitions", 9, As::Pairs(1, &SCHEMA)),
        ("security", 12, As::Security),
        ("securityDefinitions", 13, As::Pairs(1, &API_KEY)),
    ],
    extensions: 16,
    inside: &[],
};

static INFO: Message = Message {
    fields: &[("title", 1, As::Text), ("version", 2, As::Text), ("description", 3, As::Text)],
    extensions: 7,
    inside: &[],
};

static API_KEY: Message = Message {
    fields: &[("type", 1, As::Text), ("name", 2, As::Text), ("in", 3, As::Text), ("description", 4, As::Text)],
    extensions: 5,
    inside: &[2],
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, As::Message(&OPERATION)),
        ("put", 3, As::Message(&OPERATION)),
        ("post", 4, As::Message(&OPERATION)),
        ("delete", 5, As::Message(&OPERATION)),
        ("patch", 8, As::Message(&OPERATION)),
        ("parameters", 9, As::Parameters),
    ],
    extensions: 10,
    inside: &[],
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, As::Texts),
        ("description", 3, As::Text),
        ("operationId", 5, As::Text),
        ("produces", 6, As::Texts),
        ("consumes", 7, As::Texts),
        ("parameters", 8, As::Parameters),
        ("responses", 9, As::Pairs(1, &RESPONSE)),
        ("schemes", 10, As::Texts),
    ],
    extensions: 13,
    inside: &[],
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, As::Text),
        ("name", 2, As::Text),
        ("in", 3, As::Text),
        ("required", 4, As::Flag),
        ("schema", 5, As::Message(&SCHEMA)),
    ],
    extensions: 6,
    inside: &[1, 1],
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, As::Flag),
        ("in", 2, As::Text),
        ("description", 3, As::Text),
        ("name", 4, As::Text),
        ("type", 6, As::Text),
        ("uniqueItems", 20, As::Flag),
    ],
    extensions: 23,
    inside: &[1, 2, 3],
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, As::Flag),
        ("in", 2, As::Text),
        ("description", 3, As::Text),
        ("name", 4, As::Text),
        ("type", 5, As::Text),
        ("uniqueItems", 19, As::Flag),
    ],
    extensions: 22,
    inside: &[1, 2, 4],
};

static RESPONSE: Message =
    Message { fields: &[("description", 1, As::Text), ("schema", 2, As::Response)], extensions: 5, inside: &[1] };

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, As::Text),
        ("format", 2, As::Text),
        ("description", 4, As::Text),
        ("required", 19, As::Texts),
        ("enum", 20, As::Yamls),
        ("additionalProperties", 21, As::Message(&SCHEMA_ALTERNATIVE)),
        ("type", 22, As::Type),
        ("items", 23, As::Message(&SCHEMA_ALTERNATIVE)),
        ("allOf", 24, As::Messages(&SCHEMA)),
        ("properties", 25, As::Pairs(1, &SCHEMA)),
    ],
    extensions: 31,
    inside: &[],
};

/// A schema where it is the first alternative, or the only element, of a message around it.
static SCHEMA_ALTERNATIVE: Message = Message { fields: SCHEMA.fields, extensions: 31, inside: &[1] };

/// Writes the document that [`super::v2`] makes.
pub fn encode(document: &Value) -> Vec<u8> {
    message(&DOCUMENT, document)
}

fn message(of: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let empty = Map::new();
    let map = value.as_object().unwrap_or(&empty);
    for (key, number, kind) in of.fields {
        if let Some(value) = map.get(*key) {
            field(&mut out, *number, *kind, value);
        }
    }
    if of.extensions != NO_EXTENSIONS {
        for (key, value) in map.iter().filter(|(key, _)| key.starts_with("x-")) {
            let mut pair = Vec::new();
            bytes(&mut pair, 1, key.as_bytes());
            bytes(&mut pair, 2, &yaml(value));
            bytes(&mut out, of.extensions, &pair);
        }
    }
    for number in of.inside.iter().rev() {
        let inner = std::mem::take(&mut out);
        bytes(&mut out, *number, &inner);
    }
    out
}

fn field(out: &mut Vec<u8>, number: u32, kind: As, value: &Value) {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    match kind {
        As::Text => bytes(out, number, value.as_str().unwrap_or_default().as_bytes()),
        As::Texts => list.iter().filter_map(Value::as_str).for_each(|text| bytes(out, number, text.as_bytes())),
        As::Flag => {
            if value == &Value::Bool(true) {
                varint(out, u64::from(number) << 3);
                varint(out, 1);
            }
        }
        As::Message(of) => bytes(out, number, &message(of, value)),
        As::Messages(of) => list.iter().for_each(|item| bytes(out, number, &message(of, item))),
        As::Pairs(inner, of) => {
            let mut pairs = Vec::new();
            for (name, value) in value.as_object().into_iter().flatten() {
                let mut pair = Vec::new();
                bytes(&mut pair, 1, name.as_bytes());
                bytes(&mut pair, 2, &message(of, value));
                bytes(&mut pairs, inner, &pair);
            }
            bytes(out, number, &pairs);
        }
        As::Type => {
            let mut types = Vec::new();
            bytes(&mut types, 1, value.as_str().unwrap_or_default().as_bytes());
            bytes(out, number, &types);
        }
        As::Yamls => list.iter().for_each(|item| bytes(out, number, &yaml(item))),
        As::Parameters => list.iter().for_each(|parameter| {
            let of = match parameter["in"].as_str() {
                Some("body") => &BODY_PARAMETER,
                Some("path") => &PATH_PARAMETER,
                _ => &QUERY_PARAMETER,
            };
            bytes(out, number, &message(of, parameter));
        }),
        As::Response => bytes(out, number, &message(&SCHEMA_ALTERNATIVE, value)),
        As::Security => list.iter().for_each(|requirement| {
            let mut pairs = Vec::new();
            for name in requirement.as_object().into_iter().flat_map(Map::keys) {
                let mut pair = Vec::new();
                bytes(&mut pair, 1, name.as_bytes());
                bytes(&mut pair, 2, &[]);
                bytes(&mut pairs, 1, &pair);
            }
            bytes(out, number, &pairs);
        }),
    }
}

/// An `Any` that holds YAML.
fn yaml(value: &Value) -> Vec<u8> {
    let mut any = Vec::new();
    bytes(&mut any, 2, format!("{value}\n").as_bytes());
    any
}

fn bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    varint(out, u64::from(number) << 3 | 2);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
