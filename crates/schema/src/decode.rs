//! Strict decoding: JSON text to a tree that holds only what the schema knows, in the words of upstream's decoder.
//!
//! Unknown and duplicate fields do not fail; they are listed, and the caller refuses, warns or ignores. What does
//! fail is a text that is no JSON, and a value of the wrong type. Values come out as upstream would write them:
//! nulls dropped, and so are empty values of fields that upstream leaves out when empty; times in UTC, quantities
//! canonical.

mod go_time;
mod leaf;
mod scanner;
#[cfg(test)]
mod tests;
mod walk;

use serde_json::Value;
use thiserror::Error;

use crate::node::Node;
pub use scanner::MAX_DEPTH;
pub use walk::MAX_STRICT_ERRORS;

/// A tree, and what was in the text besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub value: Value,
    /// `unknown field "spec.foo"`, `duplicate field "spec.bar"`, in the order of the text.
    pub strict: Vec<String>,
}

impl Decoded {
    /// What upstream says when strictness is asked for: `strict decoding error: unknown field "a", …`.
    pub fn strict_error(&self) -> Option<String> {
        (!self.strict.is_empty()).then(|| format!("strict decoding error: {}", self.strict.join(", ")))
    }
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not JSON at all.
    #[error("{0}")]
    Syntax(String),
    /// JSON, but a value of a type the schema does not have there.
    #[error("{0}")]
    Type(String),
}

/// Decodes a whole JSON text as what `node` says. Unknown fields are dropped.
pub fn decode(node: Node<'_>, json: &[u8]) -> Result<Decoded, DecodeError> {
    walk::run(Some(node), json)
}

/// Decodes a JSON text of unknown type: everything is kept, duplicates are listed.
pub fn decode_any(json: &[u8]) -> Result<Decoded, DecodeError> {
    walk::run(None, json)
}

/// Decodes a tree that was put together from others, such as a patched object.
pub fn conform(node: Node<'_>, tree: &Value) -> Result<Decoded, DecodeError> {
    decode(node, tree.to_string().as_bytes())
}
