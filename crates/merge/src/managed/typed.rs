//! Objects seen through the schema: what can be owned in them, what differs between two, how one merges into another.
//!
//! Without a schema (raw values, unknown fields) maps are granular and lists atomic.

mod compare;
mod field_set;
mod item;
mod merge;
mod remove;
mod validate;

use schema::{ListType, MapType, Node, Shape};
use serde_json::Value;

pub(super) use compare::{Comparison, compare};
pub(super) use field_set::field_set;
pub(super) use merge::merge;
pub(super) use remove::remove;
pub(super) use validate::validate;

/// How a value takes part in ownership.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Atom {
    Scalar,
    AtomicList,
    List,
    AtomicMap,
    Map,
}

/// By the schema, or, where it does not say, by the value.
fn atom(node: Option<Node<'_>>, value: &Value) -> Atom {
    let by_value = || match value {
        Value::Object(_) => Atom::Map,
        Value::Array(_) => Atom::AtomicList,
        _ => Atom::Scalar,
    };
    let Some(node) = node else { return by_value() };
    match node.shape() {
        Shape::Any => by_value(),
        Shape::Object | Shape::Map if node.map_type() == MapType::Atomic => Atom::AtomicMap,
        Shape::Object | Shape::Map => Atom::Map,
        Shape::List if node.list_type() == ListType::Atomic => Atom::AtomicList,
        Shape::List => Atom::List,
        _ => Atom::Scalar,
    }
}

/// The schema of an entry of a map or object.
fn entry<'n>(node: Option<Node<'n>>, key: &str) -> Option<Node<'n>> {
    let node = node?;
    match node.shape() {
        Shape::Object => node.field(key),
        _ => node.values(),
    }
}

/// Whether the key is a field the schema declares, as opposed to a key of a map.
fn is_declared(node: Option<Node<'_>>, key: &str) -> bool {
    node.is_some_and(|n| n.shape() == Shape::Object && n.field(key).is_some())
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => true,
    }
}
