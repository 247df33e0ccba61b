//! Walks text and schema together.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{DecodeError, Decoded, leaf, scanner::MAX_DEPTH, scanner::Scanner};
use crate::{node::Node, shape::Shape};

/// How many unknown and duplicate fields are listed; upstream's bound.
pub const MAX_STRICT_ERRORS: usize = 100;

pub(super) fn run(node: Option<Node<'_>>, json: &[u8]) -> Result<Decoded, DecodeError> {
    let mut walk = Walk {
        scanner: Scanner::new(json),
        path: Vec::new(),
        structs: Vec::new(),
        strict: Vec::new(),
        seen: HashSet::new(),
        mismatch: None,
        refusal: None,
        depth: 0,
        silent: false,
    };
    let value = walk.value(node)?;
    walk.scanner.end()?;
    // A value that refused its own text ends upstream's decoding at once; a mismatch is only remembered.
    match walk.refusal.or(walk.mismatch) {
        Some(message) => Err(DecodeError::Type(message)),
        None => Ok(Decoded { value, strict: walk.strict }),
    }
}

enum Step<'n> {
    Field(&'n str),
    Unknown(String),
    Key(String),
    Index(usize),
}

struct Walk<'t, 'n> {
    scanner: Scanner<'t>,
    path: Vec<Step<'n>>,
    /// The names of the objects around, innermost last.
    structs: Vec<&'n str>,
    strict: Vec<String>,
    seen: HashSet<String>,
    /// The first value of a wrong type.
    mismatch: Option<String>,
    /// The first value whose own reader refused it.
    refusal: Option<String>,
    depth: usize,
    /// Inside a value whose fields are not listed.
    silent: bool,
}

impl<'n> Walk<'_, 'n> {
    fn value(&mut self, node: Option<Node<'n>>) -> Result<Value, DecodeError> {
        if let Some(node) = node
            && leaf::reads_itself(node.shape())
        {
            return self.self_reading(node);
        }
        match self.scanner.peek() {
            Some(b'{') => self.nested(|walk| match node.map(|n| (n, n.shape())) {
                Some((node, Shape::Object)) => walk.object(node),
                Some((node, Shape::Map)) => walk.map(node.values()),
                None => walk.map(None),
                Some((node, _)) => {
                    walk.mismatch(node, "object");
                    walk.skip()
                }
            }),
            Some(b'[') => self.nested(|walk| match node.map(|n| (n, n.shape())) {
                Some((node, Shape::List)) => walk.list(node.items()),
                None => walk.list(None),
                Some((node, _)) => {
                    walk.mismatch(node, "array");
                    walk.skip()
                }
            }),
            _ => self.scalar(node),
        }
    }

    fn scalar(&mut self, node: Option<Node<'n>>) -> Result<Value, DecodeError> {
        let (value, kind) = match self.scanner.peek() {
            Some(b'"') => (Value::String(self.scanner.string()?), "string"),
            Some(b't') => (self.scanner.literal("true").map(|()| true.into())?, "bool"),
            Some(b'f') => (self.scanner.literal("false").map(|()| false.into())?, "bool"),
            Some(b'n') => return self.scanner.literal("null").map(|()| Value::Null),
            Some(b'-' | b'0'..=b'9') => {
                let text = self.scanner.number()?;
                return Ok(match leaf::number(node.map(Node::shape), text) {
                    Ok(value) => value,
                    Err(kind) => self.wrong(node, &kind),
                });
            }
            _ => return Err(self.scanner.unexpected("looking for beginning of value")),
        };
        let fits = match (node.map(Node::shape), &value) {
            (None, _) | (Some(Shape::String), Value::String(_)) | (Some(Shape::Boolean), Value::Bool(_)) => true,
            (Some(Shape::Bytes), Value::String(text)) => match leaf::base64(text) {
                Ok(canonical) => return Ok(canonical.into()),
                Err(message) => {
                    self.refusal.get_or_insert(message);
                    true
                }
            },
            _ => false,
        };
        Ok(if fits { value } else { self.wrong(node, kind) })
    }

    /// Values whose text upstream hands to their own reader whatever it is.
    fn self_reading(&mut self, node: Node<'n>) -> Result<Value, DecodeError> {
        self.scanner.peek();
        let start = self.scanner.at();
        let value = self.unlisted()?;
        if value.is_null() || node.shape() == Shape::Any {
            return Ok(value);
        }
        Ok(leaf::read(node.shape(), value, || self.scanner.raw(start)).unwrap_or_else(|message| {
            self.refusal.get_or_insert(message);
            Value::Null
        }))
    }

    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(DecodeError::Syntax("exceeded max depth".to_owned()));
        }
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn skip(&mut self) -> Result<Value, DecodeError> {
        self.unlisted()?;
        Ok(Value::Null)
    }

    /// A value without a schema; duplicates inside are not upstream's business.
    fn unlisted(&mut self) -> Result<Value, DecodeError> {
        let around = std::mem::replace(&mut self.silent, true);
        let value = self.value(None);
        self.silent = around;
        value
    }

    fn object(&mut self, node: Node<'n>) -> Result<Value, DecodeError> {
        self.structs.push(node.definition().map_or("", |d| d.short_name()));
        let mut out = Map::new();
        let mut met: Vec<&str> = Vec::new();
        self.entries(|walk, key| {
            let Some(field) = node.field_named(&key) else {
                walk.path.push(Step::Unknown(key));
                walk.note("unknown");
                walk.skip()?;
                walk.path.pop();
                return Ok(());
            };
            walk.path.push(Step::Field(field.name));
            if met.contains(&field.name) {
                walk.note("duplicate");
            }
            met.push(field.name);
            let value = walk.value(Some(field.node))?;
            walk.path.pop();
            // Null leaves a field as it was, which is absent.
            match (value, out.get_mut(field.name)) {
                (Value::Null, _) => {}
                (value, None) if field.omit && leaf::is_zero(&value) => {}
                (value, Some(old)) => join(old, value),
                (value, None) => {
                    out.insert(key, value);
                }
            }
            Ok(())
        })?;
        self.structs.pop();
        Ok(Value::Object(out))
    }

    fn map(&mut self, values: Option<Node<'n>>) -> Result<Value, DecodeError> {
        let mut out = Map::new();
        self.entries(|walk, key| {
            let duplicate = out.contains_key(&key);
            walk.path.push(Step::Key(key));
            if duplicate {
                walk.note("duplicate");
            }
            let value = walk.value(values)?;
            if let Some(Step::Key(key)) = walk.path.pop() {
                out.insert(key, element(values, value));
            }
            Ok(())
        })?;
        Ok(Value::Object(out))
    }

    fn list(&mut self, items: Option<Node<'n>>) -> Result<Value, DecodeError> {
        let mut out = Vec::new();
        self.scanner.take();
        if self.scanner.peek() == Some(b']') {
            self.scanner.take();
            return Ok(Value::Array(out));
        }
        loop {
            self.path.push(Step::Index(out.len()));
            let value = self.value(items)?;
            self.path.pop();
            out.push(element(items, value));
            match self.scanner.peek() {
                Some(b',') => self.scanner.take(),
                Some(b']') => {
                    self.scanner.take();
                    return Ok(Value::Array(out));
                }
                _ => return Err(self.scanner.unexpected("after array element")),
            }
        }
    }

    /// The entries of an object or map: `entry` reads the value of each key.
    fn entries(
        &mut self,
        mut entry: impl FnMut(&mut Self, String) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.scanner.take();
        if self.scanner.peek() == Some(b'}') {
            self.scanner.take();
            return Ok(());
        }
        loop {
            if self.scanner.peek() != Some(b'"') {
                return Err(self.scanner.unexpected("looking for beginning of object key string"));
            }
            let key = self.scanner.string()?;
            if self.scanner.peek() != Some(b':') {
                return Err(self.scanner.unexpected("after object key"));
            }
            self.scanner.take();
            entry(self, key)?;
            match self.scanner.peek() {
                Some(b',') => self.scanner.take(),
                Some(b'}') => {
                    self.scanner.take();
                    return Ok(());
                }
                _ => return Err(self.scanner.unexpected("after object key:value pair")),
            }
        }
    }

    /// Lists the field the walk stands on.
    fn note(&mut self, what: &str) {
        if self.silent || self.strict.len() >= MAX_STRICT_ERRORS {
            return;
        }
        let note = format!("{what} field {}", go_quote(&self.field_path()));
        if self.seen.insert(note.clone()) {
            self.strict.push(note);
        }
    }

    fn field_path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            let name = match step {
                Step::Index(index) => {
                    path.push_str(&format!("[{index}]"));
                    continue;
                }
                Step::Field(name) => *name,
                Step::Unknown(name) | Step::Key(name) => name.as_str(),
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
        }
        path
    }

    fn wrong(&mut self, node: Option<Node<'n>>, kind: &str) -> Value {
        match node {
            Some(node) => self.mismatch(node, kind),
            // Untyped values are never wrong but for numbers that no double holds.
            None => {
                self.mismatch
                    .get_or_insert_with(|| format!("json: cannot unmarshal {kind} into Go value of type float64"));
            }
        }
        Value::Null
    }

    fn mismatch(&mut self, node: Node<'n>, kind: &str) {
        if self.mismatch.is_some() {
            return;
        }
        let of = leaf::go_type(node);
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Field(name) => Some(*name),
                _ => None,
            })
            .collect();
        self.mismatch = Some(match (self.structs.last(), fields.is_empty()) {
            (Some(name), false) => {
                format!("json: cannot unmarshal {kind} into Go struct field {name}.{} of type {of}", fields.join("."))
            }
            _ => format!("json: cannot unmarshal {kind} into Go value of type {of}"),
        });
    }
}

/// What a null is among the elements of a list or map: the zero value, as a Go slice or map holds it.
fn element(node: Option<Node<'_>>, value: Value) -> Value {
    match (node.map(Node::shape), value) {
        (Some(shape), Value::Null) => leaf::zero(shape),
        (_, value) => value,
    }
}

/// A field met again: objects and maps gather both, the rest is replaced.
fn join(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in new {
                match old.get_mut(&key) {
                    Some(old) => join(old, value),
                    None => {
                        old.insert(key, value);
                    }
                }
            }
        }
        (old, new) => *old = new,
    }
}

fn go_quote(text: &str) -> String {
    apimachinery::field::quote(text)
}
