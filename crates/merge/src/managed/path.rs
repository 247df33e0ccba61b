//! The steps of a path to a field: a name, the keys of a list element, the value of a set element, an index.
//!
//! Sets hold steps as `FieldsV1` writes them (`f:name`, `k:{"port":80}`, `v:"x"`, `i:0`); [`Element`] is what such a
//! text means.

use std::{cmp::Ordering, fmt};

use apimachinery::field::quote;
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    Field(String),
    /// Sorted by name.
    Key(Vec<(String, Scalar)>),
    Value(Scalar),
    Index(i64),
}

pub type Path = Vec<Element>;

impl Element {
    pub(super) fn field_step(name: &str) -> String {
        format!("f:{name}")
    }

    /// The step of an element told apart by these keys.
    pub(super) fn key_step(keys: Map<String, Value>) -> String {
        format!("k:{}", Value::Object(keys))
    }

    pub(super) fn value_step(value: &Value) -> String {
        format!("v:{value}")
    }

    pub(super) fn step(&self) -> String {
        match self {
            Self::Field(name) => Self::field_step(name),
            Self::Key(keys) => Self::key_step(keys.iter().map(|(name, v)| (name.clone(), v.0.clone())).collect()),
            Self::Value(value) => Self::value_step(&value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    pub(super) fn parse(step: &str) -> Option<Self> {
        let (kind, rest) = step.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "i" => rest.parse().ok().map(Self::Index),
            "v" => serde_json::from_str(rest).ok().map(|value| Self::Value(Scalar(value))),
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let mut keys: Vec<_> = keys.into_iter().map(|(name, value)| (name, Scalar(value))).collect();
                keys.sort();
                Some(Self::Key(keys))
            }
            _ => None,
        }
    }
}

/// A JSON value with an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar(pub Value);

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0.as_i64(), other.0.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => self.0.to_string().cmp(&other.0.to_string()),
        }
    }
}

/// As conflicts show it: `"x"`, `5`.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => f.write_str(&quote(text)),
            other => write!(f, "{other}"),
        }
    }
}

/// As conflicts show it: `.spec`, `[name="c"]`, `[="v"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (index, (name, value)) in keys.iter().enumerate() {
                    write!(f, "{}{name}={value}", if index > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

pub(crate) fn print(path: &[Element]) -> String {
    path.iter().map(Element::to_string).collect()
}

/// A step as conflicts show it.
pub(super) fn print_step(step: &str) -> String {
    Element::parse(step).map_or_else(|| step.to_owned(), |element| element.to_string())
}
