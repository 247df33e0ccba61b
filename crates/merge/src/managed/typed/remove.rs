//! An object without some of its fields.

use schema::Node;
use serde_json::{Map, Value};

use super::{Atom, atom, entry, item};
use crate::managed::{path::Element, set::Set};

/// Takes the paths of the set out of the object. What is emptied by that becomes null.
pub(in crate::managed) fn remove(node: Node<'_>, value: &Value, set: &Set) -> Value {
    inside(Some(node), value, set)
}

fn inside(node: Option<Node<'_>>, value: &Value, set: &Set) -> Value {
    match (atom(node, value), value) {
        (Atom::Map, Value::Object(map)) => {
            let mut left = Map::new();
            for (key, value) in map {
                let step = Element::field_step(key);
                if !set.has(&step) {
                    left.insert(key.clone(), one(entry(node, key), value, set.below(&step)));
                }
            }
            if left.is_empty() { Value::Null } else { Value::Object(left) }
        }
        (Atom::List, Value::Array(list)) => {
            let Some(node) = node else { return value.clone() };
            let mut left = Vec::with_capacity(list.len());
            for child in list {
                let Ok(step) = item::step(node, child) else { continue };
                if !set.has(&step) {
                    left.push(one(node.items(), child, set.below(&step)));
                }
            }
            if left.is_empty() { Value::Null } else { Value::Array(left) }
        }
        (Atom::Scalar, _) => value.clone(),
        _ => Value::Null,
    }
}

fn one(node: Option<Node<'_>>, value: &Value, below: Option<Set>) -> Value {
    match below {
        Some(set) => inside(node, value, &set),
        None => value.clone(),
    }
}
